/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of TLS that the program has, against each other in memory: handshakes in pieces, records whose write blocks, and what is wrong with files. */
#include "certs.h"
#include "net/tls_internal.h"
#include "net/tls_records.h"
#include "net/tls_server.h"
#include "prng.h"
#include "testing.h"

#include <stdio.h>
#include <unistd.h>

#include <mbedtls/ssl.h>

/* One direction of the wire. */
typedef struct way {
  uint8_t data[65536];
  size_t len;
  size_t chunk; /* at most so much moves at once */
  size_t room;  /* how much may stand in it */
} way;

static way ways[2]; /* to the client, to the server */
static const int sides[2] = {0, 1};
static fzt_cert ca, cert;
static net_trust *trust;
static net_tls_memory memory;
static net_tls *client, *server;
static net_tls_identity *identity;

/* Memory for records. */
static bool out_of_memory;

net_tls_records *__real_net_tls_records_new(const net_tls_agreed *agreed);
net_tls_records *__wrap_net_tls_records_new(const net_tls_agreed *agreed);

net_tls_records *__wrap_net_tls_records_new(const net_tls_agreed *agreed)
{
  return out_of_memory ? NULL : __real_net_tls_records_new(agreed);
}

static ssize_t on_send(void *ctx, const uint8_t *data, size_t len)
{
  way *w = &ways[!*(const int *)ctx];
  size_t n = len < w->chunk ? len : w->chunk;
  n = n < w->room - w->len ? n : w->room - w->len;
  memcpy(w->data + w->len, data, n);
  w->len += n;
  return n ? (ssize_t)n : NET_TLS_WANT_WRITE;
}

static ssize_t on_recv(void *ctx, uint8_t *out, size_t cap)
{
  way *w = &ways[*(const int *)ctx];
  size_t n = cap < w->chunk ? cap : w->chunk;
  n = n < w->len ? n : w->len;
  memcpy(out, w->data, n);
  memmove(w->data, w->data + n, w->len - n);
  w->len -= n;
  return n ? (ssize_t)n : NET_TLS_WANT_READ;
}

static net_tls_identity *load(const char *certificate, const char *key, char *error)
{
  return net_tls_identity_new((const uint8_t *)certificate, strlen(certificate) + 1, (const uint8_t *)key,
                              strlen(key) + 1, error);
}

static void make(int rsa)
{
  static const fzt_cert_spec authority = {.common_name = "Test authority", .is_ca = 1};
  const fzt_cert_spec spec = {.common_name = "relay.example", .dns = "relay.example", .rsa = rsa};
  char path[] = "/tmp/fzt-ca-XXXXXX", error[NET_TLS_ERROR_MAX];
  fzt_cert_make(&authority, NULL, NULL, &ca);
  fzt_cert_make(&spec, &ca, "Test authority", &cert);
  FILE *f = fdopen(mkstemp(path), "w");
  ck_assert_ptr_nonnull(f);
  fputs(ca.cert, f);
  fclose(f);
  trust = net_trust_load_file(path, error);
  remove(path);
  ck_assert_ptr_nonnull(trust);
  identity = load(cert.cert, cert.key, error);
  ck_assert_msg(identity != NULL, "%s", error);
}

static void start(size_t chunk)
{
  const net_tls_io io[2] = {{(void *)(uintptr_t)&sides[0], on_send, on_recv},
                            {(void *)(uintptr_t)&sides[1], on_send, on_recv}};
  for (unsigned i = 0; i < 2; i++)
    ways[i] = (way){.chunk = chunk, .room = sizeof ways[i].data};
  client = net_tls_new("relay.example", false, trust, &memory, &io[0]);
  server = net_tls_accept(identity, &io[1]);
  ck_assert(client && server);
}

static void stop(void)
{
  net_tls_free(client);
  net_tls_free(server);
  net_trust_free(trust);
  net_tls_identity_drop(identity);
}

static void shake_hands(void)
{
  int done[2] = {-1, -1};
  for (unsigned turn = 0; (done[0] || done[1]) && turn < 100000; turn++) {
    if (done[0])
      done[0] = net_tls_handshake(client);
    if (done[1])
      done[1] = net_tls_handshake(server);
    ck_assert_msg(done[0] != NET_TLS_FAILED, "%s", net_tls_error(client));
    ck_assert_msg(done[1] != NET_TLS_FAILED, "%s", net_tls_error(server));
  }
  ck_assert_int_eq(done[0], 0);
  ck_assert_int_eq(done[1], 0);
  /* Whatever the version: nothing is mbedTLS's any more. */
  ck_assert_ptr_nonnull(server->records);
  ck_assert_ptr_null(server->ssl.MBEDTLS_PRIVATE(in_buf));
  ck_assert_ptr_null(server->keys);
}

START_TEST(test_talk)
{
  static const size_t chunks[] = {65536, 1, 700};
  static uint8_t out[20000], in[20000];
  make(_i & 1);
  start(chunks[_i / 2]);
  ck_assert(!net_tls_identity_is_out_of_date(identity));
  /* A newer one takes its place: this connection goes on. */
  net_tls_identity_drop(identity);
  identity = NULL;
  shake_hands();
  for (size_t i = 0; i < sizeof out; i++)
    out[i] = (uint8_t)(i * 7);
  for (unsigned round = 0; round < 2; round++) {
    net_tls *from = round ? server : client, *to = round ? client : server;
    size_t sent = 0, got = 0;
    memset(in, 0, sizeof in);
    ways[!round].room = 4000; /* less than a record */
    while (got < sizeof in) {
      const ssize_t n =
          sent < sizeof out ? net_tls_write(from, out + sent, sizeof out - sent) : NET_TLS_WANT_WRITE;
      ck_assert_int_ne(n, NET_TLS_FAILED);
      sent += n > 0 ? (size_t)n : 0;
      const ssize_t k = net_tls_read(to, in + got, sizeof in - got);
      ck_assert_int_ne(k, NET_TLS_FAILED);
      got += k > 0 ? (size_t)k : 0;
    }
    ck_assert_mem_eq(in, out, sizeof out);
  }
  net_tls_close(client);
  ck_assert_int_eq(net_tls_read(server, in, sizeof in), 0);
  stop();
}
END_TEST

/* What is about TLS 1.2 alone. */
static void start_12(void)
{
  start(65536);
#if MBEDTLS_VERSION_MAJOR >= 3
  mbedtls_ssl_conf_max_tls_version(&client->config, MBEDTLS_SSL_VERSION_TLS1_2);
  client->ssl.MBEDTLS_PRIVATE(tls_version) =
      MBEDTLS_SSL_VERSION_TLS1_2; /* has been taken from there by now */
#endif
}

/* The newest version that there is; or TLS 1.2. */
static void start_as(bool newest)
{
  if (newest)
    start(65536);
  else
    start_12();
}

/* There is one way that it goes on, or none. */
START_TEST(test_no_memory)
{
  int result = -1;
  make(0);
  start_as(_i);
  out_of_memory = true;
  for (unsigned turn = 0; turn < 10 && result != NET_TLS_FAILED; turn++) {
    net_tls_handshake(client);
    result = net_tls_handshake(server);
    ck_assert_int_ne(result, 0);
  }
  ck_assert_int_eq(result, NET_TLS_FAILED);
  ck_assert_ptr_nonnull(strstr(net_tls_error(server), "Memory allocation failed"));
  out_of_memory = false;
  stop();
}
END_TEST

/* A client that has no room for long records asks for shorter ones (RFC 6066 section 4), and gets no others. */
START_TEST(test_fragment_length)
{
  enum { MOST = 1024, HEADER = 5, OVERHEAD = 24 };
  static uint8_t out[5 * MOST], in[sizeof out];
  make(0);
  start_12();
  ck_assert_int_eq(mbedtls_ssl_conf_max_frag_len(&client->config, MBEDTLS_SSL_MAX_FRAG_LEN_1024), 0);
  shake_hands();
  ck_assert_uint_eq(ways[0].len, 0);
  for (size_t i = 0, n; i < sizeof out; i += n) {
    out[i] = (uint8_t)(i / MOST);
    const ssize_t sent = net_tls_write(server, out + i, sizeof out - i);
    ck_assert_int_gt(sent, 0);
    n = (size_t)sent;
  }
  for (size_t at = 0; at < ways[0].len;) {
    const size_t len = (size_t)ways[0].data[at + 3] << 8 | ways[0].data[at + 4];
    ck_assert_uint_le(len, MOST + OVERHEAD);
    at += HEADER + len;
  }
  for (size_t got = 0; got < sizeof in;) {
    const ssize_t n = net_tls_read(client, in + got, sizeof in - got);
    ck_assert_int_gt(n, 0);
    got += (size_t)n;
  }
  ck_assert_mem_eq(in, out, sizeof out);
  stop();
}
END_TEST

/* Whatever number the handshake's last records had, the next ones go on from there, for mbedTLS has used those that are before. */
START_TEST(test_numbers)
{
  enum { IN = 3, OUT = 7, LAST = 7, CHANGE = 6 };
  uint8_t in[100], out[sizeof in] = {1, 2, 3};
  bool renumbered = false;
  make(0);
  start_12();
  int done[2] = {-1, -1};
  for (unsigned turn = 0; (done[0] || done[1]) && turn < 100; turn++) {
    if (done[0])
      done[0] = net_tls_handshake(client);
    /* A ChangeCipherSpec goes out; what comes behind it, the first with the new keys, is made and waits. */
    ways[0].room = ways[0].len + CHANGE;
    if (done[1])
      done[1] = net_tls_handshake(server);
    if (!renumbered && server->ssl.MBEDTLS_PRIVATE(transform_out) &&
        server->ssl.MBEDTLS_PRIVATE(cur_out_ctr)[LAST]) {
      renumbered = true;
      server->ssl.MBEDTLS_PRIVATE(in_ctr)[LAST] = IN;
      server->ssl.MBEDTLS_PRIVATE(cur_out_ctr)[LAST] = OUT;
    }
    ways[0].room = sizeof ways[0].data;
    if (done[1])
      done[1] = net_tls_handshake(server);
    ck_assert(done[0] != NET_TLS_FAILED && done[1] != NET_TLS_FAILED);
  }
  ck_assert(renumbered && server->records);
  client->ssl.MBEDTLS_PRIVATE(in_ctr)[LAST] = OUT;
  client->ssl.MBEDTLS_PRIVATE(cur_out_ctr)[LAST] = IN;
  for (unsigned round = 0; round < 2; round++) {
    ck_assert_int_eq(net_tls_write(client, out, sizeof out), sizeof out);
    ck_assert_int_eq(net_tls_read(server, in, sizeof in), sizeof in);
    ck_assert_mem_eq(in, out, sizeof in);
    ck_assert_int_eq(net_tls_write(server, out, sizeof out), sizeof out);
    ck_assert_int_eq(net_tls_read(client, in, sizeof in), sizeof in);
    ck_assert_mem_eq(in, out, sizeof in);
  }
  stop();
}
END_TEST

/* Each cipher, with mbedTLS's records on the other side: of all sizes, both ways. */
START_TEST(test_ciphers)
{
  static const int suites[] = {
      MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
      MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
      MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
      MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
      MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
      MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#endif
  };
  enum { COUNT = 2000 };
  static uint8_t out[16000], in[sizeof out];
  for (unsigned k = 0; k < sizeof suites / sizeof *suites; k++) {
    const int only[] = {suites[k], 0};
    make(0);
    start_as(k >= 3);
    mbedtls_ssl_conf_ciphersuites(&client->config, only);
    shake_hands();
    ck_assert_str_eq(mbedtls_ssl_get_ciphersuite(&client->ssl), mbedtls_ssl_get_ciphersuite_name(suites[k]));
    for (size_t i = 0; i < sizeof out; i++)
      out[i] = (uint8_t)(i * 3 + k);
    for (unsigned i = 0; i < COUNT; i++) {
      const size_t len = i < 300 ? i + 1 : i * 7u;
      net_tls *from = i & 1 ? server : client, *to = i & 1 ? client : server;
      ck_assert_int_eq(net_tls_write(from, out, len), (ssize_t)len);
      ck_assert_int_eq(net_tls_read(to, in, sizeof in), (ssize_t)len);
      ck_assert_mem_eq(in, out, len);
    }
    net_tls_close(server);
    ck_assert_int_eq(net_tls_read(client, in, sizeof in), 0);
    stop();
  }
}
END_TEST

/* ---- what is behind the client's last message ---- */

/* The keys that the client's Finished goes out with. */
static net_tls_flow finished;
static bool has_finished;

/* Both are of AES-128-GCM, which comes first on both sides. */
static void take_master_secret(const unsigned char *secret, const unsigned char *client_random,
                               const unsigned char *server_random, mbedtls_tls_prf_types prf)
{
  enum { SECRET = 48, RANDOM = 32 };
  uint8_t randoms[2 * RANDOM], block[NET_TLS_KEYS_MAX];
  memcpy(randoms, server_random, RANDOM);
  memcpy(randoms + RANDOM, client_random, RANDOM);
  const size_t len = net_tls_records_keys_len(NET_TLS_12, NET_AEAD_AES_128_GCM);
  ck_assert_int_eq(
      mbedtls_ssl_tls_prf(prf, secret, SECRET, "key expansion", randoms, sizeof randoms, block, len), 0);
  has_finished = net_tls_flow_begin_12(&finished, NET_AEAD_AES_128_GCM, block, block + 32);
}

#if MBEDTLS_VERSION_MAJOR < 3
static int on_secret(void *ctx, const unsigned char *secret, const unsigned char *block, size_t mac_len,
                     size_t key_len, size_t iv_len, const unsigned char client_random[32],
                     const unsigned char server_random[32], mbedtls_tls_prf_types prf)
{
  (void)ctx;
  (void)block;
  (void)mac_len;
  (void)key_len;
  (void)iv_len;
  take_master_secret(secret, client_random, server_random, prf);
  return 0;
}
#else
static void on_secret(void *ctx, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t len,
                      const unsigned char client_random[32], const unsigned char server_random[32],
                      mbedtls_tls_prf_types prf)
{
  (void)ctx;
  (void)len;
  if (type == MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET)
    take_master_secret(secret, client_random, server_random, prf);
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
  if (type == MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_HANDSHAKE_TRAFFIC_SECRET)
    has_finished = net_tls_flow_begin_13(&finished, NET_AEAD_AES_128_GCM, secret);
#endif
}
#endif

/* Puts |more| behind the client's Finished, in the same record. Returns false if it has not been sent. */
static bool extend_finished(const uint8_t *more, size_t len)
{
  way *w = &ways[1];
  uint8_t message[300], type;
  for (size_t at = 0, body; at + 5 < w->len; at += 5 + body) {
    uint8_t *record = w->data + at;
    body = (size_t)net_tls_get_number(record + 3, 2);
    /* It is the last record, and behind the others that are in the clear. */
    if (at + 5 + body != w->len || (record[0] != 23 && (finished.version == NET_TLS_13 || at == 0)))
      continue;
    const ssize_t n = net_tls_flow_open(&finished, record, record + 5, body, &type);
    ck_assert_int_gt(n, 0);
    ck_assert_uint_eq(type, 22);
    ck_assert_uint_eq(record[5], 20);
    memcpy(message, record + 5, (size_t)n);
    memcpy(message + n, more, len);
    finished.number = 0;
    w->len = at + net_tls_flow_seal(&finished, 22, message, (size_t)n + len, record);
    net_tls_flow_end(&finished);
    return true;
  }
  return false;
}

/* Nothing may be there: new keys begin with a record. Without more it is the same handshake as ever. */
START_TEST(test_behind_finished)
{
  static const uint8_t key_update[] = {24, 0, 0, 1, 0};
  const bool newest = _i & 1;
  const size_t len = _i / 2 == 0 ? 0 : _i / 2 == 1 ? 1 : sizeof key_update;
  int done[2] = {-1, -1};
  bool extended = false;
  make(0);
  start_as(newest);
  has_finished = false;
#if MBEDTLS_VERSION_MAJOR < 3
  mbedtls_ssl_conf_export_keys_ext_cb(&client->config, on_secret, NULL);
#else
  mbedtls_ssl_set_export_keys_cb(&client->ssl, on_secret, NULL);
#endif
  for (unsigned turn = 0; turn < 10 && done[1] != 0 && done[1] != NET_TLS_FAILED; turn++) {
    done[0] = net_tls_handshake(client);
    if (has_finished && !extended)
      extended = extend_finished(key_update, len);
    done[1] = net_tls_handshake(server);
  }
  ck_assert(extended);
  if (!len) {
    ck_assert_int_eq(done[1], 0);
  } else {
    uint8_t out[1];
    ck_assert_int_eq(done[1], NET_TLS_FAILED);
    ck_assert_ptr_null(server->records);
    ck_assert_ptr_nonnull(strstr(net_tls_error(server), "nexpected message"));
    /* And it is told so. */
    if (done[0] != 0)
      done[0] = net_tls_handshake(client);
    ck_assert(done[0] == NET_TLS_FAILED || net_tls_read(client, out, sizeof out) == NET_TLS_FAILED);
    ck_assert_ptr_nonnull(strstr(net_tls_error(client), "unexpected_message"));
  }
  stop();
}
END_TEST

/* Protocols that a client offers: one of ours is taken, and others are no reason to refuse it; nor do they matter to who comes beside. */
START_TEST(test_protocols)
{
  static const char *const offers[] = {"stun.turn", "h2", "stun.turn-and-more", "", "stun.nat-discovery"};
  make(0);
  start(_i & 1 ? 1 : 65536);
  const char *offer = offers[_i / 2];
  net_tls *foreign = net_tls_new("relay.example", false, trust, &memory, &client->io);
  ck_assert_ptr_nonnull(foreign);
  net_tls_free(client);
  client = foreign;
  if (*offer)
    ck_assert_int_eq(net_tls_offer(client, offer), 0);
  shake_hands();
  const char *chosen = mbedtls_ssl_get_alpn_protocol(&client->ssl);
  const bool ours = strcmp(offer, "stun.turn") == 0 || strcmp(offer, "stun.nat-discovery") == 0;
  ck_assert(ours ? chosen && strcmp(chosen, offer) == 0 : !chosen);
  /* The next one on the same certificate. */
  net_tls_free(client);
  net_tls_free(server);
  start(65536);
  ck_assert_int_eq(net_tls_offer(client, "stun.turn"), 0);
  shake_hands();
  ck_assert_ptr_nonnull(mbedtls_ssl_get_alpn_protocol(&client->ssl));
  stop();
}
END_TEST

/* Whatever a hello is, it is read to its end at the most; and what it offers does not depend on how it is cut. */
START_TEST(test_hellos)
{
  static const char *const ours[] = {"stun.turn", NULL};
  fzt_prng prng = {fzt_seed("hellos")};
  make(0);
  start(65536);
  ck_assert_int_eq(net_tls_offer(client, "stun.turn"), 0);
  ck_assert_int_eq(net_tls_handshake(client), NET_TLS_WANT_READ);
  for (unsigned round = 0; round < 20000; round++) {
    uint8_t hello[2048];
    const size_t len = ways[1].len;
    ck_assert_uint_lt(len, sizeof hello);
    memcpy(hello, ways[1].data, len);
    for (uint64_t i = fzt_below(&prng, 4) * (round > 0); i; i--)
      hello[fzt_below(&prng, len)] = (uint8_t)fzt_below(&prng, 256);
    net_tls_hello whole = {0}, cut = {0};
    net_tls_hello_read(&whole, hello, len, ours);
    for (size_t at = 0, n; at < len; at += n) {
      n = 1 + (size_t)fzt_below(&prng, len - at);
      net_tls_hello_read(&cut, hello + at, n, ours);
    }
    fzt_check(memcmp(&whole, &cut, sizeof whole) == 0);
    fzt_check(round || (whole.done && whole.offers && whole.known));
  }
  stop();
}
END_TEST

START_TEST(test_what_is_no_hello)
{
  make(0);
  start(65536);
  memcpy(ways[1].data, "GET / HTTP/1.1\r\n\r\n", 18);
  ways[1].len = 18;
  ck_assert_int_eq(net_tls_handshake(server), NET_TLS_FAILED);
  ck_assert_int_gt((int)strlen(net_tls_error(server)), 0);
  stop();
}
END_TEST

START_TEST(test_client_refuses)
{
  make(0);
  net_trust_free(trust);
  net_tls_identity_drop(identity);
  const fzt_cert mine = cert;
  make(0); /* another authority */
  net_tls_identity_drop(identity);
  char error[NET_TLS_ERROR_MAX];
  identity = load(mine.cert, mine.key, error);
  ck_assert_ptr_nonnull(identity);
  start(65536);
  int failed = 0;
  for (unsigned turn = 0; turn < 10 && !failed; turn++) {
    net_tls_handshake(client);
    failed = net_tls_handshake(server) == NET_TLS_FAILED;
  }
  ck_assert(failed);
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
  /* mbedTLS 3.6 cannot read an alert of its own client within a handshake of TLS 1.3. */
  ck_assert_int_gt((int)strlen(net_tls_error(server)), 0);
#else
  ck_assert_ptr_nonnull(strstr(net_tls_error(server), "the client refused it, with alert"));
#endif
  stop();
}
END_TEST

/* Its password is not known to anybody. */
static const char locked_key[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                 "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjuYnewCefNNQICCAAw\n"
                                 "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJFzcXh73fmp3DVnQMoqrBgEgZDn\n"
                                 "zxvPZGfRq2gYvripHp47dBevw9IZc9wj0molQ93DKbu5uKI0gxKzbf6ogJc65214\n"
                                 "7DuSXW6IFCsXwiz4aBRj5eemsZXmuwrpkLTtZ/zyuD7KBeOU0bMBkVujayTZ5DdG\n"
                                 "ij2l5Rn4KD5doBVNBy+W8TSoD8ZszBmuVhAhrtV/DKrpxPdDulXEeQgK8tvf+1Y=\n"
                                 "-----END ENCRYPTED PRIVATE KEY-----\n";

START_TEST(test_files)
{
  char error[NET_TLS_ERROR_MAX], end[64];
  make(0);
  const fzt_cert mine = cert;
  net_tls_identity_end(identity, end, sizeof end);
  ck_assert_str_eq(end, "2099-12-31 23:59:59");
  net_trust_free(trust);
  net_tls_identity_drop(identity);
  make(1);
  ck_assert_ptr_null(load(mine.cert, cert.key, error));
  ck_assert_ptr_nonnull(strstr(error, "the key is not that of the certificate"));
  ck_assert_ptr_null(load("", cert.key, error));
  ck_assert_ptr_nonnull(
      strstr(error, "the file with the certificate: there is no certificate in it (X509 - "));
  ck_assert_ptr_null(load(cert.key, cert.key, error));
  ck_assert_ptr_nonnull(
      strstr(error, "the file with the certificate: there is no certificate in it, but a key ("));
  ck_assert_ptr_null(load("-----BEGIN CERTIFICATE-----\n", cert.key, error));
  ck_assert_ptr_nonnull(strstr(error, "the file with the certificate: X509 - "));
  ck_assert_ptr_null(load(cert.cert, cert.cert, error));
  ck_assert_ptr_nonnull(strstr(error, "the file with the key: there is no key in it (PK - "));
  ck_assert_ptr_null(load(cert.cert, locked_key, error));
  ck_assert_ptr_nonnull(strstr(error, "the file with the key: the key is encrypted (PK - "));
  ck_assert_ptr_null(load(cert.cert, "-----BEGIN", error));
  ck_assert_ptr_nonnull(strstr(error, "the file with the key"));
  net_trust_free(trust);
  net_tls_identity_drop(identity);
  const fzt_cert_spec old = {
      .common_name = "x", .not_before = "20010101000000", .not_after = "20020101000000"};
  fzt_cert_make(&old, NULL, NULL, &cert);
  identity = load(cert.cert, cert.key, error);
  ck_assert(identity && net_tls_identity_is_out_of_date(identity));
  net_tls_identity_drop(identity);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("tls_server");
  TCase *tc = tcase_create("tls_server");
  tcase_add_loop_test(tc, test_talk, 0, 6);
  tcase_add_loop_test(tc, test_no_memory, 0, 2);
  tcase_add_test(tc, test_fragment_length);
  tcase_add_test(tc, test_ciphers);
  tcase_add_loop_test(tc, test_behind_finished, 0, 6);
  tcase_add_test(tc, test_numbers);
  tcase_add_loop_test(tc, test_protocols, 0, 10);
  tcase_add_test(tc, test_hellos);
  tcase_add_test(tc, test_what_is_no_hello);
  tcase_add_test(tc, test_client_refuses);
  tcase_add_test(tc, test_files);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
