/* SPDX-License-Identifier: Apache-2.0 */
/* In place of xdp.c in a build without clang or libbpf: everything stays in user space. */
#include "xdp.h"

#include "log/log.h"

#include <string.h>

xdp *xdp_open(const xdp_config *config)
{
  if (config->mode != XDP_MODE_OFF)
    log_warn("xdp", "This build has no kernel data path (it takes clang and libbpf): relaying in user space");
  return NULL;
}

void xdp_close(xdp *x)
{
  (void)x;
}

void xdp_on_channel(xdp *x, const fzr_event *event, const fzr_addr *local)
{
  (void)x;
  (void)event;
  (void)local;
}

void xdp_read(xdp *x, metrics_xdp *out)
{
  (void)x;
  memset(out, 0, sizeof *out);
}
