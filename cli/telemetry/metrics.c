/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

const char *metrics_direction(unsigned index)
{
  return index == 0 ? "client_to_peer" : "peer_to_client";
}

/* What a relay answers, as the RFCs and this library have it. */
static bool is_usual(unsigned method, unsigned code)
{
  static const uint16_t codes[FZR_STAT_METHODS][14] = {
      [FZR_STAT_BINDING] = {400, 420},
      [FZR_STAT_ALLOCATE] = {300, 400, 401, 403, 405, 420, 437, 438, 440, 441, 442, 486, 508},
      [FZR_STAT_REFRESH] = {400, 401, 405, 420, 437, 438, 441, 443},
      [FZR_STAT_CHANNEL_BIND] = {400, 401, 403, 420, 437, 438, 441, 443, 508},
      [FZR_STAT_CREATE_PERMISSION] = {400, 401, 403, 420, 437, 438, 441, 443, 508},
      [FZR_STAT_OTHER] = {400},
  };
  for (size_t i = 0; codes[method][i]; i++)
    if (codes[method][i] == code)
      return true;
  return false;
}

bool metrics_has_responses(const metrics_totals *t, unsigned method, unsigned index)
{
  if (t->responses[method][index])
    return true;
  return index ? is_usual(method, fzr_stat_code(index)) : method != FZR_STAT_OTHER;
}

static void add_array(uint64_t *to, const uint64_t *from, size_t n)
{
  for (size_t i = 0; i < n; i++)
    to[i] += from[i];
}

static void add_worker(metrics_totals *t, const metrics_worker *w)
{
  t->allocations += w->engine.allocations;
  t->channels += w->engine.channels;
  t->permissions += w->engine.permissions;
  add_array(t->packets, w->engine.packets, 2);
  add_array(t->bytes, w->engine.bytes, 2);
  add_array(t->indications, w->engine.indications, 2);
  t->allocations_moved += w->engine.allocations_moved;
  add_array(t->peer_errors, w->engine.peer_errors, 2);
  add_array(t->packet_sizes, w->engine.packet_sizes, FZR_SIZE_CLASSES);
  add_array(t->dropped, w->engine.dropped, FZR_DROP_REASONS);
  add_array(t->client_allocations, w->engine.allocations_by_transport, METRICS_TRANSPORTS);
  add_array(t->memory_refusals, w->engine.memory_refusals, 2);
  for (size_t m = 0; m < FZR_STAT_METHODS; m++)
    add_array(t->responses[m], w->engine.responses[m], FZR_STAT_CODES);
  t->dropped[FZR_DROP_SEND_QUEUE_FULL] += w->udp.queue_dropped;
  t->dropped[FZR_DROP_SEND_ERROR] += w->udp.send_errors;
  t->dropped[FZR_DROP_SEND_EXPIRED] += w->udp.send_expired;
  t->dropped[FZR_DROP_UNREACHED] += w->udp.unreached_dropped;
  t->dropped[FZR_DROP_ANSWER_WOULD_WAIT] += w->udp.answers_dropped;
}

static void add_streams(metrics_totals *t, const stream_stats *from)
{
  for (unsigned i = 0; i < STREAM_KINDS; i++) {
    stream_stats *to = &t->streams[i];
    to->connections += from[i].connections;
    to->accepted += from[i].accepted;
    to->dropped += from[i].dropped;
    to->queued_bytes += from[i].queued_bytes;
    add_array(to->ended, from[i].ended, STREAM_ENDS);
    t->dropped[FZR_DROP_SEND_QUEUE_FULL] += from[i].dropped;
  }
}

void metrics_add_up(const metrics_snapshot *s, metrics_totals *t)
{
  memset(t, 0, sizeof *t);
  for (size_t i = 0; i < s->worker_count; i++) {
    add_worker(t, &s->workers[i]);
    add_streams(t, s->workers[i].streams);
  }
}

const offload_stats *metrics_same_offload(const metrics_snapshot *s, const offload_stats *stats)
{
  static const offload_stats none;
  for (size_t i = 0; s && i < s->offload_count; i++)
    if (strcmp(s->offloads[i].name, stats->name) == 0)
      return &s->offloads[i];
  return &none;
}

void metrics_forget(metrics_snapshot *copy)
{
  free((metrics_worker *)copy->workers);
  memset(copy, 0, sizeof *copy);
}

int metrics_copy(metrics_snapshot *to, const metrics_snapshot *from)
{
  metrics_forget(to);
  metrics_worker *workers = calloc(from->worker_count + 1, sizeof *workers);
  if (!workers)
    return -1;
  if (from->worker_count)
    memcpy(workers, from->workers, from->worker_count * sizeof *workers);
  *to = *from;
  to->workers = workers;
  return 0;
}

/* ---- the process ---- */

/* Reads the beginning of a file of /proc as text. Returns whether there is any. */
static bool read_file(const char *path, char *out, size_t cap)
{
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  const ssize_t n = read(fd, out, cap - 1);
  close(fd);
  out[n > 0 ? n : 0] = 0;
  return n > 0;
}

static uint64_t count_fds(void)
{
  uint64_t n = 0;
  DIR *dir = opendir("/proc/self/fd");
  if (!dir)
    return 0;
  for (const struct dirent *e; (e = readdir(dir)) != NULL;)
    n += e->d_name[0] != '.';
  closedir(dir);
  return n ? n - 1 : 0; /* without the directory's own */
}

/* When the system started, in seconds since 1970. */
static double boot_time(void)
{
  struct timespec wall, boot;
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_BOOTTIME, &boot);
  return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9;
}

void metrics_read_process(metrics_process *p)
{
  char text[1024];
  unsigned long long user = 0, system = 0, threads = 0, start = 0, bytes = 0;
  long long pages = 0;
  const double hz = (double)sysconf(_SC_CLK_TCK);
  memset(p, 0, sizeof *p);
  /* The name, in parentheses, may hold anything; what follows the last one is numbers (proc(5)). */
  const char *rest = read_file("/proc/self/stat", text, sizeof text) ? strrchr(text, ')') : NULL;
  /* NOLINTNEXTLINE(cert-err34-c): written by the kernel. */
  if (rest && sscanf(rest + 1,
                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %llu %*d "
                     "%llu %llu %lld",
                     &user, &system, &threads, &start, &bytes, &pages) == 6) {
    p->cpu_seconds = (double)(user + system) / hz;
    p->start_seconds = boot_time() + (double)start / hz;
    p->virtual_bytes = bytes;
    p->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    p->threads = threads;
  }
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    p->max_fds = limit.rlim_cur;
  p->open_fds = count_fds();
}
