/* SPDX-License-Identifier: Apache-2.0 */
/* Names of hosts and ports, as people and those who are spoken to write them. */
#ifndef NET_HOST_H
#define NET_HOST_H

#include "common/decimal.h"

#include <stddef.h>

/* How long |host|, of |len| bytes, is without the dot that ends a complete name: certificates, SNI and HTTP have none. */
static inline size_t net_undotted(const char *host, size_t len)
{
  return len > 0 && host[len - 1] == '.' ? len - 1 : len;
}

/* Reads the port that the |len| bytes at |text| are, 1 to 65535. Returns whether they are one; |port| is set only then. */
static inline bool net_read_port(const char *text, size_t len, uint16_t *port)
{
  uint64_t value;
  if (!decimal_read(text, len, UINT16_MAX, &value) || value == 0)
    return false;
  *port = (uint16_t)value;
  return true;
}

#endif
