/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/client.h"

#include "common/clock.h"
#include "common/decimal.h"
#include "grpc/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#define FRAME_HEAD  9u /* bytes; of HTTP/2 */
#define OWN_HEADERS 8u
#define PREFIX      5u /* of a message: a byte that says whether it is compressed, and its length */

/* ---- how calls end ---- */

static void finish(grpc_stream *s, int code, const char *text)
{
  if (!s->active || s->finished)
    return;
  s->finished = true;
  s->code = code;
  if (text)
    snprintf(s->text, sizeof s->text, "%s", text);
  event_del(s->deadline);
  event_active(s->client->finish, EV_TIMEOUT, 0);
}

static void finish_all(grpc_client *c, int code, const char *text)
{
  for (unsigned i = 0; i < GRPC_MAX_CALLS; i++)
    finish(&c->streams[i], code, text);
}

static void reset(grpc_stream *s)
{
  free(s->body);
  s->message = s->body = NULL;
  s->active = s->finished = false;
}

static void report(grpc_stream *s)
{
  uint8_t *body = s->body;
  char text[sizeof s->text];
  const grpc_done done = s->done;
  void *ctx = s->ctx;
  /* Some servers compress for clients that did not say they could read it. It is an answer all the same, and grpc-status says which. */
  const bool compressed = s->code == GRPC_OK && body && body[0] != 0;
  const bool has_body = s->code == GRPC_OK && body && !compressed;
  memcpy(text, s->text, sizeof text);
  const grpc_answer answer = {.code = (enum grpc_code)s->code,
                              .message = text,
                              .body = has_body ? body + PREFIX : NULL,
                              .body_len = has_body ? s->body_len - PREFIX : 0,
                              .compressed = compressed,
                              .retry_after_ms = s->retry_after_ms};
  s->body = NULL;
  reset(s);
  done(ctx, &answer);
  free(body);
}

static void on_finish(evutil_socket_t fd, short what, void *ctx)
{
  grpc_client *c = ctx;
  (void)fd;
  (void)what;
  for (unsigned i = 0; i < GRPC_MAX_CALLS; i++)
    if (c->streams[i].active && c->streams[i].finished)
      report(&c->streams[i]);
}

void grpc_disconnected(grpc_client *c, const char *why)
{
  finish_all(c, GRPC_UNAVAILABLE, why);
  nghttp2_session_del(c->session);
  c->session = NULL;
  c->going_away = false;
  grpc_disconnect(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
  grpc_stream *s = ctx;
  (void)fd;
  (void)what;
  finish(s, GRPC_DEADLINE_EXCEEDED, "no answer in time");
  /* Whoever does not answer may not be there any more: the next call tries with a new connection. */
  grpc_disconnected(s->client, "another call got no answer in time");
}

/* Judges an answer that is complete: PROTOCOL-HTTP2, "Responses". */
static void judge(grpc_stream *s, uint32_t reset_code)
{
  char text[64];
  if (s->too_long) {
    finish(s, GRPC_RESOURCE_EXHAUSTED, "the answer is too long");
  } else if (s->code == GRPC_OK && s->is_grpc) {
    const uint8_t *b = s->body;
    const size_t n = s->body_len;
    const bool framed = n >= PREFIX && b[0] <= 1 &&
                        ((size_t)b[1] << 24 | (size_t)b[2] << 16 | (size_t)b[3] << 8 | b[4]) == n - PREFIX;
    finish(s, framed ? GRPC_OK : GRPC_INTERNAL, framed ? NULL : "the answer is malformed");
  } else if (s->code > 0) {
    finish(s, s->code, NULL);
  } else if (s->http_status && s->http_status != 200) {
    snprintf(text, sizeof text, "HTTP status %d", s->http_status);
    finish(s, (int)grpc_code_of_http(s->http_status), text);
  } else if (reset_code != NGHTTP2_NO_ERROR) {
    snprintf(text, sizeof text, "the stream was reset: %s", nghttp2_http2_strerror(reset_code));
    finish(s, (int)grpc_code_of_reset(reset_code), text);
  } else {
    finish(s, GRPC_UNKNOWN, "the answer is not one of gRPC");
  }
}

/* ---- HTTP/2 ---- */

static grpc_stream *stream_of(nghttp2_session *session, int32_t id)
{
  return nghttp2_session_get_stream_user_data(session, id);
}

static bool is(const uint8_t *name, size_t len, const char *wanted)
{
  return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

/* A decimal number of at most |digits| digits, or -1. */
static int64_t read_number(const uint8_t *text, size_t len, size_t digits)
{
  uint64_t value;
  return len <= digits && decimal_read((const char *)text, len, INT64_MAX, &value) ? (int64_t)value : -1;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *ctx)
{
  static const char grpc_type[] = "application/grpc";
  grpc_stream *s = stream_of(session, frame->hd.stream_id);
  (void)flags;
  (void)ctx;
  if (!s || s->finished)
    return 0;
  if (is(name, name_len, ":status")) {
    s->http_status = (int)read_number(value, len, 3);
  } else if (is(name, name_len, "content-type")) {
    s->is_grpc = len >= sizeof grpc_type - 1 && memcmp(value, grpc_type, sizeof grpc_type - 1) == 0;
  } else if (is(name, name_len, "grpc-status")) {
    const int64_t code = read_number(value, len, 2);
    s->code = code >= 0 && code <= GRPC_UNAUTHENTICATED ? (int)code : GRPC_UNKNOWN;
  } else if (is(name, name_len, "grpc-message")) {
    grpc_decode_message(value, len, s->text, sizeof s->text);
  } else if (is(name, name_len, "grpc-retry-pushback-ms")) {
    s->retry_after_ms = read_number(value, len, 7);
  } else if (is(name, name_len, "grpc-status-details-bin")) {
    const int64_t delay = grpc_retry_delay(value, len);
    if (delay >= 0)
      s->retry_after_ms = delay;
  }
  return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *ctx)
{
  grpc_stream *s = stream_of(session, id);
  (void)flags;
  (void)ctx;
  if (!s || s->finished || s->too_long)
    return 0;
  if (len > GRPC_MAX_ANSWER - s->body_len) {
    s->too_long = true;
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }
  uint8_t *body = realloc(s->body, s->body_len + len + 1);
  if (!body)
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  memcpy(body + s->body_len, data, len);
  s->body = body;
  s->body_len += len;
  return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
  grpc_stream *s = stream_of(session, id);
  (void)ctx;
  if (s)
    judge(s, error);
  return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
  grpc_client *c = ctx;
  (void)session;
  if (frame->hd.type == NGHTTP2_GOAWAY)
    c->going_away = true;
  return 0;
}

/* How much of the request goes into the next frame: send_data sends it. */
static ssize_t size_frame(nghttp2_session *session, int32_t id, uint8_t *out, size_t cap, uint32_t *flags,
                          nghttp2_data_source *source, void *ctx)
{
  const grpc_stream *s = source->ptr;
  const size_t left = PREFIX + s->len - s->sent;
  (void)session;
  (void)id;
  (void)out;
  (void)ctx;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (left > cap)
    return (ssize_t)cap;
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)left;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
                     nghttp2_data_source *source, void *ctx)
{
  grpc_client *c = ctx;
  grpc_stream *s = source->ptr;
  const uint8_t prefix[PREFIX] = {0, (uint8_t)(s->len >> 24), (uint8_t)(s->len >> 16), (uint8_t)(s->len >> 8),
                                  (uint8_t)s->len};
  const size_t prefix_left = s->sent < PREFIX ? PREFIX - s->sent : 0;
  const size_t of_prefix = prefix_left < len ? prefix_left : len;
  (void)session;
  (void)frame; /* nobody asked for padding */
  if (evbuffer_get_length(bufferevent_get_output(c->bev)) >= GRPC_MAX_OUTPUT)
    return NGHTTP2_ERR_WOULDBLOCK; /* grpc_writable goes on with it */
  if (grpc_output_copy(&c->output, head, FRAME_HEAD) ||
      (of_prefix && grpc_output_copy(&c->output, prefix + s->sent, of_prefix)))
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  s->sent += of_prefix;
  if (of_prefix == len)
    return 0;
  const uint8_t *rest = s->message + (s->sent - PREFIX);
  s->sent += len - of_prefix;
  return grpc_output_refer(&c->output, rest, len - of_prefix) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static nghttp2_nv header(const char *name, const char *value)
{
  return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* The operator's headers may be secrets: they are never indexed (RFC 7541 section 7.1). */
static size_t add_headers(const grpc_client *c, nghttp2_nv *out)
{
  for (size_t i = 0; i < c->header_count; i++) {
    out[i] = header(c->headers[i].name, c->headers[i].value);
    out[i].flags = NGHTTP2_NV_FLAG_NO_INDEX;
  }
  return c->header_count;
}

static void submit(grpc_stream *s)
{
  grpc_client *c = s->client;
  char timeout[16];
  snprintf(timeout, sizeof timeout, "%um", s->timeout_ms % 100000000u);
  nghttp2_nv headers[OWN_HEADERS + GRPC_MAX_HEADERS] = {
      header(":method", "POST"),      header(":scheme", c->trust ? "https" : "http"),
      header(":path", s->path),       header(":authority", c->authority),
      header("te", "trailers"),       header("content-type", "application/grpc"),
      header("user-agent", c->agent), header("grpc-timeout", timeout),
  };
  const size_t count = OWN_HEADERS + add_headers(c, headers + OWN_HEADERS);
  const nghttp2_data_provider body = {{.ptr = s}, size_frame};
  s->id = nghttp2_submit_request(c->session, NULL, headers, count, &body, s);
  if (s->id < 0)
    finish(s, GRPC_UNAVAILABLE, nghttp2_strerror(s->id));
}

/* Sends what the session has to say, and closes the connection if there is nothing left to say or to hear. As long as a lot waits to be
 * sent the session keeps what it has: it refuses those that make it keep too many answers (NGHTTP2_ERR_FLOODED). */
static void flush(grpc_client *c)
{
  const struct evbuffer *out = bufferevent_get_output(c->bev);
  const uint8_t *data;
  ssize_t n = 0;
  grpc_output_begin(&c->output, c->bev, c->tls);
  while (evbuffer_get_length(out) < GRPC_MAX_OUTPUT && (n = nghttp2_session_mem_send(c->session, &data)) > 0)
    if (grpc_output_copy(&c->output, data, (size_t)n)) {
      n = NGHTTP2_ERR_NOMEM;
      break;
    }
  if (grpc_output_end(&c->output))
    n = NGHTTP2_ERR_NOMEM;
  if (n < 0)
    grpc_disconnected(c, nghttp2_strerror((int)n));
  else if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session) &&
           !evbuffer_get_length(out))
    grpc_disconnected(c, "the collector ended the connection");
}

void grpc_received(grpc_client *c, const uint8_t *data, size_t len)
{
  const ssize_t n = nghttp2_session_mem_recv(c->session, data, len);
  if (n < 0)
    grpc_disconnected(c, nghttp2_strerror((int)n));
  else
    flush(c);
}

void grpc_writable(grpc_client *c)
{
  if (c->state == GRPC_CONNECTED)
    flush(c);
}

static int new_session(grpc_client *c)
{
  static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  nghttp2_session_callbacks *callbacks;
  if (nghttp2_session_callbacks_new(&callbacks))
    return -1;
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
  const int failed = nghttp2_session_client_new(&c->session, callbacks, c);
  nghttp2_session_callbacks_del(callbacks);
  return failed ? -1 : nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 1);
}

void grpc_connected(grpc_client *c)
{
  if (new_session(c)) {
    grpc_disconnected(c, "out of memory");
    return;
  }
  for (unsigned i = 0; i < GRPC_MAX_CALLS; i++)
    if (c->streams[i].active && !c->streams[i].finished)
      submit(&c->streams[i]);
  flush(c);
}

/* ---- for callers ---- */

static void start(grpc_stream *s)
{
  grpc_client *c = s->client;
  if (c->going_away) {
    finish(s, GRPC_UNAVAILABLE, "the collector is closing the connection");
  } else if (c->state == GRPC_CONNECTED) {
    submit(s);
    flush(c);
  } else if (c->state == GRPC_IDLE && grpc_connect(c)) {
    finish(s, GRPC_UNAVAILABLE, strerror(errno));
  }
}

int grpc_call(grpc_client *c, const char *path, const uint8_t *message, size_t len, unsigned timeout_ms,
              grpc_done done, void *ctx)
{
  const struct timeval timeout = timeval_of(timeout_ms * FZR_MILLISECOND);
  grpc_stream *s = NULL;
  for (unsigned i = 0; i < GRPC_MAX_CALLS && !s; i++)
    if (!c->streams[i].active)
      s = &c->streams[i];
  if (!s || event_add(s->deadline, &timeout)) {
    errno = s ? ENOMEM : EBUSY;
    return -1;
  }
  struct event *deadline = s->deadline;
  *s = (grpc_stream){.client = c,
                     .active = true,
                     .path = path,
                     .message = message,
                     .len = len,
                     .timeout_ms = timeout_ms,
                     .done = done,
                     .ctx = ctx,
                     .deadline = deadline,
                     .code = -1,
                     .retry_after_ms = -1};
  start(s);
  return 0;
}

static bool new_events(grpc_client *c)
{
  c->finish = event_new(c->base, -1, 0, on_finish, c);
  if (!c->finish)
    return false;
  for (unsigned i = 0; i < GRPC_MAX_CALLS; i++) {
    c->streams[i].client = c;
    c->streams[i].deadline = event_new(c->base, -1, 0, on_deadline, &c->streams[i]);
    if (!c->streams[i].deadline)
      return false;
  }
  return true;
}

grpc_client *grpc_client_new(struct event_base *base, const grpc_config *config, char *error)
{
  uint16_t port = 0;
  grpc_client *c = calloc(1, sizeof *c);
  if (!c) {
    snprintf(error, GRPC_ERROR_MAX, "out of memory");
    return NULL;
  }
  const char *problem = grpc_parse_endpoint(config->endpoint, c->host, &port);
  if (problem) {
    snprintf(error, GRPC_ERROR_MAX, "%s", problem);
    free(c);
    return NULL;
  }
  c->base = base;
  char name[GRPC_HOST_MAX + 1];
  grpc_peer_name(c->host, name);
  snprintf(c->authority, sizeof c->authority, strchr(name, ':') ? "[%s]:%u" : "%s:%u", name, port);
  snprintf(c->agent, sizeof c->agent, "%s", config->agent);
  c->headers = config->headers;
  c->header_count = config->header_count;
  c->trust = config->trust;
  c->resolver = net_resolver_new(base, c->host, port, NULL);
  c->pace = ev_token_bucket_cfg_new(GRPC_SECOND_BYTES, GRPC_BURST_BYTES, EV_RATE_LIMIT_MAX, EV_RATE_LIMIT_MAX,
                                    NULL);
  if (!c->resolver || !c->pace || !new_events(c)) {
    snprintf(error, GRPC_ERROR_MAX, "out of memory");
    grpc_client_free(c);
    return NULL;
  }
  return c;
}

void grpc_client_free(grpc_client *c)
{
  if (!c)
    return;
  nghttp2_session_del(c->session);
  if (c->resolver)
    grpc_disconnect(c);
  net_resolver_free(c->resolver);
  for (unsigned i = 0; i < GRPC_MAX_CALLS; i++) {
    reset(&c->streams[i]);
    if (c->streams[i].deadline)
      event_free(c->streams[i].deadline);
  }
  if (c->finish)
    event_free(c->finish);
  if (c->pace)
    ev_token_bucket_cfg_free(c->pace);
  free(c);
}
