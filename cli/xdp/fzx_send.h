/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* The second half of both programs: where a packet that is to be relayed goes, and its new headers. Whoever includes this has defined what
 * differs between them, see fzx_xdp.bpf.c. */
#ifndef FZX_SEND_H
#define FZX_SEND_H

#include "fzx_maps.h"

#define FAMILY_INET  2
#define FAMILY_INET6 10

/* All zero, from here on: the compiler would do that ahead of where it turns out whether the table is asked at all. With CAP_BPF and
 * CAP_NET_ADMIN alone that is 70 ns a packet, for the barriers that then follow the first store to each slot of the stack. */
FZX_INLINE void clear_fib(struct bpf_fib_lookup *fib)
{
  asm volatile("" : : "r"(fib) : "memory");
  __builtin_memset(fib, 0, sizeof *fib);
}

/* Asks the routing table. Returns how the packet leaves, with the MAC addresses filled in, or ~reason to leave it alone. */
FZX_INLINE int look_up_route(context *ctx, struct bpf_fib_lookup *fib, struct ethhdr *eth, __be16 type)
{
  fib->l4_protocol = IPPROTO_UDP;
  fib->ifindex = came_by(ctx);
  const long result = bpf_fib_lookup(ctx, fib, sizeof *fib, 0);
  if (result != BPF_FIB_LKUP_RET_SUCCESS) {
    if (result == BPF_FIB_LKUP_RET_FWD_DISABLED)
      return ~FZX_PASSED_NO_FORWARDING;
    if (result == BPF_FIB_LKUP_RET_NO_NEIGH)
      return ~FZX_PASSED_NO_NEIGHBOUR;
    return result == BPF_FIB_LKUP_RET_FRAG_NEEDED ? ~FZX_PASSED_MTU : ~FZX_PASSED_NO_ROUTE;
  }
  make_eth(eth, (const __u16 *)fib->dmac, (const __u16 *)fib->smac, type);
  return fib->ifindex == came_by(ctx) ? leave_back(ctx) : leave_by(ctx, fib->ifindex);
}

/* Back to whoever sent it, a router, if the interface takes packets of |len| bytes. */
FZX_INLINE int swap(context *ctx, const struct job *job, __u32 len, struct ethhdr *eth, __be16 type)
{
  if (bpf_check_mtu(ctx, 0, &len, 0, 0))
    return ~FZX_PASSED_MTU;
  make_eth(eth, job->macs + ETH_ALEN / 2, job->macs, type);
  return leave_back(ctx);
}

/* UDP's header, and ChannelData's if it is for a client, from |words| on. */
FZX_INLINE void make_udp(const struct job *job, const struct fzx_out *out, __be32 *words, __u64 addresses)
{
  const __be16 len =
      bpf_htons((__u16)(job->len + sizeof(struct udphdr) + (job->up ? 0 : FZX_CHANNEL_HEADER)));
  words[0] = both(&out->sport);
  __u64 sum = job->sum + addresses + words[0] + 2ull * len; /* also in the pseudo header */
  if (!job->up) {
    words[2] = join(out->channel, bpf_htons((__u16)job->len));
    sum += words[2];
  }
  words[1] = join(len, job->has_sum ? fzx_csum_close_udp(sum) : 0);
}

/* Bytes of headers that |job| will have, of which |head| are there in both directions. */
FZX_INLINE unsigned head_of(const struct job *job, unsigned head)
{
  return job->up ? head : head + FZX_CHANNEL_HEADER;
}

FZX_INLINE int route4(context *ctx, const struct job *job, __u32 len, const struct fzx_out *out,
                      struct ethhdr *eth)
{
  struct bpf_fib_lookup fib;
  if (settings.route == FZX_ROUTE_SWAP)
    return swap(ctx, job, len, eth, bpf_htons(ETH_P_IP));
  clear_fib(&fib);
  fib.family = FAMILY_INET;
  fib.tos = (__u8)(bpf_ntohl(job->ip[0]) >> 16 & 0xfc);
  fib.tot_len = (__u16)len;
  fib.ipv4_src = out->src;
  fib.ipv4_dst = out->dst;
  fib.sport = out->sport;
  fib.dport = out->dport;
  return look_up_route(ctx, &fib, eth, bpf_htons(ETH_P_IP));
}

FZX_INLINE int send4(context *ctx, const struct job *job, const struct fzx_out *out)
{
  struct frame4 f;
  const unsigned head = head_of(job, HEAD4);
  const __u32 len = head - ETH_HLEN + job->len;
  if (len + ETH_HLEN < FZX_FRAME_MIN)
    return ~FZX_PASSED_SHORT;
  if (len > fzx_path_mtu(out->path))
    return ~FZX_PASSED_MTU;
  const int action = route4(ctx, job, len, out, &f.eth);
  if (action < 0)
    return action;
  const int moved = move_head(ctx, job, head, ETH_P_IP);
  if (moved)
    return moved;
  const __u64 addresses = (__u64)out->src + out->dst;
  __be32 *words = (__be32 *)&f.ip;
  const __be32 first = job->ip[0] | bpf_htonl(len);
  words[0] = first;
  words[1] = job->ip[1];
  words[2] = job->ip[2] | join(0, fzx_csum_close(addresses + first + job->ip[1] + job->ip[2]));
  words[3] = out->src;
  words[4] = out->dst;
  make_udp(job, out, words + sizeof f.ip / 4, addresses);
  count(job);
  return write_head(ctx, &f.eth, head, action);
}

FZX_INLINE int route6(context *ctx, const struct job *job, __u32 len, const struct fzx_out *out,
                      const struct ipv6hdr *ip, struct ethhdr *eth)
{
  struct bpf_fib_lookup fib;
  if (settings.route == FZX_ROUTE_SWAP)
    return swap(ctx, job, len, eth, bpf_htons(ETH_P_IPV6));
  clear_fib(&fib);
  fib.family = FAMILY_INET6;
  fib.tot_len = (__u16)len;
  fib.flowinfo = job->flow & bpf_htonl(0x0fffffff);
  __builtin_memcpy(fib.ipv6_src, &ip->saddr, sizeof ip->saddr);
  __builtin_memcpy(fib.ipv6_dst, &ip->daddr, sizeof ip->daddr);
  fib.sport = out->sport;
  fib.dport = out->dport;
  return look_up_route(ctx, &fib, eth, bpf_htons(ETH_P_IPV6));
}

FZX_INLINE int send6(context *ctx, const struct job *job, const struct fzx_out *out,
                     const struct fzx_rest *rest)
{
  struct frame6 f;
  const unsigned head = head_of(job, HEAD6);
  const __u32 len = head - ETH_HLEN + job->len;
  if (!job->has_sum)
    return ~FZX_PASSED_NO_CHECKSUM;
  if (len + ETH_HLEN < FZX_FRAME_MIN)
    return ~FZX_PASSED_SHORT;
  if (len > fzx_path_mtu(out->path))
    return ~FZX_PASSED_MTU;
  __be32 *src = (__be32 *)&f.ip.saddr, *dst = (__be32 *)&f.ip.daddr;
  src[0] = out->src;
  dst[0] = out->dst;
  __builtin_memcpy(src + 1, rest->src, sizeof rest->src);
  __builtin_memcpy(dst + 1, rest->dst, sizeof rest->dst);
  const int action = route6(ctx, job, len, out, &f.ip, &f.eth);
  if (action < 0)
    return action;
  const int moved = move_head(ctx, job, head, ETH_P_IPV6);
  if (moved)
    return moved;
  __be32 *words = (__be32 *)&f.ip;
  words[0] = job->flow;
  words[1] = bpf_htonl((len - (__u32)sizeof f.ip) << 16 | IPPROTO_UDP << 8 | bpf_ntohl(job->ip[2]) >> 24);
  make_udp(job, out, words + sizeof f.ip / 4, add4(add4(0, src), dst));
  count(job);
  return write_head(ctx, &f.eth, head, action);
}

#endif
