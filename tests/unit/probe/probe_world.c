/* SPDX-License-Identifier: Apache-2.0 */
#include "probe_world.h"

#include "testing.h"

#include <stdio.h>
#include <string.h>

#define REALM "example.org"

static fzr_addr addr(const char *text)
{
  fzr_addr a;
  ck_assert_int_eq(fzr_addr_parse(text, &a), 0);
  return a;
}

void world_init(world *w)
{
  *w = (world){.now = 1000 * FZR_SECOND, .logins = ~0u, .has_logins = ~0u, .random = 1, .port = 40000};
}

probe_plan world_plan(probe_transport transport)
{
  return (probe_plan){.server = addr("203.0.113.7:3478"),
                      .server_of_peer = addr("203.0.113.7:3478"),
                      .transport = transport,
                      .relayed = FZR_FAMILY_IPV4,
                      .is_made = true,
                      .other = "rest",
                      .unix_now = 1700000000};
}

static fzr_addr local_of(const world *w, enum probe_flow flow)
{
  fzr_addr a = addr(w->local ? w->local : "198.51.100.4");
  a.port = (uint16_t)(30000 + flow);
  return a;
}

static fzr_addr relayed_of(const world *w, enum probe_flow flow)
{
  fzr_addr a = addr(w->relayed ? w->relayed : "203.0.113.7");
  a.port = (uint16_t)(50000 + flow);
  return a;
}

static world_event *post(world *w, enum world_kind kind, enum probe_flow flow)
{
  ck_assert_uint_lt(w->event_count, WORLD_EVENTS);
  world_event *e = &w->events[w->event_count++];
  *e = (world_event){
      .at = w->now + (w->latency ? w->latency : 10 * FZR_MILLISECOND), .kind = kind, .flow = flow};
  return e;
}

static void post_message(world *w, enum probe_flow flow, const fzr_addr *from, const uint8_t *data,
                         size_t len)
{
  world_event *e = post(w, WORLD_MESSAGE, flow);
  e->from = *from;
  memcpy(e->data, data, len);
  e->len = len;
}

/* ---- what the machine does ---- */

static void on_open(void *ctx, enum probe_flow flow, probe_transport transport, const fzr_addr *to)
{
  world *w = ctx;
  (void)to;
  w->opened++;
  const bool refused = transport != PROBE_UDP && w->refused_transports & 1u << transport;
  if (transport != PROBE_UDP && w->lost_transports & 1u << transport)
    return;
  world_event *e = post(w, refused || w->open_fails ? WORLD_FAILED : WORLD_OPENED, flow);
  e->why = w->open_fails ? w->open_why : PROBE_FAILURE_REFUSED;
  e->from = local_of(w, flow);
}

static void on_send(void *ctx, enum probe_flow flow, const fzr_addr *to, const uint8_t *data, size_t len)
{
  world *w = ctx;
  world_event *e = post(w, WORLD_REQUEST, flow);
  ck_assert_uint_le(len, sizeof e->data);
  w->sent++;
  e->to = to ? *to : addr("203.0.113.7:3478");
  memcpy(e->data, data, len);
  e->len = len;
}

static void on_random(void *ctx, uint8_t *out, size_t len)
{
  world *w = ctx;
  for (size_t i = 0; i < len; i++) {
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    out[i] = (uint8_t)(w->random >> 56);
  }
}

static bool on_login(void *ctx, enum probe_login_kind kind, probe_login *out)
{
  const world *w = ctx;
  if (!(w->has_logins & 1u << kind))
    return false;
  *out = (probe_login){.has_key = false};
  snprintf(out->username, sizeof out->username, "1700003600:%u", (unsigned)kind);
  snprintf(out->password, sizeof out->password, "%s", "password");
  return true;
}

static void on_row(void *ctx, enum probe_mark mark, const char *step, const char *text, fzr_time took)
{
  static const char *const marks[] = {"ok", "fail", "skipped", "noted"};
  world *w = ctx;
  ck_assert(!strchr(text, '\n'));
  ck_assert_uint_le(took, PROBE_WHOLE_PATIENCE);
  ck_assert_uint_lt(w->row_count, WORLD_ROWS);
  snprintf(w->rows[w->row_count++], sizeof w->rows[0], "%s %s", marks[mark], step);
}

/* ---- what the relay does ---- */

typedef struct answer {
  fzr_stun_builder b;
  uint8_t data[1024];
} answer;

static void deliver(world *w, enum probe_flow flow, unsigned channel, const fzr_addr *peer,
                    const uint8_t *data, size_t len);

static void begin(answer *a, const fzr_stun_msg *msg, bool success)
{
  fzr_stun_build(&a->b, a->data, sizeof a->data, msg->method, success ? FZR_STUN_SUCCESS : FZR_STUN_ERROR,
                 fzr_stun_txid(msg));
}

static void finish(world *w, answer *a, const world_event *e, const uint8_t *key)
{
  const fzr_addr from = addr(w->answers_from_elsewhere ? "203.0.113.8:3478" : "203.0.113.7:3478");
  if (key && !w->unsigned_answers)
    fzr_stun_add_integrity(&a->b, key, FZR_STUN_KEY_LEN);
  const int len = fzr_stun_build_finish(&a->b);
  ck_assert_int_gt(len, 0);
  post_message(w, e->flow, &from, a->data, (size_t)len);
}

static void challenge(world *w, const fzr_stun_msg *msg, const world_event *e, unsigned code)
{
  answer a;
  begin(&a, msg, false);
  if (code) {
    fzr_stun_add_error(&a.b, code);
  } else { /* like a success, but for its class */
    const fzr_addr relayed = relayed_of(w, e->flow);
    fzr_stun_add_addr(&a.b, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed);
  }
  if (!w->no_realm && (code == 401 || code == 438)) {
    fzr_stun_add(&a.b, FZR_ATTR_REALM, REALM, strlen(REALM));
    fzr_stun_add(&a.b, FZR_ATTR_NONCE, "nonce", 5);
  }
  if (code == 300) {
    const fzr_addr other = addr("203.0.113.50:3478");
    fzr_stun_add_plain_addr(&a.b, FZR_ATTR_ALTERNATE_SERVER, &other);
  }
  finish(w, &a, e, NULL);
}

/* The kind of the login, out of its name; and the key. Returns whether it is right. */
static bool is_login(world *w, const fzr_stun_msg *msg, const world_event *e, uint8_t key[FZR_STUN_KEY_LEN])
{
  fzr_stun_attr name;
  ck_assert(fzr_stun_get(msg, FZR_ATTR_USERNAME, &name));
  const unsigned kind = (unsigned)(name.value[name.len - 1] - '0');
  ck_assert_uint_lt(kind, 4);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, name.value, name.len, REALM, "password", key);
  ck_assert(fzr_stun_verify(msg, key, FZR_STUN_KEY_LEN));
  w->kinds[e->flow] = (enum probe_login_kind)kind;
  return w->logins & 1u << kind;
}

static void succeed(world *w, const fzr_stun_msg *msg, const world_event *e, const uint8_t *key)
{
  answer a;
  fzr_addr mapped = local_of(w, e->flow), relayed = relayed_of(w, e->flow);
  if (w->moves_client)
    mapped.port = w->port++;
  begin(&a, msg, true);
  if (msg->method == FZR_STUN_ALLOCATE) {
    fzr_stun_add_addr(&a.b, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed);
    fzr_stun_add_u32(&a.b, FZR_ATTR_LIFETIME, 600);
    w->allocations |= 1u << e->flow;
  }
  if (msg->method == FZR_STUN_REFRESH)
    w->allocations &= ~(1u << e->flow);
  if (msg->method == FZR_STUN_ALLOCATE || msg->method == FZR_STUN_BINDING)
    fzr_stun_add_addr(&a.b, FZR_ATTR_XOR_MAPPED_ADDRESS, &mapped);
  finish(w, &a, e, key);
}

/* A Send indication of the first client to the second. */
static void indicate(world *w, const fzr_stun_msg *msg, const world_event *e)
{
  const fzr_addr from = relayed_of(w, PROBE_FLOW_A), to = relayed_of(w, PROBE_FLOW_B);
  fzr_addr peer;
  fzr_stun_attr data;
  ck_assert(e->flow == PROBE_FLOW_A && fzr_stun_get_addr(msg, FZR_ATTR_XOR_PEER_ADDRESS, &peer) &&
            fzr_addr_equal(&peer, &to) && fzr_stun_get(msg, FZR_ATTR_DATA, &data));
  if (!w->no_indications)
    deliver(w, PROBE_FLOW_B, 0x4000, &from, data.value, data.len);
}

static void serve(world *w, const fzr_stun_msg *msg, const world_event *e)
{
  uint8_t key[FZR_STUN_KEY_LEN];
  if (msg->cls == FZR_STUN_INDICATION) {
    indicate(w, msg, e);
    return;
  }
  w->requests++;
  if (msg->method == w->silent_method ||
      (msg->method == FZR_STUN_BINDING && e->flow == PROBE_FLOW_PEER && w->no_udp_binding))
    return;
  if (msg->method == FZR_STUN_BINDING) {
    succeed(w, msg, e, NULL);
    return;
  }
  if (w->open_to_all) {
    succeed(w, msg, e, NULL);
    return;
  }
  if (!fzr_stun_has(msg, FZR_ATTR_MESSAGE_INTEGRITY)) {
    challenge(w, msg, e, w->first_code ? w->first_code : 401);
    return;
  }
  const bool right = is_login(w, msg, e, key);
  if (w->stale) {
    w->stale--;
    challenge(w, msg, e, 438);
  } else if (!right) {
    challenge(w, msg, e, 401);
  } else if (msg->method == w->bad_method && e->flow == w->bad_flow) {
    challenge(w, msg, e, w->bad_code);
  } else {
    memset(key, w->other_key ? 0 : key[0], w->other_key ? sizeof key : 1);
    succeed(w, msg, e, key);
  }
}

static bool is_lost(const world *w, enum probe_way way, size_t len)
{
  return w->lost_ways & 1u << way || (w->lost_large & 1u << way && len > 1000);
}

static void deliver(world *w, enum probe_flow flow, unsigned channel, const fzr_addr *peer,
                    const uint8_t *data, size_t len)
{
  const fzr_addr server = addr("203.0.113.7:3478");
  uint8_t out[1500];
  answer a;
  if (w->in_indications) {
    fzr_stun_build(&a.b, out, sizeof out, FZR_STUN_DATA, FZR_STUN_INDICATION,
                   (const uint8_t *)"transaction!");
    fzr_stun_add_addr(&a.b, FZR_ATTR_XOR_PEER_ADDRESS, peer);
    fzr_stun_add(&a.b, FZR_ATTR_DATA, data, len);
    post_message(w, flow, &server, out, (size_t)fzr_stun_build_finish(&a.b));
    return;
  }
  fzr_channel_data_header(out, (uint16_t)channel, (uint16_t)len);
  memcpy(out + FZR_CHANNEL_HEADER_LEN, data, len);
  post_message(w, flow, &server, out, FZR_CHANNEL_HEADER_LEN + len);
}

/* ChannelData of a client. */
static void relay(world *w, const world_event *e, unsigned channel, const uint8_t *data, size_t len)
{
  fzr_addr from = relayed_of(w, e->flow);
  if (e->flow == PROBE_FLOW_A && channel == 0x4000) {
    from.port = (uint16_t)(from.port + w->moves_source);
    if (!is_lost(w, PROBE_OUT, len))
      post_message(w, PROBE_FLOW_PEER, &from, data, len);
  } else if (e->flow == PROBE_FLOW_A) {
    if (!is_lost(w, PROBE_THERE, len))
      deliver(w, PROBE_FLOW_B, 0x4000, &from, data, len);
  } else if (!is_lost(w, PROBE_BACK, len)) {
    deliver(w, PROBE_FLOW_A, 0x4001, &from, data, len);
  }
}

static void arrive(world *w, const world_event *e, const probe_plan *plan)
{
  const fzr_addr relayed = relayed_of(w, PROBE_FLOW_A), peer = local_of(w, PROBE_FLOW_PEER);
  const bool over_udp = plan->transport == PROBE_UDP || e->flow >= PROBE_FLOW_PEER;
  fzr_stun_msg msg;
  uint16_t channel, len;
  if (e->flow == PROBE_FLOW_PEER && fzr_addr_equal(&e->to, &relayed)) {
    if (!is_lost(w, PROBE_IN, e->len))
      deliver(w, PROBE_FLOW_A, 0x4000, &peer, e->data, e->len);
    return;
  }
  if (over_udp && w->lost_transports & 1u << PROBE_UDP)
    return;
  if (over_udp && w->refused_transports & 1u << PROBE_UDP) {
    post(w, WORLD_FAILED, e->flow)->why = PROBE_FAILURE_REFUSED;
    return;
  }
  if (fzr_stun_read(e->data, e->len, &msg) == FZR_DROP_NONE)
    serve(w, &msg, e);
  else if (fzr_channel_data_read(e->data, e->len, &channel, &len) == FZR_DROP_NONE)
    relay(w, e, channel, e->data + FZR_CHANNEL_HEADER_LEN, len);
}

/* The next event that is due at |until|, at the latest. Returns whether there was one. */
static bool take_event(world *w, fzr_time until, world_event *out)
{
  size_t first = w->event_count;
  for (size_t i = 0; i < w->event_count; i++)
    if (w->events[i].at <= until && (first == w->event_count || w->events[i].at < w->events[first].at))
      first = i;
  if (first == w->event_count)
    return false;
  *out = w->events[first];
  memmove(&w->events[first], &w->events[first + 1], (--w->event_count - first) * sizeof *w->events);
  return true;
}

static void happen(world *w, const world_event *e, const probe_plan *plan)
{
  switch (e->kind) {
  case WORLD_OPENED:
    probe_machine_opened(w->m, e->flow, &e->from, w->now);
    break;
  case WORLD_FAILED:
    probe_machine_failed(w->m, e->flow, e->why, "a failure", w->now);
    break;
  case WORLD_REQUEST:
    arrive(w, e, plan);
    break;
  default:
    probe_machine_message(w->m, e->flow, &e->from, e->data, e->len, w->now);
  }
}

void world_run(world *w, const probe_plan *plan)
{
  static world_event e;
  const probe_ops ops = {w, on_open, on_send, on_random, on_login, on_row};
  const fzr_time began = w->now;
  w->m = probe_machine_new(plan, &ops);
  ck_assert_ptr_nonnull(w->m);
  probe_machine_start(w->m, w->now);
  while (!probe_machine_is_done(w->m)) {
    const fzr_time deadline = probe_machine_deadline(w->m);
    ck_assert_uint_le(deadline, began + PROBE_WHOLE_PATIENCE);
    const bool happens = take_event(w, deadline, &e);
    ck_assert(happens || deadline >= w->now);
    w->now = happens ? e.at : deadline;
    if (happens)
      happen(w, &e, plan);
    else
      probe_machine_tick(w->m, w->now);
  }
  w->took = w->now - began;
  /* What was sent last may be what gives the allocations back. */
  while (take_event(w, UINT64_MAX, &e))
    if (e.kind == WORLD_REQUEST)
      arrive(w, &e, plan);
  w->fault = probe_machine_fault(w->m);
  w->facts = *probe_machine_facts(w->m);
  w->lacks_family = probe_machine_lacks_family(w->m);
  w->note = probe_machine_note(w->m);
  probe_machine_free(w->m);
}
