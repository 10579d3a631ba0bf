/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF object in this program: opened, set up, loaded. */
#ifndef XDP_OBJECT_H
#define XDP_OBJECT_H

#include "fzx_shared.h"

#include <stdbool.h>
#include <stdint.h>

struct bpf_object;

/* Where the program works. */
enum xdp_hook {
  XDP_HOOK_NATIVE,  /* in the driver */
  XDP_HOOK_GENERIC, /* in the network stack, as if in the driver */
  XDP_HOOK_TCX      /* at the ingress of the interface */
};

typedef struct xdp_object {
  struct bpf_object *object; /* NULL: another process has loaded it */
  bool adopted;              /* likewise */
  int program;               /* descriptors, which belong to `object`, if there is one */
  int clients4, clients6, peers4, peers6;
  int targets, counters, passed;
  int probe, heads;                        /* of XDP: the program that tries drivers, and what it found */
  int own, known4, known6, ports, dropped; /* of the guard */
} xdp_object;

typedef struct xdp_object_config {
  struct fzx_settings settings;
  uint32_t entries; /* of each map of channels */
  enum xdp_hook hook;
  bool no_frags; /* of XDP: load it as a program that takes packets of one buffer only */
} xdp_object_config;

/* Loads it into the kernel. Returns 0, or a negative errno; then |out| holds nothing. */
int xdp_object_load(const xdp_object_config *config, xdp_object *out);

/* How many descriptors it has, beside `object`, but for those of the guard: the program first, then the maps. */
#define XDP_OBJECT_FDS 9u

/* What tells objects of |config| from others, in any process: the program, its maps and its settings. */
uint64_t xdp_object_mark(const xdp_object_config *config);

/* One that another process has loaded: takes |fds|, as xdp_object_fds has them. */
void xdp_object_adopt(xdp_object *out, const int fds[XDP_OBJECT_FDS]);
void xdp_object_fds(const xdp_object *object, int out[XDP_OBJECT_FDS]);

/* All that an object has counted. */
typedef struct xdp_sums {
  struct fzx_counter counters[FZX_DIRECTIONS * FZX_SIZE_CLASSES];
  uint64_t passed[FZX_PASSED_REASONS];
  uint64_t dropped[FZX_DROPPED_REASONS];
} xdp_sums;

void xdp_object_sums(const xdp_object *object, xdp_sums *out);

/* Has |object| count on as if it had counted what |now| has more than |before|, too. */
void xdp_object_add(const xdp_object *object, const xdp_sums *now, const xdp_sums *before);

/* Unloads it, once nothing is attached to it. One that holds nothing is fine. */
void xdp_object_free(xdp_object *object);

/* Adds up what all CPUs counted. They return 0 or a negative errno. */
int xdp_object_counter(const xdp_object *object, uint32_t index, struct fzx_counter *out);
int xdp_object_passed(const xdp_object *object, uint32_t reason, uint64_t *out);
int xdp_object_dropped(const xdp_object *object, uint32_t reason, uint64_t *out);

/* The enum fzr_drop_reason that user space has for an enum fzx_dropped. */
unsigned fzx_drop_reason(unsigned reason);

/* The name of a reason, of lower case letters and underscores. */
const char *fzx_passed_name(unsigned reason);

#endif
