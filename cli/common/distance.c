/* SPDX-License-Identifier: Apache-2.0 */
#include "common/distance.h"

#include <string.h>

size_t distance(const char *a, size_t len, const char *b)
{
  size_t row[DISTANCE_MAX + 1]; /* from what was read of |a| to each beginning of |b| */
  const size_t b_len = strlen(b);
  if (len > DISTANCE_MAX || b_len > DISTANCE_MAX)
    return DISTANCE_MAX;
  for (size_t k = 0; k <= b_len; k++)
    row[k] = k;
  for (size_t i = 0; i < len; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t k = 0; k < b_len; k++) {
      const size_t changed = diagonal + (a[i] != b[k]);
      const size_t shorter = (row[k] < row[k + 1] ? row[k] : row[k + 1]) + 1;
      diagonal = row[k + 1];
      row[k + 1] = changed < shorter ? changed : shorter;
    }
  }
  return row[b_len];
}
