/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include "net/tls_alert.h"
#include "net/tls_internal.h"
#include "net/tls_records.h"
#include "net/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <arpa/inet.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/oid.h>
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
#include <psa/crypto.h>
#endif

/* A general name's context tag for iPAddress (RFC 5280 section 4.2.1.6). */
#define SAN_IP_TAG (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7)

const int net_tls_ciphersuites[] = {
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#endif
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};

#if MBEDTLS_VERSION_MAJOR >= 3
/* mbedTLS can't read a signature by RSA-PSS with TLS 1.2, and TLS 1.3 has no other one by an RSA key: a hello for both versions
 * has to offer what one of them fails with. PKCS #1 comes first, for servers that follow the client's order. */
static const uint16_t signature_algorithms[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,       MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,    MBEDTLS_TLS1_3_SIG_NONE,
};
/* The same without RSA-PSS. */
static const uint16_t signature_algorithms_of_12[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
    MBEDTLS_TLS1_3_SIG_NONE,
};
#endif

int net_tls_on_random(void *ctx, unsigned char *out, size_t len)
{
  (void)ctx;
  while (len > 0) {
    const ssize_t n = getrandom(out, len, 0);
    if (n < 0)
      return MBEDTLS_ERR_ERROR_GENERIC_ERROR;
    out += n;
    len -= (size_t)n;
  }
  return 0;
}

int net_tls_on_send(void *ctx, const unsigned char *data, size_t len)
{
  net_tls *tls = ctx;
  const ssize_t n = tls->io.send(tls->io.ctx, data, len);
  if (n >= 0)
    return (int)n;
  return n == NET_TLS_WANT_WRITE ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_NET_SEND_FAILED;
}

int net_tls_on_recv(void *ctx, unsigned char *out, size_t cap)
{
  net_tls *tls = ctx;
  const ssize_t n = tls->io.recv(tls->io.ctx, out, cap);
  if (n > 0 && tls->identity && !tls->hello.done)
    net_tls_look_at_hello(tls, out, (size_t)n);
  if (n >= 0)
    return (int)n;
  return n == NET_TLS_WANT_READ ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_NET_RECV_FAILED;
}

static bool has_alt_names(const mbedtls_x509_crt *crt)
{
#if MBEDTLS_VERSION_MAJOR < 3
  return (crt->ext_types & MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) != 0;
#else
  return mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) != 0;
#endif
}

static bool names_ip(const mbedtls_x509_crt *crt, const uint8_t *ip, size_t len)
{
  if (!has_alt_names(crt))
    return false;
  for (const mbedtls_x509_sequence *name = &crt->subject_alt_names; name; name = name->next)
    if (name->buf.tag == SAN_IP_TAG && name->buf.len == len && memcmp(name->buf.p, ip, len) == 0)
      return true;
  return false;
}

/* Adds to mbedTLS's verdict on the server's own certificate: addresses, which it does not look at, and no falling back on the
 * subject's common name (RFC 9525 section 2). */
static int on_verify(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
  const net_tls *tls = ctx;
  if (depth != 0)
    return 0;
  if (tls->ip_len > 0 ? !names_ip(crt, tls->ip, tls->ip_len) : !has_alt_names(crt))
    *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  return 0;
}

int net_tls_begin_psa(void)
{
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
  if (psa_crypto_init() != PSA_SUCCESS)
    return MBEDTLS_ERR_ERROR_GENERIC_ERROR;
#endif
  return 0;
}

/* TLS 1.2 at the least, and no algorithm that either version could not go on with. */
static int set_versions(mbedtls_ssl_config *config, bool only_12)
{
  mbedtls_ssl_conf_ciphersuites(config, net_tls_ciphersuites);
#if MBEDTLS_VERSION_MAJOR < 3
  (void)only_12;
  mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#else
  mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
  mbedtls_ssl_conf_sig_algs(config, only_12 ? signature_algorithms_of_12 : signature_algorithms);
  if (only_12)
    mbedtls_ssl_conf_max_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
  return net_tls_begin_psa();
}

static int configure(net_tls *tls, const char *host, const net_trust *trust)
{
  int result = mbedtls_ssl_config_defaults(&tls->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                           MBEDTLS_SSL_PRESET_DEFAULT);
  if (result == 0)
    result = set_versions(&tls->config, tls->only_12);
  if (result != 0)
    return result;
  mbedtls_ssl_conf_authmode(&tls->config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&tls->config, (mbedtls_x509_crt *)&trust->chain, NULL);
  mbedtls_ssl_conf_verify(&tls->config, on_verify, tls);
  mbedtls_ssl_conf_rng(&tls->config, net_tls_on_random, NULL);
  mbedtls_ssl_conf_session_tickets(&tls->config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
  result = mbedtls_ssl_setup(&tls->ssl, &tls->config);
  if (result == 0)
    result = mbedtls_ssl_set_hostname(&tls->ssl, tls->ip_len > 0 ? NULL : host);
  mbedtls_ssl_set_bio(&tls->ssl, tls, net_tls_on_send, net_tls_on_recv, NULL);
  return result;
}

net_tls *net_tls_new(const char *host, bool host_is_ip, const net_trust *trust, net_tls_memory *memory,
                     const net_tls_io *io)
{
  net_tls *tls = calloc(1, sizeof *tls);
  if (!tls)
    return NULL;
  mbedtls_ssl_init(&tls->ssl);
  mbedtls_ssl_config_init(&tls->config);
  tls->io = *io;
  tls->memory = memory;
  tls->only_12 = memory->only_12;
  memory->only_12 = false; /* whatever becomes of this attempt, until it has succeeded */
  if (host_is_ip)
    tls->ip_len = inet_pton(AF_INET, host, tls->ip) == 1    ? 4
                  : inet_pton(AF_INET6, host, tls->ip) == 1 ? 16
                                                            : 0;
  if ((host_is_ip && tls->ip_len == 0) || configure(tls, host, trust) != 0) {
    net_tls_free(tls);
    return NULL;
  }
  return tls;
}

void net_tls_accept_any(net_tls *tls)
{
  mbedtls_ssl_conf_authmode(&tls->config, MBEDTLS_SSL_VERIFY_NONE);
}

int net_tls_offer(net_tls *tls, const char *protocol)
{
  tls->protocols[0] = protocol;
  return mbedtls_ssl_conf_alpn_protocols(&tls->config, tls->protocols) == 0 ? 0 : -1;
}

void net_tls_free(net_tls *tls)
{
  if (!tls)
    return;
  mbedtls_ssl_free(&tls->ssl);
  mbedtls_ssl_config_free(&tls->config);
  net_tls_leave_identity(tls);
  free(tls);
}

static const char *verify_problem(uint32_t flags)
{
  static const struct {
    uint32_t flag;
    const char *text;
  } problems[] = {
      {MBEDTLS_X509_BADCERT_EXPIRED, "the server's certificate has expired"},
      {MBEDTLS_X509_BADCERT_FUTURE,
       "the server's certificate is not valid yet (is this host's clock right?)"},
      {MBEDTLS_X509_BADCERT_CN_MISMATCH, "the server's certificate is for another name"},
      {MBEDTLS_X509_BADCERT_REVOKED, "the server's certificate was revoked"},
      {MBEDTLS_X509_BADCERT_NOT_TRUSTED,
       "the server's certificate is not signed by a trusted authority (see SSL_CERT_FILE)"},
  };
  for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++)
    if ((flags & problems[i].flag) != 0)
      return problems[i].text;
  return "the server's certificate is not acceptable";
}

/* What the server was offered, which its refusal is about. */
static enum net_tls_offered offered(const net_tls *tls)
{
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
  return tls->only_12 ? NET_TLS_OFFERED_12_NOW : NET_TLS_OFFERED_13;
#else
  (void)tls;
  return NET_TLS_OFFERED_12;
#endif
}

static int failed(net_tls *tls, int code)
{
  char text[NET_TLS_ERROR_MAX - 8];
  if (tls->identity) {
    net_tls_explain_to_server(tls, code);
    return NET_TLS_FAILED;
  }
  switch (code) {
  case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
    snprintf(tls->error, sizeof tls->error, "TLS: %s",
             verify_problem(mbedtls_ssl_get_verify_result(&tls->ssl)));
    break;
  case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
    snprintf(tls->error, sizeof tls->error, "TLS: the server speaks no version as new as TLS 1.2");
    break;
  case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
    /* There is no function that tells which. */
    net_tls_alert_text(tls->ssl.MBEDTLS_PRIVATE(in_msg)[1], offered(tls), text, sizeof text);
    snprintf(tls->error, sizeof tls->error, "TLS: %s", text);
    break;
#if MBEDTLS_VERSION_MAJOR >= 3
  case MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER:
    snprintf(tls->error, sizeof tls->error, "TLS: %s",
             tls->memory->only_12 ? "the server signs TLS 1.2 with RSA-PSS, which the next try does not offer"
                                  : "a field of the server's handshake is wrong");
    break;
#endif
  case MBEDTLS_ERR_SSL_CONN_EOF:
    snprintf(tls->error, sizeof tls->error, "TLS: the server ended the connection%s",
             tls->established ? "" : " within the handshake, without an alert");
    break;
  case MBEDTLS_ERR_NET_RECV_FAILED:
  case MBEDTLS_ERR_NET_SEND_FAILED:
    tls->error[0] = '\0'; /* the io's owner knows */
    break;
  default:
    mbedtls_strerror(code, text, sizeof text);
    snprintf(tls->error, sizeof tls->error, "TLS: %s", text);
  }
  return NET_TLS_FAILED;
}

static int translate(net_tls *tls, int code)
{
  if (code == MBEDTLS_ERR_SSL_WANT_READ)
    return NET_TLS_WANT_READ;
  if (code == MBEDTLS_ERR_SSL_WANT_WRITE)
    return NET_TLS_WANT_WRITE;
  return failed(tls, code);
}

/* Learns from a handshake what the next one has to offer: what succeeded, or TLS 1.2 alone to a server of TLS 1.2 that followed an
 * order of its own and chose RSA-PSS. */
static void learn(const net_tls *tls, int result)
{
  if (!tls->memory)
    return;
  if (result == 0)
    tls->memory->only_12 = tls->only_12;
#if MBEDTLS_VERSION_MAJOR >= 3
  if (result == MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER && !tls->only_12)
    tls->memory->only_12 = mbedtls_ssl_get_version_number(&tls->ssl) == MBEDTLS_SSL_VERSION_TLS1_2;
#endif
}

int net_tls_handshake(net_tls *tls)
{
  const int result = tls->identity ? net_tls_handshake_of_server(tls) : mbedtls_ssl_handshake(&tls->ssl);
  tls->established = result == 0;
  learn(tls, result);
  return result == 0 ? 0 : translate(tls, result);
}

/* Says what failed of records that are not mbedTLS's. */
static ssize_t of_records(net_tls *tls, ssize_t result)
{
  if (result == NET_TLS_FAILED)
    snprintf(tls->error, sizeof tls->error, "%s", net_tls_records_error(tls->records));
  return result;
}

ssize_t net_tls_read(net_tls *tls, uint8_t *out, size_t cap)
{
  if (tls->records)
    return of_records(tls, net_tls_records_read(tls->records, &tls->io, out, cap));
  const int n = mbedtls_ssl_read(&tls->ssl, out, cap);
  if (n >= 0)
    return n;
  if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || n == MBEDTLS_ERR_SSL_CONN_EOF)
    return 0;
  return translate(tls, n);
}

bool net_tls_pending(const net_tls *tls)
{
  if (tls->records)
    return net_tls_records_pending(tls->records);
  return mbedtls_ssl_check_pending(&tls->ssl) != 0;
}

ssize_t net_tls_write(net_tls *tls, const uint8_t *data, size_t len)
{
  if (tls->records)
    return of_records(tls, net_tls_records_write(tls->records, &tls->io, data, len));
  /* mbedTLS has the record of a blocked write already, and would report the length of this call for it. */
  if (tls->unsent != 0)
    len = tls->unsent;
  const int n = mbedtls_ssl_write(&tls->ssl, data, len);
  tls->unsent = n == MBEDTLS_ERR_SSL_WANT_WRITE || n == MBEDTLS_ERR_SSL_WANT_READ ? len : 0;
  return n >= 0 ? n : translate(tls, n);
}

void net_tls_close(net_tls *tls)
{
  if (tls->records)
    net_tls_records_close(tls->records, &tls->io);
  else
    mbedtls_ssl_close_notify(&tls->ssl);
}

const char *net_tls_error(const net_tls *tls)
{
  return tls->error;
}
