/* SPDX-License-Identifier: Apache-2.0 */
#include "log/queue.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A pipe that poll calls writable takes this much at once (PIPE_BUF). */
#define CHUNK         4096u
#define STALL_POLL_MS 100
#define IDLE_SECONDS  1
/* After a write lines gather for so long: a busy relay must not wake the writer for each of them. The first line after a pause goes
 * out at once. */
#define GATHER_MS 10

struct log_queue {
  int fd;
  size_t cap;
  log_queue_hooks hooks;
  pthread_t thread;
  atomic_uint_least64_t dropped;
  atomic_bool give_up; /* the writer is to throw away what is left */

  pthread_mutex_t lock; /* of what follows; held for as long as a line is copied, never while writing */
  pthread_cond_t filled;
  char *front; /* where lines are added; the writer takes it whole and leaves its own */
  size_t used;
  uint64_t lost; /* dropped, and not told yet */
  bool stop;
  bool waiting; /* the writer, for a first line */

  char *back; /* the writer's */
};

static void after(struct timespec *t, unsigned milliseconds, clockid_t clock)
{
  clock_gettime(clock, t);
  t->tv_sec += (time_t)(milliseconds / 1000);
  t->tv_nsec += (long)(milliseconds % 1000) * 1000000;
  if (t->tv_nsec >= 1000000000) {
    t->tv_nsec -= 1000000000;
    t->tv_sec++;
  }
}

static uint64_t count_lines(const char *bytes, size_t len)
{
  uint64_t n = 0;
  for (const char *end = bytes + len; (bytes = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL; bytes++)
    n++;
  return n;
}

/* How much to write at once: whole lines, as many as a pipe takes in one piece. */
static size_t chunk_of(const char *bytes, size_t len)
{
  if (len <= CHUNK)
    return len;
  const char *newline = memrchr(bytes, '\n', CHUNK);
  return newline ? (size_t)(newline - bytes) + 1 : CHUNK;
}

/* Waits until |fd| can be written to. Returns false if there is no reader, or it is time to give up. */
static bool wait_writable(log_queue *q)
{
  while (!atomic_load(&q->give_up)) {
    struct pollfd p = {q->fd, POLLOUT, 0};
    const int n = poll(&p, 1, STALL_POLL_MS);
    if (n > 0)
      return (p.revents & POLLOUT) != 0;
    if (n < 0 && errno != EINTR)
      return false;
  }
  return false;
}

static void write_out(log_queue *q, const char *bytes, size_t len)
{
  while (len) {
    ssize_t n = -1;
    if (wait_writable(q)) {
      n = write(q->fd, bytes, chunk_of(bytes, len));
      if (n < 0 && (errno == EINTR || errno == EAGAIN))
        continue;
    }
    if (n < 0) {
      atomic_fetch_add(&q->dropped, count_lines(bytes, len));
      return;
    }
    bytes += n;
    len -= (size_t)n;
  }
}

/* Waits with |lock| held until lines fill half of the queue, or it is time to stop, or |milliseconds| are over; with |any| until
 * there is any line. */
static void wait_for_lines(log_queue *q, unsigned milliseconds, bool any)
{
  struct timespec until;
  const size_t enough = any ? 1 : q->cap / 2;
  after(&until, milliseconds, CLOCK_MONOTONIC);
  q->waiting = any;
  while (q->used < enough && !q->stop)
    if (pthread_cond_timedwait(&q->filled, &q->lock, &until))
      break;
  q->waiting = false;
}

/* Waits for lines, for a second at most; takes them, and how many were lost. Returns false when all is done. */
static bool take(log_queue *q, size_t *len, uint64_t *lost)
{
  const bool wrote = *len > 0;
  pthread_mutex_lock(&q->lock);
  if (wrote)
    wait_for_lines(q, GATHER_MS, false);
  wait_for_lines(q, IDLE_SECONDS * 1000, true);
  char *filled = q->front;
  q->front = q->back;
  q->back = filled;
  *len = q->used;
  *lost = q->lost;
  q->used = 0;
  q->lost = 0;
  const bool more = *len || !q->stop;
  pthread_mutex_unlock(&q->lock);
  return more;
}

/* Capabilities are each thread's own: what the main thread gives up later this one would keep, and it needs none. Less is always allowed;
 * where a filter of system calls forbids even that, there is nobody to tell. */
static void give_up_capabilities(void)
{
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  const struct __user_cap_data_struct none[2] = {{0}};
  syscall(SYS_capset, &header, none);
}

static void *run(void *ctx)
{
  log_queue *q = ctx;
  size_t len = 0;
  uint64_t lost;
  give_up_capabilities();
  while (take(q, &len, &lost)) {
    write_out(q, q->back, len);
    if (q->hooks.idle)
      q->hooks.idle(lost);
  }
  return NULL;
}

static void release(log_queue *q)
{
  pthread_cond_destroy(&q->filled);
  pthread_mutex_destroy(&q->lock);
  free(q->front);
  free(q->back);
  free(q);
}

/* Signals are for the main thread. */
static int start_thread(log_queue *q)
{
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&q->thread, NULL, run, q);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!error)
    pthread_setname_np(q->thread, "log");
  return error;
}

log_queue *log_queue_new(int fd, size_t bytes, const log_queue_hooks *hooks)
{
  log_queue *q = calloc(1, sizeof *q);
  if (!q)
    return NULL;
  q->fd = fd;
  q->cap = bytes > CHUNK ? bytes : CHUNK;
  q->hooks = *hooks;
  pthread_mutex_init(&q->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&q->filled, &attr);
  pthread_condattr_destroy(&attr);
  q->front = malloc(q->cap);
  q->back = malloc(q->cap);
  const int error = q->front && q->back ? start_thread(q) : ENOMEM;
  if (error) {
    release(q);
    errno = error;
    return NULL;
  }
  return q;
}

static bool add(log_queue *q, const char *line, size_t len, bool count)
{
  bool wake = false;
  pthread_mutex_lock(&q->lock);
  const bool fits = len <= q->cap - q->used;
  if (fits) {
    const bool little = q->used < q->cap / 2;
    memcpy(q->front + q->used, line, len);
    q->used += len;
    wake = q->waiting || (little && q->used >= q->cap / 2);
  } else if (count) {
    q->lost++;
    atomic_fetch_add(&q->dropped, 1);
  }
  if (wake)
    pthread_cond_signal(&q->filled);
  pthread_mutex_unlock(&q->lock);
  return fits;
}

bool log_queue_add(log_queue *q, const char *line, size_t len)
{
  return add(q, line, len, true);
}

bool log_queue_try(log_queue *q, const char *line, size_t len)
{
  return add(q, line, len, false);
}

uint64_t log_queue_dropped(const log_queue *q)
{
  return atomic_load(&q->dropped);
}

bool log_queue_free(log_queue *q, unsigned milliseconds)
{
  struct timespec until;
  after(&until, milliseconds, CLOCK_REALTIME);
  pthread_mutex_lock(&q->lock);
  q->stop = true;
  pthread_cond_signal(&q->filled);
  pthread_mutex_unlock(&q->lock);
  if (pthread_timedjoin_np(q->thread, NULL, &until)) {
    atomic_store(&q->give_up, true);
    after(&until, 5 * STALL_POLL_MS, CLOCK_REALTIME);
    if (pthread_timedjoin_np(q->thread, NULL, &until)) {
      pthread_detach(q->thread);
      return false;
    }
  }
  release(q);
  return true;
}

bool log_write_now(int fd, const char *bytes, size_t len)
{
  struct pollfd p = {fd, POLLOUT, 0};
  if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLOUT))
    return false;
  return write(fd, bytes, len) == (ssize_t)len;
}
