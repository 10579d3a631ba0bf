/* SPDX-License-Identifier: Apache-2.0 */
#include "mimic.h"

#include <stdio.h>
#include <string.h>

#define TRANSACTIONS (sizeof((mimic *)0)->transactions / sizeof(mimic_transaction))
#define REALM        "firezone"
#define NO_CHANNEL   (-1)

static void end(mimic *m, const char *why)
{
  m->state = MIMIC_ENDED;
  m->why = why;
  for (size_t i = 0; i < TRANSACTIONS; i++)
    m->transactions[i].used = false;
}

/* ---- requests ---- */

static void add_lifetime(fzr_stun_builder *b, const mimic *m, const mimic_transaction *t)
{
  if (t->method == FZR_STUN_ALLOCATE || m->habits->both_families)
    fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (m->habits->both_families)
    fzr_stun_add_u32(b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  if (t->deletes)
    fzr_stun_add_u32(b, FZR_ATTR_LIFETIME, 0);
  else if (!m->habits->both_families)
    fzr_stun_add_u32(b, FZR_ATTR_LIFETIME, 600);
}

static void add_peers(fzr_stun_builder *b, const mimic *m, const mimic_transaction *t)
{
  if (t->method == FZR_STUN_CHANNEL_BIND) {
    const mimic_channel *c = &m->channels[t->channel];
    fzr_stun_add_u32(b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)c->number << 16);
    fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, &c->peer);
    return;
  }
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++) {
    fzr_addr peer = m->channels[i].peer;
    peer.port = 0;
    fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  }
}

static void build(mimic *m, mimic_transaction *t, bool wrong_fingerprint)
{
  fzr_stun_builder b;
  const uint64_t id[2] = {fzt_next(&m->chance), fzt_next(&m->chance)};
  memcpy(t->txid, id, sizeof t->txid);
  fzr_stun_build(&b, t->data, sizeof t->data, t->method, FZR_STUN_REQUEST, t->txid);
  if (t->method == FZR_STUN_ALLOCATE || t->method == FZR_STUN_REFRESH)
    add_lifetime(&b, m, t);
  else if (t->method != FZR_STUN_BINDING)
    add_peers(&b, m, t);
  t->had_nonce = m->nonce_len != 0;
  if (t->method != FZR_STUN_BINDING && m->has_realm) {
    fzr_stun_add(&b, FZR_ATTR_USERNAME, m->username, strlen(m->username));
    fzr_stun_add(&b, FZR_ATTR_REALM, REALM, strlen(REALM));
    if (t->had_nonce)
      fzr_stun_add(&b, FZR_ATTR_NONCE, m->nonce, m->nonce_len);
    fzr_stun_add_integrity(&b, m->key, sizeof m->key);
  }
  if (m->habits->fingerprint)
    fzr_stun_add_fingerprint(&b);
  t->len = (uint16_t)fzr_stun_build_finish(&b);
  if (wrong_fingerprint)
    t->data[t->len - 1] ^= 1;
}

static void put_out(mimic *m, mimic_transaction *t, fzr_time now)
{
  const fzr_time longer = t->wait * m->habits->growth / 100;
  if (t->tries)
    t->wait = longer < m->habits->longest_wait ? longer : m->habits->longest_wait;
  else
    t->wait = m->habits->first_wait;
  t->tries++;
  t->next_try = now + t->wait;
  m->requests++;
  m->send(m->ctx, t->data, t->len);
}

static void ask_again(mimic *m, mimic_transaction *t, bool wrong_fingerprint, fzr_time now)
{
  t->used = true;
  t->repeats++;
  t->tries = 0;
  build(m, t, wrong_fingerprint);
  put_out(m, t, now);
}

static bool asks(const mimic *m, uint16_t method, int channel)
{
  for (size_t i = 0; i < TRANSACTIONS; i++)
    if (m->transactions[i].used && m->transactions[i].method == method &&
        m->transactions[i].channel == channel)
      return true;
  return false;
}

static void ask(mimic *m, uint16_t method, int channel, bool deletes, fzr_time now)
{
  mimic_transaction *t = m->transactions;
  if (asks(m, method, channel))
    return;
  while (t->used)
    t++; /* there are fewer kinds of requests than places */
  memset(t, 0, sizeof *t);
  t->used = true;
  t->method = method;
  t->channel = channel;
  t->deletes = deletes;
  build(m, t, false);
  put_out(m, t, now);
}

/* ---- what it makes of answers ---- */

static void forget_requests(mimic *m)
{
  for (size_t i = 0; i < TRANSACTIONS; i++)
    if (m->transactions[i].method != FZR_STUN_BINDING)
      m->transactions[i].used = false;
}

static void anew(mimic *m, fzr_time now)
{
  forget_requests(m);
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    m->channels[i].bound = m->channels[i].heard = false;
  m->state = MIMIC_ASKING;
  m->resets++;
  ask(m, FZR_STUN_REFRESH, NO_CHANNEL, true, now);
}

static void allocated(mimic *m, fzr_time now)
{
  m->state = MIMIC_LIVE;
  m->allocations++;
  m->refresh_due = now + m->habits->first_refresh;
  m->permission_due = m->habits->permission_every ? now : FZR_TIME_NEVER;
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++) {
    m->channels[i].bound = m->channels[i].heard = false;
    ask(m, FZR_STUN_CHANNEL_BIND, (int)i, false, now);
  }
}

/* The request of |t| is done with, whatever came of it. */
static void done(mimic *m, const mimic_transaction *t, bool success, fzr_time now)
{
  const mimic_habits *h = m->habits;
  switch (t->method) {
  case FZR_STUN_BINDING:
    m->probe_due = now + h->probe_every;
    if (m->state == MIMIC_OFF) {
      m->state = MIMIC_ASKING;
      ask(m, FZR_STUN_ALLOCATE, NO_CHANNEL, false, now);
    }
    break;
  case FZR_STUN_ALLOCATE:
    if (success)
      allocated(m, now);
    break;
  case FZR_STUN_REFRESH:
    if (t->deletes)
      ask(m, FZR_STUN_ALLOCATE, NO_CHANNEL, false, now);
    else
      m->refresh_due = now + h->refresh_every;
    break;
  case FZR_STUN_CHANNEL_BIND:
    if (success)
      m->channels[t->channel].bound = true;
    m->channels[t->channel].due = now + h->bind_every;
    m->channels[t->channel].heard = false;
    break;
  default:
    m->permission_due = now + h->permission_every;
  }
}

static void react(mimic *m, mimic_transaction *t, enum mimic_reaction how, const char *why, fzr_time now)
{
  t->used = false;
  switch (how) {
  case MIMIC_END:
    end(m, why);
    return;
  case MIMIC_AGAIN:
    ask_again(m, t, false, now);
    return;
  case MIMIC_AGAIN_BAD:
    ask_again(m, t, true, now);
    return;
  case MIMIC_NO_END:
    ask_again(m, t, false, now);
    return;
  case MIMIC_ANEW:
    anew(m, now);
    return;
  case MIMIC_CREDENTIALS:
    forget_requests(m);
    m->state = MIMIC_NEEDS_CREDENTIALS;
    return;
  default:
    done(m, t, false, now);
  }
}

/* Returns whether there was one. */
static bool learn_nonce(mimic *m, const fzr_stun_msg *msg)
{
  fzr_stun_attr nonce;
  if (!fzr_stun_get(msg, FZR_ATTR_NONCE, &nonce) || nonce.len > sizeof m->nonce)
    return false;
  memcpy(m->nonce, nonce.value, nonce.len);
  m->nonce_len = nonce.len;
  m->has_realm = true;
  return true;
}

static void on_error(mimic *m, mimic_transaction *t, const fzr_stun_msg *msg, unsigned code, fzr_time now)
{
  const mimic_habits *h = m->habits;
  const bool challenge = code == 401 || code == 438;
  if (challenge && h->signed_is_forged && fzr_stun_has(msg, FZR_ATTR_MESSAGE_INTEGRITY))
    react(m, t, MIMIC_NO_END, "", now);
  else if (challenge && !learn_nonce(m, msg))
    react(m, t, MIMIC_END, "a challenge without a nonce", now);
  else if (code == 401 && !t->had_nonce)
    react(m, t, MIMIC_AGAIN, "", now);
  else if (t->deletes && code == 437)
    react(m, t, MIMIC_NEXT_TIME, "", now);
  else if (t->method == FZR_STUN_ALLOCATE && code != 437 && code != 438 && code != 401 &&
           h->at_other != MIMIC_NEXT_TIME)
    react(m, t, MIMIC_END, "no allocation", now);
  else if (h->first_bind_counts && t->method == FZR_STUN_CHANNEL_BIND && code == 400 &&
           !m->channels[t->channel].bound)
    react(m, t, MIMIC_END, "400 to the first ChannelBind", now);
  else if (code == 438 && t->repeats > 2)
    react(m, t, MIMIC_END, "438 again and again", now);
  else if (code == 438)
    react(m, t, h->at_438, "438", now);
  else if (h->refresh_succeeded && t->method == FZR_STUN_REFRESH)
    react(m, t, MIMIC_NEXT_TIME, "", now);
  else if (code == 401)
    react(m, t, h->at_401, "401", now);
  else if (code == 437)
    react(m, t, h->at_437, "437", now);
  else
    react(m, t, h->at_other, "refused", now);
}

static bool takes(const mimic *m, const mimic_transaction *t, const fzr_stun_msg *msg)
{
  const mimic_habits *h = m->habits;
  if (t->method == FZR_STUN_BINDING)
    return true;
  if (!fzr_stun_has(msg, FZR_ATTR_MESSAGE_INTEGRITY))
    return !h->only_signed;
  return !(h->only_signed || h->verifies) || fzr_stun_verify(msg, m->key, FZR_STUN_KEY_LEN);
}

static void on_answer(mimic *m, const fzr_stun_msg *msg, fzr_time now)
{
  mimic_transaction *t = m->transactions;
  m->answers++;
  while (t < m->transactions + TRANSACTIONS &&
         !(t->used && memcmp(t->txid, fzr_stun_txid(msg), sizeof t->txid) == 0))
    t++;
  if (t == m->transactions + TRANSACTIONS || t->method != msg->method)
    return; /* of a request that was answered already */
  if (!takes(m, t, msg)) {
    m->ignored++;
    return;
  }
  const unsigned code = msg->cls == FZR_STUN_SUCCESS ? 0 : fzr_stun_error_code(msg);
  m->codes[code < 700 ? code : 699]++;
  if (code) {
    on_error(m, t, msg, code, now);
    return;
  }
  t->used = false;
  done(m, t, true, now);
}

bool mimic_receive(mimic *m, const uint8_t *data, size_t len, fzr_time now, unsigned *channel,
                   const uint8_t **payload, uint16_t *payload_len)
{
  fzr_stun_msg msg;
  uint16_t number;
  if (m->state == MIMIC_ENDED)
    return false;
  if (fzr_channel_data_read(data, len, &number, payload_len) != 0) {
    if (fzr_stun_read(data, len, &msg) == 0 && (msg.cls == FZR_STUN_SUCCESS || msg.cls == FZR_STUN_ERROR))
      on_answer(m, &msg, now);
    return false;
  }
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++) {
    if (m->channels[i].number != number)
      continue;
    m->channels[i].heard = true;
    *channel = i;
    *payload = data + 4;
    return true;
  }
  return false;
}

/* ---- what it does by itself ---- */

void mimic_init(mimic *m, enum mimic_kind kind, uint64_t seed, mimic_send_fn send, void *ctx)
{
  memset(m, 0, sizeof *m);
  m->habits = &mimic_habits_of[kind];
  m->send = send;
  m->ctx = ctx;
  m->chance.state = seed;
  const uint16_t first = m->habits->random_channels ? (uint16_t)(fzt_next(&m->chance) % 0xff0) : 0;
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    m->channels[i].number = (uint16_t)(0x4000 + first + i);
}

void mimic_login(mimic *m, const char *username, const char *password, fzr_time now)
{
  const bool renews = m->state == MIMIC_NEEDS_CREDENTIALS;
  snprintf(m->username, sizeof m->username, "%s", username);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)m->username, strlen(m->username), REALM, password,
                         m->key);
  if (!renews)
    return;
  m->state = MIMIC_ASKING;
  ask(m, FZR_STUN_ALLOCATE, NO_CHANNEL, false, now);
}

void mimic_begin(mimic *m, fzr_time now)
{
  memset(m->transactions, 0, sizeof m->transactions);
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    m->channels[i].bound = m->channels[i].heard = false;
  m->nonce_len = 0;
  m->has_realm = m->habits->knows_realm;
  m->why = "";
  if (m->habits->probe_every) {
    m->state = MIMIC_OFF;
    ask(m, FZR_STUN_BINDING, NO_CHANNEL, false, now);
  } else {
    m->state = MIMIC_ASKING;
    ask(m, FZR_STUN_ALLOCATE, NO_CHANNEL, false, now);
  }
}

void mimic_refresh(mimic *m, fzr_time now)
{
  if (m->state == MIMIC_LIVE)
    ask(m, FZR_STUN_REFRESH, NO_CHANNEL, false, now);
}

static void sooner(fzr_time *first, fzr_time at)
{
  if (at < *first)
    *first = at;
}

static bool renews(const mimic *m, unsigned channel)
{
  const mimic_channel *c = &m->channels[channel];
  return c->bound && (c->heard || !m->habits->renews_heard) && !asks(m, FZR_STUN_CHANNEL_BIND, (int)channel);
}

fzr_time mimic_deadline(const mimic *m)
{
  fzr_time first = FZR_TIME_NEVER;
  for (size_t i = 0; i < TRANSACTIONS; i++)
    if (m->transactions[i].used)
      sooner(&first, m->transactions[i].next_try);
  if (m->state != MIMIC_LIVE)
    return first;
  if (!asks(m, FZR_STUN_REFRESH, NO_CHANNEL))
    sooner(&first, m->refresh_due);
  if (!asks(m, FZR_STUN_CREATE_PERMISSION, NO_CHANNEL))
    sooner(&first, m->permission_due);
  if (m->habits->probe_every && !asks(m, FZR_STUN_BINDING, NO_CHANNEL))
    sooner(&first, m->probe_due);
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    if (renews(m, i))
      sooner(&first, m->channels[i].due);
  return first;
}

static void retry(mimic *m, fzr_time now)
{
  for (size_t i = 0; i < TRANSACTIONS; i++) {
    mimic_transaction *t = &m->transactions[i];
    if (!t->used || now < t->next_try)
      continue;
    if (t->tries == m->habits->tries) {
      end(m, "no answer");
      return;
    }
    put_out(m, t, now);
  }
}

void mimic_tick(mimic *m, fzr_time now)
{
  retry(m, now);
  if (m->state != MIMIC_LIVE)
    return;
  if (now >= m->refresh_due)
    ask(m, FZR_STUN_REFRESH, NO_CHANNEL, false, now);
  if (now >= m->permission_due)
    ask(m, FZR_STUN_CREATE_PERMISSION, NO_CHANNEL, false, now);
  if (m->habits->probe_every && now >= m->probe_due)
    ask(m, FZR_STUN_BINDING, NO_CHANNEL, false, now);
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    if (now >= m->channels[i].due && renews(m, i))
      ask(m, FZR_STUN_CHANNEL_BIND, (int)i, false, now);
}

bool mimic_ready(const mimic *m)
{
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    if (!m->channels[i].bound)
      return false;
  return m->state == MIMIC_LIVE;
}

bool mimic_talk(mimic *m, unsigned channel, const uint8_t *data, uint16_t len)
{
  uint8_t message[4 + 1500];
  if (!m->channels[channel].bound || m->state == MIMIC_ENDED || len > 1500)
    return false;
  fzr_channel_data_header(message, m->channels[channel].number, len);
  memcpy(message + 4, data, len);
  m->send(m->ctx, message, len + 4u);
  return true;
}
