/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, ports, TLS and what is served by HTTP. */
#include "translation.h"

#include <stdlib.h>
#include <string.h>

#define LISTEN_PORT  3478u
#define TLS_PORT     5349u
#define LOWEST_PORT  49152u
#define HIGHEST_PORT 65535u
#define METRICS_PORT 9641u

/* ---- addresses ---- */

/* An address alone: what is none, a name, say, coturn looks up. */
static bool read_ip(const char *text, size_t len, fzr_addr *out)
{
  char one[FZR_ADDR_TEXT_MAX];
  if (len >= sizeof one)
    return false;
  memcpy(one, text, len);
  one[len] = '\0';
  return fzr_addr_parse(one, out) == 0 && !out->port && !strchr(one, '[');
}

static bool is_any(const fzr_addr *a)
{
  static const uint8_t zero[16];
  return memcmp(a->ip, zero, sizeof zero) == 0;
}

static bool is_loopback(const fzr_addr *a)
{
  static const uint8_t one[16] = {[15] = 1};
  return a->family == FZR_FAMILY_IPV4 ? a->ip[0] == 127 : memcmp(a->ip, one, sizeof one) == 0;
}

static bool put_addr(translation *t, entry *e, const char *name, const fzr_addr *a)
{
  char text[FZR_ADDR_TEXT_MAX];
  fzr_addr_format(a, false, text, sizeof text);
  return put_option(t, e, name, text);
}

/* Of one family. */
typedef struct local {
  fzr_addr bound;    /* the one to bind to; family NONE: all */
  entry *of;         /* the line that says so */
  bool several, any; /* of them, or the wildcard */
} local;

static void collect(translation *t, const char *key, local found[2])
{
  fzr_addr a;
  for (entry *e = NULL; (e = entry_next(t, key, e));) {
    if (e->state != ENTRY_OPEN)
      continue;
    if (!read_ip(e->line.value, strlen(e->line.value), &a)) {
      entry_say(t, e, ENTRY_LOOK, "it is no address: bind-ip4-addr and bind-ip6-addr take one");
      continue;
    }
    local *l = &found[a.family == FZR_FAMILY_IPV6];
    if (is_any(&a)) {
      l->any = true;
      entry_say(t, e, ENTRY_ALIKE, "sockets have all addresses of the host, unless one is named");
    } else if (l->bound.family && !fzr_addr_equal(&l->bound, &a)) {
      l->several = true;
    } else if (l->bound.family) {
      entry_say(t, e, ENTRY_ALIKE, "it is there again");
    } else {
      l->bound = a;
      l->of = e;
    }
  }
}

static void settle(translation *t, const char *key, local *l, uint8_t family, bool is_public, bool also_relay)
{
  fzr_addr a;
  const char *name = family == FZR_FAMILY_IPV4 ? "bind-ip4-addr" : "bind-ip6-addr";
  const bool one = l->bound.family && !l->several && !l->any;
  if (one && is_public && put_addr(t, l->of, name, &l->bound) && !also_relay)
    put_comment(t, "(It is the address of all sockets, towards clients and peers.)");
  for (entry *e = NULL; (e = entry_next(t, key, e));) {
    if (e->state != ENTRY_OPEN || !read_ip(e->line.value, strlen(e->line.value), &a) || a.family != family)
      continue;
    if (one)
      entry_say(t, e, ENTRY_ALIKE, "there is no public address of that family, and so no socket");
    else if (l->any)
      entry_say(t, e, ENTRY_ALIKE, "sockets have all addresses of the host, as another line says");
    else
      entry_say(t, e, ENTRY_LOOK,
                "sockets have one address of a family, or all: now it is all; %s has one, a packet filter "
                "closes the others",
                name);
  }
}

/* Where coturn relays from, if not from the address that clients listen at. */
static void settle_relay(translation *t, const local listening[2], const fzr_addr public_ip[2])
{
  fzr_addr a;
  for (entry *e = NULL; (e = entry_next(t, "relay-ip", e));) {
    if (e->state != ENTRY_OPEN || !read_ip(e->line.value, strlen(e->line.value), &a))
      continue;
    const unsigned six = a.family == FZR_FAMILY_IPV6;
    if (!listening[six].several && !listening[six].any && fzr_addr_equal(&a, &listening[six].bound))
      entry_say(t, e, ENTRY_ALIKE, "it is the address of all sockets anyway");
    else if (fzr_addr_equal(&a, &public_ip[six]))
      entry_say(t, e, ENTRY_ALIKE, "data leaves from the public address where the host has it");
    else
      entry_say(t, e, ENTRY_LOOK,
                "there is no address for peers alone: data leaves from the public one where the host has it, "
                "else as routes say, or from %s",
                six ? "bind-ip6-addr" : "bind-ip4-addr");
  }
}

/* The address that peers see: what was asked for, external-ip, or what coturn relays from. */
static void find_public(translation *t, fzr_addr out[2], entry *of[2])
{
  const fzr_addr *const asked[2] = {&t->o->public_ip4, &t->o->public_ip6};
  fzr_addr a;
  for (unsigned i = 0; i < 2; i++)
    out[i] = *asked[i];
  for (entry *e = NULL; (e = entry_next(t, "external-ip", e));) {
    const char *slash = strchr(e->line.value, '/');
    if (e->state != ENTRY_OPEN)
      continue;
    if (!read_ip(e->line.value, slash ? (size_t)(slash - e->line.value) : strlen(e->line.value), &a)) {
      entry_say(t, e, ENTRY_LOOK, "it is no address: public-ip4-addr and public-ip6-addr take one, no name");
      continue;
    }
    const unsigned six = a.family == FZR_FAMILY_IPV6;
    if (asked[six]->family)
      entry_say(t, e, ENTRY_ALIKE, "another address was asked for in its place");
    else if (out[six].family)
      entry_say(t, e, ENTRY_LOOK,
                "there is one public address of a family, that of the first such line: start another relay "
                "for this one");
    else {
      out[six] = a;
      of[six] = e;
    }
  }
  static const char *const others[] = {"relay-ip", "listening-ip"};
  for (unsigned k = 0; k < 2; k++)
    for (entry *e = NULL; (e = entry_next(t, others[k], e));)
      if (e->state == ENTRY_OPEN && read_ip(e->line.value, strlen(e->line.value), &a) && !is_any(&a) &&
          !is_loopback(&a) && !out[a.family == FZR_FAMILY_IPV6].family)
        out[a.family == FZR_FAMILY_IPV6] = a;
}

static void put_addresses(translation *t)
{
  static const char *const names[2] = {"public-ip4-addr", "public-ip6-addr"};
  static const uint8_t families[2] = {FZR_FAMILY_IPV4, FZR_FAMILY_IPV6};
  fzr_addr public_ip[2];
  entry *of[2] = {NULL, NULL};
  local listening[2];
  memset(listening, 0, sizeof listening);
  find_public(t, public_ip, of);
  for (unsigned i = 0; i < 2; i++)
    if (public_ip[i].family)
      put_addr(t, of[i], names[i], &public_ip[i]);
  if (!public_ip[0].family && !public_ip[1].family) {
    put_missing(t, "public-ip4-addr", "203.0.113.7");
    put_look(t, "the address that peers see is not in the file, for coturn takes those of the host: set "
                "public-ip4-addr, "
                "or run import-coturn with --public-ip4-addr; public-ip6-addr likewise for IPv6");
  } else if (!public_ip[0].family || !public_ip[1].family) {
    fprintf(t->notes, "# There is no %s, so %s is not relayed: if the host has such an address, set %s.\n",
            names[public_ip[0].family ? 1 : 0], public_ip[0].family ? "IPv6" : "IPv4",
            names[public_ip[0].family ? 1 : 0]);
  }
  const bool listens = entry_next(t, "listening-ip", NULL) != NULL;
  collect(t, listens ? "listening-ip" : "relay-ip", listening);
  for (unsigned i = 0; i < 2; i++)
    settle(t, listens ? "listening-ip" : "relay-ip", &listening[i], families[i], public_ip[i].family != 0,
           listens);
  settle_relay(t, listening, public_ip);
}

/* ---- ports ---- */

/* Puts the port of |e|, if it has one. Returns it, or the one that holds without. */
static uint64_t put_listen(translation *t, entry *e)
{
  uint64_t port = LISTEN_PORT;
  if (entry_number(t, e, 1, HIGHEST_PORT, "listen-port is left at 3478", &port))
    put_number(t, e, "listen-port", port);
  return port;
}

static void put_range(translation *t, uint64_t listen)
{
  entry *min = entry_of(t, "min-port"), *max = entry_of(t, "max-port");
  uint64_t low = LOWEST_PORT, high = HIGHEST_PORT;
  const bool has_low = entry_number(t, min, 1, HIGHEST_PORT, "lowest-port is left at 49152", &low),
             has_high = entry_number(t, max, 1, HIGHEST_PORT, "highest-port is left at 65535", &high);
  if (low > high) {
    entry_say(t, min, ENTRY_LOOK,
              "the range of ports has none: lowest-port and highest-port are left at 49152 and 65535");
    entry_say(t, max, ENTRY_LOOK, "likewise");
    return;
  }
  if (listen >= low && listen <= high) {
    const bool above = high - listen >= listen - low;
    if (above ? listen == high : listen == low) { /* it is the only one */
      entry_say(t, min, ENTRY_LOOK,
                "the range of ports has none but listening-port: lowest-port and highest-port are left at "
                "49152 and 65535");
      entry_say(t, max, ENTRY_LOOK, "likewise");
      return;
    }
    if (above)
      low = listen + 1;
    else
      high = listen - 1;
    put_look(t,
             "listening-port is in the range of ports for allocations, where it may not be: now the range is "
             "%llu to %llu, the greater part of it",
             (unsigned long long)low, (unsigned long long)high);
  }
  if (low != LOWEST_PORT || has_low)
    put_number(t, min, "lowest-port", low);
  if (high != HIGHEST_PORT || has_high)
    put_number(t, max, "highest-port", high);
}

static void put_streams(translation *t, uint64_t listen)
{
  entry *no_tcp = entry_of(t, "no-tcp"), *no_tls = entry_of(t, "no-tls"),
        *tls = entry_of(t, "tls-listening-port");
  entry *cert = entry_of(t, "cert"), *pkey = entry_of(t, "pkey"), *pwd = entry_of(t, "pkey-pwd");
  const bool has_tls = !no_tls && cert && pkey;
  uint64_t tls_port = TLS_PORT;
  if (has_tls)
    entry_number(t, tls, 1, HIGHEST_PORT, "tls-listen-port is 5349", &tls_port);
  entry_say(t, no_tcp, ENTRY_DONE, "there is no tcp-listen-port");
  entry_say(t, no_tls, ENTRY_DONE, "there is no tls-listen-port");
  if (!no_tcp && has_tls && tls_port == listen)
    put_look(t, "TCP and TLS have a port each: %llu is that of TLS now, and there is no tcp-listen-port",
             (unsigned long long)listen);
  else if (!no_tcp && listen)
    put_number(t, NULL, "tcp-listen-port", listen);
  if (has_tls) {
    put_number(t, tls, "tls-listen-port", tls_port);
    put_option(t, cert, "tls-cert", cert->line.value);
    put_option(t, pkey, "tls-key", pkey->line.value);
    fputs("# The user that the relay runs as has to be able to read certificate and key. Without no-dtls "
          "coturn has DTLS, too: "
          "clients come over TLS instead.\n",
          t->notes);
    entry_say(t, pwd, ENTRY_LOOK, "%s", pwd ? pwd->key->text : "");
    return;
  }
  entry_say(t, pwd, ENTRY_ALIKE, "there is no TLS");
  entry *const left[] = {tls, cert, pkey};
  for (unsigned i = 0; i < 3; i++)
    if (left[i] && !no_tls && (cert || pkey))
      entry_say(t, left[i], ENTRY_LOOK, "TLS takes both cert and pkey");
    else
      entry_say(t, left[i], ENTRY_ALIKE, "there is no TLS%s",
                no_tls ? ", as no-tls says" : " without cert and pkey");
}

static void put_metrics(translation *t)
{
  entry *on = entry_of(t, "prometheus"), *port = entry_of(t, "prometheus-port"),
        *address = entry_of(t, "prometheus-address");
  char text[FZR_ADDR_TEXT_MAX + 8];
  fzr_addr a = {.family = FZR_FAMILY_IPV4};
  if (!on) {
    entry_say(t, port, ENTRY_ALIKE, "prometheus is off");
    entry_say(t, address, ENTRY_ALIKE, "prometheus is off");
    return;
  }
  if (address && !read_ip(address->line.value, strlen(address->line.value), &a)) {
    entry_say(t, address, ENTRY_LOOK, "it is no address: health-check-addr takes one");
    return;
  }
  uint64_t metrics_port = METRICS_PORT;
  entry_number(t, port, 1, HIGHEST_PORT, "health-check-addr has port 9641", &metrics_port);
  a.port = (uint16_t)metrics_port;
  fzr_addr_format(&a, true, text, sizeof text);
  if (!put_option(t, NULL, "health-check-addr", text))
    return;
  entry_say(t, on, ENTRY_LOOK,
            "health-check-addr: health checks are there, too, and the names of metrics are others: "
            "docs/from-coturn.md");
  entry_say(t, port, ENTRY_DONE, "health-check-addr");
  entry_say(t, address, ENTRY_DONE, "health-check-addr");
}

void translate_network(translation *t)
{
  entry *listen = entry_of(t, "listening-port"), *threads = entry_of(t, "relay-threads"),
        *verbose = entry_of(t, "Verbose");
  put_addresses(t);
  const uint64_t port = put_listen(t, listen);
  uint64_t workers;
  put_range(t, port);
  put_streams(t, port);
  put_metrics(t);
  if (entry_number(t, threads, 0, UINT32_MAX, "workers are as many as there are CPUs", &workers))
    put_number(t, threads, "workers", workers ? workers : 1);
  if (verbose)
    put_option(t, verbose, "log-filter", "debug");
}
