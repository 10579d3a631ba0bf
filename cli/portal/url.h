/* SPDX-License-Identifier: Apache-2.0 */
/* The portal's URL: the base that the operator gives, and the request target made of it and of what the relay says of itself. */
#ifndef PORTAL_URL_H
#define PORTAL_URL_H

#include "common/text.h"
#include "firezone_relay/types.h"

#define PORTAL_URL_MAX 1024 /* longest base URL */

/* A base URL, taken apart. */
typedef struct portal_url {
  bool tls;
  bool host_is_ip6;  /* it is written in brackets where it stands before a port */
  bool host_is_ip;   /* a literal address of either family: no look-up, no SNI */
  uint16_t port;     /* the scheme's default if none is given */
  bool default_port; /* whether it is the scheme's default */
  char host[254];    /* lower case, without brackets and without a trailing dot */
  char path[PORTAL_URL_MAX *
            3]; /* of the base, percent-encoded where it has to be, without a trailing slash; may be empty */
} portal_url;

/* What the query says. Strings must stay valid during the call. */
typedef struct portal_login {
  const char *token;   /* CR and LF are dropped */
  bool token_in_query; /* for portals that do not read it in the header */
  const char *name;    /* NULL: none */
  fzr_addr ipv4;       /* public addresses; family FZR_FAMILY_NONE: none */
  fzr_addr ipv6;
  uint16_t port; /* the listen port */
} portal_login;

/* Takes |text| apart: http and ws, https and wss (any case), host name or address, an optional port; query and fragment are
 * dropped, spaces around it too.
 * Returns NULL, or what would be right: static text, fit for "expected ...". |out| is undefined then. */
const char *portal_url_parse(const char *text, portal_url *out);

/* Adds the request target to |text|: path, "/relay/websocket", and the query in the portal's order: token (if it has to be
 * there), name, ipv4, ipv6, port; form-urlencoded. */
void portal_url_target(const portal_url *url, const portal_login *login, text_out *text);

/* Adds what the Host header says: the host, in brackets if it is an IPv6 address, and the port unless it is the default. */
void portal_url_authority(const portal_url *url, text_out *text);

/* Adds the URL for logs: scheme, authority, path; never the query. */
void portal_url_display(const portal_url *url, text_out *text);

#endif
