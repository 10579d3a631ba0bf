/* SPDX-License-Identifier: Apache-2.0 */
/* DONT-FRAGMENT in Send indications and in Allocate: what verdicts say of it. RFC 8656 sections 7.2 and 11.2. */
#include "relay.h"

static fzt_relay relay;
static fzt_client_state client;
static fzr_addr peer;

static void start(uint8_t mode)
{
  fzr_config config = fzt_config(&relay);
  relay.prng.state = 4;
  config.relay_mode = mode;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:40000");
  peer = fzt_addr("203.0.113.77:700");
}

static void permit(void)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_CREATE_PERMISSION);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  ck_assert_int_eq(fzt_finish(&relay, &client, &b, NULL), 0);
}

#define SLOT 128u

/* A Send indication for each letter of |kinds| in one batch: 'p' plain, 'd' with DONT-FRAGMENT behind the rest, 'f' with it in front. */
static void send_all(const char *kinds)
{
  static uint8_t slots[8][SLOT];
  fzr_pkt pkts[8] = {0};
  const uint8_t txid[FZR_STUN_TXID_LEN] = {1};
  const size_t n = strlen(kinds);
  for (size_t i = 0; i < n; i++) {
    fzr_stun_builder b;
    fzr_stun_build(&b, slots[i], SLOT, FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
    if (kinds[i] == 'f')
      fzr_stun_add(&b, FZR_ATTR_DONT_FRAGMENT, "", 0);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
    fzr_stun_add(&b, FZR_ATTR_DATA, "12345678", 8);
    if (kinds[i] == 'd')
      fzr_stun_add(&b, FZR_ATTR_DONT_FRAGMENT, "", 0);
    pkts[i] = (fzr_pkt){.data = slots[i], .from = client.addr, .to = client.server};
    pkts[i].len = (uint32_t)fzr_stun_build_finish(&b);
  }
  fzt_client_run(&relay, pkts, n);
}

/* Each datagram of the last input, in order: 'p', or 'd' if it may not be fragmented. */
static const char *sent(void)
{
  static char text[16];
  size_t n = 0;
  for (size_t i = 0; i < relay.verdict_count; i++) {
    const fzr_verdict *v = &relay.verdicts[i];
    ck_assert_uint_eq(v->action, FZR_ACT_FORWARD);
    ck_assert(fzr_addr_equal(&v->to, &peer));
    for (unsigned k = 0; k < v->count; k++) {
      ck_assert_mem_eq(v->data + (size_t)k * v->stride, "12345678", 8);
      text[n++] = v->flags & FZR_VERDICT_DONT_FRAGMENT ? 'd' : 'p';
    }
  }
  text[n] = 0;
  return text;
}

START_TEST(test_send)
{
  start(FZR_RELAY_FULL);
  permit();
  send_all("d");
  ck_assert_str_eq(sent(), "d");
  send_all("f");
  ck_assert_str_eq(sent(), "d");
  send_all("pdpp");
  ck_assert_str_eq(sent(), "pdpp");
  send_all("dpfd");
  ck_assert_str_eq(sent(), "dpdd");
  send_all("ppdd");
  ck_assert_str_eq(sent(), "ppdd");
  fzt_relay_free(&relay);
}
END_TEST

static int allocate(void)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  int code = 0;
  for (unsigned i = 0; i < 2; i++) {
    fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    fzr_stun_add(&b, FZR_ATTR_DONT_FRAGMENT, "", 0);
    code = fzt_finish(&relay, &client, &b, &msg);
    if (fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce)) {
      memcpy(client.nonce, nonce.value, nonce.len);
      client.nonce_len = nonce.len;
    }
  }
  return code;
}

START_TEST(test_allocate)
{
  start(FZR_RELAY_FULL);
  ck_assert_int_eq(allocate(), 0);
  fzt_relay_free(&relay);
  start(FZR_RELAY_CHANNELS);
  ck_assert_int_eq(allocate(), 420);
  fzt_relay_free(&relay);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("dont_fragment");
  TCase *tc = tcase_create("dont_fragment");
  tcase_add_test(tc, test_send);
  tcase_add_test(tc, test_allocate);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
