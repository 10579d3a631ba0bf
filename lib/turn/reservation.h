/* SPDX-License-Identifier: Apache-2.0 */
/* Ports that EVEN-PORT reserves for a second allocation, which may be made in any shard: RFC 8656 section 7.2. The port is kept in fzr_shared
 * under its token; the allocation that it goes with gives it back after 30 s, or when it ends, whichever comes first: so nobody holds more
 * ports than twice as many as he has allocations. */
#ifndef FZRI_RESERVATION_H
#define FZRI_RESERVATION_H

#include "state.h"

#define FZRI_RESERVATION_LASTS (30 * FZR_SECOND)
#define FZRI_TOKEN_LEN         8u

/* Reserves |port|, which was taken, for an allocation of |family| that follows that of |extra|. Returns 0 or FZR_ERR_NO_RANDOM. */
int fzri_reservation_make(fzr_engine *e, fzri_extra *extra, uint16_t port, uint8_t family);

/* Ends that of |extra|, if there is one that nobody has claimed. */
void fzri_reservation_end(fzr_engine *e, fzri_extra *extra);

/* Ends what is due, up to |budget| of them. Returns how many items it handled. */
size_t fzri_reservations_expire(fzr_engine *e, size_t budget);

/* Reads a token. Returns it, or 0 if it is none of any relay. */
uint64_t fzri_token_read(const uint8_t in[FZRI_TOKEN_LEN]);
void fzri_token_write(uint64_t token, uint8_t out[FZRI_TOKEN_LEN]);

/* The port and the family that a token names. */
static inline uint16_t fzri_token_port(uint64_t token)
{
  return (uint16_t)token;
}

static inline uint8_t fzri_token_family(uint64_t token)
{
  return token >> 16 & 1 ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
}

#endif
