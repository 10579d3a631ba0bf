/* SPDX-License-Identifier: Apache-2.0 */
/* The CPUs and the memory that a control group allows, by files as the kernel has them below a folder of the test's. */
#include "testing.h"

#include "cgroup.h"
#include "process.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[32];

static void setup(void)
{
  strcpy(root, "/tmp/fzr-cgroup-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(root));
}

static int forget(const char *path, const struct stat *st, int type, struct FTW *where)
{
  (void)st;
  (void)type;
  (void)where;
  return remove(path);
}

static void teardown(void)
{
  nftw(root, forget, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes |text| to the file |name| below the root, whose folders are made. */
static void put(const char *name, const char *text)
{
  char path[256];
  snprintf(path, sizeof path, "%s%s", root, name);
  for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
    *p = '\0';
    ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
    *p = '/';
  }
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  fclose(file);
}

START_TEST(without_files_there_is_no_limit)
{
  ck_assert_uint_eq(cgroup_cpus(root), 0);
  put("/proc/self/cgroup", "0::/\n");
  ck_assert_uint_eq(cgroup_cpus(root), 0);
}
END_TEST

START_TEST(version_2)
{
  static const struct {
    const char *text;
    unsigned cpus;
  } cases[] = {{"max 100000\n", 0},
               {"200000 100000\n", 2},
               {"150000 100000\n", 2},
               {"1000 100000\n", 1},
               {"400000 100000\n", 4},
               {"50000 25000\n", 2},
               {"", 0},
               {"0 100000\n", 0},
               {"100000 0\n", 0},
               {"many\n", 0}};
  put("/proc/self/cgroup", "0::/\n");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put("/sys/fs/cgroup/cpu.max", cases[i].text);
    ck_assert_msg(cgroup_cpus(root) == cases[i].cpus, "%s", cases[i].text);
  }
}
END_TEST

/* A group gets no more than those above it, whoever of them says so. */
START_TEST(the_tightest_of_all_groups_above)
{
  put("/proc/self/cgroup", "0::/pods/relay.scope\n");
  put("/sys/fs/cgroup/pods/relay.scope/cpu.max", "800000 100000\n");
  put("/sys/fs/cgroup/pods/cpu.max", "300000 100000\n");
  ck_assert_uint_eq(cgroup_cpus(root), 3);
  put("/sys/fs/cgroup/pods/relay.scope/cpu.max", "100000 100000\n");
  ck_assert_uint_eq(cgroup_cpus(root), 1);
  put("/sys/fs/cgroup/pods/relay.scope/cpu.max", "max 100000\n");
  ck_assert_uint_eq(cgroup_cpus(root), 3);
}
END_TEST

START_TEST(version_1)
{
  put("/proc/self/cgroup", "9:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n3:cpuset:/\n0::/\n");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
  ck_assert_uint_eq(cgroup_cpus(root), 3);
  put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1\n");
  ck_assert_uint_eq(cgroup_cpus(root), 0);
}
END_TEST

/* Inside of a container the name is the host's, and what is mounted is the group itself. */
START_TEST(version_1_in_a_container)
{
  put("/proc/self/cgroup", "4:cpu:/docker/0123456789abcdef\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  ck_assert_uint_eq(cgroup_cpus(root), 2);
}
END_TEST

START_TEST(other_controllers_say_nothing)
{
  put("/proc/self/cgroup", "3:cpuset:/\n2:cpuacct:/\nnonsense\n:\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  ck_assert_uint_eq(cgroup_cpus(root), 0);
}
END_TEST

/* Memory: the same walk, other files. */
START_TEST(memory)
{
  ck_assert_uint_eq(cgroup_memory(root), 0);
  put("/proc/self/cgroup", "0::/pods/relay\n");
  put("/sys/fs/cgroup/pods/relay/memory.max", "max\n");
  ck_assert_uint_eq(cgroup_memory(root), 0);
  put("/sys/fs/cgroup/pods/memory.max", "536870912\n");
  ck_assert_uint_eq(cgroup_memory(root), 536870912);
  put("/sys/fs/cgroup/pods/relay/memory.max", "134217728\n");
  ck_assert_uint_eq(cgroup_memory(root), 134217728);
  put("/proc/self/cgroup", "9:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n");
  ck_assert_uint_eq(cgroup_memory(root), 0);
  put("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "268435456\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  ck_assert_uint_eq(cgroup_memory(root), 268435456);
  ck_assert_uint_eq(cgroup_cpus(root), 0);
}
END_TEST

START_TEST(channels_for_memory)
{
  ck_assert_uint_eq(memory_channels(0), 1048576);
  ck_assert_uint_eq(memory_channels(1 << 20), 4096);
  ck_assert_uint_eq(memory_channels(512 << 20), 524288);
  ck_assert_uint_eq(memory_channels((uint64_t)1 << 30), 1048576);
  ck_assert_uint_eq(memory_channels(UINT64_MAX), 65536u * 4096u);
  ck_assert_uint_gt(process_memory(), 64 << 20);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("cgroup");
  TCase *tc = tcase_create("cpus");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, without_files_there_is_no_limit);
  tcase_add_test(tc, version_2);
  tcase_add_test(tc, the_tightest_of_all_groups_above);
  tcase_add_test(tc, version_1);
  tcase_add_test(tc, version_1_in_a_container);
  tcase_add_test(tc, other_controllers_say_nothing);
  tcase_add_test(tc, memory);
  tcase_add_test(tc, channels_for_memory);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
