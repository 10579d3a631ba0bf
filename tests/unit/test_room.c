/* SPDX-License-Identifier: Apache-2.0 */
/* A relay that is full leaves new clients' Binding requests without an answer, so that they turn to another; and datagrams of other
 * protocols at its port. */
#include "relay.h"

#include "turn/answer.h"
#include "turn/room.h"

static fzt_relay one, two;
static fzr_shared *shared;
static unsigned told_full, told_tls;
static int lacked;

static void keep_record(void *ctx, const fzr_log_record *record)
{
  (void)ctx;
  if (record->event == FZR_LOG_FULL) {
    ck_assert_uint_eq(record->level, FZR_LOG_WARN);
    lacked = record->adapter_error;
    told_full++;
  } else if (record->event == FZR_LOG_TLS_GREETING) {
    ck_assert_uint_eq(record->level, FZR_LOG_INFO);
    ck_assert_ptr_nonnull(record->client);
    told_tls++;
  }
}

/* Two shards with |ports| ports together. */
static void begin(unsigned ports, bool silent)
{
  const uint16_t highest = (uint16_t)(50000 + ports - 1);
  ck_assert_int_eq(fzr_shared_new(50000, highest, NULL, &shared), 0);
  told_full = told_tls = 0;
  lacked = 0;
  for (unsigned i = 0; i < 2; i++) {
    fzt_relay *r = i ? &two : &one;
    fzr_config config = fzt_config(r);
    r->prng.state = 7 + i;
    config.shared = shared;
    config.lowest_port = 50000;
    config.highest_port = highest;
    config.replace_allocations = FZR_REPLACE_NEVER;
    config.silent_when_full = silent;
    config.log = keep_record;
    config.log_level = FZR_LOG_INFO;
    fzt_relay_init(r, &config);
  }
}

static void end(void)
{
  fzt_relay_free(&one);
  fzt_relay_free(&two);
  fzr_shared_free(shared);
}

/* Whether a Binding request is answered; if not, it has to be for want of room. */
static bool binds(fzt_relay *r, const char *from)
{
  uint8_t buffer[32];
  fzr_stun_builder b;
  fzr_stats stats;
  const fzr_addr addr = fzt_addr(from), to = fzt_addr(FZT_LISTEN);
  const uint8_t txid[FZR_STUN_TXID_LEN] = {9};
  fzr_engine_stats(r->engine, &stats);
  const uint64_t before = stats.dropped[FZR_DROP_FULL];
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  fzt_client(r, &addr, &to, buffer, (size_t)fzr_stun_build_finish(&b));
  fzr_engine_stats(r->engine, &stats);
  ck_assert_uint_eq(stats.dropped[FZR_DROP_FULL] - before, r->answer_count ? 0 : 1);
  return r->answer_count == 1;
}

#define CLIENT   "198.51.100.1:4000"
#define STRANGER "198.51.100.2:4000"

START_TEST(test_all_ports_taken)
{
  fzt_client_state c, d;
  begin(1, true);
  ck_assert_int_eq(fzr_shared_lacks(shared, one.now), 0);
  ck_assert(binds(&one, STRANGER) && binds(&two, STRANGER));
  fzt_client_init(&c, CLIENT);
  ck_assert_int_eq(fzt_allocate(&one, &c), 0);
  ck_assert_int_eq(fzr_shared_lacks(shared, one.now), FZR_ERR_NO_PORT);
  /* On every shard; but for him who has the port. */
  ck_assert(!binds(&one, STRANGER) && !binds(&two, STRANGER) && binds(&one, CLIENT));
  ck_assert_uint_eq(told_full, 1);
  ck_assert_int_eq(lacked, FZR_ERR_NO_PORT);
  /* Who asks all the same is told. */
  fzt_client_init(&d, STRANGER);
  ck_assert_int_eq(fzt_allocate(&two, &d), 508);
  fzt_pass(&one, 3599 * FZR_SECOND / 10);
  ck_assert_uint_eq(told_full, 1);
  ck_assert_int_eq(fzt_refresh(&one, &c, 0), 0);
  ck_assert_int_eq(fzr_shared_lacks(shared, one.now), 0);
  ck_assert(binds(&one, STRANGER) && binds(&two, STRANGER));
  end();
}
END_TEST

START_TEST(test_other_programs_hold_all_ports)
{
  fzt_client_state c;
  begin(2, true);
  for (unsigned i = 0; i < 24; i++)
    one.open_errors[i] = FZR_ERR_IO_IN_USE;
  one.open_error_count = 24;
  fzt_client_init(&c, CLIENT);
  ck_assert_int_eq(fzt_allocate(&one, &c), 508);
  ck_assert_int_eq(fzr_shared_lacks(shared, one.now), FZR_ERR_NO_PORT);
  ck_assert(!binds(&one, STRANGER) && !binds(&two, STRANGER));
  /* It may be better after a while. */
  fzt_pass(&one, FZRI_ROOM_SHORT - FZR_MILLISECOND);
  ck_assert(!binds(&one, STRANGER));
  fzt_pass(&one, FZR_MILLISECOND);
  ck_assert_int_eq(fzr_shared_lacks(shared, one.now), 0);
  ck_assert(binds(&one, STRANGER));
  ck_assert_uint_eq(told_full, 1);
  end();
}
END_TEST

START_TEST(test_no_descriptors)
{
  fzt_client_state c, d;
  begin(100, true);
  fzt_client_init(&c, CLIENT);
  fzt_client_init(&d, "198.51.100.3:4000");
  ck_assert_int_eq(fzt_allocate(&two, &d), 0);
  one.open_errors[0] = FZR_ERR_IO_NO_SOCKET;
  one.open_error_count = 1;
  ck_assert_int_eq(fzt_allocate(&one, &c), 508);
  ck_assert(!binds(&one, STRANGER) && !binds(&two, STRANGER));
  ck_assert_int_eq(lacked, FZR_ERR_IO_NO_SOCKET);
  /* Another client, of another shard, leaves: there is room. */
  ck_assert_int_eq(fzt_refresh(&two, &d, 0), 0);
  ck_assert(binds(&one, STRANGER) && binds(&two, STRANGER));
  /* What concerns one address alone is no want of room. */
  one.open_errors[0] = FZR_ERR_IO;
  one.open_error_count = 1;
  ck_assert_int_eq(fzt_allocate(&one, &c), 508);
  ck_assert(binds(&one, STRANGER));
  end();
}
END_TEST

START_TEST(test_no_memory)
{
  fzt_client_state c;
  begin(100, true);
  fzt_client_init(&c, CLIENT);
  fzri_note_memory(one.engine, &(fzri_request){.from = &c.addr}, FZR_ERR_NO_CHANNEL);
  ck_assert(!binds(&two, STRANGER));
  ck_assert_int_eq(lacked, FZR_ERR_NO_CHANNEL);
  end();
}
END_TEST

START_TEST(test_draining)
{
  fzt_client_state c;
  begin(10, true);
  fzt_client_init(&c, CLIENT);
  ck_assert_int_eq(fzt_allocate(&one, &c), 0);
  fzr_engine_set_draining(one.engine, true);
  ck_assert(!binds(&one, STRANGER) && binds(&one, CLIENT));
  ck_assert_uint_eq(told_full, 0); /* the shutdown has been told */
  ck_assert_int_eq(fzr_shared_lacks(shared, one.now), 0);
  end();
}
END_TEST

/* Without a portal clients know no other relay. */
START_TEST(test_standalone)
{
  fzt_client_state c;
  begin(1, false);
  fzt_client_init(&c, CLIENT);
  ck_assert_int_eq(fzt_allocate(&one, &c), 0);
  ck_assert(binds(&one, STRANGER));
  fzr_engine_set_draining(one.engine, true);
  ck_assert(binds(&one, STRANGER));
  ck_assert_uint_eq(told_full, 0);
  ck_assert_int_eq(fzr_shared_lacks(NULL, one.now), 0);
  end();
}
END_TEST

START_TEST(test_tls)
{
  static const struct {
    uint8_t data[8];
    size_t len;
    bool tls;
  } cases[] = {
      {{22, 254, 253, 0, 0, 0, 0, 0}, 8, true}, /* DTLS 1.2 */
      {{22, 254, 255, 0}, 4, true},             /* DTLS 1.0 */
      {{22, 3, 1, 2, 0}, 5, true},              /* TLS */
      {{22, 3}, 2, false},
      {{22, 2, 1, 2}, 4, false},
      {{23, 254, 253, 0}, 4, false},
      {{'G', 'E', 'T', ' '}, 4, false},
  };
  const fzr_addr from = fzt_addr(STRANGER), to = fzt_addr(FZT_LISTEN);
  uint64_t greetings = 0;
  begin(1, true);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fzr_stats before, after;
    fzr_engine_stats(one.engine, &before);
    fzt_client(&one, &from, &to, cases[i].data, cases[i].len);
    fzr_engine_stats(one.engine, &after);
    ck_assert_uint_eq(one.answer_count, 0);
    ck_assert_uint_eq(after.dropped[FZR_DROP_TLS] - before.dropped[FZR_DROP_TLS], cases[i].tls);
    greetings += cases[i].tls;
  }
  ck_assert_uint_eq(greetings, 3);
  ck_assert_uint_eq(told_tls, 1);
  fzt_client(&two, &from, &to, cases[0].data, cases[0].len);
  ck_assert_uint_eq(told_tls, 1);
  /* An hour later once more. */
  one.now += 3600 * FZR_SECOND;
  fzt_client(&one, &from, &to, cases[0].data, cases[0].len);
  fzt_client(&one, &from, &to, cases[0].data, cases[0].len);
  ck_assert_uint_eq(told_tls, 2);
  end();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("room");
  TCase *tc = tcase_create("room");
  tcase_add_test(tc, test_all_ports_taken);
  tcase_add_test(tc, test_other_programs_hold_all_ports);
  tcase_add_test(tc, test_no_descriptors);
  tcase_add_test(tc, test_no_memory);
  tcase_add_test(tc, test_draining);
  tcase_add_test(tc, test_standalone);
  tcase_add_test(tc, test_tls);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
