/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a probe, in virtual time, with relays and networks that are wrong in one way each: it is named, and it is over in time. */
#include "testing.h"

#include "probe_world.h"

#include <string.h>

static world w;

static void run(probe_transport transport)
{
  const probe_plan plan = world_plan(transport);
  world_run(&w, &plan);
}

static void expect(enum probe_fault fault, double most_seconds)
{
  ck_assert_msg(w.fault == fault, "%s, and not %s", probe_fault_word(w.fault), probe_fault_word(fault));
  ck_assert_msg(w.took <= (fzr_time)(most_seconds * FZR_SECOND), "it took %.3f s",
                (double)w.took / FZR_SECOND);
  ck_assert_uint_le(w.sent, 60);
  ck_assert_uint_le(w.opened, 6);
  ck_assert_msg(!w.allocations || (w.lost_transports | w.silent_method | w.unsigned_answers | w.other_key) ||
                    w.answers_from_elsewhere || w.bad_code == 437,
                "allocations are left behind: %u", w.allocations);
}

static bool has_row(const char *row)
{
  for (size_t i = 0; i < w.row_count; i++)
    if (strcmp(w.rows[i], row) == 0)
      return true;
  return false;
}

START_TEST(test_works)
{
  static const probe_transport transports[] = {PROBE_UDP, PROBE_TCP, PROBE_TLS};
  for (size_t i = 0; i < 3; i++)
    for (unsigned indications = 0; indications < 2; indications++) {
      world_init(&w);
      w.in_indications = indications;
      run(transports[i]);
      expect(PROBE_WORKS, 1);
      ck_assert(!w.note && !w.lacks_family);
      for (enum probe_way way = PROBE_OUT; way < PROBE_WAYS; way++)
        ck_assert_uint_eq(w.facts.seen[way], PROBE_SMALL | PROBE_LARGE);
      ck_assert(has_row("ok data") && has_row("ok permission") && has_row("ok second client"));
      ck_assert_uint_eq(w.requests, 12);
    }
}
END_TEST

START_TEST(test_indications_are_lost)
{
  world_init(&w);
  w.no_indications = true;
  run(PROBE_UDP);
  expect(PROBE_WORKS, 1);
  ck_assert_ptr_nonnull(strstr(w.note, "Send indications"));
}
END_TEST

START_TEST(test_far_away)
{
  world_init(&w);
  w.latency = 200 * FZR_MILLISECOND;
  run(PROBE_UDP);
  expect(PROBE_WORKS, 8);
}
END_TEST

START_TEST(test_binding_alone)
{
  probe_plan plan = world_plan(PROBE_UDP);
  plan.stun_only = true;
  world_init(&w);
  world_run(&w, &plan);
  expect(PROBE_WORKS, 1);
  ck_assert_uint_eq(w.requests, 1);
}
END_TEST

/* The way to the relay. */
START_TEST(test_unreached)
{
  static const struct {
    unsigned lost, refused; /* bits of transports */
    probe_transport transport;
    enum probe_fault fault;
    bool other_works;
  } rows[] = {
      {1u << PROBE_UDP, 0, PROBE_UDP, PROBE_NO_ANSWER, true},
      {1u << PROBE_UDP | 1u << PROBE_TCP, 0, PROBE_UDP, PROBE_NO_ANSWER, false},
      {0, 1u << PROBE_UDP, PROBE_UDP, PROBE_NOTHING_LISTENS, true},
      {0, 1u << PROBE_UDP | 1u << PROBE_TCP, PROBE_UDP, PROBE_NOTHING_LISTENS, false},
      {1u << PROBE_TCP, 0, PROBE_TCP, PROBE_NO_ANSWER, true},
      {1u << PROBE_UDP | 1u << PROBE_TCP, 0, PROBE_TCP, PROBE_NO_ANSWER, false},
      {0, 1u << PROBE_TCP, PROBE_TCP, PROBE_NOTHING_LISTENS, true},
      {1u << PROBE_UDP, 1u << PROBE_TLS, PROBE_TLS, PROBE_NOTHING_LISTENS, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&w);
    w.lost_transports = rows[i].lost;
    w.refused_transports = rows[i].refused;
    run(rows[i].transport);
    expect(rows[i].fault, 4.6);
    ck_assert_msg(w.facts.other_works == rows[i].other_works, "row %zu", i);
  }
}
END_TEST

START_TEST(test_failures_of_opening)
{
  static const struct {
    enum probe_failure why;
    enum probe_fault fault;
  } rows[] = {{PROBE_FAILURE_UNREACHABLE, PROBE_NO_ROUTE}, {PROBE_FAILURE_TLS, PROBE_NO_TLS},
              {PROBE_FAILURE_CUT, PROBE_NO_TLS},           {PROBE_FAILURE_OWN, PROBE_OWN},
              {PROBE_FAILURE_ENDED, PROBE_NOT_STUN},       {PROBE_FAILURE_NOT_STUN, PROBE_NOT_STUN}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&w);
    w.open_fails = true;
    w.open_why = rows[i].why;
    run(PROBE_TLS);
    expect(rows[i].fault, 0.1);
    ck_assert_str_eq(w.facts.text, "a failure");
    ck_assert(w.facts.cut == (rows[i].why == PROBE_FAILURE_CUT));
  }
}
END_TEST

START_TEST(test_answers)
{
  static const struct {
    unsigned silent;
    probe_transport transport;
    enum probe_fault fault;
  } rows[] = {{FZR_STUN_BINDING, PROBE_TCP, PROBE_NOT_STUN},
              {FZR_STUN_ALLOCATE, PROBE_UDP, PROBE_NO_TURN},
              {FZR_STUN_CREATE_PERMISSION, PROBE_UDP, PROBE_ANSWERS_STOP},
              {FZR_STUN_CHANNEL_BIND, PROBE_UDP, PROBE_ANSWERS_STOP},
              {FZR_STUN_REFRESH, PROBE_UDP, PROBE_WORKS}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&w);
    w.silent_method = rows[i].silent;
    run(rows[i].transport);
    expect(rows[i].fault, 4);
  }
  world_init(&w);
  w.answers_from_elsewhere = true;
  run(PROBE_UDP);
  expect(PROBE_ELSEWHERE, 1);
  ck_assert_uint_eq(w.facts.from.ip[3], 8);
  world_init(&w);
  w.unsigned_answers = true;
  run(PROBE_UDP);
  expect(PROBE_UNSIGNED, 4);
  world_init(&w);
  w.other_key = true;
  run(PROBE_UDP);
  expect(PROBE_UNSIGNED, 4);
}
END_TEST

#define LOGIN(kind) (1u << PROBE_LOGIN_##kind)

START_TEST(test_logins)
{
  static const struct {
    unsigned right, has;
    enum probe_fault fault;
  } rows[] = {
      {0, ~0u, PROBE_LOGIN},
      {0, LOGIN(PLAIN), PROBE_LOGIN},
      {LOGIN(FAR), ~0u, PROBE_CLOCK},
      {LOGIN(OTHER), ~0u, PROBE_SCHEME},
      {LOGIN(OTHER), ~LOGIN(FAR), PROBE_SCHEME},
      {LOGIN(PLAIN) | LOGIN(FAR), ~0u, PROBE_CLOCK}, /* the second one is over sooner */
      {LOGIN(PLAIN) | LOGIN(SECOND), ~0u, PROBE_WORKS},
      {LOGIN(PLAIN), LOGIN(PLAIN), PROBE_WORKS},
      {0, 0, PROBE_OWN},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&w);
    w.logins = rows[i].right;
    w.has_logins = rows[i].has;
    run(PROBE_UDP);
    expect(rows[i].fault, 1);
  }
}
END_TEST

START_TEST(test_logins_that_are_given)
{
  probe_plan plan = world_plan(PROBE_UDP);
  plan.is_made = false;
  world_init(&w);
  w.logins = 0;
  world_run(&w, &plan);
  expect(PROBE_LOGIN, 1);
  ck_assert_uint_eq(w.facts.expiry, 1700003600);
  plan.unix_now = 1700003601;
  world_init(&w);
  w.logins = 0;
  world_run(&w, &plan);
  expect(PROBE_EXPIRED, 1);
  plan.unix_now = 1700000000;
  strcpy(plan.realm, "other.example");
  world_init(&w);
  w.logins = 0;
  world_run(&w, &plan);
  expect(PROBE_REALM, 1);
  /* The realm is the relay's to say: that it is another one does not matter as long as the login is right. */
  world_init(&w);
  world_run(&w, &plan);
  expect(PROBE_WORKS, 1);
}
END_TEST

START_TEST(test_stale_nonces)
{
  world_init(&w);
  w.stale = 3;
  run(PROBE_UDP);
  expect(PROBE_WORKS, 1);
  world_init(&w);
  w.stale = 1000;
  run(PROBE_UDP);
  expect(PROBE_STALE, 1);
}
END_TEST

START_TEST(test_refusals)
{
  static const struct {
    unsigned method, code;
    enum probe_flow flow;
    enum probe_fault fault;
  } rows[] = {
      {FZR_STUN_ALLOCATE, 486, PROBE_FLOW_A, PROBE_FULL},
      {FZR_STUN_ALLOCATE, 508, PROBE_FLOW_A, PROBE_FULL},
      {FZR_STUN_ALLOCATE, 508, PROBE_FLOW_B, PROBE_FULL},
      {FZR_STUN_ALLOCATE, 486, PROBE_FLOW_B, PROBE_WORKS},
      {FZR_STUN_ALLOCATE, 403, PROBE_FLOW_A, PROBE_REFUSES},
      {FZR_STUN_ALLOCATE, 300, PROBE_FLOW_A, PROBE_SENT_ON},
      {FZR_STUN_CREATE_PERMISSION, 403, PROBE_FLOW_A, PROBE_PEERS},
      {FZR_STUN_CREATE_PERMISSION, 400, PROBE_FLOW_A, PROBE_WORKS},
      {FZR_STUN_CHANNEL_BIND, 403, PROBE_FLOW_A, PROBE_PEERS},
      {FZR_STUN_CHANNEL_BIND, 403, PROBE_FLOW_B, PROBE_PEERS},
      {FZR_STUN_CHANNEL_BIND, 500, PROBE_FLOW_A, PROBE_REFUSES},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&w);
    w.bad_method = rows[i].method;
    w.bad_code = rows[i].code;
    w.bad_flow = rows[i].flow;
    run(PROBE_UDP);
    expect(rows[i].fault, 3);
    ck_assert_msg(rows[i].fault == PROBE_WORKS || w.facts.code == rows[i].code, "row %zu", i);
  }
  world_init(&w);
  w.bad_method = FZR_STUN_CREATE_PERMISSION;
  w.bad_code = 437;
  run(PROBE_UDP);
  expect(PROBE_WORKS, 3);
  ck_assert_ptr_nonnull(strstr(w.note, "one allocation"));
}
END_TEST

/* An error that has no code, but an address, is signed by nobody: it is no allocation. */
START_TEST(test_errors_without_a_code)
{
  static const enum probe_flow flows[] = {PROBE_FLOW_A, PROBE_FLOW_B};
  for (size_t i = 0; i < 2; i++) {
    char text[PROBE_TEXT_MAX];
    world_init(&w);
    w.bad_method = FZR_STUN_ALLOCATE;
    w.bad_code = 0;
    w.bad_flow = flows[i];
    run(PROBE_UDP);
    expect(PROBE_REFUSES, 1);
    probe_fault_say(w.fault, &w.facts, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "an error without ERROR-CODE"));
  }
}
END_TEST

START_TEST(test_relayed_address_of_another_family)
{
  char text[PROBE_TEXT_MAX];
  world_init(&w);
  w.relayed = "2001:db8:7::7";
  run(PROBE_UDP);
  expect(PROBE_REFUSES, 1);
  ck_assert(has_row("fail login"));
  probe_fault_say(w.fault, &w.facts, text, sizeof text);
  ck_assert_ptr_nonnull(strstr(text, "a relayed address of another family"));
}
END_TEST

START_TEST(test_first_answers)
{
  static const struct {
    unsigned code;
    enum probe_fault fault;
    bool lacks;
  } rows[] = {{440, PROBE_WORKS, true},
              {300, PROBE_SENT_ON, false},
              {508, PROBE_FULL, false},
              {400, PROBE_REFUSES, false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&w);
    w.first_code = rows[i].code;
    run(PROBE_UDP);
    expect(rows[i].fault, 1);
    ck_assert(w.lacks_family == rows[i].lacks);
  }
  ck_assert_uint_eq(w.facts.code, 400);
  world_init(&w);
  w.no_realm = true;
  run(PROBE_UDP);
  expect(PROBE_REFUSES, 1);
  world_init(&w);
  w.open_to_all = true;
  run(PROBE_UDP);
  expect(PROBE_WORKS, 1);
  ck_assert_ptr_nonnull(strstr(w.note, "nobody"));
}
END_TEST

START_TEST(test_data)
{
  static const struct {
    unsigned lost, lost_large; /* bits of ways */
    enum probe_fault fault;
  } rows[] = {
      {1u << PROBE_OUT, 0, PROBE_RANGE_OUT},
      {1u << PROBE_IN, 0, PROBE_RANGE},
      {1u << PROBE_IN | 1u << PROBE_OUT, 0, PROBE_RANGE},
      {1u << PROBE_THERE, 0, PROBE_HAIRPIN},
      {1u << PROBE_BACK, 0, PROBE_HAIRPIN},
      {0, 1u << PROBE_IN, PROBE_MTU},
      {0, 1u << PROBE_OUT, PROBE_MTU},
      {0, 1u << PROBE_THERE | 1u << PROBE_BACK, PROBE_MTU},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (probe_transport transport = PROBE_UDP; transport <= PROBE_TLS; transport++) {
      world_init(&w);
      w.lost_ways = rows[i].lost;
      w.lost_large = rows[i].lost_large;
      run(transport);
      expect(rows[i].fault, 3);
      ck_assert(has_row("fail data"));
    }
  world_init(&w);
  w.moves_source = true;
  run(PROBE_UDP);
  expect(PROBE_SOURCE, 1);
  world_init(&w);
  w.moves_client = true;
  run(PROBE_UDP);
  expect(PROBE_NAT, 1);
  world_init(&w);
  w.relayed = "10.0.0.1";
  run(PROBE_UDP);
  expect(PROBE_ADDRESS, 1);
  world_init(&w);
  w.relayed = "203.0.113.9";
  w.lost_ways = 1u << PROBE_IN | 1u << PROBE_OUT;
  run(PROBE_UDP);
  expect(PROBE_ADDRESS, 3);
}
END_TEST

/* Where UDP to the relay gets no answer, a peer's own address is known without a NAT alone. */
START_TEST(test_peer_without_udp)
{
  world_init(&w);
  w.no_udp_binding = true;
  run(PROBE_TCP);
  expect(PROBE_WORKS, 2);
  ck_assert(w.facts.direct);
  probe_plan plan = world_plan(PROBE_TCP);
  plan.server_of_peer.family = FZR_FAMILY_NONE;
  world_init(&w);
  world_run(&w, &plan);
  expect(PROBE_WORKS, 1);
  ck_assert(w.facts.direct);
  world_init(&w);
  w.no_udp_binding = true;
  w.moves_client = true; /* so it is not its own address that is seen */
  run(PROBE_TCP);
  expect(PROBE_NAT, 2);
}
END_TEST

/* A peer that has an address of the relay is not tried: what the relay's rules say of it depends on its port. */
START_TEST(test_on_the_relays_host)
{
  static const struct {
    const char *local, *relayed;
    bool tried;
  } rows[] = {{"203.0.113.7", NULL, false},          /* where it is asked, and the relayed address */
              {"203.0.113.7", "203.0.113.9", false}, /* where it is asked */
              {"203.0.113.9", "203.0.113.9", false}, /* the relayed address */
              {"203.0.113.8", "203.0.113.9", true}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (unsigned udp = 0; udp < 2; udp++) {
      world_init(&w);
      w.local = rows[i].local;
      w.relayed = rows[i].relayed;
      w.no_udp_binding = !udp;
      run(udp ? PROBE_UDP : PROBE_TCP);
      expect(PROBE_WORKS, 2);
      ck_assert_msg(w.facts.direct == rows[i].tried, "row %zu", i);
      ck_assert(rows[i].tried ? !w.note : strstr(w.note, "not tried from this host") != NULL);
      ck_assert_uint_eq(w.facts.seen[PROBE_BACK], PROBE_SMALL | PROBE_LARGE);
    }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("probe_machine");
  TCase *tc = tcase_create("probe_machine");
  tcase_add_test(tc, test_works);
  tcase_add_test(tc, test_indications_are_lost);
  tcase_add_test(tc, test_far_away);
  tcase_add_test(tc, test_binding_alone);
  tcase_add_test(tc, test_unreached);
  tcase_add_test(tc, test_failures_of_opening);
  tcase_add_test(tc, test_answers);
  tcase_add_test(tc, test_logins);
  tcase_add_test(tc, test_logins_that_are_given);
  tcase_add_test(tc, test_stale_nonces);
  tcase_add_test(tc, test_refusals);
  tcase_add_test(tc, test_errors_without_a_code);
  tcase_add_test(tc, test_relayed_address_of_another_family);
  tcase_add_test(tc, test_first_answers);
  tcase_add_test(tc, test_data);
  tcase_add_test(tc, test_peer_without_udp);
  tcase_add_test(tc, test_on_the_relays_host);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
