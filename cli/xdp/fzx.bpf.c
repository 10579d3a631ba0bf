// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0
/* Relays packets of bound channels before the host's network stack sees them. Whatever it has the slightest doubt about goes on to
 * user space (XDP_PASS) untouched, and is counted by reason: headers are read, checked and looked up, the new ones are made on
 * the stack, and only when nothing can fail any more is the packet written to. */
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

/* ---- sending ---- */

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

/* ---- receiving ---- */

/* Whether a packet to |port| (host order) is from a peer, if it is not from a client. */
FZX_INLINE int is_relayed(__u16 port)
{
  return port >= settings.lowest_port && port <= settings.highest_port;
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
  job->sum = fzx_csum_sub(job->sum, (__u64)chan->number + chan->len);
  return 0;
}

/* Opens the UDP checksum and takes out what will be replaced; |addresses| is the sum of both. Returns 0 or ~reason. */
FZX_INLINE int take_checksum(struct job *job, const struct udphdr *udp, __u64 addresses)
{
  const __u64 opened = fzx_csum_open(udp->check);
  /* What a sender leaves to the device is the sum of the pseudo header alone; a full checksum is equal to that once in 65,536. */
  if (udp->check && fzx_csum_is_zero(opened + addresses + bpf_htons(IPPROTO_UDP) + udp->len))
    return ~FZX_PASSED_UNFINISHED;
  job->has_sum = udp->check != 0;
  job->sum = fzx_csum_sub(opened, addresses + udp->source + udp->dest + 2ull * udp->len);
  return 0;
}

/* Whether two IPv6 addresses differ: 0 if not. */
FZX_INLINE __u32 differ6(const __be32 *a, const __be32 *b)
{
  return (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]);
}

/* Two halves, the first of them |first|, as one word. */
FZX_INLINE __u32 both(const __be16 *first)
{
  return *(const __u32 *)first;
}

/* Two halves as they follow each other in memory. What is written at once can be read again at once; the CPU has to wait for what is
 * written in pieces and read as a whole, as keys are. */
FZX_INLINE __u32 join(__be16 first, __be16 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return first | (__u32)second << 16;
#else
  return (__u32)first << 16 | second;
#endif
}

/* What was found may be freed, and filled with another channel, while it is copied. The kernel fills it in whatever order its memcpy()
 * likes, so no order of reads, with or without barriers, would tell a copy that is half of each. The copy tells: its digests are right
 * only if it is all of one channel, and its key says of which. Each word is read once, hence volatile, so that what is used is what was
 * judged. */

/* Copies the words from |from| on, the last of which, |to|, is the digest of all before it. Returns 0 if it is right. */
FZX_INLINE __u32 copy_words(__u32 *words, const volatile __u32 *found, unsigned from, unsigned to)
{
#pragma unroll
  for (unsigned i = from; i <= to; i++)
    words[i] = found[i];
  return fzx_digest(words, to) ^ words[to];
}

/* Copies what was |found| for |key| to |value|, all but the rest, which is for IPv6. Returns 0, or not 0 if it is not to be trusted. */
FZX_INLINE __u32 take_value4(const struct fzx_key4 *key, const void *found, struct fzx_value4 *value)
{
  const __u32 changed = copy_words((__u32 *)value, found, 0, offsetof(struct fzx_value4, digest) / 4);
  return changed | (value->key.ip ^ key->ip) | (both(&value->key.port) ^ both(&key->port));
}

FZX_INLINE __u32 take_value6(const struct fzx_key6 *key, const void *found, struct fzx_value6 *value)
{
  const __u32 changed = copy_words((__u32 *)value, found, 0, offsetof(struct fzx_value6, digest) / 4);
  return changed | differ6(value->key.ip, key->ip) | (both(&value->key.port) ^ both(&key->port));
}

/* The rest of a |value_type|, once the first of it is known to be right. */
#define TAKE_REST(value_type, value, found)                                                                  \
  copy_words((__u32 *)(value), found, offsetof(value_type, rest) / 4, sizeof(value_type) / 4 - 1)

/* A packet to the listen port (|up|) or to one that may be relayed, of |wire| bytes on the wire, of which those from |data| to |data_end|
 * are in the first buffer. |up| is a constant: each direction has code of its own, which saves branches, and must not share what follows a
 * look-up, for the verifier lets only the privileged mix pointers into different maps. */
FZX_INLINE int forward4(struct xdp_md *ctx, struct frame4 *f, void *data, void *data_end, __u64 wire, int up)
{
  struct job job = {.up = (__u32)up, .head = HEAD4};
  struct fzx_value4 value;
  int result;
  const __u32 udp_len = bpf_ntohs(f->udp.len);
  if (udp_len < sizeof f->udp || udp_len + sizeof f->ip != bpf_ntohs(f->ip.tot_len) ||
      udp_len + sizeof f->ip + ETH_HLEN != wire)
    return ~FZX_PASSED_LENGTH;
  job.len = udp_len - (__u32)sizeof f->udp;
  const __u64 addresses = (__u64)f->ip.saddr + f->ip.daddr;
  result = take_checksum(&job, &f->udp, addresses);
  if (result)
    return result;
  if (up) {
    if (job.len < FZX_CHANNEL_HEADER)
      return ~FZX_PASSED_NOT_CHANNEL_DATA;
    if (data + HEAD4 + FZX_CHANNEL_HEADER > data_end)
      return ~FZX_PASSED_NOT_LINEAR;
    *(__u32 *)&f->chan = *(const __u32 *)(data + HEAD4);
    result = take_channel(&job, &f->chan);
    if (result)
      return result;
  }
  if (f->ip.ttl < 2)
    return ~FZX_PASSED_TTL;
  if (!fzx_csum_is_zero(add_header4(&f->ip, addresses)))
    return ~FZX_PASSED_IP_CHECKSUM;
  struct fzx_key4 key;
  key.ip = f->ip.saddr;
  *(__u32 *)&key.port = join(f->udp.source, up ? f->chan.number : f->udp.dest);
  const void *found = up ? bpf_map_lookup_elem(&fzx_clients4, &key) : bpf_map_lookup_elem(&fzx_peers4, &key);
  if (!found)
    return ~FZX_PASSED_NO_ENTRY;
  if (take_value4(&key, found, &value))
    return ~FZX_PASSED_CHANGED;
  if (value.in_dst != f->ip.daddr)
    return ~FZX_PASSED_DESTINATION;
  job.flow = bpf_htonl(0x60000000 | (__u32)f->ip.tos << 20);
  copy_ip(&job.ip, &f->ip);
  job.ip.ttl--;
  job.ip.frag_off &= bpf_htons(IP_DF);
  __builtin_memcpy(job.macs, f->eth.h_dest, sizeof job.macs);
  if (!fzx_path_is_ipv6(value.out.path))
    return send4(ctx, &job, &value.out);
  if (TAKE_REST(struct fzx_value4, &value, found))
    return ~FZX_PASSED_CHANGED;
  return send6(ctx, &job, &value.out, &value.rest);
}

FZX_INLINE int relay4(struct xdp_md *ctx, void *data, void *data_end, __u64 wire)
{
  struct frame4 f;
  copy_head(&f.eth, data, HEAD4);
  if (f.ip.protocol != IPPROTO_UDP)
    return ~FZX_PASSED_NOT_UDP;
  if ((f.eth.h_dest[0] | f.eth.h_source[0]) & 1)
    return ~FZX_PASSED_GROUP;
  if (f.ip.version != 4 || f.ip.ihl != 5)
    return ~FZX_PASSED_OPTIONS;
  if (f.ip.frag_off & bpf_htons(IP_FRAGMENT))
    return ~FZX_PASSED_FRAGMENT;
  const __u16 port = bpf_ntohs(f.udp.dest);
  if (port == settings.listen_port)
    return forward4(ctx, &f, data, data_end, wire, 1);
  return is_relayed(port) ? forward4(ctx, &f, data, data_end, wire, 0) : ~FZX_PASSED_PORT;
}

FZX_INLINE int is_extension(__u8 next)
{
  return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_AUTH || next == NEXT_DESTINATIONS;
}

FZX_INLINE int forward6(struct xdp_md *ctx, struct frame6 *f, void *data, void *data_end, __u64 wire, int up)
{
  struct job job = {.up = (__u32)up, .head = HEAD6};
  struct fzx_value6 value;
  int result;
  const __u32 udp_len = bpf_ntohs(f->udp.len);
  if (udp_len < sizeof f->udp || udp_len != bpf_ntohs(f->ip.payload_len) ||
      udp_len + sizeof f->ip + ETH_HLEN != wire)
    return ~FZX_PASSED_LENGTH;
  if (!f->udp.check)
    return ~FZX_PASSED_NO_CHECKSUM;
  job.len = udp_len - (__u32)sizeof f->udp;
  const __be32 *from = (const __be32 *)&f->ip.saddr, *to = (const __be32 *)&f->ip.daddr;
  result = take_checksum(&job, &f->udp, add4(add4(0, from), to));
  if (result)
    return result;
  if (up) {
    if (job.len < FZX_CHANNEL_HEADER)
      return ~FZX_PASSED_NOT_CHANNEL_DATA;
    if (data + HEAD6 + FZX_CHANNEL_HEADER > data_end)
      return ~FZX_PASSED_NOT_LINEAR;
    *(__u32 *)&f->chan = *(const __u32 *)(data + HEAD6);
    result = take_channel(&job, &f->chan);
    if (result)
      return result;
  }
  if (f->ip.hop_limit < 2)
    return ~FZX_PASSED_TTL;
  struct fzx_key6 key;
  __builtin_memcpy(key.ip, from, sizeof key.ip);
  *(__u32 *)&key.port = join(f->udp.source, up ? f->chan.number : f->udp.dest);
  const void *found = up ? bpf_map_lookup_elem(&fzx_clients6, &key) : bpf_map_lookup_elem(&fzx_peers6, &key);
  if (!found)
    return ~FZX_PASSED_NO_ENTRY;
  if (take_value6(&key, found, &value))
    return ~FZX_PASSED_CHANGED;
  if (differ6(value.in_dst, to))
    return ~FZX_PASSED_DESTINATION;
  job.flow = *(const __be32 *)&f->ip;
  job.ip.version = 4;
  job.ip.ihl = 5;
  job.ip.tos = (__u8)(bpf_ntohl(job.flow) >> 20);
  job.ip.frag_off = bpf_htons(IP_DF);
  job.ip.ttl = f->ip.hop_limit - 1;
  job.ip.protocol = IPPROTO_UDP;
  __builtin_memcpy(job.macs, f->eth.h_dest, sizeof job.macs);
  if (!fzx_path_is_ipv6(value.out.path))
    return send4(ctx, &job, &value.out);
  if (TAKE_REST(struct fzx_value6, &value, found))
    return ~FZX_PASSED_CHANGED;
  return send6(ctx, &job, &value.out, &value.rest);
}

FZX_INLINE int relay6(struct xdp_md *ctx, void *data, void *data_end, __u64 wire)
{
  struct frame6 f;
  copy_head(&f.eth, data, HEAD6);
  if (f.ip.nexthdr == NEXT_FRAGMENT)
    return ~FZX_PASSED_FRAGMENT;
  if (is_extension(f.ip.nexthdr) || f.ip.version != 6)
    return ~FZX_PASSED_OPTIONS;
  if (f.ip.nexthdr != IPPROTO_UDP)
    return ~FZX_PASSED_NOT_UDP;
  if ((f.eth.h_dest[0] | f.eth.h_source[0]) & 1)
    return ~FZX_PASSED_GROUP;
  const __u16 port = bpf_ntohs(f.udp.dest);
  if (port == settings.listen_port)
    return forward6(ctx, &f, data, data_end, wire, 1);
  return is_relayed(port) ? forward6(ctx, &f, data, data_end, wire, 0) : ~FZX_PASSED_PORT;
}

/* Returns what to do with the packet, or ~reason for leaving it alone. */
FZX_INLINE int relay(struct xdp_md *ctx)
{
  /* Asked first, while there is nothing to save from the call. */
  const __u64 wire = bpf_xdp_get_buff_len(ctx);
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  if (data + ETH_HLEN > data_end)
    return ~FZX_PASSED_NOT_UDP;
  const __be16 type = ((const __be16 *)data)[ETH_ALEN]; /* behind two addresses */
  if (type == bpf_htons(ETH_P_IP)) {
    if (data + HEAD4 <= data_end)
      return relay4(ctx, data, data_end, wire);
    return wire < HEAD4 ? ~FZX_PASSED_LENGTH : ~FZX_PASSED_NOT_LINEAR;
  }
  if (type == bpf_htons(ETH_P_IPV6)) {
    if (data + HEAD6 <= data_end)
      return relay6(ctx, data, data_end, wire);
    return wire < HEAD6 ? ~FZX_PASSED_LENGTH : ~FZX_PASSED_NOT_LINEAR;
  }
  if (type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETHERTYPE_8021AD))
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
