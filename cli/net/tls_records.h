/* SPDX-License-Identifier: Apache-2.0 */
/* The records of TLS 1.2 (RFC 5246 section 6.2) and 1.3 (RFC 8446 section 5) after the handshake, which is mbedTLS's. With what mbedTLS would keep for them a
 * connection takes 40 KiB and a packet several times what net/gcm.h needs. Here it is the keys, and a record that has come in part, for as long as the rest
 * is not there. Of what else there is in TLS 1.3 after a handshake a client may change its keys, and have ours changed (RFC 8446 section 4.6.3). */
#ifndef NET_TLS_RECORDS_H
#define NET_TLS_RECORDS_H

#include "net/aead.h"
#include "net/tls.h"
#include "net/tls_flow.h"

/* The keys of any of the ciphers. TLS 1.2: the key block (RFC 5246 section 6.3), two keys, then two times what their nonces begin with. TLS 1.3: the
 * client's application traffic secret (RFC 8446 section 7.1), then the server's. */
#define NET_TLS_KEYS_MAX (2 * NET_TLS_SECRET_MAX)

typedef struct net_tls_records net_tls_records;

/* Bytes of them. */
size_t net_tls_records_keys_len(net_tls_version version, net_aead_kind kind);

/* What a handshake leaves to go on with. */
typedef struct net_tls_agreed {
  net_tls_version version;
  net_aead_kind kind;
  /* They are copied. */
  const uint8_t *keys;
  /* Whose side this is; false: the client's. */
  bool server;
  /* Bytes of data in a record that goes out: NET_TLS_RECORD, or what the client asked for (RFC 6066 section 4). */
  size_t most;
  /* The numbers of the next record of each direction. The handshake's last ones had these keys, too: a number that comes again is a nonce that does. */
  uint64_t in, out;
} net_tls_agreed;

/* One side's. NULL without memory. */
net_tls_records *net_tls_records_new(const net_tls_agreed *agreed);
/* Wipes keys and data. NULL is fine. */
void net_tls_records_free(net_tls_records *r);

/* As net_tls_read, net_tls_write and net_tls_close, over |io|. */
ssize_t net_tls_records_read(net_tls_records *r, const net_tls_io *io, uint8_t *out, size_t cap);
bool net_tls_records_pending(const net_tls_records *r);
ssize_t net_tls_records_write(net_tls_records *r, const net_tls_io *io, const uint8_t *data, size_t len);
void net_tls_records_close(net_tls_records *r, const net_tls_io *io);

/* What another process needs to go on with them: keys and numbers, a record of which part has come, and one of which part has gone out. It is as
 * secret as what it protects. Whoever goes on with that must be the only one: a number that is used twice gives the key away. */
bool net_tls_records_can_be_saved(const net_tls_records *r); /* nothing has failed */
size_t net_tls_records_saved_len(const net_tls_records *r);
/* Hands it to |put| in pieces. */
void net_tls_records_save(const net_tls_records *r, net_tls_put *put, void *ctx);
/* Goes on with what was saved. Nothing of it is believed. Returns NULL if it can't be read, or memory is out. */
net_tls_records *net_tls_records_load(const uint8_t *data, size_t len);
/* Bytes of data that net_tls_records_write has begun with, and is to be given again. */
size_t net_tls_records_begun(const net_tls_records *r);

/* What failed. */
const char *net_tls_records_error(const net_tls_records *r);

#endif
