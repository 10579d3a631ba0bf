/* SPDX-License-Identifier: Apache-2.0 */
/* A relay, clients and peers in memory and in virtual time. Clients retransmit, keep their allocation and channels alive for as long
 * as they are told to, and send numbered data; every datagram that arrives is checked, and every one that does not is accounted
 * for. */
#ifndef FZT_WORLD_H
#define FZT_WORLD_H

#include "memory_net.h"
#include "prng.h"
#include "testing.h"

#define SIM_SECRET   "a simulated secret"
#define SIM_PEERS    6
#define SIM_CLIENTS  2
#define SIM_CHANNELS (SIM_PEERS + 1) /* the last one is the other client's relayed address */

typedef struct sim_world sim_world;

/* One direction of one channel. */
typedef struct sim_flow {
  uint64_t sent, received, lost; /* lost: by links, on any hop */
  uint64_t next;                 /* number after the highest that arrived */
} sim_flow;

typedef struct sim_channel {
  fzr_addr peer;
  uint16_t number;
  bool wanted;   /* the client binds it, and again before it runs out */
  bool bound;    /* by the last answer */
  int last_code; /* of the last answer; -1: none yet */
  fzr_time due;  /* when to bind it again */
  sim_flow out;  /* client to peer */
  sim_flow back; /* peer to client */
} sim_channel;

typedef struct sim_client {
  sim_world *world;
  unsigned index;
  fzr_addr addr, server;
  /* What a NAT may give him instead, and the worker that such a source address leads to. */
  fzr_addr other_addr, other_server;
  bool deletes;     /* an allocation that he has forgotten, as Firezone's clients do */
  bool indications; /* asks for permissions where others bind channels, and talks by Send indications */
  bool mobile;      /* has an allocation with tickets (RFC 8016) */
  bool moves;       /* and takes it along, to where he is now, with the next Refresh */
  uint8_t ticket[64];
  uint16_t ticket_len;
  fzr_time data_took; /* how long it took from a flip until there was data again */
  bool eager;         /* does what follows from an answer at once, not at the next tick */
  fzr_time
      flipped; /* when sim_flip was called, and how long it took from there until all channels were bound again */
  fzr_time took;
  char username[64];
  uint8_t key[FZR_STUN_KEY_LEN];
  uint8_t nonce[64];
  uint16_t nonce_len;
  fzr_addr relayed[2];
  bool allocated;
  bool keeps;        /* refreshes */
  bool talks;        /* sends data on every bound channel */
  uint32_t lifetime; /* asked for */
  fzr_time refresh_due;
  fzr_time refresh_every, bind_every; /* after the last success */
  sim_channel channels[SIM_CHANNELS];
  /* The request that is under way: one at a time. */
  bool busy;
  uint16_t method;
  int subject; /* channel, or -1 */
  uint8_t request[512];
  uint16_t request_len;
  uint8_t txid[FZR_STUN_TXID_LEN];
  unsigned tries;
  fzr_time next_try;
  /* What happened. */
  unsigned codes[700]; /* how often each answer came; 0: success */
  unsigned given_up;   /* requests without an answer */
  unsigned allocations;
} sim_client;

typedef struct sim_peer {
  sim_world *world;
  fzr_addr addr;
} sim_peer;

struct sim_world {
  memory_net *net;
  memory_relay *relay;
  fzr_engine *engine;
  fzr_engine *other_engine; /* a second worker, or NULL */
  memory_relay *other_relay;
  fzr_shared *shared;
  fzt_mem mem;
  fzt_prng prng;  /* the engine's randomness */
  uint32_t limit; /* of a user's allocations */
  fzr_addr listen4, listen6, public4, public6;
  sim_client clients[SIM_CLIENTS];
  sim_peer peers[SIM_PEERS];
  bool full;           /* the relay's mode */
  fzr_time talk_every; /* between two rounds of data */
  bool mobility;       /* the relay's */
  bool stopped;        /* clients do nothing any more */
  uint32_t requests;
};

/* Makes a world, with a relay of both families under the stamp scheme; |fail_from| and |fail_only| as in fzt_mem. Returns 0, or
 * the error of a library that had no memory. */
int sim_start(sim_world *w, uint64_t seed, const memory_link *link, uint64_t fail_from, uint64_t fail_only);
/* The same with a relay in full mode, where the first client has permissions and no channels. */
int sim_start_full(sim_world *w, uint64_t seed, const memory_link *link, uint64_t fail_from,
                   uint64_t fail_only);
/* As sim_start, with two workers, one at each of two listen ports (the kernel, which picks a worker by the source address, is not simulated),
 * and at most |limit| allocations for each user. */
int sim_start_two(sim_world *w, uint64_t seed, const memory_link *link, uint32_t limit);
/* The same with mobility, which all clients use. */
int sim_start_mobile(sim_world *w, uint64_t seed, const memory_link *link);
/* The client's NAT gives him his other address, by which he reaches the other worker; he sends a Refresh, or an Allocate. */
void sim_flip(sim_client *c);
/* Another relay, with other keys at first, takes the place of this one: its engines are loaded with what these are now, and open the same
 * ports, all at this moment. */
void sim_hand_over(sim_world *w);
/* Frees it and checks that nothing is left out. */
void sim_end(sim_world *w);

/* Client |i| begins to want an allocation of both families, and channels to all peers. */
void sim_client_go(sim_client *c);
/* Time goes on. */
void sim_run(sim_world *w, fzr_time by);
/* The engine's counters. */
fzr_stats sim_stats(const sim_world *w);
/* All that was sent on |flow| has arrived or was lost on the way. */
bool sim_flow_adds_up(const sim_flow *flow);

#endif
