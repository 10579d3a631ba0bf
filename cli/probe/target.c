/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include "firezone_relay/types.h"

#include "net/host.h"

#include <string.h>
#include <strings.h>

#define PORT_PLAIN 3478
#define PORT_TLS   5349
#define EXPECTED                                                                                             \
  "a relay such as turn:relay.example:3478, turns:relay.example:5349 or "                                    \
  "turn:[2001:db8::7]:3478?transport=tcp"

static const struct {
  const char *name;
  bool is_secure, stun_only;
} schemes[] = {
    {"turns:", true, false}, {"turn:", false, false}, {"stuns:", true, true}, {"stun:", false, true}};

/* Takes the scheme; NULL: there is none. */
static const char *read_scheme(const char *text, probe_target *out)
{
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    const size_t len = strlen(schemes[i].name);
    if (strncasecmp(text, schemes[i].name, len) != 0)
      continue;
    out->transport = schemes[i].is_secure ? PROBE_TLS : PROBE_UDP;
    out->port = schemes[i].is_secure ? PORT_TLS : PORT_PLAIN;
    out->stun_only = schemes[i].stun_only;
    return text + len;
  }
  return NULL;
}

/* |query| is what stands behind the question mark. */
static const char *read_query(const char *query, probe_target *out)
{
  const bool udp = strcasecmp(query, "transport=udp") == 0;
  if (!udp && strcasecmp(query, "transport=tcp") != 0)
    return "transport=udp or transport=tcp behind the question mark";
  if (udp && out->transport == PROBE_TLS)
    return "no transport=udp with TLS, as DTLS is not spoken here";
  if (!udp && out->transport == PROBE_UDP)
    out->transport = PROBE_TCP;
  return NULL;
}

static bool is_host_char(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static const char *read_host(const char *host, size_t len, bool bracketed, probe_target *out)
{
  fzr_addr addr;
  len = net_undotted(host, len);
  if (!len || len > PROBE_HOST_MAX)
    return EXPECTED;
  for (size_t i = 0; i < len; i++)
    out->host[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] | 0x20 : host[i]);
  out->host[len] = '\0';
  out->host_is_ip = fzr_addr_parse(out->host, &addr) == 0 && addr.port == 0;
  if (bracketed)
    return out->host_is_ip && addr.family == FZR_FAMILY_IPV6 ? NULL : EXPECTED;
  for (size_t i = 0; i < len; i++)
    if (!is_host_char(out->host[i]))
      return EXPECTED;
  return NULL;
}

const char *probe_target_parse(const char *text, probe_target *out)
{
  *out = (probe_target){.port = 0};
  const char *host = read_scheme(text, out), *expected = NULL;
  if (!host)
    return EXPECTED;
  const char *query = strchr(host, '?');
  const size_t len = query ? (size_t)(query - host) : strlen(host);
  const bool bracketed = *host == '[';
  const char *end = bracketed ? memchr(host, ']', len) : NULL;
  if (bracketed && !end)
    return EXPECTED;
  const char *behind = bracketed ? end + 1 : host + strcspn(host, ":?");
  if (query)
    expected = read_query(query + 1, out);
  if (!expected)
    expected =
        read_host(host + bracketed, (size_t)((bracketed ? end : behind) - host) - bracketed, bracketed, out);
  const size_t rest = len - (size_t)(behind - host);
  if (!expected && rest && (*behind != ':' || !net_read_port(behind + 1, rest - 1, &out->port)))
    expected = EXPECTED;
  return expected;
}

const char *probe_transport_name(probe_transport transport)
{
  return transport == PROBE_UDP ? "UDP" : transport == PROBE_TCP ? "TCP" : "TLS";
}
