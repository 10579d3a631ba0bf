/* SPDX-License-Identifier: Apache-2.0 */
#include "reserved.h"

#include <stdlib.h>

/* The last of those ports that |list| names from |port| on without a gap; -1: it does not name |port|. */
static long named_to(const char *list, long port)
{
  long last = -1;
  while (*list) {
    char *end;
    const long from = strtol(list, &end, 10);
    if (end == list)
      break;
    const long to = *end == '-' ? strtol(end + 1, &end, 10) : from;
    if (from <= port && port <= to && to > last)
      last = to;
    list = *end == ',' ? end + 1 : "";
  }
  return last;
}

bool reserved_all(const char *range, const char *list, uint16_t lowest, uint16_t highest)
{
  char *end;
  const long from = strtol(range, &end, 10), to = strtol(end, NULL, 10);
  for (long port = lowest; port <= highest; port++) {
    if (port < from || port > to)
      continue;
    const long last = named_to(list, port);
    if (last < 0)
      return false;
    port = last;
  }
  return true;
}
