/* SPDX-License-Identifier: Apache-2.0 */
/* In place of xdp.c in a build without clang or libbpf: everything stays in user space. */
#include "log/log.h"
#include "xdp.h"

static bool is_wanted(const void *settings)
{
  return ((const xdp_settings *)settings)->mode != XDP_MODE_OFF;
}

static void *open_none(const offload_relay *relay, const void *settings, offload_gift *gift)
{
  (void)gift;
  (void)relay;
  (void)settings;
  log_warn("xdp", "This build has no kernel data path (it takes clang and libbpf): relaying in user space");
  return NULL;
}

/* What was never opened is told nothing. */
const offload_kind xdp_offload = {.name = "kernel", .is_wanted = is_wanted, .open = open_none};
