/* SPDX-License-Identifier: Apache-2.0 */
/* Permissions: IP addresses that an allocation may send to and receive from, whatever the port. RFC 8656 section 9. */
#ifndef FZRI_PERMISSION_H
#define FZRI_PERMISSION_H

#include "state.h"

/* Time as permissions know it: a tick of the timers. Both its ends are near each other, so that it may wrap. */
#define FZRI_PERMISSION_TICK ((fzr_time)1 << FZRI_TICK_SHIFT)
static inline uint32_t fzri_permission_tick(fzr_time at)
{
  return (uint32_t)(at >> FZRI_TICK_SHIFT);
}

/* The IP address of |peer| as permissions have it. */
static inline void fzri_permission_key(const fzr_addr *peer, uint64_t key[2])
{
  static const uint8_t mapped[4] = {0, 0, 0xff, 0xff};
  if (peer->family != FZR_FAMILY_IPV4) {
    memcpy(key, peer->ip, sizeof peer->ip);
    return;
  }
  uint8_t low[8];
  memcpy(low, mapped, 4);
  memcpy(low + 4, peer->ip, 4);
  key[0] = 0;
  memcpy(&key[1], low, sizeof low);
}

/* Whether it is that of an IPv4 address. */
static inline bool fzri_permission_is_ipv4(const uint64_t key[2])
{
  static const uint8_t mapped[4] = {0, 0, 0xff, 0xff};
  return !key[0] && memcmp(&key[1], mapped, 4) == 0;
}

static inline uint32_t fzri_hash_permission(const fzr_engine *e, uint32_t allocation, const uint64_t key[2])
{
  if (fzri_permission_is_ipv4(key)) {
    uint32_t ip4;
    memcpy(&ip4, (const uint8_t *)&key[1] + 4, sizeof ip4);
    const uint64_t block = ip4 | (uint64_t)allocation << 32 | (uint64_t)7 << 56;
    return fzri_sip_blocks(&e->hash_start, &block, 1);
  }
  const uint64_t blocks[3] = {key[0], key[1], allocation | (uint64_t)20 << 56};
  return fzri_sip_blocks(&e->hash_start, blocks, 3);
}

static inline bool fzri_permission_is_for(const fzri_permission *p, uint32_t allocation,
                                          const uint64_t key[2])
{
  return p->used && p->allocation == allocation && p->ip[0] == key[0] && p->ip[1] == key[1];
}

/* Whether |p| is not over yet, though nobody may have looked since it was. */
static inline bool fzri_permission_holds(const fzr_engine *e, const fzri_permission *p)
{
  return (int32_t)(p->lapses - fzri_permission_tick(e->now)) > 0;
}

/* The index of the permission of |allocation| for |key|, whose hash is |hash|; FZRI_POOL_NONE if there is none. It may be over. */
static inline uint32_t fzri_permission_look_up(const fzr_engine *e, uint32_t allocation,
                                               const uint64_t key[2], uint32_t hash)
{
  uint32_t probe = hash, index;
  while ((index = fzri_map_next(&e->permitted, hash, &probe)) != FZRI_MAP_NONE)
    if (fzri_permission_is_for(fzri_permission_at(e, index), allocation, key))
      return index;
  return FZRI_POOL_NONE;
}

/* What became of an attempt to install one. */
enum fzri_permit_result {
  FZRI_PERMIT_OLD = 0,   /* it is there */
  FZRI_PERMIT_NEW = 1,   /* it is there now */
  FZRI_PERMIT_LIMIT = 2, /* the allocation has as many as it may: 508 */
  FZRI_PERMIT_FULL = 3,  /* all shards together have as many channels and permissions as there may be: 508 */
  FZRI_PERMIT_NO_MEMORY = 4 /* 508 */
};

/* Makes sure that |a| has a permission for |peer|, which it may reach, and that this is not over. One that is there stays as it is. Nothing is
 * counted as installed yet: the caller does that, once it is sure to stay. */
enum fzri_permit_result fzri_permission_install(fzr_engine *e, fzri_allocation *a, const fzr_addr *peer);
/* Lets it last for FZRI_PERMISSION_LASTS from now on. It is there. */
void fzri_permission_renew(fzr_engine *e, const fzri_allocation *a, const fzr_addr *peer);
/* Makes a permission that lapses at |at|, as long as it has to be after all others: of a state that is loaded. Returns FZRI_PERMIT_NEW, FZRI_PERMIT_OLD
 * if there is one, FZRI_PERMIT_LIMIT if others lapse later, FZRI_PERMIT_FULL or FZRI_PERMIT_NO_MEMORY. */
enum fzri_permit_result fzri_permission_restore(fzr_engine *e, fzri_allocation *a, const fzr_addr *peer,
                                                fzr_time at);
/* What it was made of: the address, with port 0, and when it lapses. */
static inline fzr_addr fzri_permission_peer(const fzri_permission *p)
{
  uint8_t ip[16];
  memcpy(ip, p->ip, sizeof ip);
  return fzri_permission_is_ipv4(p->ip) ? fzr_addr_ipv4(ip + 12, 0) : fzr_addr_ipv6(ip, 0);
}

static inline fzr_time fzri_permission_lapses(const fzr_engine *e, const fzri_permission *p)
{
  const int64_t left = (int32_t)(p->lapses - fzri_permission_tick(e->now));
  return ((e->now >> FZRI_TICK_SHIFT) + (uint64_t)left) << FZRI_TICK_SHIFT;
}

/* Takes the |count| permissions back that were installed last. */
void fzri_permissions_undo(fzr_engine *e, fzri_allocation *a, uint32_t count);
/* Ends all permissions of |a| for addresses of |families|, bits. */
void fzri_permissions_end(fzr_engine *e, fzri_allocation *a, uint8_t families);

/* When the next one lapses; FZR_TIME_NEVER: there is none. */
fzr_time fzri_permissions_deadline(const fzr_engine *e);
/* Ends those that have lapsed, up to |budget| of them. Returns how many there were. */
size_t fzri_permissions_expire(fzr_engine *e, size_t budget);

/* Holds permission |index|, which is in use, against what its client may reach now. Ends it if it may not be. |all|: rules have changed. */
void fzri_permission_recheck(fzr_engine *e, uint32_t index, bool all);

/* Whether the client of |a| may reach |peer|, an address that |p| is for, at its port. */
bool fzri_permission_allows(const fzr_engine *e, const fzri_allocation *a, const fzri_permission *p,
                            const fzr_addr *peer);

#endif
