/* SPDX-License-Identifier: Apache-2.0 */
/* What the library wants to know of an address beyond what it tells others. */
#ifndef FZRI_ADDR_H
#define FZRI_ADDR_H

#include "firezone_relay/types.h"

#include <string.h>

/* Whether it is the unspecified address, all zeros, of its family. */
static inline bool fzri_is_unspecified(const fzr_addr *addr)
{
  static const uint8_t zero[16];
  return memcmp(addr->ip, zero, sizeof zero) == 0;
}

#endif
