// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0
/* Leads what comes to a port of an allocation to the socket of its worker. What is for others goes on as if there were no such program. */
#include "fzs_shared.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define UDP  17
#define IPV4 2 /* AF_INET */
/* A port has another share after 2^27 ns (134 ms), even if its worker reads nothing. */
#define PERIOD_BITS 27

/* How many entries maps have is said when they are loaded. Ports of IPv6 come after those of IPv4. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fzs_port);
} fzs_ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fzs_worker);
} fzs_workers SEC(".maps");

/* Of each worker the one of IPv4 and that of IPv6; behind them, likewise, those that nobody reads. */
struct {
  __uint(type, BPF_MAP_TYPE_SOCKMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} fzs_sockets SEC(".maps");

const volatile struct fzs_settings fzs_settings SEC(".rodata.settings");

/* What ctx has of the other family is 0. */
static __always_inline int is_here(const struct bpf_sk_lookup *ctx, const struct fzs_port *port)
{
  return port->any ||
         ((ctx->local_ip4 | ctx->local_ip6[0]) == port->ip[0] && ctx->local_ip6[1] == port->ip[1] &&
          ctx->local_ip6[2] == port->ip[2] && ctx->local_ip6[3] == port->ip[3]);
}

/* Whether the port has had its share of this turn of its worker. CPUs that count at once may miss one another: it is a bound, no account. */
static __always_inline int is_full(struct fzs_port *port, __u32 ipv6)
{
  const __u32 key = port->owner - 1;
  struct fzs_worker *worker = bpf_map_lookup_elem(&fzs_workers, &key);
  if (!worker)
    return 0;
  const __u32 turn = ipv6 ? worker->turn[1] : worker->turn[0];
  if (port->turn != turn) {
    port->turn = turn;
    port->count = 0;
  }
  if (port->count++ < fzs_settings.share)
    return 0;
  /* What was counted may never have been the worker's to read (ICMP errors), so that no turn would ever follow. */
  const __u32 now = (__u32)(bpf_ktime_get_ns() >> PERIOD_BITS);
  if (port->period != now) {
    port->period = now;
    port->count = 1;
    return 0;
  }
  __sync_fetch_and_add(&worker->dropped, 1);
  return 1;
}

SEC("sk_lookup")
int fzs_lookup(struct bpf_sk_lookup *ctx)
{
  const __u32 at = ctx->local_port - fzs_settings.lowest, ipv6 = ctx->family != IPV4;
  if (ctx->protocol != UDP || at >= fzs_settings.ports)
    return SK_PASS;
  __u32 key = at + (ipv6 ? fzs_settings.ports : 0);
  struct fzs_port *port = bpf_map_lookup_elem(&fzs_ports, &key);
  if (!port || !port->owner || !is_here(ctx, port))
    return SK_PASS;
  /* SK_DROP would have the kernel answer with port unreachable, which a peer may take for the end. */
  key = 2 * (is_full(port, ipv6) ? fzs_settings.workers : port->owner - 1) + ipv6;
  struct bpf_sock *socket = bpf_map_lookup_elem(&fzs_sockets, &key);
  if (!socket)
    return SK_PASS;
  bpf_sk_assign(ctx, socket, BPF_SK_LOOKUP_F_NO_REUSEPORT);
  bpf_sk_release(socket);
  return SK_PASS;
}

char fzs_license[] SEC("license") = "Dual BSD/GPL";
