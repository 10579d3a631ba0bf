/* SPDX-License-Identifier: Apache-2.0 */
/* Structs that may grow: each has an initialiser, which the library takes, or is filled as far as the caller knows it, whatever was in it. */
#include "testing.h"

#include "firezone_relay/udp.h"

/* That |object| holds its size and nothing else. */
static void is_initial(const void *object, size_t size)
{
  const uint8_t *bytes = object;
  size_t told;
  memcpy(&told, object, sizeof told);
  ck_assert_uint_eq(told, size);
  for (size_t i = sizeof told; i < size; i++)
    ck_assert_uint_eq(bytes[i], 0);
}

START_TEST(test_initialisers)
{
  const fzr_config config = fzr_config_init();
  const fzr_mem mem = fzr_mem_init();
  const fzr_io_ops ops = fzr_io_ops_init();
  const fzr_udp_config udp = fzr_udp_config_init();
  is_initial(&config, sizeof config);
  is_initial(&mem, sizeof mem);
  is_initial(&ops, sizeof ops);
  is_initial(&udp, sizeof udp);
}
END_TEST

/* Both functions of fzr_mem are needed; what needs hooks takes those that are complete. */
START_TEST(test_hooks)
{
  fzt_mem counted;
  fzr_shared *shared;
  fzt_mem_init(&counted);
  fzr_mem mem = fzr_mem_init();
  ck_assert_int_eq(fzr_shared_new(1, 2, &mem, &shared), FZR_ERR_INVALID_ARGUMENT);
  mem.ctx = counted.hooks.ctx;
  mem.alloc = counted.hooks.alloc;
  mem.free = counted.hooks.free;
  ck_assert_int_eq(fzr_shared_new(1, 2, &mem, &shared), 0);
  fzr_shared_free(shared);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("init");
  TCase *tc = tcase_create("init");
  tcase_add_test(tc, test_initialisers);
  tcase_add_test(tc, test_hooks);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
