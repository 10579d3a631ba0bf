/* SPDX-License-Identifier: Apache-2.0 */
/* Preconditions within the library: a broken one ends a build that looks at them, and costs others nothing. */
#include "testing.h"

#include "base/crypto.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/rate_limit.h"
#include "base/timers.h"
#include "turn/state.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef FZRI_CHECKED
static const bool checked = true;
#else
static const bool checked = false;
#endif

/* The macro of the other kind of build, too. */
#undef FZRI_PRECONDITION_H
#undef FZRI_ASSERT
#ifndef FZRI_CHECKED
#define FZRI_CHECKED
#endif
#include "base/precondition.h"
static void look(bool good)
{
  FZRI_ASSERT(good);
}

#undef FZRI_PRECONDITION_H
#undef FZRI_ASSERT
#undef FZRI_CHECKED
#include "base/precondition.h"
static int evaluated;

/* Not static: a compiler may say that nobody needs it, and that is what is tried. */
int evaluate(void);
int evaluate(void)
{
  return evaluated++;
}

static void pass_over(void)
{
  FZRI_ASSERT(evaluate());
}

/* Whether |function| ends a process. */
static bool ends(void (*function)(void))
{
  const pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (!pid) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    function();
    _exit(0);
  }
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void broken(void)
{
  look(false);
}

START_TEST(test_macro)
{
  look(true);
  ck_assert(ends(broken));
  ck_assert(!ends(pass_over));
  pass_over();
  ck_assert_int_eq(evaluated, 0);
}
END_TEST

/* ---- the library, as it was built ---- */

static void insert_without_room(void)
{
  fzri_mem mem;
  fzri_map map;
  fzri_mem_init(&mem, NULL);
  fzri_map_init(&map, &mem);
  for (uint32_t i = 0; i < 13; i++)
    fzri_map_insert(&map, i, i);
}

static void insert_none(void)
{
  fzri_mem mem;
  fzri_map map;
  fzri_mem_init(&mem, NULL);
  fzri_map_init(&map, &mem);
  fzri_map_insert(&map, 1, FZRI_MAP_NONE);
}

static void give_twice(void)
{
  fzri_mem mem;
  fzri_pool pool;
  uint32_t index;
  fzri_mem_init(&mem, NULL);
  fzri_pool_init(&pool, &mem, 8);
  fzri_pool_take(&pool, &index);
  fzri_pool_give(&pool, index);
  fzri_pool_give(&pool, index);
}

static void copy_a_timer(void)
{
  fzri_timers timers;
  fzri_timer timer = {0}, copy;
  fzri_timers_init(&timers, 0);
  fzri_timers_set(&timers, &timer, FZR_SECOND);
  copy = timer;
  fzri_timers_cancel(&timers, &copy);
}

static void clear_a_timer(void)
{
  fzri_timers timers;
  fzri_timer first = {0}, second = {0};
  fzri_timers_init(&timers, 0);
  fzri_timers_set(&timers, &first, FZR_SECOND);
  fzri_timers_set(&timers, &second, FZR_SECOND);
  memset(&first, 0, sizeof first);
  fzri_timers_cancel(&timers, &second);
}

static void take_of_nobody(void)
{
  fzri_mem mem;
  fzri_rate_limit limit;
  const fzri_siphash_key key = {1, 2};
  fzri_mem_init(&mem, NULL);
  fzri_rate_limit_init(&limit, &mem, 10, 10, &key);
  fzri_rate_limit_take(&limit, 0, 1, 0);
}

static void hold_nothing(void)
{
  fzri_mem mem;
  fzri_rate_limit limit;
  const fzri_siphash_key key = {1, 2};
  fzri_mem_init(&mem, NULL);
  fzri_rate_limit_init(&limit, &mem, 10, 0, &key);
}

static void encode_in_place(void)
{
  char text[16] = "abc";
  fzri_base64((const uint8_t *)text + 2, 1, false, true, text);
}

START_TEST(test_library)
{
  static void (*const mistakes[])(void) = {insert_without_room, insert_none,    give_twice,
                                           copy_a_timer,        clear_a_timer,  take_of_nobody,
                                           hold_nothing,        encode_in_place};
  ck_assert_int_eq(ends(mistakes[_i]), checked);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("precondition");
  TCase *tc = tcase_create("precondition");
  tcase_add_test(tc, test_macro);
  tcase_add_loop_test(tc, test_library, 0, 8);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
