/* SPDX-License-Identifier: Apache-2.0 */
#include "attach.h"

#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

/* Linux 6.6; headers of before do not have it, nor has libbpf before 1.3 a function for it. */
#define TCX_INGRESS 46

/* As the kernel has it: the first fields of bpf_attr.link_create, with nothing said of where among others. */
struct tcx_link_create {
  uint32_t program, interface, attach_type, flags;
  uint32_t relative, reserved;
  uint64_t revision;
};

static int attach_tcx(const xdp_interface *i, int program)
{
  const struct tcx_link_create create = {
      .program = (uint32_t)program, .interface = i->index, .attach_type = TCX_INGRESS};
  const long link = syscall(SYS_bpf, BPF_LINK_CREATE, &create, sizeof create);
  if (link >= 0)
    return (int)link;
  return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

static int attach_xdp(const xdp_interface *i, int program, bool generic)
{
  const struct bpf_link_create_opts opts = {.sz = sizeof opts,
                                            .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE};
  return bpf_link_create(program, (int)i->index, BPF_XDP, &opts);
}

/* Whether packets of |name| begin with a MAC header, which the program takes for granted. */
static bool is_ethernet(const char *name)
{
  struct ifreq request = {0};
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0)
    return true;
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  const bool other = !ioctl(any, SIOCGIFHWADDR, &request) && request.ifr_hwaddr.sa_family != ARPHRD_ETHER;
  close(any);
  return !other;
}

int xdp_attach(xdp_interface *i, int program, enum xdp_hook hook)
{
  i->link = -1;
  i->index = if_nametoindex(i->name);
  if (!i->index)
    return -ENODEV;
  if (hook != XDP_HOOK_NATIVE && !is_ethernet(i->name))
    return -EAFNOSUPPORT;
  const int link =
      hook == XDP_HOOK_TCX ? attach_tcx(i, program) : attach_xdp(i, program, hook == XDP_HOOK_GENERIC);
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
  /* The index stands at the same place for both kinds of links. */
  return i->link >= 0 && !bpf_obj_get_info_by_fd(i->link, &info, &len) && !info.xdp.ifindex;
}

void xdp_explain_attach(const xdp_interface *i, int error, enum xdp_hook hook)
{
  switch (-error) {
  case ENODEV:
    log_warn(
        "xdp",
        "There is no interface %s (see --offload-interface): none of its packets is relayed in the kernel",
        i->name);
    break;
  case EAFNOSUPPORT:
    log_warn("xdp", "%s is no Ethernet interface: relaying in user space on %s", i->name, i->name);
    break;
  case EOPNOTSUPP:
    if (hook == XDP_HOOK_TCX) {
      log_warn("xdp", "This kernel has no tcx, which it takes Linux 6.6 for: relaying in user space on %s",
               i->name);
      break;
    }
    goto other;
  case EBUSY:
  case EEXIST:
    log_warn("xdp",
             "%s has another XDP program, which stays: relaying in user space on %s. 'ip link show %s' shows "
             "it; whoever "
             "put it there has to take it off, or --offload tcx goes beside it",
             i->name, i->name, i->name);
    break;
  case EPERM:
  case EACCES:
    log_warn("xdp",
             "Not allowed to attach to %s: relaying in user space on it. Give the relay CAP_NET_ADMIN and "
             "CAP_BPF",
             i->name);
    break;
  default:
  other:
    if (hook != XDP_HOOK_NATIVE)
      log_warn("xdp", "Can't attach to %s: %s. Relaying in user space on it", i->name, strerror(-error));
    else
      log_warn("xdp",
               "The driver of %s does not take the program: %s. Relaying in user space on it. A smaller MTU, "
               "fewer or more queues (ethtool -L) may help, or --offload tcx, for which any driver will do",
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
             "--offload-route swap",
             families[f], i->name, names[f], first, families[f], i->name,
             f == 1 ? " (without accept_ra=2 the routes that router advertisements gave are dropped)" : "");
  }
}
