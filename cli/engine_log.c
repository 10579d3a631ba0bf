/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_log.h"

#include "log/log.h"

#include <stdio.h>
#include <string.h>

#define TARGET "relay"

static const char *message_of(const fzr_log_record *r)
{
  switch (r->event) {
  case FZR_LOG_REQUEST:
    return r->error_code ? "Refused request" : "Answered request";
  case FZR_LOG_ALLOCATION_CREATED:
    return "Created new allocation";
  case FZR_LOG_ALLOCATION_REFRESHED:
    return "Refreshed allocation";
  case FZR_LOG_ALLOCATION_DELETED:
  case FZR_LOG_ALLOCATION_EXPIRED:
  case FZR_LOG_ALLOCATION_REPLACED:
  case FZR_LOG_ALLOCATION_ENDED:
  case FZR_LOG_ALLOCATION_LOST:
    return "Deleted allocation";
  case FZR_LOG_ALLOCATION_MOVED:
    return "Moved allocation";
  case FZR_LOG_CHANNEL_BOUND:
    return "Successfully bound channel";
  case FZR_LOG_CHANNEL_REBOUND:
    return "Refreshed channel binding";
  case FZR_LOG_CHANNEL_EXPIRED:
  case FZR_LOG_CHANNEL_REVOKED:
    return "Deleted channel binding";
  case FZR_LOG_SHORT_OF_MEMORY:
    return r->adapter_error == FZR_ERR_NO_CHANNEL
               ? "There are as many channels as --max-channels allows: new ones are refused"
               : "Out of memory: new allocations and channels are refused";
  case FZR_LOG_PERMISSION:
    return "Created permission";
  case FZR_LOG_PERMISSION_REVOKED:
    return "Deleted permission";
  case FZR_LOG_INDICATION_DROPPED:
    return "Dropped indications";
  case FZR_LOG_LOGIN_FAILED:
    return "A client could not log in";
  case FZR_LOG_PEER_REFUSED:
    return "Refused peer";
  case FZR_LOG_PORT_UNAVAILABLE:
    return "Port not available";
  case FZR_LOG_PEER_OUT_OF_REACH:
    return "A user asked for a peer out of reach";
  case FZR_LOG_STRANGERS_LIMITED:
    return "Requests of a network exceed --unauthenticated-rate: some are not answered";
  case FZR_LOG_PROOFS_LIMITED:
    return "There are too many requests without a right credential to look at: some are not answered";
  case FZR_LOG_FULL:
    return "This relay is full: new clients' Binding requests are not answered, so that they turn to another";
  case FZR_LOG_TLS_GREETING:
    return "A client speaks DTLS or TLS to the UDP port, where this relay speaks neither: it gets no answer";
  default:
    return "Event";
  }
}

/* Why a peer was refused, in the operator's words, and with which option it could be reached. */
static void explain_refusal(const fzr_log_record *r, char *out, size_t cap)
{
  char text[FZR_PEER_RULE_TEXT_MAX], inside[FZR_PEER_RULE_TEXT_MAX + 16] = "";
  fzr_peer_rule open = {.net = r->peer_inner ? *r->peer_inner : *r->peer, .allow = true};
  open.prefix = open.net.family == FZR_FAMILY_IPV4 ? 32 : 128;
  open.net.scope_id = 0;
  if (r->peer_reason != FZR_PEER_RELAY)
    open.net.port = 0;
  if (r->peer_inner) {
    fzr_addr_format(r->peer_inner, false, text, sizeof text);
    snprintf(inside, sizeof inside, "inside it %s: ", text);
  }
  fzr_peer_rule_format(r->peer_reason == FZR_PEER_DENIED && r->peer_rule ? r->peer_rule : &open, text,
                       sizeof text);
  switch (r->peer_reason) {
  case FZR_PEER_NOBODY:
    snprintf(out, cap, "%snobody can be there", inside);
    return;
  case FZR_PEER_OWN:
    snprintf(out, cap, "%sthe relay's own address, of which only the ports for allocations are in reach",
             inside);
    return;
  case FZR_PEER_DENIED:
    snprintf(out, cap, "%s--deny-peer %s", inside, text);
    return;
  case FZR_PEER_RELAY:
    snprintf(out, cap, "%sa port at which relays listen; --allow-peer %s would open it", inside, text);
    return;
  case FZR_PEER_SCOPE:
    snprintf(out, cap,
             "%sa local or private address, unlike the relay's public one; --allow-peer %s would open it",
             inside, text);
    return;
  default:
    snprintf(out, cap, "the application's policy");
  }
}

/* The prefix whose strangers share one rate. */
static void write_network(const fzr_addr *client, char *out, size_t cap)
{
  fzr_peer_rule net = {.net = *client, .prefix = client->family == FZR_FAMILY_IPV4 ? 24 : 48};
  memset(net.net.ip + net.prefix / 8, 0, sizeof net.net.ip - net.prefix / 8);
  net.net.port = 0;
  net.net.scope_id = 0;
  fzr_peer_rule_format(&net, out, cap);
}

/* What the attributes of requests are called. */
static const char *attribute_name(unsigned type)
{
  switch (type) {
  case FZR_ATTR_LIFETIME:
    return "LIFETIME";
  case FZR_ATTR_CHANNEL_NUMBER:
    return "CHANNEL-NUMBER";
  case FZR_ATTR_XOR_PEER_ADDRESS:
    return "XOR-PEER-ADDRESS";
  case FZR_ATTR_REQUESTED_ADDRESS_FAMILY:
    return "REQUESTED-ADDRESS-FAMILY";
  case FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY:
    return "ADDITIONAL-ADDRESS-FAMILY";
  case FZR_ATTR_EVEN_PORT:
    return "EVEN-PORT";
  case FZR_ATTR_REQUESTED_TRANSPORT:
    return "REQUESTED-TRANSPORT";
  case FZR_ATTR_DONT_FRAGMENT:
    return "DONT-FRAGMENT";
  case FZR_ATTR_RESERVATION_TOKEN:
    return "RESERVATION-TOKEN";
  case FZR_ATTR_MOBILITY_TICKET:
    return "MOBILITY-TICKET";
  case FZR_ATTR_PASSWORD_ALGORITHM:
    return "PASSWORD-ALGORITHM";
  case FZR_ATTR_PASSWORD_ALGORITHMS:
    return "PASSWORD-ALGORITHMS";
  default:
    return "attribute";
  }
}

/* What an error code says by itself, of a request of |method|. */
static const char *meaning_of(unsigned code, unsigned method)
{
  switch (code) {
  case 300:
    return "it was sent to the alternate server";
  case 405:
    return "allocations are not moved to other addresses here";
  case 437:
    return method == FZR_STUN_ALLOCATE ? "the client has an allocation, from the same address and port"
                                       : "the client has no allocation, at this address and port";
  case 440:
    return "no relayed address of that family is to be had here";
  case 441:
    return "the allocation is another user's";
  case 442:
    return "the only transport to peers is UDP";
  case 443:
    return "the allocation has no relayed address of that family";
  case 486:
    return "the user has as many allocations as --max-allocations-per-user allows";
  default:
    return NULL;
  }
}

/* The same where it has more than one cause. */
static const char *refusal_text(unsigned refusal)
{
  static const char *const texts[] = {
      [FZR_REFUSAL_NO_CREDENTIALS] = "it has no credentials, as the first request of any client",
      [FZR_REFUSAL_NO_NONCE] = "it has no nonce, as the first request of a client that knows the realm",
      [FZR_REFUSAL_USERNAME] =
          "a username of nobody, or not of the form expiry:salt (with --auth rest expiry:name)",
      [FZR_REFUSAL_PASSWORD] = "a wrong password",
      [FZR_REFUSAL_REALM] = "another realm",
      [FZR_REFUSAL_EXPIRED] = "the credential has expired",
      [FZR_REFUSAL_NONCE_FOREIGN] =
          "the nonce is not of this life of the relay, or of another address of the client",
      [FZR_REFUSAL_NONCE_OLD] = "the nonce is too old",
      [FZR_REFUSAL_USERNAME_TEXT] = "the username is too long, or not UTF-8",
      [FZR_REFUSAL_METHOD] = "an unknown method",
      [FZR_REFUSAL_CHANNEL_TAKEN] = "the channel has another peer, or the peer another channel",
      [FZR_REFUSAL_DRAINING] = "the relay is shutting down",
      [FZR_REFUSAL_RESERVATION] = "no port is reserved under that token, or none any more",
      [FZR_REFUSAL_CHANNELS] = "the allocation has as many channels as --max-channels-per-allocation allows",
      [FZR_REFUSAL_PERMISSIONS] =
          "the allocation has as many permissions as --max-permissions-per-allocation allows",
  };
  return refusal < sizeof texts / sizeof *texts ? texts[refusal] : NULL;
}

/* Why a request was refused, into |out|; returns NULL if there is nothing to say. */
static const char *refusal_of(const fzr_log_record *r, char *out, size_t cap)
{
  const char *how = r->refusal == FZR_REFUSAL_MISSING ? "there is no"
                    : r->refusal == FZR_REFUSAL_UNKNOWN
                        ? "unknown, or not supported:"
                        : "a wrong value, or one that does not go with the rest:";
  if (r->attribute) {
    snprintf(out, cap, "%s %s (0x%04x)", how, attribute_name(r->attribute), (unsigned)r->attribute);
    return out;
  }
  const char *text = refusal_text(r->refusal);
  if (text)
    return text;
  return r->adapter_error ? fzr_strerror(r->adapter_error) : meaning_of(r->error_code, r->method);
}

/* Why a channel ended whose client may have done nothing wrong, into |out|. */
static const char *revocation_of(const fzr_log_record *r, char *out, size_t cap)
{
  static const char begin[] = "its peer is out of reach by now: ";
  if (r->peer_reason == FZR_PEER_OWN)
    return "its peer is on an address of this host by now";
  snprintf(out, cap, "%s", begin);
  explain_refusal(r, out + sizeof begin - 1, cap - sizeof begin + 1);
  return out;
}

/* Why Send indications are dropped: in the words of the one who wonders why a client reaches nobody. */
static const char *drop_of(unsigned reason)
{
  switch (reason) {
  case FZR_DROP_NO_PERMISSION:
    return "the client has no permission for this peer, or none any more: it has to ask for one by "
           "CreatePermission";
  case FZR_DROP_PEER_PORT:
    return "the peer's address is in reach, but not this port of it";
  case FZR_DROP_SEND_MALFORMED:
    return "there is no valid XOR-PEER-ADDRESS, or no DATA";
  case FZR_DROP_UNKNOWN_ATTRIBUTE:
    return "an attribute is not understood, or can't be done, and must not be overlooked";
  case FZR_DROP_UNKNOWN_CLIENT:
    return "the client has no allocation, at this address and port";
  case FZR_DROP_STUN_NOT_REQUEST:
    return "--relay-mode is channels; browsers and most WebRTC clients need full";
  default:
    return fzr_drop_reason_name(reason);
  }
}

/* Why something ended, where the message does not say it, into |out| or a text of its own; NULL: it does. */
static const char *end_of(const fzr_log_record *r, char *out, size_t cap)
{
  switch (r->event) {
  case FZR_LOG_ALLOCATION_DELETED:
    return "its client gave it back";
  case FZR_LOG_ALLOCATION_EXPIRED:
  case FZR_LOG_CHANNEL_EXPIRED:
    return "it was not refreshed";
  case FZR_LOG_ALLOCATION_REPLACED:
    return "a newer one of the same user replaces it";
  case FZR_LOG_ALLOCATION_ENDED:
    return r->client && r->client->transport != FZR_TRANSPORT_UDP ? "its client's connection ended"
                                                                  : "this relay was told to end it";
  case FZR_LOG_ALLOCATION_LOST:
    return "it was handed over, and its port could not be opened";
  case FZR_LOG_CHANNEL_REVOKED:
  case FZR_LOG_PERMISSION_REVOKED:
    return revocation_of(r, out, cap);
  case FZR_LOG_INDICATION_DROPPED:
    return drop_of(r->drop_reason);
  default:
    return NULL;
  }
}

/* What a record is written with. */
typedef struct writing {
  log_field fields[16];
  size_t count;
  char why[320];
  char network[FZR_PEER_RULE_TEXT_MAX];
  char relayed[2][FZR_ADDR_TEXT_MAX];
  char lifetime[16];
} writing;

static void add_text(writing *w, const char *key, const char *text)
{
  w->fields[w->count++] = (log_field){key, LOG_STR, {.str = text}};
}

static void add_number(writing *w, const char *key, unsigned value)
{
  w->fields[w->count++] = (log_field){key, LOG_UINT, {.u = value}};
}

static void add_addr(writing *w, const char *key, const fzr_addr *addr)
{
  w->fields[w->count++] = (log_field){key, LOG_ADDR, {.addr = addr}};
}

/* A new allocation's addresses are told without the port that both have. */
static void add_relayed(writing *w, const fzr_log_record *r)
{
  static const char *const names[2] = {"first_relay_address", "second_relay_address"};
  for (unsigned i = 0, n = 0; i < 2; i++) {
    if (!r->relayed[i])
      continue;
    fzr_addr_format(r->relayed[i], false, w->relayed[n], sizeof w->relayed[n]);
    add_text(w, names[n], w->relayed[n]);
    n++;
  }
}

/* What it is about: with the names and in the order that Firezone's relay has for it. */
static void add_subject(writing *w, const fzr_log_record *r)
{
  if (r->event == FZR_LOG_STRANGERS_LIMITED) {
    write_network(r->client, w->network, sizeof w->network);
    add_text(w, "network", w->network);
  }
  if (r->client)
    add_addr(w, "sender", r->client);
  if (r->former_client)
    add_addr(w, "former_sender", r->former_client);
  if (r->port)
    add_number(w, r->event == FZR_LOG_ALLOCATION_CREATED ? "port" : "allocation", r->port);
  add_relayed(w, r);
  if (r->peer)
    add_addr(w, "peer", r->peer);
  if (r->channel)
    add_number(w, "channel", r->channel);
  if (r->lifetime) {
    snprintf(w->lifetime, sizeof w->lifetime, "%us", (unsigned)r->lifetime);
    add_text(w, "lifetime", w->lifetime);
  }
}

static void add_request(writing *w, const fzr_log_record *r)
{
  if (r->method)
    add_text(w, "method", fzr_stun_method_name(r->method));
  if (r->error_code)
    add_number(w, "error", r->error_code);
  if (r->username)
    w->fields[w->count++] = (log_field){"username", LOG_BYTES, {.bytes = {r->username, r->username_len}}};
  if (r->software)
    w->fields[w->count++] = (log_field){"software", LOG_BYTES, {.bytes = {r->software, r->software_len}}};
}

static void add_reason(writing *w, const fzr_log_record *r)
{
  const char *end = end_of(r, w->why, sizeof w->why);
  if (end) {
    add_text(w, "reason", end);
  } else if (r->peer && r->peer_reason) {
    explain_refusal(r, w->why, sizeof w->why);
    add_text(w, "reason", w->why);
  } else if (r->event == FZR_LOG_REQUEST || r->event == FZR_LOG_LOGIN_FAILED) {
    const char *refusal = refusal_of(r, w->why, sizeof w->why);
    if (refusal)
      add_text(w, "reason", refusal);
  } else if (r->adapter_error) {
    add_text(w, "reason", fzr_strerror(r->adapter_error));
  }
}

static void write_record(const fzr_log_record *r)
{
  writing w;
  w.count = 0;
  add_subject(&w, r);
  add_request(&w, r);
  if (r->count)
    add_number(&w, "count", r->count);
  add_reason(&w, r);
  log_write((enum fzr_log_level)r->level, TARGET, message_of(r), w.fields, w.count);
}

enum fzr_log_level engine_log_level(const span_ring *spans)
{
  const enum fzr_log_level wanted = log_level_of(TARGET);
  return spans && wanted < FZR_LOG_DEBUG ? FZR_LOG_DEBUG : wanted;
}

void engine_log(void *ctx, const fzr_log_record *r)
{
  const uint8_t *trace_id, *span_id;
  span_ring_record(ctx, r, &trace_id, &span_id);
  if (!log_enabled((enum fzr_log_level)r->level, TARGET))
    return;
  log_set_span(trace_id, span_id);
  write_record(r);
  log_set_span(NULL, NULL);
}
