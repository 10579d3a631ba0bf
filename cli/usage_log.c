/* SPDX-License-Identifier: Apache-2.0 */
#include "usage_log.h"

#include "log/log.h"
#include "sessions/filter.h"
#include "sessions/format.h"

#include <stdio.h>

#define TARGET "usage"

/* What a record is written with. */
typedef struct writing {
  log_field fields[16];
  size_t count;
} writing;

static void add_text(writing *w, const char *key, const char *text)
{
  w->fields[w->count++] = (log_field){key, LOG_STR, {.str = text}};
}

static void add_number(writing *w, const char *key, uint64_t value)
{
  w->fields[w->count++] = (log_field){key, LOG_UINT, {.u = value}};
}

static void add_addr(writing *w, const char *key, const fzr_addr *addr)
{
  w->fields[w->count++] = (log_field){key, LOG_ADDR, {.addr = addr}};
}

static const char *reason_of(const fzr_allocation *a, unsigned reason)
{
  switch (reason) {
  case FZR_END_CLIENT:
    return "its client gave it back";
  case FZR_END_EXPIRED:
    return "it was not refreshed";
  case FZR_END_REPLACED:
    return "a newer one of the same user replaces it";
  case FZR_END_APPLICATION:
    return a->client.transport != FZR_TRANSPORT_UDP ? "its client's connection ended" : "this relay ended it";
  case FZR_END_OPERATOR:
    return "this relay was told to end it";
  case FZR_END_LOST:
    return "it was handed over, and its port could not be opened";
  default:
    return "the relay ended";
  }
}

static const char *message_of(unsigned type)
{
  return type == FZR_USAGE_ALLOCATED ? "Session began"
         : type == FZR_USAGE_BOUND   ? "Session bound a channel"
                                     : "Session ended";
}

void usage_log(void *ctx, const fzr_usage *u)
{
  static const char *const relayed[2] = {"relayed_ip4", "relayed_ip6"};
  const fzr_allocation *a = u->allocation;
  char id[SESSION_ID_TEXT];
  writing w = {.count = 0};
  (void)ctx;
  session_id_write(a->id, id);
  add_text(&w, "session", id);
  w.fields[w.count++] = (log_field){"user", LOG_BYTES, {.bytes = {a->user_name, a->user_name_len}}};
  add_addr(&w, "client", &a->client);
  add_text(&w, "transport", session_transport(a->client.transport));
  for (unsigned i = 0; i < 2; i++)
    if (a->relayed[i].family)
      add_addr(&w, relayed[i], &a->relayed[i]);
  if (u->type == FZR_USAGE_BOUND) {
    add_number(&w, "channel", u->channel);
    add_addr(&w, "peer", u->peer);
  }
  if (u->type == FZR_USAGE_ENDED)
    add_text(&w, "reason", reason_of(a, u->reason));
  add_number(&w, "seconds", u->now > a->began ? (u->now - a->began) / FZR_SECOND : 0);
  add_number(&w, "packets_from_client", a->packets[0]);
  add_number(&w, "bytes_from_client", a->bytes[0]);
  add_number(&w, "packets_to_client", a->packets[1]);
  add_number(&w, "bytes_to_client", a->bytes[1]);
  log_write(FZR_LOG_INFO, TARGET, message_of(u->type), w.fields, w.count);
}

void usage_log_rest(const fzr_engine *engine, fzr_time now)
{
  fzr_allocation a;
  uint32_t cursor = 0;
  while (fzr_engine_list_allocations(engine, &cursor, &a, 1)) {
    const fzr_usage usage = {.type = FZR_USAGE_ENDED, .now = now, .allocation = &a};
    if (!a.opening)
      usage_log(NULL, &usage);
  }
}
