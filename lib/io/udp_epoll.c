/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_epoll.h"

#include "udp_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* Clocks drift, and are set. */
#define WALLCLOCK_EVERY (60 * FZR_SECOND)

static int watch(void *ctx, int fd, unsigned events, void *token, void **slot)
{
  const fzr_udp *udp = ctx;
  struct epoll_event e = {.data.ptr = token};
  e.events = (events & FZR_WATCH_READ ? EPOLLIN : 0u) | (events & FZR_WATCH_WRITE ? EPOLLOUT : 0u);
  if (epoll_ctl(udp->epoll.fd, *slot ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e))
    return FZR_ERR_IO_NO_SOCKET;
  *slot = token;
  return 0;
}

static void unwatch(void *ctx, int fd, void *slot)
{
  const fzr_udp *udp = ctx;
  (void)slot;
  epoll_ctl(udp->epoll.fd, EPOLL_CTL_DEL, fd, NULL);
}

int fzri_epoll_open(fzr_udp *udp)
{
  udp->epoll.fd = epoll_create1(EPOLL_CLOEXEC);
  if (udp->epoll.fd < 0)
    return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? FZR_ERR_IO_NO_SOCKET : FZR_ERR_IO;
  udp->config.watch = watch;
  udp->config.unwatch = unwatch;
  udp->config.watch_ctx = udp;
  return 0;
}

void fzri_epoll_tell_wallclock(fzr_udp *udp, fzr_time now)
{
  if (now < udp->epoll.wallclock_at)
    return;
  fzr_engine_set_wallclock(udp->engine, (int64_t)time(NULL), now);
  udp->epoll.wallclock_at = now + WALLCLOCK_EVERY;
}

void fzri_epoll_close(fzr_udp *udp)
{
  if (udp->epoll.fd >= 0)
    close(udp->epoll.fd);
  udp->epoll.fd = -1;
}
