/* SPDX-License-Identifier: Apache-2.0 */
#include "attach.h"

#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

int xdp_attach(xdp_interface *i, int program, bool generic)
{
  i->link = -1;
  i->index = if_nametoindex(i->name);
  if (!i->index)
    return -ENODEV;
  const struct bpf_link_create_opts opts = {.sz = sizeof opts,
                                            .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE};
  const int link = bpf_link_create(program, (int)i->index, BPF_XDP, &opts);
  if (link < 0)
    return link;
  i->link = link;
  return 0;
}

void xdp_detach(xdp_interface *i)
{
  if (i->link >= 0)
    close(i->link);
  i->link = -1;
}

bool xdp_is_detached(const xdp_interface *i)
{
  struct bpf_link_info info;
  uint32_t len = sizeof info;
  memset(&info, 0, sizeof info);
  return i->link >= 0 && !bpf_obj_get_info_by_fd(i->link, &info, &len) && !info.xdp.ifindex;
}

void xdp_explain_attach(const xdp_interface *i, int error, bool generic)
{
  switch (-error) {
  case ENODEV:
    log_warn("xdp", "There is no interface %s (see --xdp-interface): relaying in user space there", i->name);
    break;
  case EBUSY:
  case EEXIST:
    log_warn("xdp",
             "%s has another XDP program, which stays: relaying in user space there. 'ip link show %s' shows "
             "it; whoever "
             "put it there has to take it off",
             i->name, i->name);
    break;
  case EPERM:
  case EACCES:
    log_warn("xdp",
             "Not allowed to attach to %s: relaying in user space there. Give the relay CAP_NET_ADMIN and "
             "CAP_BPF",
             i->name);
    break;
  default:
    if (generic)
      log_warn("xdp", "Can't attach to %s: %s. Relaying in user space there", i->name, strerror(-error));
    else
      log_warn("xdp",
               "The driver of %s does not take the program: %s. Relaying in user space there. A smaller MTU, "
               "fewer or more queues (ethtool -L) may help, or --xdp generic, which any driver takes",
               i->name, strerror(-error));
  }
}

/* Whether the sysctl is off; one that can't be read counts as on. */
static bool is_off(const char *family, const char *name)
{
  char path[128], value = '1';
  snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/forwarding", family, name);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  if (read(fd, &value, 1) != 1)
    value = '1';
  close(fd);
  return value == '0';
}

void xdp_check_forwarding(xdp_interface *i, bool ip4, bool ip6)
{
  static const char *const families[] = {"ipv4", "ipv6"}, *const names[] = {"IPv4", "IPv6"};
  const bool wanted[] = {ip4, ip6};
  for (unsigned f = 0; f < 2; f++) {
    char first[64] = "";
    i->unrouted[f] = wanted[f] && is_off(families[f], i->name);
    if (!i->unrouted[f])
      continue;
    if (f == 1)
      snprintf(first, sizeof first, "net.ipv6.conf.%s.accept_ra=2 ", i->name);
    log_warn("xdp",
             "net.%s.conf.%s.forwarding is off, so no %s routes can be looked up, and what would leave by "
             "them goes "
             "through user space: sysctl -w %snet.%s.conf.%s.forwarding=1%s, or, behind a single router, "
             "--xdp-route swap",
             families[f], i->name, names[f], first, families[f], i->name,
             f == 1 ? " (without accept_ra=2 the routes that router advertisements gave are dropped)" : "");
  }
}
