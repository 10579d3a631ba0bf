/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* Internet checksums, updated by what changes (RFC 1624): sum' = ~(~sum + ~old words + new words). Words are taken as they lie
 * in memory: one's complement sums do not care about byte order, and 32-bit words count as their two halves. */
#ifndef FZX_CSUM_H
#define FZX_CSUM_H

#include <linux/types.h>

#ifndef FZX_INLINE
#define FZX_INLINE static inline __attribute__((always_inline))
#endif

#define FZX_CSUM_MODULUS 0xffffull

/* Takes |words| out of |sum|: a sum of up to 16 words of 32 bits. A multiple of the modulus that is larger comes in, so that the sum never
 * is below 0. */
FZX_INLINE __u64 fzx_csum_sub(__u64 sum, __u64 words)
{
  return sum + (0xffffffffull << 4) - words;
}

/* The sum, which must be less than 2^48, in 16 bits. 0 only if nothing but zeros was added. */
FZX_INLINE __u16 fzx_csum_fold(__u64 sum)
{
  __u32 folded = (__u32)(sum & 0xffff) + (__u32)(sum >> 16 & 0xffff) + (__u32)(sum >> 32);
  folded = (folded & 0xffff) + (folded >> 16);
  return (__u16)(folded + (folded >> 16));
}

/* Whether |sum|, not 0 itself, would fold to 0xffff, that is, is a multiple of the modulus. That number is odd, hence has an inverse modulo
 * 2^64; its multiples times that are what they are multiples by, and nothing else gives so small a product. */
FZX_INLINE int fzx_csum_is_zero(__u64 sum)
{
  return sum * 0xfffefffefffeffffull <= ~0ull / FZX_CSUM_MODULUS;
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
