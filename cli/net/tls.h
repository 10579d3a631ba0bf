/* SPDX-License-Identifier: Apache-2.0 */
/* TLS through mbedTLS, over two functions that move bytes without blocking. TLS 1.2 at the least. This is the client's side, which always verifies
 * certificate and host name, and what both sides do; the server's side begins in tls_server.h. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NET_TLS_ERROR_MAX 256
/* The most bytes of data that a record holds (RFC 8446 section 5.1). */
#define NET_TLS_RECORD 16384u

/* The certificates of authorities that are trusted. */
typedef struct net_trust net_trust;

/* Loads the system's CA bundle; or, if either is set in the environment (as |env| has it: getenv or a test's), what SSL_CERT_FILE
 * names and what is in the directories of SSL_CERT_DIR, separated by colons. Files that hold no certificate are passed over.
 * Returns NULL with one line in |error| if that gives no certificate at all. */
net_trust *net_trust_load(char *(*env)(const char *name), char error[NET_TLS_ERROR_MAX]);
/* The certificates in the file at |path|, and none else. NULL with one line in |error| if there is none. */
net_trust *net_trust_load_file(const char *path, char error[NET_TLS_ERROR_MAX]);
void net_trust_free(net_trust *trust);

/* Results below 0 of the functions below, and of a net_tls_io's. */
enum { NET_TLS_WANT_READ = -1, NET_TLS_WANT_WRITE = -2, NET_TLS_FAILED = -3 };

/* Where ciphertext goes and comes from. Both return a number of bytes, NET_TLS_WANT_WRITE or NET_TLS_WANT_READ if none can
 * be moved now, or NET_TLS_FAILED; recv returns 0 at the end. */
typedef struct net_tls_io {
  void *ctx;
  ssize_t (*send)(void *ctx, const uint8_t *data, size_t len);
  ssize_t (*recv)(void *ctx, uint8_t *out, size_t cap);
} net_tls_io;

typedef struct net_tls net_tls;

/* What one handshake with a server says of the next: each server has its own. Zeroes: nothing yet. */
typedef struct net_tls_memory {
  bool
      only_12; /* TLS 1.2 alone is offered next: a hello for TLS 1.3, too, has the server choose what can't be read */
} net_tls_memory;

/* Makes a connection to |host|, which is sent as SNI and has to be named by the certificate (an address literal: as an IP address
 * there; no SNI). |trust| must live until the handshake is done, |memory| as long as the connection; |io| is copied. What |memory| says
 * is for this one attempt: it stays only if the handshake succeeds. Returns NULL if memory is out. */
net_tls *net_tls_new(const char *host, bool host_is_ip, const net_trust *trust, net_tls_memory *memory,
                     const net_tls_io *io);
void net_tls_free(net_tls *tls);

/* Has it take any certificate, for whoever looks for what is wrong with one. Before the handshake, of a client's side. */
void net_tls_accept_any(net_tls *tls);

/* Offers |protocol| (static text) to the server by ALPN (RFC 7301). Before the handshake. Returns 0, or -1 if that can't be. */
int net_tls_offer(net_tls *tls, const char *protocol);

/* Goes on with the handshake. Returns 0 when it is done, or WANT_READ, WANT_WRITE: call again when that is possible; or FAILED. */
int net_tls_handshake(net_tls *tls);

/* Reads into the |cap| bytes at |out|. Returns how many; 0: the peer has ended it; or WANT_READ, WANT_WRITE, FAILED. */
ssize_t net_tls_read(net_tls *tls, uint8_t *out, size_t cap);

/* Whether net_tls_read has something without any more ciphertext. */
bool net_tls_pending(const net_tls *tls);

/* Writes |len| bytes, more than 0. Returns how many; or WANT_READ, WANT_WRITE: call again with the same bytes; or FAILED. */
ssize_t net_tls_write(net_tls *tls, const uint8_t *data, size_t len);

/* Tells the peer that this is the end, if that can be done at once. */
void net_tls_close(net_tls *tls);

/* Takes the next |len| bytes of what is saved. */
typedef void net_tls_put(void *ctx, const void *data, size_t len);

/* A server's side whose handshake is done and whose records are our own can go on in another process: as bytes, keys included. mbedTLS can't write
 * down what is its own: those connections can't. Whoever goes on must be the only one, with the same socket. */
bool net_tls_can_be_saved(const net_tls *tls);
size_t net_tls_saved_len(const net_tls *tls);
/* Hands them to |put|, in pieces. Nothing changes. */
void net_tls_save(const net_tls *tls, net_tls_put *put, void *ctx);
/* Goes on from |len| bytes at |data|, of which nothing is believed; |io| is copied. net_tls_write has to be called first, with the bytes that there were, if
 * *|begun| is not 0: so many of them are in a record already. Returns NULL if they can't be read, or memory is out. */
net_tls *net_tls_load(const net_tls_io *io, const uint8_t *data, size_t len, size_t *begun);

/* What failed: one line, "the certificate has expired" and the like. */
const char *net_tls_error(const net_tls *tls);

#endif
