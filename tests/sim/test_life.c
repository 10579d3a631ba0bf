/* SPDX-License-Identifier: Apache-2.0 */
/* Hours of a relay's life in virtual time: good links and bad ones, refreshes, expiry, rebinding, ports that others have. */
#include "world.h"

#include <stdio.h>

#define SECONDS(n) ((fzr_time)(n)*FZR_SECOND)
#define GRACE      SECONDS(10) /* beyond what clients are told */

static const memory_link good = {10 * FZR_MILLISECOND, 0, 0, 0};
/* One in ten is lost on each hop, and a third of a second of jitter against one datagram a second on seven channels reorders. */
static const memory_link bad = {20 * FZR_MILLISECOND, 300 * FZR_MILLISECOND, 100, 0};

static sim_world w;

static void expect_nothing_left(void)
{
  const fzr_stats stats = sim_stats(&w);
  ck_assert_uint_eq(stats.allocations, 0);
  ck_assert_uint_eq(stats.channels, 0);
  ck_assert_uint_eq(stats.permissions, 0);
  ck_assert_uint_eq(memory_relay_open_ports(w.relay), 0);
}

static uint64_t dropped(void)
{
  const fzr_stats stats = sim_stats(&w);
  uint64_t sum = 0;
  for (unsigned i = 0; i < FZR_DROP_REASONS; i++)
    sum += stats.dropped[i];
  return sum;
}

static void all_go(void)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    sim_client_go(&w.clients[i]);
}

/* Each client's last channel leads to the other one's relayed address. */
static void introduce(unsigned family)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    sim_channel *channel = &w.clients[i].channels[SIM_PEERS];
    channel->peer = w.clients[1 - i].relayed[family];
    channel->wanted = true;
  }
}

/* No more data is sent; what is on its way arrives. */
static void settle(void)
{
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    w.clients[i].talks = false;
  sim_run(&w, SECONDS(5));
}

START_TEST(test_hours_on_bad_links)
{
  const uint64_t hours = 3;
  uint64_t all = 0, gone = 0;
  const bool full = _i >= 4; /* one client by indications, the other one by channels */
  ck_assert_int_eq((full ? sim_start_full : sim_start)(&w, (uint64_t)_i, &bad, 0, 0), 0);
  all_go();
  sim_run(&w, SECONDS(300));
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    ck_assert(w.clients[i].allocated);
  introduce((unsigned)_i & 1);
  sim_run(&w, SECONDS(hours * 3600));
  settle();
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    const sim_client *c = &w.clients[i];
    ck_assert_uint_eq(c->allocations, 1);
    ck_assert_uint_eq(c->codes[438], 0); /* the first nonce is good for the whole call */
    ck_assert_uint_eq(c->codes[437], 0);
    ck_assert_uint_eq(c->codes[400], 0);
    for (unsigned k = 0; k < SIM_CHANNELS; k++) {
      const sim_channel *channel = &c->channels[k];
      ck_assert(sim_flow_adds_up(&channel->out));
      ck_assert(sim_flow_adds_up(&channel->back));
      ck_assert_uint_ge(channel->out.sent, hours * 3600 - 60);
      ck_assert_uint_gt(channel->out.received, channel->out.sent / 2);
      all += channel->out.sent + channel->back.sent;
      gone += channel->out.lost + channel->back.lost;
    }
  }
  ck_assert_uint_gt(memory_net_reordered(w.net), all / 10);
  ck_assert_uint_gt(gone, all / 10);
  ck_assert_uint_eq(dropped(), 0);
  ck_assert_uint_eq(sim_stats(&w).channels, full ? SIM_CHANNELS : 2 * SIM_CHANNELS);
  ck_assert(full == (sim_stats(&w).indications[0] > 0) && full == (sim_stats(&w).indications[1] > 0));
  printf("seed %d: %llu datagrams, %llu lost, %llu overtaken, none by the relay\n", _i,
         (unsigned long long)all, (unsigned long long)gone, (unsigned long long)memory_net_reordered(w.net));
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    w.clients[i].keeps = false;
  sim_run(&w, SECONDS(601) + GRACE);
  expect_nothing_left();
  sim_end(&w);
}
END_TEST

/* Where links are good, all arrives, and in order. */
START_TEST(test_good_links)
{
  ck_assert_int_eq(sim_start(&w, 1, &good, 0, 0), 0);
  all_go();
  sim_run(&w, SECONDS(60));
  introduce(0);
  sim_run(&w, SECONDS(3600));
  settle();
  const fzr_stats stats = sim_stats(&w);
  uint64_t relayed[2] = {0, 0};
  for (unsigned i = 0; i < SIM_CLIENTS; i++)
    for (unsigned k = 0; k < SIM_CHANNELS; k++) {
      const sim_channel *channel = &w.clients[i].channels[k];
      ck_assert_uint_ge(channel->out.sent, 3500);
      ck_assert_uint_eq(channel->out.received, channel->out.sent);
      ck_assert_uint_eq(channel->back.received, channel->back.sent);
      ck_assert_uint_eq(channel->out.next, channel->out.sent);
      relayed[0] += channel->out.sent;
      /* What goes to the other client comes from a peer for him. */
      relayed[1] += k < SIM_PEERS ? channel->back.sent : channel->out.sent;
    }
  ck_assert_uint_eq(stats.packets[0], relayed[0]);
  ck_assert_uint_eq(stats.packets[1], relayed[1]);
  ck_assert_uint_eq(memory_net_reordered(w.net), 0);
  ck_assert_uint_eq(dropped(), 0);
  ck_assert_uint_eq(stats.channels, SIM_CLIENTS * SIM_CHANNELS);
  sim_end(&w);
}
END_TEST

/* Whoever stops refreshing is served to the end of the lifetime he was granted and the grace after it, and not beyond. */
START_TEST(test_expiry)
{
  ck_assert_int_eq(sim_start(&w, 1, &good, 0, 0), 0);
  sim_client *c = &w.clients[0];
  c->lifetime = 1000;
  all_go();
  sim_run(&w, SECONDS(100));
  ck_assert(c->allocated);
  const fzr_time granted =
      c->refresh_due - SECONDS(300); /* on arrival of the answer; 10 ms earlier on the relay */
  c->keeps = w.clients[1].keeps = false;
  sim_run(&w, granted + SECONDS(1000) + GRACE - 20 * FZR_MILLISECOND - memory_net_now(w.net));
  ck_assert_uint_eq(sim_stats(&w).allocations, 1);
  ck_assert_uint_eq(memory_relay_open_ports(w.relay), 2);
  sim_run(&w, 300 * FZR_MILLISECOND);
  expect_nothing_left();
  /* Channels ended before, at 610 s: what came after that was dropped, and counted as what it was. */
  const fzr_stats stats = sim_stats(&w);
  ck_assert_uint_gt(stats.dropped[FZR_DROP_UNKNOWN_CHANNEL], 300);
  sim_run(&w, SECONDS(10));
  ck_assert_uint_gt(sim_stats(&w).dropped[FZR_DROP_UNKNOWN_CLIENT], 0);
  /* Who comes back is told so, and begins anew. */
  c->keeps = true;
  sim_run(&w, SECONDS(60));
  ck_assert_uint_eq(c->codes[437], 1);
  ck_assert_uint_eq(c->allocations, 2);
  sim_end(&w);
}
END_TEST

/* Clients that refresh on the second that they were told, or a little late: webrtc-rs its allocation after 600.0 s, libjuice what it
 * sends by after 300.8 s where a permission lasts 300, others their channels. Nobody loses anything. */
START_TEST(test_late_refreshes)
{
  ck_assert_int_eq(sim_start(&w, 1, &good, 0, 0), 0);
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    w.clients[i].refresh_every = SECONDS(600 + 5 * i);
    w.clients[i].bind_every = SECONDS(601 + i);
  }
  all_go();
  sim_run(&w, SECONDS(6 * 3600));
  settle();
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    ck_assert_uint_eq(w.clients[i].codes[437], 0);
    ck_assert_uint_eq(w.clients[i].allocations, 1);
    for (unsigned k = 0; k < SIM_PEERS; k++) {
      const sim_channel *channel = &w.clients[i].channels[k];
      ck_assert_uint_ge(channel->out.sent, 6 * 3600 - 60);
      ck_assert_uint_eq(channel->out.received, channel->out.sent);
      ck_assert_uint_eq(channel->back.received, channel->back.sent);
    }
  }
  ck_assert_uint_eq(dropped(), 0);
  sim_end(&w);
}
END_TEST

static uint64_t received(const sim_channel *channel)
{
  return channel->out.received + channel->back.received;
}

/* Asks for |channel| again, once, and returns the answer. */
static int bind_now(sim_channel *channel)
{
  channel->last_code = -1;
  channel->wanted = true;
  channel->due = 0;
  sim_run(&w, SECONDS(2));
  channel->wanted = false;
  return channel->last_code;
}

/* A channel relays for 600 s and the grace after each bind; its number and its peer are each other's for 300 s more; then both are free. */
START_TEST(test_rebinding)
{
  ck_assert_int_eq(sim_start(&w, 1, &good, 0, 0), 0);
  sim_client *c = &w.clients[0];
  sim_client_go(c);
  c->channels[5].wanted = false;
  sim_run(&w, SECONDS(20));
  sim_channel *channel = &c->channels[0];
  ck_assert(channel->bound);
  const fzr_time bound = channel->due - SECONDS(240) - 10 * FZR_MILLISECOND; /* when the relay got it */
  channel->wanted = false;
  const fzr_addr old_peer = channel->peer, new_peer = c->channels[5].peer;
  sim_run(&w, bound + SECONDS(600) + GRACE - memory_net_now(w.net));
  const uint64_t at_the_end = received(channel);
  ck_assert_uint_ge(at_the_end, 2 * 600);
  sim_run(&w, SECONDS(50));
  ck_assert_uint_le(received(channel), at_the_end + 2); /* that were on their way */
  ck_assert_uint_gt(sim_stats(&w).dropped[FZR_DROP_UNKNOWN_CHANNEL], 40);

  /* Reserved: the number for its peer, the peer for its number. */
  channel->peer = new_peer;
  ck_assert_int_eq(bind_now(channel), 400);
  c->channels[5].peer = old_peer;
  ck_assert_int_eq(bind_now(&c->channels[5]), 400);
  sim_run(&w, bound + SECONDS(895) + GRACE - memory_net_now(w.net));
  ck_assert_int_eq(bind_now(channel), 400);

  /* Free: both may be bound otherwise, and relay. */
  sim_run(&w, bound + SECONDS(900) + GRACE - memory_net_now(w.net));
  ck_assert_int_eq(bind_now(channel), 0);
  ck_assert_int_eq(bind_now(&c->channels[5]), 0);
  const uint64_t before = received(channel), other = received(&c->channels[5]);
  sim_run(&w, SECONDS(100));
  ck_assert_uint_ge(received(channel), before + 2 * 95);
  ck_assert_uint_ge(received(&c->channels[5]), other + 2 * 95);
  sim_end(&w);
}
END_TEST

/* A channel that is bound to its peer again while it is reserved relays at once. */
START_TEST(test_binding_again_while_reserved)
{
  ck_assert_int_eq(sim_start(&w, 1, &good, 0, 0), 0);
  sim_client *c = &w.clients[0];
  sim_client_go(c);
  sim_run(&w, SECONDS(20));
  sim_channel *channel = &c->channels[1];
  channel->wanted = false;
  sim_run(&w, SECONDS(800));
  const uint64_t silent = received(channel);
  ck_assert_int_eq(bind_now(channel), 0);
  sim_run(&w, SECONDS(100));
  ck_assert_uint_ge(received(channel), silent + 2 * 98);
  sim_end(&w);
}
END_TEST

/* Sockets that take longer to open than clients wait, ports that others have, requests and answers that come twice or never: every
 * allocation has its two sockets in the end, and nothing stays open. */
START_TEST(test_slow_and_taken_ports)
{
  const memory_link link = {20 * FZR_MILLISECOND, 200 * FZR_MILLISECOND, 200, 300};
  ck_assert_int_eq(sim_start(&w, (uint64_t)_i, &link, 0, 0), 0);
  memory_relay_set_ports(w.relay, 700 * FZR_MILLISECOND, 3);
  for (unsigned round = 0; round < 40; round++) {
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
      w.clients[i].keeps = true;
      w.clients[i].lifetime = 1 + (round + i) % 30;
      w.clients[i].refresh_due = 0;
      w.clients[i].allocated = false;
      w.clients[i].busy = false;
    }
    sim_run(&w, SECONDS(60));
    ck_assert_uint_eq(memory_relay_open_ports(w.relay) % 2, 0);
    for (unsigned i = 0; i < SIM_CLIENTS; i++)
      w.clients[i].keeps = false;
    sim_run(&w, SECONDS(80));
    expect_nothing_left();
  }
  /* One of three ports is somebody else's, and there are others. */
  ck_assert_uint_gt(w.clients[0].allocations + w.clients[1].allocations, 40);
  ck_assert_uint_eq(w.clients[0].codes[508] + w.clients[1].codes[508], 0);
  /* All are: 508, and no trace. */
  memory_relay_set_ports(w.relay, 100 * FZR_MILLISECOND, 1);
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    w.clients[i].keeps = true;
    w.clients[i].refresh_due = 0;
    w.clients[i].allocated = false;
    w.clients[i].busy = false;
  }
  sim_run(&w, SECONDS(300));
  for (unsigned i = 0; i < SIM_CLIENTS; i++) {
    ck_assert_uint_gt(w.clients[i].codes[508], 0);
    w.clients[i].keeps = false;
  }
  sim_run(&w, SECONDS(80));
  expect_nothing_left();
  const fzr_stats stats = sim_stats(&w);
  ck_assert_uint_eq(stats.allocations_created, stats.allocations_ended);
  sim_end(&w);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("life");
  TCase *tc = tcase_create("life");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, test_hours_on_bad_links, 1, 6);
  tcase_add_test(tc, test_good_links);
  tcase_add_test(tc, test_expiry);
  tcase_add_test(tc, test_late_refreshes);
  tcase_add_test(tc, test_rebinding);
  tcase_add_test(tc, test_binding_again_while_reserved);
  tcase_add_loop_test(tc, test_slow_and_taken_ports, 1, 4);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
