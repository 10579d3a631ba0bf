/* SPDX-License-Identifier: Apache-2.0 */
/* A queue of objects that the application has to be told something of. It knows nothing of them: what there is to tell, events.c finds
 * when it takes one. A node is a member of its object, so nothing can be lost for want of memory. */
#ifndef FZRI_EVENT_QUEUE_H
#define FZRI_EVENT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory is a node that is not queued. */
typedef struct fzri_event_node {
  struct fzri_event_node *next;
  bool queued;
  bool moves;     /* queued, but has to come behind all that was queued since */
  uint8_t kind;   /* the owner's */
  uint32_t owner; /* likewise */
} fzri_event_node;

/* Zeroed memory is an empty queue. */
typedef struct fzri_event_queue {
  fzri_event_node *head, *tail;
} fzri_event_queue;

/* Puts |node| at the end, unless it is queued already. */
void fzri_event_queue_push(fzri_event_queue *queue, fzri_event_node *node);
/* Puts |node| behind all that is there now, also if it is queued already. */
void fzri_event_queue_push_last(fzri_event_queue *queue, fzri_event_node *node);
/* The first node, which stays where it is, or NULL. */
fzri_event_node *fzri_event_queue_first(fzri_event_queue *queue);
/* Takes out the node that fzri_event_queue_first has returned. */
void fzri_event_queue_pop(fzri_event_queue *queue);

#endif
