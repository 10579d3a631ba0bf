/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* The second half of the program: where a packet that is to be relayed goes, and its new headers. */
#ifndef FZX_SEND_H
#define FZX_SEND_H

#include "fzx_frame.h"

#define FAMILY_INET  2
#define FAMILY_INET6 10

/* Interfaces that frames may leave by, keyed by their index: those that the program is attached to. */
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
  __uint(max_entries, FZX_TARGETS);
  __type(key, __u32);
  __type(value, __u32);
} fzx_targets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FZX_DIRECTIONS *FZX_SIZE_CLASSES);
  __type(key, __u32);
  __type(value, struct fzx_counter);
} fzx_counters SEC(".maps");

FZX_INLINE void count(const struct job *job)
{
  __u32 class = job->len ? (job->len - 1) / 100 : 0;
  if (class >= FZX_SIZE_CLASSES)
    class = FZX_SIZE_CLASSES - 1;
  const __u32 index = (job->up ? FZX_CLIENT_TO_PEER : FZX_PEER_TO_CLIENT) * FZX_SIZE_CLASSES + class;
  struct fzx_counter *counter = bpf_map_lookup_elem(&fzx_counters, &index);
  if (counter) {
    counter->packets++;
    counter->bytes += job->len;
  }
}

/* All zero, from here on: the compiler would do that ahead of where it turns out whether the table is asked at all. With CAP_BPF and
 * CAP_NET_ADMIN alone that is 70 ns a packet, for the barriers that then follow the first store to each slot of the stack. */
FZX_INLINE void clear_fib(struct bpf_fib_lookup *fib)
{
  asm volatile("" : : "r"(fib) : "memory");
  __builtin_memset(fib, 0, sizeof *fib);
}

/* Asks the routing table. Returns XDP_TX or XDP_REDIRECT with the MAC addresses filled in, or ~reason to leave the packet alone. */
FZX_INLINE int look_up_route(struct xdp_md *ctx, struct bpf_fib_lookup *fib, struct ethhdr *eth)
{
  fib->l4_protocol = IPPROTO_UDP;
  fib->ifindex = ctx->ingress_ifindex;
  const long result = bpf_fib_lookup(ctx, fib, sizeof *fib, 0);
  if (result != BPF_FIB_LKUP_RET_SUCCESS) {
    if (result == BPF_FIB_LKUP_RET_FWD_DISABLED)
      return ~FZX_PASSED_NO_FORWARDING;
    if (result == BPF_FIB_LKUP_RET_NO_NEIGH)
      return ~FZX_PASSED_NO_NEIGHBOUR;
    return result == BPF_FIB_LKUP_RET_FRAG_NEEDED ? ~FZX_PASSED_MTU : ~FZX_PASSED_NO_ROUTE;
  }
  __builtin_memcpy(eth->h_dest, fib->dmac, ETH_ALEN);
  __builtin_memcpy(eth->h_source, fib->smac, ETH_ALEN);
  if (fib->ifindex == ctx->ingress_ifindex)
    return XDP_TX;
  return bpf_redirect_map(&fzx_targets, fib->ifindex, XDP_PASS) == XDP_REDIRECT ? XDP_REDIRECT
                                                                                : ~FZX_PASSED_INTERFACE;
}

/* Back to whoever sent it, a router, if the interface takes packets of |len| bytes. */
FZX_INLINE int swap(struct xdp_md *ctx, const struct job *job, __u32 len, struct ethhdr *eth)
{
  if (bpf_check_mtu(ctx, 0, &len, 0, 0))
    return ~FZX_PASSED_MTU;
  __builtin_memcpy(eth->h_dest, job->macs + 3, ETH_ALEN);
  __builtin_memcpy(eth->h_source, job->macs, ETH_ALEN);
  return XDP_TX;
}

/* Makes room for |head| bytes of headers where there are |job|'s now. Returns whether the driver did. */
FZX_INLINE int move_head(struct xdp_md *ctx, const struct job *job, unsigned head)
{
  return !bpf_xdp_adjust_head(ctx, (int)job->head - (int)head);
}

/* Puts |head| bytes of |eth| and what follows it at the front of the packet, which is known to be that long. */
FZX_INLINE int write_head(struct xdp_md *ctx, const struct ethhdr *eth, unsigned head, int action)
{
  void *data = (void *)(long)ctx->data;
  if (data + head > (void *)(long)ctx->data_end)
    return XDP_ABORTED; /* can't be: the headers before it were there, too */
  copy_head(data, eth, head);
  return action;
}

FZX_INLINE void make_udp(const struct job *job, const struct fzx_out *out, struct udphdr *udp,
                         struct chan *chan, __u64 addresses)
{
  const __u16 channel_header = job->up ? 0 : FZX_CHANNEL_HEADER;
  udp->source = out->sport;
  udp->dest = out->dport;
  udp->len = bpf_htons((__u16)(job->len + sizeof *udp + channel_header));
  chan->number = out->channel;
  chan->len = bpf_htons((__u16)job->len);
  __u64 sum =
      job->sum + addresses + udp->source + udp->dest + 2ull * udp->len; /* also in the pseudo header */
  if (!job->up)
    sum += (__u64)chan->number + chan->len;
  udp->check = job->has_sum ? fzx_csum_close_udp(sum) : 0;
}

/* Bytes of headers that |job| will have, of which |head| are there in both directions. */
FZX_INLINE unsigned head_of(const struct job *job, unsigned head)
{
  return job->up ? head : head + FZX_CHANNEL_HEADER;
}

FZX_INLINE int route4(struct xdp_md *ctx, const struct job *job, __u32 len, const struct fzx_out *out,
                      struct ethhdr *eth)
{
  struct bpf_fib_lookup fib;
  if (settings.route == FZX_ROUTE_SWAP)
    return swap(ctx, job, len, eth);
  clear_fib(&fib);
  fib.family = FAMILY_INET;
  fib.tos = job->ip.tos & 0xfc;
  fib.tot_len = (__u16)len;
  fib.ipv4_src = out->src;
  fib.ipv4_dst = out->dst;
  fib.sport = out->sport;
  fib.dport = out->dport;
  return look_up_route(ctx, &fib, eth);
}

FZX_INLINE int send4(struct xdp_md *ctx, const struct job *job, const struct fzx_out *out)
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
  if (!move_head(ctx, job, head))
    return ~FZX_PASSED_NO_HEADROOM;
  const __u64 addresses = (__u64)out->src + out->dst;
  f.eth.h_proto = bpf_htons(ETH_P_IP);
  copy_ip(&f.ip, &job->ip);
  f.ip.tot_len = bpf_htons((__u16)len);
  f.ip.check = 0;
  f.ip.check = fzx_csum_close(add_header4(&f.ip, addresses));
  f.ip.saddr = out->src;
  f.ip.daddr = out->dst;
  make_udp(job, out, &f.udp, &f.chan, addresses);
  count(job);
  return write_head(ctx, &f.eth, head, action);
}

FZX_INLINE int route6(struct xdp_md *ctx, const struct job *job, __u32 len, const struct fzx_out *out,
                      const struct ipv6hdr *ip, struct ethhdr *eth)
{
  struct bpf_fib_lookup fib;
  if (settings.route == FZX_ROUTE_SWAP)
    return swap(ctx, job, len, eth);
  clear_fib(&fib);
  fib.family = FAMILY_INET6;
  fib.tot_len = (__u16)len;
  fib.flowinfo = job->flow & bpf_htonl(0x0fffffff);
  __builtin_memcpy(fib.ipv6_src, &ip->saddr, sizeof ip->saddr);
  __builtin_memcpy(fib.ipv6_dst, &ip->daddr, sizeof ip->daddr);
  fib.sport = out->sport;
  fib.dport = out->dport;
  return look_up_route(ctx, &fib, eth);
}

FZX_INLINE int send6(struct xdp_md *ctx, const struct job *job, const struct fzx_out *out,
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
  if (!move_head(ctx, job, head))
    return ~FZX_PASSED_NO_HEADROOM;
  f.eth.h_proto = bpf_htons(ETH_P_IPV6);
  *(__be32 *)&f.ip = job->flow;
  f.ip.payload_len = bpf_htons((__u16)(len - sizeof f.ip));
  f.ip.nexthdr = IPPROTO_UDP;
  f.ip.hop_limit = job->ip.ttl;
  make_udp(job, out, &f.udp, &f.chan, add4(add4(0, src), dst));
  count(job);
  return write_head(ctx, &f.eth, head, action);
}

#endif
