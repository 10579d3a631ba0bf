/* SPDX-License-Identifier: Apache-2.0 */
/* Command line and environment: every option takes what is right, by flag and by variable, and says in one line what is wrong. */
#include "options_rig.h"

#include "portal/portal.h"

#include <stdio.h>

/* ---- values ---- */

#define BAD_PORTS "", "-1", "+1", "x", "65536", "99999999999999999999", "80 ", " 80", "0x50", "8.0"
#define BAD_TIMES                                                                                            \
  "", "x", "-1", "1w", "1.5h", "10ss", "s", " 1s", "1 s", "99999999999999999999", "50000d", "4294967296"
#define BAD_IP4  "", "x", "1.2.3", "1.2.3.4:5", "::1", "1.2.3.4 ", "1.2.3.256", "localhost"
#define BAD_IP6  "", "x", "1.2.3.4", "[::1]", "[::1]:5", "::1::", "localhost"
#define BAD_CIDR "x", "1.2.3.4/33", "1.2.3.4/8", "10.0.0.0/", "::/129", "fe80::1/10", "1.2.3.4:0", "[::1]"

static const struct {
  const char *flag; /* NULL: none */
  const char *env;  /* NULL: none */
  const char *bad[14];
  const char *good[8];
} cases[] = {
    {"--public-ip4-addr",
     "PUBLIC_IP4_ADDR",
     {BAD_IP4, "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255"},
     {"127.0.0.1", "10.0.0.1", "203.0.113.7"}},
    {"--public-ip6-addr", "PUBLIC_IP6_ADDR", {BAD_IP6, "::", "ff02::1"}, {"::1", "2001:db8::7", "fe80::1"}},
    {"--bind-ip4-addr", "BIND_IP4_ADDR", {BAD_IP4}, {"0.0.0.0", "127.0.0.1"}},
    {"--bind-ip6-addr", "BIND_IP6_ADDR", {BAD_IP6}, {"::", "::1"}},
    {"--listen-port", "LISTEN_PORT", {BAD_PORTS, "50000"}, {"0", "1", "3478"}},
    {"--tcp-listen-port", "TCP_LISTEN_PORT", {BAD_PORTS, "0"}, {"1", "443", "3478"}},
    {"--tls-cert", "TLS_CERT", {""}, {"/etc/cert.pem"}},
    {"--tls-key", "TLS_KEY", {""}, {"/etc/key.pem"}},
    {"--proxy-protocol",
     "PROXY_PROTOCOL",
     {BAD_CIDR, "10.0.0.0/8,", ",10.0.0.0/8", "10.0.0.1:80", "10.0.0.0/8,x", "10.0.0.0/8 ,10.1.0.0/16"},
     {"10.0.0.0/8", "192.0.2.1", "10.0.0.0/8,2001:db8::/32,192.0.2.1", "::/0"}},
    {"--max-connections-per-prefix",
     "MAX_CONNECTIONS_PER_PREFIX",
     {"", "-1", "x", "4294967295"},
     {"0", "1", "4294967294"}},
    {"--max-connections-without-allocation",
     "MAX_CONNECTIONS_WITHOUT_ALLOCATION",
     {"", "-1", "x", "4294967295"},
     {"0", "1", "4294967294"}},
    {"--max-queue-per-connection",
     "MAX_QUEUE_PER_CONNECTION",
     {"", "-1", "x", "2047", "67108865"},
     {"2048", "67108864"}},
    {"--lowest-port", "LOWEST_PORT", {BAD_PORTS, "0"}, {"49152", "65535", "50000"}},
    {"--highest-port", "HIGHEST_PORT", {BAD_PORTS, "0"}, {"49152", "65535"}},
    {"--workers", "NUM_WORKER_THREADS", {"", "0", "-1", "x", "1025", "2 "}, {"1", "1024"}},
    {"--num-worker-threads", NULL, {"", "0", "x"}, {"3"}},
    {"--rng-seed", "RNG_SEED", {"", "-1", "x", "18446744073709551616"}, {"0", "18446744073709551615"}},
    {"--api-url",
     "FIREZONE_API_URL",
     {"", "x", "ftp://portal", "wss://", "wss://a b", "wss://a:0", "wss://a:x", "wss://[x]"},
     {"wss://portal.example", "ws://127.0.0.1:4000"}},
    {"--max-partition-time", "MAX_PARTITION_TIME", {BAD_TIMES, "0"}, {"30", "30s", "15m", "24h", "7d"}},
    {"--heartbeat-interval", "HEARTBEAT_INTERVAL", {BAD_TIMES, "0"}, {"1", "25s"}},
    {"--shutdown-timeout", "SHUTDOWN_TIMEOUT", {BAD_TIMES}, {"0", "30", "30s", "15m"}},
    {"--allow-peer",
     "ALLOW_PEER",
     {BAD_CIDR},
     {"10.0.0.0/8", "192.0.2.1", "::/0", "192.0.2.1:3478", "[2001:db8::/32]:3478"}},
    {"--deny-peer", "DENY_PEER", {BAD_CIDR}, {"10.0.0.0/8", "2001:db8::/32"}},
    {"--auth",
     "AUTH_SCHEMES",
     {"", ",", "x", "stamp,", ",rest", "rest,,static", "Rest", "rest static", "stamp,rest", "static,stamp",
      "stamp,rest,static"},
     {"stamp"}},
    {"--realm",
     "AUTH_REALM",
     {"", "a\"b", "a\\b", "\xff", "a\xe2\x80\xae",
      "128 bytes: "
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      "xxxxxxxxxxxxxxxxxxxxxxxxx"},
     {"example.org", "x", "Z\xc3\xbcrich A", "firezone"}},
    {"--relay-mode", "RELAY_MODE", {"", "x", "Full", "channel"}, {"channels", "full"}},
    {"--replace-allocation", "REPLACE_ALLOCATION", {"", "x", "Yes"}, {"yes", "no"}},
    {"--max-allocations-per-user",
     "MAX_ALLOCATIONS_PER_USER",
     {"", "-1", "x", "4294967295", "4294967296"},
     {"0", "1", "4294967294"}},
    {"--max-channels-per-allocation", "MAX_CHANNELS_PER_ALLOCATION", {"", "0", "4097", "x"}, {"1", "4096"}},
    {"--max-channels", "MAX_CHANNELS", {"", "0", "-1", "x", "4294967295"}, {"1", "100000", "4294967294"}},
    {"--max-permissions-per-allocation",
     "MAX_PERMISSIONS_PER_ALLOCATION",
     {"", "0", "-1", "x", "4294967295"},
     {"1", "1024", "4294967294"}},
    {"--alternate-server",
     "ALTERNATE_SERVER",
     {"", "x", "203.0.113.8", "203.0.113.8:0", "0.0.0.0:3478", "2001:db8::8:3478", "turn.example.org:3478"},
     {"203.0.113.8:3478", "[2001:db8::8]:3478", "203.0.113.7:3479"}},
    {"--alternate-over", "ALTERNATE_OVER", {"", "-1", "x", "4294967295"}, {"0", "1", "10000"}},
    {"--max-bandwidth-per-allocation",
     "MAX_BANDWIDTH_PER_ALLOCATION",
     {"", "-1", "1M", "18446744073709551615"},
     {"0", "1000000"}},
    {"--unauthenticated-rate", "UNAUTHENTICATED_RATE", {"", "-1", "x", "4294967295"}, {"0", "1", "1000"}},
    {"--log-format",
     "LOG_FORMAT",
     {"", "xml", "JSON", "google_cloud"},
     {"human", "json", "json-flat", "google-cloud"}},
    {"--otlp-grpc-endpoint",
     "OTLP_GRPC_ENDPOINT",
     {"", "host", "host:", "host:0", "host:99999", "https://host:4317/path", "::1:4317", "a b:1"},
     {"127.0.0.1:4317", "collector:4317"}},
    {"--health-check-addr",
     "HEALTH_CHECK_ADDR",
     {"", "8080", "127.0.0.1", "::1", "::1:8080", "127.0.0.1:", "127.0.0.1:99999", "localhost:1"},
     {"127.0.0.1:0", "[::1]:8080"}},
    {"--control-endpoint",
     "CONTROL_ENDPOINT",
     {"", "9999", "127.0.0.1", "[::1]", "127.0.0.1:x"},
     {"127.0.0.1:0", "[::]:9999"}},
    {"--control-socket",
     "CONTROL_SOCKET",
     {"", "/a/path/of/more/than/a/hundred/bytes/which/is/what/the/kernel/has/room/for/in/an/address/of/such/"
          "a/socket"},
     {"/run/firezone-relay/control", "x"}},
    {"--control-group", "CONTROL_GROUP", {""}, {"adm"}},
    {NULL, "USAGE_LOG", {"yes", "x", "2"}, {"true", "false", "1", "0"}},
    {NULL, "FIREZONE_NO_TELEMETRY", {"yes", "x", "2"}, {"true", "false", "1", "0"}},
    {NULL, "TELEMETRY", {"yes", "x", "2"}, {"true", "false", "1", "0"}},
    {NULL, "PIN_WORKERS", {"yes", "x", "2"}, {"true", "false", "1", "0"}},
    {NULL, "RELAY_MOBILITY", {"yes", "x", "2"}, {"true", "false", "1", "0"}},
    {NULL, "OUTLIVE_CREDENTIALS", {"yes", "x", "2"}, {"true", "false", "1", "0"}},
    {"--offload", "OFFLOAD", {"", "on", "AUTO", "native"}, {"off"}},
    {"--offload-route", "OFFLOAD_ROUTE", {"", "x"}, {"fib", "swap"}},
    {"--offload-interface", "OFFLOAD_INTERFACE", {"", "a/b", "a-name-that-is-too-long"}, {NULL}},
    {"--flood-guard", "FLOOD_GUARD", {"", "yes"}, {"on", "off"}},
    {"--xdp", "XDP", {"", "on", "AUTO", "tcx"}, {"off"}},
    {"--ebpf-attach-mode", "EBPF_ATTACH_MODE", {"native", "x"}, {"driver", "generic"}},
    {"--ebpf-int4-addr", "EBPF_INT4_ADDR", {"x", "::1"}, {"10.0.0.1"}},
    {"--ebpf-int6-addr", "EBPF_INT6_ADDR", {"x", "10.0.0.1"}, {"fd00::1"}},
};

#define CASES (sizeof cases / sizeof *cases)

static int read_with_flag(const char *flag, const char *value)
{
  /* The public address is among what is tested, so it comes first and the other family keeps the rest valid. */
  return READ(PUBLIC, flag, value);
}

/* What another program's variable of that name may hold is not repeated. */
static bool is_hidden(const char *env)
{
  return strcmp(env, "AUTH_SCHEMES") == 0 || strcmp(env, "AUTH_REALM") == 0;
}

START_TEST(test_bad_values)
{
  for (size_t k = 0; cases[_i].bad[k]; k++) {
    const char *bad = cases[_i].bad[k];
    if (cases[_i].flag) {
      clear_env();
      ck_assert_msg(read_with_flag(cases[_i].flag, bad) == -1, "%s took '%s'", cases[_i].flag, bad);
      check_complaint(strcmp(cases[_i].flag, "--num-worker-threads") ? cases[_i].flag : "--workers", bad);
    }
    if (cases[_i].env && *bad) {
      clear_env();
      set_env("PUBLIC_IP6_ADDR", "2001:db8::1");
      set_env(cases[_i].env, bad);
      if (strcmp(cases[_i].env, "PUBLIC_IP6_ADDR") == 0) {
        environment[0][0] = "PUBLIC_IP4_ADDR";
        environment[0][1] = "203.0.113.7";
      }
      ck_assert_msg(READ("--health-check-addr=127.0.0.1:1") == -1 ||
                        strcmp(cases[_i].env, "HEALTH_CHECK_ADDR") == 0,
                    "%s took '%s'", cases[_i].env, bad);
      if (strcmp(cases[_i].env, "HEALTH_CHECK_ADDR") != 0 && strcmp(bad, "50000") != 0)
        check_complaint(cases[_i].env, is_hidden(cases[_i].env) ? "(not shown)" : bad);
    }
  }
}
END_TEST

START_TEST(test_good_values)
{
  for (size_t k = 0; k < 8 && cases[_i].good[k]; k++) {
    const char *good = cases[_i].good[k];
    clear_env();
    if (cases[_i].flag)
      ck_assert_msg(read_with_flag(cases[_i].flag, good) == 0, "%s", error);
    if (!cases[_i].env)
      continue;
    set_env(cases[_i].env, good);
    ck_assert_msg(
        READ(strcmp(cases[_i].env, "PUBLIC_IP4_ADDR") ? "--public-ip4-addr=203.0.113.7" : "--workers=1") == 0,
        "%s", error);
  }
}
END_TEST

/* An empty variable is as good as none, whatever it would have to hold. */
START_TEST(test_empty_variables)
{
  if (!cases[_i].env)
    return;
  clear_env();
  set_env(cases[_i].env, "");
  static options without;
  ck_assert_msg(READ(PUBLIC) == 0, "%s", error);
  without = o;
  clear_env();
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert_mem_eq(&without, &o, sizeof o);
}
END_TEST

/* ---- what is made of them ---- */

/* Firezone's deployments ask for health from outside. */
START_TEST(test_health_with_a_portal)
{
  const fzr_addr loopback = fzt_addr("127.0.0.1:8080"), all = fzt_addr("0.0.0.0:8080"),
                 other = fzt_addr("[::1]:80");
  clear_env();
  set_env("FIREZONE_TOKEN", "token");
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert(fzr_addr_equal(&o.health_check_addr, &all));
  ck_assert_int_eq(READ(PUBLIC, "--health-check-addr", "127.0.0.1:8080"), 0);
  ck_assert(fzr_addr_equal(&o.health_check_addr, &loopback));
  set_env("HEALTH_CHECK_ADDR", "[::1]:80");
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert(fzr_addr_equal(&o.health_check_addr, &other));
  clear_env();
  set_env("FIREZONE_TOKEN", "");
  set_env("HEALTH_CHECK_ADDR", "");
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert(fzr_addr_equal(&o.health_check_addr, &loopback));
}
END_TEST

START_TEST(test_defaults)
{
  clear_env();
  ck_assert_int_eq(READ(PUBLIC), 0);
  const fzr_addr any4 = fzt_addr("0.0.0.0"), any6 = fzt_addr("::"), health = fzt_addr("127.0.0.1:8080"),
                 public4 = fzt_addr("203.0.113.7");
  ck_assert(fzr_addr_equal(&o.public_ip4, &public4));
  ck_assert_uint_eq(o.public_ip6.family, FZR_FAMILY_NONE);
  ck_assert(fzr_addr_equal(&o.bind_ip4, &any4));
  ck_assert(fzr_addr_equal(&o.bind_ip6, &any6));
  ck_assert(fzr_addr_equal(&o.health_check_addr, &health));
  ck_assert_uint_eq(o.control_endpoint.family, FZR_FAMILY_NONE);
  ck_assert_ptr_null(o.control_socket);
  ck_assert(!o.usage_log);
  ck_assert_uint_eq(o.listen_port, 3478);
  ck_assert_uint_eq(o.lowest_port, 49152);
  ck_assert_uint_eq(o.highest_port, 65535);
  ck_assert_uint_eq(o.workers, 0);
  ck_assert_ptr_null(o.token);
  ck_assert_str_eq(o.api_url, "wss://api.firezone.dev");
  ck_assert_uint_eq(o.max_partition_seconds, 86400);
  ck_assert_uint_eq(o.heartbeat_seconds, 10);
  ck_assert_uint_eq(o.drain_idle_seconds, 60);
  ck_assert(o.shutdown_seconds == UINT64_MAX);
  ck_assert_uint_eq(o.max_allocations_per_user, 64);
  ck_assert_uint_eq(o.auth, AUTH_STAMP);
  ck_assert_str_eq(o.realm, "firezone");
  ck_assert_uint_eq(o.relay_mode, RELAY_MODE_CHANNELS);
  ck_assert(!o.relay_mode_given && options_replace(&o));
  ck_assert_uint_eq(o.max_channels_per_allocation, 4096);
  ck_assert_uint_eq(o.max_channels, 0);
  ck_assert_uint_eq(o.max_permissions_per_allocation, 1024);
  ck_assert_uint_eq(o.max_bandwidth_per_allocation, 0);
  ck_assert_uint_eq(o.unauthenticated_rate, 1000);
  ck_assert_uint_eq(o.log_format, LOG_FORMAT_HUMAN);
  ck_assert(!o.has_seed);
}
END_TEST

START_TEST(test_flag_beats_variable)
{
  clear_env();
  set_env("LISTEN_PORT", "1000");
  set_env("ALLOW_PEER", "10.0.0.0/8");
  set_env("FIREZONE_TOKEN", "from-env");
  set_env("NUM_WORKER_THREADS", "7");
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert_uint_eq(o.listen_port, 1000);
  ck_assert_str_eq(o.token, "from-env");
  ck_assert(!o.token_from_argument);
  ck_assert_uint_eq(o.workers, 7);
  ck_assert_uint_eq(o.rule_count, 1);
  ck_assert_int_eq(READ(PUBLIC, "--listen-port", "2000", "--allow-peer=192.168.0.0/16", "token-of-a-portal",
                        "name", "--num-worker-threads=2"),
                   0);
  ck_assert_uint_eq(o.listen_port, 2000);
  ck_assert_str_eq(o.token, "token-of-a-portal");
  ck_assert_str_eq(o.name, "name");
  ck_assert(o.token_from_argument);
  ck_assert_uint_eq(o.workers, 2);
  ck_assert_uint_eq(o.rule_count, 1);
  ck_assert_uint_eq(o.rules[0].prefix, 16);
  /* A wrong variable does not matter when the flag says it. */
  environment[0][1] = "nonsense";
  ck_assert_int_eq(READ(PUBLIC, "--listen-port", "2000"), 0);
}
END_TEST

START_TEST(test_lists)
{
  char many[8192] = "", too_many[16384] = "";
  clear_env();
  set_env("ALLOW_PEER", "10.0.0.0/8,,192.168.0.0/16,");
  set_env("DENY_PEER", "10.1.0.0/16,2001:db8::/32");
  for (unsigned again = 0; again < 100; again++) { /* nothing is used up */
    ck_assert_msg(READ(PUBLIC) == 0, "%s", error);
    ck_assert_uint_eq(o.rule_count, 4);
    ck_assert(o.rules[0].allow && o.rules[1].allow && !o.rules[2].allow && !o.rules[3].allow);
  }
  ck_assert_int_eq(READ(PUBLIC, "--deny-peer", "1.0.0.0/8", "--deny-peer", "2.0.0.0/8"), 0);
  ck_assert_uint_eq(o.rule_count, 4);
  /* As many rules as there is room for, and one more. */
  for (unsigned i = 0; i < MAX_PEER_RULES; i++)
    snprintf(many + strlen(many), sizeof many - strlen(many), "10.%u.0.0/16,", i);
  snprintf(too_many, sizeof too_many, "%s11.0.0.0/8", many);
  clear_env();
  set_env("ALLOW_PEER", many);
  ck_assert_msg(READ(PUBLIC) == 0, "%s", error);
  ck_assert_uint_eq(o.rule_count, MAX_PEER_RULES);
  environment[0][1] = too_many;
  ck_assert_int_eq(READ(PUBLIC), -1);
  check_complaint("ALLOW_PEER", "11.0.0.0/8");
  environment[0][1] = "10.0.0.0/8,nonsense,11.0.0.0/8";
  ck_assert_int_eq(READ(PUBLIC), -1);
  check_complaint("ALLOW_PEER", "nonsense");
}
END_TEST

/* A list in one value, and several values. */
START_TEST(test_proxies)
{
  static char many[1024];
  for (unsigned i = 0; i < MAX_PROXIES; i++)
    strcat(many, i ? ",10.0.0.1" : "10.0.0.1");
  clear_env();
  ck_assert_int_eq(READ(PUBLIC, "--proxy-protocol", "10.0.0.0/8,2001:db8::/32", "--proxy-protocol=192.0.2.1"),
                   0);
  ck_assert_uint_eq(o.proxy_count, 3);
  ck_assert_uint_eq(o.proxies[0].prefix, 8);
  ck_assert_uint_eq(o.proxies[1].net.family, FZR_FAMILY_IPV6);
  ck_assert_uint_eq(o.proxies[1].prefix, 32);
  ck_assert_uint_eq(o.proxies[2].prefix, 32);
  ck_assert_int_eq(READ(PUBLIC, "--proxy-protocol",
                        "0.0.0.0/0,128.0.0.0/7,::/0,2000::/15,10.0.0.0/8,fc00::/7,fd00::/8,2001::/16"),
                   0);
  for (size_t i = 0; i < o.proxy_count; i++)
    ck_assert_msg(options_proxy_is_wide(&o.proxies[i]) == (i < 4), "%zu", i);
  ck_assert_int_eq(READ(PUBLIC, "--proxy-protocol", many), 0);
  ck_assert_uint_eq(o.proxy_count, MAX_PROXIES);
  ck_assert_int_eq(READ(PUBLIC, "--proxy-protocol", many, "--proxy-protocol", "10.0.0.2"), -1);
  check_complaint("--proxy-protocol", "at most 64 networks");
}
END_TEST

START_TEST(test_what_does_not_go_together)
{
  clear_env();
  ck_assert_int_eq(READ("--listen-port", "1"), -1);
  ck_assert_ptr_nonnull(strstr(error, "--public-ip4-addr, --public-ip6-addr: none is set"));
  ck_assert_int_eq(READ(PUBLIC, "--lowest-port", "60000", "--highest-port", "59999"), -1);
  check_complaint("--lowest-port", "60000");
  ck_assert_int_eq(READ(PUBLIC, "--listen-port", "50000"), -1);
  check_complaint("--listen-port", "50000");
  ck_assert_int_eq(READ(PUBLIC, "--listen-port", "0", "token-of-a-portal"), -1);
  check_complaint("--listen-port", "'0'");
  ck_assert_int_eq(READ(PUBLIC, "--tls-listen-port", "443", "--tls-key", "k"), -1);
  check_complaint("--tls-listen-port", "expected --tls-cert, too");
  ck_assert_int_eq(READ(PUBLIC, "--tls-listen-port", "443", "--tls-cert", "c"), -1);
  check_complaint("--tls-listen-port", "expected --tls-key, too");
  ck_assert_int_eq(READ(PUBLIC, "--tls-listen-port", "443", "--tls-cert", "c", "--tls-key", "k",
                        "--tcp-listen-port", "443"),
                   -1);
  check_complaint("--tls-listen-port", "'443': expected another port than --tcp-listen-port");
  ck_assert_int_eq(READ(PUBLIC, "--offload", "xdp"), -1);
  check_complaint("--offload", "no interface is set");
  ck_assert_int_eq(READ(PUBLIC, "--xdp", "native"), -1);
  check_complaint("--offload", "no interface is set");
  ck_assert_int_eq(READ(PUBLIC, "--offload", "xdp", "--xdp", "native", "--offload-interface", "eth0"), -1);
  check_complaint("--xdp", "expected one of them");
  ck_assert_int_eq(READ(PUBLIC, "--take-over"), -1);
  check_complaint("--take-over", "expected --handover-socket, too");
  ck_assert_int_eq(READ(PUBLIC, "--take-over", "--handover-socket", "/run/x"), 0);
  ck_assert(o.take_over);
  ck_assert_int_eq(READ(PUBLIC, "--lowest-port", "60000", "--highest-port", "60000"), 0);
}
END_TEST

START_TEST(test_alternate_servers)
{
  clear_env();
  set_env("ALTERNATE_SERVER", "203.0.113.8:3478,[2001:db8::8]:3479");
  ck_assert_msg(READ(PUBLIC) == 0, "%s", error);
  const fzr_addr ip4 = fzt_addr("203.0.113.8:3478"), ip6 = fzt_addr("[2001:db8::8]:3479");
  ck_assert(fzr_addr_equal(&o.alternate_ip4, &ip4) && fzr_addr_equal(&o.alternate_ip6, &ip6));
  ck_assert_uint_eq(o.alternate_over, 0);
  clear_env();
  ck_assert_int_eq(READ(PUBLIC, "--alternate-server=1.2.3.4:1", "--alternate-server=1.2.3.5:1"), -1);
  check_complaint("--alternate-server", "one server of each family");
  ck_assert_int_eq(READ(PUBLIC, "--alternate-server=203.0.113.7:3478"), -1);
  check_complaint("--alternate-server", "own address");
  ck_assert_int_eq(READ(PUBLIC, "token-of-a-portal", "--alternate-server=203.0.113.8:3478"), -1);
  check_complaint("--alternate-server", "portal");
}
END_TEST

/* A token is what fits into a header and a query; blanks, a line break, as files end with, and a BOM are no part of it. */
START_TEST(test_tokens)
{
  static char longest[3072 + 2], too_long[3073 + 1];
  memset(longest, 'a', 3072);
  longest[3072] = '\n';
  memset(too_long, 'a', 3073);
  const char *const good[] = {"x",
                              "aZ09-._~+/=",
                              "!\"#$%&'()*,:;<>?@[]^`{|}",
                              "abc\r\n",
                              " a",
                              "a ",
                              "a \n",
                              "\xef\xbb\xbf"
                              "a",
                              longest};
  const char *const bad[] = {" ",  "a b",   "a\tb",  "\xef\xbb\xbf", "\"a b\"",
                             "\n", "a\x01", "a\x7f", "t\xc3\xb6ken", too_long};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    clear_env();
    ck_assert_msg(READ(PUBLIC, "--", good[i]) == 0, "%s: %s", good[i], error);
    set_env("FIREZONE_TOKEN", good[i]);
    ck_assert_msg(READ(PUBLIC) == 0, "%s: %s", good[i], error);
    ck_assert_str_eq(o.token, good[i]);
    ck_assert_int_eq(o.token_oddity != NULL, strchr(good[i], '/') != NULL);
  }
  clear_env();
  set_env("FIREZONE_TOKEN", "\"a\"\n");
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert_ptr_nonnull(strstr(o.token_oddity, "quotes"));
  clear_env();
  set_env("FIREZONE_TOKEN", "/run/secrets/token");
  ck_assert_int_eq(READ(PUBLIC), 0);
  ck_assert_ptr_nonnull(strstr(o.token_oddity, "path"));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    clear_env();
    ck_assert_msg(READ(PUBLIC, "--", bad[i]) == -1, "%s", bad[i]);
    ck_assert_str_eq(error, "TOKEN: invalid value '(not shown)': expected " PORTAL_TOKEN_EXPECTED);
    set_env("FIREZONE_TOKEN", bad[i]);
    ck_assert_msg(READ(PUBLIC) == -1, "%s", bad[i]);
    ck_assert_str_eq(error, "FIREZONE_TOKEN: invalid value '(not shown)': expected " PORTAL_TOKEN_EXPECTED);
  }
}
END_TEST

/* A URL may hold a password, or a key in its query, wherever it was put. */
START_TEST(test_urls_with_secrets_are_not_shown)
{
  static const char *const urls[] = {"https://user:S3CRET@host:4317", "user:S3CRET@host:4317",
                                     "https://host:4317?api-key=S3CRET"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    clear_env();
    set_env("OTLP_GRPC_ENDPOINT", urls[i]);
    ck_assert_int_eq(READ(PUBLIC), -1);
    ck_assert_msg(strstr(error, "OTLP_GRPC_ENDPOINT: invalid value '(not shown)'") != NULL, "%s", error);
    ck_assert_ptr_null(strstr(error, "S3CRET"));
  }
}
END_TEST

/* The relay's environment may hold anything: the sub-command minds what it makes use of. */
START_TEST(test_credentials_in_an_environment_of_the_relay)
{
  for (size_t i = 0; i < CASES; i++) {
    if (!cases[i].env)
      continue;
    const char *bad = *cases[i].bad[0] ? cases[i].bad[0] : cases[i].bad[1];
    clear_env();
    set_env(cases[i].env, bad);
    if (is_hidden(cases[i].env)) {
      ck_assert_msg(READ("credentials") == -1, "%s is what they are made of", cases[i].env);
      check_complaint(cases[i].env, "(not shown)");
      continue;
    }
    ck_assert_msg(READ("credentials") == 0, "%s", error);
    if (strncmp(cases[i].env, "PUBLIC_IP", 9) == 0 || strcmp(cases[i].env, "LISTEN_PORT") == 0) {
      ck_assert_msg(READ("credentials", "--format", "url") == -1, "%s is in the URL", cases[i].env);
      check_complaint(cases[i].env, bad);
    } else {
      ck_assert_msg(READ("credentials", PUBLIC, "--format", "url") == 0, "%s", error);
    }
    const bool is_of_page = strncmp(cases[i].env, "PUBLIC_IP", 9) == 0 || strstr(cases[i].env, "LISTEN_PORT");
    ck_assert_msg(
        READ("credentials", PUBLIC, "--tls-name", "a", "--tls-listen-port", "1", "--format", "webrtc") == 0 ||
            is_of_page,
        "%s", error);
    ck_assert_msg(READ("credentials", "--format", "webrtc") == -1, "%s", error);
    if (is_of_page)
      check_complaint(cases[i].env, bad);
  }
  clear_env();
  set_env("FIREZONE_TOKEN", "not a token");
  set_env("AUTH_SECRET", "secret");
  set_env("LISTEN_PORT", "1000");
  ck_assert_msg(READ("credentials", PUBLIC, "--format", "url") == 0, "%s", error);
  ck_assert_str_eq(o.auth_secret, "secret");
  ck_assert_uint_eq(o.listen_port, 1000);
  clear_env();
  set_env("AUTH_SECRET_FILE", "/x");
  ck_assert_msg(READ("credentials") == 0, "%s", error);
  ck_assert_str_eq(o.auth_secret_file, "/x");
}
END_TEST

/* Who may log in, and what follows from it where nothing else was asked for. */
START_TEST(test_schemes)
{
  static const struct {
    const char *auth;
    unsigned schemes;
    const char *shown;
    enum relay_mode mode;
    bool replace;
  } rows[] = {{"stamp", AUTH_STAMP, "stamp", RELAY_MODE_CHANNELS, true},
              {"rest", AUTH_REST, "rest", RELAY_MODE_FULL, false},
              {"static", AUTH_STATIC, "static", RELAY_MODE_FULL, false},
              {"rest,static", AUTH_REST | AUTH_STATIC, "rest,static", RELAY_MODE_FULL, false},
              {"static,rest", AUTH_REST | AUTH_STATIC, "rest,static", RELAY_MODE_FULL, false},
              {"rest,rest", AUTH_REST, "rest", RELAY_MODE_FULL, false}};
  char shown[64];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    clear_env();
    set_env("AUTH_SECRET", "a secret of enough bytes");
    ck_assert_msg(READ(PUBLIC, "--auth", rows[i].auth, "--users-file", "/users") == 0, "%s", error);
    ck_assert_uint_eq(o.auth, rows[i].schemes);
    options_schemes(&o, shown, sizeof shown);
    ck_assert_str_eq(shown, rows[i].shown);
    ck_assert_int_eq(o.relay_mode, rows[i].mode);
    ck_assert(!o.relay_mode_given);
    ck_assert_int_eq(options_replace(&o), rows[i].replace);
    /* What was asked for holds in any case. */
    ck_assert_int_eq(READ(PUBLIC, "--auth", rows[i].auth, "--users-file", "/users", "--relay-mode=channels",
                          "--replace-allocation=yes"),
                     0);
    ck_assert(o.relay_mode == RELAY_MODE_CHANNELS && o.relay_mode_given && options_replace(&o));
    ck_assert_int_eq(READ(PUBLIC, "--auth", rows[i].auth, "--users-file", "/users", "--relay-mode=full",
                          "--replace-allocation=no"),
                     0);
    ck_assert(o.relay_mode == RELAY_MODE_FULL && o.relay_mode_given && !options_replace(&o));
  }
  clear_env();
  set_env("AUTH_SCHEMES", "static");
  set_env("USERS_FILE", "/users");
  ck_assert_msg(READ(PUBLIC) == 0, "%s", error);
  ck_assert_str_eq(o.users_file, "/users");
  ck_assert_uint_eq(o.idle_count, 0);
}
END_TEST

/* What a scheme needs is asked for by name. */
START_TEST(test_schemes_that_lack_something)
{
  clear_env();
  ck_assert_int_eq(READ(PUBLIC, "--auth", "static"), -1);
  check_complaint("--users-file", "none is set");
  ck_assert_int_eq(READ(PUBLIC, "--auth", "rest"), -1);
  check_complaint("--auth-secret-file, AUTH_SECRET", "none is set");
  ck_assert_int_eq(READ(PUBLIC, "--auth", "rest,static", "--users-file", "/users"), -1);
  check_complaint("--auth-secret-file, AUTH_SECRET", "none is set");
  ck_assert_int_eq(READ(PUBLIC, "--auth", "rest,static", "--auth-secret-file", "/secret"), -1);
  check_complaint("--users-file", "none is set");
  ck_assert_int_eq(READ(PUBLIC, "--auth", "stamp,static"), -1);
  check_complaint("--auth", "stamp alone");
  ck_assert_int_eq(READ(PUBLIC, "--auth-second-secret-file", "/old"), -1);
  check_complaint("--auth-secret-file, AUTH_SECRET", "none is set");
  /* A portal has a scheme and a secret of its own. */
  static const char *const others[] = {"rest", "static", "rest,static"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    ck_assert_int_eq(
        READ(PUBLIC, "token-of-a-portal", "--auth", others[i], "--users-file=/u", "--auth-secret-file=/s"),
        -1);
    check_complaint("--auth", "portal");
  }
  ck_assert_int_eq(READ(PUBLIC, "token-of-a-portal", "--auth-secret-file=/s", "--auth-second-secret-file=/t"),
                   -1);
  check_complaint("--auth-second-secret-file, AUTH_SECOND_SECRET", "portal");
  ck_assert_msg(READ(PUBLIC, "token-of-a-portal", "--auth", "stamp", "--auth-secret-file=/s") == 0, "%s",
                error);
  /* Secrets are shown in no error. */
  set_env("AUTH_SECOND_SECRET", "S3CRET");
  ck_assert_int_eq(READ(PUBLIC), -1);
  ck_assert_ptr_null(strstr(error, "S3CRET"));
}
END_TEST

START_TEST(test_durations)
{
  static const struct {
    const char *text;
    uint64_t seconds;
  } good[] = {{"0", 0},
              {"30", 30},
              {"30s", 30},
              {"15m", 900},
              {"24h", 86400},
              {"7d", 604800},
              {"4294967295", UINT32_MAX},
              {"49710d", (uint64_t)49710 * 86400}};
  static const char *const bad[] = {BAD_TIMES, "49711d", "71582789m", "1193047h", "0x10"};
  uint64_t seconds;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    ck_assert_msg(parse_duration(good[i].text, &seconds), "%s", good[i].text);
    ck_assert_uint_eq(seconds, good[i].seconds);
    ck_assert(seconds * FZR_SECOND / FZR_SECOND == seconds); /* as nanoseconds, too */
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!parse_duration(bad[i], &seconds), "%s", bad[i]);
  /* The limit is told. */
  clear_env();
  ck_assert_int_eq(READ(PUBLIC, "--max-partition-time", "49711d"), -1);
  check_complaint("--max-partition-time", "from 1s to 49710d");
  ck_assert_int_eq(READ(PUBLIC, "--shutdown-timeout", "49711d"), -1);
  check_complaint("--shutdown-timeout", "from 0 to 49710d");
  ck_assert_int_eq(READ("credentials", "--ttl", "49711d"), -1);
  check_complaint("--ttl", "from 1s to 49710d");
  ck_assert_int_eq(READ("credentials", "--ttl", "0"), -1); /* they would be of no use */
  check_complaint("--ttl", "from 1s to 49710d");
  ck_assert_int_eq(READ("credentials", "--ttl", "1"), 0);
}
END_TEST

START_TEST(test_help_has_them_all)
{
  char small[10];
  const size_t len = options_help(COMMAND_RELAY, NULL, 0);
  char *text = malloc(len + 1);
  ck_assert_ptr_nonnull(text);
  ck_assert_uint_eq(options_help(COMMAND_RELAY, text, len + 1), len);
  ck_assert_uint_eq(strlen(text), len);
  for (size_t i = 0; i < CASES; i++) {
    ck_assert_msg(!cases[i].flag || strstr(text, cases[i].flag), "%s", cases[i].flag);
    ck_assert_msg(!cases[i].env || strstr(text, cases[i].env), "%s", cases[i].env);
  }
  static const char *const hidden[] = {"PORTAL_TIMING", "disable-gso", "send-buffer"}; /* for tests alone */
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
    ck_assert_msg(!strstr(text, hidden[i]), "%s", hidden[i]);
  for (const char *at = text; (at = strstr(at, "[default: ")) != NULL; at++)
    ck_assert_ptr_nonnull(strchr(at, ']'));
  ck_assert_uint_eq(options_help(COMMAND_RELAY, small, sizeof small), len);
  ck_assert_uint_eq(strlen(small), sizeof small - 1);
  free(text);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("options");
  TCase *tc = tcase_create("options");
  tcase_add_loop_test(tc, test_bad_values, 0, (int)CASES);
  tcase_add_loop_test(tc, test_good_values, 0, (int)CASES);
  tcase_add_loop_test(tc, test_empty_variables, 0, (int)CASES);
  tcase_add_test(tc, test_defaults);
  tcase_add_test(tc, test_health_with_a_portal);
  tcase_add_test(tc, test_flag_beats_variable);
  tcase_add_test(tc, test_lists);
  tcase_add_test(tc, test_proxies);
  tcase_add_test(tc, test_what_does_not_go_together);
  tcase_add_test(tc, test_alternate_servers);
  tcase_add_test(tc, test_tokens);
  tcase_add_test(tc, test_credentials_in_an_environment_of_the_relay);
  tcase_add_test(tc, test_urls_with_secrets_are_not_shown);
  tcase_add_test(tc, test_schemes);
  tcase_add_test(tc, test_schemes_that_lack_something);
  tcase_add_test(tc, test_durations);
  tcase_add_test(tc, test_help_has_them_all);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
