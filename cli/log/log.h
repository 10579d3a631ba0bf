/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: one record a line, on standard output. Any thread may write. A thread of its own does the writing, out of a queue of
 * bounded size: whoever logs never waits for whoever reads. Lines that find the queue full are dropped and counted; lines that
 * repeat many times in a row are counted instead of written. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "firezone_relay/firezone_relay.h"
#include "log/filter.h"

typedef struct log_field {
  const char *key; /* of lower case letters and underscores */
  enum log_kind { LOG_STR, LOG_BYTES, LOG_INT, LOG_UINT, LOG_ADDR } kind;
  union {
    const char *str;
    struct {
      const uint8_t *data;
      size_t len;
    } bytes; /* off the network: any bytes */
    int64_t i;
    uint64_t u;
    const fzr_addr *addr;
  } v;
} log_field;

enum log_style {
  LOG_STYLE_HUMAN = 0,        /* time, level, target, message, key=value */
  LOG_STYLE_JSON = 1,         /* an object a line, with message and fields in one of their own */
  LOG_STYLE_GOOGLE_CLOUD = 2, /* all in one, with the names that Cloud Logging wants */
  LOG_STYLE_JSON_FLAT = 3     /* likewise, with the names of LOG_STYLE_JSON */
};

/* All 0 but for `fd` is the default. Strings are copied. */
typedef struct log_options {
  enum log_style style;
  int fd;                           /* where lines go; it stays the caller's */
  bool color;                       /* in human style; see log_wants_color */
  const char *filter;               /* directives, as in RUST_LOG; NULL or "": info */
  const char *google_cloud_project; /* NULL or "": lines have no trace ids */
  size_t queue_bytes;               /* how much may wait to be written; 0: 1 MiB */
} log_options;

/* Starts the writer. Until then, and after log_shutdown, lines are written at once, in human style, filtered by RUST_LOG or
 * FIREZONE_LOG, or dropped if the reader is not ready. Directives of |options|' filter that make no sense are warned about
 * and skipped. Returns 0, or -1 with errno set if memory or threads are out. Call it once, before other threads log. */
int log_init(const log_options *options);

/* Writes what is queued, waiting a second at most for a reader that does not read, and ends the writer. */
void log_shutdown(void);

/* The directives that the environment asks for: RUST_LOG, or else FIREZONE_LOG; NULL if neither is set. |env| is getenv. */
const char *log_filter_from(char *(*env)(const char *name));

/* Whether lines on |fd| should be coloured: it is a terminal and NO_COLOR is not set. */
bool log_wants_color(int fd);

/* Changes the filter, if every one of |directives| makes sense: "info", "info,relay=debug,wire=trace". Any thread. Returns 0, or
 * -1 with what is wrong in the |cap| bytes at |error|; then nothing has changed. */
int log_set_filter(const char *directives, char *error, size_t cap);

/* Writes the filter that is in force into the |cap| bytes at |out|, as directives. */
void log_get_filter(char *out, size_t cap);

/* Whether nothing gets through the filter that is in force, which is not plainly "off". */
bool log_filter_is_pointless(void);
#define LOG_POINTLESS                                                                                        \
  "The log filter is off for every target of the relay (" LOG_FILTER_TARGETS "), so nothing is logged"

/* The most verbose level that lines from |target| may have. */
enum fzr_log_level log_level_of(const char *target);

/* How many lines were dropped, since the start, because nobody read them. */
uint64_t log_lines_dropped(void);

/* Lines that this thread writes from now on belong to the span of these ids (16 and 8 bytes, which must stay there); NULL: to none. */
void log_set_span(const uint8_t *trace_id, const uint8_t *span_id);

/* Whether a line of |level| from |target| would be written. */
bool log_enabled(enum fzr_log_level level, const char *target);

/* Writes one line: |message| and then the |n| fields. Whatever bytes they hold, it is one line. */
void log_write(enum fzr_log_level level, const char *target, const char *message, const log_field *fields,
               size_t n);

/* The same whatever the filter says: for changes of the filter itself. */
void log_always(enum fzr_log_level level, const char *target, const char *message, const log_field *fields,
                size_t n);

/* log_write with a formatted message and no fields. Text off the network belongs into fields. */
void log_error(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
