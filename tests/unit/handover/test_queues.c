/* SPDX-License-Identifier: Apache-2.0 */
/* What goes along of an adapter: counters, and what waits to be sent. */
#include "testing.h"

#include "handover/queues.h"

#include <unistd.h>

static fzr_udp_unsent seen[8];
static size_t seen_count;

static void see(void *ctx, const fzr_udp_unsent *unsent)
{
  (void)ctx;
  ck_assert_uint_lt(seen_count, 8);
  seen[seen_count++] = *unsent;
}

static bool read_all(const uint8_t *data, size_t len, fzr_udp_stats *stats)
{
  seen_count = 0;
  return handover_queues_read(data, len, stats, see, NULL);
}

/* A head, and a record of a datagram of 20 bytes to an address of |family|. */
static size_t unsent_record(uint8_t *out, uint8_t family)
{
  static const uint8_t head[] = {'F', 'Z', 'H', 'Q', 1, 0, 0, 0, 2, 0, 0, 0, 84, 0, 0, 0};
  uint8_t *at = out + sizeof head;
  memset(out, 0, sizeof head + 84);
  memcpy(out, head, sizeof head);
  at[0] = family;
  at[2] = 7; /* port */
  memcpy(at + 8, "\x7f\0\0\1", 4);
  at[48] = 20; /* each of them */
  at[50] = 1;  /* how many */
  at[52] = 9;  /* of the socket */
  at[54] = 5;  /* listens, not to be fragmented */
  at[57] = 1;  /* 256 ns */
  memset(at + 64, 'x', 20);
  return sizeof head + 84;
}

START_TEST(test_counters_go_on)
{
  fzr_udp_config config = fzr_udp_config_init();
  fzr_udp *udp;
  fzr_udp_stats before = {.sent = 7, .answers_dropped = 3, .sockets = 9}, stats;
  const uint8_t *data;
  size_t len;
  config.bind_ip4 = fzt_addr("127.0.0.1");
  ck_assert_int_eq(fzr_udp_new(&config, &udp, NULL), 0);
  handover_file *file = handover_file_new("test");
  ck_assert_ptr_nonnull(file);
  handover_queues_write(file, udp, &before);
  const int fd = handover_file_seal(file);
  ck_assert_int_ge(fd, 0);
  ck_assert(handover_file_map(fd, &data, &len));
  ck_assert(read_all(data, len, &stats));
  ck_assert_uint_eq(stats.sent, 7);
  ck_assert_uint_eq(stats.answers_dropped, 3);
  ck_assert_uint_eq(stats.sockets, 0); /* a gauge */
  ck_assert_uint_eq(seen_count, 0);
  handover_file_unmap(data, len);
  close(fd);
  fzr_udp_free(udp);
}
END_TEST

START_TEST(test_what_waits)
{
  uint8_t bytes[128];
  fzr_udp_stats stats;
  const fzr_addr to = fzt_addr("127.0.0.1:7");
  ck_assert(read_all(bytes, unsent_record(bytes, FZR_FAMILY_IPV4), &stats));
  ck_assert_uint_eq(seen_count, 1);
  ck_assert(fzr_addr_equal(&seen[0].to, &to));
  ck_assert_uint_eq(seen[0].from.family, FZR_FAMILY_NONE);
  ck_assert_uint_eq(seen[0].len, 20);
  ck_assert_uint_eq(seen[0].seg, 20);
  ck_assert_uint_eq(seen[0].count, 1);
  ck_assert_uint_eq(seen[0].port, 9);
  ck_assert(seen[0].listens && seen[0].dont_fragment && !seen[0].to_stranger);
  ck_assert_uint_eq(seen[0].waited, 256);
}
END_TEST

START_TEST(test_what_is_cut_off_or_altered)
{
  uint8_t bytes[128];
  fzr_udp_stats stats;
  const size_t len = unsent_record(bytes, FZR_FAMILY_IPV4);
  for (size_t i = 0; i < len; i++)
    ck_assert(read_all(bytes, i, &stats) == (i == 8)); /* a head alone is all there can be */
  unsent_record(bytes, 3);
  ck_assert(!read_all(bytes, len, &stats));
  unsent_record(bytes, FZR_FAMILY_NONE);
  ck_assert(!read_all(bytes, len, &stats));
  unsent_record(bytes, FZR_FAMILY_IPV4);
  bytes[4] = 2; /* of another version */
  ck_assert(!read_all(bytes, len, &stats));
  unsent_record(bytes, FZR_FAMILY_IPV4);
  bytes[8] = 77; /* of a type that is not known */
  ck_assert(read_all(bytes, len, &stats));
  ck_assert_uint_eq(seen_count, 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("handover-queues");
  TCase *tc = tcase_create("queues");
  tcase_add_test(tc, test_counters_go_on);
  tcase_add_test(tc, test_what_waits);
  tcase_add_test(tc, test_what_is_cut_off_or_altered);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
