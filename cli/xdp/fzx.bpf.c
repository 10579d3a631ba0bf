// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0
/* Relays packets of bound channels before the host's network stack sees them. Whatever it has the slightest doubt about goes on to
 * user space (XDP_PASS) untouched, and is counted by reason: headers are read, checked and looked up, the new ones are made on
 * the stack, and only when nothing can fail any more is the packet written to. */
#include <linux/bpf.h>

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

#define IP_DF             0x4000
#define IP_FRAGMENT       0x3fff /* more fragments, and the offset */
#define ETHERTYPE_8021AD  0x88a8
#define FAMILY_INET       2
#define FAMILY_INET6      10
#define NEXT_HOP_BY_HOP   0
#define NEXT_ROUTING      43
#define NEXT_FRAGMENT     44
#define NEXT_AUTH         51
#define NEXT_DESTINATIONS 60

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
  __be32 flow; /* IPv6: version, class and label; IPv4: made of its TOS */
  __u16 has_sum;
  __be16 id;
  __be16 df;
  __u8 tos;
  __u8 ttl;
  __u16 macs[6]; /* destination, source */
};

const volatile struct fzx_settings settings SEC(".rodata.settings") = {};
#define CHANNEL_MAP(name, key_type, value_type)                                                              \
  struct {                                                                                                   \
    __uint(type, BPF_MAP_TYPE_HASH);                                                                         \
    __uint(max_entries, 65536);                                                                              \
    __type(key, key_type);                                                                                   \
    __type(value, value_type);                                                                               \
  } name SEC(".maps")

CHANNEL_MAP(fzx_clients4, struct fzx_key4, struct fzx_value4);
CHANNEL_MAP(fzx_peers4, struct fzx_key4, struct fzx_value4);
CHANNEL_MAP(fzx_clients6, struct fzx_key6, struct fzx_value6);
CHANNEL_MAP(fzx_peers6, struct fzx_key6, struct fzx_value6);

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

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FZX_PASSED_REASONS);
  __type(key, __u32);
  __type(value, __u64);
} fzx_passed SEC(".maps");

FZX_INLINE int pass(enum fzx_passed reason)
{
  const __u32 index = reason;
  __u64 *count = bpf_map_lookup_elem(&fzx_passed, &index);
  if (count)
    (*count)++;
  return XDP_PASS;
}

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

/* The sum of a whole IPv4 header without options. */
FZX_INLINE __u64 add_header4(const struct iphdr *ip)
{
  const __be32 *words = (const __be32 *)ip;
  return fzx_csum_add(add4(0, words), words[4]);
}

/* ---- sending ---- */

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
                         struct chan *chan, __u64 sum)
{
  const __u16 channel_header = job->up ? 0 : FZX_CHANNEL_HEADER;
  udp->source = out->sport;
  udp->dest = out->dport;
  udp->len = bpf_htons((__u16)(job->len + sizeof *udp + channel_header));
  chan->number = out->channel;
  chan->len = bpf_htons((__u16)job->len);
  sum = fzx_csum_add(sum, udp->source);
  sum = fzx_csum_add(sum, udp->dest);
  sum = fzx_csum_add(fzx_csum_add(sum, udp->len), udp->len); /* also in the pseudo header */
  if (!job->up)
    sum = fzx_csum_add(fzx_csum_add(sum, chan->number), chan->len);
  udp->check = job->has_sum ? fzx_csum_close_udp(sum) : 0;
}

FZX_INLINE int send4(struct xdp_md *ctx, const struct job *job, const struct fzx_out *out)
{
  struct frame4 f = {};
  struct bpf_fib_lookup fib = {};
  const unsigned head = job->up ? HEAD4 : HEAD4 + FZX_CHANNEL_HEADER;
  const __u32 len = head - ETH_HLEN + job->len;
  int action;
  if (len + ETH_HLEN < FZX_FRAME_MIN)
    return ~FZX_PASSED_SHORT;
  if (len > 0xffff)
    return ~FZX_PASSED_MTU;
  f.eth.h_proto = bpf_htons(ETH_P_IP);
  f.ip.version = 4;
  f.ip.ihl = 5;
  f.ip.tos = job->tos;
  f.ip.tot_len = bpf_htons((__u16)len);
  f.ip.id = job->id;
  f.ip.frag_off = job->df;
  f.ip.ttl = job->ttl - 1;
  f.ip.protocol = IPPROTO_UDP;
  f.ip.saddr = out->src[0];
  f.ip.daddr = out->dst[0];
  f.ip.check = fzx_csum_close(add_header4(&f.ip));
  make_udp(job, out, &f.udp, &f.chan, fzx_csum_add(fzx_csum_add(job->sum, f.ip.saddr), f.ip.daddr));
  if (settings.route == FZX_ROUTE_SWAP) {
    action = swap(ctx, job, len, &f.eth);
  } else {
    fib.family = FAMILY_INET;
    fib.tos = job->tos & 0xfc;
    fib.tot_len = (__u16)len;
    fib.ipv4_src = f.ip.saddr;
    fib.ipv4_dst = f.ip.daddr;
    fib.sport = f.udp.source;
    fib.dport = f.udp.dest;
    action = look_up_route(ctx, &fib, &f.eth);
  }
  if (action < 0)
    return action;
  if (!move_head(ctx, job, head))
    return ~FZX_PASSED_NO_HEADROOM;
  count(job);
  return job->up ? write_head(ctx, &f.eth, HEAD4, action)
                 : write_head(ctx, &f.eth, HEAD4 + FZX_CHANNEL_HEADER, action);
}

FZX_INLINE int send6(struct xdp_md *ctx, const struct job *job, const struct fzx_out *out)
{
  struct frame6 f = {};
  struct bpf_fib_lookup fib = {};
  const unsigned head = job->up ? HEAD6 : HEAD6 + FZX_CHANNEL_HEADER;
  const __u32 len = head - ETH_HLEN + job->len;
  int action;
  if (!job->has_sum)
    return ~FZX_PASSED_NO_CHECKSUM;
  if (len + ETH_HLEN < FZX_FRAME_MIN)
    return ~FZX_PASSED_SHORT;
  if (len > 0xffff)
    return ~FZX_PASSED_MTU;
  f.eth.h_proto = bpf_htons(ETH_P_IPV6);
  *(__be32 *)&f.ip = job->flow;
  f.ip.payload_len = bpf_htons((__u16)(len - sizeof f.ip));
  f.ip.nexthdr = IPPROTO_UDP;
  f.ip.hop_limit = job->ttl - 1;
  __builtin_memcpy(&f.ip.saddr, out->src, sizeof out->src);
  __builtin_memcpy(&f.ip.daddr, out->dst, sizeof out->dst);
  make_udp(job, out, &f.udp, &f.chan, add4(add4(job->sum, out->src), out->dst));
  if (settings.route == FZX_ROUTE_SWAP) {
    action = swap(ctx, job, len, &f.eth);
  } else {
    fib.family = FAMILY_INET6;
    fib.tot_len = (__u16)len;
    fib.flowinfo = job->flow & bpf_htonl(0x0fffffff);
    __builtin_memcpy(fib.ipv6_src, out->src, sizeof out->src);
    __builtin_memcpy(fib.ipv6_dst, out->dst, sizeof out->dst);
    fib.sport = f.udp.source;
    fib.dport = f.udp.dest;
    action = look_up_route(ctx, &fib, &f.eth);
  }
  if (action < 0)
    return action;
  if (!move_head(ctx, job, head))
    return ~FZX_PASSED_NO_HEADROOM;
  count(job);
  return job->up ? write_head(ctx, &f.eth, HEAD6, action)
                 : write_head(ctx, &f.eth, HEAD6 + FZX_CHANNEL_HEADER, action);
}

FZX_INLINE int send(struct xdp_md *ctx, const struct job *job, const struct fzx_out *out)
{
  return out->family == 4 ? send4(ctx, job, out) : send6(ctx, job, out);
}

/* ---- receiving ---- */

/* Which way a packet to |port| (host order) goes: 1 from a client, 0 from a peer, -1 not ours. */
FZX_INLINE int direction(__u16 port)
{
  if (port == settings.listen_port)
    return 1;
  return port >= settings.lowest_port && port <= settings.highest_port ? 0 : -1;
}

/* Checks the ChannelData header of a packet of |job->len| bytes behind UDP's header, and takes it off. Returns 0 or ~reason. */
FZX_INLINE int take_channel(struct job *job, const struct chan *chan)
{
  const __u16 number = bpf_ntohs(chan->number);
  if (number < FZX_CHANNEL_MIN || number > FZX_CHANNEL_MAX)
    return ~FZX_PASSED_NOT_CHANNEL_DATA;
  if (bpf_ntohs(chan->len) != job->len - FZX_CHANNEL_HEADER)
    return ~FZX_PASSED_CHANNEL_LENGTH;
  job->len -= FZX_CHANNEL_HEADER;
  job->head += FZX_CHANNEL_HEADER;
  job->sum = fzx_csum_sub(fzx_csum_sub(job->sum, chan->number), chan->len);
  return 0;
}

/* Opens the UDP checksum and takes out what will be replaced; |addresses| is the sum of both. Returns 0 or ~reason. */
FZX_INLINE int take_checksum(struct job *job, const struct udphdr *udp, __u64 addresses)
{
  const __u16 addresses_sum = fzx_csum_fold(addresses);
  /* What a sender leaves to the device is the sum of the pseudo header alone; a full checksum is equal to that once in 65,536. */
  __u64 pseudo = fzx_csum_add(fzx_csum_add(addresses_sum, bpf_htons(IPPROTO_UDP)), udp->len);
  if (udp->check && udp->check == fzx_csum_fold(pseudo))
    return ~FZX_PASSED_UNFINISHED;
  job->has_sum = udp->check != 0;
  job->sum = fzx_csum_sub(fzx_csum_open(udp->check), addresses_sum);
  job->sum = fzx_csum_sub(fzx_csum_sub(job->sum, udp->source), udp->dest);
  job->sum = fzx_csum_sub(fzx_csum_sub(job->sum, udp->len), udp->len);
  return 0;
}

/* Looks |key| up and copies what is found to |value|. Returns 0 or ~reason.
 *
 * What was found may be freed, and filled with another channel, while it is copied. The kernel fills it in whatever order its memcpy()
 * likes, so no order of reads, with or without barriers, would tell a copy that is half of each. The copy tells: its digest is right only
 * if it is all of one channel, and its key says of which. Each word is read once, hence volatile, so that what is used is what was judged.
 *
 * One function for each map: what follows a look-up must not be shared, for the verifier lets only the privileged mix pointers into
 * different maps. */
#define LOOK_UP(name, map, key_type, value_type)                                                             \
  FZX_INLINE int name(const key_type *key, value_type *value)                                                \
  {                                                                                                          \
    const volatile __u32 *found = bpf_map_lookup_elem(&map, key);                                            \
    __u32 *words = (__u32 *)value;                                                                           \
    if (!found)                                                                                              \
      return ~FZX_PASSED_NO_ENTRY;                                                                           \
    _Pragma("unroll") for (unsigned i = 0; i < sizeof *value / 4; i++) words[i] = found[i];                  \
    __u32 changed = fzx_digest(words, sizeof *value) ^ value->digest;                                        \
    _Pragma("unroll") for (unsigned i = 0; i < sizeof *key / 4; i++) changed |=                              \
        words[i] ^ ((const __u32 *)key)[i];                                                                  \
    asm volatile("# " #map : "+r"(changed));                                                                 \
    return changed ? ~FZX_PASSED_CHANGED : 0;                                                                \
  }

LOOK_UP(find_client4, fzx_clients4, struct fzx_key4, struct fzx_value4)
LOOK_UP(find_peer4, fzx_peers4, struct fzx_key4, struct fzx_value4)
LOOK_UP(find_client6, fzx_clients6, struct fzx_key6, struct fzx_value6)
LOOK_UP(find_peer6, fzx_peers6, struct fzx_key6, struct fzx_value6)

FZX_INLINE int relay4(struct xdp_md *ctx, void *data, void *data_end)
{
  struct frame4 f;
  struct job job = {};
  struct fzx_value4 value;
  int result;
  copy_head(&f.eth, data, HEAD4);
  if (f.ip.protocol != IPPROTO_UDP)
    return ~FZX_PASSED_NOT_UDP;
  if ((f.eth.h_dest[0] | f.eth.h_source[0]) & 1)
    return ~FZX_PASSED_GROUP;
  if (f.ip.version != 4 || f.ip.ihl != 5)
    return ~FZX_PASSED_OPTIONS;
  if (f.ip.frag_off & bpf_htons(IP_FRAGMENT))
    return ~FZX_PASSED_FRAGMENT;
  const int up = direction(bpf_ntohs(f.udp.dest));
  if (up < 0)
    return ~FZX_PASSED_PORT;
  const __u32 udp_len = bpf_ntohs(f.udp.len);
  if (udp_len < sizeof f.udp || udp_len + sizeof f.ip != bpf_ntohs(f.ip.tot_len) ||
      udp_len + sizeof f.ip + ETH_HLEN != bpf_xdp_get_buff_len(ctx))
    return ~FZX_PASSED_LENGTH;
  job.up = (__u32)up;
  job.head = HEAD4;
  job.len = udp_len - (__u32)sizeof f.udp;
  result = take_checksum(&job, &f.udp, fzx_csum_add(fzx_csum_add(0, f.ip.saddr), f.ip.daddr));
  if (result)
    return result;
  if (up) {
    if (job.len < FZX_CHANNEL_HEADER)
      return ~FZX_PASSED_NOT_CHANNEL_DATA;
    if (data + HEAD4 + FZX_CHANNEL_HEADER > data_end)
      return ~FZX_PASSED_NOT_LINEAR;
    *(__u32 *)&f.chan = *(const __u32 *)(data + HEAD4);
    result = take_channel(&job, &f.chan);
    if (result)
      return result;
  }
  if (f.ip.ttl < 2)
    return ~FZX_PASSED_TTL;
  if (fzx_csum_fold(add_header4(&f.ip)) != 0xffff)
    return ~FZX_PASSED_IP_CHECKSUM;
  const struct fzx_key4 key = {f.ip.saddr, f.udp.source, up ? f.chan.number : f.udp.dest};
  result = up ? find_client4(&key, &value) : find_peer4(&key, &value);
  if (result)
    return result;
  if (value.in_dst != f.ip.daddr)
    return ~FZX_PASSED_DESTINATION;
  job.tos = f.ip.tos;
  job.ttl = f.ip.ttl;
  job.id = f.ip.id;
  job.df = f.ip.frag_off & bpf_htons(IP_DF);
  job.flow = bpf_htonl(0x60000000 | (__u32)f.ip.tos << 20);
  __builtin_memcpy(job.macs, f.eth.h_dest, sizeof job.macs);
  return send(ctx, &job, &value.out);
}

FZX_INLINE int is_extension(__u8 next)
{
  return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_AUTH || next == NEXT_DESTINATIONS;
}

FZX_INLINE int relay6(struct xdp_md *ctx, void *data, void *data_end)
{
  struct frame6 f;
  struct job job = {};
  struct fzx_value6 value;
  int result;
  copy_head(&f.eth, data, HEAD6);
  if (f.ip.nexthdr == NEXT_FRAGMENT)
    return ~FZX_PASSED_FRAGMENT;
  if (is_extension(f.ip.nexthdr) || f.ip.version != 6)
    return ~FZX_PASSED_OPTIONS;
  if (f.ip.nexthdr != IPPROTO_UDP)
    return ~FZX_PASSED_NOT_UDP;
  if ((f.eth.h_dest[0] | f.eth.h_source[0]) & 1)
    return ~FZX_PASSED_GROUP;
  const int up = direction(bpf_ntohs(f.udp.dest));
  if (up < 0)
    return ~FZX_PASSED_PORT;
  const __u32 udp_len = bpf_ntohs(f.udp.len);
  if (udp_len < sizeof f.udp || udp_len != bpf_ntohs(f.ip.payload_len) ||
      udp_len + sizeof f.ip + ETH_HLEN != bpf_xdp_get_buff_len(ctx))
    return ~FZX_PASSED_LENGTH;
  if (!f.udp.check)
    return ~FZX_PASSED_NO_CHECKSUM;
  job.up = (__u32)up;
  job.head = HEAD6;
  job.len = udp_len - (__u32)sizeof f.udp;
  result =
      take_checksum(&job, &f.udp, add4(add4(0, (const __be32 *)&f.ip.saddr), (const __be32 *)&f.ip.daddr));
  if (result)
    return result;
  if (up) {
    if (job.len < FZX_CHANNEL_HEADER)
      return ~FZX_PASSED_NOT_CHANNEL_DATA;
    if (data + HEAD6 + FZX_CHANNEL_HEADER > data_end)
      return ~FZX_PASSED_NOT_LINEAR;
    *(__u32 *)&f.chan = *(const __u32 *)(data + HEAD6);
    result = take_channel(&job, &f.chan);
    if (result)
      return result;
  }
  if (f.ip.hop_limit < 2)
    return ~FZX_PASSED_TTL;
  struct fzx_key6 key;
  __builtin_memcpy(key.ip, &f.ip.saddr, sizeof key.ip);
  key.port = f.udp.source;
  key.what = up ? f.chan.number : f.udp.dest;
  result = up ? find_client6(&key, &value) : find_peer6(&key, &value);
  if (result)
    return result;
  const __be32 *to = (const __be32 *)&f.ip.daddr;
  if ((value.in_dst[0] ^ to[0]) | (value.in_dst[1] ^ to[1]) | (value.in_dst[2] ^ to[2]) |
      (value.in_dst[3] ^ to[3]))
    return ~FZX_PASSED_DESTINATION;
  job.flow = *(const __be32 *)&f.ip;
  job.tos = (__u8)(bpf_ntohl(job.flow) >> 20);
  job.ttl = f.ip.hop_limit;
  job.df = bpf_htons(IP_DF);
  __builtin_memcpy(job.macs, f.eth.h_dest, sizeof job.macs);
  return send(ctx, &job, &value.out);
}

/* Returns what to do with the packet, or ~reason for leaving it alone. */
FZX_INLINE int relay(struct xdp_md *ctx)
{
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  const struct ethhdr *eth = data;
  if (data + sizeof *eth > data_end)
    return ~FZX_PASSED_NOT_UDP;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    if (data + HEAD4 <= data_end)
      return relay4(ctx, data, data_end);
    return bpf_xdp_get_buff_len(ctx) < HEAD4 ? ~FZX_PASSED_LENGTH : ~FZX_PASSED_NOT_LINEAR;
  }
  if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
    if (data + HEAD6 <= data_end)
      return relay6(ctx, data, data_end);
    return bpf_xdp_get_buff_len(ctx) < HEAD6 ? ~FZX_PASSED_LENGTH : ~FZX_PASSED_NOT_LINEAR;
  }
  if (eth->h_proto == bpf_htons(ETH_P_8021Q) || eth->h_proto == bpf_htons(ETHERTYPE_8021AD))
    return ~FZX_PASSED_VLAN;
  return ~FZX_PASSED_NOT_UDP;
}

SEC("xdp.frags")
int fzx_relay(struct xdp_md *ctx)
{
  const int result = relay(ctx);
  return result < 0 ? pass(~result) : result;
}

/* bpf_fib_lookup is for GPL-compatible programs. */
char fzx_license[] SEC("license") = "Dual BSD/GPL";
