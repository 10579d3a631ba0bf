/* SPDX-License-Identifier: Apache-2.0 */
/* The program on a host whose clock is two hours ahead. Linked with --wrap. */
#include <time.h>

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);

time_t __wrap_time(time_t *out)
{
  const time_t now = __real_time(NULL) + 7200;
  if (out)
    *out = now;
  return now;
}
