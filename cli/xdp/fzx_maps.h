/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* The maps of both programs, and what they count in them. */
#ifndef FZX_MAPS_H
#define FZX_MAPS_H

#include "fzx_frame.h"

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

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FZX_PASSED_REASONS);
  __type(key, __u32);
  __type(value, __u64);
} fzx_passed SEC(".maps");

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

/* ---- of the guard ---- */

#define GUARD_MAP(name, map_type, entries, key_type, value_type)                                             \
  struct {                                                                                                   \
    __uint(type, map_type);                                                                                  \
    __uint(max_entries, entries);                                                                            \
    __type(key, key_type);                                                                                   \
    __type(value, value_type);                                                                               \
  } name SEC(".maps")

/* Addresses of the relay, with FZX_OWN_…: what was sent elsewhere is none of its business. */
GUARD_MAP(fzx_own, BPF_MAP_TYPE_HASH, 256, struct fzx_address, __u32);
/* Clients that have channels, in the kernel or not, and how many; `what` is 0. */
GUARD_MAP(fzx_known4, BPF_MAP_TYPE_HASH, 65536, struct fzx_key4, __u32);
GUARD_MAP(fzx_known6, BPF_MAP_TYPE_HASH, 65536, struct fzx_key6, __u32);
GUARD_MAP(fzx_ports, BPF_MAP_TYPE_ARRAY, 65536, __u32, struct fzx_port);
/* When the bucket of a prefix would be full again. */
GUARD_MAP(fzx_prefixes, BPF_MAP_TYPE_LRU_HASH, 16384, __u64, __u64);
GUARD_MAP(fzx_dropped, BPF_MAP_TYPE_PERCPU_ARRAY, FZX_DROPPED_REASONS, __u32, __u64);

/* ---- counting ---- */

FZX_INLINE void count_passed(enum fzx_passed reason)
{
  const __u32 index = reason;
  __u64 *count = bpf_map_lookup_elem(&fzx_passed, &index);
  if (count)
    (*count)++;
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

#endif
