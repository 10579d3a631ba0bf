/* SPDX-License-Identifier: Apache-2.0 */
/* What the words of a command line are taken for: options with and without effect, tokens and names, and the sub-command. */
#include "options_internal.h"
#include "options_rig.h"

#include <stdio.h>

/* ---- what has no effect is said ---- */

#define IPV6_ONLY "--public-ip6-addr", "2001:db8::7"

static void check_idle(const char *name, const char *because)
{
  ck_assert_uint_eq(o.idle_count, 1);
  ck_assert_str_eq(o.idle[0].name, name);
  ck_assert_str_eq(o.idle[0].because, because);
}

START_TEST(test_options_without_effect)
{
  clear_env();
  ck_assert_int_eq(READ(PUBLIC, "--bind-ip6-addr", "::1"), 0);
  check_idle("--bind-ip6-addr", "--public-ip6-addr is not set");
  ck_assert_int_eq(READ(IPV6_ONLY, "--bind-ip4-addr", "127.0.0.1"), 0);
  check_idle("--bind-ip4-addr", "--public-ip4-addr is not set");
  ck_assert_int_eq(READ(PUBLIC, "--api-url", "wss://portal.example"), 0);
  check_idle("--api-url", "there is no token");
  ck_assert_int_eq(READ(PUBLIC, "--max-partition-time=1h"), 0);
  check_idle("--max-partition-time", "there is no token");
  ck_assert_int_eq(READ(PUBLIC, "--google-cloud-project-id", "p"), 0);
  check_idle("--google-cloud-project-id", "--log-format is not google-cloud");
  ck_assert_int_eq(READ(PUBLIC, "--max-allocations-per-user", "2"), 0);
  check_idle("--max-allocations-per-user", "--replace-allocation is not no");
  ck_assert_int_eq(READ(PUBLIC, "--max-permissions-per-allocation", "2"), 0);
  check_idle("--max-permissions-per-allocation", "--relay-mode is channels");
  ck_assert_int_eq(READ(PUBLIC, "--max-permissions-per-allocation", "2", "--relay-mode=full"), 0);
  ck_assert_uint_eq(o.idle_count, 0);
  ck_assert_int_eq(READ(PUBLIC, "--strict-address-family", "--relay-mode=full"), 0);
  check_idle("--strict-address-family", "--public-ip4-addr is set");
  ck_assert_int_eq(READ(IPV6_ONLY, "--strict-address-family", "--relay-mode=full"), 0);
  ck_assert_uint_eq(o.idle_count, 0);
  ck_assert_int_eq(READ(PUBLIC, "--alternate-over", "2"), 0);
  check_idle("--alternate-over", "--alternate-server is not set");
  ck_assert_int_eq(READ(PUBLIC, "--max-allocations-per-user", "2", "--replace-allocation=no"), 0);
  ck_assert_uint_eq(o.idle_count, 0);
  ck_assert(!options_replace(&o));
  ck_assert_int_eq(READ(PUBLIC, "--xdp-route", "swap"), 0);
  check_idle("--offload-route", "--offload is off");
  ck_assert_msg(READ(PUBLIC, "--xdp-interface", "eth0") == 0, "%s", error);
  check_idle("--offload-interface", "--offload is off");
  ck_assert_int_eq(READ(PUBLIC, "--tls-cert", "c"), 0);
  check_idle("--tls-cert", "--tls-listen-port is not set");
  ck_assert_int_eq(READ(PUBLIC, "--proxy-protocol", "10.0.0.0/8"), 0);
  check_idle("--proxy-protocol", "neither --tcp-listen-port nor --tls-listen-port is set");
  ck_assert_int_eq(READ(PUBLIC, "--max-queue-per-connection", "4096"), 0);
  check_idle("--max-queue-per-connection", "neither --tcp-listen-port nor --tls-listen-port is set");
}
END_TEST

START_TEST(test_variables_without_effect)
{
  static const struct {
    const char *env, *value, *name, *because;
  } idle[] = {
      {"BIND_IP6_ADDR", "::1", "--bind-ip6-addr", "--public-ip6-addr is not set"},
      {"FIREZONE_NAME", "relay", "FIREZONE_NAME", "there is no token"},
      {"FIREZONE_API_URL", "wss://portal.example", "--api-url", "there is no token"},
      {"EBPF_ATTACH_MODE", "driver", "--ebpf-attach-mode", "--ebpf-offloading is not set"},
      {"OFFLOAD_INTERFACE", "eth0", "--offload-interface", "--offload is off"},
      {"XDP_INTERFACE", "eth0", "XDP_INTERFACE", "--offload is off"},
      {"EBPF_INT4_ADDR", "10.0.0.1", "--ebpf-int4-addr", "--offload is off"},
      {"EBPF_INT6_ADDR", "fd00::1", "--ebpf-int6-addr", "--offload is off"},
  };
  for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
    clear_env();
    set_env(idle[i].env, idle[i].value);
    ck_assert_msg(READ(PUBLIC) == 0, "%s", error);
    check_idle(idle[i].name, idle[i].because);
  }
  clear_env();
  set_env("AUTH_SECRET", "x");
  ck_assert_int_eq(READ(PUBLIC, "--auth-secret-file", "/x"), 0);
  check_idle("AUTH_SECRET", "--auth-secret-file is set");
  clear_env();
  set_env("EBPF_INT4_ADDR", "10.0.0.1");
  ck_assert_int_eq(READ(PUBLIC, "--bind-ip4-addr", "10.0.0.2", "--xdp=auto", "--xdp-interface=eth0"), 0);
  check_idle("--ebpf-int4-addr", "--bind-ip4-addr is set");
  set_env("EBPF_INT6_ADDR", "fd00::1");
  ck_assert_int_eq(
      READ(PUBLIC, IPV6_ONLY, "--bind-ip6-addr", "fd00::2", "--xdp=auto", "--xdp-interface=eth0"), 0);
  check_idle("--ebpf-int6-addr", "--bind-ip6-addr is set");
}
END_TEST

START_TEST(test_logins_without_effect)
{
  static const char secret[] = "a secret of enough bytes";
  static const struct {
    const char *env, *value, *auth, *name, *because;
  } idle[] = {
      {"AUTH_SECRET", secret, "static", "AUTH_SECRET", "--auth static has no secret"},
      {"AUTH_SECRET_FILE", "/x", "static", "--auth-secret-file", "--auth static has no secret"},
      {"AUTH_SECOND_SECRET", secret, "static", "AUTH_SECOND_SECRET", "--auth static has no secret"},
      {"AUTH_SECOND_SECRET_FILE", "/x", "static", "--auth-second-secret-file", "--auth static has no secret"},
      {"OUTLIVE_CREDENTIALS", "true", "static", "--outlive-credentials",
       "allocations end with the credential with --auth stamp alone"},
      {"MAX_ALLOCATIONS_PER_USER", "2", "static", "", ""},
  };
  for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
    clear_env();
    set_env(idle[i].env, idle[i].value);
    ck_assert_msg(READ(PUBLIC, "--auth", idle[i].auth, "--users-file", "/users") == 0, "%s", error);
    if (*idle[i].name)
      check_idle(idle[i].name, idle[i].because);
    else
      ck_assert_uint_eq(o.idle_count, 0);
  }
  clear_env();
  ck_assert_int_eq(READ(PUBLIC, "--users-file", "/users"), 0);
  check_idle("--users-file", "--auth has no static");
  set_env("AUTH_SECOND_SECRET", secret);
  ck_assert_int_eq(READ(PUBLIC, "--auth-secret-file", "/x", "--auth-second-secret-file", "/y"), 0);
  check_idle("AUTH_SECOND_SECRET", "--auth-second-secret-file is set");
}
END_TEST

START_TEST(test_options_with_effect)
{
  clear_env();
  set_env("FIREZONE_TOKEN", "token");
  set_env("FIREZONE_NAME", "name");
  set_env("AUTH_SECRET", "x");
  ck_assert_int_eq(READ(PUBLIC, "--bind-ip4-addr=127.0.0.1", IPV6_ONLY, "--bind-ip6-addr=::1",
                        "--api-url=wss://portal.example", "--max-partition-time=1h",
                        "--log-format=google-cloud", "--google-cloud-project-id=p"),
                   0);
  ck_assert_uint_eq(o.idle_count, 0);
  clear_env();
  /* Who turns the kernel's data path off for a while leaves the rest of it as it is. */
  set_env("EBPF_OFFLOADING", "eth0");
  set_env("EBPF_ATTACH_MODE", "generic");
  set_env("EBPF_INT4_ADDR", "10.0.0.1");
  set_env("XDP_ROUTE", "swap");
  set_env("XDP_INTERFACE", "eth1");
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert_uint_eq(o.idle_count, 0);
  ck_assert_int_eq(o.xdp.mode, XDP_MODE_GENERIC);
  ck_assert_int_eq(READ(PUBLIC, "--xdp", "off"), 0);
  ck_assert_uint_eq(o.idle_count, 0);
  ck_assert_int_eq(o.xdp.mode, XDP_MODE_OFF);
  /* What the relay takes from its environment is not the sub-command's. */
  set_env("BIND_IP4_ADDR", "127.0.0.1");
  ck_assert_int_eq(READ("credentials"), 0);
  ck_assert_uint_eq(o.idle_count, 0);
}
END_TEST

/* Firezone's relay has flags for them, too. */
START_TEST(test_flags_of_firezones_relay)
{
  clear_env();
  ck_assert_msg(READ(PUBLIC, "--ebpf-offloading", "eth0") == 0, "%s", error);
  ck_assert_int_eq(o.xdp.mode, XDP_MODE_AUTO);
  ck_assert_uint_eq(o.xdp.interface_count, 1);
  ck_assert_str_eq(o.xdp.interfaces[0], "eth0");
  ck_assert(!o.telemetry);
  ck_assert_msg(READ(PUBLIC, "--telemetry", "--ebpf-offloading=eth0", "--ebpf-attach-mode", "driver",
                     "--ebpf-int4-addr", "10.0.0.1", "--ebpf-int6-addr=fd00::1") == 0,
                "%s", error);
  ck_assert_int_eq(o.xdp.mode, XDP_MODE_NATIVE);
  ck_assert_uint_eq(o.xdp.own_ip4.ip[0], 10);
  ck_assert_uint_eq(o.xdp.own_ip6.ip[0], 0xfd);
  ck_assert(o.telemetry);
  check_idle("--ebpf-int6-addr", "--public-ip6-addr is not set");
  ck_assert_msg(READ(PUBLIC, "--ebpf-offloading=eth0", "--ebpf-attach-mode=generic") == 0, "%s", error);
  ck_assert_int_eq(o.xdp.mode, XDP_MODE_GENERIC);
  ck_assert_int_eq(READ(PUBLIC, "--ebpf-attach-mode=native"), -1);
}
END_TEST

/* What was --xdp: the same settings under other names. The command line beats variables of either name. */
START_TEST(test_names_of_the_offload)
{
  static const struct {
    const char *offload, *xdp;
    enum xdp_mode mode;
  } modes[] = {{"auto", "auto", XDP_MODE_AUTO},
               {"xdp", "native", XDP_MODE_NATIVE},
               {"xdp-generic", "generic", XDP_MODE_GENERIC},
               {"tcx", NULL, XDP_MODE_TCX}};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    clear_env();
    ck_assert_int_eq(READ(PUBLIC, "--offload", modes[i].offload, "--offload-interface=eth0"), 0);
    ck_assert_int_eq(o.xdp.mode, modes[i].mode);
    ck_assert_uint_eq(o.xdp.interface_count, 1);
    if (!modes[i].xdp)
      continue;
    ck_assert_int_eq(READ(PUBLIC, "--xdp", modes[i].xdp, "--xdp-interface=eth0"), 0);
    ck_assert_int_eq(o.xdp.mode, modes[i].mode);
    set_env("XDP", modes[i].xdp);
    set_env("XDP_INTERFACE", "eth1,eth2");
    set_env("XDP_ROUTE", "swap");
    ck_assert_int_eq(READ(PUBLIC), 0);
    ck_assert_int_eq(o.xdp.mode, modes[i].mode);
    ck_assert_uint_eq(o.xdp.interface_count, 2);
    ck_assert(o.xdp.swap);
    ck_assert_int_eq(READ(PUBLIC, "--offload", "tcx", "--offload-interface=eth0", "--offload-route=fib"), 0);
    ck_assert_int_eq(o.xdp.mode, XDP_MODE_TCX);
    ck_assert_uint_eq(o.xdp.interface_count, 1);
    ck_assert(!o.xdp.swap);
  }
  clear_env();
  set_env("OFFLOAD", "tcx");
  set_env("OFFLOAD_INTERFACE", "eth0");
  set_env("XDP", "native");
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert_int_eq(o.xdp.mode, XDP_MODE_TCX);
  ck_assert_int_eq(READ(PUBLIC, "--xdp", "generic"), 0);
  ck_assert_int_eq(o.xdp.mode, XDP_MODE_GENERIC);
}
END_TEST

START_TEST(test_words)
{
  clear_env();
  ck_assert_int_eq(READ(PUBLIC, "--nonsense"), -1);
  ck_assert_str_eq(error, "unknown option '--nonsense': see --help");
  ck_assert_int_eq(READ("--external-ip=203.0.113.7"), -1);
  ck_assert_str_eq(error, "unknown option '--external-ip', which is coturn's; here: --public-ip4-addr, "
                          "--public-ip6-addr: see docs/from-coturn.md, --help");
  ck_assert_int_eq(READ(PUBLIC, "--static-auth-secret=very-secret"), -1);
  ck_assert_str_eq(error, "unknown option '--static-auth-secret', which is coturn's; here: "
                          "--auth-secret-file or AUTH_SECRET: see docs/from-coturn.md, --help");
  ck_assert_int_eq(READ(PUBLIC, "--external"), -1);
  ck_assert_str_eq(error, "unknown option '--external': see --help");
  ck_assert_int_eq(READ(PUBLIC, "--listen-port"), -1);
  ck_assert_str_eq(error, "--listen-port: a value is missing: expected a port from 0 to 65535");
  ck_assert_int_eq(READ(PUBLIC, "--auth-secret-file"), -1);
  ck_assert_str_eq(error, "--auth-secret-file: a value is missing: expected FILE");
  /* One line, whatever is in it, and nothing that a terminal would obey. */
  ck_assert_int_eq(READ(PUBLIC, "--log-format", "a\nb\x1b[2J"), -1);
  check_complaint("--log-format", "'a?b?[2J'");
  ck_assert_int_eq(READ(PUBLIC, "--a\nb"), -1);
  ck_assert_str_eq(error, "unknown option '--a': see --help");
  ck_assert_int_eq(READ(PUBLIC, "--auth-secret:abc"), -1);
  ck_assert_str_eq(error, "unknown option '--auth-secret': see --help");
  ck_assert_int_eq(READ(PUBLIC, "--no-telemetry=true"), -1);
  ck_assert_ptr_nonnull(strstr(error, "--no-telemetry: takes no value"));
  ck_assert_int_eq(READ(PUBLIC, "token-of-a-portal", "two", "three"), -1);
  ck_assert_ptr_nonnull(strstr(error, "unexpected third argument")); /* which may be a token */
  ck_assert_ptr_null(strstr(error, "three"));
  ck_assert_int_eq(READ(PUBLIC, "--token=abc"), -1);
  ck_assert_str_eq(error, "unknown option '--token': see --help");
  ck_assert_int_eq(READ(PUBLIC, "--api-url", "ws://u:abc@host"), -1);
  ck_assert_ptr_null(strstr(error, "abc"));
  ck_assert_int_eq(READ(PUBLIC, ""), -1);
  check_complaint("TOKEN", "");
  ck_assert_int_eq(READ(PUBLIC, "--", "--token-with-dashes"), 0);
  ck_assert_str_eq(o.token, "--token-with-dashes");
  ck_assert_int_eq(READ(PUBLIC, "--ttl", "1h"), -1); /* of the sub-command alone */
  ck_assert_ptr_nonnull(strstr(error, "unknown option '--ttl'"));
  ck_assert_int_eq(READ(PUBLIC, "--listen", "1"), -1); /* no abbreviations */
  ck_assert_int_eq(READ("--help"), 0);
  ck_assert(o.show_help);
  ck_assert_int_eq(READ("-h"), 0);
  ck_assert(o.show_help);
  ck_assert_int_eq(READ("--version"), 0);
  ck_assert(o.show_version);
  ck_assert_int_eq(READ("-V"), 0);
  ck_assert(o.show_version);
  ck_assert_int_eq(READ(PUBLIC, "--no-telemetry"), 0);
  ck_assert(o.no_telemetry && !o.pin_workers);
  ck_assert_int_eq(READ(PUBLIC, "--pin-workers"), 0);
  ck_assert(o.pin_workers && !o.no_telemetry && !o.outlive_credentials);
  ck_assert_int_eq(READ(PUBLIC, "--mobility"), 0);
  ck_assert(o.mobility && !o.outlive_credentials);
  ck_assert_int_eq(READ(PUBLIC, "--outlive-credentials"), 0);
  ck_assert(o.outlive_credentials && !o.pin_workers);
  ck_assert_int_eq(READ(PUBLIC, "--one-socket"), 0);
  ck_assert(o.one_socket && !o.outlive_credentials);
  ck_assert_int_eq(READ(PUBLIC, "--one-socket", "--handover-socket", "/run/h"), -1);
  ck_assert_str_eq(error, "--one-socket: such a relay can't be taken over: expected no --handover-socket "
                          "(the systemd unit sets HANDOVER_SOCKET), or no --one-socket");
}
END_TEST

/* What stands behind an option that takes no value, or is too short for a token, belongs to nothing, unless it is said to be a token. */
START_TEST(test_stray_words)
{
  static const char token[] = "SFMyNTY.g2gDaAN0AAAAAWQ";
  static const char *const strays[] = {"yes", "no", "true", "false", "on", "off", "1", "0"};
  static const char *const shorts[] = {"credent", "203.0.113.7", "5349", "fifteen-letters", "x"};
  clear_env();
  for (size_t i = 0; i < sizeof strays / sizeof *strays; i++) {
    ck_assert_msg(READ(PUBLIC, "--mobility", strays[i]) == -1, "%s", strays[i]);
    ck_assert_str_eq(error, "--mobility: takes no value, and has one behind it: see --help");
    ck_assert_int_eq(READ(PUBLIC, token, "--pin-workers", strays[i]), -1);
    ck_assert_str_eq(error, "--pin-workers: takes no value, and has one behind it: see --help");
    ck_assert_msg(READ(PUBLIC, token, strays[i]) == 0, "%s", error);
    ck_assert_str_eq(o.name, strays[i]);
  }
  for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++) {
    ck_assert_int_eq(READ(PUBLIC, "--mobility", shorts[i]), -1);
    ck_assert_str_eq(error, "--mobility: takes no value, and has one behind it: see --help");
    ck_assert_int_eq(READ(PUBLIC, "--mobility", "--listen-port=2000", shorts[i]), -1);
    ck_assert_ptr_nonnull(
        strstr(error, "no such command: expected credentials, import-coturn, probe or sessions, an option, "
                      "or a portal's token of at least 16"));
    ck_assert_msg(READ(PUBLIC, "--mobility", "--", shorts[i]) == 0, "%s", error);
    ck_assert_str_eq(o.token, shorts[i]);
    ck_assert_msg(READ(PUBLIC, "--mobility", token, shorts[i]) == 0, "%s", error);
    ck_assert_str_eq(o.name, shorts[i]);
  }
  ck_assert_msg(READ(PUBLIC, "--mobility", token, "--pin-workers", "berlin") == 0, "%s", error);
  ck_assert_str_eq(o.token, token);
  ck_assert_str_eq(o.name, "berlin");
  ck_assert_msg(READ(PUBLIC, "sixteen-letters-") == 0, "%s", error);
}
END_TEST

/* What was meant as a sub-command is no token, unless it is said to be one. */
START_TEST(test_mistyped_sub_commands)
{
  static const char *const mistyped[] = {"credential",  "credentails", "Credentials",
                                         "credenitals", "redentials",  "ccredentialss",
                                         "start",       "serve",       "prove"};
  static const char *const others[] = {"credent",        "helper", "Help",      "starting",
                                       "credentials---", "cred",   "reditnals", "x"};
  for (size_t i = 0; i < sizeof mistyped / sizeof *mistyped; i++) {
    clear_env();
    char expected[120];
    snprintf(expected, sizeof expected,
             "unknown sub-command '%s': expected credentials, import-coturn, probe or sessions: see --help",
             mistyped[i]);
    ck_assert_msg(READ(mistyped[i]) == -1, "%s", mistyped[i]);
    ck_assert_str_eq(error, expected);
    ck_assert_msg(READ(PUBLIC, mistyped[i], "name") == -1, "%s", mistyped[i]);
    ck_assert_str_eq(error, expected);
    ck_assert_msg(READ(PUBLIC, "token-of-a-portal", mistyped[i]) == 0, "%s", error);
    ck_assert_str_eq(o.name, mistyped[i]);
    ck_assert_msg(READ(PUBLIC, "--", mistyped[i]) == 0, "%s", error);
    ck_assert_str_eq(o.token, mistyped[i]);
    set_env("FIREZONE_TOKEN", mistyped[i]);
    ck_assert_msg(READ(PUBLIC) == 0, "%s", error);
    ck_assert_str_eq(o.token, mistyped[i]);
  }
  clear_env();
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    ck_assert_msg(READ(PUBLIC, others[i]) == -1, "%s", others[i]);
    ck_assert_msg(strncmp(error, "no such command: ", 17) == 0, "%s: %s", others[i], error);
  }
  ck_assert_int_eq(READ("help"), -1);
  ck_assert_str_eq(error, "unknown sub-command 'help': there is --help");
  ck_assert_int_eq(READ(PUBLIC, "version"), -1);
  ck_assert_str_eq(error, "unknown sub-command 'version': there is --version");
  ck_assert_msg(READ("--help", "credentials") == 0, "%s", error);
  ck_assert(o.show_help && o.command == COMMAND_CREDENTIALS);
  ck_assert_int_eq(READ(PUBLIC, "credentials"), -1);
  ck_assert_str_eq(error, "credentials: a sub-command has to be the first word: see --help");
}
END_TEST

/* Each of the table: what looks for mistyped words has room for their names. */
START_TEST(test_names_of_sub_commands)
{
  unsigned names = 0;
  for (unsigned i = 0; i < COMMANDS; i++) {
    const char *name = command_specs[i].name;
    char word[64];
    if (!name)
      continue;
    names++;
    ck_assert_uint_eq(command_named(name), i);
    snprintf(word, sizeof word, "%.*s", (int)strlen(name) - 1, name);
    ck_assert_msg(command_is_mistaken(word), "%s", word);
  }
  ck_assert_uint_eq(names, COMMANDS - 1);
}
END_TEST

/* What is said of an option that is the relay's, too, has to be true where it is the sub-command's. */
START_TEST(test_help_of_commands)
{
  char text[8192];
  ck_assert_uint_lt(options_help(COMMAND_CREDENTIALS, text, sizeof text), sizeof text);
  ck_assert_ptr_null(strstr(text, "required"));
  ck_assert_ptr_null(strstr(text, "takes a free one"));
  ck_assert_ptr_nonnull(strstr(text, "the relay's IPv4 address, as clients and peers reach it"));
  ck_assert_ptr_nonnull(
      strstr(text, "the relay's UDP port, for --format url and webrtc [env: LISTEN_PORT] [default: 3478]"));
  for (enum sub_command c = COMMAND_CREDENTIALS; c < COMMANDS; c++) {
    ck_assert_uint_lt(options_help(c, text, sizeof text), sizeof text);
    ck_assert_int_eq(strstr(text, "--config FILE") != NULL, strstr(text, "the file of --config") != NULL);
    ck_assert_int_eq(strstr(text, "--format FORMAT") != NULL, strstr(text, "--format url") != NULL);
  }
}
END_TEST

START_TEST(test_secrets_are_not_repeated)
{
  clear_env();
  /* Whatever is wrong: neither token nor secret may come up in what is said about it. */
  set_env("FIREZONE_TOKEN", "very-secret");
  set_env("AUTH_SECRET", "very-secret-too");
  ck_assert_int_eq(READ(PUBLIC, "--listen-port", "x"), -1);
  ck_assert_ptr_null(strstr(error, "very-secret"));
  ck_assert_int_eq(READ(PUBLIC, "--listen-port", "0"), -1);
  ck_assert_ptr_null(strstr(error, "very-secret"));
  ck_assert_int_eq(READ(PUBLIC, "--auth-secret", "very-secret"), -1); /* there is no such flag */
  ck_assert_str_eq(error,
                   "unknown option '--auth-secret': expected --auth-secret-file or AUTH_SECRET: see --help");
  ck_assert_int_eq(READ(PUBLIC, "--auth-second-secret", "very-secret"), -1);
  ck_assert_str_eq(error, "unknown option '--auth-second-secret': expected --auth-second-secret-file or "
                          "AUTH_SECOND_SECRET: see --help");
  ck_assert_int_eq(READ("credentials", "--auth-secret=very-secret"), -1);
  ck_assert_str_eq(
      error,
      "unknown option '--auth-secret': expected --auth-secret-file or AUTH_SECRET: see credentials --help");
}
END_TEST

START_TEST(test_credentials)
{
  char too_long[SALT_MAX + 2];
  memset(too_long, 'x', sizeof too_long - 1);
  too_long[sizeof too_long - 1] = 0;
  clear_env();
  ck_assert_int_eq(READ("credentials"), 0);
  ck_assert_int_eq(o.command, COMMAND_CREDENTIALS);
  ck_assert_uint_eq(o.ttl_seconds, 86400);
  ck_assert_str_eq(o.credentials_format, "text");
  ck_assert_ptr_null(o.salt);
  ck_assert_int_eq(READ("credentials", "--ttl", "90m", "--salt=abc", PUBLIC, "--format", "url",
                        "--auth-secret-file", "/x"),
                   0);
  ck_assert_uint_eq(o.ttl_seconds, 5400);
  ck_assert_str_eq(o.salt, "abc");
  ck_assert_str_eq(o.auth_secret_file, "/x");
  ck_assert_int_eq(READ("credentials", PUBLIC, "--listen-port=1", "--format=url"), 0); /* for the URL */
  ck_assert_int_eq(READ("credentials", "--workers", "1"), -1);
  ck_assert_str_eq(error, "--workers: not an option of credentials: see credentials --help");
  ck_assert_int_eq(READ("credentials", "--listen-port", "0"), 0);
  ck_assert_int_eq(READ("credentials", "--listen-port", "0", "--format", "url"), -1);
  check_complaint("--listen-port", "'0'");
  /* A URL needs somewhere to lead to; whatever the relay's address is, it is not this host's. */
  ck_assert_int_eq(READ("credentials", "--format", "url"), -1);
  check_complaint("--public-ip4-addr, --public-ip6-addr", "for the URL");
  ck_assert_int_eq(READ("credentials", "--format", "json"), 0);
  set_env("PUBLIC_IP6_ADDR", "2001:db8::7");
  ck_assert_int_eq(READ("credentials", "--format", "url"), 0);
  ck_assert_uint_eq(o.public_ip6.family, FZR_FAMILY_IPV6);
  clear_env();
  ck_assert_int_eq(READ("credentials", "secret"), -1);
  ck_assert_str_eq(error, "unexpected argument: credentials takes options alone: see credentials --help");
  static const struct {
    const char *flag, *bad;
  } bad[] = {{"--ttl", ""},     {"--ttl", "x"},      {"--ttl", "50000d"}, {"--salt", ""},
             {"--salt", "a:b"}, {"--format", "xml"}, {"--format", ""}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ck_assert_int_eq(READ("credentials", bad[i].flag, bad[i].bad), -1);
    check_complaint(bad[i].flag, bad[i].bad);
  }
  ck_assert_int_eq(READ("credentials", "--nope"), -1);
  ck_assert_str_eq(error, "unknown option '--nope': see credentials --help");
  ck_assert_int_eq(READ("credentials", "--salt", too_long), -1);
  check_complaint("--salt", "xxx");
  /* The relay would refuse the username. */
  static const char *const no_text[] = {"a\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
  for (size_t i = 0; i < sizeof no_text / sizeof *no_text; i++) {
    ck_assert_msg(READ("credentials", "--salt", no_text[i]) == -1, "%zu", i);
    check_complaint("--salt", "UTF-8");
  }
  ck_assert_int_eq(READ("credentials", "--salt", "Zo\xc3\xab \xf0\x9f\x98\x80"), 0);
  ck_assert_int_eq(READ("credentials", "--salt", too_long + 1), 0);
}
END_TEST

START_TEST(test_credentials_of_other_schemes)
{
  clear_env();
  set_env("AUTH_SECRET", "a secret of enough bytes");
  ck_assert_int_eq(READ("credentials", "--auth", "rest", "--user", "joe:doe", "--realm", "example.org"), 0);
  ck_assert_str_eq(o.user, "joe:doe");
  ck_assert_str_eq(o.realm, "example.org");
  ck_assert_int_eq(READ("credentials", "--auth", "rest", "--salt", "joe"), -1);
  check_complaint("--salt", "--user");
  ck_assert_int_eq(READ("credentials", "--user", "joe"), -1);
  check_complaint("--user", "--salt");
  ck_assert_int_eq(READ("credentials", "--auth", "static", "--users-file", "/u"), -1);
  check_complaint("--user", "none is set");
  ck_assert_int_eq(READ("credentials", "--auth", "static", "--user", "joe"), -1);
  check_complaint("--users-file", "none is set");
  ck_assert_int_eq(READ("credentials", "--auth", "static", "--user", "joe", "--users-file", "/u"), 0);
  ck_assert_int_eq(
      READ("credentials", "--auth", "static", "--user", "joe", "--users-file", "/u", "--ttl", "1h"), -1);
  check_complaint("--ttl", "always good");
  ck_assert_int_eq(READ("credentials", "--auth", "rest", "--user", "joe", "--users-file", "/u"), -1);
  check_complaint("--users-file", "only --auth static has one");
  ck_assert_int_eq(READ("credentials", "--auth", "rest", "--user", "a\xff"), -1);
  check_complaint("--user", "UTF-8");
  /* The relay's own have two: whose are they to be? */
  set_env("AUTH_SCHEMES", "rest,static");
  set_env("USERS_FILE", "/u");
  ck_assert_int_eq(READ("credentials", "--user", "joe"), -1);
  check_complaint("--auth", "rest or static");
  ck_assert_int_eq(READ("credentials", "--auth", "rest", "--user", "joe"), 0);
  clear_env();
  ck_assert_int_eq(READ("credentials", "--auth", "rest"), -1);
  check_complaint("--auth-secret-file, AUTH_SECRET", "none is set");
  /* What has a URL in it needs an address. */
  ck_assert_int_eq(READ("credentials", "--format", "webrtc"), -1);
  check_complaint("--public-ip4-addr, --public-ip6-addr", "for the URL");
  ck_assert_int_eq(READ("credentials", PUBLIC, "--format", "webrtc"), 0);
  /* One for TLS needs a name and a port. */
  ck_assert_int_eq(READ("credentials", PUBLIC, "--format", "webrtc", "--tls-listen-port", "443"), -1);
  check_complaint("--tls-listen-port",
                  "expected --tls-name, too, with a name that the relay's certificate has");
  ck_assert_int_eq(READ("credentials", PUBLIC, "--format", "webrtc", "--tls-name", "relay.example"), -1);
  check_complaint("--tls-name", "expected --tls-listen-port, too");
  ck_assert_int_eq(READ("credentials", PUBLIC, "--format", "webrtc", "--tls-listen-port", "443", "--tls-name",
                        "relay.example", "--tcp-listen-port", "3478"),
                   0);
  ck_assert_str_eq(o.tls_name, "relay.example");
  ck_assert_uint_eq(o.tls_listen_port, 443);
  ck_assert_uint_eq(o.tcp_listen_port, 3478);
  ck_assert_int_eq(READ("credentials", PUBLIC, "--format", "url", "--tls-listen-port", "443"), 0);
  static const char *const bad[] = {"",     "a/b", "a:443", "[2001:db8::7]",
                                    "a\"b", "a?b", "a b",   "r\xc3\xa9lay"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ck_assert_msg(READ("credentials", PUBLIC, "--tls-name", bad[i]) == -1, "%s", bad[i]);
    check_complaint("--tls-name", "relay.example");
  }
  char longest[255];
  memset(longest, 'a', sizeof longest - 1);
  longest[254] = 0;
  ck_assert_int_eq(READ("credentials", "--tls-name", longest), -1);
  ck_assert_int_eq(READ("credentials", "--tls-name", longest + 1), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("options_words");
  TCase *tc = tcase_create("options_words");
  tcase_add_test(tc, test_options_without_effect);
  tcase_add_test(tc, test_variables_without_effect);
  tcase_add_test(tc, test_logins_without_effect);
  tcase_add_test(tc, test_options_with_effect);
  tcase_add_test(tc, test_flags_of_firezones_relay);
  tcase_add_test(tc, test_names_of_the_offload);
  tcase_add_test(tc, test_words);
  tcase_add_test(tc, test_stray_words);
  tcase_add_test(tc, test_mistyped_sub_commands);
  tcase_add_test(tc, test_names_of_sub_commands);
  tcase_add_test(tc, test_help_of_commands);
  tcase_add_test(tc, test_secrets_are_not_repeated);
  tcase_add_test(tc, test_credentials);
  tcase_add_test(tc, test_credentials_of_other_schemes);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
