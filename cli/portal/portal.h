/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's connection to its Firezone portal: registers with it, and comes back to it after outages. Everything runs on the
 * thread of one event base, without blocking; only name look-ups have a thread of their own. */
#ifndef PORTAL_PORTAL_H
#define PORTAL_PORTAL_H

#include "firezone_relay/types.h"
#include "portal/session.h"

#include <event2/event.h>

#define PORTAL_DEFAULT_URL "wss://api.firezone.dev"
#define PORTAL_ERROR_MAX   512

typedef struct portal portal;

/* All strings are copied. */
typedef struct portal_options {
  const char *api_url; /* NULL: PORTAL_DEFAULT_URL */
  const char *token;
  const char *name; /* NULL or "": none is sent */
  fzr_addr ipv4;    /* the public addresses; family NONE: there is none */
  fzr_addr ipv6;
  uint16_t port;            /* the listen port */
  const char *stamp_secret; /* ASCII; the same at every join; the portal makes the relay's id of it */
  const char *version;      /* the relay's */
  portal_timing timing;     /* 0: the defaults; all but `heartbeat` and `partition` are for tests */
} portal_options;

/* Called from the event loop, never from within a function of this header. portal_free must not be called in them. */
typedef struct portal_callbacks {
  void *ctx;
  /* Relaying may begin: called once. */
  void (*on_init)(void *ctx);
  /* The process has to end with exit status 1, saying |message|: one line, without secrets. Nothing is called after it. */
  void (*on_fatal)(void *ctx, const char *message);
} portal_callbacks;

/* Whether |url| can be used: NULL, or what would be right, fit for "--api-url: expected ...". */
const char *portal_check_url(const char *url);

/* What a token has to be, apart from blanks, line breaks and a BOM around it and line breaks within, which are dropped: nothing else
 * goes into a header and comes out as it was. */
#define PORTAL_TOKEN_EXPECTED "1 to 3072 printable ASCII characters without blanks"

/* Whether a portal could take |token|. */
bool portal_token_is_usable(const char *token);

/* Starts connecting. Returns NULL with one line in |error| if an option can't be used (a URL, a token that no HTTP header can hold,
 * no CA certificates), or if memory is out. */
portal *portal_start(const portal_options *options, struct event_base *base,
                     const portal_callbacks *callbacks, char error[PORTAL_ERROR_MAX]);

/* Closes the WebSocket (code 1000), or gives up connecting, for good. The loop has to run on for a moment for the close to leave. */
void portal_shutdown(portal *p);

/* Another process takes this one's place at the portal: what there is goes on, until the portal or portal_shutdown ends it. */
void portal_yield(portal *p);

/* Whether a shutdown has come to its end: the close was answered, or two seconds have passed. */
bool portal_is_closed(const portal *p);

/* Closes at once and wipes the secrets. NULL is allowed. */
void portal_free(portal *p);

/* Whether the relay is joined now. NULL is allowed: no. */
bool portal_is_connected(const portal *p);

#endif
