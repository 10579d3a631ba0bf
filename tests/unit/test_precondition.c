/* SPDX-License-Identifier: Apache-2.0 */
/* Preconditions within the library: a broken one ends a build that looks at them, and costs others nothing. */
#include "testing.h"

#include "base/map.h"
#include "base/pool.h"
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

START_TEST(test_library)
{
  static void (*const mistakes[])(void) = {insert_without_room, insert_none, give_twice};
  ck_assert_int_eq(ends(mistakes[_i]), checked);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("precondition");
  TCase *tc = tcase_create("precondition");
  tcase_add_test(tc, test_macro);
  tcase_add_loop_test(tc, test_library, 0, 3);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
