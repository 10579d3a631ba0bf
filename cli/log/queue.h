/* SPDX-License-Identifier: Apache-2.0 */
/* Lines on their way to a descriptor: a queue of bounded size and the thread that empties it. Any thread may add; nobody waits. */
#ifndef LOG_QUEUE_H
#define LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct log_queue log_queue;

typedef struct log_queue_hooks {
  /* Called by the writer's thread, without locks held, about once a second and after |dropped| lines were dropped (0: none were): what
   * it wants to say goes in by log_queue_add. */
  void (*idle)(uint64_t dropped);
} log_queue_hooks;

/* A queue of |bytes| for |fd|, which stays the caller's, and its thread. NULL with errno set if memory or threads are out. */
log_queue *log_queue_new(int fd, size_t bytes, const log_queue_hooks *hooks);

/* Adds a line, newline included. Returns false if there is no room for it; it is counted then. */
bool log_queue_add(log_queue *queue, const char *line, size_t len);

/* The same, but what finds no room is not counted: for what will be said again. */
bool log_queue_try(log_queue *queue, const char *line, size_t len);

/* How many lines were dropped: for want of room, or because the reader is gone. */
uint64_t log_queue_dropped(const log_queue *queue);

/* Writes what is there, for |milliseconds| at most, ends the thread and frees the queue. What could not be written is lost. Returns
 * false if the thread hangs in the kernel: the queue is then left to it. */
bool log_queue_free(log_queue *queue, unsigned milliseconds);

/* Writes |len| bytes to |fd| now if it takes them without making us wait. Returns whether it took all. */
bool log_write_now(int fd, const char *bytes, size_t len);

#endif
