/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_hello.h"

#include <string.h>

#define RECORD_HANDSHAKE 22u
#define CLIENT_HELLO     1u
#define EXTENSION_ALPN   16u
#define VERSION_RANDOM   34u

/* The numbers in it, in their order (RFC 8446 section 4.1.2); what a length is of follows it. */
enum field {
  FIELD_TYPE,
  FIELD_LENGTH,
  FIELD_SESSION,
  FIELD_CIPHERS,
  FIELD_COMPRESSIONS,
  FIELD_EXTENSIONS,
  FIELD_EXTENSION_TYPE,
  FIELD_EXTENSION,
  FIELD_LIST,
  FIELD_NAME,
  FIELDS
};

static const uint8_t sizes[FIELDS] = {
    [FIELD_TYPE] = 1,         [FIELD_LENGTH] = 3,     [FIELD_SESSION] = 1,        [FIELD_CIPHERS] = 2,
    [FIELD_COMPRESSIONS] = 1, [FIELD_EXTENSIONS] = 2, [FIELD_EXTENSION_TYPE] = 2, [FIELD_EXTENSION] = 2,
    [FIELD_LIST] = 2,         [FIELD_NAME] = 1,
};

/* A protocol's name has come. */
static void compare(net_tls_hello *h, const char *const *protocols)
{
  for (; *protocols; protocols++)
    h->known |= strlen(*protocols) == h->name_len && h->name_len <= sizeof h->name &&
                memcmp(*protocols, h->name, h->name_len) == 0;
}

static void take_name(net_tls_hello *h, uint8_t byte, const char *const *protocols)
{
  if (h->name_got < sizeof h->name)
    h->name[h->name_got] = byte;
  if (++h->name_got == h->name_len)
    compare(h, protocols);
}

/* A number is whole. */
static void take_number(net_tls_hello *h)
{
  const uint16_t n = (uint16_t)h->number;
  switch (h->field++) {
  case FIELD_TYPE:
    h->done = n != CLIENT_HELLO;
    break;
  case FIELD_LENGTH:
    h->left = h->number;
    h->skip = VERSION_RANDOM;
    break;
  case FIELD_EXTENSION_TYPE:
    h->type = n;
    break;
  case FIELD_EXTENSION:
    if (h->type != EXTENSION_ALPN) {
      h->field = FIELD_EXTENSION_TYPE;
      h->skip = n;
    }
    break;
  case FIELD_EXTENSIONS:
    break;
  case FIELD_LIST:
    h->list = n;
    h->offers = true;
    break;
  case FIELD_NAME:
    h->field = FIELD_NAME;
    h->name_len = (uint8_t)n;
    h->name_got = 0;
    break;
  default:
    h->skip = n;
  }
}

/* A byte of the message. */
static void take(net_tls_hello *h, uint8_t byte, const char *const *protocols)
{
  if (h->field > FIELD_LENGTH)
    h->left--;
  if (h->skip) {
    h->skip--;
  } else if (h->field == FIELD_NAME && h->name_got < h->name_len) {
    h->list--;
    take_name(h, byte, protocols);
  } else {
    if (h->field == FIELD_NAME)
      h->list--;
    h->number = h->number << 8 | byte;
    if (++h->got == sizes[h->field]) {
      take_number(h);
      h->number = 0;
      h->got = 0;
    }
  }
  /* After the protocols nothing more is to be known. */
  h->done |= h->field > FIELD_LENGTH && (!h->left || (h->field == FIELD_NAME && !h->list));
}

/* A byte of a record's header. */
static void take_head(net_tls_hello *h, uint8_t byte)
{
  if (h->head == 0)
    h->done = byte != RECORD_HANDSHAKE;
  const unsigned record = h->head > 2 ? (unsigned)h->record << 8 | byte : 0;
  h->record = (uint16_t)record;
  if (++h->head == 5 && !h->record)
    h->head = 0;
}

void net_tls_hello_read(net_tls_hello *h, const uint8_t *data, size_t len, const char *const *protocols)
{
  for (size_t i = 0; i < len && !h->done; i++) {
    if (h->head < 5) {
      take_head(h, data[i]);
      continue;
    }
    if (--h->record == 0)
      h->head = 0;
    take(h, data[i], protocols);
  }
}
