/* SPDX-License-Identifier: Apache-2.0 */
#include "xdp.h"

#include "attach.h"
#include "channels.h"
#include "object.h"
#include "privileges.h"
#include "log/log.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct xdp {
  xdp_object object;
  xdp_channels channels;
  xdp_interface interfaces[FZX_TARGETS];
  size_t count;
};

_Static_assert(FZX_PASSED_REASONS <= METRICS_XDP_PASSED, "room for all reasons");
_Static_assert(XDP_LEFT_REASONS <= METRICS_XDP_LEFT, "room for all reasons");
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
static void take_names(xdp *x, const xdp_config *c)
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
  }
}

/* Attaches to those interfaces where that has not been done. Returns how many there are now. */
static size_t attach_all(xdp *x, bool generic, int errors[FZX_TARGETS])
{
  size_t attached = 0;
  for (size_t i = 0; i < x->count; i++) {
    xdp_interface *interface = &x->interfaces[i];
    errors[i] = xdp_attach(interface, x->object.program, generic);
    if (errors[i])
      continue;
    attached++;
    if (bpf_map_update_elem(x->object.targets, &interface->index, &interface->index, BPF_ANY))
      log_warn("xdp", "Packets can't leave by %s: %s", interface->name, strerror(errno));
  }
  return attached;
}

static void say_attached(const xdp *x, const xdp_config *c)
{
  static const char *const to_one[] = {" (to IPv4 only)", " (to IPv6 only)"};
  const char *mode = c->mode == XDP_MODE_GENERIC ? "generic" : "native";
  char list[FZX_TARGETS * (IF_NAMESIZE + 20)] = "";
  size_t len = 0;
  for (size_t k = 0; k < x->count; k++) {
    const xdp_interface *i = &x->interfaces[k];
    const bool to_ip4 = c->ip4 && !i->unrouted[0], to_ip6 = c->ip6 && !i->unrouted[1];
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

/* Loads the program and attaches it wherever it can be. Returns 0, or -1 if nothing came of it. */
static int start(xdp *x, const xdp_config *c)
{
  int errors[FZX_TARGETS] = {0};
  xdp_object_config config = {.settings = {.listen_port = c->listen_port,
                                           .lowest_port = c->lowest_port,
                                           .highest_port = c->highest_port,
                                           .route = c->swap ? FZX_ROUTE_SWAP : FZX_ROUTE_FIB},
                              .entries = c->entries};
  size_t attached = 0;
  /* Once more as a program for packets of one buffer: some drivers take no other. */
  for (int turn = 0; turn < 2 && !attached; turn++) {
    config.no_frags = turn == 1;
    xdp_object_free(&x->object);
    const int error = xdp_object_load(&config, &x->object);
    if (error && turn == 0 && error != -EPERM && error != -EACCES)
      continue;
    if (error) {
      explain_load(error);
      return -1;
    }
    attached = attach_all(x, c->mode == XDP_MODE_GENERIC, errors);
  }
  for (size_t i = 0; i < x->count; i++) {
    if (errors[i])
      xdp_explain_attach(&x->interfaces[i], errors[i], c->mode == XDP_MODE_GENERIC);
    else if (!c->swap)
      xdp_check_forwarding(&x->interfaces[i], c->ip4, c->ip6);
  }
  if (!attached)
    return -1;
  say_attached(x, c);
  if (!privileges_speculate())
    log_info(
        "xdp",
        "Without CAP_PERFMON a packet costs about twice as much: the kernel puts barriers into the program");
  return 0;
}

static xdp *make(const xdp_config *c)
{
  if (c->bandwidth_limited) {
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
  x->channels.own_ip4 = c->own_ip4;
  x->channels.own_ip6 = c->own_ip6;
  if (start(x, c)) {
    xdp_close(x);
    return NULL;
  }
  return x;
}

xdp *xdp_open(const xdp_config *c)
{
  if (c->mode == XDP_MODE_OFF)
    return NULL;
  xdp *x = make(c);
  privileges_drop();
  return x;
}

void xdp_close(xdp *x)
{
  if (!x)
    return;
  for (size_t i = 0; i < x->count; i++)
    xdp_detach(&x->interfaces[i]);
  xdp_object_free(&x->object);
  free(x);
}

void xdp_on_channel(xdp *x, const fzr_event *event, const fzr_addr *local)
{
  if (x)
    xdp_channels_event(&x->channels, event, local);
}

static void read_relayed(const xdp *x, metrics_xdp *out)
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

void xdp_read(xdp *x, metrics_xdp *out)
{
  memset(out, 0, sizeof *out);
  if (!x)
    return;
  look_for_interfaces(x);
  out->active = true;
  read_relayed(x, out);
  out->channels = atomic_load_explicit(&x->channels.in_kernel, memory_order_relaxed);
  out->passed_count = FZX_PASSED_REASONS;
  for (uint32_t i = 0; i < FZX_PASSED_REASONS; i++) {
    out->passed[i].name = fzx_passed_name(i);
    if (xdp_object_passed(&x->object, i, &out->passed[i].value))
      out->passed[i].value = 0;
  }
  out->left_count = XDP_LEFT_REASONS;
  for (unsigned i = 0; i < XDP_LEFT_REASONS; i++) {
    out->left[i].name = xdp_left_name(i);
    out->left[i].value = atomic_load_explicit(&x->channels.left[i], memory_order_relaxed);
  }
}
