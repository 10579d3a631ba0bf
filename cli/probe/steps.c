/* SPDX-License-Identifier: Apache-2.0 */
/* What begins each step, and what its end means. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define CHANNEL(number) ((uint32_t)(number) << 16)

/* ---- what steps have in common ---- */

/* A request that has one peer at the most; |channel| 0: none. */
static void ask_of_peer(probe_machine *m, unsigned c, uint16_t method, unsigned channel, const fzr_addr *peer)
{
  probe_exchange *x = &m->exchange;
  fzr_stun_builder b;
  m->ops.random(m->ops.ctx, x->txid, sizeof x->txid);
  probe_request_begin(&b, x->data, sizeof x->data, method, x->txid);
  if (channel)
    fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, CHANNEL(channel));
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, peer);
  probe_ask(m, probe_request_end(&b, &m->clients[c]), PROBE_PATIENCE);
}

static void ask_binding(probe_machine *m, fzr_time patience)
{
  static const probe_client nobody;
  probe_exchange *x = &m->exchange;
  fzr_stun_builder b;
  m->ops.random(m->ops.ctx, x->txid, sizeof x->txid);
  probe_request_begin(&b, x->data, sizeof x->data, FZR_STUN_BINDING, x->txid);
  probe_ask(m, probe_request_end(&b, &nobody), patience);
}

static const char *of_silence(enum probe_fault fault)
{
  switch (fault) {
  case PROBE_NOTHING_LISTENS:
    return "nothing listens there";
  case PROBE_NO_ROUTE:
    return "it can't be reached";
  case PROBE_NOT_STUN:
    return "no answer to STUN";
  case PROBE_UNSIGNED:
    return "the answers are not signed with this login";
  case PROBE_OWN:
  case PROBE_NO_TLS:
    return "failed";
  default:
    return "no answer";
  }
}

/* No answer to what follows the first one: those before have come. */
static void on_silence(probe_machine *m)
{
  enum probe_fault fault = m->pending ? m->pending : probe_silence(m);
  if (fault == PROBE_NO_ANSWER)
    fault = PROBE_ANSWERS_STOP;
  probe_say(m, PROBE_FAILED, "%s", of_silence(fault));
  probe_fail(m, fault);
}

/* ---- the way to the relay ---- */

/* What is unknown by itself is looked at over another transport. */
static void on_unreached(probe_machine *m, enum probe_fault fault)
{
  probe_say(m, PROBE_FAILED, "%s", fault == PROBE_NO_TLS ? m->facts.text : of_silence(fault));
  m->pending = fault;
  if (fault == PROBE_NO_ANSWER || fault == PROBE_NOTHING_LISTENS)
    probe_go(m, PROBE_STEP_OTHER);
  else
    probe_fail(m, fault);
}

static void connect_begin(probe_machine *m)
{
  probe_open(m, m->plan.transport);
}

static void connect_opened(probe_machine *m)
{
  char text[FZR_ADDR_TEXT_MAX];
  if (m->plan.transport != PROBE_UDP)
    probe_say(m, PROBE_OK, "%s from %s", probe_transport_name(m->plan.transport),
              probe_addr_text(&m->facts.local, true, text));
  probe_go(m, PROBE_STEP_BINDING);
}

static void connect_over(probe_machine *m)
{
  on_unreached(m, m->pending == PROBE_ANSWERS_STOP ? PROBE_NOT_STUN
                  : m->pending                     ? m->pending
                                                   : PROBE_NO_ANSWER);
}

static void binding_begin(probe_machine *m)
{
  ask_binding(m, PROBE_PATIENCE);
}

static void binding_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  char text[FZR_ADDR_TEXT_MAX];
  const unsigned code = msg->cls == FZR_STUN_ERROR ? fzr_stun_error_code(msg) : 0;
  if (msg->cls == FZR_STUN_ERROR && m->plan.stun_only) {
    probe_refuse(m, msg);
    return;
  }
  if (msg->cls == FZR_STUN_ERROR)
    probe_say(m, PROBE_NOTED, "refused: %u", code);
  else if (fzr_stun_get_addr(msg, FZR_ATTR_XOR_MAPPED_ADDRESS, &m->facts.mapped))
    probe_say(m, PROBE_OK, "this host is seen as %s%s", probe_addr_text(&m->facts.mapped, true, text),
              probe_addr_same_ip(&m->facts.mapped, &m->facts.local) ? "" : ", by a NAT");
  else
    probe_say(m, PROBE_NOTED, "an answer without XOR-MAPPED-ADDRESS");
  if (m->plan.stun_only)
    probe_finish(m);
  else
    probe_go(m, PROBE_STEP_CHALLENGE);
}

/* What has taken the connection, and closes it, or waits for something else, is no STUN server. */
static void binding_over(probe_machine *m)
{
  const bool is_silent = !m->pending && probe_silence(m) == PROBE_NO_ANSWER;
  if (m->pending == PROBE_ANSWERS_STOP || (is_silent && m->plan.transport != PROBE_UDP))
    m->pending = PROBE_NOT_STUN;
  on_unreached(m, m->pending ? m->pending : probe_silence(m));
}

/* ---- allocations ---- */

static void challenge_begin(probe_machine *m)
{
  probe_ask_allocation(m, 0);
}

static void challenge_over(probe_machine *m)
{
  if (!m->pending && probe_silence(m) == PROBE_NO_ANSWER)
    m->pending = PROBE_NO_TURN;
  on_silence(m);
}

static void allocate_begin(probe_machine *m)
{
  probe_login login;
  if (!m->ops.login(m->ops.ctx, m->tried, &login)) {
    snprintf(m->facts.text, sizeof m->facts.text, "there are no credentials");
    probe_fail(m, PROBE_OWN);
    return;
  }
  if (m->tried == PROBE_LOGIN_PLAIN)
    m->facts.expiry = probe_expiry_of(login.username);
  probe_client_log_in(&m->clients[0], &login);
  explicit_bzero(&login, sizeof login);
  probe_ask_allocation(m, 0);
}

/* From another port. */
static void allocate_opened(probe_machine *m)
{
  probe_ask_allocation(m, 0);
}

static void second_connect_begin(probe_machine *m)
{
  probe_open(m, m->plan.transport);
}

static void second_connect_opened(probe_machine *m)
{
  probe_login login;
  if (m->ops.login(m->ops.ctx, PROBE_LOGIN_SECOND, &login) ||
      m->ops.login(m->ops.ctx, PROBE_LOGIN_PLAIN, &login))
    probe_client_log_in(&m->clients[1], &login);
  explicit_bzero(&login, sizeof login);
  probe_go(m, PROBE_STEP_SECOND);
}

static void second_begin(probe_machine *m)
{
  probe_ask_allocation(m, 1);
}

/* ---- a peer that is no client of the relay ---- */

static void peer_begin(probe_machine *m)
{
  probe_open(m, PROBE_UDP);
}

/* On an address of its own a relay may let users reach its ports for allocations alone: whether it refuses this peer would be for the port
 * that the kernel has picked. On loopback it would not. */
static bool is_relays_own(const probe_machine *m, const fzr_addr *peer)
{
  return !probe_addr_is_loopback(peer) &&
         (probe_addr_same_ip(peer, &m->clients[0].relayed) || probe_addr_same_ip(peer, &m->plan.server) ||
          probe_addr_same_ip(peer, &m->plan.server_of_peer));
}

static void peer_known(probe_machine *m, const fzr_addr *peer)
{
  char text[FZR_ADDR_TEXT_MAX];
  m->peer = *peer;
  m->at_relay = is_relays_own(m, peer);
  if (m->at_relay) {
    probe_say(m, PROBE_SKIPPED, "not tried: this host has the relay's address %s",
              probe_addr_text(peer, false, text));
    probe_go(m, PROBE_STEP_SECOND_CONNECT);
    return;
  }
  probe_say(m, PROBE_OK, "another socket of this host, seen as %s", probe_addr_text(peer, true, text));
  probe_go(m, PROBE_STEP_PEER_CHANNEL);
}

/* Without an answer, the peer's own address is known if there is no NAT. */
static void peer_over(probe_machine *m)
{
  const probe_facts *f = &m->facts;
  const bool no_nat = f->mapped.family && probe_addr_same_ip(&f->mapped, &f->local);
  if (no_nat && m->peer_local.family && m->peer_local.family == m->clients[0].relayed.family) {
    peer_known(m, &m->peer_local);
    return;
  }
  probe_say(m, PROBE_SKIPPED, "this host has no address of its own for it that the relay could reach");
  probe_go(m, PROBE_STEP_SECOND_CONNECT);
}

static void peer_opened(probe_machine *m)
{
  if (m->plan.server_of_peer.family == m->clients[0].relayed.family)
    ask_binding(m, PROBE_PATIENCE_SHORT);
  else
    peer_over(m);
}

static void peer_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  fzr_addr seen;
  if (msg->cls == FZR_STUN_SUCCESS && fzr_stun_get_addr(msg, FZR_ATTR_XOR_MAPPED_ADDRESS, &seen) &&
      seen.family == m->clients[0].relayed.family)
    peer_known(m, &seen);
  else
    peer_over(m);
}

static void peer_channel_begin(probe_machine *m)
{
  ask_of_peer(m, 0, FZR_STUN_CHANNEL_BIND, PROBE_CHANNEL_PEER, &m->peer);
}

static void peer_channel_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  char text[FZR_ADDR_TEXT_MAX];
  if (!probe_is_answer(m, 0, msg, peer_channel_begin))
    return;
  if (msg->cls == FZR_STUN_SUCCESS) {
    probe_say(m, PROBE_OK, "bound to it");
    probe_go(m, PROBE_STEP_DIRECT);
  } else if (fzr_stun_error_code(msg) == 403) {
    m->peer_refused = true;
    probe_say(m, PROBE_NOTED, "403: the relay does not let users reach %s",
              probe_addr_text(&m->peer, false, text));
    probe_go(m, PROBE_STEP_SECOND_CONNECT);
  } else {
    probe_refuse(m, msg);
  }
}

static void direct_begin(probe_machine *m)
{
  uint8_t token[PROBE_TOKEN];
  m->ops.random(m->ops.ctx, token, sizeof token);
  m->facts.direct = true;
  probe_data_start(&m->data, PROBE_OUT, token, m->now);
}

/* What came of data, of which the first way is called |one| and the other |other|. */
static void say_data(probe_machine *m, enum probe_fault fault, const char *one, const char *other)
{
  const unsigned *seen = m->data.seen;
  static const char *const what[] = {"nothing", "short packets alone", "long packets alone", "all"};
  if (fault)
    probe_say(m, PROBE_FAILED, "%s: %s came; %s: %s", one, what[seen[0]], other, what[seen[1]]);
  else
    probe_say(m, PROBE_OK, "%s and %s, up to %u bytes", one, other, PROBE_LARGE_BYTES);
}

static void direct_over(probe_machine *m)
{
  const enum probe_fault fault = m->pending ? m->pending : probe_judge_direct(&m->facts);
  say_data(m, fault, "to the peer", "from it");
  if (fault)
    probe_fail(m, fault);
  else
    probe_go(m, PROBE_STEP_SECOND_CONNECT);
}

/* ---- two clients of the relay ---- */

/* Its rules are against a relayed address of its own; or a login's second allocation has ended the first. */
static bool take_refused_peer(probe_machine *m, const fzr_stun_msg *msg, const fzr_addr *peer)
{
  const unsigned code = msg->cls == FZR_STUN_ERROR ? fzr_stun_error_code(msg) : 0;
  if (code == 403) {
    m->facts.peer = *peer;
    m->facts.code = code;
    probe_say(m, PROBE_FAILED, "403");
    probe_fail(m, PROBE_PEERS);
  } else if (code == 437) {
    m->note = "a user has one allocation here, which a second one ends, so two of its clients were not "
              "tried with each other";
    probe_say(m, PROBE_SKIPPED, "437: the second allocation has ended the first");
    m->clients[0].relayed.family = FZR_FAMILY_NONE;
    probe_go(m, PROBE_STEP_END);
  }
  return code == 403 || code == 437;
}

static void permission_begin(probe_machine *m)
{
  ask_of_peer(m, 0, FZR_STUN_CREATE_PERMISSION, 0, &m->clients[1].relayed);
}

static void permission_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  if (!probe_is_answer(m, 0, msg, permission_begin) || take_refused_peer(m, msg, &m->clients[1].relayed))
    return;
  if (msg->cls == FZR_STUN_ERROR)
    probe_say(m, PROBE_NOTED,
              "%u: there are channels alone; browsers need permissions, too (--relay-mode full)",
              fzr_stun_error_code(msg));
  else
    probe_say(m, PROBE_OK, "granted");
  probe_go(m, PROBE_STEP_CHANNEL);
}

static void channel_begin(probe_machine *m)
{
  ask_of_peer(m, 0, FZR_STUN_CHANNEL_BIND, PROBE_CHANNEL_SECOND, &m->clients[1].relayed);
}

/* The channel of client |c| to |peer|. */
static void take_channel(probe_machine *m, unsigned c, const fzr_stun_msg *msg, const fzr_addr *peer,
                         void (*begin)(probe_machine *m), enum probe_step next)
{
  if (!probe_is_answer(m, c, msg, begin) || take_refused_peer(m, msg, peer))
    return;
  if (msg->cls == FZR_STUN_ERROR) {
    probe_refuse(m, msg);
    return;
  }
  probe_say(m, PROBE_OK, c ? "from the second to the first" : "from the first to the second");
  probe_go(m, next);
}

static void channel_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  take_channel(m, 0, msg, &m->clients[1].relayed, channel_begin, PROBE_STEP_CHANNEL_BACK);
}

static void channel_back_begin(probe_machine *m)
{
  ask_of_peer(m, 1, FZR_STUN_CHANNEL_BIND, PROBE_CHANNEL_FIRST, &m->clients[0].relayed);
}

static void channel_back_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  take_channel(m, 1, msg, &m->clients[0].relayed, channel_back_begin, PROBE_STEP_RELAYED);
}

static void relayed_begin(probe_machine *m)
{
  uint8_t token[PROBE_TOKEN];
  m->ops.random(m->ops.ctx, token, sizeof token);
  m->facts.second = true;
  probe_data_start(&m->data, PROBE_THERE, token, m->now);
}

static void relayed_over(probe_machine *m)
{
  const enum probe_fault fault = m->pending ? m->pending : probe_judge_second(&m->facts);
  say_data(m, fault, "there", "back");
  if (fault)
    probe_fail(m, fault);
  else
    probe_go(m, PROBE_STEP_END);
}

/* ---- data ---- */

/* On |channel| of client |c|. */
static void send_on_channel(probe_machine *m, unsigned c, unsigned channel, enum probe_way way, unsigned size)
{
  uint8_t message[FZR_CHANNEL_HEADER_LEN + PROBE_LARGE_BYTES];
  const size_t len = probe_data_make(&m->data, way, size, message + FZR_CHANNEL_HEADER_LEN);
  fzr_channel_data_header(message, (uint16_t)channel, (uint16_t)len);
  m->ops.send(m->ops.ctx, c ? PROBE_FLOW_B : PROBE_FLOW_A, NULL, message, FZR_CHANNEL_HEADER_LEN + len);
}

static void send_from_peer(probe_machine *m, unsigned size)
{
  uint8_t data[PROBE_LARGE_BYTES];
  const size_t len = probe_data_make(&m->data, PROBE_IN, size, data);
  m->ops.send(m->ops.ctx, PROBE_FLOW_PEER, &m->clients[0].relayed, data, len);
}

/* Of the first client to the second. It goes in front of the rest of the round, so it is lost if that comes and it does not. */
static void send_indication(probe_machine *m)
{
  uint8_t message[FZR_STUN_HEADER_LEN + 64 + PROBE_LARGE_BYTES], data[PROBE_LARGE_BYTES],
      txid[FZR_STUN_TXID_LEN];
  const size_t len = probe_data_make_other(&m->data, PROBE_THERE, data);
  fzr_stun_builder b;
  m->ops.random(m->ops.ctx, txid, sizeof txid);
  fzr_stun_build(&b, message, sizeof message, FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &m->clients[1].relayed);
  fzr_stun_add(&b, FZR_ATTR_DATA, data, len);
  const int built = fzr_stun_build_finish(&b);
  if (built > 0)
    m->ops.send(m->ops.ctx, PROBE_FLOW_A, NULL, message, (size_t)built);
}

/* The peer first: so a NAT or firewall in front of this host lets the relay's data in. */
void probe_send_round(probe_machine *m)
{
  if (m->data.first == PROBE_THERE && !m->indicated)
    send_indication(m);
  for (unsigned size = 0; size < PROBE_SIZES; size++) {
    if (m->data.first == PROBE_OUT) {
      if (probe_data_is_missing(&m->data, PROBE_IN, size))
        send_from_peer(m, size);
      if (probe_data_is_missing(&m->data, PROBE_OUT, size))
        send_on_channel(m, 0, PROBE_CHANNEL_PEER, PROBE_OUT, size);
    } else {
      if (probe_data_is_missing(&m->data, PROBE_THERE, size))
        send_on_channel(m, 0, PROBE_CHANNEL_SECOND, PROBE_THERE, size);
      if (probe_data_is_missing(&m->data, PROBE_BACK, size))
        send_on_channel(m, 1, PROBE_CHANNEL_FIRST, PROBE_BACK, size);
    }
  }
}

/* ---- the end ---- */

static size_t build_end(probe_machine *m, unsigned c, uint8_t *out, size_t cap, uint8_t *txid)
{
  fzr_stun_builder b;
  m->ops.random(m->ops.ctx, txid, FZR_STUN_TXID_LEN);
  probe_request_begin(&b, out, cap, FZR_STUN_REFRESH, txid);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 0);
  return probe_request_end(&b, &m->clients[c]);
}

void probe_give_back(probe_machine *m)
{
  uint8_t data[PROBE_REQUEST_MAX], txid[FZR_STUN_TXID_LEN];
  for (unsigned c = 0; c < PROBE_CLIENTS; c++) {
    const size_t len = m->clients[c].relayed.family ? build_end(m, c, data, sizeof data, txid) : 0;
    if (len)
      m->ops.send(m->ops.ctx, c ? PROBE_FLOW_B : PROBE_FLOW_A, NULL, data, len);
    m->clients[c].relayed.family = FZR_FAMILY_NONE;
  }
}

/* After the last step: a peer that this relay refuses, though it is one like its own address. */
static void end_all(probe_machine *m)
{
  m->pending = PROBE_WORKS;
  if (m->peer_refused && probe_addr_is_public(&m->peer) == probe_addr_is_public(&m->facts.relayed)) {
    m->facts.peer = m->peer;
    m->facts.code = 403;
    probe_fail(m, PROBE_PEERS);
    return;
  }
  if (m->peer_refused)
    m->note = "the relay does not let users reach private addresses such as this host's, so whether peers "
              "reach its range "
              "of ports was not tried: probe from outside, too";
  else if (m->at_relay)
    m->note = "whether peers reach its range of ports was not tried from this host, which has the relay's "
              "address: probe from outside, too";
  else if (!m->note && m->facts.seen[PROBE_THERE] && !m->indicated)
    m->note = "Send indications do not come through, which browsers need until they have a channel "
              "(--relay-mode full)";
  else if (!m->note && !m->facts.direct)
    m->note = "whether peers reach its range of ports was not tried: probe it over UDP, too";
  probe_finish(m);
}

static void end_begin_of(probe_machine *m, unsigned c)
{
  probe_exchange *x = &m->exchange;
  probe_ask(m, build_end(m, c, x->data, sizeof x->data, x->txid), PROBE_PATIENCE_SHORT);
}

static void end_over_second(probe_machine *m)
{
  m->clients[1].relayed.family = FZR_FAMILY_NONE;
  end_all(m);
}

static void end_second_begin(probe_machine *m)
{
  if (m->clients[1].relayed.family)
    end_begin_of(m, 1);
  else
    end_all(m);
}

static void end_over(probe_machine *m)
{
  m->pending = PROBE_WORKS;
  m->clients[0].relayed.family = FZR_FAMILY_NONE;
  probe_go(m, PROBE_STEP_END_SECOND);
}

static void end_begin(probe_machine *m)
{
  if (m->clients[0].relayed.family)
    end_begin_of(m, 0);
  else
    end_over(m);
}

static void end_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  if (!probe_is_answer(m, 0, msg, end_begin))
    return;
  probe_say(m, PROBE_OK, "the allocation is given back");
  end_over(m);
}

static void end_second_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  if (probe_is_answer(m, 1, msg, end_second_begin))
    end_over_second(m);
}

/* ---- over another transport ---- */

static void other_begin(probe_machine *m)
{
  probe_open(m, m->plan.transport == PROBE_UDP ? PROBE_TCP : PROBE_UDP);
}

static void other_done(probe_machine *m, bool works)
{
  m->facts.other_works = works;
  probe_say(m, works ? PROBE_OK : PROBE_FAILED, "%s to the same port is %sanswered",
            m->plan.transport == PROBE_UDP ? "TCP" : "UDP", works ? "" : "not ");
  probe_fail(m, m->pending);
}

static void other_opened(probe_machine *m)
{
  if (m->plan.transport == PROBE_UDP)
    other_done(m, true);
  else
    ask_binding(m, PROBE_PATIENCE_SHORT);
}

static void other_answered(probe_machine *m, const fzr_stun_msg *msg)
{
  (void)msg;
  other_done(m, true);
}

static void other_over(probe_machine *m)
{
  other_done(m, false);
}

const probe_step_spec probe_steps[PROBE_STEPS] = {
    [PROBE_STEP_CONNECT] = {"connection", PROBE_FLOW_A, connect_begin, connect_opened, NULL, connect_over},
    [PROBE_STEP_BINDING] = {"Binding", PROBE_FLOW_A, binding_begin, NULL, binding_answered, binding_over},
    [PROBE_STEP_CHALLENGE] = {"Allocate", PROBE_FLOW_A, challenge_begin, NULL, probe_challenged,
                              challenge_over},
    [PROBE_STEP_ALLOCATE] = {"login", PROBE_FLOW_A, allocate_begin, allocate_opened, probe_allocated,
                             on_silence},
    [PROBE_STEP_PEER] = {"peer", PROBE_FLOW_PEER, peer_begin, peer_opened, peer_answered, peer_over},
    [PROBE_STEP_PEER_CHANNEL] = {"channel", PROBE_FLOW_A, peer_channel_begin, NULL, peer_channel_answered,
                                 on_silence},
    [PROBE_STEP_DIRECT] = {"data", PROBE_FLOW_A, direct_begin, NULL, NULL, direct_over},
    [PROBE_STEP_SECOND_CONNECT] = {"second connection", PROBE_FLOW_B, second_connect_begin,
                                   second_connect_opened, NULL, on_silence},
    [PROBE_STEP_SECOND] = {"second client", PROBE_FLOW_B, second_begin, NULL, probe_second_allocated,
                           on_silence},
    [PROBE_STEP_PERMISSION] = {"permission", PROBE_FLOW_A, permission_begin, NULL, permission_answered,
                               on_silence},
    [PROBE_STEP_CHANNEL] = {"channel", PROBE_FLOW_A, channel_begin, NULL, channel_answered, on_silence},
    [PROBE_STEP_CHANNEL_BACK] = {"channel", PROBE_FLOW_B, channel_back_begin, NULL, channel_back_answered,
                                 on_silence},
    [PROBE_STEP_RELAYED] = {"data", PROBE_FLOW_A, relayed_begin, NULL, NULL, relayed_over},
    [PROBE_STEP_END] = {"end", PROBE_FLOW_A, end_begin, NULL, end_answered, end_over},
    [PROBE_STEP_END_SECOND] = {"end", PROBE_FLOW_B, end_second_begin, NULL, end_second_answered,
                               end_over_second},
    [PROBE_STEP_OTHER] = {"other transport", PROBE_FLOW_OTHER, other_begin, other_opened, other_answered,
                          other_over},
};
