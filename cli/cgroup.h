/* SPDX-License-Identifier: Apache-2.0 */
/* What the control group that the process is in allows it. */
#ifndef RELAY_CGROUP_H
#define RELAY_CGROUP_H

#include <stdint.h>

/* How many CPUs' time the process gets, rounded up, by the tightest quota of its group and of those above: cpu.max of version 2, or
 * cpu.cfs_quota_us of version 1. 0: there is none. Files are looked for below |root|, "" but in tests. */
unsigned cgroup_cpus(const char *root);

/* How many bytes of memory, likewise: memory.max, or memory.limit_in_bytes. 0: there is no limit. */
uint64_t cgroup_memory(const char *root);

#endif
