/* SPDX-License-Identifier: Apache-2.0 */
/* Names of hosts, as those who are spoken to write them. */
#ifndef NET_HOST_H
#define NET_HOST_H

#include <stddef.h>

/* How long |host|, of |len| bytes, is without the dot that ends a complete name: certificates, SNI and HTTP have none. */
static inline size_t net_undotted(const char *host, size_t len)
{
  return len > 0 && host[len - 1] == '.' ? len - 1 : len;
}

#endif
