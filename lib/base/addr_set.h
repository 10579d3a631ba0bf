/* SPDX-License-Identifier: Apache-2.0 */
/* A set of IP addresses, ports, scopes and transports left aside, for look-ups in constant time. Its owner fills it, no stranger: the hash has no key. */
#ifndef FZRI_ADDR_SET_H
#define FZRI_ADDR_SET_H

#include "mem.h"

typedef struct fzri_addr_set {
  fzr_addr *slots;   /* family 0: empty; at most half of them are in use */
  uint32_t capacity; /* a power of two, or 0 */
  uint32_t count;
} fzri_addr_set;

/* Whether the address of |addr| is in it. A set of zeros is empty. */
bool fzri_addr_set_has(const fzri_addr_set *set, const fzr_addr *addr);

/* Whether all that is in |set| is in |other|. */
bool fzri_addr_set_within(const fzri_addr_set *set, const fzri_addr_set *other);

/* Adds |n| addresses; those of no family, unspecified ones, and those that are there are passed over. Returns 0, or
 * FZR_ERR_NO_MEMORY with |set| as it was. */
int fzri_addr_set_add(fzri_addr_set *set, fzri_mem *mem, const fzr_addr *addrs, size_t n);

/* Gives its memory back: it is empty then. */
void fzri_addr_set_free(fzri_addr_set *set, fzri_mem *mem);

#endif
