/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_PATIENCE       (3 * FZR_SECOND)
#define OPEN_PATIENCE_SHORT (1500 * FZR_MILLISECOND)

/* ---- from step to step ---- */

void probe_say(probe_machine *m, enum probe_mark mark, const char *format, ...)
{
  char text[PROBE_TEXT_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  m->ops.row(m->ops.ctx, mark, probe_steps[m->step].name, text, m->now - m->step_began);
}

void probe_go(probe_machine *m, enum probe_step step)
{
  m->exchange.len = 0;
  m->data.live = false;
  m->open_until = FZR_TIME_NEVER;
  m->icmp = m->garbage = false;
  m->step = step;
  m->step_began = m->now;
  m->facts.doing = probe_steps[step].name;
  probe_steps[step].begin(m);
}

void probe_finish(probe_machine *m)
{
  m->exchange.len = 0;
  m->data.live = false;
  m->open_until = FZR_TIME_NEVER;
  probe_give_back(m);
  m->done = true;
}

void probe_fail(probe_machine *m, enum probe_fault fault)
{
  m->fault = fault;
  probe_finish(m);
}

void probe_ask(probe_machine *m, size_t len, fzr_time patience)
{
  const enum probe_flow flow = probe_steps[m->step].flow;
  const bool is_stream = m->plan.transport != PROBE_UDP && (flow == PROBE_FLOW_A || flow == PROBE_FLOW_B);
  m->exchange.len = len;
  if (!len) {
    snprintf(m->facts.text, sizeof m->facts.text, "a request is too long");
    probe_fail(m, PROBE_OWN);
    return;
  }
  probe_exchange_start(&m->exchange, is_stream, patience, m->now);
}

void probe_open(probe_machine *m, probe_transport transport)
{
  const enum probe_flow flow = probe_steps[m->step].flow;
  const fzr_addr *to = flow != PROBE_FLOW_PEER         ? &m->plan.server
                       : m->plan.server_of_peer.family ? &m->plan.server_of_peer
                                                       : &m->clients[0].relayed;
  m->open_until = m->now + (flow == PROBE_FLOW_OTHER ? OPEN_PATIENCE_SHORT : OPEN_PATIENCE);
  m->ops.open(m->ops.ctx, flow, transport, to);
}

enum probe_fault probe_silence(const probe_machine *m)
{
  if (m->facts.answers_are_unsigned)
    return PROBE_UNSIGNED;
  if (m->garbage)
    return PROBE_NOT_STUN;
  if (m->icmp)
    return m->icmp_why == PROBE_FAILURE_REFUSED ? PROBE_NOTHING_LISTENS : PROBE_NO_ROUTE;
  return PROBE_NO_ANSWER;
}

/* ---- what happens ---- */

probe_machine *probe_machine_new(const probe_plan *plan, const probe_ops *ops)
{
  probe_machine *m = calloc(1, sizeof *m);
  if (!m)
    return NULL;
  m->plan = *plan;
  m->ops = *ops;
  m->facts.transport = plan->transport;
  m->facts.server = plan->server;
  m->facts.is_made = plan->is_made;
  snprintf(m->facts.wanted, sizeof m->facts.wanted, "%s", plan->realm);
  m->open_until = FZR_TIME_NEVER;
  return m;
}

void probe_machine_free(probe_machine *m)
{
  if (!m)
    return;
  explicit_bzero(m, sizeof *m);
  free(m);
}

void probe_machine_start(probe_machine *m, fzr_time now)
{
  m->now = now;
  m->end = now + PROBE_WHOLE_PATIENCE;
  probe_go(m, PROBE_STEP_CONNECT);
}

/* Sends what is due, and sees to what is over. */
void probe_machine_tick(probe_machine *m, fzr_time now)
{
  const probe_step_spec *s = &probe_steps[m->step];
  if (m->done)
    return;
  m->now = now;
  if (now >= m->end || now >= m->open_until || probe_exchange_is_over(&m->exchange, now) ||
      probe_data_is_over(&m->data, now)) {
    m->open_until = FZR_TIME_NEVER;
    const bool is_last = m->step == PROBE_STEP_END || m->step == PROBE_STEP_END_SECOND;
    s->over(m);
    if (!m->done && now >= m->end)
      probe_fail(m, m->pending || is_last ? m->pending : probe_silence(m));
    return;
  }
  if (probe_exchange_is_due(&m->exchange, now))
    m->ops.send(m->ops.ctx, s->flow, NULL, m->exchange.data, m->exchange.len);
  if (probe_data_is_due(&m->data, now))
    probe_send_round(m);
}

/* A step that has begun has something to send at once, and some end where they begin. */
static void go_on(probe_machine *m)
{
  for (unsigned i = 0; i < PROBE_STEPS && !m->done; i++) {
    const enum probe_step before = m->step;
    probe_machine_tick(m, m->now);
    if (m->step == before)
      return;
  }
}

/* Whether what happens now is of no use any more: then it ends all. */
static bool is_late(probe_machine *m, fzr_time now)
{
  if (m->done || now < m->end)
    return m->done;
  probe_machine_tick(m, now);
  return true;
}

void probe_machine_opened(probe_machine *m, enum probe_flow flow, const fzr_addr *local, fzr_time now)
{
  const probe_step_spec *s = &probe_steps[m->step];
  if (is_late(m, now) || m->open_until == FZR_TIME_NEVER || s->flow != flow)
    return;
  m->now = now;
  m->open_until = FZR_TIME_NEVER;
  if (flow == PROBE_FLOW_A)
    m->facts.local = *local;
  if (flow == PROBE_FLOW_PEER)
    m->peer_local = *local;
  s->opened(m);
  go_on(m);
}

static enum probe_fault fault_of(enum probe_failure why)
{
  switch (why) {
  case PROBE_FAILURE_REFUSED:
    return PROBE_NOTHING_LISTENS;
  case PROBE_FAILURE_UNREACHABLE:
    return PROBE_NO_ROUTE;
  case PROBE_FAILURE_NOT_STUN:
    return PROBE_NOT_STUN;
  case PROBE_FAILURE_TLS:
  case PROBE_FAILURE_CUT:
    return PROBE_NO_TLS;
  case PROBE_FAILURE_OWN:
    return PROBE_OWN;
  default:
    return PROBE_ANSWERS_STOP;
  }
}

/* An error of UDP may be about a datagram that somebody else has sent, so an answer may come yet. */
static void take_icmp(probe_machine *m, enum probe_failure why)
{
  const fzr_time soon = m->now + PROBE_PATIENCE_ICMP;
  m->icmp = true;
  m->icmp_why = why;
  if (m->exchange.len && soon < m->exchange.end)
    m->exchange.end = soon;
}

void probe_machine_failed(probe_machine *m, enum probe_flow flow, enum probe_failure why, const char *text,
                          fzr_time now)
{
  const probe_step_spec *s = &probe_steps[m->step];
  const bool opens = m->open_until != FZR_TIME_NEVER;
  if (is_late(m, now))
    return;
  m->now = now;
  if (flow == PROBE_FLOW_PEER && why != PROBE_FAILURE_OWN && m->data.live)
    m->facts.unreachable = true;
  if (s->flow != flow)
    return;
  if (flow != PROBE_FLOW_OTHER && flow != PROBE_FLOW_PEER)
    snprintf(m->facts.text, sizeof m->facts.text, "%s", text);
  if (!opens && m->plan.transport == PROBE_UDP &&
      (why == PROBE_FAILURE_REFUSED || why == PROBE_FAILURE_UNREACHABLE)) {
    take_icmp(m, why);
    return;
  }
  m->open_until = FZR_TIME_NEVER;
  if (flow == PROBE_FLOW_OTHER || flow == PROBE_FLOW_PEER) {
    if (opens || m->exchange.len)
      s->over(m);
  } else {
    m->pending = fault_of(why);
    m->facts.cut = why == PROBE_FAILURE_CUT;
    s->over(m);
  }
  go_on(m);
}

/* Data, of a channel or in an indication: whose is it? */
static void take_data(probe_machine *m, enum probe_flow flow, unsigned channel, const fzr_addr *peer,
                      const uint8_t *data, size_t len)
{
  const bool of_second = flow == PROBE_FLOW_A && (peer ? fzr_addr_equal(peer, &m->clients[1].relayed)
                                                       : channel == PROBE_CHANNEL_SECOND);
  const enum probe_way way = flow == PROBE_FLOW_B ? PROBE_THERE : of_second ? PROBE_BACK : PROBE_IN;
  if (way == PROBE_THERE && probe_data_is_other(&m->data, way, data, len))
    m->indicated = true;
  else if (probe_data_take(&m->data, way, data, len))
    m->facts.seen[way] = m->data.seen[way - m->data.first];
}

/* To the peer, from the relayed address, or so it should be. */
static void take_outside(probe_machine *m, const fzr_addr *from, const uint8_t *data, size_t len)
{
  if (!probe_data_take(&m->data, PROBE_OUT, data, len))
    return;
  m->facts.seen[PROBE_OUT] = m->data.seen[0];
  m->facts.from = *from;
}

static bool take_data_indication(probe_machine *m, enum probe_flow flow, const fzr_stun_msg *msg)
{
  fzr_addr peer;
  fzr_stun_attr attr;
  if (msg->cls != FZR_STUN_INDICATION || msg->method != FZR_STUN_DATA)
    return false;
  if (fzr_stun_get_addr(msg, FZR_ATTR_XOR_PEER_ADDRESS, &peer) && fzr_stun_get(msg, FZR_ATTR_DATA, &attr))
    take_data(m, flow, 0, &peer, attr.value, attr.len);
  return true;
}

static bool is_server(const probe_machine *m, enum probe_flow flow, const fzr_addr *from)
{
  const fzr_addr *server = flow == PROBE_FLOW_PEER ? &m->plan.server_of_peer : &m->plan.server;
  return from->port == server->port && probe_addr_same_ip(from, server);
}

static void take_answer(probe_machine *m, enum probe_flow flow, const fzr_addr *from, const fzr_stun_msg *msg)
{
  const probe_step_spec *s = &probe_steps[m->step];
  if (s->flow != flow || !s->answered || !probe_exchange_takes(&m->exchange, msg))
    return;
  if (is_server(m, flow, from)) {
    s->answered(m, msg);
  } else if (flow != PROBE_FLOW_PEER) {
    m->facts.from = *from;
    probe_say(m, PROBE_FAILED, "an answer from another address");
    probe_fail(m, PROBE_ELSEWHERE);
  }
}

void probe_machine_message(probe_machine *m, enum probe_flow flow, const fzr_addr *from, const uint8_t *data,
                           size_t len, fzr_time now)
{
  fzr_stun_msg msg;
  uint16_t channel, payload;
  if (is_late(m, now))
    return;
  m->now = now;
  if (fzr_stun_read(data, len, &msg) == FZR_DROP_NONE) {
    if (!take_data_indication(m, flow, &msg))
      take_answer(m, flow, from, &msg);
  } else if (flow == PROBE_FLOW_PEER) {
    take_outside(m, from, data, len);
  } else if (fzr_channel_data_read(data, len, &channel, &payload) == FZR_DROP_NONE) {
    take_data(m, flow, channel, NULL, data + FZR_CHANNEL_HEADER_LEN, payload);
  } else if (probe_steps[m->step].flow == flow) {
    m->garbage = true;
  }
  go_on(m);
}

fzr_time probe_machine_deadline(const probe_machine *m)
{
  const fzr_time x = probe_exchange_deadline(&m->exchange), d = probe_data_deadline(&m->data);
  fzr_time first = m->end;
  first = x < first ? x : first;
  first = d < first ? d : first;
  return m->open_until < first ? m->open_until : first;
}

/* ---- what came of it ---- */

bool probe_machine_is_done(const probe_machine *m)
{
  return m->done;
}

enum probe_fault probe_machine_fault(const probe_machine *m)
{
  return m->fault;
}

const probe_facts *probe_machine_facts(const probe_machine *m)
{
  return &m->facts;
}

bool probe_machine_lacks_family(const probe_machine *m)
{
  return m->lacks_family;
}

const char *probe_machine_note(const probe_machine *m)
{
  return m->note;
}

const char *probe_addr_text(const fzr_addr *addr, bool with_port, char out[FZR_ADDR_TEXT_MAX])
{
  out[0] = '\0';
  if (addr->family)
    fzr_addr_format(addr, with_port, out, FZR_ADDR_TEXT_MAX);
  return out;
}
