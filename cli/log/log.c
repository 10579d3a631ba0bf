/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log.h"

#include "common/clock.h"
#include "log/filter.h"
#include "log/queue.h"
#include "log/repeat.h"
#include "log/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define TARGET           "log"
#define DEFAULT_QUEUE    (1u << 20)
#define SHUTDOWN_WAIT_MS 1000
#define FORMATTED_MAX    1024

/* One logger a process, as there is one standard output. */
static struct {
  log_look look;
  int fd;
  _Atomic(log_queue *) queue; /* NULL: lines are written at once */
  atomic_int highest; /* the filter's, so that most lines need no lock to be refused; -1: not read yet */
  atomic_uint_least64_t dropped; /* by queues that are gone, and where there was none */
  uint64_t untold;               /* dropped lines that no line has told yet; the writer's thread's */
  pthread_rwlock_t filter_lock;
  log_filter filter;
  pthread_mutex_t repeat_lock;
  log_repeat repeat;
} logger = {
    .fd = STDOUT_FILENO,
    .highest = -1,
    .filter_lock = PTHREAD_RWLOCK_INITIALIZER,
    .repeat_lock = PTHREAD_MUTEX_INITIALIZER,
};

static _Thread_local const uint8_t *current_trace;
static _Thread_local const uint8_t *current_span;

/* ---- filter ---- */

static void use_filter(const log_filter *filter)
{
  pthread_rwlock_wrlock(&logger.filter_lock);
  logger.filter = *filter;
  atomic_store(&logger.highest, filter->highest);
  pthread_rwlock_unlock(&logger.filter_lock);
}

static void read_environment(void)
{
  log_filter filter;
  const char *text = log_filter_from(getenv);
  log_filter_parse(&filter, text ? text : "", NULL, NULL);
  use_filter(&filter);
}

const char *log_filter_from(char *(*env)(const char *name))
{
  const char *text = env("RUST_LOG");
  if (!text || !*text)
    text = env("FIREZONE_LOG");
  return text && *text ? text : NULL;
}

bool log_enabled(enum fzr_log_level level, const char *target)
{
  int highest = atomic_load_explicit(&logger.highest, memory_order_relaxed);
  if (highest < 0) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_environment);
    highest = atomic_load(&logger.highest);
  }
  if ((int)level > highest || level == FZR_LOG_OFF || level > FZR_LOG_TRACE)
    return false;
  pthread_rwlock_rdlock(&logger.filter_lock);
  const bool wanted = level <= log_filter_level(&logger.filter, target);
  pthread_rwlock_unlock(&logger.filter_lock);
  return wanted;
}

enum fzr_log_level log_level_of(const char *target)
{
  enum fzr_log_level level = FZR_LOG_TRACE;
  while (level > FZR_LOG_OFF && !log_enabled(level, target))
    level--;
  return level;
}

typedef struct first_problem {
  char *out;
  size_t cap;
  bool found;
} first_problem;

static void keep_first(void *ctx, const char *directive, size_t len, const char *problem)
{
  first_problem *first = ctx;
  if (!first->found && first->cap)
    snprintf(first->out, first->cap, "'%.*s': %s", (int)(len < 80 ? len : 80), directive, problem);
  first->found = true;
}

int log_set_filter(const char *directives, char *error, size_t cap)
{
  log_filter filter;
  first_problem first = {error, cap, false};
  if (log_filter_parse(&filter, directives, keep_first, &first))
    return -1;
  use_filter(&filter);
  return 0;
}

void log_get_filter(char *out, size_t cap)
{
  log_enabled(FZR_LOG_ERROR, TARGET); /* so that it was read */
  pthread_rwlock_rdlock(&logger.filter_lock);
  log_filter_format(&logger.filter, out, cap);
  pthread_rwlock_unlock(&logger.filter_lock);
}

bool log_filter_is_pointless(void)
{
  log_enabled(FZR_LOG_ERROR, TARGET); /* so that it was read */
  pthread_rwlock_rdlock(&logger.filter_lock);
  const bool pointless = log_filter_misses_all(&logger.filter);
  pthread_rwlock_unlock(&logger.filter_lock);
  return pointless;
}

/* ---- lines ---- */

void log_set_span(const uint8_t *trace_id, const uint8_t *span_id)
{
  current_trace = trace_id;
  current_span = span_id;
}

static void emit(log_line *line)
{
  char text[LOG_LINE_MAX];
  log_queue *queue = atomic_load(&logger.queue);
  clock_gettime(CLOCK_REALTIME, &line->time);
  const size_t len = log_line_format(&logger.look, line, text);
  if (queue)
    log_queue_add(queue, text, len);
  else if (!log_write_now(logger.fd, text, len))
    atomic_fetch_add(&logger.dropped, 1);
}

static void emit_held_back(const log_repeat_slot *slot)
{
  log_line line = {
      .level = slot->level, .target = slot->target, .message = slot->message, .repeated = slot->held_back};
  emit(&line);
}

void log_always(enum fzr_log_level level, const char *target, const char *message, const log_field *fields,
                size_t n)
{
  log_line line = {.level = level,
                   .target = target,
                   .message = message,
                   .fields = fields,
                   .field_count = n,
                   .trace_id = current_trace,
                   .span_id = current_span};
  if (atomic_load(&logger.queue)) {
    log_repeat_slot ended;
    const uint64_t hash = log_repeat_hash(&logger.repeat, &line);
    pthread_mutex_lock(&logger.repeat_lock);
    const enum log_repeat_verdict verdict =
        log_repeat_judge(&logger.repeat, &line, hash, monotonic_now(), &ended);
    pthread_mutex_unlock(&logger.repeat_lock);
    if (ended.written)
      emit_held_back(&ended);
    if (verdict == LOG_REPEAT_HOLD_BACK)
      return;
  }
  emit(&line);
}

void log_write(enum fzr_log_level level, const char *target, const char *message, const log_field *fields,
               size_t n)
{
  if (log_enabled(level, target))
    log_always(level, target, message, fields, n);
}

static void write_formatted(enum fzr_log_level level, const char *target, const char *format, va_list args)
{
  char message[FORMATTED_MAX];
  if (!log_enabled(level, target))
    return;
  vsnprintf(message, sizeof message, format, args);
  log_write(level, target, message, NULL, 0);
}

#define DEFINE(name, level)                                                                                  \
  void name(const char *target, const char *format, ...)                                                     \
  {                                                                                                          \
    va_list args;                                                                                            \
    va_start(args, format);                                                                                  \
    write_formatted(level, target, format, args);                                                            \
    va_end(args);                                                                                            \
  }

DEFINE(log_error, FZR_LOG_ERROR)
DEFINE(log_warn, FZR_LOG_WARN)
DEFINE(log_info, FZR_LOG_INFO)
DEFINE(log_debug, FZR_LOG_DEBUG)

/* ---- start and end ---- */

static void tell_held_back(fzr_time now)
{
  log_repeat_slot ended;
  for (;;) {
    pthread_mutex_lock(&logger.repeat_lock);
    const bool more = log_repeat_expire(&logger.repeat, now, &ended);
    pthread_mutex_unlock(&logger.repeat_lock);
    if (!more)
      return;
    emit_held_back(&ended);
  }
}

/* Tells how many lines were dropped, if there is room to tell it. */
static bool tell_dropped(uint64_t dropped)
{
  char text[LOG_LINE_MAX];
  log_queue *queue = atomic_load(&logger.queue);
  const log_field field = {"lines", LOG_UINT, {.u = dropped}};
  log_line line = {.level = FZR_LOG_WARN,
                   .target = TARGET,
                   .message = "Dropped log lines: whoever reads them is too slow",
                   .fields = &field,
                   .field_count = 1};
  clock_gettime(CLOCK_REALTIME, &line.time);
  return queue && log_queue_try(queue, text, log_line_format(&logger.look, &line, text));
}

static void on_idle(uint64_t dropped)
{
  logger.untold += dropped;
  if (logger.untold && tell_dropped(logger.untold))
    logger.untold = 0;
  tell_held_back(monotonic_now());
}

static void warn_of_directive(void *ctx, const char *directive, size_t len, const char *problem)
{
  const log_field fields[] = {{"directive", LOG_BYTES, {.bytes = {(const uint8_t *)directive, len}}},
                              {"problem", LOG_STR, {.str = problem}}};
  log_line line = {.level = FZR_LOG_WARN,
                   .target = TARGET,
                   .message = "Skipped a directive of the log filter",
                   .fields = fields,
                   .field_count = sizeof fields / sizeof *fields};
  (void)ctx;
  emit(&line);
}

bool log_wants_color(int fd)
{
  const char *no_color = getenv("NO_COLOR");
  const char *terminal = getenv("TERM");
  if (no_color && *no_color)
    return false;
  return isatty(fd) && !(terminal && strcmp(terminal, "dumb") == 0);
}

int log_init(const log_options *o)
{
  static const log_queue_hooks hooks = {on_idle};
  log_filter filter;
  logger.look.style = o->style;
  logger.look.color = o->color;
  logger.fd = o->fd;
  snprintf(logger.look.project, sizeof logger.look.project, "%s",
           o->google_cloud_project ? o->google_cloud_project : "");
  memset(&logger.repeat, 0, sizeof logger.repeat);
  if (getrandom(logger.repeat.key, sizeof logger.repeat.key, 0) != sizeof logger.repeat.key)
    return -1;
  log_queue *queue = log_queue_new(o->fd, o->queue_bytes ? o->queue_bytes : DEFAULT_QUEUE, &hooks);
  if (!queue)
    return -1;
  atomic_store(&logger.queue, queue);
  log_filter_parse(&filter, o->filter ? o->filter : "", warn_of_directive, NULL);
  use_filter(&filter);
  if (log_filter_misses_all(&filter))
    log_always(FZR_LOG_WARN, TARGET, LOG_POINTLESS, NULL, 0);
  return 0;
}

void log_shutdown(void)
{
  log_queue *queue = atomic_load(&logger.queue);
  if (!queue)
    return;
  tell_held_back(FZR_TIME_NEVER);
  atomic_store(&logger.queue, NULL);
  const uint64_t dropped = log_queue_dropped(queue);
  if (log_queue_free(queue, SHUTDOWN_WAIT_MS))
    atomic_fetch_add(&logger.dropped, dropped);
}

uint64_t log_lines_dropped(void)
{
  const log_queue *queue = atomic_load(&logger.queue);
  return atomic_load(&logger.dropped) + (queue ? log_queue_dropped(queue) : 0);
}
