/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolve.h"

#include "firezone_relay/socket.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* One look-up: shared by its thread and the resolver; the last of them to leave frees it. */
typedef struct job {
  atomic_int holders;
  int wake; /* an eventfd, of the job's own */
  net_lookup lookup;
  char host[256];
  uint16_t port;
  fzr_addr addrs[NET_MAX_ADDRS];
  size_t count;
  char error[128];
} job;

struct net_resolver {
  struct event_base *base;
  net_lookup lookup;
  char host[256];
  uint16_t port;
  job *job;
  struct event *woken;
  net_resolved done;
  void *ctx;
};

static void job_release(job *j)
{
  if (atomic_fetch_sub(&j->holders, 1) != 1)
    return;
  close(j->wake);
  free(j);
}

static bool have_address(const job *j, const fzr_addr *addr)
{
  for (size_t i = 0; i < j->count; i++)
    if (fzr_addr_equal(&j->addrs[i], addr))
      return true;
  return false;
}

static void job_run(job *j)
{
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
  struct addrinfo *list = NULL;
  const int result = j->lookup(j->host, NULL, &hints, &list);
  if (result != 0) {
    snprintf(j->error, sizeof j->error, "%s", result == EAI_SYSTEM ? "system error" : gai_strerror(result));
    return;
  }
  for (const struct addrinfo *ai = list; ai && j->count < NET_MAX_ADDRS; ai = ai->ai_next) {
    fzr_addr addr;
    if (fzr_addr_from_sockaddr(ai->ai_addr, ai->ai_addrlen, &addr))
      continue;
    addr.port = j->port;
    if (!have_address(j, &addr))
      j->addrs[j->count++] = addr;
  }
  if (list)
    freeaddrinfo(list);
  if (j->count == 0)
    snprintf(j->error, sizeof j->error, "the name has no address");
  net_interleave(j->addrs, j->count);
}

static void *job_thread(void *arg)
{
  job *j = arg;
  const uint64_t one = 1;
  job_run(j);
  (void)!write(j->wake, &one, sizeof one);
  job_release(j);
  return NULL;
}

void net_interleave(fzr_addr *addrs, size_t count)
{
  for (size_t i = 1; i < count; i++) {
    size_t other = i;
    while (other < count && addrs[other].family == addrs[i - 1].family)
      other++;
    if (other == count || other == i)
      continue;
    const fzr_addr moved = addrs[other];
    memmove(&addrs[i + 1], &addrs[i], (other - i) * sizeof addrs[0]);
    addrs[i] = moved;
  }
}

net_resolver *net_resolver_new(struct event_base *base, const char *host, uint16_t port, net_lookup lookup)
{
  net_resolver *resolver = calloc(1, sizeof *resolver);
  if (!resolver)
    return NULL;
  resolver->base = base;
  resolver->lookup = lookup ? lookup : getaddrinfo;
  resolver->port = port;
  snprintf(resolver->host, sizeof resolver->host, "%s", host);
  return resolver;
}

static void leave_job(net_resolver *resolver)
{
  if (resolver->woken)
    event_free(resolver->woken);
  resolver->woken = NULL;
  if (resolver->job)
    job_release(resolver->job);
  resolver->job = NULL;
}

void net_resolver_free(net_resolver *resolver)
{
  if (!resolver)
    return;
  leave_job(resolver);
  free(resolver);
}

static void on_woken(evutil_socket_t fd, short what, void *ctx)
{
  net_resolver *resolver = ctx;
  fzr_addr addrs[NET_MAX_ADDRS];
  char error[128];
  uint64_t count;
  (void)what;
  (void)!read(fd, &count, sizeof count); /* the thread's writes happened before this */
  const size_t n = resolver->job->count;
  memcpy(addrs, resolver->job->addrs, sizeof addrs);
  memcpy(error, resolver->job->error, sizeof error);
  leave_job(resolver);
  const net_resolved done = resolver->done;
  resolver->done = NULL;
  if (done)
    done(resolver->ctx, addrs, n, n > 0 ? NULL : error);
}

/* Signals are the main thread's. */
static int start_thread(job *j)
{
  pthread_attr_t attr;
  pthread_t thread;
  sigset_t all, before;
  int result = pthread_attr_init(&attr);
  if (result != 0)
    return result;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  result = pthread_create(&thread, &attr, job_thread, j);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return result;
}

static job *job_new(const net_resolver *resolver)
{
  job *j = calloc(1, sizeof *j);
  if (!j)
    return NULL;
  atomic_init(&j->holders, 2);
  j->lookup = resolver->lookup;
  j->port = resolver->port;
  memcpy(j->host, resolver->host, sizeof j->host);
  j->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (j->wake < 0) {
    free(j);
    return NULL;
  }
  return j;
}

int net_resolver_start(net_resolver *resolver, net_resolved done, void *ctx)
{
  resolver->done = done;
  resolver->ctx = ctx;
  if (resolver->job)
    return 0;
  job *j = job_new(resolver);
  if (!j)
    return -1;
  resolver->woken = event_new(resolver->base, j->wake, EV_READ, on_woken, resolver);
  const int result =
      resolver->woken == NULL || event_add(resolver->woken, NULL) != 0 ? ENOMEM : start_thread(j);
  resolver->job = j;
  if (result != 0) {
    atomic_store(&j->holders, 1); /* there is no thread */
    leave_job(resolver);
    errno = result;
    return -1;
  }
  return 0;
}

void net_resolver_cancel(net_resolver *resolver)
{
  resolver->done = NULL;
}
