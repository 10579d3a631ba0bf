/* SPDX-License-Identifier: Apache-2.0 */
#include "prng.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t fzt_below(fzt_prng *prng, uint64_t below)
{
  return below ? fzt_next(prng) % below : 0;
}

void fzt_fill(fzt_prng *prng, uint8_t *out, size_t len)
{
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)fzt_next(prng);
}

uint64_t fzt_seed(const char *test)
{
  const char *given = getenv("FZT_SEED");
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const uint64_t seed = given && *given
                            ? strtoull(given, NULL, 0)
                            : ((uint64_t)now.tv_sec << 20 ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 40);
  printf("%s: FZT_SEED=%llu\n", test, (unsigned long long)seed);
  fflush(stdout);
  return seed;
}

uint64_t fzt_rounds(uint64_t normal)
{
  const char *factor = getenv("FZT_ROUNDS");
  return factor && *factor ? normal * strtoull(factor, NULL, 0) : normal;
}
