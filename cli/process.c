/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include "cgroup.h"
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

/* Descriptors that are open from the start. */
#define OWN        32u
#define PER_WORKER 8u
#define KEPT       (4 << 20) /* bytes */
/* So much that a worker that wakes up goes first, and so little that health checks and the portal get enough on a busy machine. */
#define STEP_BACK 10
/* ns. A thread that wakes up interrupts at once one with a longer slice than its own, whose is 3 ms; otherwise it waits for the other's to
 * end (Linux 6.12; ignored before). */
#define SLICE 20000000u

/* ns; 50,000 if nothing is said. */
#define TIMER_SLACK 1000UL

void process_keep_memory(void)
{
#ifdef M_TRIM_THRESHOLD
  mallopt(M_TRIM_THRESHOLD, KEPT);
#endif
}

void process_give_back_memory(void)
{
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void process_harden(void)
{
  const struct rlimit none = {0, 0};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  setrlimit(RLIMIT_CORE, &none);
#ifndef IS_SANITIZED
  /* Sanitizers look at their own process from outside, which this forbids. */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void process_hold_signals(bool hold)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void process_keep_standard_streams(void)
{
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
      continue;
    /* The log can't be written to a descriptor for reading: its lines count as dropped. */
    const int got = open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
    if (got >= 0 && got != fd) {
      dup2(got, fd);
      close(got);
    }
  }
}

void process_sleep_exactly(void)
{
  prctl(PR_SET_TIMERSLACK, TIMER_SLACK, 0, 0, 0);
}

uint64_t process_spare(uint64_t limit)
{
  return limit / 4 < PROCESS_SPARE ? limit / 4 : PROCESS_SPARE;
}

/* Of an allocation: a socket for each family, and the connection of its client if that is on TCP. */
static uint64_t descriptors_each(const options *o)
{
  return (o->public_ip4.family ? 1u : 0u) + (o->public_ip6.family ? 1u : 0u) +
         (o->tcp_listen_port || o->tls_listen_port ? 1u : 0u);
}

/* Of a full relay. */
static uint64_t descriptors_needed(const options *o, unsigned workers)
{
  const uint64_t ports = (uint64_t)o->highest_port - o->lowest_port + 1;
  return ports * descriptors_each(o) + PROCESS_SPARE + OWN + (uint64_t)PER_WORKER * workers;
}

/* Has the kernel make its table of descriptors as long as it may ever get. Where there are threads it waits for all CPUs each time that the table
 * grows, mostly for 10 to 30 ms: in the midst of packets, or while sockets are handed over (Linux 6.18). */
static void reserve(uint64_t count)
{
  const int last = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)(count - 1));
  if (last >= 0)
    close(last);
}

void process_raise_descriptors(const options *o, unsigned workers)
{
  struct rlimit limit;
  const uint64_t needed = descriptors_needed(o, workers);
  if (getrlimit(RLIMIT_NOFILE, &limit))
    return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) && getrlimit(RLIMIT_NOFILE, &limit))
    return;
  reserve(limit.rlim_cur < needed ? limit.rlim_cur : needed);
}

void process_log_descriptors(const options *o, unsigned workers)
{
  struct rlimit limit;
  const uint64_t each = descriptors_each(o), ports = (uint64_t)o->highest_port - o->lowest_port + 1;
  const uint64_t needed = descriptors_needed(o, workers);
  if (!each || getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur >= needed)
    return;
  const uint64_t have = limit.rlim_cur;
  const uint64_t others = process_spare(have) + OWN + (uint64_t)PER_WORKER * workers;
  const uint64_t sockets = have > others ? have - others : 0;
  log_warn("relay",
           "The limit of %" PRIu64 " open files allows for about %" PRIu64 " allocations of the %" PRIu64
           " in the port range: raise it (ulimit -Hn, LimitNOFILE=) to at least %" PRIu64,
           have, sockets / each, ports, needed);
}

void process_step_back(void)
{
  const struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {.size = sizeof attributes, .policy = SCHED_OTHER, .nice = STEP_BACK, .runtime = SLICE};
  /* On Linux this is the thread's alone (sched(7)); without it nothing goes wrong. */
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) && nice(STEP_BACK) < 0)
    return;
}

unsigned process_cpus(void)
{
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set))
    return 1;
  const int n = CPU_COUNT(&set);
  const unsigned cpus = n > 0 ? (unsigned)n : 1, quota = cgroup_cpus("");
  return quota > 0 && quota < cpus ? quota : cpus;
}

int process_pin(pthread_t thread, unsigned n)
{
  cpu_set_t all, one;
  if (sched_getaffinity(0, sizeof all, &all))
    return errno;
  const int count = CPU_COUNT(&all);
  int left = count > 0 ? (int)(n % (unsigned)count) : 0;
  CPU_ZERO(&one);
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &all) || left-- > 0)
      continue;
    CPU_SET(cpu, &one);
    break;
  }
  return pthread_setaffinity_np(thread, sizeof one, &one);
}

uint64_t process_memory(void)
{
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  const uint64_t machine = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
  const uint64_t allowed = cgroup_memory("");
  return allowed && (!machine || allowed < machine) ? allowed : machine;
}

uint32_t memory_channels(uint64_t memory)
{
  /* Not fewer than one client may have, nor more than all ports' clients. */
  const uint64_t least = 4096, most = (uint64_t)65536 * 4096, fits = memory / 4 / CHANNEL_BYTES;
  if (!memory)
    return 1048576;
  return (uint32_t)(fits < least ? least : fits > most ? most : fits);
}
