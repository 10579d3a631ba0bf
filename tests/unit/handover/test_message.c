/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a hand-over: what is written is read, and what is no message is not. */
#include "testing.h"

#include "handover/message.h"

static handover_message full(void)
{
  handover_message m = {.type = HANDOVER_OFFER,
                        .version = "1.2.3",
                        .major = HANDOVER_MAJOR,
                        .minor = 2,
                        .state_major = 3,
                        .state_minor = 4,
                        .workers = 16,
                        .listen_port = 3478,
                        .tcp_listen_port = 3479,
                        .tls_listen_port = 443,
                        .tcp_clients = 70000,
                        .tls_clients = 3,
                        .reason = "none at all",
                        .kind = 5,
                        .worker = 15,
                        .fds = 253,
                        .saved_at = 0x0102030405060708};
  m.public_ip4 = fzt_addr("203.0.113.7");
  m.public_ip6 = fzt_addr("2001:db8::7");
  m.bind_ip4 = fzt_addr("0.0.0.0");
  m.bind_ip6 = fzt_addr("::");
  return m;
}

START_TEST(test_what_is_written_is_read)
{
  uint8_t bytes[HANDOVER_MESSAGE_MAX];
  const handover_message m = full();
  handover_message got;
  ck_assert(handover_read(bytes, handover_write(&m, bytes), &got));
  ck_assert_mem_eq(&m, &got, sizeof m);
}
END_TEST

START_TEST(test_the_longest_fits)
{
  uint8_t bytes[HANDOVER_MESSAGE_MAX];
  handover_message m = full(), got;
  memset(m.version, 'v', sizeof m.version); /* without an end */
  memset(m.reason, 'r', sizeof m.reason);
  ck_assert(handover_read(bytes, handover_write(&m, bytes), &got));
  ck_assert_uint_eq(strlen(got.version), HANDOVER_VERSION_MAX - 1);
  ck_assert_uint_eq(strlen(got.reason), HANDOVER_REASON_MAX - 1);
}
END_TEST

START_TEST(test_what_is_cut_off_is_no_whole_message)
{
  uint8_t bytes[HANDOVER_MESSAGE_MAX];
  const handover_message m = full();
  handover_message got;
  const size_t len = handover_write(&m, bytes);
  unsigned read = 0;
  /* Only at the end of a field, and behind all that an offer of this version has to have. */
  for (size_t i = 0; i < len; i++) {
    if (!handover_read(bytes, i, &got))
      continue;
    read++;
    ck_assert(got.major != HANDOVER_MAJOR || got.listen_port == 3478);
  }
  ck_assert_uint_le(read, 18);
}
END_TEST

START_TEST(test_what_is_not_known_is_passed_over)
{
  static const uint8_t more[] = {0xff, 0xff, 3, 0, 1, 2, 3, 0xfe, 0xff, 0, 0};
  uint8_t bytes[HANDOVER_MESSAGE_MAX];
  const handover_message m = full();
  handover_message got;
  const size_t len = handover_write(&m, bytes);
  memcpy(bytes + len, more, sizeof more);
  ck_assert(handover_read(bytes, len + sizeof more, &got));
  ck_assert_mem_eq(&m, &got, sizeof m);
}
END_TEST

/* A head of |type|, and one field. */
static bool reads(unsigned type, unsigned number, size_t len, const char *value, handover_message *got)
{
  uint8_t bytes[HANDOVER_MESSAGE_MAX] = {'F', 'Z', 'H', 'O', (uint8_t)type, 0, 0, 0, (uint8_t)number};
  bytes[10] = (uint8_t)len;
  bytes[11] = (uint8_t)(len >> 8);
  memcpy(bytes + 12, value, strlen(value));
  return handover_read(bytes, 12 + strlen(value), got);
}

START_TEST(test_what_can_not_be_is_refused)
{
  handover_message got;
  char text[HANDOVER_REASON_MAX + 1];
  ck_assert(reads(HANDOVER_REFUSE, 14, 3, "why", &got));
  ck_assert_str_eq(got.reason, "why");
  ck_assert(!reads(HANDOVER_REFUSE, 14, 4, "why", &got));
  ck_assert(!reads(0, 14, 3, "why", &got));
  ck_assert(!reads(HANDOVER_TYPES, 14, 3, "why", &got));
  ck_assert(!reads(HANDOVER_HELLO, 2, 3, "123", &got));      /* a number of another width */
  ck_assert(!reads(HANDOVER_HELLO, 8, 5, "12345", &got));    /* an address of none */
  ck_assert(!reads(HANDOVER_GIVE, 15, 4, "\1\1\1\1", &got)); /* without descriptors */
  ck_assert(!reads(HANDOVER_OFFER, 6, 4, "\1\1\1\1", &got) || got.major != HANDOVER_MAJOR);
  memset(text, 'x', sizeof text);
  text[HANDOVER_REASON_MAX] = 0;
  ck_assert(!reads(HANDOVER_REFUSE, 14, HANDOVER_REASON_MAX, text, &got));
  ck_assert(!handover_read((const uint8_t *)"FZHP\3\0\0\0", 8, &got));
  ck_assert(!handover_read((const uint8_t *)"FZHO\3\0\0", 7, &got));
}
END_TEST

START_TEST(test_a_text_is_one_line)
{
  handover_message got;
  ck_assert(reads(HANDOVER_REFUSE, 14, 6, "a\nb\x1b\x7f\xff", &got));
  ck_assert_str_eq(got.reason, "a?b???");
}
END_TEST

/* The last one counts, and nothing is left of those before. */
START_TEST(test_a_field_that_is_there_twice)
{
  static const uint8_t bytes[] = {
      'F', 'Z', 'H', 'O', HANDOVER_REFUSE, 0, 0, 0, 14, 0, 6, 0, 'l', 'o', 'n', 'g', 'e', 'r', 14, 0, 3,
      0,   'w', 'h', 'y'};
  const handover_message expected = {.type = HANDOVER_REFUSE, .reason = "why"};
  handover_message got;
  ck_assert(handover_read(bytes, sizeof bytes, &got));
  ck_assert_mem_eq(got.reason, expected.reason, sizeof got.reason);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("handover-message");
  TCase *tc = tcase_create("message");
  tcase_add_test(tc, test_what_is_written_is_read);
  tcase_add_test(tc, test_the_longest_fits);
  tcase_add_test(tc, test_what_is_cut_off_is_no_whole_message);
  tcase_add_test(tc, test_what_is_not_known_is_passed_over);
  tcase_add_test(tc, test_what_can_not_be_is_refused);
  tcase_add_test(tc, test_a_text_is_one_line);
  tcase_add_test(tc, test_a_field_that_is_there_twice);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
