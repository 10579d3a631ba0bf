/* SPDX-License-Identifier: Apache-2.0 */
/* A TURN client over one UDP socket, or one connection, without blocking: it is told of answers and of time. */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include "wire.h"

#include "firezone_relay/firezone_relay.h"

/* How to log in. */
typedef struct credential {
  char username[512];
  char password[512];
  char realm[128]; /* as the server says; empty until then */
  char secret
      [300]; /* not empty: of the stamp scheme, and each session is a user of its own; a new allocation of a user ends the last */
  uint64_t expiry;
} credential;

enum session_state {
  SESSION_NEW = 0,
  SESSION_ALLOCATING,
  SESSION_PERMITTING,
  SESSION_BINDING,
  SESSION_READY,
  SESSION_REFRESHING,
  SESSION_DELETING,
  SESSION_GONE,
  SESSION_FAILED
};

typedef struct session {
  int fd;     /* connected to the server */
  wire *wire; /* what goes through it; NULL: datagrams */
  enum session_state state;
  const credential *credential;
  char user[64]; /* where the credential is but a secret */
  uint8_t txid[FZR_STUN_TXID_LEN];
  uint8_t key[FZR_STUN_KEY_LEN];
  bool has_key;
  char realm[128];
  char nonce[256];
  uint16_t nonce_len;
  bool both; /* ask for an IPv6 relayed address beside the IPv4 one */
  fzr_addr relayed;
  fzr_addr mapped;
  uint16_t channel;
  fzr_addr peer;
  uint32_t lifetime;
  fzr_time sent_at;
  unsigned tries;
  unsigned error;    /* STUN code of the failure, 0: no answer */
  bool allocated;    /* the server has, or may have, an allocation of it */
  uint64_t requests; /* sent */
} session;

/* Opens a socket to |server|, and waits until a connection is ready where its transport is one; |id| goes into the transaction ids. Returns
 * 0, or -1 with errno: session_tell_error has words for it. */
int session_open(session *s, const fzr_addr *server, const credential *c, uint32_t id);
/* Says on standard error why session_open failed. */
void session_tell_error(void);
void session_close(session *s);

/* Each begins a transaction, which session_answer and session_tick see through. */
void session_allocate(session *s, bool ipv6, fzr_time now);
void session_bind(session *s, uint16_t channel, const fzr_addr *peer, fzr_time now);
void session_permit(session *s, const fzr_addr *peer, fzr_time now);
void session_refresh(session *s, uint32_t lifetime, fzr_time now);

/* Takes one datagram from the server that is no ChannelData. */
void session_answer(session *s, const uint8_t *data, size_t len, fzr_time now);
/* Sends the request again when its answer is late, unless a stream carries it; fails after 12 s. */
void session_tick(session *s, fzr_time now);

/* Reads all that has come on the socket into session_answer. */
void session_read(session *s, fzr_time now);

/* The host's monotonic clock. */
fzr_time bench_now(void);

#endif
