/* SPDX-License-Identifier: Apache-2.0 */
/* A log record as a line of text, in each of the styles. */
#ifndef LOG_TEXT_H
#define LOG_TEXT_H

#include "log/log.h"

#include <time.h>

/* Longest line, its newline included: PIPE_BUF, so that a pipe takes it whole or not at all. */
#define LOG_LINE_MAX 4096

typedef struct log_line {
  enum fzr_log_level level;
  const char *target;
  const char *message;
  const log_field *fields;
  size_t field_count;
  struct timespec time;    /* since 1970 */
  const uint8_t *trace_id; /* 16 bytes, or NULL */
  const uint8_t *span_id;  /* 8 bytes, or NULL */
  uint64_t repeated;       /* how often it was held back; 0: this is the line itself */
} log_line;

typedef struct log_look {
  enum log_style style;
  bool color;
  char project[64]; /* of Google Cloud; "": none */
} log_look;

/* Writes |line| to |out|, newline included, not terminated. What does not fit is cut off, visibly, and the line stays well-formed.
 * Returns its length. */
size_t log_line_format(const log_look *look, const log_line *line, char out[LOG_LINE_MAX]);

#endif
