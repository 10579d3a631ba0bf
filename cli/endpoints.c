/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoints.h"

#include "common/clock.h"
#include "firezone_relay/socket.h"
#include "log/log.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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

/* A listener of another process, if it has one that is where |want| says; NULL if not. What is not wanted stays. */
static http_server *take_over(handover_fds *inherited, bool (*is_wanted)(int fd, const void *where),
                              const void *where, unsigned connections, struct event_base *base)
{
  for (size_t i = 0; inherited && i < inherited->count; i++) {
    const int fd = inherited->each[i];
    if (!is_wanted(fd, where))
      continue;
    http_server *server = http_server_adopt(base, fd, connections);
    if (server)
      inherited->each[i] = inherited->each[--inherited->count];
    return server;
  }
  return NULL;
}

static bool is_at_addr(int fd, const void *where)
{
  const fzr_addr *addr = where;
  fzr_sockaddr name;
  fzr_addr real;
  socklen_t len = sizeof name;
  if (getsockname(fd, &name.any, &len) || fzr_addr_from_sockaddr(&name.any, len, &real))
    return false;
  if (!addr->port)
    real.port = 0;
  return fzr_addr_equal(&real, addr);
}

static bool is_at_path(int fd, const void *where)
{
  return http_local_is_at(fd, where);
}

static void explain(const char *flag, const char *where, bool is_addr, char *error)
{
  const char *why = strerror(errno), *more = "";
  if (errno == EADDRINUSE)
    more =
        is_addr
            ? ": set another address or port; port 0 takes a free one. If it is a relay's, and both have "
              "--handover-socket, this one takes its place"
            : ": a relay listens there: set another path; if both have --handover-socket, this one takes its "
              "place";
  else if (errno == EEXIST)
    more = ", and it is no socket";
  snprintf(error, OPTIONS_ERROR_MAX, "%s: can't listen on %s: %s%s", flag, where, why, more);
}

static http_server *listen_on(endpoints *e, handover_fds *inherited, const fzr_addr *addr,
                              unsigned connections, const char *flag, const char *what,
                              struct event_base *base, char *error)
{
  char text[FZR_ADDR_TEXT_MAX];
  http_server *server = take_over(inherited, is_at_addr, addr, connections, base);
  if (!server)
    server = http_server_new(base, addr, connections);
  if (!server) {
    fzr_addr_format(addr, true, text, sizeof text);
    explain(flag, text, true, error);
    return NULL;
  }
  http_server_on_shortage(server, on_shortage, e);
  const fzr_addr real = http_server_addr(server);
  fzr_addr_format(&real, true, text, sizeof text);
  log_info("relay", "%s on http://%s", what, text);
  return server;
}

/* ---- the socket in the file system ---- */

static int group_of(const char *name, gid_t *out)
{
  const struct group *group = name ? getgrnam(name) : NULL;
  *out = group ? group->gr_gid : (gid_t)-1;
  return name && !group ? -1 : 0;
}

/* Those of another process that nobody asks for any more: nobody else would remove these. */
static void remove_others(const endpoints *e, const handover_fds *inherited)
{
  char path[HTTP_LOCAL_PATH_MAX + 1];
  http_local_file file;
  for (size_t i = 0; i < inherited->count; i++)
    if (http_local_path(inherited->each[i], path) && http_local_look(path, &file) &&
        !http_local_is_still(path, &e->local_file) && http_local_is_at(inherited->each[i], path))
      http_local_remove(path, &file);
}

static http_server *new_local(const char *path, gid_t group, struct event_base *base)
{
  const int fd = http_local_listen(path, group);
  http_server *server = fd >= 0 ? http_server_adopt(base, fd, CONTROL_CONNECTIONS) : NULL;
  if (fd >= 0 && !server)
    close(fd);
  return server;
}

static int listen_locally(endpoints *e, const options *o, handover_fds *inherited, struct event_base *base,
                          char *error)
{
  if (group_of(o->control_group, &e->local_group)) {
    snprintf(error, OPTIONS_ERROR_MAX, "--control-group: there is no group '%s'", o->control_group);
    return -1;
  }
  e->local_server = take_over(inherited, is_at_path, o->control_socket, CONTROL_CONNECTIONS, base);
  e->adopted = e->local_server != NULL;
  if (!e->local_server)
    e->local_server = new_local(o->control_socket, e->local_group, base);
  if (!e->local_server) {
    explain("--control-socket", o->control_socket, false, error);
    return -1;
  }
  e->local_path = o->control_socket;
  http_local_look(e->local_path, &e->local_file);
  http_server_on_shortage(e->local_server, on_shortage, e);
  log_info("relay", "Control on the socket %s", e->local_path);
  return 0;
}

/* ---- all of them ---- */

static int serve_control(struct control **control, http_server *server, const endpoints_config *c)
{
  *control = control_new(server, c->filter_changed, c->health.ctx);
  return *control && !sessions_serve(server, &c->sessions) ? 0 : -1;
}

static int open_control(endpoints *e, const endpoints_config *c, handover_fds *inherited, char *error)
{
  const options *o = c->options;
  if (o->control_endpoint.family) {
    e->control_server = listen_on(e, inherited, &o->control_endpoint, CONTROL_CONNECTIONS,
                                  "--control-endpoint", "Control", c->base, error);
    if (!e->control_server)
      return -1;
  }
  if (o->control_socket && listen_locally(e, o, inherited, c->base, error))
    return -1;
  if ((e->control_server && serve_control(&e->control, e->control_server, c)) ||
      (e->local_server && serve_control(&e->local_control, e->local_server, c))) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    return -1;
  }
  return 0;
}

int endpoints_open(endpoints *e, const endpoints_config *c, handover_parcel *inherited,
                   char error[OPTIONS_ERROR_MAX])
{
  e->health_server = listen_on(e, inherited ? &inherited->health : NULL, &c->options->health_check_addr, 0,
                               "--health-check-addr", "Health and metrics", c->base, error);
  if (!e->health_server || open_control(e, c, inherited ? &inherited->control : NULL, error))
    return -1;
  e->health = health_new(e->health_server, &c->health);
  if (e->health && !telemetry_serve(c->telemetry, e->health_server))
    return 0;
  snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
  return -1;
}

void endpoints_begin(endpoints *e, const handover_parcel *inherited)
{
  e->begun = true;
  remove_others(e, &inherited->control);
  if (e->adopted && http_local_share(e->local_path, &e->local_file, e->local_group))
    log_warn("relay", "--control-socket: can't have %s be for whom --control-group says: %s", e->local_path,
             strerror(errno));
}

void endpoints_ports(const endpoints *e, uint16_t out[2])
{
  out[0] = http_server_addr(e->health_server).port;
  out[1] = e->control_server ? http_server_addr(e->control_server).port : 0;
}

size_t endpoints_give(const endpoints *e, int *health, int control[ENDPOINTS_CONTROL])
{
  size_t n = 0;
  *health = http_server_fd(e->health_server);
  if (e->control_server)
    control[n++] = http_server_fd(e->control_server);
  if (e->local_server)
    control[n++] = http_server_fd(e->local_server);
  return n;
}

void endpoints_refuse_new(endpoints *e)
{
  http_server *const all[] = {e->health_server, e->control_server, e->local_server};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i])
      http_server_refuse_new(all[i]);
  e->gave = true;
}

bool endpoints_are_idle(const endpoints *e)
{
  http_server *const all[] = {e->health_server, e->control_server, e->local_server};
  unsigned open = 0;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    open += all[i] ? http_server_connections(all[i]) : 0;
  return !open;
}

void endpoints_close(endpoints *e)
{
  http_server_free(e->health_server);
  http_server_free(e->control_server);
  http_server_free(e->local_server);
  if (e->local_server && !e->gave && (!e->adopted || e->begun))
    http_local_remove(e->local_path, &e->local_file);
  health_free(e->health);
  control_free(e->control);
  control_free(e->local_control);
}
