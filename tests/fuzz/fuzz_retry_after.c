/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a Retry-After header, at a time made of its first bytes. */
#include "fuzz.h"

#include "portal/retry_after.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input in = {data, size};
  const int64_t now = (int64_t)fuzz_u16(&in) << 16 | fuzz_u16(&in);
  uint32_t seconds = UINT32_MAX;
  int64_t when;
  if (portal_retry_after((const char *)in.data, in.size, now, &seconds))
    FUZZ_CHECK(seconds <= PORTAL_RETRY_AFTER_MAX);
  if (portal_http_date((const char *)in.data, in.size, &when)) {
    FUZZ_CHECK(when >= 0 && when <= INT64_C(253402300800));
    FUZZ_CHECK(portal_retry_after((const char *)in.data, in.size, when - 7, &seconds) && seconds == 7);
  }
  return 0;
}
