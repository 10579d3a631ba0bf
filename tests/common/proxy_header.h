/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers of version 2 for tests, built independently of who reads them. */
#ifndef FZT_PROXY_HEADER_H
#define FZT_PROXY_HEADER_H

#include "firezone_relay/types.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct fzt_proxy_header {
  uint8_t data[8192];
  size_t len;
} fzt_proxy_header;

/* More bytes, which its length counts. */
static inline void fzt_proxy_add(fzt_proxy_header *h, const void *data, size_t len)
{
  if (len)
    memcpy(h->data + h->len, data, len);
  h->len += len;
  h->data[14] = (uint8_t)((h->len - 16) >> 8);
  h->data[15] = (uint8_t)(h->len - 16);
}

/* The sixteen bytes that it begins with. */
static inline void fzt_proxy_begin(fzt_proxy_header *h, uint8_t command, uint8_t family)
{
  memcpy(h->data, "\r\n\r\n\0\r\nQUIT\n", 12);
  h->data[12] = (uint8_t)(0x20 | command);
  h->data[13] = family;
  h->len = 16;
  fzt_proxy_add(h, NULL, 0);
}

static inline void fzt_proxy_add_port(fzt_proxy_header *h, uint16_t port)
{
  const uint8_t bytes[2] = {(uint8_t)(port >> 8), (uint8_t)port};
  fzt_proxy_add(h, bytes, sizeof bytes);
}

/* A connection over TCP from |client| to |server|, of one family. */
static inline void fzt_proxy_tcp(fzt_proxy_header *h, const fzr_addr *client, const fzr_addr *server)
{
  const bool ip4 = client->family == FZR_FAMILY_IPV4;
  fzt_proxy_begin(h, 1, ip4 ? 0x11 : 0x21);
  fzt_proxy_add(h, client->ip, ip4 ? 4 : 16);
  fzt_proxy_add(h, server->ip, ip4 ? 4 : 16);
  fzt_proxy_add_port(h, client->port);
  fzt_proxy_add_port(h, server->port);
}

static inline void fzt_proxy_tlv(fzt_proxy_header *h, uint8_t type, const void *value, uint16_t len)
{
  const uint8_t start[3] = {type, (uint8_t)(len >> 8), (uint8_t)len};
  fzt_proxy_add(h, start, sizeof start);
  fzt_proxy_add(h, value, len);
}

#endif
