/* SPDX-License-Identifier: Apache-2.0 */
/* Holds back lines that come again and again: of equal lines (all but the time), LOG_REPEAT_BURST are written within LOG_REPEAT_WINDOW, the
 * rest is counted, and told when the window is over. Fixed memory. Not thread-safe. */
#ifndef LOG_REPEAT_H
#define LOG_REPEAT_H

#include "log/text.h"

#define LOG_REPEAT_BURST  10u
#define LOG_REPEAT_WINDOW (10 * FZR_SECOND)
#define LOG_REPEAT_SLOTS  64u

typedef struct log_repeat_slot {
  uint64_t hash;
  fzr_time since;   /* when the window began; the slot is free if `written` is 0 */
  uint32_t written; /* within the window */
  uint64_t held_back;
  enum fzr_log_level level;
  char target[32];
  char message[256];
} log_repeat_slot;

typedef struct log_repeat {
  uint64_t key[2];  /* random: who can choose lines must not be able to choose slots */
  uint64_t waiting; /* slots with lines held back */
  log_repeat_slot slots[LOG_REPEAT_SLOTS];
} log_repeat;

/* What became of a line. */
enum log_repeat_verdict {
  LOG_REPEAT_WRITE,
  LOG_REPEAT_HOLD_BACK,
};

/* A hash of all of |line| but its time and span. May be called by any thread. */
uint64_t log_repeat_hash(const log_repeat *repeat, const log_line *line);

/* Judges |line|, whose hash is |hash|, at |now| on a monotonic clock. If that ends another line's window in which some were held
 * back, *|ended| is that line as it has to be told (it has to be written first), else its `written` is 0. */
enum log_repeat_verdict log_repeat_judge(log_repeat *repeat, const log_line *line, uint64_t hash,
                                         fzr_time now, log_repeat_slot *ended);

/* Takes one slot whose window is over at |now| (FZR_TIME_NEVER: any that held lines back) into *|ended|. Returns false if there is
 * none. */
bool log_repeat_expire(log_repeat *repeat, fzr_time now, log_repeat_slot *ended);

#endif
