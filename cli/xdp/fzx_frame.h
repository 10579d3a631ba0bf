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
  __u64 sum;       /* of the UDP checksum, without what changes */
  __u32 len;       /* of the payload, without ChannelData's header */
  __u32 up;        /* from a client */
  __u32 head;      /* bytes of its headers */
  __be32 flow;     /* IPv6: version, class and label */
  struct iphdr ip; /* as it will be, but for length, sum, and addresses; of an IPv6 packet, too */
  __u16 has_sum;
  __u16 macs[6]; /* destination, source */
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

/* The sum of a whole IPv4 header without options; |addresses| is that of its addresses. */
FZX_INLINE __u64 add_header4(const struct iphdr *ip, __u64 addresses)
{
  const __be32 *words = (const __be32 *)ip;
  return addresses + words[0] + words[1] + words[2];
}

/* Copies all but the addresses, in words, which the compiler would make longer. */
FZX_INLINE void copy_ip(struct iphdr *to, const struct iphdr *from)
{
  for (unsigned i = 0; i < 3; i++)
    ((__be32 *)to)[i] = ((const __be32 *)from)[i];
}

#endif
