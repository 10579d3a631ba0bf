/* SPDX-License-Identifier: Apache-2.0 */
/* Options of relaying in the kernel. */
#include "options_internal.h"

#include <net/if.h>
#include <string.h>

/* Sets the mode by its name among |names|, NULL where a mode has none. Returns whether there is one. */
static bool set_mode(options *o, const char *const *names, size_t count, const char *t)
{
  for (size_t i = 0; i < count; i++) {
    if (names[i] && strcmp(t, names[i]) == 0) {
      o->xdp.mode = (enum xdp_mode)i;
      return true;
    }
  }
  return false;
}

const char *option_set_offload(options *o, const char *t)
{
  static const char *const modes[] = {[XDP_MODE_OFF] = "off",
                                      [XDP_MODE_AUTO] = "auto",
                                      [XDP_MODE_NATIVE] = "xdp",
                                      [XDP_MODE_GENERIC] = "xdp-generic",
                                      [XDP_MODE_TCX] = "tcx"};
  return set_mode(o, modes, sizeof modes / sizeof *modes, t) ? NULL : "off, auto, xdp, xdp-generic or tcx";
}

const char *option_set_xdp(options *o, const char *t)
{
  static const char *const modes[] = {[XDP_MODE_OFF] = "off",
                                      [XDP_MODE_AUTO] = "auto",
                                      [XDP_MODE_NATIVE] = "native",
                                      [XDP_MODE_GENERIC] = "generic"};
  return set_mode(o, modes, sizeof modes / sizeof *modes, t) ? NULL : "off, auto, native or generic";
}

const char *option_set_flood_guard(options *o, const char *t)
{
  o->xdp.no_guard = strcmp(t, "off") == 0;
  return o->xdp.no_guard || strcmp(t, "on") == 0 ? NULL : "on or off";
}

const char *option_set_xdp_route(options *o, const char *t)
{
  o->xdp.swap = strcmp(t, "swap") == 0;
  return o->xdp.swap || strcmp(t, "fib") == 0 ? NULL : "fib or swap";
}

const char *option_set_xdp_interface(options *o, const char *t)
{
  if (o->xdp.interface_count == XDP_INTERFACES_MAX)
    return "at most 8 interfaces";
  if (!*t || strlen(t) >= IF_NAMESIZE || strchr(t, '/'))
    return "the name of an interface, of at most 15 characters";
  o->xdp.interfaces[o->xdp.interface_count++] = t;
  return NULL;
}

const char *option_set_older_route(options *o, const char *t)
{
  return option_set_xdp_route(o, t);
}

const char *option_set_older_interface(options *o, const char *t)
{
  return option_set_xdp_interface(o, t);
}

const char *option_set_ebpf_mode(options *o, const char *t)
{
  if (strcmp(t, "driver") != 0 && strcmp(t, "generic") != 0)
    return "driver or generic";
  o->ebpf_mode = strcmp(t, "driver") == 0 ? XDP_MODE_NATIVE : XDP_MODE_GENERIC;
  return NULL;
}

const char *option_set_ebpf_interface(options *o, const char *t)
{
  o->ebpf_interface = t;
  return option_set_xdp_interface(o, t);
}

const char *option_set_xdp_ip4(options *o, const char *t)
{
  return value_ip(&o->xdp.own_ip4, t, FZR_FAMILY_IPV4);
}

const char *option_set_xdp_ip6(options *o, const char *t)
{
  return value_ip(&o->xdp.own_ip6, t, FZR_FAMILY_IPV6);
}
