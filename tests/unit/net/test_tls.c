/* SPDX-License-Identifier: Apache-2.0 */
/* TLS in memory: our client against an mbedTLS server, with certificates of all kinds, byte by byte, and over blocked writes. */
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

#include "certs.h"
#include "net/tls.h"
#include "testing.h"

#define CA_NAME "Test authority"

/* Versions of TLS as a server's greatest. */
#define TLS_1_2 0x0303
#define TLS_1_3 0x0304
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
#define NEWEST TLS_1_3
#else
#define NEWEST TLS_1_2
#endif

/* One direction of the wire. */
typedef struct pipe_buffer {
  uint8_t data[65536];
  size_t len;
  size_t chunk; /* at most this much moves at once; 0: all */
  size_t room;  /* how much may stand in it */
  bool ended;
} pipe_buffer;

typedef struct server {
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_x509_crt cert;
  mbedtls_pk_context key;
  bool done;
} server;

static pipe_buffer to_server, to_client;
static server srv;
static fzt_cert ca;
static net_trust *trust;
static net_tls_memory memory;

static size_t pipe_put(pipe_buffer *p, const uint8_t *data, size_t len)
{
  if (p->chunk != 0 && len > p->chunk)
    len = p->chunk;
  if (len > p->room - p->len)
    len = p->room - p->len;
  memcpy(p->data + p->len, data, len);
  p->len += len;
  return len;
}

static size_t pipe_take(pipe_buffer *p, uint8_t *out, size_t cap)
{
  size_t len = p->len < cap ? p->len : cap;
  if (p->chunk != 0 && len > p->chunk)
    len = p->chunk;
  memcpy(out, p->data, len);
  memmove(p->data, p->data + len, p->len - len);
  p->len -= len;
  return len;
}

static ssize_t client_send(void *ctx, const uint8_t *data, size_t len)
{
  const size_t n = pipe_put(&to_server, data, len);
  (void)ctx;
  return n > 0 ? (ssize_t)n : NET_TLS_WANT_WRITE;
}

static ssize_t client_recv(void *ctx, uint8_t *out, size_t cap)
{
  const size_t n = pipe_take(&to_client, out, cap);
  (void)ctx;
  return n > 0 ? (ssize_t)n : to_client.ended ? 0 : NET_TLS_WANT_READ;
}

static int server_send(void *ctx, const unsigned char *data, size_t len)
{
  const size_t n = pipe_put(&to_client, data, len);
  (void)ctx;
  return n > 0 ? (int)n : MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int server_recv(void *ctx, unsigned char *out, size_t cap)
{
  const size_t n = pipe_take(&to_server, out, cap);
  (void)ctx;
  return n > 0 ? (int)n : MBEDTLS_ERR_SSL_WANT_READ;
}

static int on_random(void *ctx, unsigned char *out, size_t len)
{
  (void)ctx;
  return getrandom(out, len, 0) == (ssize_t)len ? 0 : -1;
}

static void set_newest(mbedtls_ssl_config *config, int newest)
{
#if MBEDTLS_VERSION_MAJOR < 3
  mbedtls_ssl_conf_max_version(config, newest >> 8, newest & 0xff);
#else
  mbedtls_ssl_conf_max_tls_version(config, (mbedtls_ssl_protocol_version)newest);
#endif
}

static void server_start(const fzt_cert *cert, int newest)
{
  memset(&srv, 0, sizeof srv);
  to_server = (pipe_buffer){.room = sizeof to_server.data};
  to_client = (pipe_buffer){.room = sizeof to_client.data};
  mbedtls_ssl_init(&srv.ssl);
  mbedtls_ssl_config_init(&srv.config);
  mbedtls_x509_crt_init(&srv.cert);
  mbedtls_pk_init(&srv.key);
  ck_assert_int_eq(
      mbedtls_x509_crt_parse(&srv.cert, (const unsigned char *)cert->cert, strlen(cert->cert) + 1), 0);
  fzt_cert_read_key(cert, &srv.key);
  ck_assert_int_eq(mbedtls_ssl_config_defaults(&srv.config, MBEDTLS_SSL_IS_SERVER,
                                               MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
                   0);
  mbedtls_ssl_conf_rng(&srv.config, on_random, NULL);
  set_newest(&srv.config, newest);
  ck_assert_int_eq(mbedtls_ssl_conf_own_cert(&srv.config, &srv.cert, &srv.key), 0);
  ck_assert_int_eq(mbedtls_ssl_setup(&srv.ssl, &srv.config), 0);
  mbedtls_ssl_set_bio(&srv.ssl, NULL, server_send, server_recv, NULL);
}

static void server_stop(void)
{
  mbedtls_ssl_free(&srv.ssl);
  mbedtls_ssl_config_free(&srv.config);
  mbedtls_x509_crt_free(&srv.cert);
  mbedtls_pk_free(&srv.key);
}

static char ca_path[64];

static char *test_env(const char *name)
{
  return strcmp(name, "SSL_CERT_FILE") == 0 ? ca_path : NULL;
}

static void setup(void)
{
  const fzt_cert_spec spec = {.common_name = CA_NAME, .is_ca = 1};
  char error[NET_TLS_ERROR_MAX];
  fzt_cert_make(&spec, NULL, NULL, &ca);
  (void)snprintf(ca_path, sizeof ca_path, "/tmp/fzt-ca-XXXXXX");
  const int fd = mkstemp(ca_path);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, ca.cert, strlen(ca.cert)), (ssize_t)strlen(ca.cert));
  (void)close(fd);
  trust = net_trust_load(test_env, error);
  ck_assert_msg(trust != NULL, "%s", error);
  (void)unlink(ca_path);
}

static void teardown(void)
{
  net_trust_free(trust);
}

/* Runs a handshake to its end; returns our side's result. */
static int shake(net_tls *tls)
{
  int result = NET_TLS_WANT_READ;
  for (int i = 0; i < 200000 && (result != 0 || !srv.done) && result != NET_TLS_FAILED; i++) {
    if (result != 0)
      result = net_tls_handshake(tls);
    if (!srv.done)
      srv.done = mbedtls_ssl_handshake(&srv.ssl) == 0;
  }
  return result;
}

static net_tls *client(const char *host, bool ip)
{
  const net_tls_io io = {NULL, client_send, client_recv};
  net_tls *tls = net_tls_new(host, ip, trust, &memory, &io);
  ck_assert_ptr_nonnull(tls);
  return tls;
}

START_TEST(who_is_trusted)
{
  static const struct {
    const char *host;
    bool ip;
    fzt_cert_spec spec;
    bool self_signed;
    const char *problem; /* NULL: fine */
  } cases[] = {
      {"api.example", false, {.common_name = "x", .dns = "api.example"}, false, NULL},
      {"api.example", false, {.common_name = "x", .dns = "*.example"}, false, NULL},
      {"a.b.example", false, {.common_name = "x", .dns = "*.example"}, false, "another name"},
      {"api.example", false, {.common_name = "api.example"}, false, "another name"},
      {"api.example", false, {.common_name = "api.example", .dns = "other.example"}, false, "another name"},
      {"api.example", false, {.common_name = "x", .dns = "api.example"}, true, "trusted authority"},
      {"api.example",
       false,
       {.common_name = "x",
        .dns = "api.example",
        .not_before = "20200101000000",
        .not_after = "20200102000000"},
       false,
       "expired"},
      {"api.example",
       false,
       {.common_name = "x", .dns = "api.example", .not_before = "20900101000000"},
       false,
       "not valid yet"},
      {"192.0.2.1", true, {.common_name = "x", .ip = "192.0.2.1"}, false, NULL},
      {"192.0.2.1", true, {.common_name = "x", .dns = "192.0.2.1"}, false, "another name"},
      {"192.0.2.1", true, {.common_name = "x", .ip = "192.0.2.2"}, false, "another name"},
      {"2001:db8::1", true, {.common_name = "x", .dns = "a", .ip = "2001:db8:0::1"}, false, NULL},
      {"2001:db8::1", true, {.common_name = "x", .dns = "a"}, false, "another name"},
      {"api.example", false, {.common_name = "x", .dns = "api.example", .rsa = 1}, false, NULL},
  };
  const size_t count = sizeof cases / sizeof cases[0];
  for (size_t n = 0; n < 2 * count; n++) {
    const size_t i = n % count;
    fzt_cert cert;
    fzt_cert_make(&cases[i].spec, cases[i].self_signed ? NULL : &ca, CA_NAME, &cert);
    server_start(&cert, n < count ? TLS_1_2 : NEWEST);
    net_tls *tls = client(cases[i].host, cases[i].ip);
    const int result = shake(tls);
    if (cases[i].problem == NULL) {
      ck_assert_msg(result == 0, "case %zu: %s", i, net_tls_error(tls));
      ck_assert_str_eq(mbedtls_ssl_get_version(&srv.ssl),
                       n < count || NEWEST == TLS_1_2 ? "TLSv1.2" : "TLSv1.3");
    } else {
      ck_assert_msg(result == NET_TLS_FAILED, "case %zu", i);
      ck_assert_msg(strstr(net_tls_error(tls), cases[i].problem) != NULL, "case %zu: %s", i,
                    net_tls_error(tls));
    }
    net_tls_free(tls);
    server_stop();
  }
}
END_TEST

/* What our client says to a server that answers its hello with the |len| bytes at |answer|. */
static const char *told(const uint8_t *answer, size_t len)
{
  static char text[NET_TLS_ERROR_MAX];
  to_server = (pipe_buffer){.room = sizeof to_server.data};
  to_client = (pipe_buffer){.room = sizeof to_client.data};
  net_tls *tls = client("api.example", false);
  ck_assert_int_eq(net_tls_handshake(tls), NET_TLS_WANT_READ);
  (void)pipe_put(&to_client, answer, len);
  ck_assert_int_eq(net_tls_handshake(tls), NET_TLS_FAILED);
  (void)snprintf(text, sizeof text, "%s", net_tls_error(tls));
  net_tls_free(tls);
  return text;
}

START_TEST(old_versions)
{
  /* A ServerHello of TLS 1.1: a random value of zeroes, no session, a cipher suite of that time. */
  uint8_t hello[5 + 4 + 38] = {22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2};
  hello[sizeof hello - 3] = 0xc0;
  hello[sizeof hello - 2] = 0x13;
  ck_assert_str_eq(told(hello, sizeof hello), "TLS: the server speaks no version as new as TLS 1.2");
}
END_TEST

/* The server's alert is named, and the three that a version or a certificate brings are explained. */
START_TEST(alerts)
{
  static const struct {
    uint8_t description;
    const char *text;
  } cases[] = {
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
      {70, "TLS: the server speaks neither TLS 1.2 nor 1.3 (TLS alert protocol_version)"},
      {40, "TLS: the server accepts no cipher or signature of this build: its certificate has to be of ECDSA "
           "or RSA, not "
           "Ed25519 (TLS alert handshake_failure)"},
#else
      {70, "TLS: the server wants another version than TLS 1.2, most likely 1.3, which this build does not "
           "have (TLS alert "
           "protocol_version)"},
      {40, "TLS: the server accepts no cipher or signature of this build: it has to speak TLS 1.2 with "
           "AES-GCM or ChaCha20, its "
           "certificate has to be of ECDSA or RSA, not Ed25519 (TLS alert handshake_failure)"},
#endif
      {116,
       "TLS: the server wants a certificate of the relay, which has none (TLS alert certificate_required)"},
      {80, "TLS: the server ended the connection with TLS alert internal_error"},
      {112, "TLS: the server ended the connection with TLS alert unrecognized_name"},
      {199, "TLS: the server ended the connection with TLS alert 199"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const uint8_t alert[] = {21, 3, 3, 0, 2, 2, cases[i].description};
    ck_assert_str_eq(told(alert, sizeof alert), cases[i].text);
  }
}
END_TEST

/* Each byte on its own, and a wire that holds 100 bytes: every call is interrupted many times. */
START_TEST(data_over_a_narrow_wire)
{
  static uint8_t sent[20000], seen[20000];
  const fzt_cert_spec spec = {.common_name = "x", .dns = "api.example"};
  fzt_cert cert;
  size_t written = 0, read_back = 0;
  for (size_t i = 0; i < sizeof sent; i++)
    sent[i] = (uint8_t)(i * 7);
  fzt_cert_make(&spec, &ca, CA_NAME, &cert);
  server_start(&cert, NEWEST);
  to_server.chunk = to_client.chunk = 1;
  net_tls *tls = client("api.example", false);
  ck_assert_int_eq(shake(tls), 0);
  to_server.chunk = 7;
  to_server.room = 100;
  while (read_back < sizeof sent) {
    if (written < sizeof sent) {
      /* A write that was blocked is repeated with more behind it. */
      const size_t offer = sizeof sent - written;
      const ssize_t n = net_tls_write(tls, sent + written, offer);
      ck_assert(n > 0 || n == NET_TLS_WANT_WRITE);
      written += n > 0 ? (size_t)n : 0;
    }
    const int n = mbedtls_ssl_read(&srv.ssl, seen + read_back, sizeof seen - read_back);
    ck_assert(n > 0 || n == MBEDTLS_ERR_SSL_WANT_READ);
    read_back += n > 0 ? (size_t)n : 0;
  }
  ck_assert_mem_eq(sent, seen, sizeof sent);
  to_client.chunk = 0;
  ck_assert_int_eq(mbedtls_ssl_write(&srv.ssl, sent, 10), 10);
  ck_assert_int_eq(net_tls_read(tls, seen, 4), 4);
  ck_assert(net_tls_pending(tls));
  ck_assert_int_eq(net_tls_read(tls, seen + 4, 10), 6);
  ck_assert(!net_tls_pending(tls));
  ck_assert_int_eq(net_tls_read(tls, seen, 10), NET_TLS_WANT_READ);
  ck_assert_int_eq(mbedtls_ssl_close_notify(&srv.ssl), 0);
  ck_assert_int_eq(net_tls_read(tls, seen, 10), 0);
  net_tls_free(tls);
  server_stop();
}
END_TEST

START_TEST(garbage_instead_of_tls)
{
  const fzt_cert_spec spec = {.common_name = "x", .dns = "api.example"};
  fzt_cert cert;
  fzt_cert_make(&spec, &ca, CA_NAME, &cert);
  server_start(&cert, NEWEST);
  net_tls *tls = client("api.example", false);
  ck_assert_int_eq(net_tls_handshake(tls), NET_TLS_WANT_READ);
  (void)pipe_put(&to_client, (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28);
  ck_assert_int_eq(net_tls_handshake(tls), NET_TLS_FAILED);
  ck_assert_str_ne(net_tls_error(tls), "");
  net_tls_free(tls);
  server_stop();
}
END_TEST

/* What a server of TLS 1.2 made the client remember is for one attempt: only success keeps it, and the end without an alert, which a
 * server of TLS 1.3 alone may well choose, does not. */
START_TEST(only_12_is_for_one_attempt)
{
  const fzt_cert_spec spec = {.common_name = "x", .dns = "api.example"};
  const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 40};
  fzt_cert cert;
  fzt_cert_make(&spec, &ca, CA_NAME, &cert);
  memory.only_12 = true;
  server_start(&cert, NEWEST);
  net_tls *tls = client("api.example", false);
  ck_assert_int_eq(shake(tls), 0);
  ck_assert(memory.only_12);
#if MBEDTLS_VERSION_MAJOR >= 3
  ck_assert_str_eq(mbedtls_ssl_get_version(&srv.ssl), "TLSv1.2");
#endif
  net_tls_free(tls);
  server_stop();
  for (int how = 0; how < 3; how++) {
    memory.only_12 = true;
    to_server = (pipe_buffer){.room = sizeof to_server.data};
    to_client = (pipe_buffer){.room = sizeof to_client.data};
    tls = client("api.example", false);
    ck_assert_int_eq(net_tls_handshake(tls), NET_TLS_WANT_READ);
    if (how == 1)
      to_client.ended = true;
    else if (how == 2)
      (void)pipe_put(&to_client, alert, sizeof alert);
    if (how > 0)
      ck_assert_int_eq(net_tls_handshake(tls), NET_TLS_FAILED);
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    if (how == 2)
      ck_assert_str_eq(net_tls_error(tls),
                       "TLS: the server does not take TLS 1.2 alone, which was offered this "
                       "once: the next try offers 1.3 as well (TLS alert handshake_failure)");
#endif
    net_tls_free(tls);
    ck_assert(!memory.only_12);
    server_start(&cert, NEWEST);
    tls = client("api.example", false);
    ck_assert_int_eq(shake(tls), 0);
    ck_assert_str_eq(mbedtls_ssl_get_version(&srv.ssl), NEWEST == TLS_1_2 ? "TLSv1.2" : "TLSv1.3");
    net_tls_free(tls);
    server_stop();
  }
}
END_TEST

static char *no_file(const char *name)
{
  static char nowhere[] = "/nonexistent";
  return strcmp(name, "SSL_CERT_FILE") == 0 ? nowhere : NULL;
}

START_TEST(nothing_to_trust)
{
  char error[NET_TLS_ERROR_MAX];
  ck_assert_ptr_null(net_trust_load(no_file, error));
  ck_assert_str_eq(error, "no CA certificate found in SSL_CERT_FILE=/nonexistent");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net_tls");
  TCase *tc = tcase_create("tls");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, who_is_trusted);
  tcase_add_test(tc, old_versions);
  tcase_add_test(tc, alerts);
  tcase_add_test(tc, data_over_a_narrow_wire);
  tcase_add_test(tc, garbage_instead_of_tls);
  tcase_add_test(tc, only_12_is_for_one_attempt);
  tcase_add_test(tc, nothing_to_trust);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
