/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors about what clients sent to peers, told to these clients. RFC 8656 section 11.6. */
#include "allocation.h"
#include "answer.h"
#include "channel.h"
#include "permission.h"

#include "../base/bytes.h"

#include <assert.h>

static_assert(sizeof(fzr_peer_error) == 32, "frozen");

#define ICMP_UNREACHABLE          3
#define ICMP_FRAGMENTATION_NEEDED 4 /* a code of it */
#define ICMP_TIME_EXCEEDED        11
#define ICMP6_UNREACHABLE         1
#define ICMP6_TOO_BIG             2
#define ICMP6_TIME_EXCEEDED       3

/* Whether clients hear of errors of that type. */
static bool is_told(const fzr_peer_error *error)
{
  if (error->peer.family == FZR_FAMILY_IPV4)
    return error->type == ICMP_UNREACHABLE || error->type == ICMP_TIME_EXCEEDED;
  return error->type == ICMP6_UNREACHABLE || error->type == ICMP6_TOO_BIG ||
         error->type == ICMP6_TIME_EXCEEDED;
}

static uint32_t error_data(const fzr_peer_error *error)
{
  const bool too_big = error->peer.family == FZR_FAMILY_IPV4
                           ? error->type == ICMP_UNREACHABLE && error->code == ICMP_FRAGMENTATION_NEEDED
                           : error->type == ICMP6_TOO_BIG;
  return too_big ? error->mtu : 0;
}

/* The allocation that has sent to the peer of |error|, or NULL. */
static const fzri_allocation *sender_of(const fzr_engine *e, const fzr_peer_error *error)
{
  const fzri_allocation *a = fzri_allocation_by_port(e, error->port);
  const bool live = a && a->state == FZRI_ALLOCATION_LIVE && e->now < a->expires &&
                    (a->families & fzri_family_bit(error->peer.family));
  return live ? a : NULL;
}

/* Whether |a| may hear from |peer|. |hash| is that of both. */
static bool may_hear(const fzr_engine *e, const fzri_allocation *a, const fzr_addr *peer, uint32_t hash)
{
  uint64_t key[2];
  const fzri_channel *c = fzri_channel_by_peer(e, a->index, peer, hash);
  if (c && !c->dead && e->now < c->relay_until)
    return true;
  fzri_permission_key(peer, key);
  const uint32_t index = fzri_permission_look_up(e, a->index, key, fzri_hash_permission(e, a->index, key));
  if (index == FZRI_POOL_NONE)
    return false;
  const fzri_permission *p = fzri_permission_at(e, index);
  return fzri_permission_holds(e, p) && fzri_permission_allows(e, a, p, peer);
}

/* One a second for each flow, and for all that share its place: so there is a bound for all together, too. */
static bool is_time(fzr_engine *e, uint32_t hash)
{
  fzr_time *last = &e->peer_error_at[hash % FZRI_PEER_ERRORS];
  if (*last && e->now - *last < FZR_SECOND)
    return false;
  *last = e->now ? e->now : 1;
  return true;
}

/* The transaction id is nobody's to answer, but no two should be the same. */
static void make_txid(const fzr_engine *e, uint32_t hash, uint8_t txid[FZR_STUN_TXID_LEN])
{
  for (unsigned i = 0; i < 3; i++) {
    const uint64_t blocks[2] = {e->now, hash | (uint64_t)i << 32 | (uint64_t)13 << 56};
    fzri_put32(txid + (size_t)4 * i, fzri_sip_blocks(&e->hash_start, blocks, 2));
  }
}

static bool tell(fzr_engine *e, const fzr_peer_error *error)
{
  const fzri_allocation *a = is_told(error) ? sender_of(e, error) : NULL;
  if (!a)
    return false;
  const uint32_t hash = fzri_hash_peer(e, a->index, &error->peer);
  if (!may_hear(e, a, &error->peer, hash) || fzri_answers_full(e) || !is_time(e, hash))
    return false;
  uint8_t txid[FZR_STUN_TXID_LEN], icmp[8] = {0};
  fzri_reply reply;
  make_txid(e, hash, txid);
  /* Seven bits of type and nine of code. RFC 8656 section 18.13. */
  fzri_put16(icmp + 2, (uint16_t)((error->type & 0x7f) << 9 | error->code));
  fzri_put32(icmp + 4, error_data(error));
  fzri_reply_begin(e, &reply, FZR_STUN_DATA, FZR_STUN_INDICATION, txid);
  fzr_stun_add_addr(&reply.builder, FZR_ATTR_XOR_PEER_ADDRESS, &error->peer);
  fzr_stun_add(&reply.builder, FZR_ATTR_ICMP, icmp, sizeof icmp);
  return fzri_reply_put(e, &reply, &a->client, &a->server);
}

int fzr_engine_peer_error(fzr_engine *e, const fzr_peer_error *error, fzr_time now)
{
  if (!e || !error || !fzri_family_bit(error->peer.family))
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  e->stats.peer_errors[!e->full || !tell(e, error)]++;
  return 0;
}

bool fzr_engine_wants_peer_errors(const fzr_engine *e)
{
  return e && e->full;
}
