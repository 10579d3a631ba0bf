/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes as bytes. */
#ifndef FZRI_ATTR_H
#define FZRI_ATTR_H

#include "../base/bytes.h"
#include "firezone_relay/types.h"

#include <string.h>

/* Bytes of type and length, which stand before each value, and of values. */
#define FZRI_ATTR_HEADER      4u
#define FZRI_INTEGRITY_LEN    20u
#define FZRI_INTEGRITY256_MIN 16u
#define FZRI_INTEGRITY256_LEN 32u
#define FZRI_FINGERPRINT_LEN  4u

/* What the CRC is XORed with. */
#define FZRI_FINGERPRINT_XOR 0x5354554eu

/* Reads the address in the |value| of an attribute, IPv4 or IPv6, XORed with the 16 bytes |mask|. */
static inline void fzri_attr_addr(const uint8_t *value, bool ip4, const uint8_t *mask, fzr_addr *addr)
{
  memset(addr, 0, sizeof *addr);
  addr->family = ip4 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6;
  addr->port = fzri_get16(value + 2) ^ fzri_get16(mask);
  for (unsigned i = 0; i < (ip4 ? 4u : 16u); i++)
    addr->ip[i] = value[4 + i] ^ mask[i];
}

#endif
