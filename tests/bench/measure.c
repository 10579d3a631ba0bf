/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned bucket_of(fzr_time ns)
{
  if (ns < 64)
    return (unsigned)ns;
  const unsigned log = 63u - (unsigned)__builtin_clzll(ns);
  const unsigned step = (unsigned)(ns >> (log - 6)) & 63;
  const unsigned bucket = (log - 5) * 64 + step;
  return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static fzr_time value_of(unsigned bucket)
{
  if (bucket < 128)
    return bucket;
  const unsigned log = bucket / 64 + 5;
  return ((fzr_time)64 + bucket % 64) << (log - 6);
}

void latencies_add(latencies *l, fzr_time ns)
{
  l->buckets[bucket_of(ns)]++;
  l->count++;
}

fzr_time latencies_at(const latencies *l, unsigned per_mille)
{
  const uint64_t wanted = (l->count * per_mille + 999) / 1000;
  uint64_t seen = 0;
  for (unsigned i = 0; l->count && i < LATENCY_BUCKETS; i++) {
    seen += l->buckets[i];
    if (seen >= wanted)
      return value_of(i);
  }
  return 0;
}

static uint64_t task_cpu(int pid, const char *task)
{
  char path[300];
  snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, task);
  FILE *file = fopen(path, "r");
  if (!file)
    return 0;
  char line[128];
  const uint64_t ns = fgets(line, sizeof line, file) ? strtoull(line, NULL, 10) : 0;
  fclose(file);
  return ns;
}

uint64_t process_cpu_ns(int pid)
{
  char path[64];
  uint64_t total = 0;
  const struct dirent *entry;
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *dir = opendir(path);
  if (!dir)
    return 0;
  while ((entry = readdir(dir)))
    if (entry->d_name[0] != '.')
      total += task_cpu(pid, entry->d_name);
  closedir(dir);
  return total;
}

/* Whether the thread is stopped. A tracer's stop counts: the caller looks whether it lasts. */
static bool task_stands(int pid, const char *task)
{
  char path[300], line[512];
  snprintf(path, sizeof path, "/proc/%d/task/%s/stat", pid, task);
  FILE *file = fopen(path, "r");
  if (!file)
    return false;
  const char *state = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
  fclose(file);
  return state && state[1] == ' ' && (state[2] == 'T' || state[2] == 't');
}

static bool all_stand(int pid)
{
  char path[64];
  bool stand = true;
  const struct dirent *entry;
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *dir = opendir(path);
  if (!dir)
    return false;
  while ((entry = readdir(dir)))
    if (entry->d_name[0] != '.')
      stand = task_stands(pid, entry->d_name) && stand;
  closedir(dir);
  return stand;
}

bool process_hold(int pid)
{
  const struct timespec wait = {0, 300000};
  uint64_t cpu = 0;
  if (kill(pid, SIGSTOP))
    return false;
  /* A thread under strace looks stopped at each of its system calls, too: it stands when it also used no CPU for a while. */
  for (unsigned tries = 0, quiet = 0; tries < 3000; tries++) {
    const uint64_t now = process_cpu_ns(pid);
    quiet = now == cpu && all_stand(pid) ? quiet + 1 : 0;
    cpu = now;
    if (quiet == 3)
      return true;
    nanosleep(&wait, NULL);
  }
  return false;
}

void process_release(int pid)
{
  kill(pid, SIGCONT);
}

uint64_t process_resident(int pid)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/statm", pid);
  FILE *file = fopen(path, "r");
  if (!file)
    return 0;
  char line[128];
  uint64_t resident = 0;
  if (fgets(line, sizeof line, file)) {
    const char *second = strchr(line, ' '); /* the first number is the virtual size */
    resident = second ? strtoull(second, NULL, 10) : 0;
  }
  fclose(file);
  return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
