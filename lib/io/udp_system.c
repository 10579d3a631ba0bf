/* SPDX-License-Identifier: Apache-2.0 */
/* The clock and the random bytes of the system, for the adapter's own loop and for hosts. */
#include "firezone_relay/udp.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

fzr_time fzr_udp_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (fzr_time)t.tv_sec * FZR_SECOND + (fzr_time)t.tv_nsec;
}

int fzr_udp_random(void *ctx, uint8_t *out, size_t len)
{
  (void)ctx;
  while (len) {
    const ssize_t n = getrandom(out, len, 0);
    if (n < 0 && errno != EINTR)
      return -1;
    out += n > 0 ? n : 0;
    len -= n > 0 ? (size_t)n : 0;
  }
  return 0;
}
