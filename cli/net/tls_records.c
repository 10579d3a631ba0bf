/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_records.h"

#include "net/tls_records_internal.h"

#include <stdlib.h>
#include <string.h>

/* Records in a row that bring nothing. Each is some work, and nobody has a reason to send many. */
#define MOST_IDLE 3u
/* Requests for another handshake in a connection's life: each is answered, so that a few bytes are a packet. */
#define MOST_REFUSED 3u

enum level { LEVEL_WARNING = 1, LEVEL_FATAL = 2 };
enum alert {
  ALERT_CLOSE_NOTIFY = 0,
  ALERT_UNEXPECTED_MESSAGE = 10,
  ALERT_BAD_RECORD_MAC = 20,
  ALERT_RECORD_OVERFLOW = 22,
  ALERT_DECODE_ERROR = 50,
  ALERT_PROTOCOL_VERSION = 70,
  ALERT_INTERNAL_ERROR = 80,
  ALERT_NO_RENEGOTIATION = 100
};

size_t net_tls_records_keys_len(net_aead_kind kind)
{
  return 2 * (net_aead_key_len(kind) + net_tls_flow_fixed_len(kind));
}

net_tls_records *net_tls_records_new(const net_tls_agreed *agreed)
{
  const net_aead_kind kind = agreed->kind;
  const uint8_t *keys = agreed->keys;
  const size_t key_len = net_aead_key_len(kind), fixed = net_tls_flow_fixed_len(kind);
  net_tls_records *r = calloc(1, sizeof *r);
  if (!r)
    return NULL;
  net_tls_flow *client = agreed->server ? &r->in : &r->out, *other = agreed->server ? &r->out : &r->in;
  if (!net_tls_flow_begin_12(client, kind, keys, keys + 2 * key_len) ||
      !net_tls_flow_begin_12(other, kind, keys + key_len, keys + 2 * key_len + fixed)) {
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

ssize_t net_tls_records_write(net_tls_records *r, const net_tls_io *io, const uint8_t *data, size_t len)
{
  uint8_t record[NET_TLS_HEADER + NET_TLS_RECORD + NET_TLS_OVERHEAD];
  ssize_t result;
  if (r->rest && r->written) {
    result = send_rest(r, io);
  } else {
    /* An alert may be in the way. */
    result = r->rest ? send_rest(r, io) : 1;
    if (result < 0)
      return result;
    r->written = len < r->most ? len : r->most;
    const size_t n = net_tls_flow_seal(&r->out, NET_TLS_DATA, data, r->written, record);
    result = n ? send_record(r, io, record, n) : NET_TLS_FAILED;
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

/* A record that is no data. Returns 1 if the next one is to be read. */
static ssize_t take_other(net_tls_records *r, const net_tls_io *io, uint8_t type, const uint8_t *data,
                          size_t len)
{
  switch (type) {
  case NET_TLS_ALERT:
    if (len != 2)
      return fail(r, io, ALERT_DECODE_ERROR, "an alert that is none");
    if (data[1] == ALERT_CLOSE_NOTIFY) {
      r->ended = true;
      return 0;
    }
    if (data[0] == LEVEL_WARNING)
      return 1;
    r->ended = true;
    r->error = "the other side ended it with an alert";
    return NET_TLS_FAILED;
  case NET_TLS_HANDSHAKE:
    if (++r->refused > MOST_REFUSED)
      return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "too many requests for another handshake");
    /* It may go on or not, as it likes: there is no other handshake. */
    send_alert(r, io, LEVEL_WARNING, ALERT_NO_RENEGOTIATION);
    return 1;
  default:
    return fail(r, io, ALERT_UNEXPECTED_MESSAGE, "a record of an unexpected type");
  }
}

/* A record that net_tls_flow_open could do nothing with, but say |why|. */
static ssize_t refuse(net_tls_records *r, const net_tls_io *io, ssize_t why)
{
  if (why == NET_TLS_NO_NUMBER)
    return fail(r, io, ALERT_INTERNAL_ERROR, "more records than there are numbers");
  return fail(r, io, ALERT_BAD_RECORD_MAC, "a record that was changed on its way");
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
  if (result > 0 && ++r->idle > MOST_IDLE)
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
