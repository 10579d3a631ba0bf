/* SPDX-License-Identifier: Apache-2.0 */
#include "certs.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

static void must(int ok)
{
  if (!ok)
    abort();
}

static int on_random(void *ctx, unsigned char *out, size_t len)
{
  (void)ctx;
  return getrandom(out, len, 0) == (ssize_t)len ? 0 : -1;
}

/* A subjectAltName's DER: a SEQUENCE of at most two short names. */
static size_t alt_names(const fzt_cert_spec *spec, uint8_t out[160])
{
  size_t len = 2;
  if (spec->dns != NULL) {
    const size_t n = strlen(spec->dns);
    out[len++] = 0x82;
    out[len++] = (uint8_t)n;
    memcpy(out + len, spec->dns, n);
    len += n;
  }
  if (spec->ip != NULL) {
    uint8_t ip[16];
    const size_t n = inet_pton(AF_INET, spec->ip, ip) == 1 ? 4 : 16;
    must(n == 4 || inet_pton(AF_INET6, spec->ip, ip) == 1);
    out[len++] = 0x87;
    out[len++] = (uint8_t)n;
    memcpy(out + len, ip, n);
    len += n;
  }
  must(len < 130);
  out[0] = 0x30;
  out[1] = (uint8_t)(len - 2);
  return len > 2 ? len : 0;
}

static void new_key(mbedtls_pk_context *key, int rsa)
{
  if (rsa) {
    must(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_RSA)) == 0);
    must(mbedtls_rsa_gen_key(mbedtls_pk_rsa(*key), on_random, NULL, 2048, 65537) == 0);
    return;
  }
  must(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0);
  must(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), on_random, NULL) == 0);
}

void fzt_cert_read_key(const fzt_cert *cert, mbedtls_pk_context *key)
{
  const unsigned char *pem = (const unsigned char *)cert->key;
#if MBEDTLS_VERSION_MAJOR < 3
  must(mbedtls_pk_parse_key(key, pem, strlen(cert->key) + 1, NULL, 0) == 0);
#else
  must(mbedtls_pk_parse_key(key, pem, strlen(cert->key) + 1, NULL, 0, on_random, NULL) == 0);
#endif
}

static void set_serial(mbedtls_x509write_cert *crt)
{
  uint8_t serial[8];
  must(on_random(NULL, serial, sizeof serial) == 0);
  serial[0] = (uint8_t)((serial[0] & 0x7f) | 1); /* positive, and as long as it is */
#if MBEDTLS_VERSION_MAJOR < 3
  mbedtls_mpi number;
  mbedtls_mpi_init(&number);
  must(mbedtls_mpi_read_binary(&number, serial, sizeof serial) == 0);
  must(mbedtls_x509write_crt_set_serial(crt, &number) == 0);
  mbedtls_mpi_free(&number);
#else
  must(mbedtls_x509write_crt_set_serial_raw(crt, serial, sizeof serial) == 0);
#endif
}

static void set_names(mbedtls_x509write_cert *crt, const char *subject, const char *issuer)
{
  char name[128];
  (void)snprintf(name, sizeof name, "CN=%s", subject);
  must(mbedtls_x509write_crt_set_subject_name(crt, name) == 0);
  (void)snprintf(name, sizeof name, "CN=%s", issuer);
  must(mbedtls_x509write_crt_set_issuer_name(crt, name) == 0);
}

void fzt_cert_make(const fzt_cert_spec *spec, const fzt_cert *issuer, const char *issuer_name, fzt_cert *out)
{
  mbedtls_x509write_cert crt;
  mbedtls_pk_context key, issuer_key;
  uint8_t san[160];
  mbedtls_x509write_crt_init(&crt);
  mbedtls_pk_init(&key);
  mbedtls_pk_init(&issuer_key);
  new_key(&key, spec->rsa);
  if (issuer != NULL)
    fzt_cert_read_key(issuer, &issuer_key);
  set_names(&crt, spec->common_name, issuer != NULL ? issuer_name : spec->common_name);
  mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
  mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
  mbedtls_x509write_crt_set_subject_key(&crt, &key);
  mbedtls_x509write_crt_set_issuer_key(&crt, issuer != NULL ? &issuer_key : &key);
  set_serial(&crt);
  must(mbedtls_x509write_crt_set_validity(&crt,
                                          spec->not_before != NULL ? spec->not_before : "20200101000000",
                                          spec->not_after != NULL ? spec->not_after : "20991231235959") == 0);
  must(mbedtls_x509write_crt_set_basic_constraints(&crt, spec->is_ca, -1) == 0);
  const size_t san_len = alt_names(spec, san);
  if (san_len > 0)
    must(mbedtls_x509write_crt_set_extension(&crt, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                             MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0, san,
                                             san_len) == 0);
  must(mbedtls_x509write_crt_pem(&crt, (unsigned char *)out->cert, sizeof out->cert, on_random, NULL) == 0);
  must(mbedtls_pk_write_key_pem(&key, (unsigned char *)out->key, sizeof out->key) == 0);
  mbedtls_x509write_crt_free(&crt);
  mbedtls_pk_free(&key);
  mbedtls_pk_free(&issuer_key);
}
