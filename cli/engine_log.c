/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_log.h"

#include "telemetry/log.h"

#include <stdio.h>
#include <string.h>

#define TARGET "relay"

static const char *message_of(const fzr_log_record *r)
{
  switch (r->event) {
  case FZR_LOG_REQUEST:
    return r->error_code ? "Refused request" : "Answered request";
  case FZR_LOG_ALLOCATION_CREATED:
    return "Created allocation";
  case FZR_LOG_ALLOCATION_REFRESHED:
    return "Refreshed allocation";
  case FZR_LOG_ALLOCATION_DELETED:
    return "Deleted allocation";
  case FZR_LOG_ALLOCATION_EXPIRED:
    return "Allocation expired";
  case FZR_LOG_SHORT_OF_MEMORY:
    return r->adapter_error == FZR_ERR_NO_CHANNEL
               ? "There are as many channels as --max-channels allows: new ones are refused"
               : "Out of memory: new allocations and channels are refused";
  case FZR_LOG_ALLOCATION_REPLACED:
    return "Allocation replaced by a newer one of the same user";
  case FZR_LOG_CHANNEL_BOUND:
    return "Bound channel";
  case FZR_LOG_CHANNEL_REBOUND:
    return "Refreshed channel";
  case FZR_LOG_CHANNEL_EXPIRED:
    return "Channel expired";
  case FZR_LOG_PERMISSION:
    return "Created permission";
  case FZR_LOG_PEER_REFUSED:
    return "Refused peer";
  case FZR_LOG_PORT_UNAVAILABLE:
    return "Port not available";
  case FZR_LOG_PEER_OUT_OF_REACH:
    return "A user asked for a peer out of reach";
  case FZR_LOG_CHANNEL_REVOKED:
    return "Ended channel: its peer is on an address of this host by now";
  case FZR_LOG_STRANGERS_LIMITED:
    return "Requests of a network exceed --unauthenticated-rate: some are not answered";
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

static void write_record(const fzr_log_record *r)
{
  log_field f[14];
  char why[320], network[FZR_PEER_RULE_TEXT_MAX];
  size_t n = 0;
  if (r->event == FZR_LOG_STRANGERS_LIMITED) {
    write_network(r->client, network, sizeof network);
    f[n++] = (log_field){"network", LOG_STR, {.str = network}};
  }
  if (r->method)
    f[n++] = (log_field){"method", LOG_STR, {.str = fzr_stun_method_name(r->method)}};
  if (r->error_code)
    f[n++] = (log_field){"error", LOG_UINT, {.u = r->error_code}};
  if (r->client)
    f[n++] = (log_field){"client", LOG_ADDR, {.addr = r->client}};
  if (r->port)
    f[n++] = (log_field){"allocation", LOG_UINT, {.u = r->port}};
  if (r->channel)
    f[n++] = (log_field){"channel", LOG_UINT, {.u = r->channel}};
  if (r->peer)
    f[n++] = (log_field){"peer", LOG_ADDR, {.addr = r->peer}};
  if (r->lifetime)
    f[n++] = (log_field){"lifetime", LOG_UINT, {.u = r->lifetime}};
  if (r->username)
    f[n++] = (log_field){"username", LOG_BYTES, {.bytes = {r->username, r->username_len}}};
  if (r->software)
    f[n++] = (log_field){"software", LOG_BYTES, {.bytes = {r->software, r->software_len}}};
  if (r->peer && r->peer_reason) {
    explain_refusal(r, why, sizeof why);
    f[n++] = (log_field){"reason", LOG_STR, {.str = why}};
  }
  if (r->adapter_error)
    f[n++] = (log_field){"reason", LOG_STR, {.str = fzr_strerror(r->adapter_error)}};
  log_write((enum fzr_log_level)r->level, TARGET, message_of(r), f, n);
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
