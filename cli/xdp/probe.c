/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define POLL_NS 10000000
#define POLLS   100

bool xdp_is_veth(const char *name)
{
  struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
  struct ifreq request = {.ifr_data = (void *)&info};
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0)
    return false;
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  const bool veth = !ioctl(any, SIOCETHTOOL, &request) && strcmp(info.driver, "veth") == 0;
  close(any);
  return veth;
}

static bool attach_all(xdp_interface *list, size_t count, const xdp_object *o, char *why, size_t cap)
{
  for (size_t i = 0; i < count; i++) {
    if (xdp_is_veth(list[i].name)) {
      snprintf(why, cap, "%s is a veth, on which XDP loses what its other end has no program for",
               list[i].name);
      return false;
    }
    const int error = xdp_attach(&list[i], o->probe, XDP_HOOK_NATIVE);
    if (error) {
      snprintf(why, cap, "%s takes no native XDP (%s)", list[i].name, strerror(-error));
      return false;
    }
  }
  return true;
}

/* What became of the packet of each: whether all could be moved. */
static bool await_all(const xdp_interface *list, size_t count, const xdp_object *o, char *why, size_t cap)
{
  const struct timespec pause = {.tv_nsec = POLL_NS};
  size_t i = 0;
  for (unsigned polls = 0; polls < POLLS; polls++) {
    uint32_t head;
    while (i < count && !bpf_map_lookup_elem(o->heads, &list[i].index, &head)) {
      if (head != FZX_HEAD_MOVES) {
        snprintf(why, cap, "the driver of %s leaves no room for a packet to grow", list[i].name);
        return false;
      }
      i++;
    }
    if (i == count)
      return true;
    nanosleep(&pause, NULL);
  }
  snprintf(why, cap, "no packet came by %s within a second to try native XDP with", list[i].name);
  return false;
}

bool xdp_probe(xdp_interface *list, size_t count, const xdp_object *o, char *why, size_t cap)
{
  bool fits = attach_all(list, count, o, why, cap) && await_all(list, count, o, why, cap);
  for (size_t i = 0; fits && i < count; i++) {
    const int error = bpf_link_update(list[i].link, o->program, NULL);
    if (error)
      snprintf(why, cap, "%s does not take the program (%s)", list[i].name, strerror(-error));
    fits = !error;
  }
  for (size_t i = 0; !fits && i < count; i++)
    xdp_detach(&list[i]);
  return fits;
}
