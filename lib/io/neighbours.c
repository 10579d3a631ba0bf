/* SPDX-License-Identifier: Apache-2.0 */
#include "neighbours.h"

#include "netlink.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* Twice as many as are remembered, and no search longer than this: strangers choose the addresses. */
#define SLOTS  (2 * FZRI_NEIGHBOURS_MAX)
#define BYTES  ((size_t)SLOTS * sizeof(fzri_neighbour))
#define PROBES 32u
/* The loopback interface of every network namespace: nobody is a neighbour there. */
#define LOOPBACK 1u

static uint32_t slot_of(uint8_t family, const uint8_t ip[16])
{
  uint32_t hash = family;
  for (unsigned i = 0; i < 16; i++)
    hash = (hash ^ ip[i]) * 16777619u;
  return (hash ^ hash >> 15) % SLOTS;
}

static bool is_at(const fzri_neighbour *slot, uint8_t family, const uint8_t ip[16])
{
  return slot->family == family && memcmp(slot->ip, ip, sizeof slot->ip) == 0;
}

static void put(fzri_neighbours *n, uint8_t family, const uint8_t ip[16])
{
  uint32_t at = slot_of(family, ip);
  if (n->count == FZRI_NEIGHBOURS_MAX)
    return;
  for (unsigned i = 0; i < PROBES; i++, at = (at + 1) % SLOTS) {
    if (is_at(&n->slots[at], family, ip))
      return; /* on two links */
    if (n->slots[at].family)
      continue;
    n->slots[at].family = family;
    memcpy(n->slots[at].ip, ip, sizeof n->slots[at].ip);
    n->count++;
    return;
  }
}

static void note(void *ctx, const struct nlmsghdr *m)
{
  fzri_neighbours *n = ctx;
  uint8_t ip[16] = {0};
  size_t len;
  if (m->nlmsg_type != RTM_NEWNEIGH || m->nlmsg_len < NLMSG_LENGTH(sizeof(struct ndmsg)))
    return;
  const struct ndmsg *neighbour = NLMSG_DATA(m);
  n->seen++;
  if (!(neighbour->ndm_state & (NUD_INCOMPLETE | NUD_FAILED)))
    return;
  const void *address = fzri_netlink_attribute_of(m, sizeof *neighbour, NDA_DST, &len);
  const bool ip4 = neighbour->ndm_family == AF_INET, ip6 = neighbour->ndm_family == AF_INET6;
  if (!address || !((ip4 && len == 4) || (ip6 && len == 16)))
    return;
  memcpy(ip, address, len);
  n->waiting += (neighbour->ndm_state & NUD_INCOMPLETE) != 0;
  put(n, ip4 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6, ip);
}

static void clear(fzri_neighbours *n)
{
  if (n->slots && n->count)
    memset(n->slots, 0, BYTES);
  n->count = n->seen = n->waiting = 0;
}

int fzri_neighbours_look(fzri_neighbours *n, fzri_mem *mem)
{
  static const struct ndmsg all = {.ndm_family = AF_UNSPEC};
  clear(n);
  if (!n->slots)
    n->slots = fzri_mem_zalloc(mem, BYTES);
  if (!n->slots)
    return FZR_ERR_NO_MEMORY;
  if (!fzri_netlink_list(RTM_GETNEIGH, &all, sizeof all, note, n))
    return 0;
  clear(n);
  return FZR_ERR_IO;
}

bool fzri_neighbours_has(const fzri_neighbours *n, const fzr_addr *addr)
{
  uint32_t at = slot_of(addr->family, addr->ip);
  for (unsigned i = 0; n->count && i < PROBES && n->slots[at].family; i++, at = (at + 1) % SLOTS)
    if (is_at(&n->slots[at], addr->family, addr->ip))
      return true;
  return false;
}

void fzri_neighbours_free(fzri_neighbours *n, fzri_mem *mem)
{
  fzri_mem_free(mem, n->slots, BYTES);
  memset(n, 0, sizeof *n);
}

/* ---- how much the kernel lets wait ---- */

static bool number_at(const void *parms, size_t len, uint16_t type, uint32_t *value)
{
  size_t value_len;
  const void *at = fzri_netlink_attribute(parms, len, type, &value_len);
  if (!at || value_len != sizeof *value)
    return false;
  memcpy(value, at, sizeof *value);
  return true;
}

static void note_table(void *ctx, const struct nlmsghdr *m)
{
  uint32_t *most = ctx, interface = 0, bytes = 0;
  size_t len;
  if (m->nlmsg_type != RTM_NEWNEIGHTBL)
    return;
  const void *parms = fzri_netlink_attribute_of(m, sizeof(struct ndtmsg), NDTA_PARMS, &len);
  /* Without an interface they are what one to come begins with. */
  if (parms && number_at(parms, len, NDTPA_IFINDEX, &interface) && interface > LOOPBACK &&
      number_at(parms, len, NDTPA_QUEUE_LENBYTES, &bytes) && bytes > *most)
    *most = bytes;
}

uint32_t fzri_neighbours_queue_bytes(uint8_t family)
{
  const struct ndtmsg table = {.ndtm_family = family == FZR_FAMILY_IPV4 ? AF_INET : AF_INET6};
  uint32_t most = 0;
  return fzri_netlink_list(RTM_GETNEIGHTBL, &table, sizeof table, note_table, &most) ? 0 : most;
}
