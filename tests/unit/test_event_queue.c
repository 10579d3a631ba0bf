/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of events, beside a plain list. */
#include "prng.h"
#include "testing.h"

#include "turn/event_queue.h"

enum { NODES = 12 };
static fzri_event_node nodes[NODES];
static fzri_event_queue queue;

/* The model: nodes in their order. Where one moves, it does so when it is first. */
static unsigned list[NODES], length;
static bool moves[NODES];

static bool in_list(unsigned n)
{
  for (unsigned i = 0; i < length; i++)
    if (list[i] == n)
      return true;
  return false;
}

static unsigned take_first(void)
{
  const unsigned n = list[0];
  memmove(list, list + 1, --length * sizeof *list);
  return n;
}

static void model_first(void)
{
  while (length && moves[list[0]]) {
    moves[list[0]] = false;
    const unsigned n = take_first();
    list[length++] = n;
  }
}

static void clear(void)
{
  memset(nodes, 0, sizeof nodes);
  queue = (fzri_event_queue){0};
  length = 0;
  memset(moves, 0, sizeof moves);
}

START_TEST(test_order)
{
  clear();
  ck_assert_ptr_null(fzri_event_queue_first(&queue));
  fzri_event_queue_push(&queue, &nodes[0]);
  fzri_event_queue_push(&queue, &nodes[1]);
  fzri_event_queue_push(&queue, &nodes[0]); /* stays where it is */
  ck_assert_ptr_eq(fzri_event_queue_first(&queue), &nodes[0]);
  ck_assert_ptr_eq(fzri_event_queue_first(&queue), &nodes[0]);
  fzri_event_queue_push_last(&queue, &nodes[0]);
  fzri_event_queue_push(&queue, &nodes[2]);
  ck_assert_ptr_eq(fzri_event_queue_first(&queue), &nodes[1]);
  fzri_event_queue_pop(&queue);
  ck_assert(!nodes[1].queued && nodes[0].queued);
  ck_assert_ptr_eq(fzri_event_queue_first(&queue), &nodes[2]);
  fzri_event_queue_pop(&queue);
  ck_assert_ptr_eq(fzri_event_queue_first(&queue), &nodes[0]);
  fzri_event_queue_push_last(&queue, &nodes[0]); /* alone: there is nobody to come behind */
  ck_assert_ptr_eq(fzri_event_queue_first(&queue), &nodes[0]);
  fzri_event_queue_pop(&queue);
  ck_assert_ptr_null(fzri_event_queue_first(&queue));
}
END_TEST

START_TEST(test_random)
{
  fzt_prng prng = {fzt_seed("event_queue")};
  clear();
  for (unsigned i = 0; i < 200000; i++) {
    const unsigned n = (unsigned)fzt_below(&prng, NODES);
    switch (fzt_below(&prng, 3)) {
    case 0:
      fzri_event_queue_push(&queue, &nodes[n]);
      if (!in_list(n))
        list[length++] = n;
      break;
    case 1:
      fzri_event_queue_push_last(&queue, &nodes[n]);
      if (in_list(n))
        moves[n] = true;
      else
        list[length++] = n;
      break;
    default:
      model_first();
      fzt_check(fzri_event_queue_first(&queue) == (length ? &nodes[list[0]] : NULL));
      if (length) {
        fzri_event_queue_pop(&queue);
        take_first();
      }
    }
    for (unsigned k = 0; k < NODES; k++)
      fzt_check(nodes[k].queued == in_list(k));
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("event_queue");
  TCase *tc = tcase_create("event_queue");
  tcase_add_test(tc, test_order);
  tcase_add_test(tc, test_random);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
