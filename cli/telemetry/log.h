/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on standard output. Any thread may write. */
#ifndef TELEMETRY_LOG_H
#define TELEMETRY_LOG_H

#include "firezone_relay/firezone_relay.h"

typedef struct log_field {
  const char *key;
  enum log_kind { LOG_STR, LOG_BYTES, LOG_INT, LOG_UINT, LOG_ADDR } kind;
  union {
    const char *str;
    struct {
      const uint8_t *data;
      size_t len;
    } bytes; /* off the network: escaped */
    int64_t i;
    uint64_t u;
    const fzr_addr *addr;
  } v;
} log_field;

/* Whether a line of |level| from |target| would be written. */
bool log_enabled(enum fzr_log_level level, const char *target);

/* Writes one line: |message| and then the |n| fields. */
void log_write(enum fzr_log_level level, const char *target, const char *message, const log_field *fields,
               size_t n);

/* The same with a formatted message and no fields. */
void log_error(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
