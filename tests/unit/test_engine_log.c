/* SPDX-License-Identifier: Apache-2.0 */
/* What the log says of the engine's records: why something ended, in the operator's words. */
#include "testing.h"

#include "engine_log.h"
#include "log/log.h"

#include <stdio.h>
#include <unistd.h>

/* The line of |record|. */
static const char *line_of(const fzr_log_record *record)
{
  static char text[2000];
  FILE *file = tmpfile();
  ck_assert_ptr_nonnull(file);
  const log_options options = {.style = LOG_STYLE_HUMAN, .fd = fileno(file), .filter = "trace"};
  ck_assert_int_eq(log_init(&options), 0);
  engine_log(NULL, record);
  log_shutdown();
  const ssize_t len = pread(fileno(file), text, sizeof text - 1, 0);
  fclose(file);
  ck_assert_int_gt(len, 0);
  text[len] = 0;
  return text;
}

static void expect_end(const fzr_log_record *record, const char *message, const char *reason)
{
  char expected[400];
  const char *line = line_of(record);
  snprintf(expected, sizeof expected, "reason=\"%s\"\n", reason);
  ck_assert_msg(strstr(line, message) != NULL && strstr(line, expected) != NULL, "%s: %s", reason, line);
}

START_TEST(test_moved)
{
  const fzr_addr now = fzt_addr("192.0.2.9:53"), before = fzt_addr("192.0.2.9:54");
  const fzr_log_record record = {.level = FZR_LOG_INFO,
                                 .event = FZR_LOG_ALLOCATION_MOVED,
                                 .client = &now,
                                 .former_client = &before,
                                 .port = 50000};
  const char *line = line_of(&record);
  ck_assert_msg(strstr(line, "Moved allocation") && strstr(line, "sender=192.0.2.9:53") &&
                    strstr(line, "former_sender=192.0.2.9:54") && strstr(line, "allocation=50000"),
                "%s", line);
}
END_TEST

START_TEST(test_ends)
{
  static const struct {
    enum fzr_log_event event;
    const char *message, *reason;
  } ends[] = {
      {FZR_LOG_ALLOCATION_DELETED, "Deleted allocation", "its client gave it back"},
      {FZR_LOG_ALLOCATION_EXPIRED, "Deleted allocation", "it was not refreshed"},
      {FZR_LOG_ALLOCATION_REPLACED, "Deleted allocation", "a newer one of the same user replaces it"},
      {FZR_LOG_ALLOCATION_ENDED, "Deleted allocation", "this relay was told to end it"},
      {FZR_LOG_ALLOCATION_LOST, "Deleted allocation", "it was handed over, and its port could not be opened"},
      {FZR_LOG_CHANNEL_EXPIRED, "Deleted channel binding", "it was not refreshed"},
  };
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    const fzr_log_record record = {.level = FZR_LOG_INFO, .event = (uint16_t)ends[i].event, .port = 50000};
    expect_end(&record, ends[i].message, ends[i].reason);
  }
  fzr_addr client = fzt_addr("192.0.2.9:53");
  client.transport = FZR_TRANSPORT_TLS;
  const fzr_log_record on_stream = {
      .level = FZR_LOG_INFO, .event = FZR_LOG_ALLOCATION_ENDED, .client = &client, .port = 50000};
  expect_end(&on_stream, "Deleted allocation", "its client's connection ended");
}
END_TEST

/* Why a channel ended that its client goes on to use. */
START_TEST(test_channels_that_are_revoked)
{
  const fzr_addr peer = fzt_addr("192.0.2.9:53"), carrier = fzt_addr("[64:ff9b::c000:209]:53");
  const fzr_peer_rule rule = {.net = fzt_addr("192.0.2.0:0"), .prefix = 24};
  const struct {
    enum fzr_peer_reason why;
    const fzr_addr *peer, *inner;
    const fzr_peer_rule *rule;
    const char *reason;
  } ends[] = {
      {FZR_PEER_OWN, &peer, NULL, NULL, "its peer is on an address of this host by now"},
      {FZR_PEER_OWN, &carrier, &peer, NULL, "its peer is on an address of this host by now"},
      {FZR_PEER_DENIED, &peer, NULL, &rule, "its peer is out of reach by now: --deny-peer 192.0.2.0/24"},
      {FZR_PEER_DENIED, &carrier, &peer, &rule,
       "its peer is out of reach by now: inside it 192.0.2.9: --deny-peer 192.0.2.0/24"},
      {FZR_PEER_SCOPE, &peer, NULL, NULL,
       "its peer is out of reach by now: a local or private address, unlike the relay's public one; "
       "--allow-peer 192.0.2.9 would open it"},
      {FZR_PEER_APPLICATION, &peer, NULL, NULL, "its peer is out of reach by now: the application's policy"},
  };
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    const fzr_log_record record = {.level = FZR_LOG_INFO,
                                   .event = FZR_LOG_CHANNEL_REVOKED,
                                   .port = 50000,
                                   .channel = 0x4000,
                                   .peer = ends[i].peer,
                                   .peer_reason = (uint8_t)ends[i].why,
                                   .peer_rule = ends[i].rule,
                                   .peer_inner = ends[i].inner};
    expect_end(&record, "Deleted channel binding", ends[i].reason);
  }
}
END_TEST

/* A client hears nothing of it: the log says why, and what to do. */
START_TEST(test_indications_that_are_dropped)
{
  static const struct {
    enum fzr_drop_reason dropped;
    const char *reason;
  } rows[] = {
      {FZR_DROP_NO_PERMISSION,
       "the client has no permission for this peer, or none any more: it has to ask for "
       "one by CreatePermission"},
      {FZR_DROP_PEER_PORT, "the peer's address is in reach, but not this port of it"},
      {FZR_DROP_SEND_MALFORMED, "there is no valid XOR-PEER-ADDRESS, or no DATA"},
      {FZR_DROP_UNKNOWN_CLIENT, "the client has no allocation, at this address and port"},
      {FZR_DROP_STUN_NOT_REQUEST, "--relay-mode is channels; browsers and most WebRTC clients need full"},
  };
  const fzr_addr client = fzt_addr("198.51.100.1:4000"), peer = fzt_addr("192.0.2.9:53");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const fzr_log_record record = {.level = FZR_LOG_DEBUG,
                                   .event = FZR_LOG_INDICATION_DROPPED,
                                   .method = FZR_STUN_SEND,
                                   .client = &client,
                                   .port = 50000,
                                   .peer = &peer,
                                   .drop_reason = (uint8_t)rows[i].dropped};
    expect_end(&record, "Dropped indications", rows[i].reason);
    ck_assert_ptr_nonnull(strstr(line_of(&record), "peer=192.0.2.9:53"));
  }
}
END_TEST

/* With all that helps to find the client, and how often it was. */
START_TEST(test_failed_login)
{
  const fzr_addr client = fzt_addr("198.51.100.1:4000");
  const fzr_log_record record = {.level = FZR_LOG_INFO,
                                 .event = FZR_LOG_LOGIN_FAILED,
                                 .method = FZR_STUN_ALLOCATE,
                                 .error_code = 401,
                                 .client = &client,
                                 .username = (const uint8_t *)"ali ce",
                                 .username_len = 6,
                                 .count = 17,
                                 .refusal = FZR_REFUSAL_PASSWORD};
  expect_end(&record, "A client could not log in", "a wrong password");
  const char *line = line_of(&record);
  ck_assert_msg(strstr(line, "sender=198.51.100.1:4000 method=allocate error=401 username=\"ali ce\" "
                             "count=17 reason=") != NULL,
                "%s", line);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("engine_log");
  TCase *tc = tcase_create("engine_log");
  tcase_add_test(tc, test_moved);
  tcase_add_test(tc, test_ends);
  tcase_add_test(tc, test_channels_that_are_revoked);
  tcase_add_test(tc, test_indications_that_are_dropped);
  tcase_add_test(tc, test_failed_login);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
