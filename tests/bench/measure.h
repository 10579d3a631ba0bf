/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured: latencies, and what a server process costs. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "firezone_relay/types.h"

#include <stdbool.h>

/* Latencies in a histogram with 64 steps to each doubling, from 1 ns to hours. */
#define LATENCY_BUCKETS (64 * 48)
typedef struct latencies {
  uint64_t count;
  uint64_t buckets[LATENCY_BUCKETS];
} latencies;

void latencies_add(latencies *l, fzr_time ns);
/* The latency that |per_mille| of 1,000 do not exceed, in ns; 0 if there are none. */
fzr_time latencies_at(const latencies *l, unsigned per_mille);

/* CPU time that all threads of |pid| have used, in ns: the scheduler's own account. 0 if there is no such process. */
uint64_t process_cpu_ns(int pid);
/* Stops all threads of |pid| (SIGSTOP) and waits until they stand, under a tracer too. Returns false if they do not within a second. */
bool process_hold(int pid);
/* Lets it go on. */
void process_release(int pid);
/* Its resident memory in bytes. */
uint64_t process_resident(int pid);

#endif
