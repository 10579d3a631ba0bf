/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a WebSocket (RFC 6455) through wslay: bytes in, messages out; messages in, bytes out. No IO. Memory is
 * bounded whatever the peer sends: one message of PORTAL_WS_MAX_MESSAGE, and some tens of KiB of answers to pings. */
#ifndef PORTAL_WEBSOCKET_H
#define PORTAL_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PORTAL_WS_MAX_MESSAGE 65536
/* Feed no more than this at once, and write what it gave rise to before the next. */
#define PORTAL_WS_MAX_FEED 1024

typedef struct portal_ws portal_ws;

typedef struct portal_ws_handler {
  void *ctx;
  /* A whole text message, UTF-8, not terminated; valid during the call. Must not free the portal_ws. */
  void (*on_text)(void *ctx, const char *text, size_t len);
  /* A whole binary message. */
  void (*on_binary)(void *ctx, size_t len);
  /* Fills |len| bytes for masks. Returns 0, or -1: the connection then fails. */
  int (*random)(void *ctx, uint8_t *out, size_t len);
} portal_ws_handler;

/* |handler| is copied. Returns NULL if memory is out. */
portal_ws *portal_ws_new(const portal_ws_handler *handler);
void portal_ws_free(portal_ws *ws);

enum portal_ws_state {
  PORTAL_WS_OPEN,
  PORTAL_WS_CLOSED, /* the peer's close has come; ours has been queued */
  PORTAL_WS_FAILED /* the peer broke the protocol or a limit; a close that says so has been queued, if there was memory */
};

/* Reads |len| bytes, at most PORTAL_WS_MAX_FEED, calling the handler. After CLOSED and FAILED nothing more is read. */
enum portal_ws_state portal_ws_feed(portal_ws *ws, const uint8_t *data, size_t len);

/* Whether to read from the peer now: not after the end, nor while answers to it pile up. */
bool portal_ws_wants_read(const portal_ws *ws);

/* How many frames have come, of all kinds. */
uint64_t portal_ws_frames(const portal_ws *ws);

/* The code that the peer's close gave: 1005 if none, 0 if no close came. */
unsigned portal_ws_close_code(const portal_ws *ws);

/* Why it was closed or failed: a line such as "close 1001: going away"; what the peer wrote is made printable. */
const char *portal_ws_reason(const portal_ws *ws);

/* Queue a text message, or a close with |code|. Return 0, or -1 if memory is out or a close was queued before. */
int portal_ws_send_text(portal_ws *ws, const char *text, size_t len);
int portal_ws_send_close(portal_ws *ws, uint16_t code);

/* Moves queued bytes into the |cap| bytes at |out|. Returns how many: 0 if nothing is queued; -1 if it failed for good. */
ssize_t portal_ws_output(portal_ws *ws, uint8_t *out, size_t cap);

#endif
