/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoints.h"

#include "telemetry/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static http_server *listen_on(const fzr_addr *addr, const char *flag, const char *what,
                              struct event_base *base, char *error)
{
  char text[FZR_ADDR_TEXT_MAX];
  http_server *server = http_server_new(base, addr, 0);
  if (!server) {
    fzr_addr_format(addr, true, text, sizeof text);
    snprintf(error, OPTIONS_ERROR_MAX, "%s: can't listen on %s: %s", flag, text, strerror(errno));
    return NULL;
  }
  const fzr_addr real = http_server_addr(server);
  fzr_addr_format(&real, true, text, sizeof text);
  log_info("relay", "%s on http://%s", what, text);
  return server;
}

int endpoints_open(endpoints *e, const options *o, struct event_base *base, const health_source *source,
                   telemetry *t, void (*filter_changed)(void *ctx), char error[OPTIONS_ERROR_MAX])
{
  e->health_server =
      listen_on(&o->health_check_addr, "--health-check-addr", "Health and metrics", base, error);
  e->control_server = e->health_server ? listen_on(&o->control_endpoint, "--control-endpoint",
                                                   "Control of the log filter", base, error)
                                       : NULL;
  if (!e->control_server)
    return -1;
  e->health = health_new(e->health_server, source);
  e->control = control_new(e->control_server, filter_changed, source->ctx);
  if (e->health && e->control && !telemetry_serve(t, e->health_server))
    return 0;
  snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
  return -1;
}

void endpoints_ports(const endpoints *e, uint16_t out[2])
{
  out[0] = http_server_addr(e->health_server).port;
  out[1] = http_server_addr(e->control_server).port;
}

void endpoints_close(endpoints *e)
{
  http_server_free(e->health_server);
  http_server_free(e->control_server);
  health_free(e->health);
  control_free(e->control);
}
