/* SPDX-License-Identifier: Apache-2.0 */
#include "look_up.h"

#include "common/clock.h"
#include "net/resolve.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE (3 * FZR_SECOND)

typedef struct found {
  fzr_addr *out;
  size_t count;
  char *error;
  struct event_base *base;
} found;

static void on_found(void *ctx, const fzr_addr *addrs, size_t count, const char *error)
{
  found *f = ctx;
  snprintf(f->error, PROBE_TEXT_MAX, "%s", error ? error : "");
  for (size_t i = 0; i < count && f->count < 2; i++)
    if (!f->count || addrs[i].family != f->out[0].family)
      f->out[f->count++] = addrs[i];
  event_base_loopbreak(f->base);
}

size_t probe_look_up(const probe_target *target, fzr_addr out[2], char *error)
{
  const struct timeval patience = timeval_of(PATIENCE);
  found f = {.out = out, .error = error};
  snprintf(error, PROBE_TEXT_MAX, "out of memory");
  if (target->host_is_ip) {
    fzr_addr_parse(target->host, &out[0]);
    out[0].port = target->port;
    return 1;
  }
  f.base = event_base_new();
  net_resolver *resolver = f.base ? net_resolver_new(f.base, target->host, target->port, NULL) : NULL;
  if (resolver && !net_resolver_start(resolver, on_found, &f)) {
    snprintf(error, PROBE_TEXT_MAX, "no answer of the name servers");
    event_base_loopexit(f.base, &patience);
    event_base_dispatch(f.base);
  }
  net_resolver_free(resolver);
  if (f.base)
    event_base_free(f.base);
  return f.count;
}
