/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to reach the portal and the WebSocket that comes of it: connecting, TLS, upgrade, messages, on one thread's event
 * loop, never blocking. What a hostile peer can cost is bounded: bytes read per turn of the loop and per second, and memory. */
#ifndef PORTAL_CONN_H
#define PORTAL_CONN_H

#include "net/tls.h"
#include "portal/url.h"

#include <event2/event.h>

#define PORTAL_REQUEST_MAX 16384

/* Read at most this much in a turn of the loop, and on average this much in a second after a burst of two seconds' worth. */
#define PORTAL_TURN_BYTES   16384
#define PORTAL_SECOND_BYTES 32768
/* What a frame counts for besides its own bytes: empty ones and pings cost work, too. */
#define PORTAL_FRAME_BYTES 32

typedef struct portal_conn portal_conn;

typedef struct portal_conn_config {
  struct event_base *base;
  const portal_url *url;      /* used during the attempt */
  const net_trust *trust;     /* NULL without TLS; used until on_open */
  net_tls_memory *tls_memory; /* of this server; outlives the connection */
  const char *request;        /* the upgrade request: copied, and wiped once it is sent */
  const char *key;            /* its Sec-WebSocket-Key */
  const fzr_addr *addrs;
  size_t addr_count;
  fzr_time connect_timeout; /* per address */
  fzr_time body_timeout;    /* for the body of a refusal */

  void *ctx;
  /* The WebSocket is open. */
  void (*on_open)(void *ctx);
  /* The answer is another status. |detail| is the body's excerpt or the Location, |retry_after| the header as it stands. */
  void (*on_refused)(void *ctx, int status, const char *detail, const char *retry_after);
  void (*on_text)(void *ctx, const char *text, size_t len);
  void (*on_binary)(void *ctx, size_t len);
  /* It failed, or has ended. */
  void (*on_lost)(void *ctx, const char *why);
} portal_conn_config;

/* Starts an attempt; callbacks come from the event loop only, on_refused and on_lost at most once and as the last. The connection may
 * be freed in any of them. |config| is copied. Returns NULL if memory is out. */
portal_conn *portal_conn_new(const portal_conn_config *config);

/* Closes what is open, at once. NULL is allowed. */
void portal_conn_free(portal_conn *conn);

/* Sends a text message. Returns 0, or -1 if it can't. */
int portal_conn_send(portal_conn *conn, const char *text, size_t len);

/* Sends a close with |code|, at once if it can; on_lost comes when the peer has answered it, or, from within, if sending fails. */
void portal_conn_close(portal_conn *conn, uint16_t code);

/* The address that it is connected to; family NONE before it is. */
fzr_addr portal_conn_peer(const portal_conn *conn);

#endif
