/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a portal's HTTP answer: read in one piece and byte by byte, which has to come to the same. */
#include "fuzz.h"

#include "portal/upgrade.h"

static enum portal_upgrade_result read_answer(portal_upgrade *reader, const uint8_t *data, size_t size,
                                              size_t step, size_t *used)
{
  enum portal_upgrade_result result = PORTAL_UPGRADE_MORE;
  *used = 0;
  portal_upgrade_init(reader, "dGhlIHNhbXBsZSBub25jZQ==");
  while (*used < size && result == PORTAL_UPGRADE_MORE) {
    size_t n;
    result = portal_upgrade_feed(reader, data + *used, step < size - *used ? step : size - *used, &n);
    FUZZ_CHECK(n > 0);
    *used += n;
  }
  return result == PORTAL_UPGRADE_MORE ? portal_upgrade_end(reader) : result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static portal_upgrade whole, pieces;
  size_t used, used_pieces;
  const enum portal_upgrade_result result = read_answer(&whole, data, size, size, &used);
  FUZZ_CHECK(read_answer(&pieces, data, size, 1, &used_pieces) == result);
  FUZZ_CHECK(used == used_pieces || result == PORTAL_UPGRADE_REFUSED);
  FUZZ_CHECK(whole.status == pieces.status);
  FUZZ_CHECK(result != PORTAL_UPGRADE_SWITCHED || whole.status == 101);
  FUZZ_CHECK(result != PORTAL_UPGRADE_BAD || whole.problem != NULL);
  const char *const texts[] = {whole.reason, whole.location, whole.retry_after, whole.excerpt};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    for (const char *c = texts[i]; *c != '\0'; c++)
      FUZZ_CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
  }
  portal_redact(whole.excerpt, "secret");
  FUZZ_CHECK(strstr(whole.excerpt, "secret") == NULL);
  return 0;
}
