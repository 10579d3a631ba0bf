/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "prng.h"

#include <stdio.h>

int fzt_run(Suite *suite)
{
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

fzr_addr fzt_addr(const char *text)
{
  fzr_addr addr = {0};
  ck_assert_msg(fzr_addr_parse(text, &addr) == 0, "no address: %s", text);
  return addr;
}

const char *fzt_hex(const uint8_t *data, size_t len)
{
  static char out[2][129];
  static unsigned turn;
  char *text = out[turn++ & 1];
  ck_assert_uint_le(len, 64);
  text[0] = '\0';
  for (size_t i = 0; i < len; i++)
    sprintf(text + 2 * i, "%02x", data[i]);
  return text;
}

int fzt_random(void *ctx, uint8_t *out, size_t len)
{
  fzt_fill(ctx, out, len);
  return 0;
}

static void *counted_alloc(void *ctx, size_t size)
{
  fzt_mem *mem = ctx;
  mem->count++;
  if ((mem->fail_from && mem->count >= mem->fail_from) || mem->count == mem->fail_only)
    return NULL;
  void *ptr = malloc(size);
  if (ptr) {
    mem->live += size;
    mem->live_blocks++;
  }
  return ptr;
}

static void counted_free(void *ctx, void *ptr, size_t size)
{
  fzt_mem *mem = ctx;
  mem->live -= size;
  mem->live_blocks--;
  free(ptr);
}

void fzt_mem_init(fzt_mem *mem)
{
  *mem = (fzt_mem){.hooks = {sizeof(fzr_mem), mem, counted_alloc, counted_free}};
}
