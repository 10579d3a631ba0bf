/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into a ClientHello on its way to mbedTLS: which protocols it offers by ALPN (RFC 7301). mbedTLS refuses a client that offers none of the server's,
 * and has no other way to be asked. Nothing is kept of what comes: it is counted through. */
#ifndef NET_TLS_HELLO_H
#define NET_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All 0: nothing has come. */
typedef struct net_tls_hello {
  uint8_t field;   /* what the next bytes are */
  uint8_t got;     /* of the number that they are of */
  bool done;       /* it is over, or is none */
  bool offers;     /* there are protocols */
  bool known;      /* one of them is one of those that were asked for */
  uint8_t head;    /* bytes of a record's header that have come */
  uint16_t record; /* bytes of it that are to come */
  uint16_t type;   /* of an extension */
  uint16_t skip;   /* bytes that say nothing */
  uint16_t list;   /* what is to come of the list of protocols */
  uint32_t number;
  uint32_t left; /* what is to come of the message */
  uint8_t name_len;
  uint8_t name_got;
  uint8_t name[32]; /* a protocol's, as far as it fits */
} net_tls_hello;

/* Takes the |len| bytes of the stream at |data|, which follow those of the call before. |protocols|, which end with NULL, are those that are asked for;
 * none has more than 32 characters. */
void net_tls_hello_read(net_tls_hello *h, const uint8_t *data, size_t len, const char *const *protocols);

/* Whether it has come whole, and offers protocols of which none was asked for. */
static inline bool net_tls_hello_is_foreign(const net_tls_hello *h)
{
  return h->done && h->offers && !h->known;
}

#endif
