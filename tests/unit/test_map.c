/* SPDX-License-Identifier: Apache-2.0 */
/* The map at its edges; property/prop_containers.c has it beside a model. */
#include "testing.h"

#include "base/map.h"

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
  /* More of one hash than a segment holds: a client that somebody has many allocations of, in a state. It is refused, and takes no memory. */
  const size_t live = hooks.live;
  for (n = 7; fzri_map_reserve(&map, 5) == 0; n++)
    fzri_map_insert(&map, 5, 1000 + n);
  ck_assert_uint_eq(n, 1536);
  ck_assert_uint_eq(hooks.live, live);
  fzri_map_free(&map);
  fzri_map_free(&map);
  ck_assert_uint_eq(hooks.live, 0);
}
END_TEST

/* As much as they would have come to, and at once. */
START_TEST(test_map_expects)
{
  static const uint32_t counts[] = {0, 12, 13, 1000, 1536, 1537, 8192, 30000};
  for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
    fzt_mem hooks;
    fzri_mem mem, other;
    fzri_map map, grown;
    fzt_mem_init(&hooks);
    fzri_mem_init(&mem, &hooks.hooks);
    fzri_mem_init(&other, NULL);
    ck_assert_int_eq(fzri_map_init(&map, &mem), 0);
    ck_assert_int_eq(fzri_map_init(&grown, &other), 0);
    for (uint64_t fail = 1; k == 7 && fail <= 8; fail++) {
      hooks.count = 0;
      hooks.fail_only = fail;
      ck_assert_int_eq(fzri_map_expect(&map, counts[k]), FZR_ERR_NO_MEMORY);
    }
    hooks.fail_only = 0;
    ck_assert_int_eq(fzri_map_expect(&map, counts[k]), 0);
    const uint64_t before = hooks.count;
    for (uint32_t n = 0; n < counts[k]; n++) {
      const uint32_t hash = n * 0x9e3779b9u;
      ck_assert_int_eq(fzri_map_reserve(&map, hash), 0);
      fzri_map_insert(&map, hash, n);
      ck_assert_int_eq(fzri_map_reserve(&grown, hash), 0);
      fzri_map_insert(&grown, hash, n);
    }
    ck_assert_uint_eq(hooks.count, before);
    ck_assert_uint_le(mem.used, other.used + other.used / 8);
    for (uint32_t n = 0; n < counts[k]; n++)
      ck_assert(fzri_map_remove(&map, n * 0x9e3779b9u, n));
    fzri_map_free(&map);
    fzri_map_free(&grown);
    ck_assert_uint_eq(hooks.live, 0);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("map");
  TCase *tc = tcase_create("map");
  tcase_add_test(tc, test_map_without_memory);
  tcase_add_test(tc, test_map_expects);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
