/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_records.h"

#include "net/tls_records_internal.h"

#include <stdlib.h>
#include <string.h>

/* Records in a row that bring nothing. Each is some work, and nobody has a reason to send many. */
#define MOST_IDLE 3u
/* Requests for another handshake in a connection's life: each is answered, so that a few bytes are a packet. */
#define MOST_REFUSED 3u
/* Changes of keys in a connection's life after fewer records than that. Each takes as long as some 25 small records; nobody has a reason for such, and who
 * sends nothing else would keep a worker busy with 80 Mbit/s. */
#define MOST_HASTY 32u
#define HASTY      16u

/* Of TLS 1.3 (RFC 8446 section 4.6.3). */
enum { KEY_UPDATE = 24, MESSAGE_HEAD = 4 };
enum update { UPDATE_NOT_REQUESTED = 0, UPDATE_REQUESTED = 1 };

enum level { LEVEL_WARNING = 1, LEVEL_FATAL = 2 };
enum alert {
  ALERT_CLOSE_NOTIFY = 0,
  ALERT_UNEXPECTED_MESSAGE = 10,
  ALERT_BAD_RECORD_MAC = 20,
  ALERT_RECORD_OVERFLOW = 22,
  ALERT_ILLEGAL_PARAMETER = 47,
  ALERT_DECODE_ERROR = 50,
  ALERT_PROTOCOL_VERSION = 70,
  ALERT_INTERNAL_ERROR = 80,
  ALERT_USER_CANCELED = 90,
  ALERT_NO_RENEGOTIATION = 100
};

static bool is_13(const net_tls_records *r)
{
  return r->in.version == NET_TLS_13;
}

size_t net_tls_records_keys_len(net_tls_version version, net_aead_kind kind)
{
  return 2 * (version == NET_TLS_13 ? net_tls_secret_len(kind)
                                    : net_aead_key_len(kind) + net_tls_flow_fixed_len(kind));
}

/* The direction of what the client sends, or |of_server|. Returns false without memory. */
static bool begin_flow(net_tls_flow *f, const net_tls_agreed *agreed, bool of_server)
{
  const net_aead_kind kind = agreed->kind;
  const size_t key_len = net_aead_key_len(kind), fixed_len = net_tls_flow_fixed_len(kind);
  if (agreed->version == NET_TLS_13)
    return net_tls_flow_begin_13(f, kind, agreed->keys + (of_server ? net_tls_secret_len(kind) : 0));
  const uint8_t *key = agreed->keys, *fixed = agreed->keys + 2 * key_len;
  return net_tls_flow_begin_12(f, kind, key + (of_server ? key_len : 0), fixed + (of_server ? fixed_len : 0));
}

net_tls_records *net_tls_records_new(const net_tls_agreed *agreed)
{
  net_tls_records *r = calloc(1, sizeof *r);
  if (!r)
    return NULL;
  if (!begin_flow(&r->in, agreed, !agreed->server) || !begin_flow(&r->out, agreed, agreed->server)) {
    net_tls_records_free(r);
    return NULL;
  }
  r->in.number = agreed->in;
  r->out.number = agreed->out;
  r->most = agreed->most;
  r->error = "";
  return r;
}

void net_tls_records_free(net_tls_records *r)
{
  if (!r)
    return;
  net_tls_flow_end(&r->in);
  net_tls_flow_end(&r->out);
  if (r->held)
    explicit_bzero(r->held, r->body_len); /* a client's data */
  free(r->held);
  free(r->rest);
  free(r);
}

const char *net_tls_records_error(const net_tls_records *r)
{
  return r->error;
}

/* ---- writing ---- */

/* Sends what is left of a record. Returns 1 when all has gone out, or a result below 0. */
static ssize_t send_rest(net_tls_records *r, const net_tls_io *io)
{
  while (r->rest_from < r->rest_to) {
    const ssize_t n = io->send(io->ctx, r->rest + r->rest_from, r->rest_to - r->rest_from);
    if (n < 0)
      return n;
    r->rest_from += (size_t)n;
  }
  free(r->rest);
  r->rest = NULL;
  return 1;
}

/* Sends the |len| bytes of a record, and keeps what does not go out. Returns likewise. */
static ssize_t send_record(net_tls_records *r, const net_tls_io *io, const uint8_t *record, size_t len)
{
  const ssize_t n = io->send(io->ctx, record, len);
  const size_t sent = n > 0 ? (size_t)n : 0;
  if (sent == len || n == NET_TLS_FAILED)
    return n == NET_TLS_FAILED ? n : 1;
  r->rest = malloc(len - sent);
  if (!r->rest)
    return NET_TLS_FAILED;
  memcpy(r->rest, record + sent, len - sent);
  r->rest_from = 0;
  r->rest_to = len - sent;
  return n < 0 ? n : send_rest(r, io);
}

/* Announces new keys at |out|, and takes them. Asks for new ones of the other side where those are old. Returns the length of the record, or 0. */
static size_t update_keys(net_tls_records *r, bool asks, uint8_t *out)
{
  const uint8_t message[KEY_UPDATE_LEN] = {KEY_UPDATE, 0, 0, 1,
                                           asks ? UPDATE_REQUESTED : UPDATE_NOT_REQUESTED};
  const size_t len = net_tls_flow_seal(&r->out, NET_TLS_HANDSHAKE, message, sizeof message, out);
  if (!len || !net_tls_flow_update(&r->out))
    return 0;
  r->owes = false;
  r->asked = r->asked || asks;
  return len;
}

/* Makes a record of data at |out|, and what has to go before it. Returns the length of all, or 0. */
static size_t make_records(net_tls_records *r, const uint8_t *data, size_t len, uint8_t *out)
{
  size_t before = 0;
  const bool asks = r->in.number >= RENEW_AFTER && !r->asked;
  if (is_13(r) && (r->owes || asks || r->out.number >= RENEW_AFTER)) {
    before = update_keys(r, asks, out);
    if (!before)
      return 0;
  }
  const size_t n = net_tls_flow_seal(&r->out, NET_TLS_DATA, data, len, out + before);
  return n ? before + n : 0;
}

ssize_t net_tls_records_write(net_tls_records *r, const net_tls_io *io, const uint8_t *data, size_t len)
{
  uint8_t made[WRITE_MAX];
  ssize_t result;
  if (r->rest && r->written) {
    result = send_rest(r, io);
  } else {
    /* An alert may be in the way. */
    result = r->rest ? send_rest(r, io) : 1;
    if (result < 0)
      return result;
    r->written = len < r->most ? len : r->most;
    const size_t n = make_records(r, data, r->written, made);
    result = n ? send_record(r, io, made, n) : NET_TLS_FAILED;
  }
  if (result < 0)
    return result;
  const size_t written = r->written;
  r->written = 0;
  return (ssize_t)written;
}

/* If that can be done at once: a record must not come between the parts of another. */
static void send_alert(net_tls_records *r, const net_tls_io *io, enum level level, enum alert alert)
{
  const uint8_t text[2] = {(uint8_t)level, (uint8_t)alert};
  uint8_t record[NET_TLS_HEADER + sizeof text + NET_TLS_OVERHEAD];
  if (r->rest)
    return;
  const size_t n = net_tls_flow_seal(&r->out, NET_TLS_ALERT, text, sizeof text, record);
  if (n)
    send_record(r, io, record, n);
}

void net_tls_records_close(net_tls_records *r, const net_tls_io *io)
{
  send_alert(r, io, LEVEL_WARNING, ALERT_CLOSE_NOTIFY);
}

/* ---- reading ---- */

static ssize_t fail(net_tls_records *r, const net_tls_io *io, enum alert alert, const char *error)
{
  r->ended = true;
  r->error = error;
  send_alert(r, io, LEVEL_FATAL, alert);
  return NET_TLS_FAILED;
}

/* Reads on with the header of a record. Returns 1 when it is whole, or what the io returned. */
static ssize_t read_head(net_tls_records *r, const net_tls_io *io)
{
  while (r->head_len < NET_TLS_HEADER) {
    const ssize_t n = io->recv(io->ctx, r->head + r->head_len, NET_TLS_HEADER - r->head_len);
    if (n <= 0)
      return n;
    r->head_len = (uint8_t)(r->head_len + n);
  }
  return 1;
}

/* Returns 1, or fails. */
static ssize_t check_head(net_tls_records *r, const net_tls_io *io)
{
  r->body_len = (size_t)r->head[3] << 8 | r->head[4];
  if (r->head[1] != 3 || r->head[2] != 3)
    return fail(r, io, ALERT_PROTOCOL_VERSION, "a record of another version");
  if (is_13(r) && r->head[0] != NET_TLS_DATA)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "a record of an unexpected type");
  if (r->body_len < net_tls_flow_least(&r->in))
    return fail(r, io, ALERT_DECODE_ERROR, "a record that is too short");
  if (r->body_len > net_tls_flow_most(&r->in))
    return fail(r, io, ALERT_RECORD_OVERFLOW, "a record that is too long");
  return 1;
}

/* Reads on with the body of a record: into |out| if it has come whole and fits there, else into memory of its own. Returns where it is when it is
 * whole, else NULL with *|result| set. */
static uint8_t *read_body(net_tls_records *r, const net_tls_io *io, uint8_t *out, size_t cap, ssize_t *result)
{
  if (!r->held && cap < r->body_len) {
    r->held = malloc(r->body_len);
    if (!r->held) {
      *result = NET_TLS_FAILED;
      return NULL;
    }
  }
  uint8_t *body = r->held ? r->held : out;
  while (r->got < r->body_len) {
    *result = io->recv(io->ctx, body + r->got, r->body_len - r->got);
    if (*result <= 0) {
      if (r->got && !r->held) {
        r->held = malloc(r->body_len);
        if (!r->held)
          *result = NET_TLS_FAILED;
        else
          memcpy(r->held, out, r->got);
      }
      return NULL;
    }
    r->got += (size_t)*result;
  }
  return body;
}

/* Takes |len| bytes of messages of TLS 1.3. A client has none to send but for KeyUpdate, behind which there are other keys: it ends its record (RFC 8446
 * sections 4.6.3 and 5.1). */
static ssize_t take_message(net_tls_records *r, const net_tls_io *io, const uint8_t *data, size_t len)
{
  if (!len)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "a record of no message");
  for (; len && r->message_len < KEY_UPDATE_LEN; len--)
    r->message[r->message_len++] = *data++;
  if (r->message[0] != KEY_UPDATE)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "a message that no client sends after its handshake");
  if (r->message_len >= MESSAGE_HEAD && net_tls_get_number(r->message + 1, 3) != 1)
    return fail(r, io, ALERT_DECODE_ERROR, "a change of keys of another length");
  if (len)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "a change of keys within a record");
  if (r->message_len < KEY_UPDATE_LEN)
    return 1;
  r->message_len = 0;
  if (r->message[MESSAGE_HEAD] > UPDATE_REQUESTED)
    return fail(r, io, ALERT_ILLEGAL_PARAMETER, "a change of keys that asks for something else");
  if (r->in.number <= HASTY && ++r->hasty > MOST_HASTY)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "too many changes of keys");
  if (!net_tls_flow_update(&r->in))
    return fail(r, io, ALERT_INTERNAL_ERROR, "no memory for new keys");
  r->asked = false;
  r->owes = r->owes || r->message[MESSAGE_HEAD] == UPDATE_REQUESTED;
  return 1;
}

static ssize_t take_alert(net_tls_records *r, const net_tls_io *io, const uint8_t *data, size_t len)
{
  if (len != 2)
    return fail(r, io, len || !is_13(r) ? ALERT_DECODE_ERROR : ALERT_UNEXPECTED_MESSAGE,
                "an alert that is none");
  if (data[1] == ALERT_CLOSE_NOTIFY) {
    r->ended = true;
    return 0;
  }
  /* In TLS 1.3 all others are errors, whatever their level says (RFC 8446 section 6). */
  if (is_13(r) ? data[1] == ALERT_USER_CANCELED : data[0] == LEVEL_WARNING)
    return 1;
  r->ended = true;
  r->error = "the other side ended it with an alert";
  return NET_TLS_FAILED;
}

/* A record that is no data. Returns 1 if the next one is to be read. */
static ssize_t take_other(net_tls_records *r, const net_tls_io *io, uint8_t type, const uint8_t *data,
                          size_t len)
{
  if (type == NET_TLS_ALERT)
    return take_alert(r, io, data, len);
  if (type != NET_TLS_HANDSHAKE)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "a record of an unexpected type");
  if (is_13(r))
    return take_message(r, io, data, len);
  if (++r->refused > MOST_REFUSED)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "too many requests for another handshake");
  /* It may go on or not, as it likes: there is no other handshake. */
  send_alert(r, io, LEVEL_WARNING, ALERT_NO_RENEGOTIATION);
  return 1;
}

/* A record that net_tls_flow_open could do nothing with, but say |why|. */
static ssize_t refuse(net_tls_records *r, const net_tls_io *io, ssize_t why)
{
  switch (why) {
  case NET_TLS_NO_NUMBER:
    return fail(r, io, ALERT_INTERNAL_ERROR, "more records than there are numbers");
  case NET_TLS_NO_TYPE:
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "a record of nothing but padding");
  case NET_TLS_TOO_LONG:
    return fail(r, io, ALERT_RECORD_OVERFLOW, "a record that is too long");
  default:
    return fail(r, io, ALERT_BAD_RECORD_MAC, "a record that was changed on its way");
  }
}

/* Gives of what was held. */
static ssize_t give(net_tls_records *r, uint8_t *out, size_t cap)
{
  const size_t left = r->plain_to - r->plain_from, n = left < cap ? left : cap;
  memcpy(out, r->held + r->plain_from, n);
  r->plain_from += n;
  if (r->plain_from == r->plain_to) {
    free(r->held);
    r->held = NULL;
    r->plain_from = r->plain_to = 0;
  }
  return (ssize_t)n;
}

/* Decrypts the record at |body|, and hands its data over. Returns how many bytes, 1 with *|nothing| if it held none, or a result of 0 or less. */
static ssize_t take_record(net_tls_records *r, const net_tls_io *io, uint8_t *body, uint8_t *out, size_t cap,
                           bool *nothing)
{
  uint8_t type;
  const ssize_t opened = net_tls_flow_open(&r->in, r->head, body, r->body_len, &type);
  const size_t len = opened > 0 ? (size_t)opened : 0;
  r->head_len = 0;
  r->got = 0;
  if (opened < 0)
    return refuse(r, io, opened);
  if (r->message_len && type != NET_TLS_HANDSHAKE)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "a message that does not go on");
  *nothing = type != NET_TLS_DATA || !len;
  if (!*nothing) {
    r->idle = 0;
    if (!r->held)
      return (ssize_t)len;
    r->plain_from = 0;
    r->plain_to = len;
    return give(r, out, cap);
  }
  const ssize_t result = type == NET_TLS_DATA ? 1 : take_other(r, io, type, body, len);
  free(r->held);
  r->held = NULL;
  /* Parts of a message are one. */
  if (result > 0 && !r->message_len && ++r->idle > MOST_IDLE)
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "too many records with nothing in them");
  return result;
}

bool net_tls_records_pending(const net_tls_records *r)
{
  return r->plain_from < r->plain_to;
}

ssize_t net_tls_records_read(net_tls_records *r, const net_tls_io *io, uint8_t *out, size_t cap)
{
  bool nothing;
  ssize_t result;
  if (net_tls_records_pending(r))
    return give(r, out, cap);
  if (r->ended)
    return *r->error ? NET_TLS_FAILED : 0;
  do {
    const bool begun = r->head_len == NET_TLS_HEADER;
    result = read_head(r, io);
    if (result > 0 && !begun)
      result = check_head(r, io);
    if (result <= 0)
      return result;
    uint8_t *body = read_body(r, io, out, cap, &result);
    if (!body)
      return result;
    result = take_record(r, io, body, out, cap, &nothing);
  } while (result > 0 && nothing);
  return result;
}
