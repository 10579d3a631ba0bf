/* SPDX-License-Identifier: Apache-2.0 */
/* The bottom layer: hashes against published vectors, base64, numbers, memory accounting, tables, timers, error texts. */
#include "prng.h"
#include "testing.h"

#include "base/bytes.h"
#include "base/crc32.h"
#include "base/crypto.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rate_limit.h"
#include "base/utf8.h"
#include "base/siphash.h"
#include "base/timers.h"

#include <stdio.h>

static const char *hex(const uint8_t *data, size_t len)
{
  static char out[2][129];
  static unsigned turn;
  char *text = out[turn++ & 1];
  for (size_t i = 0; i < len; i++)
    sprintf(text + 2 * i, "%02x", data[i]);
  return text;
}

/* ---- hashes ---- */

START_TEST(test_siphash)
{
  /* The vectors of the reference implementation: key 00 to 0f, input 00, 01, ... */
  static const char *const mac[] = {"a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45",
                                    "8177228da4a45dc7fca38bdef60affe4"};
  static const uint64_t table[] = {0xabac0158050fc4dc, 0xc9f49bf37d57ca93};
  const fzri_siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  uint8_t input[64], out[16];
  for (unsigned i = 0; i < sizeof input; i++)
    input[i] = (uint8_t)i;
  for (unsigned i = 0; i < 3; i++) {
    fzri_siphash24_128(&key, input, i, out);
    ck_assert_str_eq(hex(out, sizeof out), mac[i]);
  }
  for (unsigned i = 0; i < 2; i++)
    ck_assert_uint_eq(fzri_siphash13(&key, input, i), table[i]);
  /* The short form for blocks is the same function, folded: the last block has the length in its top byte. */
  const fzri_sip start = fzri_sip_start(&key);
  for (unsigned len = 0; len < 32; len++) {
    uint64_t blocks[4] = {0};
    for (unsigned i = 0; i < len; i++)
      blocks[i / 8] |= (uint64_t)input[i] << i % 8 * 8; /* little-endian, whatever the host is */
    blocks[len / 8] |= (uint64_t)len << 56;
    const uint64_t whole = fzri_siphash13(&key, input, len);
    ck_assert_uint_eq(fzri_sip_blocks(&start, blocks, len / 8 + 1), (uint32_t)(whole ^ whole >> 32));
  }
}
END_TEST

START_TEST(test_digests)
{
  uint8_t out[32];
  const fzri_slice abc[] = {{"a", 1}, {"", 0}, {"bc", 2}};
  fzri_md5(abc, 3, out); /* RFC 1321 */
  ck_assert_str_eq(hex(out, 16), "900150983cd24fb0d6963f7d28e17f72");
  fzri_md5(NULL, 0, out);
  ck_assert_str_eq(hex(out, 16), "d41d8cd98f00b204e9800998ecf8427e");
  fzri_sha256(abc, 3, out); /* FIPS 180-2 */
  ck_assert_str_eq(hex(out, 32), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

START_TEST(test_hmac_sha1)
{
  /* RFC 2202 cases 1, 2, 3, 6 and 7: keys up to and over a block. */
  static const struct {
    const char *key;
    uint8_t key_byte;
    size_t key_len;
    const char *data;
    const char *mac;
  } cases[] = {
      {NULL, 0x0b, 20, "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"},
      {"Jefe", 0, 4, "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
      {NULL, 0xaa, 80, "Test Using Larger Than Block-Size Key - Hash Key First",
       "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
      {NULL, 0xaa, 80, "Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
       "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t key[80], mac[20];
    memset(key, cases[i].key_byte, sizeof key);
    if (cases[i].key)
      memcpy(key, cases[i].key, cases[i].key_len);
    const size_t len = strlen(cases[i].data), half = len / 2;
    const fzri_slice parts[] = {{cases[i].data, half}, {cases[i].data + half, len - half}};
    fzri_hmac_sha1(key, cases[i].key_len, parts, 2, mac);
    ck_assert_str_eq(hex(mac, sizeof mac), cases[i].mac);
  }
}
END_TEST

START_TEST(test_base64)
{
  /* RFC 4648 section 10. */
  static const char *const vectors[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
  char out[32];
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    const char *in = vectors[i][0], *expected = vectors[i][1];
    const size_t bare = strcspn(expected, "=");
    ck_assert_uint_eq(fzri_base64((const uint8_t *)in, strlen(in), false, true, out), strlen(expected));
    ck_assert_str_eq(out, expected);
    ck_assert_uint_eq(fzri_base64((const uint8_t *)in, strlen(in), false, false, out), bare);
    ck_assert(strncmp(out, expected, bare) == 0 && out[bare] == 0);
  }
  const uint8_t high[] = {0xfb, 0xff, 0xbf};
  fzri_base64(high, 3, false, true, out);
  ck_assert_str_eq(out, "+/+/");
  fzri_base64(high, 3, true, true, out);
  ck_assert_str_eq(out, "-_-_");
}
END_TEST

START_TEST(test_compare_and_wipe)
{
  uint8_t a[33], b[33];
  memset(a, 7, sizeof a);
  memcpy(b, a, sizeof a);
  ck_assert(fzri_equal_ct(a, b, sizeof a));
  ck_assert(fzri_equal_ct(a, b, 0));
  for (size_t i = 0; i < sizeof a; i++)
    for (unsigned bit = 0; bit < 8; bit++) {
      b[i] ^= (uint8_t)(1u << bit);
      ck_assert(!fzri_equal_ct(a, b, sizeof a));
      ck_assert(fzri_equal_ct(a, b, i));
      b[i] ^= (uint8_t)(1u << bit);
    }
  fzri_wipe(a + 1, sizeof a - 2);
  for (size_t i = 0; i < sizeof a; i++)
    ck_assert_uint_eq(a[i], i == 0 || i + 1 == sizeof a ? 7 : 0);
}
END_TEST

static uint32_t naive_crc(const uint8_t *data, size_t len)
{
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < len; i++) {
    crc ^= data[i];
    for (unsigned bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

START_TEST(test_crc32)
{
  uint8_t data[300];
  fzt_prng prng = {fzt_seed("crc32")};
  ck_assert_uint_eq(fzri_crc32((const uint8_t *)"123456789", 9), 0xcbf43926);
  ck_assert_uint_eq(fzri_crc32(NULL, 0), 0);
  /* Every length at every alignment. */
  fzt_fill(&prng, data, sizeof data);
  for (size_t from = 0; from < 16; from++)
    for (size_t len = 0; len < sizeof data - from; len++)
      fzt_check(fzri_crc32(data + from, len) == naive_crc(data + from, len));
}
END_TEST

START_TEST(test_numbers)
{
  uint8_t bytes[9] = {0};
  fzri_put16(bytes + 1, 0x0102);
  ck_assert_mem_eq(bytes, "\0\1\2\0", 4);
  ck_assert_uint_eq(fzri_get16(bytes + 1), 0x0102);
  fzri_put32(bytes + 1, 0xfffefdfc);
  ck_assert_uint_eq(fzri_get32(bytes + 1), 0xfffefdfc);
  fzri_put64(bytes + 1, 0x8182838485868788);
  ck_assert_uint_eq(bytes[1], 0x81);
  ck_assert_uint_eq(bytes[8], 0x88);
  ck_assert_uint_eq(fzri_get64(bytes + 1), 0x8182838485868788);
}
END_TEST

/* ---- memory ---- */

START_TEST(test_memory)
{
  fzt_mem hooks;
  fzri_mem mem;
  fzt_mem_init(&hooks);
  ck_assert_int_eq(fzri_mem_init(&mem, &hooks.hooks), 0);
  uint8_t *p = fzri_mem_zalloc(&mem, 100);
  ck_assert_ptr_nonnull(p);
  for (size_t i = 0; i < 100; i++)
    ck_assert_uint_eq(p[i], 0);
  ck_assert_uint_eq(mem.used, 100);
  ck_assert_uint_eq(hooks.live, 100);
  ck_assert_ptr_null(fzri_mem_calloc(&mem, SIZE_MAX / 2, 3));
  ck_assert_uint_eq(hooks.count, 1); /* nobody was asked for it */
  hooks.fail_from = 1;
  ck_assert_ptr_null(fzri_mem_zalloc(&mem, 1));
  ck_assert_ptr_null(fzri_mem_calloc(&mem, 2, 2));
  ck_assert_ptr_null(fzri_mem_alloc_lines(&mem, 2));
  hooks.fail_from = 0;
  ck_assert_uint_eq(mem.used, 100);
  fzri_mem_free(&mem, NULL, 100);
  fzri_mem_free(&mem, p, 100);
  ck_assert_uint_eq(mem.used, 0);
  ck_assert_uint_eq(hooks.live_blocks, 0);

  /* Buffers are not written to before they are used; all else is. */
  uint8_t *buffer = fzri_mem_alloc_lines(&mem, 4096);
  ck_assert_ptr_nonnull(buffer);
  ck_assert_uint_eq((uintptr_t)buffer % 64, 0);
  ck_assert_uint_ge(mem.used, 4096);
  fzri_mem_free_lines(&mem, buffer, 4096);
  ck_assert_uint_eq(mem.used, 0);
  ck_assert_uint_eq(hooks.live_blocks, 0);

  fzr_mem bad = hooks.hooks;
  bad.alloc = NULL;
  ck_assert_int_eq(fzri_mem_init(&mem, &bad), FZR_ERR_INVALID_ARGUMENT);
  bad = hooks.hooks;
  bad.free = NULL;
  ck_assert_int_eq(fzri_mem_init(&mem, &bad), FZR_ERR_INVALID_ARGUMENT);
  bad = hooks.hooks;
  bad.size = sizeof bad - 1;
  ck_assert_int_eq(fzri_mem_init(&mem, &bad), FZR_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(test_config_copy)
{
  struct sized {
    size_t size;
    uint64_t a, b;
  } known = {0}, given = {sizeof given, 1, 2};
  struct {
    struct sized known;
    uint64_t later;
  } longer = {{sizeof longer, 3, 4}, 0};
  ck_assert_int_eq(fzri_config_copy(&known, sizeof known, &given, sizeof given.size), 0);
  ck_assert(known.a == 1 && known.b == 2);
  memset(&known, 0, sizeof known);
  given.size = offsetof(struct sized, b);
  ck_assert_int_eq(fzri_config_copy(&known, sizeof known, &given, sizeof given.size), 0);
  ck_assert(known.a == 1 && known.b == 0);
  given.size = sizeof given.size - 1;
  ck_assert_int_eq(fzri_config_copy(&known, sizeof known, &given, sizeof given.size),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzri_config_copy(&known, sizeof known, NULL, 1), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzri_config_copy(&known, sizeof known, &longer, sizeof given.size), 0);
  ck_assert(known.a == 3 && known.b == 4);
  longer.later = 1;
  ck_assert_int_eq(fzri_config_copy(&known, sizeof known, &longer, sizeof given.size), FZR_ERR_UNSUPPORTED);
}
END_TEST

/* ---- tables ---- */

START_TEST(test_map_without_memory)
{
  fzt_mem hooks;
  fzri_mem mem;
  fzri_map map;
  fzt_mem_init(&hooks);
  fzri_mem_init(&mem, &hooks.hooks);
  for (hooks.fail_only = 1; hooks.fail_only <= 2; hooks.fail_only++) {
    hooks.count = 0;
    ck_assert_int_eq(fzri_map_init(&map, &mem), FZR_ERR_NO_MEMORY);
    ck_assert_uint_eq(hooks.live, 0);
  }
  hooks.fail_only = 0;
  ck_assert_int_eq(fzri_map_init(&map, &mem), 0);
  const uint64_t before = hooks.count;
  uint32_t n = 0;
  for (; n < 8; n++) {
    ck_assert_int_eq(fzri_map_reserve(&map, 5), 0);
    fzri_map_insert(&map, 5, n); /* all under one hash */
  }
  ck_assert_uint_eq(hooks.count - before, 0); /* there was room for eight */
  uint32_t probe = 5, value, found = 0;
  while ((value = fzri_map_next(&map, 5, &probe)) != FZRI_MAP_NONE)
    found |= 1u << value;
  ck_assert_uint_eq(found, 0xff);
  ck_assert(!fzri_map_remove(&map, 5, 99));
  ck_assert(!fzri_map_remove(&map, 6, 1));
  ck_assert(fzri_map_remove(&map, 5, 3));
  ck_assert(!fzri_map_remove(&map, 5, 3));
  ck_assert_uint_eq(map.used, 7);
  /* Whatever fails while it grows to many segments, all that was in it stays, and the next try goes on. */
  uint32_t failures = 0;
  for (n = 0; n < 20000; n++) {
    const uint32_t hash = n * 0x9e3779b9u;
    for (uint64_t k = 1;; k++) {
      hooks.count = 0;
      hooks.fail_only = k;
      const int error = fzri_map_reserve(&map, hash);
      hooks.fail_only = 0;
      if (!error)
        break;
      failures++;
      ck_assert_int_eq(error, FZR_ERR_NO_MEMORY);
    }
    fzri_map_insert(&map, hash, n + 100);
  }
  ck_assert_uint_gt(failures, 20);
  for (n = 0; n < 20000; n++)
    ck_assert(fzri_map_remove(&map, n * 0x9e3779b9u, n + 100));
  ck_assert_uint_eq(map.used, 7);
  /* More of one hash than a segment holds: that can't be, but is refused all the same. */
  for (n = 7; fzri_map_reserve(&map, 5) == 0; n++)
    fzri_map_insert(&map, 5, 1000 + n);
  ck_assert_uint_eq(n, 1536);
  fzri_map_free(&map);
  fzri_map_free(&map);
  ck_assert_uint_eq(hooks.live, 0);
}
END_TEST

START_TEST(test_pool_without_memory)
{
  fzt_mem hooks;
  fzri_mem mem;
  fzri_pool pool = {0};
  uint32_t index;
  fzri_pool_free(&pool); /* never made: harmless */
  fzt_mem_init(&hooks);
  fzri_mem_init(&mem, &hooks.hooks);
  fzri_pool_init(&pool, &mem, 16);
  for (uint64_t fail = 1; fail <= 2; fail++) { /* the directory, then the block */
    hooks.fail_only = hooks.count + fail;
    ck_assert_ptr_null(fzri_pool_take(&pool, &index));
    hooks.fail_only = 0;
  }
  ck_assert_ptr_nonnull(fzri_pool_take(&pool, &index));
  ck_assert_uint_eq(index, 0);
  memset(fzri_pool_at(&pool, 0), 0xff, 16);
  fzri_pool_give(&pool, 0);
  /* Wiped but for the chain of free objects, and the first to be used again. */
  ck_assert_mem_eq((uint8_t *)fzri_pool_at(&pool, 0) + 4, "\0\0\0\0\0\0\0\0\0\0\0", 12);
  for (uint32_t i = 0; i < 5 * FZRI_POOL_BLOCK; i++) {
    ck_assert_ptr_nonnull(fzri_pool_take(&pool, &index));
    ck_assert_uint_eq(index, i);
  }
  fzri_pool_free(&pool);
  ck_assert_uint_eq(hooks.live, 0);
}
END_TEST

START_TEST(test_bucket_extremes)
{
  const uint64_t big = UINT64_MAX;
  fzri_bucket b = {0};
  ck_assert(fzri_bucket_take(&b, big, big, big, 1));
  ck_assert(!fzri_bucket_take(&b, big, big, big, 1));
  b = (fzri_bucket){0};
  ck_assert(!fzri_bucket_take(&b, 1, 10, 11, big));
  ck_assert(fzri_bucket_take(&b, 1, big, big, 1)); /* centuries: it saturates, and is empty for ever */
  ck_assert(!fzri_bucket_take(&b, 1, big, big, 1000));
  b = (fzri_bucket){0};
  ck_assert(fzri_bucket_take(&b, 1, 1, 1, big - 5));
  ck_assert(!fzri_bucket_take(&b, 1, 1, 1, big - 4));
  b = (fzri_bucket){0};
  ck_assert(fzri_bucket_take(&b, 3, 3, 0, 0));
  for (int i = 0; i < 2; i++)
    ck_assert(fzri_bucket_take(&b, 3, 3, 1, 0));
  b = (fzri_bucket){0};
  ck_assert(fzri_bucket_has(&b, 3, 3, 3, 5) && !fzri_bucket_has(&b, 3, 3, 4, 5));
  ck_assert(fzri_bucket_has(&b, 3, 3, 3, 5)); /* looking takes nothing */
  fzri_rate_limit none;
  fzri_mem mem;
  const fzri_siphash_key key = {1, 2};
  const fzr_addr a = fzt_addr("192.0.2.1:1");
  fzri_mem_init(&mem, NULL);
  ck_assert_int_eq(fzri_rate_limit_init(&none, &mem, 0, 0, &key), 0);
  for (int i = 0; i < 10000; i++)
    fzt_check(fzri_rate_limit_take(&none, fzri_rate_prefix(&none, &a, 0), 1, 1) &&
              fzri_rate_limit_has_own(&none, 1, 1, 1) && fzri_rate_limit_take_own(&none, 1, 1, 1));
  ck_assert_uint_eq(mem.used, 0);
  fzri_rate_limit_free(&none);
}
END_TEST

/* ---- UTF-8 ---- */

START_TEST(test_utf8)
{
  static const struct {
    const char *text;
    bool valid;
  } rows[] = {
      {"", true},
      {"1892160000:salt", true},
      {"z\xc3\xa4h", true},
      {"\xe2\x82\xac", true},
      {"\xf0\x9f\x98\x80", true},
      {"\xf4\x8f\xbf\xbf", true},
      {"\xed\x9f\xbf\xee\x80\x80", true},
      {"\x80", false},
      {"\xc3", false},
      {"a\xc3", false},
      {"\xc3(", false},
      {"\xc0\xaf", false},
      {"\xc1\xbf", false},
      {"\xe0\x9f\xbf", false},
      {"\xe2\x82", false},
      {"\xe2\x82(", false},
      {"\xed\xa0\x80", false},
      {"\xf0\x8f\xbf\xbf", false},
      {"\xf0\x9f\x98", false},
      {"\xf0\x9f\x98(", false},
      {"\xf4\x90\x80\x80", false},
      {"\xf5\x80\x80\x80", false},
      {"\xff", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(fzri_utf8_valid((const uint8_t *)rows[i].text, strlen(rows[i].text)) == rows[i].valid,
                  "row %zu", i);
  ck_assert(fzri_utf8_valid(NULL, 0));
}
END_TEST

/* ---- timers ---- */

#define TICK ((fzr_time)1 << FZRI_TICK_SHIFT)

START_TEST(test_timers)
{
  static fzri_timers wheel;
  fzri_timer a = {0}, b = {0};
  size_t budget = 100;
  fzri_timers_init(&wheel, 1000);
  ck_assert_uint_eq(fzri_timers_deadline(&wheel), FZR_TIME_NEVER);
  fzri_timers_set(&wheel, &a, FZR_TIME_NEVER);
  ck_assert(!fzri_timer_is_set(&a));
  fzri_timers_set(&wheel, &a, 10 * FZR_SECOND);
  fzri_timers_set(&wheel, &b, 5 * FZR_SECOND);
  fzri_timers_set(&wheel, &b, 20 * FZR_SECOND); /* moved */
  ck_assert_uint_le(fzri_timers_deadline(&wheel), 10 * FZR_SECOND + TICK);
  ck_assert_ptr_null(fzri_timers_pop(&wheel, 10 * FZR_SECOND - 1, &budget));
  ck_assert_ptr_eq(fzri_timers_pop(&wheel, 10 * FZR_SECOND + TICK, &budget), &a);
  ck_assert(!fzri_timer_is_set(&a));
  ck_assert_ptr_null(fzri_timers_pop(&wheel, 10 * FZR_SECOND + TICK, &budget));
  fzri_timers_cancel(&wheel, &b);
  fzri_timers_cancel(&wheel, &b);
  ck_assert_ptr_null(fzri_timers_pop(&wheel, 100 * FZR_SECOND, &budget));
  ck_assert_uint_eq(fzri_timers_deadline(&wheel), FZR_TIME_NEVER);
  /* In the past: due at once. */
  fzri_timers_set(&wheel, &a, 1);
  ck_assert_uint_le(fzri_timers_deadline(&wheel), 100 * FZR_SECOND);
  budget = 100;
  ck_assert_ptr_eq(fzri_timers_pop(&wheel, 100 * FZR_SECOND, &budget), &a);
}
END_TEST

START_TEST(test_timers_keep_to_the_budget)
{
  static fzri_timers wheel;
  static fzri_timer timers[1000];
  size_t popped = 0;
  fzri_timers_init(&wheel, 0);
  for (size_t i = 0; i < 1000; i++)
    fzri_timers_set(&wheel, &timers[i], 100 * FZR_SECOND);
  for (unsigned calls = 0; fzri_timers_deadline(&wheel) <= 200 * FZR_SECOND; calls++) {
    size_t budget = 10, before = popped;
    while (fzri_timers_pop(&wheel, 200 * FZR_SECOND, &budget))
      popped++;
    ck_assert_uint_le(popped - before, 10);
    ck_assert_uint_lt(calls, 1000); /* moving between levels takes from the budget, too */
  }
  ck_assert_uint_eq(popped, 1000);
}
END_TEST

/* ---- texts ---- */

START_TEST(test_error_texts)
{
  static const int errors[] = {
      FZR_OK,
      FZR_ERR_INVALID_ARGUMENT,
      FZR_ERR_BUFFER_TOO_SMALL,
      FZR_ERR_INVALID_STATE,
      FZR_ERR_UNSUPPORTED,
      FZR_ERR_CONFIG_ADDRESS,
      FZR_ERR_CONFIG_PORTS,
      FZR_ERR_CONFIG_AUTH,
      FZR_ERR_CONFIG_RULE,
      FZR_ERR_CONFIG_LIMIT,
      FZR_ERR_NO_MEMORY,
      FZR_ERR_NO_RANDOM,
      FZR_ERR_NO_PORT,
      FZR_ERR_IO,
      FZR_ERR_IO_IN_USE,
      FZR_ERR_IO_NO_SOCKET,
      FZR_ERR_IO_PENDING,
      FZR_ERR_FATAL,
  };
  const size_t n = sizeof errors / sizeof *errors;
  for (size_t i = 0; i < n; i++) {
    ck_assert_str_ne(fzr_strerror(errors[i]), "unknown error");
    ck_assert_int_eq(fzr_err_is_fatal(errors[i]), errors[i] == FZR_ERR_FATAL);
    for (size_t k = 0; k < i; k++)
      ck_assert_str_ne(fzr_strerror(errors[i]), fzr_strerror(errors[k]));
  }
  ck_assert_str_eq(fzr_strerror(-12345), "unknown error");
  ck_assert_str_eq(fzr_strerror(1), "unknown error");
  for (unsigned i = 0; i < FZR_DROP_REASONS; i++) {
    /* Fit for a label. */
    ck_assert_uint_eq(strspn(fzr_drop_reason_name(i), "abcdefghijklmnopqrstuvwxyz_"),
                      strlen(fzr_drop_reason_name(i)));
    ck_assert_str_ne(fzr_drop_reason_name(i), "unknown");
    for (unsigned k = 0; k < i; k++)
      ck_assert_str_ne(fzr_drop_reason_name(i), fzr_drop_reason_name(k));
  }
  ck_assert_str_eq(fzr_drop_reason_name(FZR_DROP_REASONS), "unknown");
  ck_assert_str_eq(fzr_drop_reason_name(UINT32_MAX), "unknown");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base");
  TCase *tc = tcase_create("base");
  tcase_add_test(tc, test_siphash);
  tcase_add_test(tc, test_digests);
  tcase_add_test(tc, test_hmac_sha1);
  tcase_add_test(tc, test_base64);
  tcase_add_test(tc, test_compare_and_wipe);
  tcase_add_test(tc, test_crc32);
  tcase_add_test(tc, test_numbers);
  tcase_add_test(tc, test_memory);
  tcase_add_test(tc, test_config_copy);
  tcase_add_test(tc, test_map_without_memory);
  tcase_add_test(tc, test_pool_without_memory);
  tcase_add_test(tc, test_bucket_extremes);
  tcase_add_test(tc, test_utf8);
  tcase_add_test(tc, test_timers);
  tcase_add_test(tc, test_timers_keep_to_the_budget);
  tcase_add_test(tc, test_error_texts);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
