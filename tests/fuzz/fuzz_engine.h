/* SPDX-License-Identifier: Apache-2.0 */
/* An engine for the fuzz targets that drive one, and what must hold of it whatever comes in. */
#ifndef FZT_FUZZ_ENGINE_H
#define FZT_FUZZ_ENGINE_H

#include "fuzz.h"

#define FUZZ_CLIENTS 4
#define FUZZ_SECRET  "secret"
#define FUZZ_TICKET  64 /* bytes of a ticket, at most */

typedef struct fuzz_engine {
  fzr_engine *engine;
  fzr_time now;
  uint64_t random;
  uint16_t port[FUZZ_CLIENTS]; /* relayed port of each client, as last told */
  char nonce[FUZZ_CLIENTS][64];
  size_t nonce_len[FUZZ_CLIENTS];
  bool mobility; /* allocations may move */
  uint8_t ticket[2][FUZZ_CLIENTS]
                [FUZZ_TICKET]; /* [0]: the last one that each client got, [1]: the one before */
  size_t ticket_len[2][FUZZ_CLIENTS];
  uint8_t key[FZR_STUN_KEY_LEN];
  bool by_sha256; /* the users are static, and log in by USERHASH and a key by SHA-256 */
  uint8_t key256[FZR_STUN_KEY_MAX];
  uint32_t open_ports; /* sockets that are open */
  uint32_t channels;   /* told as bound, and not as unbound */
  int next_open_error;
  bool events_wait; /* they are taken later, after more of what comes in */
} fuzz_engine;

/* A relay with both families on 16 ports, with small limits. */
void fuzz_engine_init(fuzz_engine *f, uint8_t flags);
void fuzz_engine_free(fuzz_engine *f);

fzr_addr fuzz_client_addr(unsigned client);
fzr_addr fuzz_peer_addr(unsigned peer);

/* Puts bytes in from client |client|, or from peer |peer| to |port|, as a run of segments of |seg| (0: one datagram), does what
 * the events ask, and checks all verdicts. */
void fuzz_from_client(fuzz_engine *f, unsigned client, const uint8_t *data, size_t len, uint16_t seg);
void fuzz_from_peer(fuzz_engine *f, unsigned peer, uint16_t port, const uint8_t *data, size_t len,
                    uint16_t seg);
/* Changes what is the relay's own, as |how| says: addresses of peers, a listen port, families. */
void fuzz_own(fuzz_engine *f, uint8_t how);
/* Changes rules, limits or secrets, or ends client |client|'s allocation, as |how| says; and lists what lives. */
void fuzz_change(fuzz_engine *f, unsigned client, uint8_t how);
/* Lets |by| pass. */
void fuzz_pass(fuzz_engine *f, fzr_time by);
/* Lets |by| pass without seeing to any deadline. */
void fuzz_skip(fuzz_engine *f, fzr_time by);
/* Sends a request of |method| with the |len| attribute bytes |attrs| and a right signature. */
void fuzz_signed(fuzz_engine *f, unsigned client, uint16_t method, const uint8_t *attrs, size_t len);
/* Brings client |client| an allocation, |mobile|: that may move; and a channel to peer |peer|. */
void fuzz_allocate(fuzz_engine *f, unsigned client, bool both, bool mobile);
void fuzz_bind(fuzz_engine *f, unsigned client, uint16_t channel, unsigned peer);
/* A CreatePermission for the peer. */
void fuzz_permit(fuzz_engine *f, unsigned client, unsigned peer);
/* A Refresh of |client| with a ticket: whose, and what is wrong with it, says |how|. */
void fuzz_move(fuzz_engine *f, unsigned client, uint8_t how);

#endif
