/* SPDX-License-Identifier: Apache-2.0 */
/* A loop of the adapter's own, for hosts that have none: on top of all else. */
#include "udp_internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>

/* Descriptors of one turn; those beyond are found by the next. */
#define READY 64

/* What a host gets that subtracts now from a moment that has passed: no one waits for centuries. */
static bool is_wrapped(fzr_time timeout)
{
  return timeout > INT64_MAX && timeout != FZR_TIME_NEVER;
}

/* For epoll_wait: until |udp| has something to do by itself, but |timeout| at most; not too early. */
static int wait_ms(const fzr_udp *udp, fzr_time now, fzr_time timeout)
{
  const fzr_time deadline = fzr_udp_deadline(udp);
  if (deadline <= now || is_wrapped(timeout))
    return 0;
  fzr_time wait = deadline == FZR_TIME_NEVER ? FZR_TIME_NEVER : deadline - now;
  if (timeout < wait)
    wait = timeout;
  if (wait == FZR_TIME_NEVER)
    return -1;
  const fzr_time ms = wait / FZR_MILLISECOND + (wait % FZR_MILLISECOND != 0);
  return ms > INT_MAX ? INT_MAX : (int)ms;
}

int fzr_udp_poll_fd(const fzr_udp *udp)
{
  return udp ? udp->epoll.fd : -1;
}

int fzr_udp_poll(fzr_udp *udp, fzr_time timeout)
{
  struct epoll_event found[READY];
  fzr_udp_ready ready[READY];
  if (!udp)
    return FZR_ERR_INVALID_ARGUMENT;
  if (udp->epoll.fd < 0 || !udp->driver || udp->halted)
    return FZR_ERR_INVALID_STATE;
  int n = epoll_wait(udp->epoll.fd, found, READY, wait_ms(udp, fzr_udp_now(), timeout));
  if (n < 0 && errno != EINTR)
    return FZR_ERR_IO;
  const fzr_time now = fzr_udp_now();
  fzri_epoll_tell_wallclock(udp, now);
  for (int i = 0; i < n; i++) {
    /* What is neither is an error or a hang-up: it is found by reading. */
    const unsigned events = (found[i].events & ~(uint32_t)EPOLLOUT ? FZR_WATCH_READ : 0) |
                            (found[i].events & EPOLLOUT ? FZR_WATCH_WRITE : 0);
    ready[i] = (fzr_udp_ready){found[i].data.ptr, events, 0};
  }
  if (n > 0)
    fzr_udp_on_ready_batch(udp, ready, (size_t)n, now);
  if (fzr_udp_deadline(udp) <= now)
    fzr_udp_on_deadline(udp, now);
  return 0;
}
