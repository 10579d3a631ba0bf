/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP exchange that turns a connection into a WebSocket (RFC 6455 section 4): the request, and a reader of the answer that
 * takes it in pieces and keeps no more of it than it needs. */
#ifndef PORTAL_UPGRADE_H
#define PORTAL_UPGRADE_H

#include "common/text.h"
#include "portal/url.h"

#define PORTAL_UPGRADE_MAX_HEADER 16384 /* status line and all header lines */
#define PORTAL_UPGRADE_MAX_LINE   4096
#define PORTAL_UPGRADE_EXCERPT    256 /* of the body, for messages */
#define PORTAL_WS_KEY_LEN         24  /* base64 of 16 bytes */

/* Writes the Sec-WebSocket-Key for 16 random bytes, zero-terminated. */
void portal_upgrade_key(const uint8_t random[16], char key[PORTAL_WS_KEY_LEN + 1]);

/* Adds the whole request to |text|. |version| is the relay's, for User-Agent. CR and LF in the token are dropped. */
void portal_upgrade_request(const portal_url *url, const portal_login *login, const char *version,
                            const char *key, text_out *text);

enum portal_upgrade_result {
  PORTAL_UPGRADE_MORE,     /* feed it more */
  PORTAL_UPGRADE_SWITCHED, /* a proper 101: what follows is WebSocket */
  PORTAL_UPGRADE_REFUSED,  /* another status: see status, excerpt, location, retry_after */
  PORTAL_UPGRADE_BAD       /* no proper answer: see problem */
};

/* The reader. Fields above the line are for those who use it. */
typedef struct portal_upgrade {
  int status;
  char reason[64];      /* of the status line */
  char location[512];   /* of a 3xx; without query and fragment, which may repeat the token; "" if none */
  char retry_after[64]; /* as it stands; "" if none */
  char excerpt
      [PORTAL_UPGRADE_EXCERPT]; /* the beginning of the body: one line of printable UTF-8; "" if none */
  const char *problem;          /* static text */

  char expected[32]; /* Sec-WebSocket-Accept */
  int state;
  size_t header_len;
  size_t line_len;
  size_t excerpt_len;
  uint64_t body_left;
  bool chunked, has_length;
  bool saw_upgrade, saw_connection, saw_accept, saw_unasked;
  char line[PORTAL_UPGRADE_MAX_LINE];
} portal_upgrade;

/* Makes a reader of the answer to a request with |key|. */
void portal_upgrade_init(portal_upgrade *upgrade, const char *key);

/* Reads |len| more bytes. |used| gets how many belonged to the answer; after PORTAL_UPGRADE_SWITCHED the rest is WebSocket's. Must
 * not be called again once it has returned anything but PORTAL_UPGRADE_MORE. */
enum portal_upgrade_result portal_upgrade_feed(portal_upgrade *upgrade, const uint8_t *data, size_t len,
                                               size_t *used);

/* The connection ended, or the time for it: what has been read is all there is. Returns REFUSED or BAD. */
enum portal_upgrade_result portal_upgrade_end(portal_upgrade *upgrade);

/* Whether the header is complete and only the body of a refusal is waited for. */
bool portal_upgrade_in_body(const portal_upgrade *upgrade);

/* Replaces each occurrence of |secret|, or of at least its first 8 characters, in |text| by asterisks: what a server says may repeat what
 * it was told. */
void portal_redact(char *text, const char *secret);

#endif
