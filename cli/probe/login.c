/* SPDX-License-Identifier: Apache-2.0 */
/* How the clients get their allocations, and what it means if they do not. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define STALE_MOST 3u

/* REQUESTED-TRANSPORT: 17 is UDP (RFC 8656 section 18.8); and families (section 18.6). */
#define TRANSPORT_UDP (17u << 24)
#define FAMILY_IPV4   (1u << 24)
#define FAMILY_IPV6   (2u << 24)

void probe_ask_allocation(probe_machine *m, unsigned c)
{
  probe_exchange *x = &m->exchange;
  fzr_stun_builder b;
  m->ops.random(m->ops.ctx, x->txid, sizeof x->txid);
  probe_request_begin(&b, x->data, sizeof x->data, FZR_STUN_ALLOCATE, x->txid);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, TRANSPORT_UDP);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY,
                   m->plan.relayed == FZR_FAMILY_IPV6 ? FAMILY_IPV6 : FAMILY_IPV4);
  probe_ask(m, probe_request_end(&b, &m->clients[c]), PROBE_PATIENCE);
}

bool probe_is_answer(probe_machine *m, unsigned c, const fzr_stun_msg *msg, void (*again)(probe_machine *m))
{
  probe_client *client = &m->clients[c];
  if (msg->cls == FZR_STUN_ERROR && fzr_stun_error_code(msg) == 438) {
    m->exchange.len = 0;
    if (++m->stale > STALE_MOST || !probe_client_challenge(client, msg)) {
      probe_say(m, PROBE_FAILED, "438, again and again");
      probe_fail(m, PROBE_STALE);
    } else {
      again(m);
    }
    return false;
  }
  if (msg->cls == FZR_STUN_ERROR || !client->challenged || probe_client_is_signed(client, msg))
    return true;
  m->facts.answers_are_unsigned = true;
  return false;
}

/* What comes is no error that the relay may have, nor what was asked for. */
static void refuse_answer(probe_machine *m, const char *text)
{
  m->facts.code = 0;
  snprintf(m->facts.text, sizeof m->facts.text, "%s", text);
  probe_say(m, PROBE_FAILED, "%s", text);
  probe_fail(m, PROBE_REFUSES);
}

void probe_refuse(probe_machine *m, const fzr_stun_msg *msg)
{
  const unsigned code = fzr_stun_error_code(msg);
  fzr_stun_attr attr;
  if (!code) {
    refuse_answer(m, "an error without ERROR-CODE");
    return;
  }
  m->facts.code = code;
  probe_say(m, PROBE_FAILED, "%u (%s)", code, fzr_stun_error_reason(code));
  if (code == 300 && fzr_stun_get(msg, FZR_ATTR_ALTERNATE_SERVER, &attr))
    fzr_stun_attr_plain_addr(&attr, &m->facts.from);
  probe_fail(m, code == 300 ? PROBE_SENT_ON : code == 486 || code == 508 ? PROBE_FULL : PROBE_REFUSES);
}

/* The realm is shown. */
static void note_realm(probe_machine *m, const char *realm)
{
  snprintf(m->facts.realm, sizeof m->facts.realm, "%.120s", realm);
  for (char *p = m->facts.realm; *p; p++)
    if (*p < ' ' || *p > '~')
      *p = '?';
}

/* The relay has no address of the family that was asked for. */
static bool lacks_family(probe_machine *m, const fzr_stun_msg *msg)
{
  const unsigned code = msg->cls == FZR_STUN_ERROR ? fzr_stun_error_code(msg) : 0;
  if (code != 440)
    return false;
  probe_say(m, PROBE_SKIPPED, "440: the relay has no %s for this",
            m->plan.relayed == FZR_FAMILY_IPV6 ? "IPv6" : "IPv4");
  m->lacks_family = true;
  probe_finish(m);
  return true;
}

/* An allocation of client |c| is there. Returns whether it is of use. */
static bool take_allocation(probe_machine *m, unsigned c, const fzr_stun_msg *msg)
{
  probe_client *client = &m->clients[c];
  if (!fzr_stun_get_addr(msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &client->relayed)) {
    refuse_answer(m, "an allocation without XOR-RELAYED-ADDRESS");
    return false;
  }
  if (client->relayed.family != m->plan.relayed) {
    refuse_answer(m, "a relayed address of another family");
    return false;
  }
  fzr_stun_get_u32(msg, FZR_ATTR_LIFETIME, &client->lifetime);
  return true;
}

/* The first client has its allocation. */
static void begin_to_use(probe_machine *m, const fzr_stun_msg *msg)
{
  char text[FZR_ADDR_TEXT_MAX];
  fzr_addr seen;
  if (!take_allocation(m, 0, msg))
    return;
  m->facts.relayed = m->clients[0].relayed;
  probe_say(m, PROBE_OK, "relayed address %s for %u s", probe_addr_text(&m->facts.relayed, true, text),
            m->clients[0].lifetime);
  m->facts.from = (fzr_addr){.family = FZR_FAMILY_NONE};
  if (m->facts.mapped.family && fzr_stun_get_addr(msg, FZR_ATTR_XOR_MAPPED_ADDRESS, &seen) &&
      !fzr_addr_equal(&seen, &m->facts.mapped)) {
    m->facts.from = seen;
    probe_fail(m, PROBE_NAT);
    return;
  }
  const enum probe_fault fault = probe_judge_address(&m->facts);
  if (fault)
    probe_fail(m, fault);
  else
    probe_go(m, PROBE_STEP_PEER);
}

/* What an Allocate without a login gets: a challenge, or it is over. Returns whether client |c| is challenged now. */
static bool take_challenge(probe_machine *m, unsigned c, const fzr_stun_msg *msg)
{
  if (fzr_stun_error_code(msg) != 401) {
    probe_refuse(m, msg);
    return false;
  }
  m->facts.code = 401;
  m->exchange.len = 0;
  if (probe_client_challenge(&m->clients[c], msg))
    return true;
  probe_say(m, PROBE_FAILED, "401 without REALM and NONCE");
  probe_fail(m, PROBE_REFUSES);
  return false;
}

void probe_challenged(probe_machine *m, const fzr_stun_msg *msg)
{
  if (msg->cls == FZR_STUN_SUCCESS) {
    m->note = "it asks nobody to log in, so all the world relays by it";
    begin_to_use(m, msg);
    return;
  }
  if (lacks_family(m, msg) || !take_challenge(m, 0, msg))
    return;
  note_realm(m, m->clients[0].realm);
  probe_say(m, PROBE_OK, "wants a login, realm '%s'", m->facts.realm);
  m->tried = PROBE_LOGIN_PLAIN;
  probe_go(m, PROBE_STEP_ALLOCATE);
}

/* Why the credentials are none. */
static enum probe_fault why_refused(const probe_machine *m)
{
  const probe_facts *f = &m->facts;
  if (f->expiry && f->expiry < m->plan.unix_now)
    return PROBE_EXPIRED;
  return f->wanted[0] && strcmp(f->wanted, m->clients[0].realm) != 0 ? PROBE_REALM : PROBE_LOGIN;
}

/* The next credentials that may show why the ones before were refused. Returns whether there are any. */
static bool try_others(probe_machine *m)
{
  static const enum probe_login_kind next[] = {[PROBE_LOGIN_PLAIN] = PROBE_LOGIN_FAR,
                                               [PROBE_LOGIN_SECOND] = PROBE_LOGIN_FAR,
                                               [PROBE_LOGIN_FAR] = PROBE_LOGIN_OTHER};
  probe_login login;
  while (m->plan.is_made && m->tried != PROBE_LOGIN_OTHER) {
    m->tried = next[m->tried];
    if (m->ops.login(m->ops.ctx, m->tried, &login))
      return true;
  }
  return false;
}

/* 401 to a login. Another one comes from another port: to a second name from one, coturn (4.6.1) says 437, whether it is right or not. */
static void take_refused_login(probe_machine *m)
{
  m->exchange.len = 0;
  if (try_others(m)) {
    m->clients[0].challenged = false;
    probe_open(m, m->plan.transport);
    return;
  }
  probe_say(m, PROBE_FAILED, "401: the login is refused");
  probe_fail(m, why_refused(m));
}

void probe_allocated(probe_machine *m, const fzr_stun_msg *msg)
{
  void (*const again)(probe_machine * m) = probe_steps[PROBE_STEP_ALLOCATE].begin;
  if (!m->clients[0].challenged) { /* from another port */
    if (take_challenge(m, 0, msg))
      again(m);
    return;
  }
  if (!probe_is_answer(m, 0, msg, again) || lacks_family(m, msg))
    return;
  if (msg->cls == FZR_STUN_ERROR && fzr_stun_error_code(msg) == 401) {
    take_refused_login(m);
  } else if (msg->cls == FZR_STUN_ERROR) {
    probe_refuse(m, msg);
  } else if (m->tried == PROBE_LOGIN_PLAIN) {
    begin_to_use(m, msg);
  } else if (take_allocation(m, 0, msg)) {
    snprintf(m->facts.text, sizeof m->facts.text, "%s", m->plan.other);
    probe_say(m, PROBE_FAILED, "401: only another login of the same secret is taken");
    probe_fail(m, m->tried == PROBE_LOGIN_OTHER ? PROBE_SCHEME : PROBE_CLOCK);
  }
}

/* The second client's login is good for a shorter time, so it shows that the relay's clock is ahead. */
static void take_refused_second(probe_machine *m)
{
  m->facts.expiry = probe_expiry_of(m->clients[1].login.username);
  probe_say(m, PROBE_FAILED, "401: the second login is refused, as the first was not");
  probe_fail(m, m->plan.is_made ? PROBE_CLOCK : PROBE_LOGIN);
}

void probe_second_allocated(probe_machine *m, const fzr_stun_msg *msg)
{
  char text[FZR_ADDR_TEXT_MAX];
  void (*const again)(probe_machine * m) = probe_steps[PROBE_STEP_SECOND].begin;
  const bool asked_in = m->clients[1].challenged;
  const unsigned code = msg->cls == FZR_STUN_ERROR ? fzr_stun_error_code(msg) : 0;
  if (!probe_is_answer(m, 1, msg, again))
    return;
  if (code == 486 && m->facts.direct) {
    m->note =
        "a user may have one allocation here (486), so two of its clients were not tried with each other";
    m->facts.alone = true;
    probe_say(m, PROBE_SKIPPED, "486: this user may have no second one");
    probe_go(m, PROBE_STEP_END);
  } else if (code == 401 && asked_in) {
    take_refused_second(m);
  } else if (msg->cls == FZR_STUN_ERROR) {
    m->facts.second = true;
    if (take_challenge(m, 1, msg))
      again(m);
  } else if (take_allocation(m, 1, msg)) {
    probe_say(m, PROBE_OK, "relayed address %s", probe_addr_text(&m->clients[1].relayed, true, text));
    probe_go(m, PROBE_STEP_PERMISSION);
  }
}
