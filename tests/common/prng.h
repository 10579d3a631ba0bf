/* SPDX-License-Identifier: Apache-2.0 */
/* A small seeded generator (splitmix64) for tests whose randomness must be repeatable. */
#ifndef FZT_PRNG_H
#define FZT_PRNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct fzt_prng {
  uint64_t state;
} fzt_prng;

static inline uint64_t fzt_next(fzt_prng *prng)
{
  uint64_t z = (prng->state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
/* A number from 0 to |below| - 1. */
uint64_t fzt_below(fzt_prng *prng, uint64_t below);
void fzt_fill(fzt_prng *prng, uint8_t *out, size_t len);

/* The seed of a property test: FZT_SEED of the environment if set, else a fresh one. Prints it, so that a failure can be
 * repeated. */
uint64_t fzt_seed(const char *test);
/* How often a property test should repeat: |normal| times FZT_ROUNDS of the environment (default 1). */
uint64_t fzt_rounds(uint64_t normal);

#endif
