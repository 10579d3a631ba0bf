/* SPDX-License-Identifier: Apache-2.0 */
/* The reference model of prop_engine.c: what RFC 8656 and this relay's documentation say, naive on purpose: arrays, and the absolute times at
 * which things end. */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "relay.h"

#define CLIENTS  6
#define CHANNELS 5
#define PEERS    5
#define PORTS    4
#define USERS    3                 /* with two clients each, that is addresses of one */
#define BY_TCP   2                 /* the user whose clients talk by two transports */
#define GRACE    (10 * FZR_SECOND) /* beyond what clients are told */
#define ADDRS    3                 /* of the peers: all but the last two have one */
#define PERMITS  2                 /* that an allocation may have */
#define TICK     27                /* permissions end with a tick of 2^27 ns */

typedef struct model_channel {
  int peer;       /* -1: none */
  fzr_time bound; /* relays for 600 s and the grace, reserved for 300 s more */
} model_channel;

typedef struct model_client {
  bool allocated;
  bool dual;
  int secret;          /* of which the credential was made that it was used with last */
  uint64_t id;         /* of its tickets; 0: there are none */
  uint32_t generation; /* how often it has moved */
  fzr_time expires;
  model_channel channels[CHANNELS];
  fzr_time permitted[ADDRS]; /* when the address was; 0: never */
} model_client;

typedef struct model_ticket {
  uint8_t bytes[64];
  size_t len;  /* 0: there is none */
  uint64_t id; /* what it says */
  uint32_t generation;
} model_ticket;

typedef struct wish {
  int count;
  int peers[4];
} wish;

/* The relay, its clients, and what they should be in. */
extern fzt_relay relay;
extern fzt_client_state clients[CLIENTS];
extern model_client model[CLIENTS];
extern fzr_addr peers[PEERS]; /* the last one is IPv6, the one before is out of bounds */
extern fzt_prng prng;
extern fzr_time last_expiry;
extern bool full;     /* permissions mean something */
extern bool replaces; /* a new allocation of a user ends the other */
extern bool mobility;
extern uint64_t moves, last_id;
extern model_ticket told;                /* what came with the last answer */
extern model_ticket tickets[CLIENTS][2]; /* that each client got: the last one, and the one before */
extern bool allowed[PEERS];
extern const char *const secrets[2];
extern bool secret_is_good[2];
extern uint8_t keys[CLIENTS][2][FZR_STUN_KEY_LEN]; /* of each client's username, by those secrets */
extern int used[CLIENTS];                          /* which one of them he has at present */

bool model_alive(int c);
/* The client was told that its allocation is over: a new one may take its place. */
bool model_lapsed(int c);
unsigned model_live_count(void);
bool model_reserved(const model_channel *ch);
bool model_relays(const model_channel *ch);
int model_address_of(int peer);
bool model_permits(int c, int address);
int model_permit_count(int c);
/* The answer to |c| has brought the newest ticket of its allocation, if that has any. */
void model_keep_ticket(int c);
/* Sends a request; takes a new nonce and asks again if the old one is stale. */
int model_ask(int c, uint16_t method, void (*add)(fzr_stun_builder *, const void *), const void *ctx);
/* Whether what the one of the two clients of |c|'s user gets ends what the other has: each transport counts by itself. */
bool model_replaces_other(int c);
/* The other one of the two loses what he has. */
void model_replace_other(int c);
/* What anyone gets whose credential is good for nothing, and else what |code| says. For an allocation that lives the one stays good that
 * it was used with last. */
int model_unless_locked_out(int c, int code);
/* A Refresh of |c| has succeeded. */
void model_set_lifetime(int c, uint32_t lifetime);
/* Whose allocation a ticket is of; -1: nobody's. */
int model_owner_of(const model_ticket *ticket);
/* What a Refresh of |c| with |ticket| gets, which is of |owner|'s allocation. */
int model_expected_move(int c, const model_ticket *ticket, int owner);
int model_expected_bind(int c, int channel, int peer);
/* |c| has bound |channel| to |peer|. */
void model_bound(int c, int channel, int peer);
/* All of them, or none. */
int model_expected_permission(int c, const wish *w);

#endif
