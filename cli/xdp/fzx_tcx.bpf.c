// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0
/* The program for the ingress of any Ethernet interface (tcx): it sees packets that the driver has made socket buffers of, before the rest
 * of the host's network stack does. What it leaves alone goes on to the next program there. Runs of packets (GRO, GSO), in which each
 * segment has a ChannelData header of its own, are user space's, which takes them at once. */
#include "fzx_maps.h"

typedef struct __sk_buff context;

/* enum tcx_action_base, which headers of before Linux 6.6 do not have. */
#define ACTION_NEXT     (-1)
#define ACTION_DROP     2
#define ACTION_REDIRECT 7

FZX_INLINE __u64 length_of(context *ctx)
{
  return ctx->len;
}

/* Of a VLAN interface that one, not the device below it. */
FZX_INLINE __u32 came_by(const context *ctx)
{
  return ctx->ifindex;
}

/* Both return the action by which a packet leaves, or ~reason. bpf_redirect() only notes where to. */
FZX_INLINE int leave_back(const context *ctx)
{
  return (int)bpf_redirect(ctx->ifindex, 0);
}

FZX_INLINE int leave_by(const context *ctx, __u32 ifindex)
{
  (void)ctx;
  return bpf_map_lookup_elem(&fzx_targets, &ifindex) ? (int)bpf_redirect(ifindex, 0) : ~FZX_PASSED_INTERFACE;
}

/* Makes room for |head| bytes of headers, IP's of |type|, where there are |job|'s now. Returns 0; ~reason with nothing changed; or, when
 * memory is short half way, that it is to be dropped. */
FZX_INLINE int move_head(context *ctx, const struct job *job, unsigned head, __u16 type)
{
  const unsigned from = job->head - (job->up ? FZX_CHANNEL_HEADER : 0);
  int more = (int)head - (int)job->head, half = 0;
  if ((type == ETH_P_IP) != (from == HEAD4)) {
    if (bpf_skb_change_proto(ctx, bpf_htons(type), 0))
      return ~FZX_PASSED_NO_HEADROOM;
    more = job->up ? -FZX_CHANNEL_HEADER : FZX_CHANNEL_HEADER;
    half = 1;
  }
  if (!bpf_skb_adjust_room(ctx, more, BPF_ADJ_ROOM_MAC, 0))
    return 0;
  return half ? ACTION_DROP : ~FZX_PASSED_NO_HEADROOM;
}

/* Whether the device has summed up the whole of what follows the MAC header (CHECKSUM_COMPLETE): the helper changes that sum, by nothing, or says
 * that there is none. */
FZX_INLINE int is_summed_up(context *ctx)
{
  return bpf_csum_update(ctx, 0) >= 0;
}

/* Puts |head| bytes of |eth| and what follows it at the front of the packet, which is known to be that long. A sum of the whole is kept right
 * by the kernel's helper; where there is none, a write of our own takes a third of the time. */
FZX_INLINE int write_head(context *ctx, const struct ethhdr *eth, unsigned head, int action)
{
  if (is_summed_up(ctx)) {
    if (bpf_skb_store_bytes(ctx, 0, eth, ETH_HLEN, 0) ||
        bpf_skb_store_bytes(ctx, ETH_HLEN, eth + 1, head - ETH_HLEN, BPF_F_RECOMPUTE_CSUM))
      return ACTION_DROP; /* can't be: the headers before it were there, too */
    return action;
  }
  void *data = (void *)(long)ctx->data;
  if (data + head > (void *)(long)ctx->data_end)
    return ACTION_DROP; /* likewise */
  copy_head(data, eth, head);
  return action;
}

#include "fzx_relay.h"

#define LONGEST_HEAD ((__u32)HEAD6 + FZX_CHANNEL_HEADER)

/* Has all headers in the first buffer, where drivers may have put a few bytes of them only. */
FZX_INLINE void gather_head(context *ctx)
{
  if ((void *)(long)ctx->data + LONGEST_HEAD > (void *)(long)ctx->data_end)
    bpf_skb_pull_data(ctx, ctx->len < LONGEST_HEAD ? ctx->len : LONGEST_HEAD);
}

FZX_INLINE int relay_single(context *ctx)
{
  if (ctx->gso_size)
    return ~FZX_PASSED_RUN;
  if (ctx->vlan_present)
    return ~FZX_PASSED_VLAN;
  gather_head(ctx);
  return relay(ctx);
}

SEC("tc")
int fzx_relay(context *ctx)
{
  const int result = relay_single(ctx);
  if (result >= 0)
    return result;
  count_passed(~result);
  return ACTION_NEXT;
}

/* bpf_fib_lookup is for GPL-compatible programs. */
char fzx_license[] SEC("license") = "Dual BSD/GPL";
