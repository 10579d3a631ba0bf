/* SPDX-License-Identifier: Apache-2.0 */
#include "gift.h"

#include <inttypes.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

/* Of the text: hook, frags, mark, and what was left to user space, by reason; hexadecimal. Further numbers go to the end. */
#define FIXED 3u

void xdp_gift_write(const xdp_gift *g, char about[OFFLOAD_ABOUT_MAX])
{
  int len =
      snprintf(about, OFFLOAD_ABOUT_MAX, "%x %x %" PRIx64, (unsigned)g->hook, g->no_frags ? 1u : 0u, g->mark);
  for (unsigned i = 0; i < XDP_LEFT_REASONS && len > 0 && (size_t)len < OFFLOAD_ABOUT_MAX; i++)
    len += snprintf(about + len, OFFLOAD_ABOUT_MAX - (size_t)len, " %" PRIx64, g->left[i]);
}

bool xdp_gift_read(const offload_gift *from, xdp_gift *out)
{
  uint64_t numbers[FIXED + XDP_LEFT_REASONS] = {0};
  const char *at = from->about;
  unsigned n = 0;
  for (; n < FIXED + XDP_LEFT_REASONS; n++) {
    char *end;
    numbers[n] = strtoull(at, &end, 16);
    if (end == at)
      break;
    at = end;
  }
  if (n < FIXED || numbers[0] > XDP_HOOK_TCX || from->count < XDP_OBJECT_FDS)
    return false;
  *out = (xdp_gift){.hook = (enum xdp_hook)numbers[0], .no_frags = numbers[1] != 0, .mark = numbers[2]};
  memcpy(out->left, numbers + FIXED, sizeof out->left);
  return true;
}

void xdp_gift_take_object(offload_gift *gift, xdp_object *out)
{
  xdp_object_adopt(out, gift->fds);
  for (size_t i = 0; i < XDP_OBJECT_FDS; i++)
    gift->fds[i] = -1;
}

int xdp_gift_take_link(offload_gift *gift, unsigned index)
{
  for (size_t i = XDP_OBJECT_FDS; i < gift->count; i++) {
    struct bpf_link_info info;
    uint32_t len = sizeof info;
    memset(&info, 0, sizeof info);
    /* The index stands at the same place for both kinds of links. */
    if (gift->fds[i] < 0 || !index || bpf_obj_get_info_by_fd(gift->fds[i], &info, &len) ||
        info.xdp.ifindex != index)
      continue;
    const int link = gift->fds[i];
    gift->fds[i] = -1;
    return link;
  }
  return -1;
}
