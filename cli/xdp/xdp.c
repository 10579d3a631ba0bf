/* SPDX-License-Identifier: Apache-2.0 */
#include "xdp.h"

#include "attach.h"
#include "channels.h"
#include "gift.h"
#include "log/log.h"
#include "object.h"
#include "probe.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

typedef struct xdp {
  xdp_object object;
  xdp_object_config config; /* of `object` */
  xdp_object former;        /* of the process whose place this one takes, until it is replaced */
  enum xdp_hook hook;
  xdp_channels channels;
  xdp_interface interfaces[FZX_TARGETS];
  size_t count;
  bool said_unfinished;
} xdp;

_Static_assert(XDP_INTERFACES_MAX == FZX_TARGETS, "as many as the program knows");
_Static_assert(FZX_PASSED_REASONS <= OFFLOAD_VALUES && XDP_LEFT_REASONS <= OFFLOAD_VALUES,
               "room for all reasons");
_Static_assert(FZX_SIZE_CLASSES == FZR_SIZE_CLASSES, "one histogram");

static void explain_load(int error)
{
  if (error == -EPERM || error == -EACCES)
    log_warn(
        "xdp",
        "Not allowed to load the program: relaying in user space. Give the relay CAP_BPF and CAP_NET_ADMIN, "
        "better with CAP_PERFMON (systemd: AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON)");
  else
    log_warn("xdp",
             "Can't load the program: %s. Relaying in user space. It takes Linux 5.18 or later with BPF; "
             "RUST_LOG=xdp=debug shows what the kernel says",
             strerror(-error));
}

/* Puts the names of all interfaces into |x|, each once. */
static void take_names(xdp *x, const xdp_settings *c)
{
  for (size_t i = 0; i < c->interface_count; i++) {
    bool again = false;
    for (size_t k = 0; k < x->count; k++)
      again = again || strcmp(x->interfaces[k].name, c->interfaces[i]) == 0;
    if (again || x->count == FZX_TARGETS)
      continue;
    xdp_interface *to = &x->interfaces[x->count++];
    to->link = -1;
    snprintf(to->name, sizeof to->name, "%s", c->interfaces[i]);
    to->index = if_nametoindex(to->name);
  }
}

/* Lets packets leave by all interfaces that have the program. Returns how many those are. */
static size_t add_targets(const xdp *x)
{
  size_t attached = 0;
  for (size_t i = 0; i < x->count; i++) {
    const xdp_interface *interface = &x->interfaces[i];
    if (interface->link < 0)
      continue;
    attached++;
    if (interface->is_adopted)
      continue; /* it is there */
    if (bpf_map_update_elem(x->object.targets, &interface->index, &interface->index, BPF_ANY))
      log_warn("xdp", "Packets can't leave by %s: %s", interface->name, strerror(errno));
  }
  return attached;
}

/* Attaches to those interfaces where that has not been done. Returns how many there are now. */
static size_t attach_all(xdp *x, enum xdp_hook hook, int errors[FZX_TARGETS])
{
  for (size_t i = 0; i < x->count; i++)
    errors[i] = x->interfaces[i].link >= 0 ? 0 : xdp_attach(&x->interfaces[i], x->object.program, hook);
  return add_targets(x);
}

static void say_attached(const xdp *x, const offload_relay *relay, const xdp_settings *c)
{
  static const char *const to_one[] = {" (to IPv4 only)", " (to IPv6 only)"};
  static const char *const modes[] = {
      [XDP_HOOK_NATIVE] = "native XDP", [XDP_HOOK_GENERIC] = "generic XDP", [XDP_HOOK_TCX] = "tcx"};
  const char *mode = modes[x->hook];
  char list[FZX_TARGETS * (IF_NAMESIZE + 20)] = "";
  size_t len = 0;
  for (size_t k = 0; k < x->count; k++) {
    const xdp_interface *i = &x->interfaces[k];
    const bool to_ip4 = relay->ip4 && !i->unrouted[0], to_ip6 = relay->ip6 && !i->unrouted[1];
    if (i->link < 0 || (!to_ip4 && !to_ip6))
      continue;
    const char *limit = i->unrouted[0] || i->unrouted[1] ? to_one[to_ip6] : "";
    len += (size_t)snprintf(list + len, sizeof list - len, "%s%s%s", len ? ", " : "", i->name, limit);
  }
  if (len)
    log_info("xdp", "Channels are relayed in the kernel on %s (%s, %s)", list, mode,
             c->swap ? "back to the router that packets come from" : "by the routing table");
  else
    log_info("xdp", "The program is attached (%s); channels are relayed in user space until forwarding is on",
             mode);
}

static bool has(const struct __user_cap_data_struct *data, unsigned capability)
{
  return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

/* Whether the kernel spares this process's programs its barriers against speculative execution: CAP_PERFMON, or CAP_SYS_ADMIN. */
static bool may_speculate(void)
{
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  return !syscall(SYS_capget, &header, data) && (has(data, CAP_PERFMON) || has(data, CAP_SYS_ADMIN));
}

static xdp_object_config config_of(const offload_relay *relay, const xdp_settings *c, enum xdp_hook hook)
{
  return (xdp_object_config){
      .settings = {.listen_port = relay->listen_port,
                   .lowest_port = relay->lowest_port,
                   .highest_port = relay->highest_port,
                   .route = c->swap ? FZX_ROUTE_SWAP : FZX_ROUTE_FIB,
                   .guard = !c->no_guard,
                   .stranger_interval = relay->strangers ? 1000000000u / relay->strangers : 0},
      .entries = relay->channels,
      .hook = hook};
}

/* Loads the program for |x->hook|, and attaches it wherever it can be, with an error for each interface. Returns how many took it, or -1
 * if it can't even be loaded, which is said. */
static int load_and_attach(xdp *x, const offload_relay *relay, const xdp_settings *c, int errors[FZX_TARGETS])
{
  xdp_object_config *config = &x->config;
  const int turns = x->hook == XDP_HOOK_TCX ? 1 : 2;
  const int first = x->former.adopted && config->no_frags ? turns - 1 : 0;
  size_t attached = 0;
  *config = config_of(relay, c, x->hook);
  /* Once more as a program for packets of one buffer: some drivers take no other. */
  for (int turn = first; turn < turns && !attached; turn++) {
    config->no_frags = turn == 1;
    xdp_object_free(&x->object);
    const int error = xdp_object_load(config, &x->object);
    if (error && turn + 1 < turns && error != -EPERM && error != -EACCES)
      continue;
    if (error) {
      explain_load(error);
      return -1;
    }
    attached = attach_all(x, x->hook, errors);
  }
  return (int)attached;
}

static void detach_all(xdp *x)
{
  for (size_t i = 0; i < x->count; i++)
    xdp_detach(&x->interfaces[i]);
}

/* Native XDP if that works on all interfaces, else tcx. Returns as load_and_attach() does, with what is against native XDP in |why|. */
static int choose(xdp *x, const offload_relay *relay, const xdp_settings *c, int errors[FZX_TARGETS],
                  char *why, size_t cap)
{
  x->config = config_of(relay, c, XDP_HOOK_NATIVE);
  x->hook = XDP_HOOK_NATIVE;
  const int error = xdp_object_load(&x->config, &x->object);
  if (error)
    snprintf(why, cap, "the kernel does not take the program (%s)", strerror(-error));
  else if (xdp_probe(x->interfaces, x->count, &x->object, why, cap))
    return (int)add_targets(x);
  xdp_object_free(&x->object);
  x->hook = XDP_HOOK_TCX;
  return load_and_attach(x, relay, c, errors);
}

static const enum xdp_hook hooks[] = {[XDP_MODE_NATIVE] = XDP_HOOK_NATIVE,
                                      [XDP_MODE_GENERIC] = XDP_HOOK_GENERIC,
                                      [XDP_MODE_TCX] = XDP_HOOK_TCX};

/* Whether |c| may go on with what is attached at |hook|. */
static bool may_follow(const xdp_settings *c, enum xdp_hook hook)
{
  return c->mode == XDP_MODE_AUTO ? hook != XDP_HOOK_GENERIC : hook == hooks[c->mode];
}

/* Goes on with what another process has attached: with its program, if that is the same as ours, and its maps; else ours takes its place when
 * all channels are in our maps, and not before. Returns as load_and_attach() does. */
static int follow(xdp *x, const offload_relay *relay, const xdp_settings *c, offload_gift *gift,
                  const xdp_gift *about, int errors[FZX_TARGETS])
{
  x->hook = about->hook;
  x->config = config_of(relay, c, x->hook);
  x->config.no_frags = about->no_frags;
  for (unsigned i = 0; i < XDP_LEFT_REASONS; i++)
    atomic_store(&x->channels.left[i], about->left[i]);
  /* What the guard knows of clients is in maps that are not given. */
  const bool same = c->no_guard && xdp_object_mark(&x->config) == about->mark;
  xdp_gift_take_object(gift, same ? &x->object : &x->former);
  for (size_t i = 0; i < x->count; i++) {
    x->interfaces[i].link = xdp_gift_take_link(gift, x->interfaces[i].index);
    x->interfaces[i].is_former = !same && x->interfaces[i].link >= 0;
    x->interfaces[i].is_adopted = same && x->interfaces[i].link >= 0;
  }
  if (!same)
    return load_and_attach(x, relay, c, errors);
  xdp_channels_inherit(&x->channels);
  return (int)attach_all(x, x->hook, errors);
}

/* On a veth all programs attach, and all looks well here. */
static void warn_of_veth(const xdp_interface *i, enum xdp_hook hook)
{
  if (!xdp_is_veth(i->name))
    return;
  if (hook == XDP_HOOK_NATIVE)
    log_warn(
        "xdp",
        "%s is a veth: what the kernel sends by it is lost unless its other end has an XDP program, or, for "
        "what comes by another interface, GRO (ethtool -K IF gro on, there); --offload tcx needs neither",
        i->name);
  else
    log_info("xdp",
             "%s is a veth: the kernel relays what comes with a finished checksum, which senders on this "
             "host leave to its far end "
             "(ethtool -K IF tx off, there, has them finish it); user space relays the rest",
             i->name);
}

/* Loads the program and attaches it wherever it can be. Returns 0, or -1 if nothing came of it. */
static int start(xdp *x, const offload_relay *relay, const xdp_settings *c, offload_gift *gift)
{
  int errors[FZX_TARGETS] = {0};
  char why[160] = "all interfaces take it, and their packets can grow";
  int attached;
  xdp_gift about;
  if (gift && xdp_gift_read(gift, &about) && may_follow(c, about.hook)) {
    attached = follow(x, relay, c, gift, &about, errors);
  } else if (c->mode == XDP_MODE_AUTO) {
    attached = choose(x, relay, c, errors, why, sizeof why);
    log_info("xdp", "--offload auto: %s, for %s",
             attached <= 0             ? "off"
             : x->hook == XDP_HOOK_TCX ? "tcx"
                                       : "xdp",
             why);
  } else {
    x->hook = hooks[c->mode];
    attached = load_and_attach(x, relay, c, errors);
  }
  if (attached < 0)
    return -1;
  for (size_t i = 0; i < x->count; i++) {
    if (errors[i])
      xdp_explain_attach(&x->interfaces[i], errors[i], x->hook);
    else if (!c->swap)
      xdp_check_forwarding(&x->interfaces[i], relay->ip4, relay->ip6);
    if (!errors[i] && x->hook == XDP_HOOK_NATIVE)
      warn_of_veth(&x->interfaces[i], x->hook);
  }
  if (!attached)
    return -1;
  say_attached(x, relay, c);
  for (size_t i = 0; i < x->count; i++)
    if (!errors[i] && x->hook != XDP_HOOK_NATIVE)
      warn_of_veth(&x->interfaces[i], x->hook);
  if (!x->object.adopted && !may_speculate())
    log_info(
        "xdp",
        "Without CAP_PERFMON a packet costs about twice as much: the kernel puts barriers into the program");
  return 0;
}

static void close_xdp(void *offload)
{
  xdp *x = offload;
  detach_all(x);
  xdp_object_free(&x->object);
  xdp_guard_free(&x->channels.guard);
  xdp_object_free(&x->former);
  xdp_channels_free(&x->channels);
  free(x);
}

static bool is_wanted(const void *settings)
{
  return ((const xdp_settings *)settings)->mode != XDP_MODE_OFF;
}

static void *open_xdp(const offload_relay *relay, const void *settings, offload_gift *gift)
{
  const xdp_settings *c = settings;
  if (relay->bandwidth_limited) {
    log_warn("xdp", "The kernel can't keep to --max-bandwidth-per-allocation: relaying in user space");
    return NULL;
  }
  xdp *x = calloc(1, sizeof *x);
  if (!x) {
    log_warn("xdp", "Out of memory: relaying in user space");
    return NULL;
  }
  take_names(x, c);
  x->channels.object = &x->object;
  x->channels.guard.on = !c->no_guard;
  x->channels.guard.ports = relay->channels_alone;
  x->channels.guard.bound[0] = relay->bound_ip4;
  x->channels.guard.bound[1] = relay->bound_ip6;
  x->channels.guard.idle[0] = !relay->ip4;
  x->channels.guard.idle[1] = !relay->ip6;
  xdp_guard_init(&x->channels.guard, &x->object, relay->workers);
  x->channels.own_ip4 = relay->bound_ip4.family ? relay->bound_ip4 : c->own_ip4;
  x->channels.own_ip6 = relay->bound_ip6.family ? relay->bound_ip6 : c->own_ip6;
  if (start(x, relay, c, gift)) {
    close_xdp(x);
    return NULL;
  }
  return x;
}

static void on_channel(void *offload, const fzr_event *event, const fzr_addr *local)
{
  xdp_channels_event(&((xdp *)offload)->channels, event, local);
}

static void on_listed(void *offload)
{
  xdp_guard_listed(&((xdp *)offload)->channels.guard);
}

static void read_dropped(const xdp *x, offload_stats *out)
{
  if (!x->channels.guard.on)
    return;
  for (uint32_t i = 0; i < FZX_DROPPED_REASONS; i++) {
    const unsigned reason = fzx_drop_reason(i);
    out->may_drop |= 1ull << reason;
    if (xdp_object_dropped(&x->object, i, &out->dropped[reason]))
      out->dropped[reason] = 0;
  }
}

static void hold(void *offload, bool held)
{
  xdp *x = offload;
  atomic_store(&x->channels.held, held);
  xdp_guard_hold(&x->channels.guard, held);
}

/* Our program takes the place of the other process's, on each interface at once. */
static void replace_former(xdp *x)
{
  const xdp_sums none = {.passed = {0}};
  xdp_sums before, after;
  xdp_object_sums(&x->former, &before);
  xdp_object_add(&x->object, &before, &none); /* while nobody counts there */
  for (size_t i = 0; i < x->count; i++) {
    xdp_interface *interface = &x->interfaces[i];
    if (!interface->is_former)
      continue;
    interface->is_former = false;
    if (!bpf_link_update(interface->link, x->object.program, NULL)) {
      log_info("xdp", "The program on %s is replaced by that of this process", interface->name);
      continue;
    }
    log_warn("xdp", "Can't replace the program on %s: %s. Relaying in user space on it", interface->name,
             strerror(errno));
    xdp_detach(interface);
  }
  xdp_object_sums(&x->former, &after);
  xdp_object_add(&x->object, &after, &before);
  xdp_object_free(&x->former);
}

static void settle(void *offload, bool all)
{
  xdp *x = offload;
  xdp_channels_settle(&x->channels, all);
  if (x->former.adopted)
    replace_former(x);
}

static void give(void *offload, offload_gift *gift)
{
  const xdp *x = offload;
  xdp_gift about = {.hook = x->hook, .no_frags = x->config.no_frags, .mark = xdp_object_mark(&x->config)};
  for (unsigned i = 0; i < XDP_LEFT_REASONS; i++)
    about.left[i] = atomic_load(&x->channels.left[i]);
  xdp_gift_write(&about, gift->about);
  xdp_object_fds(&x->object, gift->fds);
  gift->count = XDP_OBJECT_FDS;
  for (size_t i = 0; i < x->count && gift->count < OFFLOAD_FDS_MAX; i++)
    if (x->interfaces[i].link >= 0)
      gift->fds[gift->count++] = x->interfaces[i].link;
}

static void read_relayed(const xdp *x, offload_stats *out)
{
  for (uint32_t i = 0; i < FZX_DIRECTIONS * FZX_SIZE_CLASSES; i++) {
    struct fzx_counter counter;
    if (xdp_object_counter(&x->object, i, &counter))
      continue;
    out->packets[i / FZX_SIZE_CLASSES] += counter.packets;
    out->bytes[i / FZX_SIZE_CLASSES] += counter.bytes;
    out->packet_sizes[i % FZX_SIZE_CLASSES] += counter.packets;
  }
}

static void look_for_interfaces(xdp *x)
{
  for (size_t i = 0; i < x->count; i++) {
    xdp_interface *interface = &x->interfaces[i];
    if (interface->gone || !xdp_is_detached(interface))
      continue;
    interface->gone = true;
    log_warn(
        "xdp",
        "%s is gone, and the program with it: when it is back, its packets go through user space until the "
        "relay is started again",
        interface->name);
  }
}

/* Packets from which it is said that most have unfinished checksums. */
#define UNFINISHED_MIN 100u

/* What senders of the same host leave to a device that there is none of looks relayed in the kernel, for all that was said at the start. */
static void look_for_unfinished(xdp *x, const offload_stats *stats)
{
  uint64_t unfinished = 0;
  if (x->said_unfinished || xdp_object_passed(&x->object, FZX_PASSED_UNFINISHED, &unfinished) ||
      unfinished < UNFINISHED_MIN || unfinished < stats->packets[0] + stats->packets[1])
    return;
  x->said_unfinished = true;
  log_warn(
      "xdp",
      "User space relays most packets: they come with unfinished checksums, as they do by a veth, or from "
      "guests of this "
      "host, unless their sender is told to finish them (for a veth: ethtool -K IF tx off, at its far end). "
      "relay_kernel_passed_packets_total{reason=\"unfinished_checksum\"} counts them");
}

static offload_figure *add_figure(offload_stats *out, const char *name, const char *unit, const char *help)
{
  offload_figure *f = &out->figures[out->figure_count++];
  *f = (offload_figure){.name = name, .unit = unit, .help = help};
  return f;
}

static void read_figures(const xdp *x, offload_stats *out)
{
  offload_figure *f =
      add_figure(out, "channels", "{channel}",
                 "Channels that the program knows now: it relays what it does not count as passed");
  f->count = 1;
  f->values[0].value = atomic_load_explicit(&x->channels.in_kernel, memory_order_relaxed);
  f = add_figure(out, "passed.packets", "{packet}",
                 "Packets, of any kind, that the program on the interfaces left to the network stack");
  f->is_total = true;
  f->count = FZX_PASSED_REASONS;
  for (uint32_t i = 0; i < FZX_PASSED_REASONS; i++) {
    f->values[i].reason = fzx_passed_name(i);
    if (xdp_object_passed(&x->object, i, &f->values[i].value))
      f->values[i].value = 0;
  }
  f = add_figure(out, "channels_left", "{channel}", "Channels that were left to user space");
  f->is_total = true;
  f->count = XDP_LEFT_REASONS;
  for (unsigned i = 0; i < XDP_LEFT_REASONS; i++) {
    f->values[i].reason = xdp_left_name(i);
    f->values[i].value = atomic_load_explicit(&x->channels.left[i], memory_order_relaxed);
  }
}

static void read_xdp(void *offload, offload_stats *out)
{
  out->program = ((const xdp *)offload)->hook == XDP_HOOK_TCX ? "tcx" : "xdp";
  look_for_interfaces(offload);
  xdp_guard_refresh(&((xdp *)offload)->channels.guard);
  read_relayed(offload, out);
  look_for_unfinished(offload, out);
  read_figures(offload, out);
  read_dropped(offload, out);
}

const offload_kind xdp_offload = {.name = "kernel",
                                  .is_wanted = is_wanted,
                                  .open = open_xdp,
                                  .channel = on_channel,
                                  .listed = on_listed,
                                  .hold = hold,
                                  .settle = settle,
                                  .give = give,
                                  .read = read_xdp,
                                  .close = close_xdp};
