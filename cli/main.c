/* SPDX-License-Identifier: Apache-2.0 */
/* firezone-relay: reads its options, sets up the process, and runs the relay. */
#include "check_config.h"
#include "config_file.h"
#include "credentials.h"
#include "import_coturn.h"
#include "log/log.h"
#include "logins.h"
#include "options.h"
#include "probe_command.h"
#include "process.h"
#include "relay.h"
#include "sessions_main.h"
#include "take_over.h"
#include "workers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *environment(const char *name)
{
  return getenv(name);
}

static void tell(const char *error)
{
  fprintf(stderr, "firezone-relay: %s\n", error);
}

static void start_log(const options *o, int fd)
{
  static const enum log_style styles[] = {[LOG_FORMAT_HUMAN] = LOG_STYLE_HUMAN,
                                          [LOG_FORMAT_JSON] = LOG_STYLE_JSON,
                                          [LOG_FORMAT_JSON_FLAT] = LOG_STYLE_JSON_FLAT,
                                          [LOG_FORMAT_GOOGLE_CLOUD] = LOG_STYLE_GOOGLE_CLOUD};
  const log_options config = {.style = styles[o->log_format],
                              .fd = fd,
                              .color = log_wants_color(fd),
                              .filter = o->log_filter ? o->log_filter : log_filter_from(getenv),
                              .google_cloud_project = o->google_cloud_project};
  if (log_init(&config))
    fprintf(stderr, "firezone-relay: can't start the log: %s\n", strerror(errno));
}

static int show_help(enum sub_command command)
{
  const size_t len = options_help(command, NULL, 0);
  char *text = malloc(len + 1);
  if (!text)
    return EXIT_FAILURE;
  options_help(command, text, len + 1);
  const bool failed = fputs(text, stdout) < 0 || fflush(stdout);
  free(text);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Who is believed may claim any address. */
static void log_wide_proxies(const options *o)
{
  for (size_t i = 0; i < o->proxy_count && options_has_streams(o); i++) {
    const fzr_peer_rule *rule = &o->proxies[i];
    char text[FZR_ADDR_TEXT_MAX];
    if (!options_proxy_is_wide(rule))
      continue;
    fzr_addr_format(&rule->net, false, text, sizeof text);
    log_warn("relay",
             "--proxy-protocol %s/%u: everybody in so wide a network can claim to have any address: name "
             "nobody but "
             "load balancers",
             text, rule->prefix);
  }
}

/* What the options allow, and are better without. */
static void log_warnings(const options *o)
{
  if (o->token_oddity)
    log_warn("relay", "The token looks wrong: %s", o->token_oddity);
  if (o->token && o->listen_port != 3478)
    log_warn(
        "relay",
        "--listen-port is %u: Firezone's clients take no answer of a relay that does not come from port 3478",
        o->listen_port);
  if (o->telemetry)
    log_info("relay", "--telemetry: there is no crash reporting to turn on");
  if (o->token_from_argument)
    log_warn(
        "relay",
        "The token was given as an argument, where every user of this host can read it: use FIREZONE_TOKEN");
  if (o->has_seed)
    log_warn("relay", "--rng-seed makes everything secret guessable: use it for tests only");
  if (o->usage_log && !log_enabled(FZR_LOG_INFO, "usage"))
    log_warn("relay", "--usage-log: the log filter lets none of its records through: add usage=info to it");
  if (o->usage_log && o->xdp.mode != XDP_MODE_OFF)
    log_warn("relay", "--usage-log: what the kernel relays (--offload) is in none of its records");
  log_wide_proxies(o);
  for (size_t i = 0; i < o->idle_count; i++)
    log_warn("relay", "%s has no effect: %s", o->idle[i].name, o->idle[i].because);
  if (logins_are_nobodys(o))
    log_warn("relay",
             "No secret is set, so nobody can make credentials for this relay: set --auth-secret-file "
             "or AUTH_SECRET");
}

/* Who can log in, and how clients reach peers: neither is to be guessed by whoever looks for a reason why clients do not. */
static void log_policy(const options *o, const logins *l)
{
  char schemes[64], users[64] = "", most[64] = "";
  options_schemes(o, schemes, sizeof schemes);
  if (o->auth & AUTH_STATIC)
    snprintf(users, sizeof users, ", %zu user%s in %s", l->users.count, l->users.count == 1 ? "" : "s",
             o->config.users ? "the file of --config" : "--users-file");
  if (!options_replace(o) && o->max_allocations_per_user)
    snprintf(most, sizeof most, ", %u allocations a user at most", o->max_allocations_per_user);
  else if (!options_replace(o))
    snprintf(most, sizeof most, ", any number of allocations a user");
  log_info("relay", "Clients log in by --auth %s, realm '%s'%s%s", schemes, o->realm, users, most);
  log_info("relay", "Relay mode %s (%s%s): %s", o->relay_mode == RELAY_MODE_FULL ? "full" : "channels",
           o->relay_mode_given ? "--relay-mode" : "the default with --auth ",
           o->relay_mode_given ? "" : schemes,
           o->relay_mode == RELAY_MODE_FULL
               ? "peers are reached through channels, and through permissions by Send and Data indications"
               : "peers are reached through channels alone; browsers need --relay-mode full");
}

/* Where new clients are sent on. */
static void log_alternate(const options *o, const fzr_addr *addr)
{
  char text[FZR_ADDR_TEXT_MAX], over[64] = "";
  if (!addr->family)
    return;
  fzr_addr_format(addr, true, text, sizeof text);
  if (o->alternate_over)
    snprintf(over, sizeof over, ", and from %u allocations on", o->alternate_over);
  log_info("relay", "New clients are sent to %s while this relay shuts down or has no room%s", text, over);
}

static int relay_main(const options *o)
{
  static notes found;
  char error[OPTIONS_ERROR_MAX];
  logins *first = NULL;
  int told = -1;
  const int waited = o->take_over ? take_over_split(&told) : -1;
  if (waited >= 0)
    return waited;
  process_hold_signals(true); /* until the relay waits for them */
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_DFL);
  /* Before the log: a mistake is one line, and no more. */
  const int unusable = logins_read(o, NULL, &first, &found, error);
  if (unusable) {
    fprintf(stderr, "firezone-relay: %s\n", error);
    return unusable;
  }
  process_raise_descriptors(o, workers_count(o));
  start_log(o, STDOUT_FILENO);
  log_info("relay", "firezone-relay %s", fzr_version());
  if (o->config.path)
    log_info("relay", "Options are read from %s, too", o->config.path);
  if (!o->token)
    log_info("relay", "There is no token: running standalone, without a portal");
  log_policy(o, first);
  relay_log_second(first);
  log_alternate(o, &o->alternate_ip4);
  log_alternate(o, &o->alternate_ip6);
  relay_log_notes(&found);
  log_warnings(o);
  process_log_descriptors(o, workers_count(o));
  const int status = relay_run(o, first, told);
  if (status == EXIT_SUCCESS)
    log_info("relay", "Goodbye!");
  log_shutdown();
  return status;
}

/* --check-config: |well|: options_read found nothing wrong. */
static int check_config(const options *o, bool well)
{
  start_log(o, STDERR_FILENO);
  const unsigned mistakes = check_config_files(o);
  if (well)
    log_warnings(o);
  log_shutdown();
  if (!well || mistakes)
    return EXIT_USAGE;
  return puts("OK") < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Each returns the exit status. */
static int (*const mains[COMMANDS])(const options *o) = {
    [COMMAND_RELAY] = relay_main,
    [COMMAND_CREDENTIALS] = credentials_main,
    [COMMAND_IMPORT_COTURN] = import_coturn_main,
    [COMMAND_PROBE] = probe_main,
    [COMMAND_SESSIONS] = sessions_main,
};

int main(int argc, char **argv)
{
  static const options_sources sources = {environment, config_file_read, tell};
  static options o;
  char error[OPTIONS_ERROR_MAX];
  process_keep_standard_streams();
  process_keep_memory();
  const bool well = !options_read(argc, argv, &sources, &o, error);
  if (o.check_config && !o.show_help && !o.show_version)
    return check_config(&o, well);
  if (!well)
    return EXIT_USAGE;
  if (o.show_help)
    return show_help(o.command);
  if (o.show_version)
    return printf("firezone-relay %s\n", fzr_version()) < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
  process_harden();
  const int status = mains[o.command](&o);
  options_forget(&o);
  return status;
}
