/* SPDX-License-Identifier: Apache-2.0 */
/* How many errors a client is told: of the same request, of others, and who else feels it. */
#include "relay.h"

static fzt_relay relay;
static fzt_client_state client;
static fzr_config config;

#define MS FZR_MILLISECOND

static void setup(void)
{
  config = fzt_config(&relay);
  config.unauthenticated_rate = config.error_rate = 0; /* the defaults */
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  /* A nonce, and no allocation: 437 is what all requests but an Allocate get. */
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  fzt_pass(&relay, 10 * FZR_SECOND);
}

static void teardown(void)
{
  fzt_relay_free(&relay);
}

/* A CreatePermission for |count| peers, the first of them in |family| with number |first|. */
static int permit(enum fzr_family family, unsigned first, unsigned count)
{
  static uint8_t buffer[4096];
  fzr_stun_builder b;
  fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_CREATE_PERMISSION);
  for (unsigned i = 0; i < count; i++) {
    fzr_addr peer = fzt_addr(family == FZR_FAMILY_IPV4 ? "203.0.113.0:9" : "[2001:db8:7::]:9");
    peer.ip[family == FZR_FAMILY_IPV4 ? 3 : 15] = (uint8_t)(first + i);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  }
  return fzt_finish(&relay, &client, &b, NULL);
}

static int bind_peer(unsigned i)
{
  const fzr_addr peer = {{203, 0, 113, 9}, 0, (uint16_t)(1 + i), FZR_FAMILY_IPV4, 0};
  return fzt_bind(&relay, &client, 0x4000, &peer);
}

/* A gateway that hears of each of its channels at once, after a restart of the relay, is told of each; and whatever is sent again
 * costs the others nothing. */
START_TEST(test_requests_that_differ)
{
  for (unsigned i = 0; i < 90; i++)
    ck_assert_int_eq(bind_peer(i), 437);
  for (unsigned i = 0; i < 1000; i++)
    ck_assert_int_eq(bind_peer(0), i < 4 ? 437 : -1);
  for (unsigned i = 0; i < 6; i++)
    ck_assert_int_eq(fzt_bind(&relay, &client, (uint16_t)(0x4001 + i),
                              &(fzr_addr){{203, 0, 113, 9}, 0, 1, FZR_FAMILY_IPV4, 0}),
                     437);
  ck_assert_int_eq(bind_peer(90), -1);
}
END_TEST

/* The transaction id is part of how an IPv6 address is written, and is another each time. */
START_TEST(test_peers_of_a_request)
{
  static const enum fzr_family families[] = {FZR_FAMILY_IPV4, FZR_FAMILY_IPV6};
  for (unsigned f = 0; f < 2; f++) {
    for (unsigned i = 0; i < 20; i++)
      ck_assert_int_eq(permit(families[f], 1, 3), i < 5 ? 437 : -1);
    ck_assert_int_eq(permit(families[f], 1, 2), 437);
    ck_assert_int_eq(permit(families[f], 2, 3), 437);
    ck_assert_int_eq(permit(families[f], 1, 31), 437);
    /* No more than so many are looked at. */
    for (unsigned i = 0; i < 20; i++)
      ck_assert_int_eq(permit(families[f], 1, 32 + i), i < 5 ? 437 : -1);
  }
  /* And none is no error of the limits. */
  for (unsigned i = 0; i < 20; i++)
    ck_assert_int_eq(permit(FZR_FAMILY_IPV4, 0, 0), i < 5 ? 437 : -1);
}
END_TEST

/* Milliseconds between the sendings of one request of which no answer arrives: of RFC 8489 section 6.2.1, and of clients that are
 * in more of a hurry. */
static const unsigned schedules[][10] = {
    {500, 1000, 2000, 4000, 8000, 16000},
    {100, 200, 400, 800, 1600, 1600, 1600}, /* RFC 3489 */
    {200, 400, 800, 1600, 3200, 6400},      /* pion */
    {1000, 1500, 2250, 3400},               /* snownet */
    {500, 500, 500, 500, 500, 500, 500, 500},
    {250, 250, 250, 250, 250, 250, 250, 250, 250},
};

/* Whatever of them is lost, the next one is answered; twice over, as by a network that doubles packets. */
START_TEST(test_retransmissions)
{
  for (unsigned twice = 1; twice <= 2; twice++) {
    ck_assert_int_eq(fzt_refresh(&relay, &client, 600), 437);
    for (unsigned i = 0; schedules[_i][i] && i < 10; i++) {
      fzt_pass(&relay, schedules[_i][i] * MS);
      for (unsigned n = 0; n < twice; n++)
        if (twice == 1 || schedules[_i][i] > 250)
          ck_assert_int_eq(fzt_refresh(&relay, &client, 600), 437);
    }
    fzt_pass(&relay, FZR_SECOND);
  }
}
END_TEST

/* Who forges a client's address, or repeats for himself what it was refused, takes nothing from it nor from its neighbours. */
START_TEST(test_nobody_else_feels_it)
{
  fzt_client_state forged = client, neighbour;
  forged.nonce_len = 0;
  fzt_client_init(&neighbour, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &neighbour), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &neighbour, 0), 0);
  for (unsigned i = 0; i < 2000; i++)
    fzt_refresh(&relay, &forged, 600);
  for (unsigned i = 0; i < 8; i++) {
    ck_assert_int_eq(fzt_refresh(&relay, &client, 600), i < 5 ? 437 : -1);
    ck_assert_int_eq(fzt_refresh(&relay, &neighbour, 600), i < 5 ? 437 : -1);
  }
  fzt_client_init(&neighbour, "198.51.100.3:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &neighbour), 0);
}
END_TEST

/* What a configuration asks for is what there is in a second, however few that are. */
START_TEST(test_rates)
{
  static const uint32_t rates[] = {1, 2, 4, 10, 1000};
  for (unsigned r = 0; r < sizeof rates / sizeof *rates; r++) {
    config.error_rate = rates[r];
    ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
    unsigned answers = 0;
    for (unsigned i = 0; i <= 1000; i++) {
      for (unsigned n = 0; n < 3; n++)
        answers += fzt_refresh(&relay, &client, 600) == 437;
      relay.now += MS;
    }
    ck_assert_uint_eq(answers, rates[r]);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("limits");
  TCase *tc = tcase_create("limits");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, test_requests_that_differ);
  tcase_add_test(tc, test_peers_of_a_request);
  tcase_add_loop_test(tc, test_retransmissions, 0, sizeof schedules / sizeof *schedules);
  tcase_add_test(tc, test_nobody_else_feels_it);
  tcase_add_test(tc, test_rates);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
