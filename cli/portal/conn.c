/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/conn.h"

#include "common/clock.h"
#include "net/race.h"
#include "portal/upgrade.h"
#include "portal/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mbedtls/platform_util.h>

enum phase { RACING, HANDSHAKE, UPGRADING, OPEN, DEAD };

struct portal_conn {
  portal_conn_config config;
  enum phase phase;
  bool doomed;     /* freed by its owner from within a callback */
  unsigned inside; /* how many of our functions are on the stack */
  net_race *race;
  int fd;
  fzr_addr peer;
  struct event *readable, *writable, *resume, *body_timer;
  net_tls *tls;
  bool wants_write; /* TLS, or output that did not go out whole */
  portal_upgrade *upgrade;
  portal_ws *ws;
  size_t turn_left;    /* bytes that may still be read in this turn */
  fzr_time paid_until; /* when what was read so far is paid for, at PORTAL_SECOND_BYTES */
  bool ended;          /* the peer's end of file */
  int socket_error;
  uint8_t *out;
  size_t out_at, out_len;
  char why[320];
};

static void release(portal_conn *conn)
{
  net_race_free(conn->race);
  struct event *const events[] = {conn->readable, conn->writable, conn->resume, conn->body_timer};
  for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
    if (events[i])
      event_free(events[i]);
  if (conn->tls && conn->phase == OPEN && conn->out_len == 0)
    net_tls_close(conn->tls);
  net_tls_free(conn->tls);
  portal_ws_free(conn->ws);
  free(conn->upgrade);
  if (conn->fd >= 0)
    close(conn->fd);
  mbedtls_platform_zeroize(conn->out, PORTAL_REQUEST_MAX);
  free(conn->out);
  free(conn);
}

void portal_conn_free(portal_conn *conn)
{
  if (!conn)
    return;
  conn->doomed = true;
  if (conn->inside == 0)
    release(conn);
}

static void leave(portal_conn *conn)
{
  if (--conn->inside == 0 && conn->doomed)
    release(conn);
}

static void stop_events(portal_conn *conn)
{
  event_del(conn->resume);
  event_del(conn->body_timer);
  if (conn->readable)
    event_del(conn->readable);
  if (conn->writable)
    event_del(conn->writable);
}

static bool is_live(const portal_conn *conn)
{
  return !conn->doomed && conn->phase != DEAD;
}

static void lost(portal_conn *conn, const char *why)
{
  if (!is_live(conn))
    return;
  conn->phase = DEAD;
  stop_events(conn);
  conn->config.on_lost(conn->config.ctx, why);
}

/* --- bytes: the socket, and TLS on top of it --- */

static ssize_t socket_send(void *ctx, const uint8_t *data, size_t len)
{
  portal_conn *conn = ctx;
  const ssize_t n = send(conn->fd, data, len, MSG_NOSIGNAL);
  if (n >= 0)
    return n;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
    return NET_TLS_WANT_WRITE;
  conn->socket_error = errno;
  return NET_TLS_FAILED;
}

/* So many bytes of the peer's are to be paid for. */
static void charge(portal_conn *conn, size_t bytes)
{
  conn->paid_until += (fzr_time)bytes * (FZR_SECOND / PORTAL_SECOND_BYTES);
}

static ssize_t socket_recv(void *ctx, uint8_t *out, size_t cap)
{
  portal_conn *conn = ctx;
  if (cap > conn->turn_left)
    cap = conn->turn_left;
  if (cap == 0)
    return NET_TLS_WANT_READ;
  const ssize_t n = recv(conn->fd, out, cap, 0);
  if (n > 0) {
    conn->turn_left -= (size_t)n;
    charge(conn, (size_t)n);
    return n;
  }
  if (n == 0) {
    conn->ended = true;
    return 0;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
    return NET_TLS_WANT_READ;
  conn->socket_error = errno;
  return NET_TLS_FAILED;
}

static ssize_t stream_read(portal_conn *conn, uint8_t *out, size_t cap)
{
  return conn->tls ? net_tls_read(conn->tls, out, cap) : socket_recv(conn, out, cap);
}

static ssize_t stream_write(portal_conn *conn, const uint8_t *data, size_t len)
{
  return conn->tls ? net_tls_write(conn->tls, data, len) : socket_send(conn, data, len);
}

static void stream_failed(portal_conn *conn)
{
  if (conn->socket_error != 0)
    snprintf(conn->why, sizeof conn->why, "the connection failed: %s", strerror(conn->socket_error));
  else
    snprintf(conn->why, sizeof conn->why, "%s", conn->tls ? net_tls_error(conn->tls) : "");
  lost(conn, conn->why);
}

/* Writes what is to be sent. Returns false if the connection is lost by it. */
static bool flush(portal_conn *conn)
{
  conn->wants_write = false;
  for (;;) {
    if (conn->out_at == conn->out_len) {
      mbedtls_platform_zeroize(conn->out, conn->out_len);
      const ssize_t n = conn->ws ? portal_ws_output(conn->ws, conn->out, PORTAL_REQUEST_MAX) : 0;
      conn->out_at = 0;
      conn->out_len = n > 0 ? (size_t)n : 0;
      if (n <= 0)
        return true; /* after our close nothing can be queued: that is no failure */
    }
    const ssize_t n = stream_write(conn, conn->out + conn->out_at, conn->out_len - conn->out_at);
    if (n == NET_TLS_FAILED) {
      stream_failed(conn);
      return false;
    }
    if (n < 0) {
      conn->wants_write = n == NET_TLS_WANT_WRITE;
      return true;
    }
    conn->out_at += (size_t)n;
  }
}

/* --- phases --- */

static void on_ws_text(void *ctx, const char *text, size_t len)
{
  portal_conn *conn = ctx;
  if (is_live(conn))
    conn->config.on_text(conn->config.ctx, text, len);
}

static void on_ws_binary(void *ctx, size_t len)
{
  portal_conn *conn = ctx;
  if (is_live(conn))
    conn->config.on_binary(conn->config.ctx, len);
}

static int on_ws_random(void *ctx, uint8_t *out, size_t len)
{
  (void)ctx;
  return getrandom(out, len, 0) == (ssize_t)len ? 0 : -1;
}

/* What a close with |code| says, by IANA's registry of WebSocket close codes. */
static const char *name_of_close(unsigned code)
{
  switch (code) {
  case 1012:
    return "restarts and closed the WebSocket";
  case 1013:
    return "is busy and closed the WebSocket until later";
  case 1014:
    return "can't be reached by the gateway before it, which closed the WebSocket";
  default:
    return "closed the WebSocket";
  }
}

static void feed_ws(portal_conn *conn, const uint8_t *data, size_t len)
{
  const uint64_t frames = portal_ws_frames(conn->ws);
  const enum portal_ws_state state = portal_ws_feed(conn->ws, data, len);
  charge(conn, (size_t)(portal_ws_frames(conn->ws) - frames) * PORTAL_FRAME_BYTES);
  if (!is_live(conn) || !flush(conn) || state == PORTAL_WS_OPEN)
    return;
  snprintf(conn->why, sizeof conn->why, "the portal %s (%s)",
           state == PORTAL_WS_CLOSED ? name_of_close(portal_ws_close_code(conn->ws)) : "broke the WebSocket",
           portal_ws_reason(conn->ws));
  lost(conn, conn->why);
}

static void answer_refused(portal_conn *conn)
{
  const portal_upgrade *u = conn->upgrade;
  const bool redirect = u->status >= 300 && u->status < 400;
  const char *detail = redirect ? u->location : u->excerpt[0] != '\0' ? u->excerpt : u->reason;
  conn->phase = DEAD;
  stop_events(conn);
  conn->config.on_refused(conn->config.ctx, u->status, detail, u->retry_after);
}

static void answer_bad(portal_conn *conn)
{
  snprintf(conn->why, sizeof conn->why, "the portal's HTTP answer is no proper 101: %s",
           conn->upgrade->problem);
  lost(conn, conn->why);
}

static void switched(portal_conn *conn)
{
  const portal_ws_handler handler = {conn, on_ws_text, on_ws_binary, on_ws_random};
  conn->ws = portal_ws_new(&handler);
  if (!conn->ws) {
    lost(conn, "out of memory");
    return;
  }
  free(conn->upgrade);
  conn->upgrade = NULL;
  conn->phase = OPEN;
  conn->config.on_open(conn->config.ctx);
}

static void answer_result(portal_conn *conn, enum portal_upgrade_result result)
{
  if (result == PORTAL_UPGRADE_REFUSED)
    answer_refused(conn);
  else if (result == PORTAL_UPGRADE_BAD)
    answer_bad(conn);
}

static void feed_upgrade(portal_conn *conn, const uint8_t *data, size_t len)
{
  size_t used;
  const bool before = portal_upgrade_in_body(conn->upgrade);
  const enum portal_upgrade_result result = portal_upgrade_feed(conn->upgrade, data, len, &used);
  if (result == PORTAL_UPGRADE_SWITCHED) {
    switched(conn);
    if (is_live(conn) && used < len)
      feed_ws(conn, data + used, len - used);
  } else if (result != PORTAL_UPGRADE_MORE) {
    answer_result(conn, result);
  } else if (!before && portal_upgrade_in_body(conn->upgrade)) {
    const struct timeval tv = timeval_of(conn->config.body_timeout);
    event_add(conn->body_timer, &tv);
  }
}

/* The peer's end of file, or an error: in a refusal's body that is as good as its end. */
static void read_ended(portal_conn *conn, bool failed)
{
  if (conn->phase == UPGRADING && (!failed || portal_upgrade_in_body(conn->upgrade)))
    answer_result(conn, portal_upgrade_end(conn->upgrade));
  else if (failed)
    stream_failed(conn);
  else
    lost(conn, "the portal ended the connection");
}

static bool wants_read(const portal_conn *conn)
{
  return conn->phase == UPGRADING || (conn->phase == OPEN && portal_ws_wants_read(conn->ws));
}

static void read_stream(portal_conn *conn)
{
  uint8_t data[PORTAL_WS_MAX_FEED];
  while (is_live(conn) && wants_read(conn)) {
    const ssize_t n = stream_read(conn, data, sizeof data);
    if (n == NET_TLS_WANT_READ)
      return;
    if (n == NET_TLS_WANT_WRITE) {
      conn->wants_write = true;
      return;
    }
    if (n <= 0)
      read_ended(conn, n != 0);
    else if (conn->phase == UPGRADING)
      feed_upgrade(conn, data, (size_t)n);
    else
      feed_ws(conn, data, (size_t)n);
  }
}

static void handshake(portal_conn *conn)
{
  const int result = net_tls_handshake(conn->tls);
  conn->wants_write = result == NET_TLS_WANT_WRITE;
  if (result == 0)
    conn->phase = UPGRADING;
  else if (result == NET_TLS_FAILED)
    stream_failed(conn);
}

/* --- events --- */

/* Waits for what can go on next. */
static void schedule(portal_conn *conn)
{
  const fzr_time now = monotonic_now();
  const fzr_time burst = 2 * FZR_SECOND;
  const bool reading = conn->phase == HANDSHAKE || wants_read(conn);
  const bool pause = conn->paid_until > now + burst;
  const bool ready = conn->tls != NULL && conn->phase != HANDSHAKE && net_tls_pending(conn->tls);
  event_del(conn->readable);
  event_del(conn->resume);
  if (reading && (pause || ready)) {
    const struct timeval tv = timeval_of(pause ? conn->paid_until - now - burst : 0);
    event_add(conn->resume, &tv);
  } else if (reading) {
    event_add(conn->readable, NULL);
  }
  if (conn->wants_write)
    event_add(conn->writable, NULL);
  else
    event_del(conn->writable);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
  portal_conn *conn = ctx;
  const fzr_time now = monotonic_now();
  (void)fd;
  (void)what;
  conn->inside++;
  conn->turn_left = PORTAL_TURN_BYTES;
  if (conn->paid_until < now)
    conn->paid_until = now;
  if (conn->phase == HANDSHAKE)
    handshake(conn);
  if (is_live(conn) && conn->phase != HANDSHAKE && flush(conn))
    read_stream(conn);
  if (is_live(conn))
    schedule(conn);
  leave(conn);
}

static void on_body_timeout(evutil_socket_t fd, short what, void *ctx)
{
  portal_conn *conn = ctx;
  (void)fd;
  (void)what;
  conn->inside++;
  answer_result(conn, portal_upgrade_end(conn->upgrade));
  leave(conn);
}

static bool connected(portal_conn *conn, int fd)
{
  const net_tls_io io = {conn, socket_send, socket_recv};
  conn->fd = fd;
  conn->phase = UPGRADING;
  if (conn->config.trust) {
    conn->tls = net_tls_new(conn->config.url->host, conn->config.url->host_is_ip, conn->config.trust,
                            conn->config.tls_memory, &io);
    conn->phase = HANDSHAKE;
  }
  conn->readable = event_new(conn->config.base, fd, EV_READ, on_ready, conn);
  conn->writable = event_new(conn->config.base, fd, EV_WRITE, on_ready, conn);
  return conn->readable != NULL && conn->writable != NULL &&
         (conn->tls != NULL) == (conn->config.trust != NULL);
}

static void on_raced(void *ctx, int fd, const fzr_addr *addr, const char *error)
{
  portal_conn *conn = ctx;
  conn->inside++;
  if (fd < 0) {
    snprintf(conn->why, sizeof conn->why, "%s", error);
    lost(conn, conn->why);
  } else {
    conn->peer = *addr;
    if (connected(conn, fd))
      on_ready(fd, EV_WRITE, conn);
    else
      lost(conn, "out of memory");
  }
  leave(conn);
}

portal_conn *portal_conn_new(const portal_conn_config *config)
{
  portal_conn *conn = calloc(1, sizeof *conn);
  if (!conn)
    return NULL;
  conn->config = *config;
  conn->fd = -1;
  conn->phase = RACING;
  conn->out = calloc(1, PORTAL_REQUEST_MAX);
  conn->upgrade = malloc(sizeof *conn->upgrade);
  conn->resume = evtimer_new(config->base, on_ready, conn);
  conn->body_timer = evtimer_new(config->base, on_body_timeout, conn);
  if (conn->out && conn->upgrade && conn->resume && conn->body_timer) {
    conn->out_len = strlen(config->request);
    memcpy(conn->out, config->request, conn->out_len);
    portal_upgrade_init(conn->upgrade, config->key);
    conn->race = net_race_new(config->base, config->addrs, config->addr_count, config->connect_timeout,
                              on_raced, conn);
  }
  if (!conn->race) {
    portal_conn_free(conn);
    return NULL;
  }
  return conn;
}

int portal_conn_send(portal_conn *conn, const char *text, size_t len)
{
  if (conn->phase != OPEN || portal_ws_send_text(conn->ws, text, len) != 0)
    return -1;
  conn->wants_write = true;
  if (conn->inside == 0)
    schedule(conn);
  return 0;
}

void portal_conn_close(portal_conn *conn, uint16_t code)
{
  if (conn->phase != OPEN || portal_ws_send_close(conn->ws, code) != 0)
    return;
  conn->wants_write = true;
  if (conn->inside != 0)
    return;
  /* At once, if it can: there may be no more turns of the loop. */
  conn->inside++;
  if (flush(conn))
    schedule(conn);
  leave(conn);
}

fzr_addr portal_conn_peer(const portal_conn *conn)
{
  return conn->peer;
}
