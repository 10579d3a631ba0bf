/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN 4352 /* of /proc/self/cgroup: numbers, names, a path */

/* Reads the first line of |folder|/|name|. Returns whether there is one. */
static bool read_line(const char *folder, const char *name, char *line, size_t cap)
{
  char path[2 * PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "re");
  if (!file)
    return false;
  const bool read = fgets(line, (int)cap, file) != NULL;
  fclose(file);
  return read;
}

/* Of a quota that is not positive there is none: version 1 says so with -1. */
static unsigned rounded_up(long long quota, long long period)
{
  if (quota <= 0 || period <= 0)
    return 0;
  const long long cpus = quota / period + (quota % period != 0);
  return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

/* Of the one group at |path|: "200000 100000", or "max 100000", of which no number can be read. */
static uint64_t cpus_2(const char *path)
{
  char line[64], *rest;
  if (!read_line(path, "cpu.max", line, sizeof line))
    return 0;
  const long long quota = strtoll(line, &rest, 10);
  return rounded_up(quota, strtoll(rest, NULL, 10));
}

static uint64_t cpus_1(const char *path)
{
  char quota[64], period[64];
  if (!read_line(path, "cpu.cfs_quota_us", quota, sizeof quota) ||
      !read_line(path, "cpu.cfs_period_us", period, sizeof period))
    return 0;
  return rounded_up(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

/* "max" is no number, and none. */
static uint64_t memory_in(const char *path, const char *name)
{
  char line[64];
  return read_line(path, name, line, sizeof line) ? strtoull(line, NULL, 10) : 0;
}

static uint64_t memory_2(const char *path)
{
  return memory_in(path, "memory.max");
}

/* Where there is no limit, a number near 2^63 is. */
static uint64_t memory_1(const char *path)
{
  return memory_in(path, "memory.limit_in_bytes");
}

/* What is limited: the controller's name, where version 1 has it, and how a group's limit is read. */
typedef struct resource {
  const char *name;
  const char *mounts_1[3]; /* NULL: no more */
  uint64_t (*of_version_1)(const char *path);
  uint64_t (*of_version_2)(const char *path);
} resource;

static const resource cpu = {
    "cpu",
    {"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpuacct,cpu"},
    cpus_1,
    cpus_2};
static const resource memory = {"memory", {"/sys/fs/cgroup/memory"}, memory_1, memory_2};

/* The tightest of |group| and all above it, where |mount| is. In a container the group's name may be the host's: then what is there is at
 * the top. */
static uint64_t tightest(const char *root, const char *mount, const char *group,
                         uint64_t (*of_one)(const char *path))
{
  char path[2 * PATH_MAX];
  uint64_t least = 0;
  const size_t top = strlen(root) + strlen(mount);
  if ((size_t)snprintf(path, sizeof path, "%s%s%s", root, mount, group) >= sizeof path)
    return 0;
  for (size_t len = strlen(path); len >= top;) {
    while (len > top && path[len - 1] == '/')
      len--;
    path[len] = '\0';
    const uint64_t n = of_one(path);
    if (n != 0 && (least == 0 || n < least))
      least = n;
    if (len == top)
      break;
    while (len > top && path[len - 1] != '/')
      len--;
  }
  return least;
}

/* Whether |name| is in the list, which has commas. */
static bool is_listed(const char *list, const char *name)
{
  const size_t len = strlen(name);
  for (; *list; list += strcspn(list, ",")) {
    list += *list == ',';
    if (strcspn(list, ",") == len && strncmp(list, name, len) == 0)
      return true;
  }
  return false;
}

/* One line of /proc/self/cgroup: "0::/group" of version 2, "4:cpu,cpuacct:/group" of version 1. */
static uint64_t of_line(const resource *what, const char *root, char *line)
{
  static const char *const mounts_2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
  line[strcspn(line, "\n")] = '\0';
  char *names = strchr(line, ':');
  char *group = names ? strchr(names + 1, ':') : NULL;
  if (!group)
    return 0;
  *group++ = '\0';
  names++;
  uint64_t n = 0;
  if (!*names) {
    for (size_t i = 0; i < sizeof mounts_2 / sizeof *mounts_2 && n == 0; i++)
      n = tightest(root, mounts_2[i], group, what->of_version_2);
  } else if (is_listed(names, what->name)) {
    for (size_t i = 0; i < 3 && what->mounts_1[i] && n == 0; i++)
      n = tightest(root, what->mounts_1[i], group, what->of_version_1);
  }
  return n;
}

static uint64_t limit_of(const resource *what, const char *root)
{
  char line[LINE_MAX_LEN];
  uint64_t least = 0;
  if ((size_t)snprintf(line, sizeof line, "%s/proc/self/cgroup", root) >= sizeof line)
    return 0;
  FILE *file = fopen(line, "re");
  if (!file)
    return 0;
  while (fgets(line, sizeof line, file)) {
    const uint64_t n = of_line(what, root, line);
    if (n != 0 && (least == 0 || n < least))
      least = n;
  }
  fclose(file);
  return least;
}

unsigned cgroup_cpus(const char *root)
{
  return (unsigned)limit_of(&cpu, root); /* at most UINT_MAX */
}

uint64_t cgroup_memory(const char *root)
{
  return limit_of(&memory, root);
}
