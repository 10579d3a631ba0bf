/* SPDX-License-Identifier: Apache-2.0 */
/* A relay in an event loop of one's own, here on poll(2): the adapter says what to watch. minimal_poll.c is the same without.
 *
 *   cc own_loop.c $(pkg-config --cflags --libs libfzrelay) -o own_loop
 *   ./own_loop 127.0.0.1
 */
#include <firezone_relay/firezone_relay.h>
#include <firezone_relay/udp.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SOCKETS 1024

/* The host's side of fzr_udp_config.watch: a table of what to poll. Entries never move while they are in use, and a slot is the
 * entry's index plus one. */
typedef struct watched {
  struct pollfd fds[MAX_SOCKETS];
  void *tokens[MAX_SOCKETS];
  size_t count;
} watched;

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
  (void)number;
  stopped = 1;
}

static int watch(void *ctx, int fd, unsigned events, void *token, void **slot)
{
  watched *w = (watched *)ctx;
  size_t i = (size_t)(uintptr_t)*slot;
  if (!i) {
    for (i = 1; i <= w->count && w->fds[i - 1].fd >= 0; i++)
      ;
    if (i > MAX_SOCKETS)
      return FZR_ERR_IO_NO_SOCKET; /* the client gets 508 */
    if (i > w->count)
      w->count = i;
    *slot = (void *)(uintptr_t)i;
  }
  const int read = events & FZR_WATCH_READ ? POLLIN : 0, write = events & FZR_WATCH_WRITE ? POLLOUT : 0;
  const struct pollfd wanted = {fd, (short)(read | write), 0};
  w->fds[i - 1] = wanted;
  w->tokens[i - 1] = token;
  return 0;
}

static void unwatch(void *ctx, int fd, void *slot)
{
  watched *w = (watched *)ctx;
  (void)fd;
  w->fds[(uintptr_t)slot - 1].fd = -1; /* poll passes over negative descriptors */
}

static int wait_ms(const fzr_udp *udp)
{
  const fzr_time deadline = fzr_udp_deadline(udp), at = fzr_udp_now();
  if (deadline == FZR_TIME_NEVER || deadline > at + 1000 * FZR_SECOND)
    return 1000 * 1000;
  return deadline <= at ? 0 : (int)((deadline - at) / FZR_MILLISECOND) + 1;
}

static void serve(fzr_udp *udp, fzr_engine *engine, watched *w)
{
  while (!stopped) {
    const int ready = poll(w->fds, w->count, wait_ms(udp));
    fzr_engine_set_wallclock(engine, (int64_t)time(NULL), fzr_udp_now());
    for (size_t i = 0; ready > 0 && i < w->count; i++) {
      const int what = w->fds[i].fd >= 0 ? w->fds[i].revents : 0;
      if (what)
        fzr_udp_on_ready(udp, w->tokens[i],
                         (what & ~POLLOUT ? FZR_WATCH_READ : 0) | (what & POLLOUT ? FZR_WATCH_WRITE : 0),
                         fzr_udp_now());
    }
    fzr_udp_on_deadline(udp, fzr_udp_now());
  }
}

int main(int argc, char **argv)
{
  static watched w;
  static const fzr_user users[] = {{"alice", "wonderland", NULL}};
  fzr_engine *engine = NULL;
  fzr_udp *udp = NULL;
  int system_error = 0;

  fzr_config config = fzr_config_init();
  config.random = fzr_udp_random;
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 1;
  if (argc < 2 || fzr_addr_parse(argv[1], &config.public_ip4) ||
      config.public_ip4.family != FZR_FAMILY_IPV4) {
    fprintf(stderr, "usage: %s IPV4-ADDRESS [PORT]\n", argv[0]);
    return 2;
  }

  fzr_udp_config adapter = fzr_udp_config_init();
  adapter.bind_ip4 = config.public_ip4;
  adapter.listen_port = (uint16_t)(argc > 2 ? strtoul(argv[2], NULL, 10) : 3478);
  adapter.watch = watch;
  adapter.unwatch = unwatch;
  adapter.watch_ctx = &w;

  int error = fzr_udp_new(&adapter, &udp, &system_error);
  if (!error)
    error = fzr_engine_new(&config, &engine, fzr_udp_now());
  if (!error)
    error = fzr_udp_attach(udp, engine);
  if (error) {
    fprintf(stderr, "%s: %s\n", fzr_strerror(error), system_error ? strerror(system_error) : "");
  } else {
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    printf("relaying on %s port %u for user alice, password wonderland, realm firezone\n", argv[1],
           fzr_udp_listen_port(udp));
    fflush(stdout);
    serve(udp, engine, &w);
  }
  fzr_udp_free(udp);
  fzr_engine_free(engine);
  return error ? 1 : 0;
}
