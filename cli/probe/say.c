/* SPDX-License-Identifier: Apache-2.0 */
/* The sentences: what is wrong, and what to do. */
#include "facts.h"

#include "firezone_relay/stun.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct sentence {
  char *out;
  size_t cap, len;
} sentence;

static void put(sentence *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(sentence *s, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(s->out + s->len, s->cap - s->len, format, args);
  va_end(args);
  if (n > 0)
    s->len = s->len + (size_t)n < s->cap ? s->len + (size_t)n : s->cap - 1;
}

typedef struct shown {
  char text[FZR_ADDR_TEXT_MAX];
} shown;

static shown show(const fzr_addr *addr, bool with_port)
{
  shown s = {"an unknown address"};
  if (addr->family)
    fzr_addr_format(addr, with_port, s.text, sizeof s.text);
  return s;
}

/* The protocol whose port it is. */
static const char *protocol(const probe_facts *f)
{
  return f->transport == PROBE_UDP ? "UDP" : "TCP";
}

static void say_reach(sentence *s, enum probe_fault fault, const probe_facts *f)
{
  const shown server = show(&f->server, true);
  const bool udp = f->transport == PROBE_UDP;
  if (fault == PROBE_NO_NAME)
    put(s, "the name can't be looked up (%s): mend the name, or its record in the DNS", f->text);
  else if (fault == PROBE_NO_ROUTE)
    put(s, "%s can't be reached from here (%s): mend the routes of this host or of the network", server.text,
        f->text);
  else if (fault == PROBE_NOTHING_LISTENS && f->other_works)
    put(s,
        "nothing listens on %s port %u of %s, but %s is answered there: ask over %s, or have the relay "
        "listen on %s, too%s",
        protocol(f), f->server.port, show(&f->server, false).text, udp ? "TCP" : "UDP", udp ? "TCP" : "UDP",
        protocol(f), udp ? "" : " (--tcp-listen-port, --tls-listen-port)");
  else if (fault == PROBE_NOTHING_LISTENS)
    put(s,
        "the host %s says that nothing listens on %s port %u: is the relay running, on this port and this "
        "address?",
        show(&f->server, false).text, protocol(f), f->server.port);
  else if (fault == PROBE_NO_ANSWER && f->other_works)
    put(s,
        "no answer over %s from %s, but %s is answered there: a firewall on the way drops %s to port %u, or "
        "the answers from it: open it in both directions, or ask over %s",
        protocol(f), server.text, udp ? "TCP" : "UDP", protocol(f), f->server.port, udp ? "TCP" : "UDP");
  else
    put(s,
        "no answer from %s over %s, and no error either: a firewall drops what goes to %s port %u, or the "
        "answers from it, or the address is nobody's: open the port in both directions",
        server.text, protocol(f), protocol(f), f->server.port);
}

static void say_answers(sentence *s, enum probe_fault fault, const probe_facts *f)
{
  const shown server = show(&f->server, true);
  if (fault == PROBE_ANSWERS_STOP)
    put(s,
        "%s has answered before, but not when asked for the %s: packets of this connection are lost on the "
        "way, or reach more than one server behind this address",
        server.text, f->doing);
  else if (fault == PROBE_ELSEWHERE)
    put(s,
        "asked at %s, the relay answers from %s, and clients take no such answer: have it answer from the "
        "address that it is asked at (bind it to that), or mend the NAT between",
        server.text, show(&f->from, true).text);
  else if (fault == PROBE_NOT_STUN)
    put(s,
        "what answers at %s over %s is no STUN server: ask at another port, or have no proxy for HTTP in "
        "front of the relay",
        server.text, probe_transport_name(f->transport));
  else if (fault == PROBE_NO_TLS && f->cut)
    put(s,
        "%s: there may be no TLS at port %u: ask at the relay's port for TLS (--tls-listen-port), or over "
        "TCP "
        "as it is (turn:HOST:%u?transport=tcp)",
        f->text, f->server.port, f->server.port);
  else if (fault == PROBE_NO_TLS)
    put(s, "%s: mend the relay's certificate, or name its authority with --ca-file", f->text);
  else
    put(s,
        "%s answers Binding requests, but none for an allocation: it is a STUN server alone, or drops what "
        "is longer",
        server.text);
}

static void say_time(sentence *s, uint64_t unix_seconds)
{
  const time_t when = (time_t)unix_seconds;
  struct tm parts;
  char text[40] = "";
  if (unix_seconds < INT32_MAX * (uint64_t)100 && gmtime_r(&when, &parts) &&
      strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts))
    put(s, "%s", text);
  else
    put(s, "%" PRIu64, unix_seconds);
}

static void say_login(sentence *s, enum probe_fault fault, const probe_facts *f)
{
  switch (fault) {
  case PROBE_EXPIRED:
    put(s, "the credentials have expired at ");
    say_time(s, f->expiry);
    put(s, ", by this host's clock: get new ones, or set this clock right");
    break;
  case PROBE_CLOCK:
    put(s, "the secret is right, but for the relay credentials until ");
    say_time(s, f->expiry);
    put(s, " are over: its clock is ahead of this host's: set both by NTP");
    break;
  case PROBE_SCHEME:
    put(s,
        "the secret is right, but the relay makes credentials of it in another way: probe with --auth %s, "
        "and so have your application make them",
        f->text);
    break;
  case PROBE_REALM:
    put(s,
        "the relay's realm is '%s', and not '%s', so passwords of that realm are none here: give both the "
        "same (--realm)",
        f->realm, f->wanted);
    break;
  case PROBE_STALE:
    put(s, "the relay takes none of the nonces that it hands out (438 again and again): a load balancer "
           "spreads the packets of one client over several relays, or a NAT changes its port with each");
    break;
  case PROBE_UNSIGNED:
    put(s, "the answers are not signed with the key of these credentials: somebody on the way changes them, "
           "or the relay has another password for this user");
    break;
  default:
    if (f->is_made)
      put(s,
          "the relay (realm '%s') takes no credentials of this secret: it runs with another one, or with "
          "another way to log in (--auth)",
          f->realm);
    else
      put(s, "the relay (realm '%s') does not take this username and password%s: mend them%s", f->realm,
          f->expiry ? "" : ", or its users have keys of another realm",
          f->expiry ? ", or the secret that they are made of, and look at the relay's clock" : "");
  }
}

static void say_refusal(sentence *s, enum probe_fault fault, const probe_facts *f)
{
  if (fault == PROBE_FULL && f->code == 486)
    put(s, "486: this user has as many allocations as one may have: end some, or raise the quota "
           "(--max-allocations-per-user; coturn: user-quota)");
  else if (fault == PROBE_FULL)
    put(s,
        "%u: the relay has no room for %s: widen the range of ports (--lowest-port, --highest-port; coturn: "
        "min-port, max-port), raise its limit of open files, or wait for the end of its shutdown",
        f->code, f->second ? "a second allocation" : "an allocation");
  else if (fault == PROBE_PEERS)
    put(s,
        "%u: its rules let users not reach the peer %s: allow it (--allow-peer; coturn: allowed-peer-ip), or "
        "deny less",
        f->code, show(&f->peer, false).text);
  else if (fault == PROBE_SENT_ON)
    put(s, "300: it sends new clients on%s%s: it shuts down or is full; probe the other one",
        f->from.family ? " to " : "", f->from.family ? show(&f->from, true).text : "");
  else if (!f->code)
    put(s, "what the relay answers to the %s is none: %s: it is no TURN server, or a broken one", f->doing,
        f->text);
  else
    put(s, "the relay refuses the %s: %u (%s)", f->doing, f->code, fzr_stun_error_reason(f->code));
}

static void say_address(sentence *s, const probe_facts *f)
{
  const shown relayed = show(&f->relayed, false);
  put(s, "peers are told to send to %s, ", relayed.text);
  if (f->from.family && !probe_addr_same_ip(&f->from, &f->relayed))
    put(s,
        "where nothing of what they send arrives; the relay's data comes from %s: that is its public "
        "address, or the way from it back is missing",
        show(&f->from, false).text);
  else if (probe_addr_is_public(&f->server) && !probe_addr_is_public(&f->relayed))
    put(s, "which nobody outside can, while the relay answers at %s", show(&f->server, false).text);
  else
    put(s, "where %s, while the relay answers at %s",
        f->unreachable ? "there is no relay (ICMP error)" : "nothing arrives", show(&f->server, false).text);
  put(s, ": set its public address right (--public-ip4-addr, --public-ip6-addr; coturn: external-ip)");
}

static void say_data(sentence *s, enum probe_fault fault, const probe_facts *f)
{
  const shown relayed = show(&f->relayed, false);
  switch (fault) {
  case PROBE_SOURCE:
    put(s,
        "the relay's data comes from %s, and not from %s, which peers are told of, so some drop it: a NAT at "
        "the relay changes its source: have it keep address and port (Docker: host network)",
        show(&f->from, true).text, show(&f->relayed, true).text);
    break;
  case PROBE_RANGE:
    put(s,
        "what peers send to the relayed port %u of %s is lost%s: open the relay's whole range of UDP ports "
        "(49152 to 65535, if it has no other) in its firewall, %s",
        f->relayed.port, relayed.text,
        f->seen[PROBE_OUT] ? ", while what the relay sends to them arrives"
                           : ", and so is what the relay sends",
        f->seen[PROBE_OUT] ? "inwards" : "in both directions");
    break;
  case PROBE_RANGE_OUT:
    put(s,
        "peers reach the relayed port %u of %s, but what the relay sends to them is lost: let UDP from its "
        "range of ports out of its firewall, to any port",
        f->relayed.port, relayed.text);
    break;
  case PROBE_HAIRPIN:
    put(s,
        "two clients of this relay do not reach each other%s: what it sends to its own address %s does not "
        "come back: its NAT has no hairpin: give the host that address (ip addr add %s/%s dev lo)",
        f->direct ? ", though others reach it" : "", relayed.text, relayed.text,
        f->relayed.family == FZR_FAMILY_IPV6 ? "128" : "32");
    break;
  case PROBE_MTU:
    put(s,
        "short packets come through, those of %u bytes are lost: a link on the way takes less (tunnel, VPN, "
        "PPPoE), and its ICMP errors are dropped: let these through, or raise its MTU",
        PROBE_LARGE_BYTES);
    break;
  default:
    put(s,
        "a NAT on the way gives one socket several ports (seen as %s, then as %s): the relay takes each for "
        "another client: mend the NAT, or probe over TCP",
        show(&f->mapped, true).text, show(&f->from, true).text);
  }
}

void probe_fault_say(enum probe_fault fault, const probe_facts *f, char *out, size_t cap)
{
  sentence s = {out, cap, 0};
  *out = '\0';
  if (fault == PROBE_WORKS)
    put(&s, "%s", f->text);
  else if (fault == PROBE_OWN)
    put(&s, "this host can't probe: %s", f->text);
  else if (fault <= PROBE_NO_ANSWER)
    say_reach(&s, fault, f);
  else if (fault <= PROBE_NO_TURN)
    say_answers(&s, fault, f);
  else if (fault <= PROBE_UNSIGNED)
    say_login(&s, fault, f);
  else if (fault <= PROBE_REFUSES)
    say_refusal(&s, fault, f);
  else if (fault == PROBE_ADDRESS)
    say_address(&s, f);
  else
    say_data(&s, fault, f);
}
