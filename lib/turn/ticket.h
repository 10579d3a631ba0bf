/* SPDX-License-Identifier: Apache-2.0 */
/* MOBILITY-TICKETs: what one says, encrypted and authenticated under a key that all shards of a relay have, so that nothing has to be kept
 * of those that are out. RFC 8016 section 3.3 and appendix A. */
#ifndef FZRI_TICKET_H
#define FZRI_TICKET_H

#include "../base/siphash.h"

#define FZRI_TICKET_LEN 32u

typedef struct fzri_ticket {
  uint64_t id;         /* of the allocation: drawn when it was made */
  uint32_t generation; /* how often it has moved */
  uint16_t port;
} fzri_ticket;

/* The key that is called |name|, made of |users|, that which all shards have in common. */
fzri_siphash_key fzri_ticket_key(const fzri_siphash_key *users, const uint8_t name[16]);

/* Writes the ticket that says |ticket|: always the same one, and without a byte that is 0, for coturn's client takes what it gets for text
 * that ends with one. It also takes no more than 32 bytes. */
void fzri_ticket_write(const fzri_siphash_key *key, const fzri_ticket *ticket, uint8_t out[FZRI_TICKET_LEN]);

/* Reads the |len| bytes |data|. Returns whether they were written under |key|. */
bool fzri_ticket_read(const fzri_siphash_key *key, const uint8_t *data, size_t len, fzri_ticket *out);

#endif
