/* SPDX-License-Identifier: Apache-2.0 */
/* A relay that answers a probe with anything at any time. The input is a list of what happens: a byte says what, the next where, and more follows. Whatever
 * it is, the probe ends by itself within its nine seconds, sends little, says only what is one line, and never asks for what it has not got. */
#include "fuzz.h"

#include "probe/machine.h"

#define REALM     "realm"
#define SENT_MOST 200u

typedef struct world {
  fuzz_input in;
  probe_machine *m;
  fzr_time now, began;
  unsigned sent, opened;
  uint8_t request[PROBE_REQUEST_MAX]; /* the last one that was sent, */
  size_t request_len;
  uint8_t data[1500]; /* and the last data */
  size_t data_len;
  uint8_t random;
} world;

static void on_open(void *ctx, enum probe_flow flow, probe_transport transport, const fzr_addr *to)
{
  world *w = ctx;
  FUZZ_CHECK(flow < PROBE_FLOWS && transport <= PROBE_TLS && to->family != FZR_FAMILY_NONE);
  w->opened++;
}

static void on_send(void *ctx, enum probe_flow flow, const fzr_addr *to, const uint8_t *data, size_t len)
{
  world *w = ctx;
  fzr_stun_msg msg;
  (void)to;
  FUZZ_CHECK(flow < PROBE_FLOWS && len > 0 && len <= PROBE_REQUEST_MAX);
  FUZZ_CHECK(++w->sent <= SENT_MOST);
  if (fzr_stun_read(data, len, &msg) == FZR_DROP_NONE) {
    FUZZ_CHECK(msg.cls == FZR_STUN_REQUEST || msg.method == FZR_STUN_SEND);
    w->request_len = msg.cls == FZR_STUN_REQUEST ? len : w->request_len;
    memcpy(w->request, data, msg.cls == FZR_STUN_REQUEST ? len : 0);
  } else {
    FUZZ_CHECK(len <= sizeof w->data);
    memcpy(w->data, data, len);
    w->data_len = len;
  }
}

static void on_random(void *ctx, uint8_t *out, size_t len)
{
  world *w = ctx;
  for (size_t i = 0; i < len; i++)
    out[i] = w->random = (uint8_t)(w->random * 5 + 113);
}

static bool on_login(void *ctx, enum probe_login_kind kind, probe_login *out)
{
  (void)ctx;
  *out = (probe_login){.username = "1700000000:u", .password = "p"};
  return kind != PROBE_LOGIN_SECOND;
}

static void on_row(void *ctx, enum probe_mark mark, const char *step, const char *text, fzr_time took)
{
  (void)ctx;
  FUZZ_CHECK(mark <= PROBE_NOTED && *step && took <= PROBE_WHOLE_PATIENCE + FZR_SECOND);
  for (; *text; text++)
    FUZZ_CHECK((unsigned char)*text >= ' ' && *text != 0x7f);
}

static fzr_addr server(void)
{
  return fzr_addr_ipv4((const uint8_t[]){203, 0, 113, 7}, 3478);
}

/* An address of the input's. */
static fzr_addr any_addr(fuzz_input *in)
{
  uint8_t ip[16] = {203, 0, 113, 7};
  const uint8_t what = fuzz_byte(in);
  const uint16_t port = fuzz_u16(in);
  if (what & 1)
    fuzz_bytes(in, ip, sizeof ip);
  return what & 2 ? fzr_addr_ipv6(ip, port) : fzr_addr_ipv4(ip, port);
}

static void tell(world *w, enum probe_flow flow, const fzr_addr *from, const uint8_t *data, size_t len)
{
  uint8_t *copy = fuzz_exact(data, len);
  probe_machine_message(w->m, flow, from, copy, len, w->now);
  free(copy);
}

/* An answer to the last request, which may be a right one. */
static void answer(world *w, enum probe_flow flow, const fzr_addr *from)
{
  static const uint16_t codes[] = {401, 438, 300, 403, 437, 440, 486, 508};
  uint8_t data[1024], key[FZR_STUN_KEY_MAX], more[64];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  const uint8_t what = fuzz_byte(&w->in), code = fuzz_byte(&w->in);
  if (fzr_stun_read(w->request, w->request_len, &msg) != FZR_DROP_NONE)
    return;
  fzr_stun_build(&b, data, sizeof data, msg.method, what & 1 ? FZR_STUN_ERROR : FZR_STUN_SUCCESS,
                 fzr_stun_txid(&msg));
  if (what & 1)
    fzr_stun_add_error(&b, code & 8 ? 300u + code : codes[code & 7]);
  if (what & 2) {
    fzr_stun_add(&b, FZR_ATTR_REALM, REALM, strlen(REALM));
    fzr_stun_add(&b, FZR_ATTR_NONCE, "nonce", 5);
  }
  if (what & 4) {
    const fzr_addr relayed = any_addr(&w->in), mapped = any_addr(&w->in);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_MAPPED_ADDRESS, &mapped);
  }
  if (what & 8) {
    const uint16_t type = fuzz_u16(&w->in);
    const size_t len = fuzz_bytes(&w->in, more, fuzz_byte(&w->in) % sizeof more);
    fzr_stun_add(&b, type, more, len);
  }
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)"1700000000:u", 12, REALM, "p", key);
  if (what & 16)
    fzr_stun_add_integrity(&b, key, FZR_STUN_KEY_LEN);
  const int len = fzr_stun_build_finish(&b);
  if (len > 0)
    tell(w, flow, from, data, (size_t)len);
}

static void happen(world *w)
{
  uint8_t raw[1500];
  const uint8_t what = fuzz_byte(&w->in);
  const enum probe_flow flow = (enum probe_flow)(fuzz_byte(&w->in) % PROBE_FLOWS);
  const fzr_addr from = what & 0x80 ? any_addr(&w->in) : server();
  /* Who waits for the deadline is a second late at most: what is no event does not let time go by without end. */
  const fzr_time latest = probe_machine_deadline(w->m) + FZR_SECOND;
  w->now += (fzr_time)(what >> 4 & 7) * 20 * FZR_MILLISECOND;
  w->now = w->now < latest ? w->now : latest;
  switch (what & 7) {
  case 0:
    probe_machine_opened(w->m, flow, &from, w->now);
    break;
  case 1:
    probe_machine_failed(w->m, flow, (enum probe_failure)(fuzz_byte(&w->in) % (PROBE_FAILURE_OWN + 1)),
                         "failed", w->now);
    break;
  case 2:
    tell(w, flow, &from, raw, fuzz_bytes(&w->in, raw, fuzz_u16(&w->in) % sizeof raw));
    break;
  case 3:
    tell(w, flow, &from, w->data, w->data_len);
    break;
  case 4:
    tell(w, flow, &from, w->data + (w->data_len > 4 ? 4 : 0), w->data_len > 4 ? w->data_len - 4 : 0);
    break;
  case 5:
    w->now = probe_machine_deadline(w->m) > w->now ? probe_machine_deadline(w->m) : w->now;
    probe_machine_tick(w->m, w->now);
    break;
  default:
    answer(w, flow, &from);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  world w = {.in = {data, size}, .now = FZR_SECOND, .began = FZR_SECOND};
  const uint8_t how = fuzz_byte(&w.in);
  char text[1024];
  const probe_plan plan = {.server = server(),
                           .server_of_peer = how & 1 ? server() : (fzr_addr){.family = FZR_FAMILY_NONE},
                           .transport = (probe_transport)(how / 2 % 3),
                           .relayed = how & 8 ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4,
                           .stun_only = how & 16,
                           .is_made = how & 32,
                           .other = "rest",
                           .unix_now = 1700000000};
  const probe_ops ops = {&w, on_open, on_send, on_random, on_login, on_row};
  w.m = probe_machine_new(&plan, &ops);
  FUZZ_CHECK(w.m);
  probe_machine_start(w.m, w.now);
  while (w.in.size && !probe_machine_is_done(w.m))
    happen(&w);
  for (unsigned i = 0; !probe_machine_is_done(w.m); i++) {
    const fzr_time deadline = probe_machine_deadline(w.m);
    FUZZ_CHECK(i < 1000 && deadline <= w.began + PROBE_WHOLE_PATIENCE);
    w.now = deadline > w.now ? deadline : w.now;
    probe_machine_tick(w.m, w.now);
  }
  FUZZ_CHECK(probe_machine_fault(w.m) < PROBE_FAULTS);
  probe_fault_say(probe_machine_fault(w.m), probe_machine_facts(w.m), text, sizeof text);
  FUZZ_CHECK(strlen(text) < sizeof text && !strchr(text, '\n'));
  fuzz_sink = w.sent;
  probe_machine_free(w.m);
  return 0;
}
