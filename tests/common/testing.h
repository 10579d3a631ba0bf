/* SPDX-License-Identifier: Apache-2.0 */
/* What all Check tests share. */
#ifndef FZT_TESTING_H
#define FZT_TESTING_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "firezone_relay/firezone_relay.h"

/* ck_assert for inner loops: Check notes each of its own in a file, which makes millions of them slow. */
#define fzt_check(condition)                                                                                 \
  do {                                                                                                       \
    if (!(condition))                                                                                        \
      ck_abort_msg("does not hold: %s", #condition);                                                         \
  } while (0)

/* Runs |suite| with the environment's settings and returns main's exit status. */
int fzt_run(Suite *suite);

/* An address from its text; fails the test if it is none. */
fzr_addr fzt_addr(const char *text);

/* At most 64 bytes as text in hex; good until the next call but one. */
const char *fzt_hex(const uint8_t *data, size_t len);

/* A fzr_random_fn for tests: repeatable bytes; ctx is an fzt_prng, see prng.h. */
int fzt_random(void *ctx, uint8_t *out, size_t len);

/* An fzr_mem that counts what is out, and can be told to fail: every allocation from number |fail_from| on (counted from
 * 1; 0 = none). */
typedef struct fzt_mem {
  fzr_mem hooks;
  uint64_t count;     /* allocations asked for */
  uint64_t fail_from; /* 0: never */
  uint64_t fail_only; /* just this one fails; 0: none */
  uint64_t live;      /* bytes out */
  uint64_t live_blocks;
} fzt_mem;
void fzt_mem_init(fzt_mem *mem);

#endif
