/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations: how they begin, are found, and end. RFC 8656 section 3.2. */
#ifndef FZRI_ALLOCATION_H
#define FZRI_ALLOCATION_H

#include "state.h"

/* The allocation of the 5-tuple, in any state but closing, or NULL. One whose time is over is ended first. */
fzri_allocation *fzri_allocation_find(fzr_engine *e, const fzr_addr *client, const fzr_addr *server);

/* The same, but ends nothing: its time may be over. */
fzri_allocation *fzri_allocation_look_up(const fzr_engine *e, const fzr_addr *client, const fzr_addr *server);

/* The allocation that has |port|, or NULL. It may be closing: its sockets are still open then. */
static inline fzri_allocation *fzri_allocation_by_port(const fzr_engine *e, uint16_t port)
{
  if (port < e->lowest_port || port > e->highest_port)
    return NULL;
  const uint32_t index = e->by_port[port - e->lowest_port];
  return index == FZRI_POOL_NONE ? NULL : fzri_allocation_at(e, index);
}

/* Whether the client was told that |a| is over by now, though a Refresh may still save it. */
static inline bool fzri_allocation_lapsed(const fzr_engine *e, const fzri_allocation *a)
{
  return e->now + FZRI_GRACE >= a->expires;
}

/* Whether |a| gives way to |msg|, a request of its 5-tuple: to an Allocate, once the client was told that it is over, although a Refresh
 * could still save it. Not to the Allocate that made it, which has been on its way for long. */
static inline bool fzri_allocation_gives_way(const fzr_engine *e, const fzri_allocation *a,
                                             const fzr_stun_msg *msg)
{
  return msg->method == FZR_STUN_ALLOCATE && fzri_allocation_lapsed(e, a) &&
         memcmp(fzri_origin_of(e, a)->txid, fzr_stun_txid(msg), FZR_STUN_TXID_LEN) != 0;
}

/* What a new allocation is asked to be. */
typedef struct fzri_allocation_request {
  const fzr_addr *client;
  const fzr_addr *server;
  uint8_t families;  /* bits */
  uint8_t missing;   /* enum fzr_family that was asked for and is not to be had, or 0 */
  uint32_t lifetime; /* seconds */
  uint64_t user;     /* already counted in fzr_shared, if they are counted; 0: nobody's */
  bool mobile;       /* with tickets: see mobility.h */
  uint8_t shape;     /* enum fzri_port_shape; of a pair the other one is reserved */
  uint64_t token;    /* 0, or what the port was reserved under */
} fzri_allocation_request;

/* Makes an allocation that waits for its sockets and queues their PORT_OPEN. The caller fills in txid, key and the
 * fzri_pending it finds in *|pending|. Returns 0 with it in *|out|, FZR_ERR_NO_PORT, FZR_ERR_NO_RANDOM, or
 * FZR_ERR_NO_MEMORY; nothing is left behind then, and nothing of a reservation that was good. */
int fzri_allocation_begin(fzr_engine *e, const fzri_allocation_request *request, fzri_allocation **out,
                          fzri_pending **pending);

/* Replaces |old|, which waits for a port that another process holds (|known|: as was known before), by one that waits for another
 * port. Returns as fzri_allocation_begin, and FZR_ERR_INVALID_STATE if as many were tried as may be; |old| is closing after success
 * only. */
int fzri_allocation_retry(fzr_engine *e, fzri_allocation *old, bool known);

/* Puts an allocation object of |client| at |port| into the table of ports, with the client's hash; it is opening, and in no other look-up. Returns
 * 0 with it in *|out|, or FZR_ERR_NO_MEMORY. */
int fzri_allocation_register(fzr_engine *e, const fzr_addr *client, uint16_t port, fzri_allocation **out);

/* Tells all shards that |a| has relayed addresses of |families|, bits, or no longer. */
void fzri_allocation_set_live(fzr_engine *e, const fzri_allocation *a, uint8_t families, bool live);

/* All its sockets are open: from now on it relays. Gives its fzri_pending back. */
void fzri_allocation_live(fzr_engine *e, fzri_allocation *a);

/* Ends |a|, for |reason|: takes it out of all look-ups and queues its UNBOUND and PORT_CLOSE events. O(1). */
void fzri_allocation_end(fzr_engine *e, fzri_allocation *a, enum fzr_end_reason reason);

/* The same for one whose time is over, which the log is told. */
void fzri_allocation_expire(fzr_engine *e, fzri_allocation *a);

/* Takes the relayed address of |family| from a dual-stack allocation, and the channels to peers of it. */
void fzri_allocation_drop_family(fzr_engine *e, fzri_allocation *a, uint8_t family);

/* Sets when |a| ends, FZRI_GRACE included. */
void fzri_allocation_set_expiry(fzr_engine *e, fzri_allocation *a, fzr_time expires);

/* Expires what is due, up to |budget| items. Returns how many items it handled. */
size_t fzri_allocations_expire(fzr_engine *e, size_t budget);

/* |a| counts in the figures of those that live, or does not any more. */
static inline void fzri_allocation_count(fzr_engine *e, const fzri_allocation *a, bool lives)
{
  const uint64_t more = lives ? 1 : UINT64_MAX; /* or one less */
  e->stats.allocations += more;
  if (a->client.transport < FZR_TRANSPORT_ROOM)
    e->stats.allocations_by_transport[a->client.transport] += more;
}

/* Takes |a| from its user in fzr_shared. */
void fzri_allocation_leave_user(fzr_engine *e, fzri_allocation *a);

/* Gives the object back, and what belongs to it alone. */
void fzri_allocation_give(fzr_engine *e, const fzri_allocation *a);

/* Gives the object and its port back; called once its last event was taken, when no packet of it is to be counted any more. */
void fzri_allocation_release(fzr_engine *e, fzri_allocation *a);

#endif
