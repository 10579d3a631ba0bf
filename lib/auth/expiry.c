/* SPDX-License-Identifier: Apache-2.0 */
#include "expiry.h"

bool fzri_expiry_username(const uint8_t *username, size_t len, uint64_t *expiry, size_t *rest)
{
  uint64_t value = 0;
  size_t i = 0;
  for (; i < len && username[i] != ':'; i++) {
    const unsigned digit = (unsigned)username[i] - '0';
    if (digit > 9 || __builtin_mul_overflow(value, 10u, &value) ||
        __builtin_add_overflow(value, digit, &value))
      return false;
  }
  if (i == 0)
    return false;
  *expiry = value;
  *rest = i < len ? i + 1 : 0;
  return true;
}
