/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoints.h"

#include "common/clock.h"
#include "log/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Connections to the control endpoint: it is for one operator. */
#define CONTROL_CONNECTIONS 16
#define TELL_EVERY          (60 * FZR_SECOND)

static void on_shortage(void *ctx, int error, unsigned ended)
{
  endpoints *e = ctx;
  const fzr_time now = monotonic_now();
  e->ended += ended;
  if (e->told && now - e->told < TELL_EVERY)
    return;
  if (error == EMFILE || error == ENFILE)
    log_warn(
        "relay",
        "No descriptor was left for a connection to the health port or the control endpoint: closed %llu "
        "others that waited; raise the limit of open files, or see who opens so many",
        (unsigned long long)e->ended);
  else
    log_warn("relay", "Can't accept a connection to the health port or the control endpoint: %s",
             strerror(error));
  e->told = now;
  e->ended = 0;
}

/* A listener of another process, if that is on |addr|; NULL if there is none, or it is elsewhere. */
static http_server *take_over(handover_fds *inherited, const fzr_addr *addr, unsigned connections,
                              struct event_base *base)
{
  const int fd = inherited ? handover_fds_take(inherited) : -1;
  http_server *server = fd >= 0 ? http_server_adopt(base, fd, connections) : NULL;
  if (!server) {
    if (fd >= 0)
      close(fd);
    return NULL;
  }
  fzr_addr real = http_server_addr(server);
  if (!addr->port)
    real.port = 0;
  if (fzr_addr_equal(&real, addr))
    return server;
  http_server_free(server);
  return NULL;
}

static http_server *listen_on(endpoints *e, handover_fds *inherited, const fzr_addr *addr,
                              unsigned connections, const char *flag, const char *what,
                              struct event_base *base, char *error)
{
  char text[FZR_ADDR_TEXT_MAX];
  http_server *server = take_over(inherited, addr, connections, base);
  if (!server)
    server = http_server_new(base, addr, connections);
  if (!server) {
    fzr_addr_format(addr, true, text, sizeof text);
    snprintf(error, OPTIONS_ERROR_MAX, "%s: can't listen on %s: %s%s", flag, text, strerror(errno),
             errno == EADDRINUSE
                 ? ": if another relay runs here, and both have --handover-socket, this one takes its place; "
                   "else another address can be set, and port 0 takes a free one"
                 : "");
    return NULL;
  }
  http_server_on_shortage(server, on_shortage, e);
  const fzr_addr real = http_server_addr(server);
  fzr_addr_format(&real, true, text, sizeof text);
  log_info("relay", "%s on http://%s", what, text);
  return server;
}

int endpoints_open(endpoints *e, const options *o, struct event_base *base, const health_source *source,
                   telemetry *t, void (*filter_changed)(void *ctx), handover_parcel *inherited,
                   char error[OPTIONS_ERROR_MAX])
{
  e->health_server = listen_on(e, inherited ? &inherited->health : NULL, &o->health_check_addr, 0,
                               "--health-check-addr", "Health and metrics", base, error);
  e->control_server =
      e->health_server
          ? listen_on(e, inherited ? &inherited->control : NULL, &o->control_endpoint, CONTROL_CONNECTIONS,
                      "--control-endpoint", "Control of the log filter", base, error)
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

void endpoints_give(const endpoints *e, int *health, int *control)
{
  *health = http_server_fd(e->health_server);
  *control = http_server_fd(e->control_server);
}

void endpoints_refuse_new(const endpoints *e)
{
  http_server_refuse_new(e->health_server);
  http_server_refuse_new(e->control_server);
}

bool endpoints_are_idle(const endpoints *e)
{
  return !http_server_connections(e->health_server) && !http_server_connections(e->control_server);
}

void endpoints_close(endpoints *e)
{
  http_server_free(e->health_server);
  http_server_free(e->control_server);
  health_free(e->health);
  control_free(e->control);
}
