/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include "alternate.h"
#include "extra.h"
#include "log.h"
#include "mobility.h"
#include "reservation.h"
#include "room.h"

#include "../stun/attr.h"

static const uint16_t stat_codes[FZR_STAT_CODES] = {0,   300, 400, 401, 403, 420, 437, 438, 440,
                                                    441, 442, 443, 486, 500, 508, 405, 0};

unsigned fzr_stat_code(unsigned index)
{
  return index < FZR_STAT_CODES ? stat_codes[index] : 0;
}

static unsigned code_index(unsigned code)
{
  for (unsigned i = 0; i < FZR_STAT_CODES; i++)
    if (stat_codes[i] == code)
      return i;
  return FZR_STAT_CODES - 1;
}

void fzri_reply_begin(fzr_engine *e, fzri_reply *reply, uint16_t method, enum fzr_stun_class cls,
                      const uint8_t *txid)
{
  reply->slot = fzri_answers_full(e) ? NULL : &e->answers[e->answer_tail & (e->answer_cap - 1)];
  uint8_t *data = reply->slot ? reply->slot->data : reply->scratch;
  fzr_stun_build(&reply->builder, data, FZRI_ANSWER_MAX, method, cls, txid);
}

void fzri_reply_send(fzr_engine *e, fzri_reply *reply, unsigned stat, unsigned code, fzri_signing signing,
                     bool fingerprint, const fzr_addr *to, const fzr_addr *from)
{
  if (signing.by & FZRI_BY_SHA1)
    fzr_stun_add_integrity(&reply->builder, signing.key, signing.key_len);
  if (signing.by & FZRI_BY_SHA256)
    fzr_stun_add_integrity_sha256(&reply->builder, signing.key, signing.key_len, FZRI_INTEGRITY256_LEN);
  if (fingerprint)
    fzr_stun_add_fingerprint(&reply->builder);
  if (fzri_reply_put(e, reply, to, from))
    e->stats.responses[stat][code_index(code)]++;
}

bool fzri_reply_put(fzr_engine *e, fzri_reply *reply, const fzr_addr *to, const fzr_addr *from)
{
  const int len = fzr_stun_build_finish(&reply->builder);
  if (!reply->slot || len < 0) {
    e->stats.dropped[FZR_DROP_ANSWER_RING_FULL]++;
    return false;
  }
  reply->slot->len = (uint16_t)len;
  reply->slot->to_stranger = false;
  /* |to| is a member of a request or an allocation. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
  reply->slot->to = *to;
  reply->slot->from = *from;
  e->answer_tail++;
  return true;
}

fzri_signing fzri_answer_signing(const fzri_request *r)
{
  return (fzri_signing){r->credential.key, r->credential.key_len, r->answer_by};
}

/* How the answer to |r| is signed: what is signed for one who has not shown that he knows the password could be used to guess it.
 * Challenges are signed only where clients want that: others take a signed one for an answer that they can not verify, and wait
 * (RFC 8489 section 9.2.5). */
static fzri_signing signing_of(const fzri_request *r, unsigned code)
{
  const bool challenge = code == 401 || code == 438;
  const bool is_signed = r->verified && (!challenge || r->credential.sign_unauthenticated);
  return (fzri_signing){r->credential.key, r->credential.key_len, is_signed ? r->answer_by : 0};
}

/* How many bytes an attribute of |len| bytes takes. */
static size_t attribute_size(size_t len)
{
  return 4 + (len + 3) / 4 * 4;
}

/* Whether SOFTWARE is to be in the answer to |r|. One to a stranger, whose address may be forged, must not grow by it beyond what the
 * request has brought: the answer is no longer than it, or it has a SOFTWARE of that length itself. */
static bool has_room_for_software(const fzr_engine *e, const fzri_request *r, const fzri_reply *reply,
                                  unsigned by, bool fingerprint)
{
  if (r->authenticated)
    return true;
  const size_t size = attribute_size(e->software_len);
  if (r->software.value && attribute_size(r->software.len) >= size)
    return true;
  static const uint8_t integrity[] = {0, 4 + FZRI_INTEGRITY_LEN, 4 + FZRI_INTEGRITY256_LEN,
                                      4 + FZRI_INTEGRITY_LEN + 4 + FZRI_INTEGRITY256_LEN};
  const size_t rest = integrity[by] + (fingerprint ? attribute_size(FZRI_FINGERPRINT_LEN) : 0);
  return reply->builder.len + size + rest <= r->msg.len;
}

static void add_software(const fzr_engine *e, fzri_reply *reply)
{
  if (e->software_len)
    fzr_stun_add(&reply->builder, FZR_ATTR_SOFTWARE, e->software, e->software_len);
}

static void send_reply(fzr_engine *e, const fzri_request *r, fzri_reply *reply, unsigned code)
{
  const fzri_signing signing = signing_of(r, code);
  const bool fingerprint = fzr_stun_has(&r->msg, FZR_ATTR_FINGERPRINT);
  if (has_room_for_software(e, r, reply, signing.by, fingerprint))
    add_software(e, reply);
  fzri_reply_send(e, reply, r->method->stat, code, signing, fingerprint, r->from, r->to);
  /* A request with a right MESSAGE-INTEGRITY may be an old one, from a forged address: only the nonce shows that it is not. */
  if (reply->slot)
    reply->slot->to_stranger = !(r->reached && r->verified);
}

void fzri_answer_begin(fzr_engine *e, const fzri_request *r, fzri_reply *reply)
{
  fzri_reply_begin(e, reply, r->msg.method, FZR_STUN_SUCCESS, fzr_stun_txid(&r->msg));
}

void fzri_answer_success(fzr_engine *e, const fzri_request *r, fzri_reply *reply)
{
  send_reply(e, r, reply, 0);
}

/* Returns whether there is to be one. */
static bool begin_error(fzr_engine *e, fzri_request *r, fzri_reply *reply, unsigned code)
{
  if (!fzri_limits_error(&e->limits, r, code, e->now)) {
    r->dropped = FZR_DROP_RATE_LIMITED;
    return false;
  }
  fzri_reply_begin(e, reply, r->msg.method, FZR_STUN_ERROR, fzr_stun_txid(&r->msg));
  fzr_stun_add_error(&reply->builder, code);
  return true;
}

static void log_refused(const fzr_engine *e, const fzri_request *r, unsigned code)
{
  if (!fzri_log_wants(e, FZR_LOG_DEBUG))
    return;
  fzr_log_record record = fzri_log_request(e, FZR_LOG_DEBUG, FZR_LOG_REQUEST, r);
  record.error_code = (uint16_t)code;
  record.refusal = r->refusal;
  record.attribute = r->attribute;
  record.adapter_error = r->lack;
  e->log(e->log_ctx, &record);
}

static void add_challenge(const fzr_engine *e, const fzri_request *r, fzri_reply *reply)
{
  char nonce[FZRI_NONCE_MAX];
  const uint32_t features = fzri_scheme_features(&e->scheme);
  const size_t len = fzri_nonce_make(&e->nonces, r->from, features, e->now + e->nonce_offset, nonce);
  fzr_stun_add(&reply->builder, FZR_ATTR_REALM, e->scheme.realm, strlen(e->scheme.realm));
  fzr_stun_add(&reply->builder, FZR_ATTR_NONCE, nonce, len);
  if (features != FZRI_NO_COOKIE && features & FZR_FEATURE_PASSWORD_ALGORITHMS)
    fzr_stun_add(&reply->builder, FZR_ATTR_PASSWORD_ALGORITHMS, fzri_offered_algorithms, FZRI_OFFERED_LEN);
}

void fzri_answer_error(fzr_engine *e, fzri_request *r, unsigned code)
{
  fzri_reply reply;
  if (!begin_error(e, r, &reply, code))
    return;
  if (code == 401 || code == 438)
    add_challenge(e, r, &reply);
  if (code == 300)
    fzr_stun_add_plain_addr(&reply.builder, FZR_ATTR_ALTERNATE_SERVER, fzri_alternate_for(e, r->from));
  send_reply(e, r, &reply, code);
  log_refused(e, r, code);
}

void fzri_answer_unknown(fzr_engine *e, fzri_request *r, const uint16_t *types, size_t n)
{
  fzri_reply reply;
  uint8_t list[2 * (FZR_STUN_UNKNOWN_MAX + 3)];
  if (!begin_error(e, r, &reply, 420))
    return;
  if (n > sizeof list / 2)
    n = sizeof list / 2;
  for (size_t i = 0; i < n; i++) {
    list[2 * i] = (uint8_t)(types[i] >> 8);
    list[2 * i + 1] = (uint8_t)types[i];
  }
  fzr_stun_add(&reply.builder, FZR_ATTR_UNKNOWN_ATTRIBUTES, list, 2 * n);
  send_reply(e, r, &reply, 420);
  r->attribute = types[0];
  log_refused(e, r, fzri_refuse(r, 420, FZR_REFUSAL_UNKNOWN));
}

void fzri_answer_not_understood(fzr_engine *e, fzri_request *r)
{
  const size_t n = r->msg.unknown_count;
  fzri_answer_unknown(e, r, r->msg.unknown, n < FZR_STUN_UNKNOWN_MAX ? n : FZR_STUN_UNKNOWN_MAX);
}

static void log_forbidden(const fzr_engine *e, const fzri_request *r, const fzri_peer_judgement *judged,
                          enum fzr_log_level level, enum fzr_log_event event)
{
  fzr_log_record record = fzri_log_request(e, level, event, r);
  record.error_code = 403;
  fzri_log_judgement(&record, judged);
  e->log(e->log_ctx, &record);
}

void fzri_answer_forbidden(fzr_engine *e, fzri_request *r, const fzri_peer_judgement *judged)
{
  fzri_reply reply;
  if (!begin_error(e, r, &reply, 403))
    return;
  send_reply(e, r, &reply, 403);
  if (fzri_log_wants(e, FZR_LOG_DEBUG))
    log_forbidden(e, r, judged, FZR_LOG_DEBUG, FZR_LOG_PEER_REFUSED);
  if (fzri_log_wants(e, FZR_LOG_INFO) && fzri_told_refusal(e->told, judged, e->now))
    log_forbidden(e, r, judged, FZR_LOG_INFO, FZR_LOG_PEER_OUT_OF_REACH);
}

/* XOR-RELAYED-ADDRESS for each family, XOR-MAPPED-ADDRESS, LIFETIME, what was reserved, and what was asked for and is not to be had. RFC
 * 8656 section 7.2. */
static void add_allocation(const fzr_engine *e, fzri_reply *reply, const fzri_allocation *a)
{
  uint8_t token[FZRI_TOKEN_LEN];
  const fzri_extra *extra = fzri_extra_of(e, a);
  for (unsigned slot = 0; slot < 2; slot++) {
    const uint8_t family = fzri_family_at(slot);
    if (!(a->families & fzri_family_bit(family)))
      continue;
    fzr_addr relayed = e->public_addr[slot];
    relayed.port = a->port;
    fzr_stun_add_addr(&reply->builder, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed);
  }
  fzr_stun_add_addr(&reply->builder, FZR_ATTR_XOR_MAPPED_ADDRESS, &a->client);
  fzr_stun_add_u32(&reply->builder, FZR_ATTR_LIFETIME, a->lifetime);
  fzri_mobility_add_ticket(e, &reply->builder, a);
  if (extra && extra->token) {
    fzri_token_write(extra->token, token);
    fzr_stun_add(&reply->builder, FZR_ATTR_RESERVATION_TOKEN, token, sizeof token);
  }
  if (a->missing)
    fzr_stun_add_address_error(&reply->builder, (enum fzr_family)a->missing, 440);
}

void fzri_answer_allocate(fzr_engine *e, const fzri_allocation *a, unsigned code, fzri_signing signing,
                          bool fingerprint)
{
  fzri_reply reply;
  if (code && !fzri_limits_late_error(&e->limits, &a->client, &a->server, code, e->now)) {
    e->stats.dropped[FZR_DROP_RATE_LIMITED]++;
    return;
  }
  fzri_reply_begin(e, &reply, FZR_STUN_ALLOCATE, code ? FZR_STUN_ERROR : FZR_STUN_SUCCESS,
                   fzri_origin_of(e, a)->txid);
  if (code)
    fzr_stun_add_error(&reply.builder, code);
  else
    add_allocation(e, &reply, a);
  add_software(e, &reply);
  fzri_reply_send(e, &reply, FZR_STAT_ALLOCATE, code, signing, fingerprint, &a->client, &a->server);
}

void fzri_note_memory(fzr_engine *e, const fzri_request *r, int error)
{
  const unsigned which = error == FZR_ERR_NO_MEMORY;
  e->stats.memory_refusals[which]++;
  fzri_room_is_short(e, error);
  if (!fzri_log_wants(e, FZR_LOG_WARN) || !fzri_told_memory(e->told, which, e->now))
    return;
  fzr_log_record record = fzri_log_request(e, FZR_LOG_WARN, FZR_LOG_SHORT_OF_MEMORY, r);
  record.error_code = 508;
  record.adapter_error = error;
  e->log(e->log_ctx, &record);
}

unsigned fzri_refuse_for_memory(fzr_engine *e, fzri_request *r, bool no_channel)
{
  const int error = no_channel ? FZR_ERR_NO_CHANNEL : FZR_ERR_NO_MEMORY;
  fzri_note_memory(e, r, error);
  return fzri_refuse_for_lack(r, error);
}
