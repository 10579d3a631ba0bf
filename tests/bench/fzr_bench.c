/* SPDX-License-Identifier: Apache-2.0 */
/* fzr-bench: a load generator for any TURN server. */
#include "bench.h"
#include "floor.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

volatile sig_atomic_t bench_stop;

static const char help[] =
    "fzr-bench: load for a TURN server\n"
    "\n"
    "Usage: fzr-bench MODE --server ADDR:PORT [OPTIONS]\n"
    "\n"
    "Modes:\n"
    "  relay       clients and peers, all of this process, send to each other through the server\n"
    "  binding     Binding requests\n"
    "  allocate    full Allocate cycles, --clients of them; the allocations are kept until all are made\n"
    "  refresh     authenticated Refresh requests\n"
    "  handshake   connections of --transport tls, each ended after its handshake\n"
    "\n"
    "Logging in, one of:\n"
    "  --user NAME --password WORD      long-term credentials\n"
    "  --stamp-secret-file FILE         make Firezone credentials from the relay's secret (or AUTH_SECRET)\n"
    "  --rest-secret-file FILE          make credentials of the TURN REST scheme from its secret,\n"
    "                                   for --user NAME [default: fzr-bench]\n"
    "\n"
    "Options:\n"
    "  --transport T       of clients: udp, tcp or tls, whose certificate is not looked at [default: udp]\n"
    "  --clients N         clients, each with its socket, allocation and channel or permission [default: 1]\n"
    "  --direction D       relay: up (client to peer), down or both [default: up]\n"
    "  --size BYTES        relay: payload of a packet [default: 1280]\n"
    "  --packets N         stop after N packets of each flow, or N requests\n"
    "  --seconds S         stop after S seconds [default: 5]\n"
    "  --rate N            relay: packets a second in all, instead of a window\n"
    "  --window N          packets or requests in flight [default: 64]\n"
    "  --indications       relay: permissions, Send and Data indications in place of channels; allocate: "
    "likewise "
    "with --channel\n"
    "  --gso               relay: send runs of packets at once (UDP_SEGMENT)\n"
    "  --peer ADDR         address of the generator's peers, which the server's users must be let reach "
    "(firezone-relay: --allow-peer) [default: 127.0.0.1, or ::1 with --relay-ipv6]\n"
    "  --floor             relay: the server is fzr-floor, which knows no TURN and takes clients and peers "
    "to be at --peer\n"
    "  --relay-ipv6        ask for an IPv6 relayed address\n"
    "  --relay-both        allocate: ask for an IPv4 and an IPv6 relayed address\n"
    "  --channel           allocate: bind a channel each, too\n"
    "  --hold              allocate: keep the allocations until SIGINT or SIGTERM\n"
    "  --pid PID           the server's process: tell its CPU time and memory\n"
    "  --usage-file FILE   allocate: tell how much the bytes grow that this file names, such as a control "
    "group's memory.current\n"
    "  --in-steps          relay: hold the server (--pid) while each window is sent, so that it finds all of "
    "it at once\n"
    "  --json              print one JSON object\n"
    "  --help              this text\n"
    "\n"
    "Exit status: 0 if it went through, 1 if nothing did or packets were damaged, 2 for a mistake on the "
    "command line.\n";

/* ---- results ---- */

void result_begin(const bench *b)
{
  if (b->json)
    printf("{\"mode\":\"%s\",\"clients\":%u", b->mode, b->clients);
}

void result(const bench *b, const char *name, double value, const char *unit)
{
  if (b->json)
    printf(",\"%s\":%.10g", name, value);
  else
    printf("%-14s %14.*f %s\n", name, value < 1000 && value != (double)(long)value ? 1 : 0, value, unit);
}

void result_end(const bench *b)
{
  if (b->json)
    printf("}\n");
  fflush(stdout);
}

/* ---- options ---- */

static int mistake(const char *option, const char *value, const char *expected)
{
  fprintf(stderr, "fzr-bench: --%s: invalid value '%s': expected %s\n", option, value, expected);
  return 2;
}

static bool number(const char *text, double least, double most, double *out)
{
  char *end;
  *out = strtod(text, &end);
  return *text && !*end && *out >= least && *out <= most;
}

static int read_secret(const char *path, char *out, size_t cap)
{
  const char *from_environment = getenv("AUTH_SECRET");
  FILE *file = *path ? fopen(path, "r") : NULL;
  if (!file && !*path && from_environment) {
    snprintf(out, cap, "%s", from_environment);
    return 0;
  }
  if (!file || !fgets(out, (int)cap, file)) {
    fprintf(stderr, "fzr-bench: can't read a secret from '%s'\n", path);
    if (file)
      fclose(file);
    return 2;
  }
  fclose(file);
  out[strcspn(out, "\r\n")] = 0;
  return 0;
}

static int stamp_credential(bench *b, const char *path)
{
  b->credential.expiry = (uint64_t)time(NULL) + 86400;
  if (read_secret(path, b->credential.secret, sizeof b->credential.secret))
    return 2;
  b->has_credential = true;
  return 0;
}

/* For |user|; "": one of its own. */
static int rest_credential(bench *b, const char *path, const char *user)
{
  char secret[300];
  if (read_secret(path, secret, sizeof secret))
    return 2;
  snprintf(b->credential.username, sizeof b->credential.username, "%llu:%.490s",
           (unsigned long long)time(NULL) + 86400, *user ? user : "fzr-bench");
  fzr_auth_rest_password(secret, (const uint8_t *)b->credential.username, strlen(b->credential.username),
                         b->credential.password, sizeof b->credential.password);
  b->has_credential = true;
  return 0;
}

static int set_direction(bench *b, const char *text)
{
  static const char *const names[] = {"", "up", "down", "both"};
  for (int i = 1; i <= 3; i++) {
    if (strcmp(text, names[i]) == 0) {
      b->direction = (enum direction)i;
      return 0;
    }
  }
  return mistake("direction", text, "up, down or both");
}

static int set_transport(bench *b, const char *text)
{
  static const char *const names[] = {"udp", "tcp", "tls"};
  static const uint8_t transports[] = {FZR_TRANSPORT_UDP, FZR_TRANSPORT_TCP, FZR_TRANSPORT_TLS};
  for (unsigned i = 0; i < 3; i++) {
    if (strcmp(text, names[i]) == 0) {
      b->transport = transports[i];
      return 0;
    }
  }
  return mistake("transport", text, "udp, tcp or tls");
}

static int set_number(bench *b, const char *name, const char *text)
{
  double value;
  if (strcmp(name, "clients") == 0) {
    if (!number(text, 1, 60000, &value))
      return mistake(name, text, "1 to 60000");
    b->clients = (unsigned)value;
  } else if (strcmp(name, "size") == 0) {
    if (!number(text, 0, 2000, &value))
      return mistake(name, text, "0 to 2000");
    b->size = (uint32_t)value;
  } else if (strcmp(name, "packets") == 0) {
    if (!number(text, 1, 1e12, &value))
      return mistake(name, text, "1 to 10^12");
    b->packets = (uint64_t)value;
  } else if (strcmp(name, "seconds") == 0) {
    if (!number(text, 0.01, 3600, &b->seconds))
      return mistake(name, text, "0.01 to 3600");
  } else if (strcmp(name, "rate") == 0) {
    if (!number(text, 1, 1e9, &value))
      return mistake(name, text, "1 to 10^9");
    b->rate = (uint64_t)value;
  } else if (strcmp(name, "window") == 0) {
    if (!number(text, 1, 100000, &value))
      return mistake(name, text, "1 to 100000");
    b->window = (unsigned)value;
  } else {
    if (!number(text, 1, 4194304, &value))
      return mistake(name, text, "a process id");
    b->pid = (int)value;
  }
  return 0;
}

static int set_option(bench *b, const char *name, const char *value)
{
  if (strcmp(name, "server") == 0)
    return fzr_addr_parse(value, &b->server) || !b->server.port ? mistake(name, value, "an address and port")
                                                                : 0;
  if (strcmp(name, "peer") == 0)
    return fzr_addr_parse(value, &b->peer_host) || b->peer_host.port ? mistake(name, value, "an address") : 0;
  if (strcmp(name, "user") == 0) {
    b->user = value;
    b->has_credential = true;
    return 0;
  }
  if (strcmp(name, "password") == 0) {
    snprintf(b->credential.password, sizeof b->credential.password, "%s", value);
    return 0;
  }
  if (strcmp(name, "usage-file") == 0) {
    b->usage = value;
    return 0;
  }
  if (strcmp(name, "stamp-secret-file") == 0)
    return stamp_credential(b, value);
  if (strcmp(name, "rest-secret-file") == 0) {
    b->rest_secret = value;
    b->has_credential = true;
    return 0;
  }
  if (strcmp(name, "direction") == 0)
    return set_direction(b, value);
  if (strcmp(name, "transport") == 0)
    return set_transport(b, value);
  if (strcmp(name, "gso") == 0)
    b->gso = true;
  else if (strcmp(name, "relay-ipv6") == 0)
    b->relay_ipv6 = true;
  else if (strcmp(name, "relay-both") == 0)
    b->relay_both = true;
  else if (strcmp(name, "hold") == 0)
    b->hold = true;
  else if (strcmp(name, "floor") == 0)
    b->floor = true;
  else if (strcmp(name, "channel") == 0)
    b->channel = true;
  else if (strcmp(name, "indications") == 0)
    b->indications = true;
  else if (strcmp(name, "in-steps") == 0)
    b->in_steps = true;
  else if (strcmp(name, "json") == 0)
    b->json = true;
  else
    return set_number(b, name, value);
  return 0;
}

static int read_options(int argc, char **argv, bench *b)
{
  static const struct option options[] = {{"server", 1, 0, 0},
                                          {"user", 1, 0, 0},
                                          {"password", 1, 0, 0},
                                          {"stamp-secret-file", 1, 0, 0},
                                          {"rest-secret-file", 1, 0, 0},
                                          {"transport", 1, 0, 0},
                                          {"clients", 1, 0, 0},
                                          {"direction", 1, 0, 0},
                                          {"size", 1, 0, 0},
                                          {"packets", 1, 0, 0},
                                          {"seconds", 1, 0, 0},
                                          {"rate", 1, 0, 0},
                                          {"window", 1, 0, 0},
                                          {"gso", 0, 0, 0},
                                          {"peer", 1, 0, 0},
                                          {"relay-ipv6", 0, 0, 0},
                                          {"relay-both", 0, 0, 0},
                                          {"hold", 0, 0, 0},
                                          {"usage-file", 1, 0, 0},
                                          {"floor", 0, 0, 0},
                                          {"channel", 0, 0, 0},
                                          {"indications", 0, 0, 0},
                                          {"pid", 1, 0, 0},
                                          {"in-steps", 0, 0, 0},
                                          {"json", 0, 0, 0},
                                          {"help", 0, 0, 'h'},
                                          {0, 0, 0, 0}};
  int which, c;
  while ((c = getopt_long(argc, argv, "h", options, &which)) != -1) {
    if (c == 'h') {
      fputs(help, stdout);
      exit(EXIT_SUCCESS);
    }
    if (c == '?')
      return 2;
    const int error = set_option(b, options[which].name, optarg ? optarg : "");
    if (error)
      return error;
  }
  if (optind != argc - 1) {
    fprintf(stderr,
            "fzr-bench: expected one mode: relay, binding, allocate, refresh or handshake; see --help\n");
    return 2;
  }
  b->mode = argv[optind];
  return 0;
}

/* What the options about it make together, whichever came first. */
static int log_in(bench *b)
{
  const char *user = b->user ? b->user : "";
  if (b->rest_secret && (*b->credential.password || *b->credential.secret)) {
    fprintf(stderr, "fzr-bench: --rest-secret-file: not with --password or --stamp-secret-file\n");
    return 2;
  }
  if (b->user && *b->credential.secret) {
    fprintf(stderr, "fzr-bench: --user: not with --stamp-secret-file, by which each client is a user\n");
    return 2;
  }
  if (b->rest_secret)
    return rest_credential(b, b->rest_secret, user);
  snprintf(b->credential.username, sizeof b->credential.username, "%s", user);
  return !b->has_credential && getenv("AUTH_SECRET") ? stamp_credential(b, "") : 0;
}

static int check(bench *b)
{
  if (!b->server.family) {
    fprintf(stderr, "fzr-bench: --server is missing: expected an address and port such as 127.0.0.1:3478\n");
    return 2;
  }
  if (log_in(b))
    return 2;
  if (b->floor &&
      (b->server.port > 60000 || b->clients > FLOOR_MAX_CLIENTS || b->server.family != FZR_FAMILY_IPV4)) {
    fprintf(stderr, "fzr-bench: --floor takes an IPv4 server, a port up to 60000 and up to %u clients\n",
            FLOOR_MAX_CLIENTS);
    return 2;
  }
  if (!b->has_credential && !b->floor && strcmp(b->mode, "binding") != 0 &&
      strcmp(b->mode, "handshake") != 0) {
    fprintf(stderr, "fzr-bench: no credentials: expected --user and --password, --stamp-secret-file or "
                    "--rest-secret-file\n");
    return 2;
  }
  if (b->in_steps && (!b->pid || !b->packets || b->rate)) {
    fprintf(stderr, "fzr-bench: --in-steps takes --pid and --packets, and no --rate\n");
    return 2;
  }
  b->server.transport = b->transport;
  if (b->transport == FZR_TRANSPORT_TLS && !wire_has_tls()) {
    fprintf(stderr, "fzr-bench: this was built without mbedTLS, and has no TLS\n");
    return 2;
  }
  if (strcmp(b->mode, "handshake") == 0 && b->transport == FZR_TRANSPORT_UDP) {
    fprintf(stderr, "fzr-bench: handshake takes --transport tls, or tcp for connections alone\n");
    return 2;
  }
  if (b->transport != FZR_TRANSPORT_UDP && strcmp(b->mode, "binding") == 0) {
    fprintf(stderr, "fzr-bench: binding is for UDP alone\n");
    return 2;
  }
  if (b->floor &&
      (b->transport == FZR_TRANSPORT_TLS || (b->transport == FZR_TRANSPORT_TCP && b->indications))) {
    fprintf(stderr, "fzr-bench: --floor knows no TLS, and no --indications over TCP\n");
    return 2;
  }
  if (!b->peer_host.family)
    fzr_addr_parse(b->relay_ipv6 ? "::1" : "127.0.0.1", &b->peer_host);
  return 0;
}

static void on_interrupt(int signal_number)
{
  bench_stop = 1;
  signal(signal_number, SIG_DFL);
}

int main(int argc, char **argv)
{
  bench b = {.clients = 1, .direction = DIRECTION_UP, .size = 1280, .seconds = 5, .window = 64};
  struct rlimit files;
  int status = read_options(argc, argv, &b);
  if (!status)
    status = check(&b);
  if (status)
    return status;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  signal(SIGINT, on_interrupt);
  signal(SIGTERM, on_interrupt);
  if (strcmp(b.mode, "relay") == 0)
    return bench_relay(&b);
  if (strcmp(b.mode, "binding") == 0)
    return bench_binding(&b);
  if (strcmp(b.mode, "allocate") == 0)
    return bench_allocations(&b);
  if (strcmp(b.mode, "refresh") == 0)
    return bench_refreshes(&b);
  if (strcmp(b.mode, "handshake") == 0)
    return bench_handshakes(&b);
  fprintf(stderr, "fzr-bench: unknown mode '%s': expected relay, binding, allocate, refresh or handshake\n",
          b.mode);
  return 2;
}
