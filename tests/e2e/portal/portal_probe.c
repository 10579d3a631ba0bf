/* SPDX-License-Identifier: Apache-2.0 */
/* The portal client alone, without a relay around it: takes the relay's environment variables, prints what happens ("connected",
 * "disconnected", "init", "fatal ...") on standard output, and ends as the relay would. */
#include <dirent.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "http/health.h"
#include "portal/portal.h"

typedef struct probe {
  struct event_base *base;
  portal *portal;
  bool initialised, ended, stopping;
  int status;
} probe;

static const char *env(const char *name, const char *normal)
{
  const char *value = getenv(name);
  return value != NULL && *value != '\0' ? value : normal;
}

static void say(const char *what)
{
  (void)puts(what);
  (void)fflush(stdout);
}

static void on_init(void *ctx)
{
  ((probe *)ctx)->initialised = true;
  say("init");
}

static void on_fatal(void *ctx, const char *message)
{
  probe *p = ctx;
  (void)printf("fatal %s\n", message);
  (void)fprintf(stderr, "ERROR portal: %s\n", message);
  p->ended = true;
  p->status = 1;
  (void)event_base_loopbreak(p->base);
}

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
  probe *p = ctx;
  (void)fd;
  (void)what;
  p->stopping = true;
  portal_shutdown(p->portal);
  (void)event_base_loopbreak(p->base);
}

/* On SIGUSR1: what the process holds and has used. */
static void on_stats(evutil_socket_t fd, short what, void *ctx)
{
  struct rusage usage;
  unsigned fds = 0;
  DIR *dir = opendir("/proc/self/fd");
  (void)fd;
  (void)what;
  (void)ctx;
  while (dir != NULL && readdir(dir) != NULL)
    fds++;
  if (dir != NULL)
    (void)closedir(dir);
  (void)getrusage(RUSAGE_SELF, &usage);
  const struct mallinfo2 info = mallinfo2();
  const long long cpu = (long long)usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec +
                        (long long)usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
  (void)printf("stats fds=%u heap=%zu maxrss_kib=%ld cpu_us=%lld\n", fds, info.uordblks + info.hblkhd,
               usage.ru_maxrss, cpu);
  (void)fflush(stdout);
}

static const char *not_ready(void *ctx)
{
  const probe *p = ctx;
  return p->initialised && !p->stopping && portal_is_connected(p->portal) ? NULL : "no";
}

static http_server *serve_health(probe *p, struct health **health)
{
  const char *text = env("HEALTH_CHECK_ADDR", NULL);
  fzr_addr addr;
  if (text == NULL || fzr_addr_parse(text, &addr) != 0)
    return NULL;
  http_server *server = http_server_new(p->base, &addr, 0);
  if (server == NULL)
    return NULL;
  const health_source source = {p, not_ready};
  *health = health_new(server, &source);
  addr = http_server_addr(server);
  (void)printf("health port=%u\n", addr.port);
  (void)fflush(stdout);
  return server;
}

static bool read_options(portal_options *o)
{
  memset(o, 0, sizeof *o);
  o->api_url = env("FIREZONE_API_URL", NULL);
  o->token = env("FIREZONE_TOKEN", "");
  o->name = env("FIREZONE_NAME", NULL);
  o->version = "0.1.0";
  o->port = 3478;
  o->stamp_secret = env("AUTH_SECRET", "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab");
  return (env("PUBLIC_IP4_ADDR", NULL) == NULL || fzr_addr_parse(getenv("PUBLIC_IP4_ADDR"), &o->ipv4) == 0) &&
         (env("PUBLIC_IP6_ADDR", NULL) == NULL || fzr_addr_parse(getenv("PUBLIC_IP6_ADDR"), &o->ipv6) == 0) &&
         portal_timing_parse(env("PORTAL_TIMING", ""), &o->timing);
}

static void run(probe *p)
{
  while (!p->ended && !p->stopping)
    (void)event_base_loop(p->base, EVLOOP_NO_EXIT_ON_EMPTY);
  while (p->stopping && !p->ended && !portal_is_closed(p->portal))
    (void)event_base_loop(p->base, EVLOOP_ONCE);
}

int main(void)
{
  probe p = {.base = event_base_new()};
  char error[PORTAL_ERROR_MAX];
  portal_options options;
  struct health *health = NULL;
  const portal_callbacks callbacks = {&p, on_init, on_fatal};
  (void)signal(SIGPIPE, SIG_IGN);
  if (!read_options(&options))
    return 2;
  p.portal = portal_start(&options, p.base, &callbacks, error);
  if (p.portal == NULL) {
    (void)fprintf(stderr, "ERROR portal: %s\n", error);
    event_base_free(p.base);
    return 2;
  }
  struct event *stop = evsignal_new(p.base, SIGTERM, on_stop, &p);
  struct event *stats = evsignal_new(p.base, SIGUSR1, on_stats, &p);
  (void)event_add(stop, NULL);
  (void)event_add(stats, NULL);
  http_server *server = serve_health(&p, &health);
  run(&p);
  event_free(stop);
  event_free(stats);
  http_server_free(server);
  health_free(health);
  portal_free(p.portal);
  event_base_free(p.base);
  return p.status;
}
