// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0
/* The program for network drivers: it sees frames before the host's network stack does. What it leaves alone goes on by XDP_PASS. */
#include "fzx_maps.h"

typedef struct xdp_md context;

#define ACTION_DROP XDP_DROP

FZX_INLINE __u64 length_of(context *ctx)
{
  return bpf_xdp_get_buff_len(ctx);
}

FZX_INLINE __u32 came_by(const context *ctx)
{
  return ctx->ingress_ifindex;
}

/* Both return the action by which a packet leaves, or ~reason. */
FZX_INLINE int leave_back(const context *ctx)
{
  (void)ctx;
  return XDP_TX;
}

FZX_INLINE int leave_by(const context *ctx, __u32 ifindex)
{
  (void)ctx;
  return bpf_redirect_map(&fzx_targets, ifindex, XDP_PASS) == XDP_REDIRECT ? XDP_REDIRECT
                                                                           : ~FZX_PASSED_INTERFACE;
}

/* Makes room for |head| bytes of headers, IP's of |type|, where there are |job|'s now. Returns 0; or ~reason with nothing changed, if the
 * driver has no room. */
FZX_INLINE int move_head(context *ctx, const struct job *job, unsigned head, __u16 type)
{
  (void)type;
  return bpf_xdp_adjust_head(ctx, (int)job->head - (int)head) ? ~FZX_PASSED_NO_HEADROOM : 0;
}

/* Puts |head| bytes of |eth| and what follows it at the front of the packet, which is known to be that long. */
FZX_INLINE int write_head(context *ctx, const struct ethhdr *eth, unsigned head, int action)
{
  void *data = (void *)(long)ctx->data;
  if (data + head > (void *)(long)ctx->data_end)
    return XDP_ABORTED; /* can't be: the headers before it were there, too */
  copy_head(data, eth, head);
  return action;
}

#include "fzx_relay.h"

SEC("xdp.frags")
int fzx_relay(context *ctx)
{
  const int result = relay(ctx);
  if (result >= 0)
    return result;
  count_passed(~result);
  return XDP_PASS;
}

/* ---- to try a driver ---- */

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FZX_TARGETS);
  __type(key, __u32);
  __type(value, __u32);
} fzx_heads SEC(".maps");

/* Notes whether packets of the interface can grow as much as they may have to. They go on as they came. */
SEC("xdp.frags")
int fzx_probe(context *ctx)
{
  const __u32 interface = came_by(ctx);
  const __u32 head = bpf_xdp_adjust_head(ctx, -FZX_GROWTH) ? FZX_HEAD_FIXED : FZX_HEAD_MOVES;
  bpf_map_update_elem(&fzx_heads, &interface, &head, BPF_ANY);
  return head == FZX_HEAD_MOVES && bpf_xdp_adjust_head(ctx, FZX_GROWTH) ? XDP_ABORTED : XDP_PASS;
}

/* bpf_fib_lookup is for GPL-compatible programs. */
char fzx_license[] SEC("license") = "Dual BSD/GPL";
