/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/websocket.h"

#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

/* More unsent messages than this stop the reading. */
#define MAX_QUEUED 16

/* Codes of close that IANA's registry has and wslay 1.1.1 takes for a breach of the protocol: service restart, try again later, bad
 * gateway. */
#define CODE_RESTART     1012
#define CODE_BAD_GATEWAY 1014

struct portal_ws {
  wslay_event_context_ptr wslay;
  portal_ws_handler handler;
  enum portal_ws_state state;
  const uint8_t *in; /* what is left of the bytes being fed */
  size_t in_len;
  uint8_t *out; /* room left for output */
  size_t out_len;
  /* The message that is coming in. wslay would take memory for each fragment, however small. */
  uint8_t *message;
  size_t message_len, message_cap;
  bool
      in_control; /* the current frame is a ping, pong or close, which may stand within a fragmented message */
  bool too_big, no_memory;
  bool in_close;
  uint8_t close[125]; /* the payload of the peer's close */
  size_t close_len, close_want;
  unsigned close_code;
  uint64_t frames;
  char reason[192];
};

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *buf, size_t len, int flags, void *ctx)
{
  portal_ws *ws = ctx;
  (void)flags;
  if (ws->in_len == 0) {
    wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  if (len > ws->in_len)
    len = ws->in_len;
  memcpy(buf, ws->in, len);
  ws->in += len;
  ws->in_len -= len;
  return (ssize_t)len;
}

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *data, size_t len, int flags, void *ctx)
{
  portal_ws *ws = ctx;
  (void)flags;
  if (ws->out_len == 0) {
    wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  if (len > ws->out_len)
    len = ws->out_len;
  memcpy(ws->out, data, len);
  ws->out += len;
  ws->out_len -= len;
  return (ssize_t)len;
}

static int on_mask(wslay_event_context_ptr wslay, uint8_t *buf, size_t len, void *ctx)
{
  portal_ws *ws = ctx;
  (void)wslay;
  return ws->handler.random(ws->handler.ctx, buf, len);
}

static bool reserve(portal_ws *ws, size_t need)
{
  size_t cap = ws->message_cap != 0 ? ws->message_cap : 1024;
  while (cap < need)
    cap *= 2;
  if (cap == ws->message_cap)
    return true;
  uint8_t *grown = realloc(ws->message, cap);
  if (!grown)
    return false;
  ws->message = grown;
  ws->message_cap = cap;
  return true;
}

static void on_frame_start(wslay_event_context_ptr wslay,
                           const struct wslay_event_on_frame_recv_start_arg *arg, void *ctx)
{
  portal_ws *ws = ctx;
  (void)wslay;
  ws->frames++;
  ws->in_control = wslay_is_ctrl_frame(arg->opcode) != 0;
  ws->in_close = arg->opcode == WSLAY_CONNECTION_CLOSE;
  ws->close_len = 0;
  ws->close_want = ws->in_close && arg->payload_length <= sizeof ws->close ? (size_t)arg->payload_length : 0;
  if (!ws->in_control && arg->payload_length > PORTAL_WS_MAX_MESSAGE - ws->message_len)
    ws->too_big = true;
}

static void set_reason(portal_ws *ws, unsigned code, const uint8_t *text, size_t len)
{
  char why[128];
  size_t at = 0;
  while (len > 0 && at + 4 < sizeof why) {
    const size_t n = utf8_length(text, len);
    const bool plain = n > 0 && *text >= 0x20 && *text != 0x7f;
    if (plain)
      memcpy(why + at, text, n);
    else
      why[at] = '?';
    at += plain ? n : 1;
    text += n > 0 ? n : 1;
    len -= n > 0 ? n : 1;
  }
  why[at] = '\0';
  ws->close_code = code;
  snprintf(ws->reason, sizeof ws->reason, "close %u%s%s", code, at > 0 ? ": " : "", why);
}

/* Takes a piece of the peer's close. wslay would answer codes that it does not know with 1002, as if the peer had broken the protocol:
 * these are read here, before it judges the frame, and an answer that it can send is queued, after which it queues no other. */
static void close_chunk(portal_ws *ws, wslay_event_context_ptr wslay, const uint8_t *data, size_t len)
{
  if (len == 0 || len > ws->close_want - ws->close_len)
    return;
  memcpy(ws->close + ws->close_len, data, len);
  ws->close_len += len;
  if (ws->close_len < ws->close_want || ws->close_want < 2)
    return;
  const unsigned code = (unsigned)(ws->close[0] << 8 | ws->close[1]);
  if (code < CODE_RESTART || code > CODE_BAD_GATEWAY)
    return;
  set_reason(ws, code, ws->close + 2, ws->close_len - 2);
  ws->state = PORTAL_WS_CLOSED;
  wslay_event_queue_close(wslay, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
}

static void on_frame_chunk(wslay_event_context_ptr wslay,
                           const struct wslay_event_on_frame_recv_chunk_arg *arg, void *ctx)
{
  portal_ws *ws = ctx;
  if (ws->in_close)
    close_chunk(ws, wslay, arg->data, arg->data_length);
  if (ws->in_control || ws->too_big || ws->no_memory || arg->data_length == 0)
    return;
  if (arg->data_length > PORTAL_WS_MAX_MESSAGE - ws->message_len) {
    ws->too_big = true;
  } else if (!reserve(ws, ws->message_len + arg->data_length)) {
    ws->no_memory = true;
  } else {
    memcpy(ws->message + ws->message_len, arg->data, arg->data_length);
    ws->message_len += arg->data_length;
  }
}

static void on_close(portal_ws *ws, const struct wslay_event_on_msg_recv_arg *arg)
{
  const size_t skip = arg->msg_length >= 2 ? 2 : arg->msg_length;
  set_reason(ws, arg->status_code != 0 ? arg->status_code : WSLAY_CODE_NO_STATUS_RCVD, arg->msg + skip,
             arg->msg_length - skip);
  ws->state = PORTAL_WS_CLOSED;
}

static void on_message(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *arg,
                       void *ctx)
{
  portal_ws *ws = ctx;
  (void)wslay;
  if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
    if (ws->state == PORTAL_WS_OPEN)
      on_close(ws, arg);
  } else if (!wslay_is_ctrl_frame(arg->opcode)) {
    const size_t len = ws->message_len;
    ws->message_len = 0;
    if (ws->too_big || ws->no_memory)
      return;
    if (arg->opcode == WSLAY_TEXT_FRAME)
      ws->handler.on_text(ws->handler.ctx, len > 0 ? (const char *)ws->message : "", len);
    else
      ws->handler.on_binary(ws->handler.ctx, len);
  }
}

portal_ws *portal_ws_new(const portal_ws_handler *handler)
{
  static const struct wslay_event_callbacks callbacks = {
      on_recv, on_send, on_mask, on_frame_start, on_frame_chunk, NULL, on_message,
  };
  portal_ws *ws = calloc(1, sizeof *ws);
  if (!ws)
    return NULL;
  ws->handler = *handler;
  if (wslay_event_context_client_init(&ws->wslay, &callbacks, ws) != 0) {
    free(ws);
    return NULL;
  }
  wslay_event_config_set_no_buffering(ws->wslay, 1);
  /* The limit is on_frame_start's, which knows the whole message; wslay takes no memory for payloads in this mode. */
  wslay_event_config_set_max_recv_msg_length(ws->wslay, INT64_MAX);
  return ws;
}

void portal_ws_free(portal_ws *ws)
{
  if (!ws)
    return;
  wslay_event_context_free(ws->wslay);
  free(ws->message);
  free(ws);
}

static void fail(portal_ws *ws, uint16_t code, const char *why)
{
  ws->state = PORTAL_WS_FAILED;
  snprintf(ws->reason, sizeof ws->reason, "%s", why);
  wslay_event_shutdown_read(ws->wslay);
  wslay_event_queue_close(ws->wslay, code, NULL, 0);
}

enum portal_ws_state portal_ws_feed(portal_ws *ws, const uint8_t *data, size_t len)
{
  if (ws->state != PORTAL_WS_OPEN)
    return ws->state;
  ws->in = data;
  ws->in_len = len;
  const int result = wslay_event_recv(ws->wslay);
  ws->in_len = 0;
  if (ws->too_big) {
    fail(ws, WSLAY_CODE_MESSAGE_TOO_BIG, "a message is larger than 64 KiB");
  } else if (ws->no_memory || result == WSLAY_ERR_NOMEM) {
    fail(ws, WSLAY_CODE_INTERNAL_SERVER_ERROR, "out of memory");
  } else if (ws->state == PORTAL_WS_OPEN && (result != 0 || !wslay_event_get_read_enabled(ws->wslay))) {
    /* wslay has queued a close with the fitting code. */
    fail(ws, WSLAY_CODE_PROTOCOL_ERROR, "the peer broke the WebSocket protocol");
  }
  return ws->state;
}

bool portal_ws_wants_read(const portal_ws *ws)
{
  return ws->state == PORTAL_WS_OPEN && wslay_event_get_queued_msg_count(ws->wslay) < MAX_QUEUED;
}

unsigned portal_ws_close_code(const portal_ws *ws)
{
  return ws->close_code;
}

uint64_t portal_ws_frames(const portal_ws *ws)
{
  return ws->frames;
}

const char *portal_ws_reason(const portal_ws *ws)
{
  return ws->reason;
}

int portal_ws_send_text(portal_ws *ws, const char *text, size_t len)
{
  const struct wslay_event_msg msg = {WSLAY_TEXT_FRAME, (const uint8_t *)text, len};
  return wslay_event_queue_msg(ws->wslay, &msg) == 0 ? 0 : -1;
}

int portal_ws_send_close(portal_ws *ws, uint16_t code)
{
  return wslay_event_queue_close(ws->wslay, code, NULL, 0) == 0 ? 0 : -1;
}

ssize_t portal_ws_output(portal_ws *ws, uint8_t *out, size_t cap)
{
  ws->out = out;
  ws->out_len = cap;
  const int result = wslay_event_send(ws->wslay);
  return result == 0 ? (ssize_t)(cap - ws->out_len) : -1;
}
