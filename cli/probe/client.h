/* SPDX-License-Identifier: Apache-2.0 */
/* One client of the relay: what it logs in with, what it was told, and the requests that it makes. No IO, no clock. */
#ifndef PROBE_CLIENT_H
#define PROBE_CLIENT_H

#include "firezone_relay/firezone_relay.h"

/* The longest request: username, realm and nonce as long as they may be (RFC 8489 sections 14.3, 14.9, 14.10), and the rest. */
#define PROBE_REQUEST_MAX  2560u
#define PROBE_USERNAME_MAX 508u
#define PROBE_PASSWORD_MAX 1024u
#define PROBE_PHRASE_MAX   763u /* of realm and nonce */

/* Which credentials are wanted: those to be tried, and others that show why they were refused. */
enum probe_login_kind {
  PROBE_LOGIN_PLAIN,
  PROBE_LOGIN_SECOND, /* of another user where that can be, valid for five minutes where the others are for longer */
  PROBE_LOGIN_FAR,  /* valid for ten years */
  PROBE_LOGIN_OTHER /* of the same secret in the other way */
};

typedef struct probe_login {
  char username[PROBE_USERNAME_MAX + 1];
  char password[PROBE_PASSWORD_MAX + 1];
  bool has_key; /* there is no password */
  uint8_t key[FZR_STUN_KEY_LEN];
} probe_login;

typedef struct probe_client {
  probe_login login;
  char realm[PROBE_PHRASE_MAX + 1];
  uint8_t nonce[PROBE_PHRASE_MAX];
  size_t nonce_len;
  bool challenged;               /* realm and nonce are there */
  uint8_t key[FZR_STUN_KEY_LEN]; /* of login and realm */
  fzr_addr relayed;              /* family NONE: it has no allocation */
  uint32_t lifetime;
} probe_client;

/* Begins a request of |method| in |b|, in the |cap| bytes at |out|. */
void probe_request_begin(fzr_stun_builder *b, uint8_t *out, size_t cap, uint16_t method,
                         const uint8_t txid[FZR_STUN_TXID_LEN]);
/* Adds who asks, if |c| was challenged, and ends it. Returns its length, or 0 if it does not fit. */
size_t probe_request_end(fzr_stun_builder *b, const probe_client *c);

/* Takes realm and nonce of a 401 or 438. Returns whether both are there and usable. */
bool probe_client_challenge(probe_client *c, const fzr_stun_msg *msg);
/* Takes the login, and makes the key. */
void probe_client_log_in(probe_client *c, const probe_login *login);

/* Whether |msg| is signed with the key of |c|. */
bool probe_client_is_signed(const probe_client *c, const fzr_stun_msg *msg);

/* Unix seconds at the beginning of a username of a time-limited login; 0: there are none. */
uint64_t probe_expiry_of(const char *username);

#endif
