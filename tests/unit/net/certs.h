/* SPDX-License-Identifier: Apache-2.0 */
/* Makes certificates for tests. */
#ifndef FZT_CERTS_H
#define FZT_CERTS_H

#include <stddef.h>

#include <mbedtls/pk.h>

#define FZT_PEM_MAX 4096

/* A certificate and its key, both in PEM. */
typedef struct fzt_cert {
  char cert[FZT_PEM_MAX];
  char key[FZT_PEM_MAX];
} fzt_cert;

/* What to put into a certificate. */
typedef struct fzt_cert_spec {
  const char *common_name;
  const char *dns;                    /* a dNSName, or NULL */
  const char *ip;                     /* an iPAddress in text, or NULL */
  const char *not_before, *not_after; /* "20200101000000"; NULL: a span around now */
  int is_ca;
  int rsa; /* an RSA key of 2048 bits */
} fzt_cert_spec;

/* Makes an ECDSA P-256 or RSA certificate as |spec| says, signed by |issuer| (whose subject is CN=|issuer_name|), or by itself if that is
 * NULL. Aborts if it can't. */
void fzt_cert_make(const fzt_cert_spec *spec, const fzt_cert *issuer, const char *issuer_name, fzt_cert *out);

/* Reads the key of |cert| into |key|. Aborts if it can't. */
void fzt_cert_read_key(const fzt_cert *cert, mbedtls_pk_context *key);

#endif
