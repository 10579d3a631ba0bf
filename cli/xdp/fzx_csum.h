/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* Internet checksums, updated by what changes (RFC 1624): sum' = ~(~sum + ~old words + new words). Words are taken as they lie
 * in memory: one's complement sums do not care about byte order, and 32-bit words count as their two halves. */
#ifndef FZX_CSUM_H
#define FZX_CSUM_H

#include <linux/types.h>

#ifndef FZX_INLINE
#define FZX_INLINE static inline __attribute__((always_inline))
#endif

FZX_INLINE __u64 fzx_csum_add(__u64 sum, __u32 word)
{
  return sum + word;
}

/* Takes |word| out again: adding the complement is that, modulo 2^16 - 1. */
FZX_INLINE __u64 fzx_csum_sub(__u64 sum, __u32 word)
{
  return sum + (__u32)~word;
}

/* The sum in 16 bits. 0 only if nothing but zeros was added. */
FZX_INLINE __u16 fzx_csum_fold(__u64 sum)
{
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)sum;
}

/* The sum that the checksum |field| stands for, without the field itself. */
FZX_INLINE __u64 fzx_csum_open(__u16 field)
{
  return (__u16)~field;
}

/* The field for |sum|. */
FZX_INLINE __u16 fzx_csum_close(__u64 sum)
{
  return (__u16)~fzx_csum_fold(sum);
}

/* The same for UDP, where 0 means "none" (RFC 768). */
FZX_INLINE __u16 fzx_csum_close_udp(__u64 sum)
{
  const __u16 field = fzx_csum_close(sum);
  return field ? field : 0xffff;
}

#endif
