/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* What both programs drop: packets that user space would drop for certain, sent to one of the relay's own addresses. Whatever the relay would
 * answer, log or look at twice goes on. */
#ifndef FZX_GUARD_H
#define FZX_GUARD_H

#include "fzx_maps.h"

#define STUN_HEADER     20
#define STUN_COOKIE     0x2112a442
#define STUN_RESPONSE   0x0100 /* bit of the type: a response, or an error */
#define STUN_INDICATION 0x0010 /* the other one of the class */
#define STUN_BINDING    0x0001
#define STUN_CREDENTIALS                                                                                     \
  20 /* bytes of the shortest MESSAGE-INTEGRITY-SHA256: with less behind the header there are none */
#define TLS_HANDSHAKE 22
#define LONGEST_OF_PADDED                                                                                    \
  64 /* bytes of a frame that is padded to Ethernet's least, perhaps with its checksum */
#define BURST 4000000000ull /* ns: of its rate, what a prefix has at once */

/* What judge() returns besides reasons to drop. */
#define JUDGED_CHANNEL_DATA (-1) /* it may be relayed */
#define JUDGED_REQUEST      (-2) /* that has no credentials */
#define JUDGED_OTHER        (-3)

/* Whether these reasons to leave a packet alone may be those of junk. All others leave it to user space. */
FZX_INLINE int may_be_junk(int reason)
{
  return reason == FZX_PASSED_LENGTH || reason == FZX_PASSED_NOT_CHANNEL_DATA ||
         reason == FZX_PASSED_CHANNEL_LENGTH || reason == FZX_PASSED_NO_ENTRY;
}

FZX_INLINE int drop_for(enum fzx_dropped reason)
{
  const __u32 index = reason;
  __u64 *count = bpf_map_lookup_elem(&fzx_dropped, &index);
  if (count)
    (*count)++;
  return ACTION_DROP;
}

/* Whether the lengths of UDP, IP's payload and what of it is in the frame agree, but for a short frame's padding. */
FZX_INLINE int is_whole(__u32 udp, __u32 ip, __u64 there, unsigned head)
{
  return udp >= sizeof(struct udphdr) && udp == ip &&
         (udp == there || (udp < there && there + head <= LONGEST_OF_PADDED));
}

FZX_INLINE int judge_channel_data(const __u8 *at, const void *end, __u32 len)
{
  if (len < FZX_CHANNEL_HEADER)
    return FZX_DROPPED_CHANNEL_TRUNCATED;
  if ((const void *)(at + FZX_CHANNEL_HEADER) > end)
    return JUDGED_OTHER;
  return (((__u32)at[2] << 8) | at[3]) > len - FZX_CHANNEL_HEADER ? FZX_DROPPED_CHANNEL_TRUNCATED
                                                                  : JUDGED_CHANNEL_DATA;
}

FZX_INLINE int judge_stun(const __u8 *at, const void *end, __u32 len)
{
  if (len < STUN_HEADER)
    return FZX_DROPPED_STUN_TRUNCATED;
  if ((const void *)(at + 8) > end)
    return JUDGED_OTHER;
  if ((((__u32)at[4] << 24) | ((__u32)at[5] << 16) | ((__u32)at[6] << 8) | at[7]) != STUN_COOKIE)
    return FZX_DROPPED_STUN_COOKIE;
  const __u32 type = ((__u32)at[0] << 8) | at[1], body = ((__u32)at[2] << 8) | at[3];
  if (body % 4)
    return FZX_DROPPED_STUN_LENGTH;
  if (body + STUN_HEADER != len)
    return FZX_DROPPED_STUN_TRUNCATED;
  if (type & STUN_RESPONSE)
    return FZX_DROPPED_STUN_NOT_REQUEST;
  if (type & STUN_INDICATION)
    return JUDGED_OTHER;
  return type == STUN_BINDING || body < STUN_CREDENTIALS ? JUDGED_REQUEST : JUDGED_OTHER;
}

/* What |len| bytes to the listen port are, of which those from |at| to |end| can be read: a reason to drop them, or JUDGED_…. */
FZX_INLINE int judge(const __u8 *at, const void *end, __u32 len)
{
  if (!len)
    return FZX_DROPPED_NOT_STUN;
  if ((const void *)(at + 1) > end)
    return JUDGED_OTHER;
  if ((at[0] & 0xf0) == 0x40)
    return judge_channel_data(at, end, len);
  if (at[0] < 0x04)
    return judge_stun(at, end, len);
  /* Who greets with TLS is told of in the log. */
  return at[0] == TLS_HANDSHAKE ? JUDGED_OTHER : FZX_DROPPED_NOT_STUN;
}

/* Whether the |prefix| has had as many answers as strangers may have. Two CPUs may count one request for two. */
FZX_INLINE int is_over_rate(__u64 prefix)
{
  const __u64 interval = settings.stranger_interval;
  if (!interval)
    return 0;
  const __u64 now = bpf_ktime_get_ns();
  __u64 *full_at = bpf_map_lookup_elem(&fzx_prefixes, &prefix);
  if (!full_at) {
    const __u64 first = now + interval;
    bpf_map_update_elem(&fzx_prefixes, &prefix, &first, BPF_ANY);
    return 0;
  }
  const __u64 from = *full_at > now ? *full_at : now;
  if (from - now > BURST - interval)
    return 1;
  *full_at = from + interval;
  return 0;
}

/* A packet to the listen port, judged. |has_channels|: its client has some. Returns ACTION_DROP or |passed|. */
FZX_INLINE int guard_listener(int judged, __u32 own, int has_channels, __u64 prefix, int passed)
{
  if (judged >= 0)
    return drop_for((enum fzx_dropped)judged);
  if (judged == JUDGED_CHANNEL_DATA)
    return (own & FZX_OWN_ALL_CLIENTS) && !has_channels ? drop_for(FZX_DROPPED_UNKNOWN_CLIENT) : passed;
  if (judged == JUDGED_REQUEST)
    return is_over_rate(prefix) ? drop_for(FZX_DROPPED_RATE_LIMITED) : passed;
  return passed;
}

/* Whether all that may come to |port| is in the maps. */
FZX_INLINE int is_guarded(__be16 port, int ipv6)
{
  const __u32 index = bpf_ntohs(port);
  const struct fzx_port *known = bpf_map_lookup_elem(&fzx_ports, &index);
  return known && known->in_kernel[ipv6] && !known->left[ipv6];
}

/* Both: a packet that was left alone for |passed|, of |wire| bytes. Return ACTION_DROP or |passed|. */
FZX_INLINE int guard4(context *ctx, const struct frame4 *f, __u64 wire, int up, int passed)
{
  const __u32 udp_len = bpf_ntohs(f->udp.len);
  if (!is_whole(udp_len, bpf_ntohs(f->ip.tot_len) - (__u32)sizeof f->ip, wire - ETH_HLEN - sizeof f->ip,
                ETH_HLEN + sizeof f->ip))
    return passed;
  const struct fzx_address to = {.ip = {f->ip.daddr}};
  const __u32 *own = bpf_map_lookup_elem(&fzx_own, &to);
  if (!own)
    return passed;
  struct fzx_key4 key = {.ip = f->ip.saddr, .port = f->udp.source, .what = up ? 0 : f->udp.dest};
  if (!up) {
    if (bpf_map_lookup_elem(&fzx_peers4, &key) || !is_guarded(f->udp.dest, 0))
      return passed;
    return drop_for(f->udp.source ? FZX_DROPPED_UNKNOWN_PEER : FZX_DROPPED_SOURCE_PORT);
  }
  if (!f->udp.source)
    return drop_for(FZX_DROPPED_SOURCE_PORT);
  const int judged =
      judge((void *)(long)ctx->data + HEAD4, (void *)(long)ctx->data_end, udp_len - (__u32)sizeof f->udp);
  const int has_channels = judged == JUDGED_CHANNEL_DATA && bpf_map_lookup_elem(&fzx_known4, &key);
  return guard_listener(judged, *own, has_channels, bpf_ntohl(f->ip.saddr) >> 8, passed);
}

FZX_INLINE int guard6(context *ctx, const struct frame6 *f, __u64 wire, int up, int passed)
{
  const __u32 udp_len = bpf_ntohs(f->udp.len);
  if (!is_whole(udp_len, bpf_ntohs(f->ip.payload_len), wire - ETH_HLEN - sizeof f->ip,
                ETH_HLEN + sizeof f->ip))
    return passed;
  struct fzx_address to;
  __builtin_memcpy(to.ip, &f->ip.daddr, sizeof to.ip);
  const __u32 *own = bpf_map_lookup_elem(&fzx_own, &to);
  if (!own)
    return passed;
  struct fzx_key6 key = {.port = f->udp.source, .what = up ? 0 : f->udp.dest};
  __builtin_memcpy(key.ip, &f->ip.saddr, sizeof key.ip);
  if (!up) {
    if (bpf_map_lookup_elem(&fzx_peers6, &key) || !is_guarded(f->udp.dest, 1))
      return passed;
    return drop_for(f->udp.source ? FZX_DROPPED_UNKNOWN_PEER : FZX_DROPPED_SOURCE_PORT);
  }
  if (!f->udp.source)
    return drop_for(FZX_DROPPED_SOURCE_PORT);
  const int judged =
      judge((void *)(long)ctx->data + HEAD6, (void *)(long)ctx->data_end, udp_len - (__u32)sizeof f->udp);
  const int has_channels = judged == JUDGED_CHANNEL_DATA && bpf_map_lookup_elem(&fzx_known6, &key);
  /* /48, and a bit that no IPv4 prefix has. */
  const __u64 prefix = 1ull << 63 | (__u64)bpf_ntohl(key.ip[0]) << 16 | bpf_ntohl(key.ip[1]) >> 16;
  return guard_listener(judged, *own, has_channels, prefix, passed);
}

#endif
