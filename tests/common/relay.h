/* SPDX-License-Identifier: Apache-2.0 */
/* A relay in memory for engine tests: opens ports at once (or as told), keeps what comes out, and speaks for clients. */
#ifndef FZT_RELAY_H
#define FZT_RELAY_H

#include "prng.h"
#include "testing.h"

#define FZT_SECRET       "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab"
#define FZT_USERNAME     "1892160000:n23JJ2wKKtt30oXi"
#define FZT_UNIX_NOW     1700000000
#define FZT_LISTEN       "192.0.2.1:3478"
#define FZT_LISTEN6      "[2001:db8::1]:3478"
#define FZT_MAX_EVENTS   64
#define FZT_USERNAME_MAX 700
#define FZT_MAX_ANSWERS  64

typedef struct fzt_answer {
  uint8_t data[512];
  uint16_t len;
  bool to_stranger;
  fzr_addr to;
  fzr_addr from;
} fzt_answer;

typedef struct fzt_relay {
  fzr_engine *engine;
  fzt_mem mem;
  fzt_prng prng;
  fzr_time now;
  /* What port_result reports for the next opens: 0 success, else the error, used up one by one; then success. */
  int open_errors[24];
  unsigned open_error_count;
  bool hold_opens; /* do not report at all: the test does */
  /* Of the last input. */
  fzr_verdict verdicts[256];
  size_t verdict_count;
  fzt_answer answers[FZT_MAX_ANSWERS];
  size_t answer_count;
  fzr_event events[FZT_MAX_EVENTS];
  size_t event_count;
} fzt_relay;

/* A config with both families, the stamp scheme and all hooks of |relay|. */
fzr_config fzt_config(fzt_relay *relay);

/* Makes |relay| of |config|, at a wall clock of FZT_UNIX_NOW. */
void fzt_relay_init(fzt_relay *relay, const fzr_config *config);
/* Frees it and checks that no memory is left out. */
void fzt_relay_free(fzt_relay *relay);

/* What the shards of a relay share that has |ports| ports, from 50000 on; and the config of shard |i| of it, whose random bytes are its own. */
fzr_shared *fzt_shared_new(uint16_t ports);
fzr_config fzt_shard_config(fzt_relay *relay, unsigned i, fzr_shared *shared, uint16_t ports);
/* Frees both shards and what they share, and checks that no port is taken any more. */
void fzt_shards_free(fzt_relay *one, fzt_relay *two, fzr_shared *shared);

/* Puts a datagram from a client through the engine, does what its events ask, and keeps all output. */
void fzt_client(fzt_relay *relay, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len);
/* The same for several datagrams of clients in one call; events are taken after all of them. */
void fzt_client_run(fzt_relay *relay, fzr_pkt *pkts, size_t count);
/* The same for datagrams of peers. */
void fzt_peer_run(fzt_relay *relay, fzr_pkt *pkts, size_t count);
/* The same for a datagram from a peer. */
void fzt_peer(fzt_relay *relay, const fzr_addr *from, uint16_t port, const uint8_t *data, size_t len);
/* Moves time on by |by|, through every deadline on the way; keeps the events of all of it. */
void fzt_pass(fzt_relay *relay, fzr_time by);

/* A client: its address and what it knows. */
typedef struct fzt_client_state {
  fzr_addr addr;
  fzr_addr server;
  char username[FZT_USERNAME_MAX];
  uint8_t key[FZR_STUN_KEY_LEN];
  char nonce[128];
  size_t nonce_len;
  uint16_t relayed_port;
} fzt_client_state;

/* A client with the stamp credential FZT_USERNAME. */
void fzt_client_init(fzt_client_state *client, const char *addr);
/* Begins an authenticated request with a transaction id of its own: USERNAME, REALM and NONCE are there. */
void fzt_begin(fzt_relay *relay, const fzt_client_state *client, fzr_stun_builder *b, uint8_t *buffer,
               size_t cap, uint16_t method);
/* Completes and sends it; returns the error code of the answer, 0 for success, or -1 if there was none. The answer is read into
 * |msg| if that is not NULL. */
int fzt_finish(fzt_relay *relay, const fzt_client_state *client, fzr_stun_builder *b, fzr_stun_msg *msg);

/* Whole requests; each returns as fzt_finish. fzt_allocate gets itself a nonce first and again when told to. */
int fzt_allocate(fzt_relay *relay, fzt_client_state *client);
int fzt_refresh(fzt_relay *relay, fzt_client_state *client, uint32_t lifetime);
int fzt_bind(fzt_relay *relay, fzt_client_state *client, uint16_t channel, const fzr_addr *peer);

#endif
