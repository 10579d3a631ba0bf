/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: what is counted, what fails, and structs of other sizes. */
#include "testing.h"

#include "base/mem.h"

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

  /* Without hooks it is the C library's. */
  ck_assert_int_eq(fzri_mem_init(&mem, NULL), 0);
  buffer = fzri_mem_alloc_lines(&mem, 4096);
  ck_assert_ptr_nonnull(buffer);
  ck_assert_uint_eq((uintptr_t)buffer % 64, 0);
  fzri_mem_free_lines(&mem, buffer, 4096);
  ck_assert_uint_eq(mem.used, 0);

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

int main(void)
{
  Suite *suite = suite_create("mem");
  TCase *tc = tcase_create("mem");
  tcase_add_test(tc, test_memory);
  tcase_add_test(tc, test_config_copy);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
