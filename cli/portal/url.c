/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/url.h"

#include "net/host.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PORT_EXPECTED "a URL whose port is a number from 1 to 65535"

typedef struct span {
  const char *at;
  size_t len;
} span;

static const char *skip_scheme(const char *text, portal_url *out)
{
  static const struct {
    const char *prefix;
    bool tls;
  } schemes[] = {{"wss://", true}, {"https://", true}, {"ws://", false}, {"http://", false}};
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    const size_t len = strlen(schemes[i].prefix);
    if (strncasecmp(text, schemes[i].prefix, len) == 0) {
      out->tls = schemes[i].tls;
      return text + len;
    }
  }
  return NULL;
}

static const char *parse_port(span text, portal_url *out)
{
  const uint16_t standard = out->tls ? 443 : 80;
  uint16_t port = standard;
  if (text.len > 0 && !net_read_port(text.at, text.len, &port))
    return PORT_EXPECTED;
  out->port = port;
  out->default_port = port == standard;
  return NULL;
}

static bool is_label_char(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Host names as the DNS and certificates have them: labels of 1 to 63 letters, digits, hyphens; underscores are put up with. */
static bool is_host_name(const char *host)
{
  size_t label = 0;
  for (; *host; host++) {
    if (*host == '.') {
      if (label == 0)
        return false;
      label = 0;
    } else if (!is_label_char(*host) || ++label > 63) {
      return false;
    }
  }
  return label > 0;
}

static const char *parse_host(span host, portal_url *out)
{
  const bool bracketed = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
  fzr_addr addr;
  if (bracketed)
    host = (span){host.at + 1, host.len - 2};
  host.len = net_undotted(host.at, host.len);
  if (host.len == 0)
    return "a URL that names a host";
  if (host.len >= sizeof out->host)
    return "a URL whose host has at most 253 characters";
  for (size_t i = 0; i < host.len; i++) {
    out->host[i] = host.at[i];
    if (host.at[i] >= 'A' && host.at[i] <= 'Z')
      out->host[i] = (char)(host.at[i] | 0x20);
  }
  out->host[host.len] = '\0';
  const bool colon = strchr(out->host, ':') != NULL;
  out->host_is_ip = (colon == bracketed) && fzr_addr_parse(out->host, &addr) == 0 && addr.port == 0;
  out->host_is_ip6 = bracketed;
  if (bracketed)
    return out->host_is_ip && addr.family == FZR_FAMILY_IPV6 ? NULL
                                                             : "a URL with an IPv6 address in its brackets";
  if (!out->host_is_ip && !is_host_name(out->host))
    return "a URL whose host is a name in ASCII or an address";
  return NULL;
}

static bool path_needs_escape(unsigned char c)
{
  return c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c) != NULL;
}

static void parse_path(span path, portal_url *out)
{
  static const char hex[] = "0123456789ABCDEF";
  size_t len = 0;
  while (path.len > 0 && path.at[path.len - 1] == '/')
    path.len--;
  for (size_t i = 0; i < path.len; i++) {
    const unsigned char c = (unsigned char)path.at[i];
    if (path_needs_escape(c)) {
      out->path[len++] = '%';
      out->path[len++] = hex[c >> 4];
      out->path[len++] = hex[c & 15];
    } else {
      out->path[len++] = (char)c;
    }
  }
  out->path[len] = '\0';
}

const char *portal_url_parse(const char *text, portal_url *out)
{
  while (*text && (unsigned char)*text <= ' ')
    text++;
  size_t len = strlen(text);
  while (len > 0 && (unsigned char)text[len - 1] <= ' ')
    len--;
  if (len >= PORTAL_URL_MAX)
    return "a URL of at most 1023 bytes";
  const char *const end = text + len;
  const char *at = skip_scheme(text, out);
  if (!at || at > end)
    return "a URL that begins with wss://, https://, ws:// or http://";
  size_t authority = 0;
  while (at + authority < end && !strchr("/?#", at[authority]))
    authority++;
  if (memchr(at, '@', authority))
    return "a URL without a user name";
  /* The port is what follows the last colon, unless that stands within an IPv6 address's brackets. */
  size_t host = authority;
  for (size_t i = authority; i > 0 && at[i - 1] != ']'; i--)
    if (at[i - 1] == ':')
      host = i - 1;
  const span port = {at + host + (host < authority), authority - host - (host < authority)};
  const char *wrong = parse_host((span){at, host}, out);
  if (!wrong)
    wrong = parse_port(port, out);
  if (wrong)
    return wrong;
  at += authority;
  size_t path = 0;
  while (at + path < end && at[path] != '?' && at[path] != '#')
    path++;
  parse_path((span){at, path}, out);
  return NULL;
}

static void put_token(const char *token, text_out *text)
{
  char one[2] = {0};
  for (; *token; token++) {
    one[0] = *token;
    if (*token != '\r' && *token != '\n')
      text_form(text, one);
  }
}

/* Begins the next member of the query. */
static void put_key(const char *key, const char **separator, text_out *text)
{
  text_puts(text, *separator);
  text_puts(text, key);
  *separator = "&";
}

static void put_address(const char *key, const fzr_addr *addr, const char **separator, text_out *text)
{
  char ip[FZR_ADDR_TEXT_MAX];
  if (addr->family == FZR_FAMILY_NONE || fzr_addr_format(addr, false, ip, sizeof ip) < 0)
    return;
  put_key(key, separator, text);
  text_form(text, ip);
}

void portal_url_target(const portal_url *url, const portal_login *login, text_out *text)
{
  const char *separator = "?";
  text_puts(text, url->path);
  text_puts(text, "/relay/websocket");
  if (login->token_in_query) {
    put_key("token=", &separator, text);
    put_token(login->token, text);
  }
  if (login->name) {
    put_key("name=", &separator, text);
    text_form(text, login->name);
  }
  put_address("ipv4=", &login->ipv4, &separator, text);
  put_address("ipv6=", &login->ipv6, &separator, text);
  put_key("port=", &separator, text);
  text_uint(text, login->port);
}

void portal_url_authority(const portal_url *url, text_out *text)
{
  if (url->host_is_ip6)
    text_put(text, "[", 1);
  text_puts(text, url->host);
  if (url->host_is_ip6)
    text_put(text, "]", 1);
  if (!url->default_port) {
    text_put(text, ":", 1);
    text_uint(text, url->port);
  }
}

void portal_url_display(const portal_url *url, text_out *text)
{
  text_puts(text, url->tls ? "wss://" : "ws://");
  portal_url_authority(url, text);
  text_puts(text, url->path);
  text_puts(text, "/relay/websocket");
}
