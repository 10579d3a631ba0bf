/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "portal/portal.h"
#include "telemetry/telemetry.h"

#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum group {
  GROUP_NETWORK,
  GROUP_AUTH,
  GROUP_PORTAL,
  GROUP_LIMITS,
  GROUP_OBSERVE,
  GROUP_XDP,
  GROUP_OTHER,
  GROUP_CREDENTIALS
};

static const char *const group_titles[] = {
    [GROUP_NETWORK] = "Network",
    [GROUP_AUTH] = "Credentials",
    [GROUP_PORTAL] = "Portal",
    [GROUP_LIMITS] = "Policy and limits",
    [GROUP_OBSERVE] = "Logs and telemetry",
    [GROUP_XDP] = "Kernel data path",
    [GROUP_OTHER] = "Other",
    [GROUP_CREDENTIALS] = "Of the sub-command credentials",
};

/* Sets one option from its text. Returns NULL, or what would be right. */
typedef const char *(*setter)(options *o, const char *text);

typedef struct spec {
  const char *flag;  /* without dashes; NULL: a positional or environment only */
  const char *alias; /* another flag of the same meaning */
  const char *env;
  const char *value;    /* its name in the help; NULL: takes none */
  const char *fallback; /* the default as text, shown in the help and parsed like a value; NULL: none */
  const char *shown;    /* shown in the help as the default where `fallback` does not say it */
  setter set;
  enum group group;
  bool repeats;     /* an environment variable holds several, separated by commas */
  const char *help; /* NULL: hidden, for tests */
} spec;

/* ---- readers of values ---- */

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
  char *end;
  if (*text < '0' || *text > '9')
    return false;
  errno = 0;
  const unsigned long long value = strtoull(text, &end, 10);
  if (errno || *end || value < least || value > most)
    return false;
  *out = value;
  return true;
}

bool parse_duration(const char *text, uint64_t *seconds)
{
  char *end;
  uint64_t unit = 1;
  if (*text < '0' || *text > '9')
    return false;
  errno = 0;
  const unsigned long long value = strtoull(text, &end, 10);
  if (*end == 'm')
    unit = 60;
  else if (*end == 'h')
    unit = 3600;
  else if (*end == 'd')
    unit = 86400;
  else if (*end && *end != 's')
    return false;
  /* More than a century is a mistake, and would overflow nanoseconds. */
  if (errno || (*end && end[1]) || value > UINT32_MAX / unit)
    return false;
  *seconds = value * unit;
  return true;
}

static const char *set_ip(fzr_addr *out, const char *text, uint8_t family)
{
  fzr_addr addr;
  const char *expected = family == FZR_FAMILY_IPV4 ? "an IPv4 address such as 203.0.113.7"
                                                   : "an IPv6 address such as 2001:db8::7";
  const bool bracketed = strchr(text, '[') != NULL;
  if (fzr_addr_parse(text, &addr) || addr.family != family || addr.port || bracketed ||
      (family == FZR_FAMILY_IPV4 && strchr(text, ':')))
    return expected;
  *out = addr;
  return NULL;
}

static const char *set_endpoint(fzr_addr *out, const char *text)
{
  fzr_addr addr;
  const char *port = *text == '[' ? strstr(text, "]:") : strchr(text, ':');
  if (fzr_addr_parse(text, &addr) || !port || (addr.family == FZR_FAMILY_IPV6 && *text != '['))
    return "an address and port such as 127.0.0.1:8080 or [::1]:8080";
  *out = addr;
  return NULL;
}

static const char *set_port(uint16_t *out, const char *text, uint64_t least)
{
  uint64_t value;
  if (!read_number(text, least, UINT16_MAX, &value))
    return least ? "a port from 1 to 65535" : "a port from 0 to 65535";
  *out = (uint16_t)value;
  return NULL;
}

static const char *set_u32(uint32_t *out, const char *text, const char *expected)
{
  uint64_t value;
  if (!read_number(text, 0, UINT32_MAX - 1, &value))
    return expected;
  *out = (uint32_t)value;
  return NULL;
}

static const char *set_text(const char **out, const char *text)
{
  *out = text;
  return NULL;
}

/* ---- one setter an option ---- */

/* A public address is one that others can send to; the policy of where users may send hangs on it. */
static const char *set_public_ip4(options *o, const char *t)
{
  const char *expected = set_ip(&o->public_ip4, t, FZR_FAMILY_IPV4);
  if (!expected && (o->public_ip4.ip[0] == 0 || o->public_ip4.ip[0] >= 224))
    return "the IPv4 address that others reach the relay at, such as 203.0.113.7";
  return expected;
}

static const char *set_public_ip6(options *o, const char *t)
{
  static const uint8_t zero[16];
  const char *expected = set_ip(&o->public_ip6, t, FZR_FAMILY_IPV6);
  if (!expected && (o->public_ip6.ip[0] == 0xff || memcmp(o->public_ip6.ip, zero, sizeof zero) == 0))
    return "the IPv6 address that others reach the relay at, such as 2001:db8::7";
  return expected;
}

static const char *set_bind_ip4(options *o, const char *t)
{
  return set_ip(&o->bind_ip4, t, FZR_FAMILY_IPV4);
}

static const char *set_bind_ip6(options *o, const char *t)
{
  return set_ip(&o->bind_ip6, t, FZR_FAMILY_IPV6);
}

static const char *set_listen_port(options *o, const char *t)
{
  return set_port(&o->listen_port, t, 0);
}

static const char *set_lowest_port(options *o, const char *t)
{
  return set_port(&o->lowest_port, t, 1);
}

static const char *set_highest_port(options *o, const char *t)
{
  return set_port(&o->highest_port, t, 1);
}

static const char *set_workers(options *o, const char *t)
{
  uint64_t value;
  if (!read_number(t, 1, 1024, &value))
    return "a number from 1 to 1024";
  o->workers = (unsigned)value;
  return NULL;
}

static const char *set_token(options *o, const char *t)
{
  return *t ? set_text(&o->token, t) : "a token, not an empty text";
}

static const char *set_name(options *o, const char *t)
{
  return set_text(&o->name, t);
}

static const char *set_api_url(options *o, const char *t)
{
  const char *problem = portal_check_url(t);
  return problem ? problem : set_text(&o->api_url, t);
}

static const char *set_portal_timing(options *o, const char *t)
{
  return portal_timing_parse(t, &o->portal_timing) ? NULL : "such as heartbeat=200ms,reply=50ms";
}

static const char *set_secret_file(options *o, const char *t)
{
  return set_text(&o->auth_secret_file, t);
}

static const char *set_secret(options *o, const char *t)
{
  return set_text(&o->auth_secret, t);
}

static const char *set_seed(options *o, const char *t)
{
  o->has_seed = true;
  return read_number(t, 0, UINT64_MAX, &o->rng_seed) ? NULL : "a number from 0 to 2^64 - 1";
}

static const char *set_log_format(options *o, const char *t)
{
  if (strcmp(t, "human") == 0)
    o->log_format = LOG_FORMAT_HUMAN;
  else if (strcmp(t, "json") == 0)
    o->log_format = LOG_FORMAT_JSON;
  else if (strcmp(t, "google-cloud") == 0)
    o->log_format = LOG_FORMAT_GOOGLE_CLOUD;
  else
    return "human, json or google-cloud";
  return NULL;
}

static const char *set_project(options *o, const char *t)
{
  return set_text(&o->google_cloud_project, t);
}

static const char *set_otlp(options *o, const char *t)
{
  const char *problem = telemetry_check_endpoint(t);
  return problem ? problem : set_text(&o->otlp_endpoint, t);
}

static const char *set_health(options *o, const char *t)
{
  return set_endpoint(&o->health_check_addr, t);
}

static const char *set_control(options *o, const char *t)
{
  return set_endpoint(&o->control_endpoint, t);
}

static const char *set_flag(bool *flag, const char *t)
{
  if (strcmp(t, "true") == 0 || strcmp(t, "1") == 0)
    *flag = true;
  else if (strcmp(t, "false") == 0 || strcmp(t, "0") == 0)
    *flag = false;
  else
    return "true or false";
  return NULL;
}

static const char *set_no_telemetry(options *o, const char *t)
{
  return set_flag(&o->no_telemetry, t);
}

static const char *set_pin_workers(options *o, const char *t)
{
  return set_flag(&o->pin_workers, t);
}

static const char *add_rule(options *o, const char *t, bool allow)
{
  if (o->rule_count == MAX_PEER_RULES)
    return "at most 256 rules";
  if (fzr_peer_rule_parse(t, allow, &o->rules[o->rule_count]))
    return "a network such as 10.0.0.0/8 or 2001:db8::/32, with no bits set behind the prefix";
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

static const char *set_max_allocations(options *o, const char *t)
{
  return set_u32(&o->max_allocations_per_user, t, "a number, 0 for no limit");
}

static const char *set_max_channels(options *o, const char *t)
{
  uint64_t value;
  if (!read_number(t, 1, 4096, &value))
    return "a number from 1 to 4096";
  o->max_channels_per_allocation = (uint32_t)value;
  return NULL;
}

static const char *set_max_bandwidth(options *o, const char *t)
{
  return read_number(t, 0, UINT64_MAX / 2, &o->max_bandwidth_per_allocation)
             ? NULL
             : "bytes a second, 0 for no limit";
}

static const char *set_rate(options *o, const char *t)
{
  return set_u32(&o->unauthenticated_rate, t, "answers a second, 0 for no limit");
}

static const char *set_partition(options *o, const char *t)
{
  return parse_duration(t, &o->max_partition_seconds) && o->max_partition_seconds
             ? NULL
             : "a duration such as 30s, 15m or 24h, not 0";
}

static const char *set_shutdown(options *o, const char *t)
{
  return parse_duration(t, &o->shutdown_seconds) ? NULL : "a duration such as 30s, 15m or 24h";
}

static const char *set_xdp(options *o, const char *t)
{
  static const char *const modes[] = {[XDP_MODE_OFF] = "off",
                                      [XDP_MODE_AUTO] = "auto",
                                      [XDP_MODE_NATIVE] = "native",
                                      [XDP_MODE_GENERIC] = "generic"};
  for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
    if (strcmp(t, modes[i]) == 0) {
      o->xdp_mode = (enum xdp_mode)i;
      return NULL;
    }
  }
  return "off, auto, native or generic";
}

static const char *set_xdp_route(options *o, const char *t)
{
  o->xdp_swap = strcmp(t, "swap") == 0;
  return o->xdp_swap || strcmp(t, "fib") == 0 ? NULL : "fib or swap";
}

static const char *set_xdp_interface(options *o, const char *t)
{
  if (o->xdp_interface_count == MAX_XDP_INTERFACES)
    return "at most 8 interfaces";
  if (!*t || strlen(t) >= IF_NAMESIZE || strchr(t, '/'))
    return "the name of an interface, of at most 15 characters";
  o->xdp_interfaces[o->xdp_interface_count++] = t;
  return NULL;
}

static const char *set_ebpf_mode(options *o, const char *t)
{
  if (strcmp(t, "driver") != 0 && strcmp(t, "generic") != 0)
    return "driver or generic";
  o->ebpf_mode = strcmp(t, "driver") == 0 ? XDP_MODE_NATIVE : XDP_MODE_GENERIC;
  return NULL;
}

static const char *set_ebpf_interface(options *o, const char *t)
{
  o->ebpf_interface = t;
  return set_xdp_interface(o, t);
}

static const char *set_xdp_ip4(options *o, const char *t)
{
  return set_ip(&o->xdp_ip4, t, FZR_FAMILY_IPV4);
}

static const char *set_xdp_ip6(options *o, const char *t)
{
  return set_ip(&o->xdp_ip6, t, FZR_FAMILY_IPV6);
}

static const char *set_disable_gso(options *o, const char *t)
{
  (void)t;
  o->disable_gso = true;
  return NULL;
}

static const char *set_send_buffer(options *o, const char *t)
{
  return set_u32(&o->send_buffer, t, "a number of bytes");
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
  return parse_duration(t, &o->ttl_seconds) ? NULL : "a duration such as 30s, 15m or 24h";
}

static const char *set_salt(options *o, const char *t)
{
  return *t && !strchr(t, ':') ? set_text(&o->salt, t) : "a text without a colon, not empty";
}

static const char *set_format(options *o, const char *t)
{
  if (strcmp(t, "text") != 0 && strcmp(t, "json") != 0 && strcmp(t, "url") != 0)
    return "text, json or url";
  return set_text(&o->credentials_format, t);
}

/* ---- the table ---- */

static const spec specs[] = {
    {"public-ip4-addr", NULL, "PUBLIC_IP4_ADDR", "ADDR", NULL, NULL, set_public_ip4, GROUP_NETWORK, false,
     "the IPv4 address that clients and peers reach the relay at; this or the IPv6 one is required"},
    {"public-ip6-addr", NULL, "PUBLIC_IP6_ADDR", "ADDR", NULL, NULL, set_public_ip6, GROUP_NETWORK, false,
     "the IPv6 address that clients and peers reach the relay at"},
    {"bind-ip4-addr", NULL, "BIND_IP4_ADDR", "ADDR", "0.0.0.0", NULL, set_bind_ip4, GROUP_NETWORK, false,
     "local IPv4 address of all sockets; used with --public-ip4-addr"},
    {"bind-ip6-addr", NULL, "BIND_IP6_ADDR", "ADDR", "::", NULL, set_bind_ip6, GROUP_NETWORK, false,
     "local IPv6 address of all sockets; used with --public-ip6-addr"},
    {"listen-port", NULL, "LISTEN_PORT", "PORT", "3478", NULL, set_listen_port, GROUP_NETWORK, false,
     "UDP port for STUN and TURN; 0 takes a free one and logs it"},
    {"lowest-port", NULL, "LOWEST_PORT", "PORT", "49152", NULL, set_lowest_port, GROUP_NETWORK, false,
     "first port of the range for allocations"},
    {"highest-port", NULL, "HIGHEST_PORT", "PORT", "65535", NULL, set_highest_port, GROUP_NETWORK, false,
     "last port of the range for allocations"},
    {"workers", "num-worker-threads", "NUM_WORKER_THREADS", "N", NULL, "online CPUs", set_workers,
     GROUP_NETWORK, false, "threads that relay, each with its own sockets"},
    {"pin-workers", NULL, "PIN_WORKERS", NULL, NULL, NULL, set_pin_workers, GROUP_NETWORK, false,
     "keep each of them on a CPU of its own, as far as there are enough"},
    {"auth-secret-file", NULL, "AUTH_SECRET_FILE", "FILE", NULL, "a random secret", set_secret_file,
     GROUP_AUTH, false, "file with the secret that credentials are made of; a trailing newline is dropped"},
    {NULL, NULL, "AUTH_SECRET", "SECRET", NULL, NULL, set_secret, GROUP_AUTH, false,
     "the secret itself; in the environment only, because arguments are visible to everyone"},
    {"rng-seed", NULL, "RNG_SEED", "N", NULL, NULL, set_seed, GROUP_AUTH, false,
     "repeatable randomness, for tests only: everything secret can then be guessed"},
    {NULL, NULL, "FIREZONE_TOKEN", "TOKEN", NULL, "standalone", set_token, GROUP_PORTAL, false,
     "token to register with the portal; also the first argument, where others can see it"},
    {NULL, NULL, "FIREZONE_NAME", "NAME", NULL, "host name", set_name, GROUP_PORTAL, false,
     "name shown in the portal; also the second argument"},
    {"api-url", NULL, "FIREZONE_API_URL", "URL", "wss://api.firezone.dev", NULL, set_api_url, GROUP_PORTAL,
     false, "the portal's WebSocket"},
    {"max-partition-time", NULL, "MAX_PARTITION_TIME", "TIME", "15m", NULL, set_partition, GROUP_PORTAL,
     false, "how long the portal may be away before the relay ends"},
    {"allow-peer", NULL, "ALLOW_PEER", "CIDR", NULL, NULL, set_allow, GROUP_LIMITS, true,
     "peers that users may reach, also out of the relay's scope; repeatable, in the variable separated by "
     "commas"},
    {"deny-peer", NULL, "DENY_PEER", "CIDR", NULL, NULL, set_deny, GROUP_LIMITS, true,
     "peers that users may not reach; the longest prefix of all rules decides, deny wins a tie"},
    {"max-allocations-per-user", NULL, "MAX_ALLOCATIONS_PER_USER", "N", "0", NULL, set_max_allocations,
     GROUP_LIMITS, false, "allocations a user may have at a time; 0 is no limit"},
    {"max-channels-per-allocation", NULL, "MAX_CHANNELS_PER_ALLOCATION", "N", "4096", NULL, set_max_channels,
     GROUP_LIMITS, false, "channels an allocation may have"},
    {"max-bandwidth-per-allocation", NULL, "MAX_BANDWIDTH_PER_ALLOCATION", "N", "0", NULL, set_max_bandwidth,
     GROUP_LIMITS, false, "payload bytes a second, both directions together; 0 is no limit"},
    {"unauthenticated-rate", NULL, "UNAUTHENTICATED_RATE", "N", "1000", NULL, set_rate, GROUP_LIMITS, false,
     "answers a second to strangers of one /24 or /48, with bursts of twice that; 0 is no limit"},
    {"shutdown-timeout", NULL, "SHUTDOWN_TIMEOUT", "TIME", NULL, "no limit", set_shutdown, GROUP_LIMITS,
     false, "how long a shutdown waits for the last allocation"},
    {"log-format", NULL, "LOG_FORMAT", "FORMAT", "human", NULL, set_log_format, GROUP_OBSERVE, false,
     "human, json or google-cloud"},
    {"google-cloud-project-id", NULL, "GOOGLE_CLOUD_PROJECT_ID", "ID", NULL, NULL, set_project, GROUP_OBSERVE,
     false, "project to name in log records' trace links"},
    {"otlp-grpc-endpoint", NULL, "OTLP_GRPC_ENDPOINT", "HOST:PORT", NULL, NULL, set_otlp, GROUP_OBSERVE,
     false, "OpenTelemetry collector for metrics and traces"},
    {"health-check-addr", NULL, "HEALTH_CHECK_ADDR", "ADDR:PORT", "0.0.0.0:8080", NULL, set_health,
     GROUP_OBSERVE, false, "where /healthz, /readyz and /metrics are served"},
    {"control-endpoint", NULL, "CONTROL_ENDPOINT", "ADDR:PORT", "127.0.0.1:9999", NULL, set_control,
     GROUP_OBSERVE, false, "where the log filter can be changed"},
    {"no-telemetry", NULL, "FIREZONE_NO_TELEMETRY", NULL, NULL, NULL, set_no_telemetry, GROUP_OBSERVE, false,
     "accepted for compatibility: there is no crash reporting to turn off"},
    {"xdp", NULL, "XDP", "MODE", "off", NULL, set_xdp, GROUP_XDP, false,
     "relay channels in the kernel: off, native (in the driver), auto (native where the driver can, else not "
     "at "
     "all) or generic (any driver, but slower); needs CAP_BPF and CAP_NET_ADMIN"},
    {"xdp-interface", NULL, "XDP_INTERFACE", "IF", NULL, NULL, set_xdp_interface, GROUP_XDP, true,
     "interface that clients and peers are reached by; repeatable, in the variable separated by commas"},
    {"xdp-route", NULL, "XDP_ROUTE", "HOW", "fib", NULL, set_xdp_route, GROUP_XDP, false,
     "where to send to: fib asks the routing table (the interface's sysctl 'forwarding' must be on); swap "
     "answers "
     "to the router a packet came from, for hosts that reach everyone by one router"},
    {NULL, NULL, "EBPF_OFFLOADING", "IF", NULL, NULL, set_ebpf_interface, GROUP_XDP, false,
     "an interface, as XDP_INTERFACE, and XDP=auto unless that or EBPF_ATTACH_MODE says otherwise"},
    {NULL, NULL, "EBPF_ATTACH_MODE", "MODE", NULL, NULL, set_ebpf_mode, GROUP_XDP, false,
     "driver or generic: the mode for EBPF_OFFLOADING"},
    {NULL, NULL, "EBPF_INT4_ADDR", "ADDR", NULL, "as the routing table says", set_xdp_ip4, GROUP_XDP, false,
     "the host's own IPv4 address to relay from in the kernel"},
    {NULL, NULL, "EBPF_INT6_ADDR", "ADDR", NULL, "as the routing table says", set_xdp_ip6, GROUP_XDP, false,
     "the host's own IPv6 address to relay from in the kernel"},
    {"help", "h", NULL, NULL, NULL, NULL, set_help, GROUP_OTHER, false, "this text"},
    {"version", "V", NULL, NULL, NULL, NULL, set_version, GROUP_OTHER, false, "the version"},
    {"ttl", NULL, NULL, "TIME", "24h", NULL, set_ttl, GROUP_CREDENTIALS, false,
     "how long the credentials are valid"},
    {"salt", NULL, NULL, "TEXT", NULL, "random", set_salt, GROUP_CREDENTIALS, false,
     "what follows the expiry in the username"},
    {"format", NULL, NULL, "FORMAT", "text", NULL, set_format, GROUP_CREDENTIALS, false, "text, json or url"},
    {NULL, NULL, "PORTAL_TIMING", "LIST", NULL, NULL, set_portal_timing, GROUP_PORTAL, false, NULL},
    {"disable-gso", NULL, NULL, NULL, NULL, NULL, set_disable_gso, GROUP_OTHER, false, NULL},
    {"send-buffer", NULL, NULL, "N", NULL, NULL, set_send_buffer, GROUP_OTHER, false, NULL},
};

#define SPECS (sizeof specs / sizeof *specs)

/* ---- reading ---- */

typedef struct reader {
  options *o;
  const char *(*env)(const char *name);
  bool given[SPECS];
  unsigned positionals;
  bool chose_xdp; /* --xdp was given, or its variable */
  char *error;
} reader;

static int complain(reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int complain(reader *r, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(r->error, OPTIONS_ERROR_MAX, format, args);
  va_end(args);
  return -1;
}

/* A value fit for an error line: not a secret. A URL may hold a password, or a token in its query. */
static const char *shown_value(const spec *s, const char *value)
{
  const bool hidden =
      s->set == set_secret || s->set == set_token || (s->set == set_api_url && strpbrk(value, "@?") != NULL);
  return hidden ? "(not shown)" : value;
}

static int apply(reader *r, const spec *s, const char *name, const char *value)
{
  const char *expected = s->set(r->o, value);
  if (expected)
    return complain(r, "%s: invalid value '%.200s': expected %s", name, shown_value(s, value), expected);
  r->given[s - specs] = true;
  return 0;
}

static bool flag_is(const char *flag, const char *text, size_t len)
{
  return flag && strlen(flag) == len && strncmp(flag, text, len) == 0;
}

static const spec *find_flag(const char *text, size_t len)
{
  for (size_t i = 0; i < SPECS; i++)
    if (flag_is(specs[i].flag, text, len) || flag_is(specs[i].alias, text, len))
      return &specs[i];
  return NULL;
}

static const char *display_name(const spec *s)
{
  static _Thread_local char name[64];
  snprintf(name, sizeof name, "--%s", s->flag);
  return name;
}

/* How much of an argument is the name of an option: what follows "=" may be a secret. */
static int option_len(const char *text)
{
  const size_t len = strcspn(text, "=");
  return len < 100 ? (int)len : 100;
}

/* Reads one argument that begins with a dash; *|i| moves over a value of its own. */
static int read_flag(reader *r, int argc, char **argv, int *i)
{
  const char *text = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
  const char *equals = strchr(text, '=');
  const size_t len = equals ? (size_t)(equals - text) : strlen(text);
  const spec *s = find_flag(text, len);
  if (!s || (s->group == GROUP_CREDENTIALS && !r->o->credentials))
    return complain(r, "unknown option '%.*s': see --help", option_len(argv[*i]), argv[*i]);
  const char *value = "true";
  if (s->value && equals) {
    value = equals + 1;
  } else if (s->value) {
    if (*i + 1 >= argc)
      return complain(r, "%s: a value is missing: expected %s", display_name(s), s->value);
    value = argv[++*i];
  } else if (equals) {
    return complain(r, "%s: takes no value", display_name(s));
  }
  return apply(r, s, display_name(s), value);
}

static int read_positional(reader *r, const char *value)
{
  const setter wanted = r->positionals == 0 ? set_token : set_name;
  if (r->positionals > 1)
    return complain(r, "unexpected third argument: only TOKEN and NAME have no option: see --help");
  for (size_t i = 0; i < SPECS; i++) {
    if (specs[i].set != wanted)
      continue;
    r->positionals++;
    if (wanted == set_token)
      r->o->token_from_argument = true;
    return apply(r, &specs[i], wanted == set_token ? "TOKEN" : "NAME", value);
  }
  return -1;
}

static int read_arguments(reader *r, int argc, char **argv)
{
  bool flags = true;
  int i = 1;
  if (argc > 1 && strcmp(argv[1], "credentials") == 0) {
    r->o->credentials = true;
    i = 2;
  }
  for (; i < argc; i++) {
    int error;
    if (flags && strcmp(argv[i], "--") == 0) {
      flags = false;
      continue;
    }
    if (flags && argv[i][0] == '-' && argv[i][1])
      error = read_flag(r, argc, argv, &i);
    else
      error = read_positional(r, argv[i]);
    if (error)
      return error;
  }
  return 0;
}

/* Applies each part of a variable that holds several values. */
static int read_list(reader *r, const spec *s, const char *value)
{
  options *o = r->o;
  while (*value) {
    const size_t len = strcspn(value, ",");
    char *part = o->listed + o->listed_len;
    if (len >= sizeof o->listed - o->listed_len)
      return complain(r, "%s: invalid value '%.200s': expected at most %zu bytes in all variables with lists",
                      s->env, value, sizeof o->listed - 1);
    memcpy(part, value, len);
    part[len] = 0;
    o->listed_len += len ? len + 1 : 0;
    if (len && apply(r, s, s->env, part))
      return -1;
    value += len + (value[len] == ',');
  }
  return 0;
}

/* What the command line did not say, the environment may; what neither did is the default. */
static int read_environment(reader *r)
{
  for (size_t i = 0; i < SPECS; i++) {
    const spec *s = &specs[i];
    const char *value = s->env && !r->given[i] ? r->env(s->env) : NULL;
    if (!value || !*value)
      continue;
    if (s->repeats ? read_list(r, s, value) : apply(r, s, s->env, value))
      return -1;
  }
  for (size_t i = 0; i < SPECS; i++)
    r->chose_xdp = r->chose_xdp || (specs[i].set == set_xdp && r->given[i]);
  for (size_t i = 0; i < SPECS; i++)
    if (!r->given[i] && specs[i].fallback && apply(r, &specs[i], "default", specs[i].fallback))
      return -1;
  return 0;
}

/* What the older variables mean, and whether mode and interfaces go together. */
static int check_xdp(reader *r)
{
  options *o = r->o;
  if (o->ebpf_interface && !r->chose_xdp)
    o->xdp_mode = o->ebpf_mode != XDP_MODE_OFF ? o->ebpf_mode : XDP_MODE_AUTO;
  if (o->xdp_mode != XDP_MODE_OFF && !o->xdp_interface_count)
    return complain(r, "--xdp: no interface is set: expected --xdp-interface, such as eth0");
  if (o->xdp_interface_count && !r->chose_xdp && o->xdp_mode == XDP_MODE_OFF)
    return complain(r, "--xdp-interface: --xdp is not set: expected auto, native, generic or off");
  return 0;
}

static int check_whole(reader *r)
{
  options *o = r->o;
  if (o->show_help || o->show_version || o->credentials)
    return 0;
  if (!o->public_ip4.family && !o->public_ip6.family)
    return complain(r, "--public-ip4-addr, --public-ip6-addr: none is set: expected at least one of them");
  if (o->token && !o->listen_port)
    return complain(r, "--listen-port: invalid value '0': expected a port that the portal can be told of");
  if (o->lowest_port > o->highest_port)
    return complain(r, "--lowest-port: invalid value '%u': expected at most --highest-port, which is %u",
                    o->lowest_port, o->highest_port);
  if (o->listen_port >= o->lowest_port && o->listen_port <= o->highest_port)
    return complain(
        r,
        "--listen-port: invalid value '%u': expected a port outside of %u to %u, the range for allocations",
        o->listen_port, o->lowest_port, o->highest_port);
  return check_xdp(r);
}

int options_read(int argc, char **argv, const char *(*env)(const char *name), options *out,
                 char error[OPTIONS_ERROR_MAX])
{
  reader r = {.o = out, .env = env, .error = error};
  memset(out, 0, sizeof *out);
  out->shutdown_seconds = UINT64_MAX;
  error[0] = 0;
  if (read_arguments(&r, argc, argv))
    return -1;
  if (out->show_help || out->show_version)
    return 0;
  if (read_environment(&r))
    return -1;
  return check_whole(&r);
}

/* ---- help ---- */

typedef struct text {
  char *out;
  size_t cap;
  size_t len;
} text;

static void put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(text *t, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  const size_t room = t->len < t->cap ? t->cap - t->len : 0;
  const int n = vsnprintf(room ? t->out + t->len : NULL, room, format, args);
  va_end(args);
  t->len += n > 0 ? (size_t)n : 0;
}

static void put_spec(text *t, const spec *s)
{
  char left[96];
  if (s->flag && strlen(s->alias ? s->alias : "") == 1)
    snprintf(left, sizeof left, "-%s, --%s", s->alias, s->flag);
  else if (s->flag)
    snprintf(left, sizeof left, "    --%s%s%s", s->flag, s->value ? " " : "", s->value ? s->value : "");
  else
    snprintf(left, sizeof left, "    (environment) %s=%s", s->env, s->value);
  put(t, "  %s\n          %s", left, s->help);
  if (s->alias && strlen(s->alias) > 1)
    put(t, " [alias: --%s]", s->alias);
  if (s->flag && s->env)
    put(t, " [env: %s]", s->env);
  if (s->fallback || s->shown)
    put(t, " [default: %s]", s->fallback ? s->fallback : s->shown);
  put(t, "\n");
}

size_t options_help(char *out, size_t cap)
{
  text t = {out, cap, 0};
  put(&t, "firezone-relay %s: a STUN and TURN relay over UDP\n\n", fzr_version());
  put(&t, "Usage: firezone-relay [OPTIONS] [TOKEN] [NAME]\n");
  put(&t, "       firezone-relay credentials [--auth-secret-file FILE] [--ttl TIME] [--salt TEXT] [--format "
          "FORMAT]\n\n");
  put(&t, "Without a token the relay runs standalone: 'firezone-relay credentials' makes what clients log in "
          "with.\n");
  for (size_t g = 0; g < sizeof group_titles / sizeof *group_titles; g++) {
    put(&t, "\n%s:\n", group_titles[g]);
    for (size_t i = 0; i < SPECS; i++)
      if (specs[i].group == g && specs[i].help)
        put_spec(&t, &specs[i]);
  }
  put(&t,
      "\nAn option on the command line beats its environment variable; an empty variable counts as unset.\n"
      "Durations are seconds, or take s, m, h or d. Exit status: 0 after a shutdown, 1 after a failure, 2 "
      "for a\n"
      "mistake in the configuration. The manual page has more: man firezone-relay.\n");
  return t.len;
}
