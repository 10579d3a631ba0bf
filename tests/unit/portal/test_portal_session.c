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

static void message(enum phoenix_kind kind, uint64_t ref, const char *reason)
{
  phoenix_message m = {.kind = kind, .has_ref = true, .ref = ref};
  (void)snprintf(m.reason, sizeof m.reason, "%s", reason);
  session_message(&s, &m, now, random_bits);
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
  ck_assert_uint_eq(s.last_heartbeat, FZR_TIME_NEVER);
  for (unsigned i = 1; i < 5; i++) {
    char text[128];
    pass(i == 1 ? 30 * FZR_SECOND : 29 * FZR_SECOND);
    (void)snprintf(text, sizeof text,
                   "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":%u}", i);
    ck_assert_str_eq(expect(SESSION_SEND)->text, text);
    ck_assert_uint_eq(s.last_heartbeat, now);
    now += FZR_SECOND;
    message(i % 2 == 0 ? PHOENIX_REPLY_ERROR : PHOENIX_REPLY_OK, i, "");
    expect_none();
  }
}
END_TEST

START_TEST(heartbeat_without_reply)
{
  join();
  pass(30 * FZR_SECOND);
  expect(SESSION_SEND);
  message(PHOENIX_REPLY_OK, 0, ""); /* not that one's */
  expect(SESSION_NOTE);
  pass(5 * FZR_SECOND);
  expect(SESSION_DROP);
  expect(SESSION_DOWN);
  ck_assert_uint_eq(expect_retry("the portal did not answer a heartbeat in time"), 500 * FZR_MILLISECOND);
  rejoin();
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
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_DOWN);
  expect_retry("x");
  rejoin();
  message(PHOENIX_INIT, 0, "");
  expect_none();
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

START_TEST(backoff_grows_and_is_reset_by_a_join)
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
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_DOWN);
  ck_assert_uint_eq(expect_retry("x"), 500 * FZR_MILLISECOND);
}
END_TEST

START_TEST(statuses)
{
  for (int status = 100; status < 700; status++) {
    const bool temporary = status == 408 || status == 429 || status >= 500;
    setup();
    session_start(&s, now);
    expect(SESSION_CONNECT);
    session_refused(&s, status, "why", 0, now, HALF);
    expect(SESSION_DROP);
    if (status < 300 || temporary) {
      ck_assert_ptr_nonnull(strstr(expect(SESSION_RETRY)->text, "why"));
      ck_assert_int_eq(s.state, SESSION_WAITING);
    } else {
      const char *text = expect(SESSION_FATAL)->text;
      char number[8];
      (void)snprintf(number, sizeof number, "%d", status);
      ck_assert_ptr_nonnull(strstr(text, number));
      ck_assert_ptr_nonnull(strstr(text, "why"));
      ck_assert_int_eq(s.state, SESSION_ENDED);
      ck_assert_uint_eq(session_deadline(&s), FZR_TIME_NEVER);
    }
    expect_none();
  }
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

START_TEST(disconnects)
{
  join();
  message(PHOENIX_DISCONNECT, 0, "whatever");
  expect(SESSION_NOTE);
  expect_none();
  message(PHOENIX_DISCONNECT, 0, "token_expired");
  expect(SESSION_DROP);
  expect(SESSION_DOWN);
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
  message(PHOENIX_CLOSED, 0, "");
  expect(SESSION_DROP);
  expect(SESSION_DOWN);
  expect_retry("the portal closed the channel");
}
END_TEST

/* Fifteen minutes after the last connection was lost it is over, in whatever state. */
START_TEST(partition)
{
  join();
  now += 3600 * FZR_SECOND;
  session_lost(&s, "x", now, HALF);
  expect(SESSION_DROP);
  expect(SESSION_DOWN);
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
      ck_assert_ptr_nonnull(strstr(action->text, "900 s"));
      break;
    }
    while (session_next(&s) != NULL) {
    }
  }
  ck_assert_uint_eq(now - lost, 900 * FZR_SECOND);
}
END_TEST

START_TEST(shutdown_when_joined)
{
  join();
  session_shutdown(&s, now);
  expect(SESSION_CLOSE);
  expect(SESSION_DOWN);
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

/* Any order of inputs leaves it in a state from which time alone leads on, never with more actions than there is room for, and
 * with CONNECT only when there is no connection. */
START_TEST(any_order)
{
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
        ck_assert(action->kind != SESSION_DOWN || up);
        busy = (busy || action->kind == SESSION_CONNECT) && action->kind != SESSION_DROP;
        up = (up || action->kind == SESSION_UP) && action->kind != SESSION_DOWN;
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
        session_refused(&s, 500 + (int)fzt_below(&prng, 5), "y", (uint32_t)fzt_below(&prng, 300), now,
                        random_bits);
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

START_TEST(backoff_bounds)
{
  fzt_prng prng = {fzt_seed("backoff_bounds")};
  portal_backoff backoff;
  portal_backoff_init(&backoff, 0, 0);
  for (int i = 0; i < 1000; i++) {
    const fzr_time mean = backoff.current;
    const fzr_time wait = portal_backoff_next(&backoff, (uint32_t)fzt_next(&prng));
    ck_assert_uint_ge(wait, mean / 2);
    ck_assert_uint_le(wait, mean + mean / 2);
    ck_assert_uint_le(wait, 60 * FZR_SECOND);
  }
  ck_assert_uint_eq(backoff.current, 40 * FZR_SECOND);
  portal_backoff_reset(&backoff);
  ck_assert_uint_le(portal_backoff_next(&backoff, UINT32_MAX), 750 * FZR_MILLISECOND);
  portal_backoff_reset(&backoff);
  ck_assert_uint_eq(portal_backoff_next(&backoff, 0), 250 * FZR_MILLISECOND);
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
    /* Half a second of jitter spreads the first tries over 5 slots; later ones over ever more. */
    ck_assert_msg(slots[i] <= (second < 1    ? 300U
                               : second < 5  ? 200U
                               : second < 60 ? 60U
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
  tcase_add_test(tc, heartbeat_without_reply);
  tcase_add_test(tc, init_comes_once);
  tcase_add_test(tc, timeouts_of_attempt_and_join);
  tcase_add_test(tc, backoff_grows_and_is_reset_by_a_join);
  tcase_add_test(tc, statuses);
  tcase_add_test(tc, retry_after_is_a_lower_bound);
  tcase_add_test(tc, login_errors);
  tcase_add_test(tc, disconnects);
  tcase_add_test(tc, channel_closed);
  tcase_add_test(tc, partition);
  tcase_add_test(tc, shutdown_when_joined);
  tcase_add_test(tc, shutdown_otherwise);
  tcase_add_test(tc, any_order);
  tcase_add_test(tc, backoff_bounds);
  tcase_add_test(tc, no_reconnect_storm);
  tcase_add_test(tc, timing_text);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
