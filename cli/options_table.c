/* SPDX-License-Identifier: Apache-2.0 */
#include "options_internal.h"

#include "common/strip.h"
#include "common/utf8.h"
#include "log/filter.h"
#include "portal/portal.h"
#include "sessions/filter.h"
#include "telemetry/telemetry.h"

#include <string.h>

/* ---- one option_setter an option ---- */

/* A public address is one that others can send to; the policy of where users may send hangs on it. */
static const char *set_public_ip4(options *o, const char *t)
{
  const char *expected = value_ip(&o->public_ip4, t, FZR_FAMILY_IPV4);
  if (!expected && (o->public_ip4.ip[0] == 0 || o->public_ip4.ip[0] >= 224))
    return "the IPv4 address that others reach the relay at, such as 203.0.113.7";
  return expected;
}

static const char *set_public_ip6(options *o, const char *t)
{
  static const uint8_t zero[16];
  const char *expected = value_ip(&o->public_ip6, t, FZR_FAMILY_IPV6);
  if (!expected && (o->public_ip6.ip[0] == 0xff || memcmp(o->public_ip6.ip, zero, sizeof zero) == 0))
    return "the IPv6 address that others reach the relay at, such as 2001:db8::7";
  return expected;
}

static const char *set_bind_ip4(options *o, const char *t)
{
  return value_ip(&o->bind_ip4, t, FZR_FAMILY_IPV4);
}

static const char *set_bind_ip6(options *o, const char *t)
{
  return value_ip(&o->bind_ip6, t, FZR_FAMILY_IPV6);
}

static const char *set_listen_port(options *o, const char *t)
{
  return value_port(&o->listen_port, t, 0);
}

static const char *set_tcp_port(options *o, const char *t)
{
  return value_port(&o->tcp_listen_port, t, 1);
}

static const char *set_tls_port(options *o, const char *t)
{
  return value_port(&o->tls_listen_port, t, 1);
}

static const char *set_tls_cert(options *o, const char *t)
{
  o->tls_lines[0] = o->config.line;
  return *t ? value_text(&o->tls_cert, t) : "a file with a certificate in PEM";
}

static const char *set_tls_key(options *o, const char *t)
{
  o->tls_lines[1] = o->config.line;
  return *t ? value_text(&o->tls_key, t) : "a file with the certificate's key in PEM";
}

static const char *set_lowest_port(options *o, const char *t)
{
  return value_port(&o->lowest_port, t, 1);
}

static const char *set_highest_port(options *o, const char *t)
{
  return value_port(&o->highest_port, t, 1);
}

static const char *set_workers(options *o, const char *t)
{
  uint64_t value;
  if (!value_number(t, 1, 1024, &value))
    return "a number from 1 to 1024";
  o->workers = (unsigned)value;
  return NULL;
}

const char *option_set_token(options *o, const char *t)
{
  if (!portal_token_is_usable(t))
    return PORTAL_TOKEN_EXPECTED;
  o->token_oddity = strip_oddity(strip(t, strlen(t)));
  if (!o->token_oddity && strchr(t, '/'))
    o->token_oddity = "it has a slash, as a path has: the token itself is expected, not a file with it";
  return value_text(&o->token, t);
}

const char *option_set_name(options *o, const char *t)
{
  return value_text(&o->name, t);
}

static const char *set_api_url(options *o, const char *t)
{
  const char *expected = portal_check_url(t);
  return expected ? expected : value_text(&o->api_url, t);
}

static const char *set_portal_timing(options *o, const char *t)
{
  return portal_timing_parse(t, &o->portal_timing) ? NULL : "a list such as heartbeat=200ms,join=50ms";
}

const char *option_set_secret_file(options *o, const char *t)
{
  return value_text(&o->auth_secret_file, t);
}

const char *option_set_secret(options *o, const char *t)
{
  return value_text(&o->auth_secret, t);
}

const char *option_set_second_secret_file(options *o, const char *t)
{
  return value_text(&o->auth_second_secret_file, t);
}

const char *option_set_second_secret(options *o, const char *t)
{
  return value_text(&o->auth_second_secret, t);
}

const char *option_set_users_file(options *o, const char *t)
{
  return value_text(&o->users_file, t);
}

static const char *set_seed(options *o, const char *t)
{
  o->has_seed = true;
  return value_number(t, 0, UINT64_MAX, &o->rng_seed) ? NULL : "a number from 0 to 2^64 - 1";
}

static const char *set_log_format(options *o, const char *t)
{
  if (strcmp(t, "human") == 0)
    o->log_format = LOG_FORMAT_HUMAN;
  else if (strcmp(t, "json") == 0)
    o->log_format = LOG_FORMAT_JSON;
  else if (strcmp(t, "json-flat") == 0)
    o->log_format = LOG_FORMAT_JSON_FLAT;
  else if (strcmp(t, "google-cloud") == 0)
    o->log_format = LOG_FORMAT_GOOGLE_CLOUD;
  else
    return "human, json, json-flat or google-cloud";
  return NULL;
}

static void on_bad_directive(void *ctx, const char *directive, size_t len, const char *problem)
{
  (void)directive;
  (void)len;
  *(const char **)ctx = problem;
}

const char *option_set_log_filter(options *o, const char *t)
{
  log_filter filter;
  const char *problem = NULL;
  log_filter_parse(&filter, t, on_bad_directive, &problem);
  return *t && !problem ? value_text(&o->log_filter, t) : "a level, or directives such as info,relay=debug";
}

const char *option_set_config(options *o, const char *t)
{
  return *t ? value_text(&o->config.path, t) : "a file with lines such as listen-port = 3478";
}

static const char *set_check_config(options *o, const char *t)
{
  (void)t;
  o->check_config = true;
  return NULL;
}

static const char *set_project(options *o, const char *t)
{
  return value_text(&o->google_cloud_project, t);
}

static const char *set_otlp(options *o, const char *t)
{
  if (telemetry_check_endpoint(t))
    return "a host and port such as collector:4317, [2001:db8::7]:4317 or, for TLS, https://collector:4317";
  return value_text(&o->otlp_endpoint, t);
}

static const char *set_health(options *o, const char *t)
{
  return value_endpoint(&o->health_check_addr, t);
}

static const char *set_control(options *o, const char *t)
{
  return value_endpoint(&o->control_endpoint, t);
}

static const char *set_control_socket(options *o, const char *t)
{
  const size_t len = strlen(t);
  return len > 0 && len <= HTTP_LOCAL_PATH_MAX
             ? value_text(&o->control_socket, t)
             : "a path of at most 100 bytes, such as /run/firezone-relay/control";
}

static const char *set_control_group(options *o, const char *t)
{
  return *t ? value_text(&o->control_group, t) : "the name of a group";
}

static const char *set_usage_log(options *o, const char *t)
{
  return value_flag(&o->usage_log, t);
}

static const char *set_client(options *o, const char *t)
{
  fzr_addr addr;
  return fzr_addr_parse(t, &addr) ? "an address, such as 192.0.2.7 or [2001:db8::7]:4000"
                                  : value_text(&o->client, t);
}

static const char *set_end(options *o, const char *t)
{
  uint64_t id;
  return session_id_read(t, &id)
             ? value_text(&o->end_id, t)
             : "the id of a session, 16 hexadecimal digits, as firezone-relay sessions shows it";
}

static const char *set_end_user(options *o, const char *t)
{
  return *t ? value_text(&o->end_user, t) : "the name of a user";
}

static const char *set_json(options *o, const char *t)
{
  return value_flag(&o->json, t);
}

static const char *set_no_telemetry(options *o, const char *t)
{
  return value_flag(&o->no_telemetry, t);
}

static const char *set_telemetry(options *o, const char *t)
{
  return value_flag(&o->telemetry, t);
}

static const char *set_one_socket(options *o, const char *t)
{
  return value_flag(&o->one_socket, t);
}

static const char *set_pin_workers(options *o, const char *t)
{
  return value_flag(&o->pin_workers, t);
}

static const char *set_outlive(options *o, const char *t)
{
  return value_flag(&o->outlive_credentials, t);
}

static const char *set_strict_families(options *o, const char *t)
{
  return value_flag(&o->strict_families, t);
}

static const char *add_rule(options *o, const char *t, bool allow)
{
  if (o->rule_count == MAX_PEER_RULES)
    return "at most 256 rules";
  if (fzr_peer_rule_parse(t, allow, &o->rules[o->rule_count]))
    return "a network such as 10.0.0.0/8 or 2001:db8::/32, with no bits set behind the prefix, or with a "
           "port "
           "192.0.2.1:3478 or [2001:db8::1]:3478";
  o->rule_count++;
  return NULL;
}

static const char *set_allow(options *o, const char *t)
{
  return add_rule(o, t, true);
}

static const char *set_deny(options *o, const char *t)
{
  return add_rule(o, t, false);
}

static const char *set_replace(options *o, const char *t)
{
  const bool no = strcmp(t, "no") == 0;
  if (!no && strcmp(t, "yes") != 0)
    return "yes or no";
  o->replace = no ? REPLACE_NO : REPLACE_YES;
  return NULL;
}

static const char *set_mobility(options *o, const char *t)
{
  return value_flag(&o->mobility, t);
}

static const char *set_max_allocations(options *o, const char *t)
{
  return value_u32(&o->max_allocations_per_user, t, 0, UINT32_MAX - 1,
                   "a number up to 4294967294, 0 for no limit");
}

static const char *set_max_channels(options *o, const char *t)
{
  return value_u32(&o->max_channels_per_allocation, t, 1, 4096, "a number from 1 to 4096");
}

static const char *set_max_all_channels(options *o, const char *t)
{
  return value_u32(&o->max_channels, t, 1, UINT32_MAX - 1, "a number from 1 to 4294967294");
}

static const char *set_max_permissions(options *o, const char *t)
{
  return value_u32(&o->max_permissions_per_allocation, t, 1, UINT32_MAX - 1, "a number from 1 to 4294967294");
}

/* One of each family: clients are sent to a server that they can talk to. */
static const char *set_alternate(options *o, const char *t)
{
  fzr_addr addr;
  if (value_endpoint(&addr, t) || !addr.port || is_wildcard(&addr))
    return "another server's address and port such as 203.0.113.8:3478 or [2001:db8::8]:3478";
  fzr_addr *alternate = addr.family == FZR_FAMILY_IPV4 ? &o->alternate_ip4 : &o->alternate_ip6;
  if (alternate->family)
    return "one server of each family at most";
  *alternate = addr;
  return NULL;
}

static const char *set_alternate_over(options *o, const char *t)
{
  return value_u32(&o->alternate_over, t, 0, UINT32_MAX - 1,
                   "a number up to 4294967294, 0 for no such limit");
}

static const char *set_max_bandwidth(options *o, const char *t)
{
  return value_number(t, 0, UINT64_MAX / 2, &o->max_bandwidth_per_allocation)
             ? NULL
             : "bytes a second, up to 2^63 - 1, 0 for no limit";
}

static const char *set_rate(options *o, const char *t)
{
  return value_u32(&o->unauthenticated_rate, t, 0, UINT32_MAX - 1,
                   "answers a second, up to 4294967294, 0 for no limit");
}

static const char *set_max_connections(options *o, const char *t)
{
  return value_u32(&o->max_connections_per_prefix, t, 0, UINT32_MAX - 1,
                   "a number up to 4294967294, 0 for no limit");
}

static const char *set_max_strangers(options *o, const char *t)
{
  return value_u32(&o->max_strangers, t, 0, UINT32_MAX - 1,
                   "a number up to 4294967294, 0 for a quarter of the descriptors");
}

static const char *set_max_queue(options *o, const char *t)
{
  return value_u32(&o->max_queue_per_connection, t, 2048, 64u << 20, "bytes, from 2048 to 67108864");
}

static const char *set_connection_idle(options *o, const char *t)
{
  return value_duration(&o->connection_idle_seconds, t, 1);
}

static const char *set_partition(options *o, const char *t)
{
  return value_duration(&o->max_partition_seconds, t, 1);
}

static const char *set_heartbeat(options *o, const char *t)
{
  return value_duration(&o->heartbeat_seconds, t, 1);
}

static const char *set_drain_idle(options *o, const char *t)
{
  return value_duration(&o->drain_idle_seconds, t, 1);
}

static const char *set_shutdown(options *o, const char *t)
{
  return value_duration(&o->shutdown_seconds, t, 0);
}

/* What is put behind it while it is made has to fit, too. */
static const char *set_handover_socket(options *o, const char *t)
{
  const size_t len = strlen(t);
  return len > 0 && len <= HANDOVER_PATH_MAX
             ? value_text(&o->handover_socket, t)
             : "a path of at most 90 bytes, such as /run/firezone-relay/handover";
}

static const char *set_take_over(options *o, const char *t)
{
  (void)t;
  o->take_over = true;
  return NULL;
}

static const char *set_disable_gso(options *o, const char *t)
{
  return value_flag(&o->disable_gso, t);
}

static const char *set_send_buffer(options *o, const char *t)
{
  return value_u32(&o->send_buffer, t, 0, UINT32_MAX - 1, "a number of bytes, up to 4294967294");
}

static const char *set_help(options *o, const char *t)
{
  (void)t;
  o->show_help = true;
  return NULL;
}

static const char *set_version(options *o, const char *t)
{
  (void)t;
  o->show_version = true;
  return NULL;
}

static const char *set_ttl(options *o, const char *t)
{
  return value_duration(&o->ttl_seconds, t, 1);
}

static const char *set_salt(options *o, const char *t)
{
  /* The relay refuses a username that is anything else. */
  const size_t len = strlen(t);
  const bool fits = len > 0 && len <= SALT_MAX && !strchr(t, ':') && utf8_is_valid(t, len);
  return fits ? value_text(&o->salt, t) : "1 to 497 bytes of UTF-8 without a colon";
}

static const char *set_user(options *o, const char *t)
{
  const size_t len = strlen(t);
  const bool fits = len > 0 && len <= SALT_MAX && utf8_is_valid(t, len);
  return fits ? value_text(&o->user, t) : "1 to 497 bytes of UTF-8";
}

static const char *set_format(options *o, const char *t)
{
  static const char *const formats[] = {"text", "json", "url", "webrtc"};
  size_t i = 0;
  while (i < sizeof formats / sizeof *formats && strcmp(t, formats[i]) != 0)
    i++;
  if (i == sizeof formats / sizeof *formats)
    return "text, json, url or webrtc";
  return value_text(&o->credentials_format, t);
}

/* ---- the table ---- */

const option_spec option_specs[] = {
    {"public-ip4-addr", NULL, "PUBLIC_IP4_ADDR", "ADDR", NULL, NULL, set_public_ip4, GROUP_NETWORK, false,
     "the IPv4 address that clients and peers reach the relay at; this or the IPv6 one is required",
     AND_COMMANDS, "the relay's IPv4 address, as clients and peers reach it"},
    {"public-ip6-addr", NULL, "PUBLIC_IP6_ADDR", "ADDR", NULL, NULL, set_public_ip6, GROUP_NETWORK, false,
     "the IPv6 address that clients and peers reach the relay at", AND_COMMANDS,
     "the relay's IPv6 address, as clients and peers reach it"},
    {"bind-ip4-addr", NULL, "BIND_IP4_ADDR", "ADDR", "0.0.0.0", NULL, set_bind_ip4, GROUP_NETWORK, false,
     "local IPv4 address of all sockets; used with --public-ip4-addr"},
    {"bind-ip6-addr", NULL, "BIND_IP6_ADDR", "ADDR", "::", NULL, set_bind_ip6, GROUP_NETWORK, false,
     "local IPv6 address of all sockets; used with --public-ip6-addr"},
    {"listen-port", NULL, "LISTEN_PORT", "PORT", "3478", NULL, set_listen_port, GROUP_NETWORK, false,
     "UDP port for STUN and TURN; 0 takes a free one and logs it", AND_CREDENTIALS,
     "the relay's UDP port, for --format url and webrtc"},
    {"tcp-listen-port", NULL, "TCP_LISTEN_PORT", "PORT", NULL, "none", set_tcp_port, GROUP_NETWORK, false,
     "TCP port for clients whose networks let no UDP out; 3478 is usual", AND_CREDENTIALS,
     "the relay's TCP port, for --format webrtc"},
    {"tls-listen-port", NULL, "TLS_LISTEN_PORT", "PORT", NULL, "none", set_tls_port, GROUP_NETWORK, false,
     "TCP port for clients that talk TLS; 5349 is usual, 443 is what most networks let out", AND_CREDENTIALS,
     "the relay's TCP port for TLS, for --format webrtc, with --tls-name"},
    {"tls-cert", NULL, "TLS_CERT", "FILE", NULL, NULL, set_tls_cert, GROUP_NETWORK, false,
     "PEM file with the relay's certificate and those between it and an authority; read anew when it "
     "changes",
     .reloads = true},
    {"tls-key", NULL, "TLS_KEY", "FILE", NULL, NULL, set_tls_key, GROUP_NETWORK, false,
     "PEM file with the certificate's key, without a passphrase; likewise", .reloads = true},
    {"proxy-protocol", NULL, "PROXY_PROTOCOL", "CIDR[,CIDR...]", NULL, NULL, option_set_proxies,
     GROUP_NETWORK, false,
     "networks of load balancers: connections from there have to begin with a PROXY header of version 2, and "
     "the address in it is the client's"},
    {"lowest-port", NULL, "LOWEST_PORT", "PORT", "49152", NULL, set_lowest_port, GROUP_NETWORK, false,
     "first port of the range for allocations"},
    {"highest-port", NULL, "HIGHEST_PORT", "PORT", "65535", NULL, set_highest_port, GROUP_NETWORK, false,
     "last port of the range for allocations"},
    {"workers", "num-worker-threads", "NUM_WORKER_THREADS", "N", NULL, "the CPUs that it may use",
     set_workers, GROUP_NETWORK, false, "threads that relay, each with its own sockets"},
    {"pin-workers", NULL, "PIN_WORKERS", NULL, NULL, NULL, set_pin_workers, GROUP_NETWORK, false,
     "keep each of them on a CPU of its own, as far as there are enough"},
    {"one-socket", NULL, "ONE_SOCKET", NULL, NULL, NULL, set_one_socket, GROUP_NETWORK, false,
     "one socket of each worker receives for all allocations, by BPF; an idle allocation has none. Needs "
     "CAP_BPF and CAP_NET_ADMIN, and ports in net.ipv4.ip_local_reserved_ports; not with --handover-socket"},
    {"auth", NULL, "AUTH_SCHEMES", "SCHEMES", "stamp", NULL, option_set_auth, GROUP_AUTH, false,
     "how clients log in: stamp (names with an expiry, and passwords of a secret, as Firezone has them), "
     "rest "
     "(the same as coturn's use-auth-secret has them), static (users with passwords of their own), or "
     "rest,static; with a portal stamp alone",
     FOR_LOGINS, "whose credentials: stamp, rest or static"},
    {"realm", NULL, "AUTH_REALM", "TEXT", "firezone", NULL, option_set_realm, GROUP_AUTH, false,
     "the realm that clients are told, and that passwords hold for", FOR_LOGINS},
    {"auth-secret-file", NULL, "AUTH_SECRET_FILE", "FILE", NULL, "a random secret", option_set_secret_file,
     GROUP_AUTH, false,
     "file with the secret that credentials are made of; blanks and line ends around it are dropped",
     FOR_LOGINS, .reloads = true},
    {NULL, NULL, "AUTH_SECRET", "SECRET", NULL, NULL, option_set_secret, GROUP_AUTH, false,
     "the secret itself; in the environment or a file only, because arguments are visible to everyone",
     FOR_LOGINS, .key = "auth-secret", .reloads = true},
    {"auth-second-secret-file", NULL, "AUTH_SECOND_SECRET_FILE", "FILE", NULL, NULL,
     option_set_second_secret_file, GROUP_AUTH, false,
     "file with another secret that is as good: the old one while clients have credentials of it",
     .reloads = true},
    {NULL, NULL, "AUTH_SECOND_SECRET", "SECRET", NULL, NULL, option_set_second_secret, GROUP_AUTH, false,
     "that secret itself", .key = "auth-second-secret", .reloads = true},
    {"users-file", NULL, "USERS_FILE", "FILE", NULL, NULL, option_set_users_file, GROUP_AUTH, false,
     "file with the users of --auth static: a line each, user:password, or user:0xKEY with the MD5 of "
     "user:realm:password; on SIGHUP it and the files with secrets are read anew",
     FOR_LOGINS, "file with the users of --auth static", .reloads = true},
    {NULL, NULL, NULL, "USER:PASSWORD", NULL, NULL, option_set_inline_user, GROUP_AUTH, true,
     "one of them, in the file of --config: a line as one of --users-file, which there is none of then",
     FOR_LOGINS, .key = "user", .reloads = true},
    {"outlive-credentials", NULL, "OUTLIVE_CREDENTIALS", NULL, NULL, NULL, set_outlive, GROUP_AUTH, false,
     "a credential of --auth stamp stays good for the allocation that it was used with when its time is "
     "over, "
     "as others do anyway"},
    {"rng-seed", NULL, "RNG_SEED", "N", NULL, NULL, set_seed, GROUP_AUTH, false,
     "repeatable randomness, for tests only: everything secret can then be guessed"},
    {NULL, NULL, "FIREZONE_TOKEN", "TOKEN", NULL, "standalone", option_set_token, GROUP_PORTAL, false,
     "token to register with the portal; also the first argument, where others can see it", .key = "token"},
    {NULL, NULL, "FIREZONE_NAME", "NAME", NULL, NULL, option_set_name, GROUP_PORTAL, false,
     "name shown in the portal; also the second argument", .key = "name"},
    {"api-url", NULL, "FIREZONE_API_URL", "URL", "wss://api.firezone.dev", NULL, set_api_url, GROUP_PORTAL,
     false, "the portal's WebSocket"},
    {"max-partition-time", NULL, "MAX_PARTITION_TIME", "TIME", "24h", NULL, set_partition, GROUP_PORTAL,
     false, "how long the portal may be away before the relay ends"},
    {"heartbeat-interval", NULL, "HEARTBEAT_INTERVAL", "TIME", "10s", NULL, set_heartbeat, GROUP_PORTAL,
     false, "how often the portal is asked whether it lives; three unanswered ones end the connection"},
    {"allow-peer", NULL, "ALLOW_PEER", "CIDR[:PORT]", NULL, NULL, set_allow, GROUP_LIMITS, true,
     "peers that users may reach, also out of the relay's scope; with a port ([2001:db8::1]:3478) also one "
     "at "
     "which relays listen; repeatable, in the variable separated by commas",
     .reloads = true},
    {"deny-peer", NULL, "DENY_PEER", "CIDR[:PORT]", NULL, NULL, set_deny, GROUP_LIMITS, true,
     "peers that users may not reach; the longest prefix of all rules decides, then who names a port, then "
     "deny",
     .reloads = true},
    {"relay-mode", NULL, "RELAY_MODE", "MODE", NULL, "channels with --auth stamp, else full",
     option_set_relay_mode, GROUP_LIMITS, false,
     "how clients reach peers: channels (through channels alone, as Firezone's do), or full (with "
     "permissions "
     "and Send and Data indications, too, as browsers need it)"},
    {"strict-address-family", NULL, "STRICT_ADDRESS_FAMILY", NULL, NULL, NULL, set_strict_families,
     GROUP_LIMITS, false,
     "--relay-mode full: without an IPv4 address, clients that name no family (browsers) get 440, as in the "
     "RFC, and not an IPv6 one"},
    {"replace-allocation", NULL, "REPLACE_ALLOCATION", "HOW", NULL, "yes with --auth stamp, else no",
     set_replace, GROUP_LIMITS, false,
     "yes: a user's new allocation ends the older one, so that a client whose NAT gives it another port "
     "begins "
     "anew; no: for several clients with one username"},
    {"mobility", NULL, "RELAY_MOBILITY", NULL, NULL, NULL, set_mobility, GROUP_LIMITS, false,
     "clients that ask for it (RFC 8016) take their allocations along to another address"},
    {"max-allocations-per-user", NULL, "MAX_ALLOCATIONS_PER_USER", "N", "64", NULL, set_max_allocations,
     GROUP_LIMITS, false,
     "where --replace-allocation is no: allocations a user may have at a time; 0 is no limit"},
    {"max-channels-per-allocation", NULL, "MAX_CHANNELS_PER_ALLOCATION", "N", "4096", NULL, set_max_channels,
     GROUP_LIMITS, false, "channels an allocation may have"},
    {"max-channels", NULL, "MAX_CHANNELS", "N", NULL, "a quarter of memory", set_max_all_channels,
     GROUP_LIMITS, false,
     "channels and permissions of all clients together, of 256 bytes each with what belongs to them; by "
     "default what fits a "
     "quarter of the memory that the machine has or the control group allows"},
    {"max-permissions-per-allocation", NULL, "MAX_PERMISSIONS_PER_ALLOCATION", "N", "1024", NULL,
     set_max_permissions, GROUP_LIMITS, false,
     "in full mode: permissions an allocation may have, those of its channels included"},
    {"max-bandwidth-per-allocation", NULL, "MAX_BANDWIDTH_PER_ALLOCATION", "N", "0", NULL, set_max_bandwidth,
     GROUP_LIMITS, false, "payload bytes a second, both directions together; 0 is no limit"},
    {"unauthenticated-rate", NULL, "UNAUTHENTICATED_RATE", "N", "1000", NULL, set_rate, GROUP_LIMITS, false,
     "answers a second to strangers of one /24 or /48, with bursts of twice that, divided among the workers; "
     "0 is no limit"},
    {"alternate-server", NULL, "ALTERNATE_SERVER", "ADDR:PORT", NULL, NULL, set_alternate, GROUP_LIMITS, true,
     "where clients without an allocation are sent (300) while the relay shuts down, or has no room: another "
     "server, one of each family; repeatable, in the variable separated by commas"},
    {"alternate-over", NULL, "ALTERNATE_OVER", "N", "0", NULL, set_alternate_over, GROUP_LIMITS, false,
     "from how many allocations on they are sent there, too; 0: only then"},
    {"max-connections-per-prefix", NULL, "MAX_CONNECTIONS_PER_PREFIX", "N", "1024", NULL, set_max_connections,
     GROUP_LIMITS, false, "connections over TCP and TLS that one /24 or /48 may have; 0 is no limit"},
    {"max-connections-without-allocation", NULL, "MAX_CONNECTIONS_WITHOUT_ALLOCATION", "N", "4096", NULL,
     set_max_strangers, GROUP_LIMITS, false,
     "connections over TCP and TLS that have no allocation, or none yet; then the oldest of them is closed. "
     "Never more than a quarter of the descriptors, which 0 stands for"},
    {"max-queue-per-connection", NULL, "MAX_QUEUE_PER_CONNECTION", "BYTES", "262144", NULL, set_max_queue,
     GROUP_LIMITS, false,
     "what may wait for a client that takes it too slowly over TCP or TLS; then the oldest message is "
     "dropped"},
    {"shutdown-timeout", NULL, "SHUTDOWN_TIMEOUT", "TIME", NULL, "no limit", set_shutdown, GROUP_LIMITS,
     false,
     "how long a shutdown waits for the last allocation; it ends, too, when nothing was relayed for 60 s"},
    {"log-filter", NULL, NULL, "DIRECTIVES", NULL, NULL, option_set_log_filter, GROUP_OBSERVE, false,
     "what is logged, as RUST_LOG says it, which beats the file of --config", .reloads = true},
    {"log-format", NULL, "LOG_FORMAT", "FORMAT", "human", NULL, set_log_format, GROUP_OBSERVE, false,
     "human, json (message and fields in an object), json-flat (beside the rest) or google-cloud"},
    {"google-cloud-project-id", NULL, "GOOGLE_CLOUD_PROJECT_ID", "ID", NULL, NULL, set_project, GROUP_OBSERVE,
     false, "project to name in log records' trace links"},
    {"otlp-grpc-endpoint", NULL, "OTLP_GRPC_ENDPOINT", "HOST:PORT", NULL, NULL, set_otlp, GROUP_OBSERVE,
     false, "OpenTelemetry collector for metrics and traces"},
    {"health-check-addr", NULL, "HEALTH_CHECK_ADDR", "ADDR:PORT", NULL,
     "0.0.0.0:8080 with a TOKEN, else 127.0.0.1:8080", set_health, GROUP_OBSERVE, false,
     "where /healthz, /readyz and /metrics are served"},
    {"control-socket", NULL, "CONTROL_SOCKET", "PATH", NULL,
     "control in the folder that systemd has made, if any", set_control_socket, GROUP_OBSERVE, false,
     "socket in the file system, by HTTP, where the log filter can be changed and sessions be seen and "
     "ended, by "
     "the relay's own user and root",
     AND_SESSIONS, "socket where the relay is asked"},
    {"control-group", NULL, "CONTROL_GROUP", "NAME", NULL, "none", set_control_group, GROUP_OBSERVE, false,
     "group whose members may use --control-socket, too"},
    {"control-endpoint", NULL, "CONTROL_ENDPOINT", "ADDR:PORT", NULL, "none", set_control, GROUP_OBSERVE,
     false, "the same by TCP, for everybody who can reach that: a loopback address, such as 127.0.0.1:9999",
     AND_SESSIONS, "ask there, by TCP, in place of the socket"},
    {"usage-log", NULL, "USAGE_LOG", NULL, NULL, NULL, set_usage_log, GROUP_OBSERVE, false,
     "log a record when a session begins, binds a channel and ends, with its user, packets and bytes: target "
     "usage, level info"},
    {"handover-socket", NULL, "HANDOVER_SOCKET", "PATH", NULL, "none", set_handover_socket, GROUP_OBSERVE,
     false,
     "where another process takes this one's place, without an outage: if a relay answers there at the "
     "start, it "
     "is taken over, and ends; see 'Upgrade without an outage' in the manual page"},
    {"take-over", NULL, NULL, NULL, NULL, NULL, set_take_over, GROUP_OBSERVE, false,
     "be the one that takes over, in the background: this command ends once it has, or with status 1 if it "
     "can't; "
     "for ExecReload= of systemd",
     .not_in_file = true},
    {"no-telemetry", NULL, "FIREZONE_NO_TELEMETRY", NULL, NULL, NULL, set_no_telemetry, GROUP_OBSERVE, false,
     "accepted for compatibility: there is no crash reporting to turn off"},
    {"telemetry", NULL, "TELEMETRY", NULL, NULL, NULL, set_telemetry, GROUP_OBSERVE, false,
     "accepted for compatibility: there is none to turn on, and the log says so"},
    {"offload", NULL, "OFFLOAD", "MODE", NULL, "off", option_set_offload, GROUP_XDP, false,
     "relay channels in the kernel: off, xdp (in the driver), tcx (any driver, Linux 6.6), auto (what works "
     "of "
     "these) or xdp-generic (any driver, but slower); needs CAP_BPF and CAP_NET_ADMIN, better with "
     "CAP_PERFMON"},
    {"offload-interface", "xdp-interface", "OFFLOAD_INTERFACE", "IF", NULL, NULL, option_set_xdp_interface,
     GROUP_XDP, true,
     "interface that clients and peers are reached by; repeatable, in the variable separated by commas"},
    {"offload-route", "xdp-route", "OFFLOAD_ROUTE", "HOW", NULL, "fib", option_set_xdp_route, GROUP_XDP,
     false,
     "where to send to: fib asks the routing table (the interface's sysctl 'forwarding' must be on); swap "
     "answers "
     "to the router a packet came from, for hosts that reach everyone by one router"},
    {"flood-guard", NULL, "FLOOD_GUARD", "on|off", NULL, "on", option_set_flood_guard, GROUP_XDP, false,
     "with --offload, whether the kernel drops what the relay would drop anyway: packets that are neither "
     "STUN nor ChannelData, ChannelData of clients without a channel, requests over --unauthenticated-rate, "
     "and what comes from peers without a channel"},
    {"xdp", NULL, "XDP", "MODE", NULL, NULL, option_set_xdp, GROUP_XDP, false,
     "older name of --offload: native for xdp, generic for xdp-generic"},
    {NULL, NULL, "XDP_INTERFACE", "IF", NULL, NULL, option_set_older_interface, GROUP_XDP, true,
     "older name of OFFLOAD_INTERFACE"},
    {NULL, NULL, "XDP_ROUTE", "HOW", NULL, NULL, option_set_older_route, GROUP_XDP, false,
     "older name of OFFLOAD_ROUTE"},
    {"ebpf-offloading", NULL, "EBPF_OFFLOADING", "IF", NULL, NULL, option_set_ebpf_interface, GROUP_XDP,
     false,
     "Firezone's name for --offload-interface, with --offload auto unless that or --ebpf-attach-mode says "
     "otherwise"},
    {"ebpf-attach-mode", NULL, "EBPF_ATTACH_MODE", "MODE", NULL, NULL, option_set_ebpf_mode, GROUP_XDP, false,
     "driver or generic: the mode for --ebpf-offloading"},
    {"ebpf-int4-addr", NULL, "EBPF_INT4_ADDR", "ADDR", NULL, "as the routing table says", option_set_xdp_ip4,
     GROUP_XDP, false, "the host's own IPv4 address to relay from in the kernel, if it is bound to all"},
    {"ebpf-int6-addr", NULL, "EBPF_INT6_ADDR", "ADDR", NULL, "as the routing table says", option_set_xdp_ip6,
     GROUP_XDP, false, "the host's own IPv6 address to relay from in the kernel, if it is bound to all"},
    {"config", NULL, "RELAY_CONFIG", "FILE", NULL, NULL, option_set_config, GROUP_OTHER, false,
     "file with options, 'option = value' a line, for what neither the command line nor the environment "
     "says; "
     "read anew on SIGHUP",
     FOR_LOGINS, .not_in_file = true},
    {"check-config", NULL, NULL, NULL, NULL, NULL, set_check_config, GROUP_OTHER, false,
     "read all of the configuration, and the files that it names; say what is wrong with it, or OK; start "
     "nothing",
     .not_in_file = true},
    {"help", "h", NULL, NULL, NULL, NULL, set_help, GROUP_OTHER, false, "this text", OF_ALL,
     .not_in_file = true},
    {"version", "V", NULL, NULL, NULL, NULL, set_version, GROUP_OTHER, false, "the version", OF_ALL,
     .not_in_file = true},
    {"ttl", NULL, NULL, "TIME", "24h", NULL, set_ttl, GROUP_CREDENTIALS, false,
     "how long the credentials are valid, from 1s; not with --auth static, whose users are always good",
     OF_MADE},
    {"user", NULL, NULL, "NAME", NULL, "random with --auth rest", set_user, GROUP_CREDENTIALS, false,
     "whom they are for: what follows the expiry in the username of --auth rest, up to 497 bytes of UTF-8, "
     "or "
     "the user of --auth static",
     OF_MADE},
    {"salt", NULL, NULL, "TEXT", NULL, "random", set_salt, GROUP_CREDENTIALS, false,
     "what follows the expiry in the username of --auth stamp: up to 497 bytes of UTF-8, no colon",
     ONLY_CREDENTIALS},
    {"format", NULL, NULL, "FORMAT", "text", NULL, set_format, GROUP_CREDENTIALS, false,
     "text, json, url, or webrtc: the iceServers of a page", ONLY_CREDENTIALS},
    {"tls-name", NULL, NULL, "NAME", NULL, NULL, option_set_tls_name, GROUP_CREDENTIALS, false,
     "the host in the turns: URL of --format webrtc, with --tls-listen-port: a name that the relay's "
     "certificate has, for browsers look for it there",
     ONLY_CREDENTIALS},
    {"username", NULL, NULL, "NAME", NULL, NULL, option_set_username, GROUP_PROBE, false,
     "log in with credentials that there are already, instead of those made of a secret or of --users-file",
     ONLY_PROBE},
    {"password-file", NULL, NULL, "FILE", NULL, NULL, option_set_password_file, GROUP_PROBE, false,
     "file with the password of --username", ONLY_PROBE},
    {NULL, NULL, "PROBE_PASSWORD", "PASSWORD", NULL, NULL, option_set_password, GROUP_PROBE, false,
     "the password itself; in the environment only, because arguments are visible to everyone", ONLY_PROBE},
    {"ca-file", NULL, NULL, "FILE", NULL, "the system's authorities", option_set_ca_file, GROUP_PROBE, false,
     "file with the certificates of the authorities that the relay's may be signed by", ONLY_PROBE},
    {"insecure", NULL, NULL, NULL, NULL, NULL, option_set_insecure, GROUP_PROBE, false,
     "any certificate will do", ONLY_PROBE},
    {"user", NULL, NULL, "NAME", NULL, NULL, set_user, GROUP_SESSIONS, false, "those of this user alone",
     ONLY_SESSIONS},
    {"client", NULL, NULL, "ADDR[:PORT]", NULL, NULL, set_client, GROUP_SESSIONS, false,
     "those of this client alone", ONLY_SESSIONS},
    {"json", NULL, NULL, NULL, NULL, NULL, set_json, GROUP_SESSIONS, false,
     "a JSON object for each, a line each, in place of a table", ONLY_SESSIONS},
    {"end", NULL, NULL, "ID", NULL, NULL, set_end, GROUP_SESSIONS, false,
     "end the session with this id, and list none", ONLY_SESSIONS},
    {"end-user", NULL, NULL, "NAME", NULL, NULL, set_end_user, GROUP_SESSIONS, false,
     "end all sessions of this user, and list none", ONLY_SESSIONS},
    {NULL, NULL, "PORTAL_TIMING", "LIST", NULL, NULL, set_portal_timing, GROUP_PORTAL, false, NULL},
    {"drain-idle", NULL, NULL, "TIME", "60s", NULL, set_drain_idle, GROUP_OTHER, false, NULL},
    {"connection-idle", NULL, NULL, "TIME", "30s", NULL, set_connection_idle, GROUP_OTHER, false, NULL},
    {"disable-gso", NULL, NULL, NULL, NULL, NULL, set_disable_gso, GROUP_OTHER, false, NULL},
    {"send-buffer", NULL, NULL, "N", NULL, NULL, set_send_buffer, GROUP_OTHER, false, NULL},
};

#define COUNT (sizeof option_specs / sizeof *option_specs)
_Static_assert(COUNT <= MAX_OPTIONS, "MAX_OPTIONS has to grow");
const size_t option_spec_count = COUNT;
