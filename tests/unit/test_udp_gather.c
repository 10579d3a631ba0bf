/* SPDX-License-Identifier: Apache-2.0 */
/* When a host does well to sleep before it looks again: fzr_udp_gather_time, with real sockets on loopback. */
#include "udp_rig.h"

/* Sends |n| datagrams of the client, and has the adapter take them in one turn. Returns how long the host should sleep then. */
static fzr_time turn_of(unsigned n, unsigned from)
{
  uint8_t buffer[64];
  fzr_channel_data_header(buffer, 0x4000, 40);
  for (unsigned i = 0; i < n; i++) {
    rig_payload(from + i, 40, buffer + 4);
    rig_send(rig.client_fd, &rig.listen, buffer, 44);
  }
  const fzr_udp_ready ready = {rig.host.tokens[0], FZR_WATCH_READ, 0};
  fzr_udp_on_ready_batch(rig.udp, &ready, 1, rig.relay.now);
  for (unsigned i = 0; i < n; i++)
    rig_expect(rig.peer_fd, from + i, 40, false);
  return fzr_udp_gather_time(rig.udp);
}

START_TEST(test_gathering)
{
  rig_start(false, _i, false);
  const fzr_time soon = turn_of(2, 0);
  ck_assert_uint_gt(soon, 0);
  ck_assert_uint_le(soon, FZR_MILLISECOND / 20);
  ck_assert_uint_eq(turn_of(1, 2), 0); /* it left alone */
  ck_assert_uint_eq(turn_of(20, 3), soon);
  ck_assert_uint_eq(turn_of(0, 23), 0);
  rig_stop();
}
END_TEST

/* What is for many peers leaves by as many calls, however much there is; and a turn that is full needs no more. */
START_TEST(test_no_gathering)
{
  rig_start(false, false, false);
  const rig_client other = rig_add_client();
  uint8_t buffer[64];
  fzr_channel_data_header(buffer, 0x4000, 40);
  rig_payload(0, 40, buffer + 4);
  rig_send(rig.client_fd, &rig.listen, buffer, 44);
  rig_send(other.client_fd, &rig.listen, buffer, 44);
  const fzr_udp_ready ready = {rig.host.tokens[0], FZR_WATCH_READ, 0};
  fzr_udp_on_ready_batch(rig.udp, &ready, 1, rig.relay.now);
  ck_assert_uint_eq(fzr_udp_gather_time(rig.udp), 0);
  rig_expect(rig.peer_fd, 0, 40, false);
  rig_expect(other.peer_fd, 0, 40, false);
  static uint8_t bulk[64 * 44];
  for (unsigned k = 0; k < 4; k++) {
    for (unsigned i = 0; i < 64; i++) {
      fzr_channel_data_header(bulk + i * 44u, 0x4000, 40);
      rig_payload(k * 64 + i, 40, bulk + i * 44u + 4);
    }
    rig_send_run(rig.client_fd, &rig.listen, bulk, 44, 64, 44);
  }
  fzr_udp_on_ready_batch(rig.udp, &ready, 1, rig.relay.now);
  ck_assert_uint_eq(fzr_udp_gather_time(rig.udp), 0);
  for (unsigned i = 0; i < 256; i++)
    rig_expect(rig.peer_fd, i, 40, false);
  rig_stop();
}
END_TEST

/* What many sockets bring leaves by one: a turn is longer then, and so is the sleep. */
START_TEST(test_gathering_from_many)
{
  enum { OTHERS = 7 };
  rig_start(false, false, false);
  rig_client others[OTHERS];
  fzr_udp_ready ready[OTHERS + 1];
  const unsigned first = rig.host.count - 1; /* the allocation's own */
  for (unsigned i = 0; i < OTHERS; i++)
    others[i] = rig_add_client();
  for (unsigned i = 0; i <= OTHERS; i++)
    ready[i] = (fzr_udp_ready){rig.host.tokens[first + i], FZR_WATCH_READ, 0};
  uint8_t buffer[40];
  fzr_time slept[2];
  for (unsigned k = 0; k < 2; k++) {
    const unsigned sockets = OTHERS + k; /* one less at first */
    rig_payload(k, 40, buffer);
    for (unsigned i = 0; i < OTHERS; i++)
      rig_send(others[i].peer_fd, &others[i].relayed, buffer, 40);
    if (k)
      rig_send(rig.peer_fd, &rig.relayed, buffer, 40);
    fzr_udp_on_ready_batch(rig.udp, ready + OTHERS + 1 - sockets, sockets, rig.relay.now);
    slept[k] = fzr_udp_gather_time(rig.udp);
    for (unsigned i = 0; i < OTHERS; i++)
      rig_expect(others[i].client_fd, k, 40, true);
    if (k)
      rig_expect(rig.client_fd, k, 40, true);
  }
  ck_assert_uint_gt(slept[0], 0);
  ck_assert_uint_gt(slept[1], slept[0]);
  rig_stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_gather");
  TCase *tc = tcase_create("udp_gather");
  tcase_add_loop_test(tc, test_gathering, 0, 2);
  tcase_add_test(tc, test_no_gathering);
  tcase_add_test(tc, test_gathering_from_many);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
