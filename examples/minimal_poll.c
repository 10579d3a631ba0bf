/* SPDX-License-Identifier: Apache-2.0 */
/* A whole relay: one engine, the UDP adapter with a loop of its own, one user. Build it against the installed library:
 *
 *   cc minimal_poll.c $(pkg-config --cflags --libs libfzrelay) -o minimal_poll
 *   ./minimal_poll 127.0.0.1
 */
#include <firezone_relay/firezone_relay.h>
#include <firezone_relay/udp.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
  (void)number;
  stopped = 1;
}

int main(int argc, char **argv)
{
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

  int error = fzr_udp_new(&adapter, &udp, &system_error);
  if (!error)
    error = fzr_engine_new(&config, &engine, fzr_udp_now());
  if (!error)
    error = fzr_udp_attach(udp, engine);
  if (!error) {
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    printf("relaying on %s port %u for user alice, password wonderland, realm firezone\n", argv[1],
           fzr_udp_listen_port(udp));
    fflush(stdout);
  }
  /* A signal ends the waiting; one that comes just before it is seen a second later. */
  while (!error && !stopped)
    error = fzr_udp_poll(udp, FZR_SECOND);
  if (error)
    fprintf(stderr, "%s: %s\n", fzr_strerror(error), system_error ? strerror(system_error) : "");
  fzr_udp_free(udp);
  fzr_engine_free(engine);
  return error ? 1 : 0;
}
