/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts on the links of this one that answer neither ARP (RFC 826) nor neighbour discovery (RFC 4861): what is sent to them waits in
 * the kernel, for up to 3 s, at the expense of the socket that sent it. */
#ifndef FZRI_NEIGHBOURS_H
#define FZRI_NEIGHBOURS_H

#include "../base/mem.h"
#include "firezone_relay/error.h"
#include "firezone_relay/types.h"

/* More are not remembered. The kernel's own tables hold 1,024 of a family by default. */
#define FZRI_NEIGHBOURS_MAX 2048u

typedef struct fzri_neighbour {
  uint8_t family; /* FZR_FAMILY_NONE: the slot is free */
  uint8_t ip[16];
} fzri_neighbour;

typedef struct fzri_neighbours {
  fzri_neighbour *slots; /* a hash table; NULL until it is first wanted */
  uint32_t count;
  uint32_t seen;    /* of all that the kernel knows */
  uint32_t waiting; /* those that are being asked for: something waits for each of them in the kernel */
} fzri_neighbours;

/* Fills |n| with those that are unresolved now, whatever was in it. Returns 0, FZR_ERR_NO_MEMORY, or FZR_ERR_IO with errno; after an error
 * there are none. */
int fzri_neighbours_look(fzri_neighbours *n, fzri_mem *mem);
/* Whether |addr|, port and scope aside, is one of them. */
bool fzri_neighbours_has(const fzri_neighbours *n, const fzr_addr *addr);
void fzri_neighbours_free(fzri_neighbours *n, fzri_mem *mem);

/* Bytes that the kernel lets wait for one of them: the most of all interfaces for |family|. 0: not known. */
uint32_t fzri_neighbours_queue_bytes(uint8_t family);

#endif
