/* SPDX-License-Identifier: Apache-2.0 */
#include "event_queue.h"

static void append(fzri_event_queue *queue, fzri_event_node *node)
{
  node->next = NULL;
  node->queued = true;
  if (queue->tail)
    queue->tail->next = node;
  else
    queue->head = node;
  queue->tail = node;
}

void fzri_event_queue_push(fzri_event_queue *queue, fzri_event_node *node)
{
  if (!node->queued)
    append(queue, node);
}

void fzri_event_queue_push_last(fzri_event_queue *queue, fzri_event_node *node)
{
  if (node->queued)
    node->moves = true; /* when it is its turn: nothing points back to who is before it */
  else
    append(queue, node);
}

void fzri_event_queue_pop(fzri_event_queue *queue)
{
  fzri_event_node *node = queue->head;
  queue->head = node->next;
  if (!queue->head)
    queue->tail = NULL;
  node->queued = false;
}

fzri_event_node *fzri_event_queue_first(fzri_event_queue *queue)
{
  while (queue->head && queue->head->moves) {
    fzri_event_node *node = queue->head;
    fzri_event_queue_pop(queue);
    node->moves = false;
    append(queue, node);
  }
  return queue->head;
}
