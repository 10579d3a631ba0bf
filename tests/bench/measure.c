/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
