/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of datagrams from many sources: what is guessed for each is verified, and a wrong guess changes nothing. */
#include "relay.h"

#include "turn/state.h"

enum { SOURCES = 6, CHANNELS = 3 };

static fzt_relay relay;
static fzt_client_state clients[SOURCES];
static fzr_addr peers[CHANNELS];
static fzr_verdict out[64];

static void set_up(void)
{
  fzr_config config = fzt_config(&relay);
  config.relay_mode = FZR_RELAY_CHANNELS;
  fzt_relay_init(&relay, &config);
  for (unsigned k = 0; k < CHANNELS; k++) {
    peers[k] = fzt_addr("203.0.113.9:5000");
    peers[k].port = (uint16_t)(5000 + k);
  }
  /* The first has no channel, the second one, the others several. */
  for (unsigned i = 0; i < SOURCES; i++) {
    fzt_client_init(&clients[i], "198.51.100.1:4000");
    clients[i].addr.port = (uint16_t)(4000 + i);
    ck_assert_int_eq(fzt_allocate(&relay, &clients[i]), 0);
    for (unsigned k = 0; k < CHANNELS && k < i; k++)
      ck_assert_int_eq(fzt_bind(&relay, &clients[i], (uint16_t)(0x4000 + k), &peers[k]), 0);
  }
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
}

/* Puts |n| packets in, with room for |room| verdicts at a time. Returns how many there were. */
static size_t rx(enum fzr_side side, fzr_pkt *in, size_t n, size_t room)
{
  fzr_batch batch = {.in = in, .count = n, .out = out, .room = room};
  size_t all = 0;
  while (batch.consumed < n) {
    batch.out = out + all;
    ck_assert_int_eq(fzr_engine_rx(relay.engine, side, &batch, relay.now), 0);
    ck_assert_uint_le(batch.written, room);
    all += batch.written;
  }
  return all;
}

/* All clients in turn, on each number from before the first to behind the last, once with a verdict at a time. */
START_TEST(test_clients_in_turn)
{
  uint8_t data[CHANNELS + 2][8] = {{0}};
  fzr_pkt in[SOURCES + 1];
  for (unsigned k = 0; k < CHANNELS + 2; k++) {
    fzr_channel_data_header(data[k], (uint16_t)(0x4000 + k), 4);
    for (unsigned i = 0; i < SOURCES; i++)
      in[i] = (fzr_pkt){.data = data[k], .len = 8, .from = clients[i].addr, .to = clients[i].server};
    /* A stranger, and an allocation's client at another of the relay's addresses. */
    in[SOURCES] = in[1];
    if (k % 2)
      in[SOURCES].to.port++;
    else
      in[SOURCES].from.ip[0]++;
    ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, in, SOURCES + 1, _i ? 1 : 64), SOURCES + 1);
    for (unsigned i = 0; i < SOURCES; i++) {
      const bool bound = k < CHANNELS && k < i;
      ck_assert_uint_eq(out[i].action, bound ? FZR_ACT_FORWARD : FZR_ACT_DROP);
      if (!bound) {
        ck_assert_uint_eq(out[i].reason, FZR_DROP_UNKNOWN_CHANNEL);
        continue;
      }
      ck_assert(fzr_addr_equal(&out[i].to, &peers[k]));
      ck_assert_uint_eq(out[i].from.port, clients[i].relayed_port);
    }
    ck_assert_uint_eq(out[SOURCES].reason, FZR_DROP_UNKNOWN_CLIENT);
  }
}
END_TEST

/* All peers of all allocations in turn, and a port that nobody has. */
START_TEST(test_peers_in_turn)
{
  uint8_t data[4] = {0};
  fzr_pkt in[SOURCES + 1];
  for (unsigned k = 0; k < CHANNELS; k++) {
    for (unsigned i = 0; i < SOURCES; i++) {
      in[i] = (fzr_pkt){.data = data, .len = 4, .from = peers[k]};
      in[i].to.family = FZR_FAMILY_IPV4;
      in[i].to.port = clients[i].relayed_port;
    }
    in[SOURCES] = in[0];
    in[SOURCES].to.port = 1;
    ck_assert_uint_eq(rx(FZR_SIDE_PEER, in, SOURCES + 1, _i ? 1 : 64), SOURCES + 1);
    for (unsigned i = 0; i < SOURCES; i++) {
      ck_assert_uint_eq(out[i].action, k < i ? FZR_ACT_FORWARD : FZR_ACT_DROP);
      if (k < i)
        ck_assert(fzr_addr_equal(&out[i].to, &clients[i].addr));
      else
        ck_assert_uint_eq(out[i].reason, FZR_DROP_UNKNOWN_PEER);
    }
    ck_assert_uint_eq(out[SOURCES].reason, FZR_DROP_UNKNOWN_PORT);
  }
}
END_TEST

/* One client address at two of the relay's: the table finds the wrong one of both for at least one of them. */
START_TEST(test_one_address_at_two_servers)
{
  uint8_t data[8] = {0};
  fzt_client_state other = clients[2];
  fzr_channel_data_header(data, 0x4000, 4);
  other.server.port++;
  ck_assert_int_eq(fzt_allocate(&relay, &other), 0);
  ck_assert_int_eq(fzt_bind(&relay, &other, 0x4000, &peers[2]), 0);
  for (unsigned turn = 0; turn < 2; turn++) {
    const fzt_client_state *first = turn ? &other : &clients[2], *second = turn ? &clients[2] : &other;
    fzr_pkt in[] = {{.data = data, .len = 8, .from = first->addr, .to = first->server},
                    {.data = data, .len = 8, .from = second->addr, .to = second->server}};
    ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, in, 2, 64), 2);
    ck_assert_uint_eq(out[0].from.port, first->relayed_port);
    ck_assert_uint_eq(out[1].from.port, second->relayed_port);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("lookahead");
  TCase *tc = tcase_create("lookahead");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_loop_test(tc, test_clients_in_turn, 0, 2);
  tcase_add_loop_test(tc, test_peers_in_turn, 0, 2);
  tcase_add_test(tc, test_one_address_at_two_servers);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
