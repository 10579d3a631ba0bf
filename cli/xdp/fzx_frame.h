/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* Packets as the programs see them: their headers, and what is to become of one. Of the programs alone. */
#ifndef FZX_FRAME_H
#define FZX_FRAME_H

#include <linux/bpf.h>
#include <stddef.h>

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FZX_INLINE static __always_inline
#include "fzx_csum.h"
#include "fzx_shared.h"

struct chan {
  __be16 number;
  __be16 len;
};

/* Headers as they are on the wire, behind two bytes that bring IP's to a multiple of four. The last one is there in packets to and
 * from clients only. */
struct frame4 {
  __u16 pad;
  struct ethhdr eth;
  struct iphdr ip;
  struct udphdr udp;
  struct chan chan;
};

struct frame6 {
  __u16 pad;
  struct ethhdr eth;
  struct ipv6hdr ip;
  struct udphdr udp;
  struct chan chan;
};

_Static_assert(sizeof(struct frame4) == 48, "no padding");
_Static_assert(sizeof(struct frame6) == 68, "no padding");

/* Bytes on the wire. */
#define HEAD4 (sizeof(struct frame4) - 2 - FZX_CHANNEL_HEADER)
#define HEAD6 (sizeof(struct frame6) - 2 - FZX_CHANNEL_HEADER)

/* A packet that is to be relayed. */
struct job {
  __u64 sum;   /* of the UDP checksum, without what changes */
  __u32 len;   /* of the payload, without ChannelData's header */
  __u32 up;    /* from a client */
  __u32 head;  /* bytes of its headers */
  __be32 flow; /* IPv6: version, class and label */
  __be32 ip
      [3]; /* IPv4: the header as it will be, with 0 for length and sum, but for addresses; of an IPv6 packet, too */
  __u32 has_sum;
  const __u16 *macs; /* as it came: destination, source */
};

const volatile struct fzx_settings settings SEC(".rodata.settings") = {};

/* Copies |len| bytes of headers between a packet and a frame's `eth` on the stack: two, and then words that the stack has aligned.
 * |len| is a constant, and in bounds. */
FZX_INLINE void copy_head(void *to, const void *from, unsigned len)
{
  *(__u16 *)to = *(const __u16 *)from;
#pragma unroll
  for (unsigned i = 2; i < len; i += 4)
    *(__u32 *)((char *)to + i) = *(const __u32 *)((const char *)from + i);
}

FZX_INLINE __u64 add4(__u64 sum, const __be32 *words)
{
  return sum + words[0] + words[1] + words[2] + words[3];
}

/* The sum of a whole IPv4 header without options, of which |words| are the first three; |addresses| is that of its addresses. */
FZX_INLINE __u64 add_header4(const __be32 *words, __u64 addresses)
{
  return addresses + words[0] + words[1] + words[2];
}

/* Two halves, the first of them |first|, as one word. */
FZX_INLINE __u32 both(const __be16 *first)
{
  return *(const __u32 *)first;
}

/* Two halves as they follow each other in memory. What is written at once can be read again at once; the CPU has to wait for what is
 * written in pieces and read as a whole, as keys and headers are. */
FZX_INLINE __u32 join(__be16 first, __be16 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return first | (__u32)second << 16;
#else
  return (__u32)first << 16 | second;
#endif
}

/* The header of a frame, in the pieces that copy_head() reads. */
FZX_INLINE void make_eth(struct ethhdr *eth, const __u16 *to, const __u16 *from, __be16 type)
{
  __u16 *at = (__u16 *)eth;
  at[0] = to[0];
  *(__u32 *)(at + 1) = join(to[1], to[2]);
  *(__u32 *)(at + 3) = join(from[0], from[1]);
  *(__u32 *)(at + 5) = join(from[2], type);
}

#endif
