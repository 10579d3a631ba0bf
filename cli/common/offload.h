/* SPDX-License-Identifier: Apache-2.0 */
/* A data path in the kernel that takes channels off the workers' hands: what each kind has to offer, and what it tells of itself. Whatever
 * goes wrong with one, the relay goes on in user space, which sees every packet that the kernel leaves alone. */
#ifndef COMMON_OFFLOAD_H
#define COMMON_OFFLOAD_H

#include "firezone_relay/firezone_relay.h"

#define OFFLOADS_MAX    4u
#define OFFLOAD_FIGURES 4u
#define OFFLOAD_VALUES  32u

/* What one process gives to the one that takes its place: descriptors, and what that has to know of them: text of the kind's own. */
#define OFFLOAD_ABOUT_MAX 160u
#define OFFLOAD_FDS_MAX   32u

typedef struct offload_gift {
  char about[OFFLOAD_ABOUT_MAX];
  int fds[OFFLOAD_FDS_MAX];
  size_t count;
} offload_gift;

/* Something that only one kind counts, as a metric: one value without a reason, or several with one each. */
typedef struct offload_figure {
  const char *name; /* of the metric relay.<kind>.<name>; words of a-z and _ with dots between them */
  const char *unit; /* as OpenTelemetry has it: "{packet}" */
  const char *help; /* what it counts, without a full stop */
  bool is_total;    /* it only grows; else it is what is so now */
  size_t count;
  struct offload_value {
    const char *reason; /* NULL: none, and there is one value */
    uint64_t value;
  } values[OFFLOAD_VALUES];
} offload_figure;

/* What was relayed without the workers. Texts are static. */
typedef struct offload_stats {
  const char *name;    /* of the kind: the datapath that its series have */
  const char *program; /* what is at work for it, another label of them: "xdp" */
  uint64_t packets[2], bytes[2];
  uint64_t packet_sizes[FZR_SIZE_CLASSES];
  uint64_t dropped[FZR_DROP_REASONS]; /* what the workers would have dropped */
  uint64_t may_drop;                  /* a bit for each reason that it knows */
  offload_figure figures[OFFLOAD_FIGURES];
  size_t figure_count;
} offload_stats;

/* The relay that it works for. */
typedef struct offload_relay {
  uint16_t listen_port, lowest_port, highest_port;
  bool ip4, ip6;                 /* families that the relay offers */
  bool bandwidth_limited;        /* which the kernel can't keep to */
  fzr_addr bound_ip4, bound_ip6; /* what its sockets are bound to; family NONE: to no address */
  uint32_t channels;             /* that there may be */
  unsigned workers;
  bool channels_alone; /* clients reach peers by channels, not by permissions */
  uint32_t
      strangers; /* answers a second for a prefix of those who have no allocation; 0: as many as they like */
} offload_relay;

typedef struct offload_kind {
  const char *name;

  /* Whether |settings| ask for it. */
  bool (*is_wanted)(const void *settings);

  /* Takes up work. Returns what the functions below are given; or NULL if nothing came of it: what failed, and what would help, is in the
   * log then. Privileges that this takes are given up afterwards. |gift|, which may be NULL, is what the process has given whose place this
   * one takes, and which relays on meanwhile: descriptors that are used are taken out, and -1 then. It is held then, see below. */
  void *(*open)(const offload_relay *relay, const void *settings, offload_gift *gift);

  /* Takes up a channel, or forgets it: |event| is FZR_EVENT_CHANNEL_BOUND or _UNBOUND, |local| the address that the allocation's socket is
   * bound to. Any thread, but each channel's events from one thread. */
  void (*channel)(void *offload, const fzr_event *event, const fzr_addr *local);

  /* A worker has told of all channels that were bound before it was opened. Any thread. */
  void (*listed)(void *offload);

  /* Whether channels' events are to be passed over: they are another process's, or are going to be. */
  void (*hold)(void *offload, bool held);

  /* After `open` with a gift, once all workers have told of all channels that they have: whatever is there beside these goes. |all|: they all
   * have. */
  void (*settle)(void *offload, bool all);

  /* Fills in |gift|; the descriptors stay its own. Any thread. */
  void (*give)(void *offload, offload_gift *gift);

  /* Adds what it has counted to |out|, which is all 0 but for its name, and sets its program; and says in the log, once, what has become of it. */
  void (*read)(void *offload, offload_stats *out);

  /* Ends it; channels go on in user space. No other thread may use it any more. */
  void (*close)(void *offload);
} offload_kind;

#endif
