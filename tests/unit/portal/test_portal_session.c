/* SPDX-License-Identifier: Apache-2.0 */
/* The session's state machine and its backoff, in virtual time. */
#include <stdio.h>

#include "portal/session.h"
#include "prng.h"
#include "testing.h"

#define FZT_SECRET_HEX "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab"
#define HALF           UINT32_C(0x80000000) /* no jitter: a wait is its mean */

static session s;
static fzr_time now;
static uint32_t random_bits;

static void setup(void)
{
  const portal_timing timing = {0};
  now = 1000 * FZR_SECOND;
  random_bits = HALF;
  session_init(&s, FZT_SECRET_HEX, &timing);
}

/* The next action has to be of |kind|; returns its text. */
static const session_action *expect(enum session_action_kind kind)
{
  const session_action *action = session_next(&s);
  ck_assert_msg(action != NULL && action->kind == kind, "wanted action %d, got %d", kind,
                action != NULL ? (int)action->kind : -1);
  return action;
}

static void expect_none(void)
{
  const session_action *action = session_next(&s);
  ck_assert_msg(action == NULL, "action %d: %s", action != NULL ? (int)action->kind : 0,
                action != NULL ? action->text : "");
}

static void message(enum phoenix_kind kind, uint64_t ref, const char *reason)
{
  phoenix_message m = {.kind = kind, .has_ref = true, .ref = ref};
  (void)snprintf(m.reason, sizeof m.reason, "%s", reason);
  session_message(&s, &m, now, random_bits);
}

/* Goes to the next deadline, which must be |after| from now. */
static void pass(fzr_time after)
{
  const fzr_time due = session_deadline(&s);
  ck_assert_uint_eq(due - now, after);
  session_timeout(&s, due - 1, random_bits);
  expect_none();
  now = due;
  session_timeout(&s, now, random_bits);
}

static void connect_ok(void)
{
  session_switched(&s, now);
  expect(SESSION_SEND);
  expect_none();
}

static void join(void)
{
  session_start(&s, now);
  expect(SESSION_CONNECT);
  connect_ok();
  message(PHOENIX_REPLY_OK, 0, "");
  expect(SESSION_UP);
  expect_none();
}

static void begun(void)
{
  message(PHOENIX_INIT, 0, "");
  expect(SESSION_INIT);
  expect_none();
}

static void rejoin(void)
{
  pass(s.deadline - now);
  expect(SESSION_CONNECT);
  connect_ok();
  message(PHOENIX_REPLY_OK, s.join_ref, "");
  expect(SESSION_UP);
  expect_none();
}

static fzr_time expect_retry(const char *why)
{
  const session_action *action = expect(SESSION_RETRY);
  ck_assert_str_eq(action->text, why);
  expect_none();
  return action->delay;
}

/* The connection ends after it has lasted. */
static void lose_an_old_one(void)
{
  now += 120 * FZR_SECOND;
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  ck_assert_uint_eq(expect_retry("x"), 500 * FZR_MILLISECOND);
}

START_TEST(joins_and_beats)
{
  session_start(&s, now);
  expect(SESSION_CONNECT);
  ck_assert_uint_eq(session_deadline(&s), now + 15 * FZR_SECOND);
  session_switched(&s, now);
  ck_assert_str_eq(
      expect(SESSION_SEND)->text,
      "{\"topic\":\"relay\",\"event\":\"phx_join\",\"payload\":{\"stamp_secret\":\"" FZT_SECRET_HEX
      "\"},\"ref\":0}");
  message(PHOENIX_REPLY_OK, 0, "");
  expect(SESSION_UP);
  message(PHOENIX_INIT, 0, "");
  expect(SESSION_INIT);
  for (unsigned i = 1; i < 5; i++) {
    char text[128];
    pass(i == 1 ? 10 * FZR_SECOND : 9 * FZR_SECOND);
    (void)snprintf(text, sizeof text,
                   "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":%u}", i);
    ck_assert_str_eq(expect(SESSION_SEND)->text, text);
    now += FZR_SECOND;
    message(i % 2 == 0 ? PHOENIX_REPLY_ERROR : PHOENIX_REPLY_OK, i, "");
    expect_none();
  }
}
END_TEST

static void beat(void)
{
  pass(10 * FZR_SECOND);
  expect(SESSION_SEND);
  expect_none();
}

/* Three without a reply end the connection when the fourth would be due. */
START_TEST(heartbeats_without_reply)
{
  join();
  begun();
  beat();
  message(PHOENIX_REPLY_OK, 0, ""); /* not that one's */
  expect(SESSION_NOTE);
  beat();
  beat();
  pass(10 * FZR_SECOND);
  expect(SESSION_DROP);
  ck_assert_uint_eq(expect_retry("the portal did not answer three heartbeats"), 500 * FZR_MILLISECOND);
  rejoin();
}
END_TEST

/* A portal that stalls for half a minute and then goes on has answered in order: nothing is ended, and the count begins anew. */
START_TEST(late_replies_count)
{
  join();
  begun();
  for (int stall = 0; stall < 5; stall++) {
    const uint64_t first = s.next_ref;
    beat();
    beat();
    beat();
    now += 9 * FZR_SECOND;
    message(PHOENIX_REPLY_OK, first, "");
    expect_none();
    ck_assert_uint_eq(s.unanswered, 2);
    message(PHOENIX_REPLY_OK, first + 2, "");
    expect_none();
    ck_assert_uint_eq(s.unanswered, 0);
    message(PHOENIX_REPLY_OK, first + 1, ""); /* too late to tell anything */
    expect(SESSION_NOTE);
    now -= 9 * FZR_SECOND;
  }
}
END_TEST

START_TEST(init_comes_once)
{
  session_start(&s, now);
  expect(SESSION_CONNECT);
  connect_ok();
  message(PHOENIX_INIT, 0, ""); /* before the reply */
  expect(SESSION_INIT);
  message(PHOENIX_REPLY_OK, 0, "");
  expect(SESSION_UP);
  message(PHOENIX_INIT, 0, "");
  expect_none();
  lose_an_old_one();
  rejoin();
  message(PHOENIX_INIT, 0, "");
  expect_none();
}
END_TEST

/* A portal that says nothing of init is relayed for all the same, once. */
START_TEST(init_is_overdue)
{
  join();
  now += 9 * FZR_SECOND;
  session_lost(&s, "x", now, HALF); /* not yet: the join comes first */
  expect(SESSION_DROP);
  expect(SESSION_RETRY);
  expect_none();
  rejoin();
  pass(10 * FZR_SECOND);
  expect(SESSION_SEND); /* a heartbeat is due, too */
  expect_none();
  session_timeout(&s, now, HALF);
  ck_assert_str_eq(expect(SESSION_INIT)->text, "the portal took the join, but said nothing of init for 10 s");
  expect_none();
  message(PHOENIX_INIT, 0, "");
  expect_none();
  ck_assert_uint_eq(session_deadline(&s), now + 10 * FZR_SECOND);
}
END_TEST

START_TEST(timeouts_of_attempt_and_join)
{
  session_start(&s, now);
  expect(SESSION_CONNECT);
  pass(15 * FZR_SECOND);
  expect(SESSION_DROP);
  expect_retry("connecting to the portal took too long");
  pass(500 * FZR_MILLISECOND);
  expect(SESSION_CONNECT);
  connect_ok();
  pass(5 * FZR_SECOND);
  expect(SESSION_DROP);
  ck_assert_uint_eq(expect_retry("the portal did not answer the join in time"), 750 * FZR_MILLISECOND);
}
END_TEST

START_TEST(backoff_grows_and_is_reset_by_a_connection_that_lasts)
{
  static const unsigned means[] = {500, 750, 1125, 1687, 2531, 3796};
  session_start(&s, now);
  expect(SESSION_CONNECT);
  for (size_t i = 0; i < sizeof means / sizeof means[0]; i++) {
    session_lost(&s, "x", now, HALF);
    expect(SESSION_DROP);
    const fzr_time delay = expect_retry("x");
    ck_assert_uint_eq(delay / FZR_MILLISECOND, means[i]);
    pass(delay);
    expect(SESSION_CONNECT);
  }
  connect_ok(); /* this alone is no success */
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  ck_assert_uint_eq(expect_retry("x") / FZR_MILLISECOND, 5695);
  rejoin();
  lose_an_old_one();
}
END_TEST

/* Two relays that throw each other out, or a portal that fails after each join: within a quarter of an hour not thousands of joins. */
START_TEST(joins_that_die_soon)
{
  const fzr_time begin = now;
  unsigned joins = 1;
  join();
  begun();
  for (fzr_time last = 0; now - begin < 900 * FZR_SECOND; joins++) {
    now += FZR_MILLISECOND;
    session_lost(&s, "the portal ended the connection", now, HALF);
    expect(SESSION_DROP);
    const session_action *action = expect(SESSION_RETRY);
    ck_assert_str_eq(action->text, "the portal ended the connection, soon after it had taken the join");
    ck_assert(!action->repeated); /* "connected" stands between */
    ck_assert_uint_ge(action->delay, last);
    last = action->delay;
    expect_none();
    rejoin();
  }
  ck_assert_uint_lt(joins, 40);
  lose_an_old_one();
}
END_TEST

/* What ends each connection after half a minute does not keep the relay away for as long, even after an outage. */
START_TEST(connections_with_a_limit)
{
  session_start(&s, now);
  expect(SESSION_CONNECT);
  for (int i = 0; i < 20; i++) {
    session_lost(&s, "x", now, HALF);
    expect(SESSION_DROP);
    expect(SESSION_RETRY);
    pass(s.deadline - now);
    expect(SESSION_CONNECT);
  }
  connect_ok();
  message(PHOENIX_REPLY_OK, s.join_ref, "");
  expect(SESSION_UP);
  for (int i = 0; i < 10; i++) {
    now += 30 * FZR_SECOND;
    session_lost(&s, "x", now, HALF);
    expect(SESSION_DROP);
    const session_action *action = expect(SESSION_RETRY);
    ck_assert_str_eq(action->text, "x");
    ck_assert_uint_le(action->delay, i < 4 ? 5 * FZR_SECOND : 500 * FZR_MILLISECOND);
    rejoin();
  }
}
END_TEST

/* One line each time the reason changes, not each try. */
START_TEST(reasons_are_said_once)
{
  static const struct {
    int status; /* 0: no answer */
    const char *why;
    bool repeated;
  } tries[] = {{0, "a", false},    {0, "a", true},   {503, "later", false}, {503, "request 1", true},
               {503, "r 2", true}, {404, "", false}, {302, "x", false},     {302, "y", true},
               {0, "a", false},    {0, "a", true},   {0, "a", true},        {200, "<html>", false},
               {0, "b", false},    {200, "", false}};
  session_start(&s, now);
  for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
    expect(SESSION_CONNECT);
    if (tries[i].status != 0)
      session_refused(&s, tries[i].status, tries[i].why, 0, now, HALF);
    else
      session_lost(&s, tries[i].why, now, HALF);
    expect(SESSION_DROP);
    ck_assert_msg(expect(SESSION_RETRY)->repeated == tries[i].repeated, "try %zu", i);
    expect_none();
    pass(s.deadline - now);
  }
}
END_TEST

static void attempt_again(void)
{
  pass(s.deadline - now);
  expect(SESSION_CONNECT);
}

/* Only a token that is not taken ends the process, before the first join as after it. */
START_TEST(statuses)
{
  for (int status = 100; status < 700; status++) {
    for (int joined = 0; joined < 2; joined++) {
      setup();
      if (joined) {
        join();
        begun();
        lose_an_old_one();
        attempt_again();
      } else {
        session_start(&s, now);
        expect(SESSION_CONNECT);
        s.token_in_query = true;
      }
      session_refused(&s, status, "why", 0, now, HALF);
      expect(SESSION_DROP);
      char number[8];
      (void)snprintf(number, sizeof number, "%d", status);
      const char *text = expect(status == 401 ? SESSION_FATAL : SESSION_RETRY)->text;
      ck_assert_ptr_nonnull(strstr(text, number));
      ck_assert_ptr_nonnull(strstr(text, "why"));
      ck_assert_int_eq(s.state, status == 401 ? SESSION_ENDED : SESSION_WAITING);
      expect_none();
      if (status == 401)
        ck_assert_uint_eq(session_deadline(&s), FZR_TIME_NEVER);
    }
  }
}
END_TEST

/* The token is not in the query, where proxies log it, unless the portal wants it there. */
START_TEST(token_in_query)
{
  static const int asks[] = {400, 401};
  for (size_t i = 0; i < 2; i++) {
    setup();
    session_start(&s, now);
    expect(SESSION_CONNECT);
    session_refused(&s, 403, "", 0, now, HALF);
    expect(SESSION_DROP);
    expect(SESSION_RETRY);
    attempt_again();
    ck_assert(!s.token_in_query);
    session_refused(&s, asks[i], "", 0, now, HALF);
    expect(SESSION_DROP);
    ck_assert_ptr_nonnull(strstr(expect(SESSION_RETRY)->text, "URL"));
    expect_none();
    attempt_again();
    ck_assert(s.token_in_query);
    session_refused(&s, 400, "", 0, now, HALF); /* again: an outage */
    expect(SESSION_DROP);
    expect(SESSION_RETRY);
    attempt_again();
    ck_assert(!s.token_in_query); /* which may have been a proxy's: the header alone once more */
    session_refused(&s, asks[i], "", 0, now, HALF);
    expect(SESSION_DROP);
    expect(SESSION_RETRY);
    attempt_again();
    ck_assert(s.token_in_query);
    session_refused(&s, 401, "", 0, now, HALF);
    expect(SESSION_DROP);
    expect(SESSION_FATAL);
    expect_none();
  }
  /* A portal that takes it in the query is tried with the header alone after each outage. */
  setup();
  session_start(&s, now);
  expect(SESSION_CONNECT);
  for (int i = 0; i < 3; i++) {
    ck_assert(!s.token_in_query);
    session_refused(&s, i == 1 ? 401 : 400, "", 0, now, HALF);
    expect(SESSION_DROP);
    expect(SESSION_RETRY);
    attempt_again();
    ck_assert(s.token_in_query);
    connect_ok();
    session_lost(&s, "x", now, HALF);
    expect(SESSION_DROP);
    expect(SESSION_RETRY);
    attempt_again();
  }
  /* A portal that took it from the header alone, even if nothing came of it, is not told in another way. */
  setup();
  session_start(&s, now);
  expect(SESSION_CONNECT);
  connect_ok();
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_RETRY);
  attempt_again();
  session_refused(&s, 400, "", 0, now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_RETRY);
  ck_assert(!s.token_in_query);
  attempt_again();
  session_refused(&s, 401, "", 0, now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_FATAL);
}
END_TEST

START_TEST(retry_after_is_a_lower_bound)
{
  static const uint32_t randoms[] = {0, HALF, UINT32_MAX};
  for (size_t i = 0; i < 3; i++) {
    setup();
    session_start(&s, now);
    expect(SESSION_CONNECT);
    session_refused(&s, 503, "", 120, now, randoms[i]);
    expect(SESSION_DROP);
    const fzr_time delay = expect(SESSION_RETRY)->delay;
    ck_assert_uint_ge(delay, 120 * FZR_SECOND);
    ck_assert_uint_le(delay, 150 * FZR_SECOND);
    ck_assert_uint_eq(session_deadline(&s), now + delay);
  }
}
END_TEST

START_TEST(login_errors)
{
  static const char *const reasons[] = {"unmatched topic", "invalid_version", "disabled", "other", ""};
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
    setup();
    session_start(&s, now);
    expect(SESSION_CONNECT);
    connect_ok();
    message(PHOENIX_REPLY_ERROR, 3, "of something else");
    expect(SESSION_NOTE);
    message(PHOENIX_REPLY_ERROR, 0, reasons[i]);
    expect(SESSION_DROP);
    ck_assert_ptr_nonnull(strstr(expect(SESSION_FATAL)->text, reasons[i]));
    expect_none();
  }
}
END_TEST

/* Only the first join can be refused for good. */
START_TEST(rejoin_is_refused)
{
  static const char *const reasons[] = {"unmatched topic", "invalid_version", "disabled", "other", ""};
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
    setup();
    join();
    lose_an_old_one();
    attempt_again();
    connect_ok();
    message(PHOENIX_REPLY_ERROR, s.join_ref, reasons[i]);
    expect(SESSION_DROP);
    ck_assert_ptr_nonnull(strstr(expect(SESSION_RETRY)->text, reasons[i]));
    expect_none();
    rejoin();
  }
}
END_TEST

START_TEST(disconnects)
{
  join();
  message(PHOENIX_DISCONNECT, 0, "whatever");
  expect(SESSION_NOTE);
  expect_none();
  message(PHOENIX_DISCONNECT, 0, "token_expired");
  expect(SESSION_DROP);
  ck_assert_ptr_nonnull(strstr(expect(SESSION_FATAL)->text, "token_expired"));
  expect_none();
  session_lost(&s, "x", now, HALF);
  session_timeout(&s, now + 3600 * FZR_SECOND, HALF);
  session_shutdown(&s, now);
  expect_none();
}
END_TEST

START_TEST(channel_closed)
{
  join();
  now += 120 * FZR_SECOND;
  message(PHOENIX_CLOSED, 0, "");
  expect(SESSION_DROP);
  expect_retry("the portal closed the channel");
}
END_TEST

/* A day after the last connection was lost it is over, in whatever state. */
START_TEST(partition)
{
  join();
  now += 3600 * FZR_SECOND;
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_RETRY);
  const fzr_time lost = now;
  for (;;) {
    now = session_deadline(&s);
    session_timeout(&s, now, HALF);
    const session_action *action = session_next(&s);
    ck_assert_ptr_nonnull(action);
    if (s.state == SESSION_ENDED) {
      while (action != NULL && action->kind != SESSION_FATAL)
        action = session_next(&s);
      ck_assert_ptr_nonnull(action);
      ck_assert_ptr_nonnull(strstr(action->text, "86400 s"));
      break;
    }
    while (session_next(&s) != NULL) {
    }
  }
  ck_assert_uint_eq(now - lost, 86400 * FZR_SECOND);
}
END_TEST

START_TEST(shutdown_when_joined)
{
  join();
  session_shutdown(&s, now);
  expect(SESSION_CLOSE);
  expect_none();
  message(PHOENIX_DISCONNECT, 0, "token_expired");
  expect_none();
  pass(2 * FZR_SECOND);
  expect(SESSION_DROP);
  expect_none();
  ck_assert_int_eq(s.state, SESSION_ENDED);
}
END_TEST

START_TEST(shutdown_otherwise)
{
  session_shutdown(&s, now); /* before it began */
  expect_none();
  ck_assert_int_eq(s.state, SESSION_ENDED);
  setup();
  session_start(&s, now);
  expect(SESSION_CONNECT);
  session_shutdown(&s, now);
  expect(SESSION_DROP);
  expect_none();
  setup();
  session_start(&s, now);
  expect(SESSION_CONNECT);
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_RETRY);
  session_shutdown(&s, now);
  expect_none();
  ck_assert_uint_eq(session_deadline(&s), FZR_TIME_NEVER);
}
END_TEST

/* Another process joins with the same secret: the connection goes on until the portal ends it, and no other one is begun. */
START_TEST(yield_when_joined)
{
  join();
  session_yield(&s);
  expect_none();
  ck_assert_int_eq(s.state, SESSION_JOINED);
  beat();
  message(PHOENIX_CLOSED, 0, "");
  expect(SESSION_DROP);
  expect_none();
  ck_assert_int_eq(s.state, SESSION_ENDED);
  ck_assert_uint_eq(session_deadline(&s), FZR_TIME_NEVER);
}
END_TEST

START_TEST(yield_otherwise)
{
  session_start(&s, now);
  expect(SESSION_CONNECT);
  session_yield(&s);
  expect(SESSION_DROP);
  expect_none();
  ck_assert_int_eq(s.state, SESSION_ENDED);
  setup();
  session_start(&s, now);
  expect(SESSION_CONNECT);
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_RETRY);
  session_yield(&s);
  expect_none();
  ck_assert_uint_eq(session_deadline(&s), FZR_TIME_NEVER);
}
END_TEST

/* Any order of inputs leaves it in a state from which time alone leads on, never with more actions than there is room for, and
 * with CONNECT only when there is no connection. */
START_TEST(any_order)
{
  static const int answers[] = {200, 302, 400, 403, 404, 429, 500, 503};
  fzt_prng prng = {fzt_seed("any_order")};
  for (uint64_t round = 0; round < fzt_rounds(300); round++) {
    bool busy = false, up = false;
    unsigned inits = 0;
    setup();
    session_start(&s, now);
    for (int step = 0; step < 300; step++) {
      const session_action *action;
      while ((action = session_next(&s)) != NULL) {
        ck_assert(action->kind != SESSION_CONNECT || !busy);
        ck_assert(action->kind != SESSION_SEND || busy);
        ck_assert(action->kind != SESSION_UP || (busy && !up));
        busy = (busy || action->kind == SESSION_CONNECT) && action->kind != SESSION_DROP;
        up = (up || action->kind == SESSION_UP) && action->kind != SESSION_DROP;
        inits += action->kind == SESSION_INIT;
      }
      ck_assert_uint_le(inits, 1);
      if (s.state == SESSION_ENDED)
        break;
      ck_assert_uint_ne(session_deadline(&s), FZR_TIME_NEVER);
      random_bits = (uint32_t)fzt_next(&prng);
      switch (fzt_below(&prng, 8)) {
      case 0:
        session_switched(&s, now);
        break;
      case 1:
        session_lost(&s, "x", now, random_bits);
        break;
      case 2:
        session_refused(&s, answers[fzt_below(&prng, sizeof answers / sizeof answers[0])], "y",
                        (uint32_t)fzt_below(&prng, 300), now, random_bits);
        break;
      case 3:
      case 4:
        message((enum phoenix_kind)fzt_below(&prng, PHOENIX_DISCONNECT),
                fzt_below(&prng, 2) ? s.join_ref : s.heartbeat_ref, "z");
        break;
      case 5:
        now += fzt_below(&prng, 10 * FZR_SECOND);
        session_timeout(&s, now, random_bits);
        break;
      default:
        now = session_deadline(&s);
        session_timeout(&s, now, random_bits);
      }
    }
  }
}
END_TEST

#define RELAYS   1000
#define HORIZON  300 /* seconds */
#define PER_SLOT 10  /* slots of 100 ms */

/* A thousand relays lose their portal in the same instant and it stays away; or it comes back and tells all of them the same
 * Retry-After. Counts how many try within each tenth of a second. */
static void storm(fzt_prng *prng, uint32_t retry_after, unsigned slots[HORIZON * PER_SLOT])
{
  memset(slots, 0, HORIZON * PER_SLOT * sizeof slots[0]);
  for (int relay = 0; relay < RELAYS; relay++) {
    const portal_timing timing = {0};
    fzr_time at = 0;
    session_init(&s, "", &timing);
    session_start(&s, at);
    while (at < HORIZON * FZR_SECOND) {
      const session_action *action;
      bool connecting = false;
      while ((action = session_next(&s)) != NULL)
        connecting = connecting || action->kind == SESSION_CONNECT;
      if (connecting) {
        slots[at * PER_SLOT / FZR_SECOND]++;
        session_refused(&s, 503, "", retry_after, at, (uint32_t)fzt_next(prng));
      } else {
        at = session_deadline(&s);
        if (at < HORIZON * FZR_SECOND)
          session_timeout(&s, at, (uint32_t)fzt_next(prng));
      }
    }
  }
}

START_TEST(no_reconnect_storm)
{
  static unsigned slots[HORIZON * PER_SLOT];
  fzt_prng prng = {fzt_seed("no_reconnect_storm")};
  storm(&prng, 0, slots);
  ck_assert_uint_eq(slots[0], RELAYS); /* the instant itself */
  unsigned total = 0;
  for (size_t i = 1; i < HORIZON * PER_SLOT; i++) {
    const size_t second = i / PER_SLOT;
    /* Half a second of jitter spreads the first tries over 5 slots; later ones over ever more. Some 40 tries
     * fall on a slot of the sixth second by chance: 62 were seen in one of some hundred runs, 80 are six standard deviations. */
    ck_assert_msg(slots[i] <= (second < 1    ? 300U
                               : second < 5  ? 200U
                               : second < 60 ? 80U
                                             : 20U),
                  "%u tries in slot %zu", slots[i], i);
    total += slots[i];
  }
  ck_assert_uint_gt(total, RELAYS * 10);
  storm(&prng, 60, slots);
  for (size_t i = 1; i < HORIZON * PER_SLOT; i++) {
    ck_assert_msg(i > 60 * PER_SLOT - 1 || slots[i] == 0, "a try before its time, in slot %zu", i);
    ck_assert_msg(slots[i] <= 30, "%u tries in slot %zu", slots[i], i);
  }
}
END_TEST

START_TEST(timing_text)
{
  portal_timing t = {0};
  ck_assert(portal_timing_parse("", &t));
  ck_assert(portal_timing_parse("heartbeat=200ms,backoff-max=3s,partition=2m", &t));
  ck_assert_uint_eq(t.heartbeat, 200 * FZR_MILLISECOND);
  ck_assert_uint_eq(t.backoff_max, 3 * FZR_SECOND);
  ck_assert_uint_eq(t.partition, 120 * FZR_SECOND);
  static const char *const bad[] = {"x=1s",         "heartbeat",     "heartbeat=",    "heartbeat=5",
                                    "heartbeat=0s", "heartbeat=1sm", "heartbeat=1s;", "=1s"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    ck_assert_msg(!portal_timing_parse(bad[i], &t), "%s", bad[i]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("portal_session");
  TCase *tc = tcase_create("session");
  tcase_add_checked_fixture(tc, setup, NULL);
  tcase_add_test(tc, joins_and_beats);
  tcase_add_test(tc, heartbeats_without_reply);
  tcase_add_test(tc, late_replies_count);
  tcase_add_test(tc, init_comes_once);
  tcase_add_test(tc, init_is_overdue);
  tcase_add_test(tc, timeouts_of_attempt_and_join);
  tcase_add_test(tc, backoff_grows_and_is_reset_by_a_connection_that_lasts);
  tcase_add_test(tc, joins_that_die_soon);
  tcase_add_test(tc, connections_with_a_limit);
  tcase_add_test(tc, reasons_are_said_once);
  tcase_add_test(tc, statuses);
  tcase_add_test(tc, token_in_query);
  tcase_add_test(tc, retry_after_is_a_lower_bound);
  tcase_add_test(tc, login_errors);
  tcase_add_test(tc, rejoin_is_refused);
  tcase_add_test(tc, disconnects);
  tcase_add_test(tc, channel_closed);
  tcase_add_test(tc, partition);
  tcase_add_test(tc, shutdown_when_joined);
  tcase_add_test(tc, shutdown_otherwise);
  tcase_add_test(tc, yield_when_joined);
  tcase_add_test(tc, yield_otherwise);
  tcase_add_test(tc, any_order);
  tcase_add_test(tc, no_reconnect_storm);
  tcase_add_test(tc, timing_text);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
