/* SPDX-License-Identifier: Apache-2.0 */
/* The pool at its edges; property/prop_containers.c has it beside a model. */
#include "testing.h"

#include "base/pool.h"

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

START_TEST(test_pool_expects)
{
  fzt_mem hooks;
  fzri_mem mem;
  fzri_pool pool;
  uint32_t index;
  fzt_mem_init(&hooks);
  fzri_mem_init(&mem, &hooks.hooks);
  fzri_pool_init(&pool, &mem, 16);
  hooks.fail_only = hooks.count + 3; /* the directory, a block, another one */
  ck_assert(!fzri_pool_expect(&pool, 2 * FZRI_POOL_BLOCK + 1));
  hooks.fail_only = 0;
  ck_assert(fzri_pool_expect(&pool, 2 * FZRI_POOL_BLOCK + 1));
  ck_assert(fzri_pool_expect(&pool, 3 * FZRI_POOL_BLOCK));
  const uint64_t before = hooks.count;
  for (uint32_t i = 0; i < 3 * FZRI_POOL_BLOCK; i++) {
    ck_assert_ptr_nonnull(fzri_pool_take(&pool, &index));
    ck_assert_uint_eq(index, i);
  }
  ck_assert_uint_eq(hooks.count, before);
  ck_assert_ptr_nonnull(fzri_pool_take(&pool, &index));
  ck_assert_uint_gt(hooks.count, before);
  fzri_pool_free(&pool);
  ck_assert_uint_eq(hooks.live, 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("pool");
  TCase *tc = tcase_create("pool");
  tcase_add_test(tc, test_pool_without_memory);
  tcase_add_test(tc, test_pool_expects);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
