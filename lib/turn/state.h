/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's state: what its modules share. Time here is always the engine's `now`, which never goes back. */
#ifndef FZRI_STATE_H
#define FZRI_STATE_H

#include "../auth/nonce.h"
#include "../auth/scheme.h"
#include "../base/map.h"
#include "../base/pool.h"
#include "../base/siphash.h"
#include "../base/timers.h"
#include "event_queue.h"
#include "firezone_relay/engine.h"
#include "limits.h"
#include "peer_policy.h"
#include "ports.h"
#include "users.h"

#include <assert.h>
#include <string.h>

#define FZRI_LIFETIME_DEFAULT 600u
#define FZRI_LIFETIME_MAX     3600u /* fits 16 bits */
/* Clients refresh on the very second that something ends, and a little late: all of it lasts so much longer than they are told. */
#define FZRI_GRACE (10 * FZR_SECOND)
#define FZRI_CHANNEL_RELAYS                                                                                  \
  (600 * FZR_SECOND + FZRI_GRACE)                /* RFC 8656 section 12: a binding lasts 10 minutes */
#define FZRI_CHANNEL_RESERVED (300 * FZR_SECOND) /* and its number and peer rest 5 more */
#define FZRI_PERMISSION_LASTS (300 * FZR_SECOND + FZRI_GRACE) /* RFC 8656 section 9: 5 minutes */
#define FZRI_ANSWER_MAX       384u /* the longest answer: 128 bytes of realm and everything else that is possible */
/* Of ports that other programs hold, for one Allocate. One that was known to be held counts four times: where nothing else is left,
 * each Allocate would try them all again. */
#define FZRI_PORT_TRIES       64u
#define FZRI_PORT_TRIES_KNOWN 4u
#define FZRI_CODE_MAX         16u
#define FZRI_SOFTWARE_MAX     63u

/* Bits of families. */
#define FZRI_V4 0x1u
#define FZRI_V6 0x2u

static inline uint8_t fzri_family_bit(uint8_t family)
{
  return family == FZR_FAMILY_IPV4 ? FZRI_V4 : family == FZR_FAMILY_IPV6 ? FZRI_V6 : 0;
}

/* Place of a family in arrays of two. */
static inline unsigned fzri_family_slot(uint8_t family)
{
  return family == FZR_FAMILY_IPV6;
}

/* The family of such a place. */
static inline uint8_t fzri_family_at(unsigned slot)
{
  return slot ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
}

static inline bool fzri_addr_same(const fzr_addr *a, const fzr_addr *b)
{
  return memcmp(a, b, sizeof *a) == 0;
}

/* What an fzri_event_node is of. */
enum fzri_node_kind { FZRI_NODE_ALLOCATION = 0, FZRI_NODE_CHANNEL = 1 };

enum fzri_allocation_state {
  FZRI_ALLOCATION_OPENING = 1, /* waits for its sockets */
  FZRI_ALLOCATION_LIVE = 2,
  FZRI_ALLOCATION_CLOSING = 3, /* out of all look-ups; events tell the rest */
  FZRI_ALLOCATION_RESUMING = 4 /* was loaded, and waits for its sockets: see resume.h */
};

/* What only an Allocate that is under way needs. */
typedef struct fzri_pending {
  uint8_t username[128];
  uint8_t software[128];
  uint8_t username_len; /* cut to what fits: for the log alone */
  uint8_t software_len;
  bool fingerprint;  /* the request had one */
  uint8_t tries;     /* of ports that others hold, see FZRI_PORT_TRIES */
  uint8_t answer_by; /* FZRI_BY_…: how its answer is signed */
  uint8_t shape;     /* enum fzri_port_shape, of the port that was asked for */
  bool fixed;        /* no other port will do: it was reserved */
  uint8_t reserved[1];
} fzri_pending;

/* Begins at a cache line (pool.h): what the data path reads is in the first two. */
typedef struct fzri_allocation {
  _Alignas(FZRI_CACHE_LINE) fzr_addr client; /* the 5-tuple, with `server` and UDP */
  fzr_addr server;
  void *io[2]; /* cookies of its sockets, by fzri_family_slot */
  fzr_time expires;
  uint64_t bytes[2]; /* relayed for it, as in fzr_stats */
  uint64_t packets[2];
  uint32_t first_channel; /* head of its list; FZRI_POOL_NONE: none */
  uint32_t channel_count;
  uint32_t index;
  uint32_t first_permission; /* likewise */
  uint32_t permission_count;
  uint16_t port;
  uint8_t state;    /* enum fzri_allocation_state */
  uint8_t families; /* bits: has a relayed address of */
  fzri_bucket bandwidth;
  uint8_t told;          /* bits: PORT_OPEN was taken, PORT_CLOSE was not */
  uint8_t opened;        /* bits: port_result came with success */
  uint8_t missing;       /* enum fzr_family to be named in ADDRESS-ERROR-CODE, or 0 */
  bool uncounted;        /* its client was told that it is over by now: it counts for its user no more */
  uint8_t ended;         /* enum fzr_end_reason of one that has lived and is closing */
  uint8_t key_algorithm; /* enum fzr_password_algorithm: of |key|, whose length follows from it */
  uint16_t lifetime;     /* seconds granted by the Allocate, for its retransmissions */
  uint32_t began;        /* tick (fzri_usage_tick) at which it began to live */
  uint32_t pending;      /* its fzri_pending, or FZRI_POOL_NONE */
  uint32_t extra;        /* its fzri_extra, or FZRI_POOL_NONE */
  uint32_t serial;       /* which one of this engine it is: see usage.h */
  uint8_t key[FZR_STUN_KEY_MAX]; /* of the credential used last: saves deriving it with every request */
  uint64_t key_expires;
  uint64_t user;        /* keyed hash of whom the username names */
  uint64_t shared_user; /* hash of the user whom fzr_shared knows it by; 0: it does not */
  fzri_timer timer;
  fzri_event_node node; /* FZRI_NODE_ALLOCATION, of its index */
} fzri_allocation;

/* What else there is of each allocation, under the same index, which no packet asks for. */
typedef struct fzri_origin {
  uint8_t txid[FZR_STUN_TXID_LEN]; /* of its Allocate */
  uint8_t credential_tag[16];      /* keyed hash of the username that it was used with last */
  uint32_t name;                   /* of its user: see name.h */
} fzri_origin;

/* See extra.h. */
typedef struct fzri_extra {
  uint64_t id; /* mobility: of its tickets */
  fzr_addr former_client;
  fzr_addr former_server;
  uint32_t generation; /* of the newest ticket: how often it has moved */
  fzri_bucket moves;   /* what it may yet have told again of its channels: mobility.c */
  uint32_t untold;     /* channels of which the application knows the former addresses only */
  uint64_t tunnel;     /* fzri_tunnel_hash of its 5-tuple if another shard hears that; 0: none does */
  bool mobile;         /* there are tickets */
  uint64_t token;      /* of the port that was reserved with this allocation's; 0: none was */
  fzri_timer timer;    /* set while it is, for all that is known here */
} fzri_extra;

/* Likewise: one line. */
typedef struct fzri_channel {
  _Alignas(FZRI_CACHE_LINE) uint32_t index;
  uint32_t allocation;
  fzr_time relay_until;
  fzr_addr peer;
  uint16_t number;       /* 0: object not in use */
  bool relaying;         /* as far as timers have noticed: the data path compares relay_until */
  bool exported;         /* the application was told BOUND and not UNBOUND */
  bool dead;             /* out of all look-ups; freed when its last event was taken */
  bool own;              /* the peer is the relay itself */
  bool exported_own : 1; /* and the application was told so */
  bool moved : 1;        /* the application was told of the client's former address */
  bool
      goes_on : 1; /* the application was told that it ends as what it was, and is yet to be told as what it goes on */
  uint32_t next; /* siblings; FZRI_POOL_NONE: end */
  uint32_t prev;
  uint32_t number_hash;
  uint32_t peer_hash;
} fzri_channel;

/* What else there is of each channel, under the same index, which no packet asks for. */
typedef struct fzri_channel_rest {
  fzri_timer timer;
  fzri_event_node node; /* FZRI_NODE_CHANNEL, of the channel's index */
} fzri_channel_rest;

/* An address that an allocation may send to and receive from, at whatever port. Small, for there may be many: see permission.h. */
typedef struct fzri_permission {
  uint64_t ip[2];           /* as in fzr_addr; IPv4 in its mapped form, which no peer has */
  uint32_t allocation : 24; /* an allocation has a port: there are no more than that */
  uint32_t used : 1;        /* 0: object not in use */
  uint32_t own : 1;         /* the address is one of the relay's own */
  uint32_t minds_ports : 1; /* some of its ports may be out of reach, beside those at which relays listen */
  uint32_t lapses;          /* the tick (fzri_permission_tick) at which it is over */
  uint32_t next;            /* siblings; FZRI_POOL_NONE: end */
  uint32_t prev;
  uint32_t newer; /* all of the engine, in the order in which they lapse */
  uint32_t older;
} fzri_permission;
/* Places for when errors of peers were told last (peer_error.c). */
#define FZRI_PEER_ERRORS 1024u

typedef struct fzri_answer {
  fzr_addr to;
  fzr_addr from;
  uint16_t len;
  bool to_stranger;
  uint8_t data[FZRI_ANSWER_MAX + 5];
} fzri_answer;

/* How many verdicts a call writes at most. */
#define FZRI_VERDICTS 1024u

/* Room for the headers of one call's verdicts: of two thousand runs of ChannelData, and of 455 Data indications. */
#define FZRI_HEADERS_BYTES ((size_t)16384)

struct fzr_engine {
  _Alignas(FZRI_CACHE_LINE) fzri_mem mem; /* a shard's counters share no line with another's */
  fzr_time now;
  fzr_time wall_at; /* the wall clock read wall_unix at this moment */
  int64_t wall_unix;
  fzri_siphash_key hash_key;
  fzri_sip hash_start; /* of the data path's hashes */

  /* Look-ups of the data path. */
  fzri_map clients;   /* client address -> allocation */
  fzri_map numbers;   /* allocation and channel number -> channel */
  fzri_map peers;     /* allocation and peer address -> channel */
  fzri_map permitted; /* allocation and peer's IP address -> permission */
  fzri_pool allocations;
  fzri_pool origins; /* one for each of the allocations */
  fzri_pool channels;
  fzri_pool channel_rests; /* one for each of the channels */
  fzri_pool permissions;
  uint32_t *by_port; /* allocation's index, by port - lowest_port; FZRI_POOL_NONE: none */
  uint16_t lowest_port, highest_port;

  /* What else the data path reads. */
  bool tunnels; /* between shards, see tunnel.h */
  bool full;    /* peers are reached through permissions, too: FZR_RELAY_FULL */
  uint64_t bandwidth;
  fzr_addr public_addr[2]; /* by fzri_family_slot, port 0 */

  fzri_timers allocation_timers;
  fzri_timers channel_timers;
  fzri_timers reservation_timers;
  uint32_t oldest_permission; /* FZRI_POOL_NONE: there is none */
  uint32_t newest_permission;
  fzri_pool pendings;
  fzri_pool extras;
  fzri_pool names; /* pieces of them: see name.h */
  fzri_event_queue events;
  uint32_t release_allocation; /* its last PORT_CLOSE was taken: freed at the next call */

  fzri_answer *answers; /* ring of answer_cap, a power of two */
  uint32_t answer_cap;
  uint32_t answer_head; /* free-running */
  uint32_t answer_tail;

  fzri_scheme scheme;
  fzri_nonces nonces;
  fzri_limits limits;
  fzri_peer_policy policy;
  uint32_t recheck; /* the next channel to look at since what is own has changed; FZRI_POOL_NONE: none */
  uint32_t recheck_permission; /* likewise */
  bool recheck_all;            /* rules have changed, too: each is judged */
  bool due;                    /* the application has changed something, and is to take events */
  fzr_peer_policy_fn policy_fn;
  void *policy_ctx;
  fzr_shared *shared;
  fzri_told *told;           /* that of |shared| */
  fzri_siphash_key user_key; /* likewise */
  fzri_siphash_key ticket_key;
  fzri_siphash_key tunnel_key;
  bool mobility;  /* allocations may move */
  bool tunnelled; /* what is worked on came through one */
  bool owns_shared;
  bool draining;
  bool silent_when_full;
  bool any_family; /* an Allocate that names no family gets what there is */
  bool replaces;   /* a user's newer allocation ends the older one */
  uint32_t marks;  /* of fzr_shared, when it was last looked at */
  fzr_time look_at;
  uint8_t families; /* bits offered */
  uint8_t log_level;
  fzr_addr alternate[2];   /* by fzri_family_slot: where else a client of this family finds a relay */
  uint32_t alternate_over; /* from how many ports in use on; 0: never for that */
  char software[FZRI_SOFTWARE_MAX + 1];
  uint8_t software_len;

  uint32_t max_allocations_per_user;
  uint32_t max_channels;     /* of an allocation */
  uint32_t max_all_channels; /* of all shards, permissions included */
  uint32_t max_permissions;  /* of an allocation */

  fzr_random_fn random;
  void *random_ctx;
  fzr_log_fn log;
  void *log_ctx;
  fzr_usage_fn usage;
  void *usage_ctx;
  bool keeps_names;
  uint64_t txid_state; /* of the transaction ids of Data indications */
  uint32_t txid_start;

  fzr_time peer_error_at[FZRI_PEER_ERRORS]; /* by flow; 0: never */

  fzr_stats stats; /* gauges of memory are filled in by fzr_engine_stats */

  struct fzri_journal *journal; /* what happens is written to (journal.h), or NULL */
  fzr_time
      nonce_offset; /* of the nonces' time from this one: not 0 if the engine was loaded, and had another clock */

  _Alignas(FZRI_CACHE_LINE) uint8_t headers[FZRI_HEADERS_BYTES]; /* what verdicts put in front of payloads */
  fzri_allocation *owners[FZRI_VERDICTS]; /* whose the verdicts of a call are that forward */
};

/* The object with an index that is known to be in use: fzri_pool_at with a size that the compiler knows. */
static inline fzri_allocation *fzri_allocation_at(const fzr_engine *e, uint32_t index)
{
  FZRI_ASSERT(index < e->allocations.fresh);
  return (fzri_allocation *)(void *)e->allocations.blocks[index >> FZRI_POOL_BLOCK_SHIFT] +
         (index & (FZRI_POOL_BLOCK - 1));
}

static inline fzri_origin *fzri_origin_of(const fzr_engine *e, const fzri_allocation *a)
{
  return fzri_pool_at(&e->origins, a->index);
}

static inline fzri_channel *fzri_channel_at(const fzr_engine *e, uint32_t index)
{
  FZRI_ASSERT(index < e->channels.fresh);
  return (fzri_channel *)(void *)e->channels.blocks[index >> FZRI_POOL_BLOCK_SHIFT] +
         (index & (FZRI_POOL_BLOCK - 1));
}

static inline fzri_channel_rest *fzri_channel_rest_of(const fzr_engine *e, const fzri_channel *c)
{
  return fzri_pool_at(&e->channel_rests, c->index);
}

static inline fzri_permission *fzri_permission_at(const fzr_engine *e, uint32_t index)
{
  FZRI_ASSERT(index < e->permissions.fresh);
  return (fzri_permission *)(void *)e->permissions.blocks[index >> FZRI_POOL_BLOCK_SHIFT] +
         (index & (FZRI_POOL_BLOCK - 1));
}

static_assert(offsetof(fzr_addr, port) + 4 == sizeof(fzr_addr),
              "port, family and transport are the last four bytes");

/* Port, family and transport of |a| as the upper half of a block. The byte of the block's length is not free: lengths, which are
 * constants, have to be added by exclusive or. */
static inline uint64_t fzri_hash_port(const fzr_addr *a)
{
  uint32_t end;
  memcpy(&end, (const uint8_t *)a + offsetof(fzr_addr, port), sizeof end);
  return (uint64_t)end << 32;
}

/* Keyed hashes of the three maps' keys. */
static inline uint32_t fzri_hash_client(const fzr_engine *e, const fzr_addr *client)
{
  uint64_t blocks[3];
  uint32_t ip4;
  if (client->family == FZR_FAMILY_IPV4) {
    memcpy(&ip4, client->ip, sizeof ip4);
    blocks[0] = (ip4 | fzri_hash_port(client)) ^ (uint64_t)7 << 56;
    return fzri_sip_blocks(&e->hash_start, blocks, 1);
  }
  memcpy(blocks, client->ip, sizeof client->ip);
  blocks[2] = (client->scope_id | fzri_hash_port(client)) ^ (uint64_t)23 << 56;
  return fzri_sip_blocks(&e->hash_start, blocks, 3);
}

static inline uint32_t fzri_hash_number(const fzr_engine *e, uint32_t allocation, uint16_t number)
{
  const uint64_t block = allocation | (uint64_t)number << 32 | (uint64_t)6 << 56;
  return fzri_sip_blocks(&e->hash_start, &block, 1);
}

static inline uint32_t fzri_hash_peer(const fzr_engine *e, uint32_t allocation, const fzr_addr *peer)
{
  uint64_t blocks[4];
  uint32_t ip4;
  if (peer->family == FZR_FAMILY_IPV4) {
    memcpy(&ip4, peer->ip, sizeof ip4);
    blocks[0] = ip4 | fzri_hash_port(peer);
    blocks[1] = allocation | (uint64_t)12 << 56;
    return fzri_sip_blocks(&e->hash_start, blocks, 2);
  }
  memcpy(blocks, peer->ip, sizeof peer->ip);
  blocks[2] = peer->scope_id | fzri_hash_port(peer);
  blocks[3] = allocation | (uint64_t)28 << 56;
  return fzri_sip_blocks(&e->hash_start, blocks, 4);
}

/* Moves the engine's clock on; it never goes back. */
static inline void fzri_engine_advance(fzr_engine *e, fzr_time now)
{
  if (now > e->now)
    e->now = now;
}

/* Unix time in seconds at the engine's now. */
static inline uint64_t fzri_unix_now(const fzr_engine *e)
{
  return (uint64_t)e->wall_unix +
         (e->now - e->wall_at) / FZR_SECOND; /* wall_unix is not negative: no overflow */
}

#endif
