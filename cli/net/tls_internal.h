/* SPDX-License-Identifier: Apache-2.0 */
/* What the client's side (tls.c) and the server's (tls_server.c) share. */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include "net/tls.h"
#include "net/tls_hello.h"

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

/* mbedTLS 2.28 and 3.6 differ in names, and 3.6 may have TLS 1.3. */
#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member)              member
#define MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION
#endif

struct net_tls {
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  net_tls_io io;
  net_tls_memory *memory;            /* the owner's; NULL of a server's side */
  struct net_tls_identity *identity; /* held; NULL of a client's side */
  bool only_12;                      /* what this connection offers */
  const char *protocols[2];          /* offered by ALPN; mbedTLS keeps a reference */
  uint8_t ip[16];                    /* of the host, if it is a literal */
  size_t ip_len;
  bool established;
  size_t unsent;                   /* the length of a write that has to be repeated */
  net_tls_hello hello;             /* of the client of a server's side */
  struct net_tls_keys *keys;       /* of a server's side, within the handshake; NULL: none yet */
  struct net_tls_records *records; /* of a server's side, after it, in place of |ssl|; NULL: none */
  char error[NET_TLS_ERROR_MAX];
};

/* Forward secrecy and authenticated encryption only. */
extern const int net_tls_ciphersuites[];

/* For mbedTLS: the system's generator, and the io of the net_tls |ctx|. */
int net_tls_on_random(void *ctx, unsigned char *out, size_t len);
int net_tls_on_send(void *ctx, const unsigned char *data, size_t len);
int net_tls_on_recv(void *ctx, unsigned char *out, size_t cap);

/* Begins with PSA, which TLS 1.3 is made of. Returns 0 or an error of mbedTLS. */
int net_tls_begin_psa(void);

/* Looks at what comes of a server's side's client before mbedTLS does. */
void net_tls_look_at_hello(net_tls *tls, const uint8_t *data, size_t len);
/* One step of a server's side's handshake: as mbedtls_ssl_handshake. */
int net_tls_handshake_of_server(net_tls *tls);

/* Lets go of what |tls|, a server's side, holds. */
void net_tls_leave_identity(net_tls *tls);

/* Says in tls->error why the handshake of a server's side failed. */
void net_tls_explain_to_server(net_tls *tls, int code);

#endif
