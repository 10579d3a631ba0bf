/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* The first half of both programs: which packets are to be relayed, or dropped. Whatever there is the slightest doubt about goes on to user space
 * untouched, and is counted by reason: headers are read, checked and looked up, the new ones are made on the stack, and only when
 * nothing can fail any more is the packet written to. */
#ifndef FZX_RELAY_H
#define FZX_RELAY_H

#include "fzx_guard.h"
#include "fzx_send.h"

#define IP_DF             0x4000
#define IP_FRAGMENT       0x3fff /* more fragments, and the offset */
#define ETHERTYPE_8021AD  0x88a8
#define NEXT_HOP_BY_HOP   0
#define NEXT_ROUTING      43
#define NEXT_FRAGMENT     44
#define NEXT_AUTH         51
#define NEXT_DESTINATIONS 60

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
FZX_INLINE int forward4(context *ctx, struct frame4 *f, void *data, void *data_end, __u64 wire, int up)
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
  const __be32 *ip = (const __be32 *)&f->ip;
  if (!fzx_csum_is_zero(add_header4(ip, addresses)))
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
  job.ip[0] = ip[0] & bpf_htonl(0xffff0000);
  job.ip[1] = ip[1] & bpf_htonl(0xffff0000 | IP_DF);
  job.ip[2] = (ip[2] & bpf_htonl(0xffff0000)) -
              bpf_htonl(1u << 24); /* TTL, which is at one end of the word in any order */
  job.macs = (const __u16 *)&f->eth;
  if (!fzx_path_is_ipv6(value.out.path))
    return send4(ctx, &job, &value.out);
  if (TAKE_REST(struct fzx_value4, &value, found))
    return ~FZX_PASSED_CHANGED;
  return send6(ctx, &job, &value.out, &value.rest);
}

/* The same, and what is left of it is dropped if it is junk. */
FZX_INLINE int take4(context *ctx, struct frame4 *f, void *data, void *data_end, __u64 wire, int up)
{
  const int result = forward4(ctx, f, data, data_end, wire, up);
  return result < 0 && settings.guard && may_be_junk(~result) ? guard4(ctx, f, wire, up, result) : result;
}

FZX_INLINE int relay4(context *ctx, void *data, void *data_end, __u64 wire)
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
    return take4(ctx, &f, data, data_end, wire, 1);
  return is_relayed(port) ? take4(ctx, &f, data, data_end, wire, 0) : ~FZX_PASSED_PORT;
}

FZX_INLINE int is_extension(__u8 next)
{
  return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_AUTH || next == NEXT_DESTINATIONS;
}

FZX_INLINE int forward6(context *ctx, struct frame6 *f, void *data, void *data_end, __u64 wire, int up)
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
  job.ip[0] = bpf_htonl(0x45000000 | (bpf_ntohl(job.flow) >> 20 & 0xff) << 16);
  job.ip[1] = bpf_htonl(IP_DF);
  job.ip[2] = bpf_htonl((__u32)(f->ip.hop_limit - 1) << 24 | IPPROTO_UDP << 16);
  job.macs = (const __u16 *)&f->eth;
  if (!fzx_path_is_ipv6(value.out.path))
    return send4(ctx, &job, &value.out);
  if (TAKE_REST(struct fzx_value6, &value, found))
    return ~FZX_PASSED_CHANGED;
  return send6(ctx, &job, &value.out, &value.rest);
}

/* The same, and what is left of it is dropped if it is junk. */
FZX_INLINE int take6(context *ctx, struct frame6 *f, void *data, void *data_end, __u64 wire, int up)
{
  const int result = forward6(ctx, f, data, data_end, wire, up);
  return result < 0 && settings.guard && may_be_junk(~result) ? guard6(ctx, f, wire, up, result) : result;
}

FZX_INLINE int relay6(context *ctx, void *data, void *data_end, __u64 wire)
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
    return take6(ctx, &f, data, data_end, wire, 1);
  return is_relayed(port) ? take6(ctx, &f, data, data_end, wire, 0) : ~FZX_PASSED_PORT;
}

/* Returns what to do with the packet, or ~reason for leaving it alone. */
FZX_INLINE int relay(context *ctx)
{
  /* Asked first, while there is nothing to save from the call. */
  const __u64 wire = length_of(ctx);
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

#endif
