/* SPDX-License-Identifier: Apache-2.0 */
/* fzr-bench-engine: a relay in memory with many clients, whose memory is counted. */
#ifndef BENCH_ENGINE_WORLD_H
#define BENCH_ENGINE_WORLD_H

#include "firezone_relay/firezone_relay.h"

#define CHANNEL     0x4000u
#define PAYLOAD     1280u
#define SEND_SIZE   (FZR_STUN_HEADER_LEN + 12u + 4u + PAYLOAD)
#define SEGMENTS    50u /* of a GRO run */
#define BATCH       32u
#define SLOT        (65536u + 192u) /* as in the UDP adapter: no power of two */
#define REQUESTS    64u             /* clients whose requests are kept ready */
#define NO_LIFETIME UINT32_MAX

/* How they reach their peers. */
enum manner {
  BY_CHANNEL,     /* of a relay that knows nothing else */
  BY_BOTH,        /* by a channel, whose peer has a permission, too */
  BY_INDICATIONS, /* by a permission, without a channel */
};

typedef struct client {
  fzr_addr addr;
  fzr_addr peer;
  uint16_t port;
} client;

typedef struct request {
  uint8_t data[256];
  uint32_t len;
} request;

typedef struct world {
  fzr_engine *engine;
  enum manner manner;
  fzr_addr server;
  fzr_time now;
  uint64_t random;
  uint8_t key[FZR_STUN_KEY_LEN];
  unsigned count;
  client *clients;
  char nonce[REQUESTS][128]; /* of the first clients */
  size_t nonce_len;
  uint16_t channel; /* that is bound next */
  uint8_t *slots;
  uint64_t empty_bytes, allocated_bytes, bound_bytes; /* memory before, with allocations, with channels */
} world;

/* Says |what|, and ends with a failure. */
_Noreturn void die(const char *what);

/* How often memory was ever taken, by whatever is linked in; and the bytes that the engine holds now. */
uint64_t world_memory_taken(void);
uint64_t world_memory_live(void);

/* Whether relays write a journal of what happens. */
extern bool world_keeps_journal;

/* A relay with |count| allocations, each with a peer to which it may send. */
void world_init(world *w, unsigned count, enum manner manner);
void world_free(world *w);
/* An engine of the same configuration, without anything. */
fzr_engine *world_new_engine(world *w);

uint64_t next_random(world *w);

/* A request of client |i|, signed where it has to be. */
void world_build(world *w, unsigned i, uint16_t method, uint32_t lifetime, request *out);
/* Puts |in| through the engine and reads the only answer; returns its error code. */
unsigned world_ask(world *w, const fzr_addr *from, const request *in, fzr_stun_msg *msg, uint8_t answer[512]);
/* Rows about saving |count| allocations with a channel each, and loading them into another engine. Returns whether bars were met. */
bool report_save(unsigned count);

/* ChannelBind or CreatePermission. */
void world_reach_peer(world *w, unsigned i, uint16_t method);
/* A Send indication of PAYLOAD bytes to the peer of client |i|. */
void world_fill_send(world *w, unsigned i, uint8_t *out);

#endif
