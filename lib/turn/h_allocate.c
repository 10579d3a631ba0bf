/* SPDX-License-Identifier: Apache-2.0 */
#include "allocation.h"
#include "alternate.h"
#include "answer.h"
#include "handlers.h"
#include "journal.h"
#include "log.h"
#include "mobility.h"
#include "replace.h"
#include "reservation.h"
#include "resume.h"
#include "room.h"
#include "usage.h"

#include "../auth/key.h"

#define TRANSPORT_UDP 17u

/* What the request's address family attributes ask for: families to allocate, and one that is missing here. */
typedef struct wanted {
  uint8_t families; /* bits */
  uint8_t missing;  /* enum fzr_family */
  bool mobile;      /* with tickets */
  uint8_t shape;    /* enum fzri_port_shape */
  uint64_t token;   /* 0, or that of a port which was reserved */
} wanted;

/* Reads an attribute whose value is its first byte. Returns 0 and the value, or 400. */
static unsigned read_byte(fzri_request *r, uint16_t type, uint8_t *value)
{
  uint32_t word;
  if (!fzr_stun_get_u32(&r->msg, type, &word))
    return fzri_refuse_attribute(r, type);
  *value = (uint8_t)(word >> 24);
  return 0;
}

static unsigned check_transport(fzri_request *r)
{
  uint8_t protocol = 0;
  if (read_byte(r, FZR_ATTR_REQUESTED_TRANSPORT, &protocol))
    return 400;
  return protocol == TRANSPORT_UDP ? 0 : 442;
}

/* ADDITIONAL-ADDRESS-FAMILY asks for IPv6 beside IPv4. A relay that has but one of them gives that and says so; one with IPv6
 * alone does so too, although RFC 8656 section 7.2 would have 440: it is what the Firezone relay does. */
static unsigned additional_family(const fzr_engine *e, fzri_request *r, wanted *w)
{
  uint8_t family = FZR_FAMILY_NONE;
  if (read_byte(r, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, &family) || family == FZR_FAMILY_IPV4)
    return fzri_refuse_attribute(r, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY);
  if (family != FZR_FAMILY_IPV6)
    return 440;
  w->families = e->families;
  if (!e->families)
    return 440;
  if (!(e->families & FZRI_V6))
    w->missing = FZR_FAMILY_IPV6;
  else if (!(e->families & FZRI_V4))
    w->missing = FZR_FAMILY_IPV4;
  return 0;
}

static unsigned read_families(const fzr_engine *e, fzri_request *r, wanted *w)
{
  const bool requested = fzr_stun_has(&r->msg, FZR_ATTR_REQUESTED_ADDRESS_FAMILY);
  const bool additional = fzr_stun_has(&r->msg, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY);
  uint8_t family = FZR_FAMILY_IPV4;
  *w = (wanted){0};
  if (requested && additional)
    return fzri_refuse_attribute(r, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY);
  if (additional)
    return additional_family(e, r, w);
  if (requested && read_byte(r, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, &family))
    return 400;
  w->families = fzri_family_bit(family);
  if (!requested && e->any_family && !(w->families & e->families))
    w->families = e->families;
  return w->families & e->families ? 0 : 440;
}

/* What RFC 8656 defines, and channels alone do not do: it is for Send indications. */
static const uint16_t unsupported = FZR_ATTR_DONT_FRAGMENT;

/* EVEN-PORT: its first bit asks for the next higher port to be reserved (RFC 8656 section 18.7). Some clients make a word of its byte. */
static unsigned read_even_port(fzri_request *r, wanted *w)
{
  fzr_stun_attr attr;
  w->shape = FZRI_PORT_ANY;
  if (!fzr_stun_get(&r->msg, FZR_ATTR_EVEN_PORT, &attr))
    return 0;
  if (!attr.len || attr.len > 4)
    return fzri_refuse_attribute(r, FZR_ATTR_EVEN_PORT);
  w->shape = attr.value[0] & 0x80 ? FZRI_PORT_PAIR : FZRI_PORT_EVEN;
  /* One token, one port: it could not name two addresses (section 7.2). */
  if (w->shape == FZRI_PORT_PAIR && fzr_stun_has(&r->msg, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY))
    return fzri_refuse_attribute(r, FZR_ATTR_EVEN_PORT);
  return 0;
}

/* RESERVATION-TOKEN decides on port and family: nothing that asks for either goes with it. */
static unsigned read_token(fzri_request *r, wanted *w)
{
  fzr_stun_attr attr;
  w->token = 0;
  if (!fzr_stun_get(&r->msg, FZR_ATTR_RESERVATION_TOKEN, &attr))
    return 0;
  if (attr.len != FZRI_TOKEN_LEN || fzr_stun_has(&r->msg, FZR_ATTR_EVEN_PORT) ||
      fzr_stun_has(&r->msg, FZR_ATTR_REQUESTED_ADDRESS_FAMILY) ||
      fzr_stun_has(&r->msg, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY))
    return fzri_refuse_attribute(r, FZR_ATTR_RESERVATION_TOKEN);
  w->token = fzri_token_read(attr.value);
  return w->token ? 0 : fzri_refuse(r, 508, FZR_REFUSAL_RESERVATION);
}

/* Where the relayed address is to be. */
static unsigned read_place(const fzr_engine *e, fzri_request *r, wanted *w)
{
  unsigned code = read_token(r, w);
  if (code)
    return code;
  if (w->token) {
    w->shape = FZRI_PORT_ANY;
    w->missing = 0;
    w->families = fzri_family_bit(fzri_token_family(w->token));
    return w->families & e->families ? 0 : 440;
  }
  code = read_families(e, r, w);
  return code ? code : read_even_port(r, w);
}

static uint8_t cut(uint16_t len, size_t room)
{
  return (uint8_t)(len < room ? len : room);
}

static void remember(fzr_engine *e, const fzri_request *r, fzri_allocation *a, fzri_pending *pending)
{
  memcpy(fzri_origin_of(e, a)->txid, fzr_stun_txid(&r->msg), FZR_STUN_TXID_LEN);
  fzri_request_keep_credential(e, r, a);
  pending->answer_by = r->answer_by;
  pending->fingerprint = fzr_stun_has(&r->msg, FZR_ATTR_FINGERPRINT);
  pending->username_len = cut(r->username.len, sizeof pending->username);
  memcpy(pending->username, r->username.value, pending->username_len);
  pending->software_len = cut(r->software.len, sizeof pending->software);
  if (r->software.value)
    memcpy(pending->software, r->software.value, pending->software_len);
}

/* Finds out whose allocation it will be, where that matters. Returns 0, or 486 if he has as many as he may. One that replaces another
 * is never too many. */
static unsigned enter_user(fzr_engine *e, const fzri_request *r, uint64_t *user)
{
  *user = 0;
  if (!e->replaces && !e->max_allocations_per_user)
    return 0;
  *user = fzri_request_user(e, r);
  if (e->replaces || fzri_shared_user_enter(e->shared, *user, e->max_allocations_per_user))
    return 0;
  return 486;
}

/* Returns 0 if an allocation waits for its sockets now, or if there is nothing to say, else the error code. */
static unsigned begin(fzr_engine *e, fzri_request *r, const wanted *w, uint32_t lifetime)
{
  fzri_allocation *a;
  fzri_pending *pending;
  fzri_allocation_request request = {r->from,          r->to,     w->families,         w->missing,
                                     lifetime,         .user = 0, .mobile = w->mobile, .shape = w->shape,
                                     .token = w->token};
  if (fzri_alternate_wanted(e, r))
    return 300;
  if (e->draining)
    return fzri_refuse(r, 508, FZR_REFUSAL_DRAINING);
  if (r->allocation)
    fzri_allocation_expire(e, r->allocation);
  const unsigned code = enter_user(e, r, &request.user);
  if (code)
    return code;
  const int error = fzri_allocation_begin(e, &request, &a, &pending);
  if (error) {
    if (request.user && !e->replaces)
      fzri_shared_user_leave(e->shared, request.user);
    if (error == FZR_ERR_NO_MEMORY)
      fzri_note_memory(e, r, error);
    if (error == FZR_ERR_NO_PORT && w->token)
      return fzri_refuse(r, 508, FZR_REFUSAL_RESERVATION);
    /* No answer where a port is about to become free: the client asks again within moments, but 508 would be the end of it. */
    if (error == FZR_ERR_NO_PORT && fzri_replace_make_room(e, request.user))
      return 0;
    if (fzri_alternate_for(e, r->from))
      return 300;
    return fzri_refuse_for_lack(r, error);
  }
  remember(e, r, a, pending);
  return 0;
}

/* The client has an allocation. The Allocate that made it may come again, if its answer was lost. */
static void answer_existing(fzr_engine *e, fzri_request *r)
{
  const fzri_allocation *a = r->allocation;
  if (memcmp(fzri_origin_of(e, a)->txid, fzr_stun_txid(&r->msg), FZR_STUN_TXID_LEN) != 0)
    fzri_answer_error(e, r, 437);
  else if (a->state == FZRI_ALLOCATION_LIVE)
    fzri_answer_allocate(e, a, 0, fzri_answer_signing(r), fzr_stun_has(&r->msg, FZR_ATTR_FINGERPRINT));
  /* Else its sockets are being opened, and the answer follows. */
}

/* Allocate (RFC 8656 section 7.2). */
void fzri_handle_allocate(fzr_engine *e, fzri_request *r)
{
  wanted w;
  uint32_t lifetime;
  if (r->allocation && !fzri_allocation_gives_way(e, r->allocation, &r->msg)) {
    answer_existing(e, r);
    return;
  }
  unsigned code = check_transport(r);
  if (!code && !e->full && fzr_stun_has(&r->msg, FZR_ATTR_DONT_FRAGMENT)) {
    fzri_answer_unknown(e, r, &unsupported, 1);
    return;
  }
  if (!code)
    code = read_place(e, r, &w);
  if (!code)
    code = fzri_request_lifetime(e, r, &lifetime);
  if (!code)
    code = fzri_mobility_check_allocate(e, r, &w.mobile);
  if (!code)
    code = begin(e, r, &w, lifetime ? lifetime : FZRI_LIFETIME_DEFAULT);
  if (code)
    fzri_answer_error(e, r, code);
}

/* The record of an Allocate's end, made from what was remembered of the request. */
static void log_end(const fzr_engine *e, const fzri_allocation *a, int error)
{
  const unsigned code = error ? 508 : 0;
  const enum fzr_log_level level = code ? FZR_LOG_DEBUG : FZR_LOG_INFO;
  if (!fzri_log_wants(e, level))
    return;
  const fzri_pending *pending = fzri_pool_at(&e->pendings, a->pending);
  fzr_log_record record = fzri_log_record(e, level, code ? FZR_LOG_REQUEST : FZR_LOG_ALLOCATION_CREATED);
  record.method = FZR_STUN_ALLOCATE;
  record.error_code = (uint16_t)code;
  record.refusal = error ? FZR_REFUSAL_LACK : FZR_REFUSAL_NONE;
  record.adapter_error = error;
  record.client = &a->client;
  record.txid = fzri_origin_of(e, a)->txid;
  record.port = a->port;
  record.lifetime = a->lifetime;
  fzr_addr relayed[2];
  for (unsigned slot = 0; slot < 2 && !code; slot++) {
    relayed[slot] = e->public_addr[slot];
    relayed[slot].port = a->port;
    if (a->families & fzri_family_bit(fzri_family_at(slot)))
      record.relayed[slot] = &relayed[slot];
  }
  record.username = pending->username;
  record.username_len = pending->username_len;
  if (pending->software_len) {
    record.software = pending->software;
    record.software_len = pending->software_len;
  }
  e->log(e->log_ctx, &record);
}

/* |error|: what its sockets could not be opened for, 0 for nothing. */
static void finish(fzr_engine *e, fzri_allocation *a, int error)
{
  fzri_journal_begin(e);
  const fzri_pending *pending = fzri_pool_at(&e->pendings, a->pending);
  fzri_answer_allocate(e, a, error ? 508 : 0,
                       (fzri_signing){a->key, (uint8_t)fzri_key_len(a->key_algorithm), pending->answer_by},
                       pending->fingerprint);
  log_end(e, a, error);
  if (error)
    fzri_allocation_end(e, a, FZR_END_NONE);
  else {
    fzri_allocation_live(e, a);
    fzri_usage_tell(e, FZR_USAGE_ALLOCATED, a, NULL);
    fzri_replace_older(e, a);
  }
  fzri_journal_commit(e);
}

static void log_unavailable(const fzr_engine *e, const fzri_allocation *a, uint8_t family, int error)
{
  if (!fzri_log_wants(e, FZR_LOG_DEBUG))
    return;
  fzr_log_record record = fzri_log_record(e, FZR_LOG_DEBUG, FZR_LOG_PORT_UNAVAILABLE);
  record.client = &a->client;
  record.port = a->port;
  record.family = family;
  record.adapter_error = error;
  e->log(e->log_ctx, &record);
}

int fzr_engine_port_result(fzr_engine *e, uint16_t port, enum fzr_family family, int error, void *io,
                           fzr_time now)
{
  const uint8_t bit = fzri_family_bit((uint8_t)family);
  if (!e || !bit || error > 0)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  fzri_allocation *a = fzri_allocation_by_port(e, port);
  if (!a || !(a->told & ~a->opened & bit))
    return FZR_ERR_INVALID_STATE;
  const bool held = error == FZR_ERR_IO_IN_USE;
  const bool known = held && fzri_shared_port_is_held(e->shared, port, e->now);
  if (a->state == FZRI_ALLOCATION_RESUMING) {
    if (error)
      log_unavailable(e, a, (uint8_t)family, error);
    fzri_resume_port_result(e, a, family, error, io);
    return 0;
  }
  if (a->state != FZRI_ALLOCATION_OPENING) {
    /* It ended meanwhile, and waited for this to give its port back. */
    a->told &= (uint8_t)~bit;
    fzri_event_queue_push_last(&e->events, &a->node);
    return FZR_ERR_INVALID_STATE;
  }
  if (error) {
    a->told &= (uint8_t)~bit;
    log_unavailable(e, a, (uint8_t)family, error);
    if (!held || fzri_allocation_retry(e, a, known)) {
      const int lack = held ? FZR_ERR_NO_PORT : error;
      if (held || error == FZR_ERR_IO_NO_SOCKET)
        fzri_room_is_short(e, lack);
      finish(e, a, lack);
    }
    return 0;
  }
  a->opened |= bit;
  a->io[fzri_family_slot((uint8_t)family)] = io;
  if (a->opened == a->families) {
    fzri_shared_port_is_ours(e->shared, port);
    finish(e, a, 0);
  }
  return 0;
}
