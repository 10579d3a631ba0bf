/* SPDX-License-Identifier: Apache-2.0 */
/* How datagrams are gathered into runs, and walked over. */
#include "testing.h"

#include "io/udp_run.h"
#include "prng.h"

#include <stdio.h>

static fzri_runs runs;
static fzri_run_list list;
static fzr_addr to, other, from;
static uint8_t bytes[1 << 17];

static void set_up(void)
{
  fzri_runs_clear(&runs);
  list = fzri_run_list_none();
  to = fzt_addr("192.0.2.1:1000");
  other = fzt_addr("192.0.2.1:1001");
  from = fzt_addr("198.51.100.7:3478");
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)(i * 7 + (i >> 8));
}

/* |count| payloads of |len| bytes, the last of |tail|, without headers. */
static fzri_piece plain(uint16_t count, uint16_t len, uint16_t tail)
{
  return (fzri_piece){.data = bytes, .stride = len, .count = count, .len = len, .tail_len = tail};
}

static bool put(fzri_piece piece, const fzr_addr *dest, uint16_t limit, bool to_stranger)
{
  const fzri_path path = {dest, &from, limit, to_stranger, false};
  return fzri_runs_put(&runs, &list, &piece, &path);
}

/* The numbers of datagrams of the list's runs, as text. */
static const char *shape(void)
{
  static char text[512];
  size_t n = 0;
  text[0] = 0;
  for (uint16_t i = list.first; i != FZRI_NO_RUN; i = runs.runs[i].next)
    n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", n ? " " : "", runs.runs[i].count);
  return text;
}

START_TEST(test_joins)
{
  ck_assert(put(plain(3, 100, 100), &to, UINT16_MAX, false));
  ck_assert(put(plain(2, 100, 100), &to, UINT16_MAX, false));
  ck_assert(put(plain(2, 100, 40), &to, UINT16_MAX, false)); /* ends it */
  ck_assert(put(plain(1, 100, 100), &to, UINT16_MAX, false));
  ck_assert(put(plain(1, 90, 90), &to, UINT16_MAX, false)); /* of another size */
  ck_assert(put(plain(1, 90, 90), &other, UINT16_MAX, false));
  ck_assert(put(plain(1, 90, 90), &other, UINT16_MAX, true)); /* may not wait as long */
  ck_assert_str_eq(shape(), "7 1 1 1 1");
  ck_assert_uint_eq(runs.runs[list.first].bytes, 640);
}
END_TEST

START_TEST(test_limit)
{
  ck_assert(put(plain(3, 100, 100), &to, 100, false));
  ck_assert(put(plain(3, 99, 99), &to, 100, false));
  ck_assert(put(plain(2, 99, 99), &to, 0, false));
  ck_assert_str_eq(shape(), "1 1 1 3 1 1");
}
END_TEST

START_TEST(test_bounds)
{
  ck_assert(put(plain(130, 10, 5), &to, UINT16_MAX, false));
  ck_assert(put(plain(7, 20000, 20000), &to, UINT16_MAX, false)); /* three of them are within a datagram */
  ck_assert(put(plain(2, FZR_UDP_PAYLOAD_MAX, 1), &to, UINT16_MAX, false));
  ck_assert(put(plain(2, 0, 0), &to, UINT16_MAX, false)); /* no run can have empty segments */
  ck_assert_str_eq(shape(), "64 64 2 3 3 1 1 1 1 1");
}
END_TEST

/* Datagrams that may not be fragmented go with none that may, and their messages are always ones of segments. */
START_TEST(test_dont_fragment)
{
  const fzri_path path = {&to, &from, UINT16_MAX, false, true}, narrow = {&to, &from, 100, false, true};
  fzri_piece pieces[] = {plain(2, 100, 100), plain(1, 100, 100), plain(2, 100, 30), plain(1, 0, 0)};
  ck_assert(put(plain(1, 100, 100), &to, UINT16_MAX, false));
  ck_assert(fzri_runs_put(&runs, &list, &pieces[0], &path));
  ck_assert(put(plain(1, 100, 100), &to, UINT16_MAX, false));
  ck_assert(fzri_runs_put(&runs, &list, &pieces[1], &path));
  ck_assert(fzri_runs_put(&runs, &list, &pieces[2], &narrow)); /* one by one, the last of 30 bytes */
  ck_assert(fzri_runs_put(&runs, &list, &pieces[3], &path));
  ck_assert_str_eq(shape(), "1 2 1 1 1 1 1");
  const uint16_t segments[] = {0, 100, 0, 100, 100, 30, 0};
  unsigned n = 0;
  for (uint16_t i = list.first; i != FZRI_NO_RUN; i = runs.runs[i].next)
    ck_assert_uint_eq(fzri_run_segments(&runs.runs[i]), segments[n++]);
  ck_assert_uint_eq(n, 7);
}
END_TEST

START_TEST(test_full)
{
  fzri_piece piece = plain(FZRI_RUNS + 3, 10, 4);
  const fzri_path path = {&to, &from, 0, false, false};
  ck_assert(!fzri_runs_put(&runs, &list, &piece, &path));
  ck_assert_uint_eq(piece.count, 3);
  ck_assert_ptr_eq(piece.data, bytes + FZRI_RUNS * 10);
  ck_assert_uint_eq(runs.runs[list.last].bytes, 10); /* the short one is still to come */
  fzri_runs_clear(&runs);
  list = fzri_run_list_none();
  ck_assert(fzri_runs_put(&runs, &list, &piece, &path));
  ck_assert_str_eq(shape(), "1 1 1");
  ck_assert_uint_eq(runs.runs[list.last].bytes, 4);

  fzri_runs_clear(&runs);
  list = fzri_run_list_none();
  for (unsigned i = 0; i < FZRI_PIECES; i++)
    ck_assert(put(plain(1, 10, 10), &to, UINT16_MAX, false));
  ck_assert(!put(plain(1, 10, 10), &to, UINT16_MAX, false));
  ck_assert_uint_eq(runs.run_count, FZRI_PIECES / 64);
}
END_TEST

/* ---- whatever is put comes out, in order ---- */

typedef struct datagram {
  uint8_t hdr[FZR_HEADER_MAX];
  uint16_t hdr_len, len, pad;
  const uint8_t *data;
  const fzr_addr *to;
} datagram;

static datagram want[4096];
static unsigned wanted;

/* Its headers are overwritten with the next one's. */
static fzri_piece random_piece(fzt_prng *prng, const fzr_addr *dest)
{
  static uint8_t hdr[101 * FZR_HEADER_MAX];
  for (unsigned i = 0; i < sizeof hdr; i++)
    hdr[i] = (uint8_t)fzt_below(prng, 256);
  const uint8_t lengths[4] = {0, 4, 36, (uint8_t)fzt_below(prng, FZR_HEADER_MAX + 1)};
  fzri_piece piece = {.data = bytes + fzt_below(prng, 1000),
                      .hdr = hdr,
                      .count = (uint16_t)(1 + fzt_below(prng, fzt_below(prng, 2) ? 3 : 100)),
                      .hdr_len = lengths[fzt_below(prng, 4)]};
  piece.hdr_step = fzt_below(prng, 3) ? 0 : piece.hdr_len;
  piece.tail_hdr = !piece.hdr_step && fzt_below(prng, 2) ? piece.hdr_len : 0;
  piece.pad = (uint8_t)(fzt_below(prng, 2) ? fzt_below(prng, FZR_PAD_MAX + 1) : 0);
  piece.len = (uint16_t)(fzt_below(prng, 4) ? 100 : fzt_below(prng, 1200));
  piece.tail_len =
      (uint16_t)(piece.len && fzt_below(prng, 3) == 0 ? 1 + fzt_below(prng, piece.len) : piece.len);
  piece.stride = (uint32_t)(piece.len + fzt_below(prng, 2) * 4);
  piece.tail_pad = piece.tail_len == piece.len ? piece.pad : piece.pad / 2;
  for (unsigned i = 0; i < piece.count; i++) {
    const bool tail = i + 1u == piece.count;
    datagram *d = &want[wanted++];
    memcpy(d->hdr, piece.hdr + i * piece.hdr_step + (tail ? piece.tail_hdr : 0), piece.hdr_len);
    d->hdr_len = piece.hdr_len;
    d->pad = tail ? piece.tail_pad : piece.pad;
    d->len = tail ? piece.tail_len : piece.len;
    d->data = piece.data + (size_t)i * piece.stride;
    d->to = dest;
  }
  return piece;
}

static void check_segment(const fzri_segment *s, const datagram *d)
{
  fzt_check(s->len == d->len && s->data == d->data && s->hdr_len == d->hdr_len && s->pad == d->pad);
  /* Of one that was cut from the end of a piece, the header is that of all but the last. */
  fzt_check(!s->hdr_len || memcmp(s->hdr, d->hdr, s->hdr_len) == 0);
}

/* Checks |run| against the |at|-th datagram and those that follow. Returns the first after it. */
static unsigned check_run(fzt_prng *prng, const fzri_run *run, unsigned at)
{
  fzri_segment s;
  uint32_t sum = 0;
  const uint32_t skip = (uint32_t)fzt_below(prng, run->count + 1u);
  fzt_check(run->count >= 1 && run->count <= FZRI_GSO_SEGMENTS);
  fzt_check(run->count == 1 || run->bytes <= FZRI_GSO_BYTES);
  fzri_segments walk = fzri_segments_of(&runs, run);
  for (unsigned i = 0; i < run->count; i++) {
    const datagram *d = &want[at + i];
    fzt_check(fzri_segments_next(&walk, &s));
    check_segment(&s, d);
    fzt_check(memcmp(&run->to, d->to, sizeof run->to) == 0);
    const unsigned len = (unsigned)d->hdr_len + d->len + d->pad;
    fzt_check(i + 1u == run->count ? len <= run->seg_len : len == run->seg_len);
    sum += len;
  }
  fzt_check(!fzri_segments_next(&walk, &s) && sum == run->bytes);
  walk = fzri_segments_from(&runs, run, skip);
  for (unsigned i = skip; i < run->count; i++) {
    fzt_check(fzri_segments_next(&walk, &s));
    check_segment(&s, &want[at + i]);
  }
  fzt_check(!fzri_segments_next(&walk, &s));
  return at + run->count;
}

START_TEST(test_random)
{
  fzt_prng prng = {fzt_seed("udp_run")};
  for (uint64_t round = fzt_rounds(2000); round; round--) {
    fzri_runs_clear(&runs);
    list = fzri_run_list_none();
    wanted = 0;
    bool room = true;
    while (room && wanted + 100 < sizeof want / sizeof *want && fzt_below(&prng, 30)) {
      const fzr_addr *dest = fzt_below(&prng, 4) ? &to : &other;
      const uint16_t limit = fzt_below(&prng, 5) ? UINT16_MAX : 100;
      fzri_piece piece = random_piece(&prng, dest);
      const fzri_path path = {dest, &from, limit, false, false};
      room = fzri_runs_put(&runs, &list, &piece, &path);
      if (!room)
        wanted -= piece.count;
    }
    unsigned at = 0;
    for (uint16_t i = list.first; i != FZRI_NO_RUN; i = runs.runs[i].next)
      at = check_run(&prng, &runs.runs[i], at);
    fzt_check(at == wanted);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_run");
  TCase *tc = tcase_create("udp_run");
  tcase_add_checked_fixture(tc, set_up, NULL);
  tcase_add_test(tc, test_joins);
  tcase_add_test(tc, test_limit);
  tcase_add_test(tc, test_bounds);
  tcase_add_test(tc, test_dont_fragment);
  tcase_add_test(tc, test_full);
  tcase_add_test(tc, test_random);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
