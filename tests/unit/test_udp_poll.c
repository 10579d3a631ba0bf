/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter's own loop: real sockets on loopback, and the system's clocks. */
#include "testing.h"

#include "firezone_relay/socket.h"
#include "firezone_relay/udp.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECRET "a secret of sixteen bytes and more"

static fzr_engine *engine;
static fzr_udp *udp;
static fzr_addr server;
static int client;
static fzr_driver *driver; /* one that they share with an adapter by which the client comes; NULL: none */
static uint8_t last[1500]; /* what that adapter sent */
static size_t last_len;

static void make(const char *bind_ip4)
{
  fzr_config config = fzr_config_init();
  config.random = fzr_udp_random;
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = SECRET;
  config.public_ip4 = fzt_addr("127.0.0.1");
  fzr_udp_config adapter = fzr_udp_config_init();
  if (bind_ip4)
    adapter.bind_ip4 = fzt_addr(bind_ip4);
  ck_assert_int_eq(fzr_udp_new(&adapter, &udp, NULL), 0);
  ck_assert_int_eq(fzr_engine_new(&config, &engine, fzr_udp_now()), 0);
}

static void start_on(const char *bind_ip4)
{
  make(bind_ip4);
  ck_assert_int_eq(fzr_udp_attach(udp, engine), 0);
  server = fzt_addr("127.0.0.1");
  server.port = fzr_udp_listen_port(udp);
  client = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  fzr_sockaddr name;
  const socklen_t len = fzr_addr_to_sockaddr(&server, &name);
  ck_assert_int_eq(connect(client, &name.any, len), 0);
}

static void start(void)
{
  start_on("127.0.0.1");
}

static void stop(void)
{
  fzr_udp_free(udp);
  fzr_engine_free(engine);
  close(client);
}

static void other_forward(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  (void)io;
  (void)verdicts;
  (void)n;
  (void)now;
}

static void other_transmit(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  (void)io;
  (void)now;
  ck_assert_uint_eq(n, 1);
  ck_assert_uint_le(answers->len, sizeof last);
  memcpy(last, answers->data, answers->len);
  last_len = answers->len;
}

/* By the other adapter of the driver. The loop takes no turn. */
static void ask_other(const uint8_t *data, size_t len, fzr_stun_msg *answer)
{
  fzr_pkt pkt = {.data = data, .len = (uint32_t)len, .from = fzt_addr("198.51.100.1:4000")};
  pkt.to = server;
  pkt.from.transport = pkt.to.transport = FZR_TRANSPORT_TCP;
  last_len = 0;
  fzr_driver_rx(driver, FZR_SIDE_CLIENT, &pkt, 1, fzr_udp_now());
  ck_assert_int_eq(fzr_stun_read(last, last_len, answer), 0);
}

/* Sends |request| and has the relay work until its answer is there. */
static void ask(fzr_stun_builder *request, fzr_stun_msg *answer)
{
  static uint8_t bytes[1500];
  ssize_t n = -1;
  const int len = fzr_stun_build_finish(request);
  ck_assert_int_gt(len, 0);
  if (driver) {
    ask_other(request->data, (size_t)len, answer);
    return;
  }
  ck_assert_int_eq(send(client, request->data, (size_t)len, 0), len);
  const fzr_time end = fzr_udp_now() + 10 * FZR_SECOND;
  while ((n = recv(client, bytes, sizeof bytes, 0)) < 0 && fzr_udp_now() < end)
    ck_assert_int_eq(fzr_udp_poll(udp, FZR_SECOND), 0);
  ck_assert_int_gt(n, 0);
  ck_assert_int_eq(fzr_stun_read(bytes, (size_t)n, answer), 0);
}

static fzr_stun_builder begin(uint16_t method)
{
  static uint8_t bytes[1500];
  static const uint8_t txid[FZR_STUN_TXID_LEN] = {1, 2, 3};
  fzr_stun_builder b;
  fzr_stun_build(&b, bytes, sizeof bytes, method, FZR_STUN_REQUEST, txid);
  return b;
}

START_TEST(test_answers)
{
  fzr_stun_msg answer;
  fzr_stun_builder b = begin(FZR_STUN_BINDING);
  ask(&b, &answer);
  ck_assert_uint_eq(fzr_stun_error_code(&answer), 0);
}
END_TEST

/* Allocates with a credential that is good until |expiry|. Returns the error code. */
static unsigned allocate(uint64_t expiry)
{
  char user[64], password[FZR_STAMP_PASSWORD_LEN + 1], nonce[128];
  uint8_t key[FZR_STUN_KEY_LEN];
  fzr_stun_msg answer;
  fzr_stun_attr attr;
  fzr_stun_builder b = begin(FZR_STUN_ALLOCATE);
  ask(&b, &answer);
  ck_assert_uint_eq(fzr_stun_error_code(&answer), 401);
  ck_assert(fzr_stun_get(&answer, FZR_ATTR_NONCE, &attr) && attr.len <= sizeof nonce);
  memcpy(nonce, attr.value, attr.len);
  const int len = snprintf(user, sizeof user, "%llu:salt", (unsigned long long)expiry);
  ck_assert_int_gt(
      fzr_auth_stamp_password(SECRET, expiry, (const uint8_t *)"salt", 4, password, sizeof password), 0);
  ck_assert_int_eq(
      fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)user, (size_t)len, "firezone", password, key),
      sizeof key);
  b = begin(FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_USERNAME, user, (size_t)len);
  fzr_stun_add(&b, FZR_ATTR_REALM, "firezone", 8);
  fzr_stun_add(&b, FZR_ATTR_NONCE, nonce, attr.len);
  fzr_stun_add_integrity(&b, key, sizeof key);
  ask(&b, &answer);
  return fzr_stun_error_code(&answer);
}

/* Nobody has to tell the engine: credentials end when they should. */
START_TEST(test_knows_what_time_it_is)
{
  const uint64_t now = (uint64_t)time(NULL);
  ck_assert_uint_eq(allocate(now - 1000), 401);
  ck_assert_uint_eq(allocate(now + 1000), 0);
}
END_TEST

/* And so at once, also for who comes by another adapter of the driver. */
START_TEST(test_knows_before_the_first_turn)
{
  static const fzr_io_ops other = {
      .size = sizeof other, .forward = other_forward, .transmit = other_transmit};
  const uint64_t now = (uint64_t)time(NULL);
  make("127.0.0.1");
  server = fzt_addr("127.0.0.1:3478");
  ck_assert_int_eq(fzr_driver_new(engine, NULL, &driver), 0);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_TCP, &other, NULL), 0);
  ck_assert_int_eq(fzr_udp_attach_to(udp, driver), 0);
  ck_assert_uint_eq(allocate(now - 1000), 401);
  ck_assert_uint_eq(allocate(now + 1000), 0);
  fzr_udp_free(udp);
  fzr_driver_free(driver);
  fzr_engine_free(engine);
  driver = NULL;
}
END_TEST

/* ---- waiting ---- */

START_TEST(test_waits)
{
  while (fzr_udp_deadline(udp) <= fzr_udp_now() + FZR_SECOND)
    ck_assert_int_eq(fzr_udp_poll(udp, 0), 0);
  const fzr_time before = fzr_udp_now();
  ck_assert_int_eq(fzr_udp_poll(udp, 20 * FZR_MILLISECOND), 0);
  ck_assert_uint_ge(fzr_udp_now() - before, 20 * FZR_MILLISECOND);
}
END_TEST

/* Of a moment that has passed nothing is left to wait for. */
START_TEST(test_passed_moment)
{
  static const fzr_time wrapped[] = {(fzr_time)-1 - 1, (fzr_time)-20 * FZR_MILLISECOND,
                                     (fzr_time)INT64_MAX + 1};
  for (unsigned i = 0; i < sizeof wrapped / sizeof *wrapped; i++) {
    while (fzr_udp_deadline(udp) <= fzr_udp_now() + FZR_SECOND)
      ck_assert_int_eq(fzr_udp_poll(udp, 0), 0);
    const fzr_time deadline = fzr_udp_deadline(udp);
    ck_assert_int_eq(fzr_udp_poll(udp, wrapped[i]), 0);
    ck_assert_uint_lt(fzr_udp_now(), deadline);
  }
}
END_TEST

static void on_alarm(int number)
{
  (void)number;
}

/* A host that is told to end by a signal gets to see it. */
START_TEST(test_signal_ends_the_waiting)
{
  const struct sigaction action = {.sa_handler = on_alarm};
  const struct itimerval soon = {.it_value = {0, 20000}, .it_interval = {0, 20000}}, never = {{0, 0}, {0, 0}};
  struct sigaction before;
  sigaction(SIGALRM, &action, &before);
  setitimer(ITIMER_REAL, &soon, NULL);
  const int error = fzr_udp_poll(udp, FZR_TIME_NEVER);
  setitimer(ITIMER_REAL, &never, NULL);
  sigaction(SIGALRM, &before, NULL);
  ck_assert_int_eq(error, 0);
}
END_TEST

/* ---- who may call it ---- */

static int never_watch(void *ctx, int fd, unsigned events, void *token, void **slot)
{
  (void)ctx;
  (void)fd;
  (void)events;
  *slot = token;
  return 0;
}

static void never_unwatch(void *ctx, int fd, void *slot)
{
  (void)ctx;
  (void)fd;
  (void)slot;
}

START_TEST(test_misuse)
{
  fzr_udp *other;
  fzr_udp_config c = fzr_udp_config_init();
  c.bind_ip4 = fzt_addr("127.0.0.1");
  ck_assert_int_eq(fzr_udp_poll(NULL, 0), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_udp_poll_fd(NULL), -1);
  ck_assert_int_eq(fzr_udp_new(&c, &other, NULL), 0);
  ck_assert_int_eq(fzr_udp_poll(other, 0), FZR_ERR_INVALID_STATE); /* not attached */
  fzr_udp_free(other);
  c.watch = never_watch;
  ck_assert_int_eq(fzr_udp_new(&c, &other, NULL), FZR_ERR_INVALID_ARGUMENT);
  c.unwatch = never_unwatch;
  ck_assert_int_eq(fzr_udp_new(&c, &other, NULL), 0);
  ck_assert_int_eq(fzr_udp_attach(other, engine), 0);
  ck_assert_int_eq(fzr_udp_poll(other, 0), FZR_ERR_INVALID_STATE); /* the host watches */
  ck_assert_int_eq(fzr_udp_poll_fd(other), -1);
  fzr_udp_free(other);
}
END_TEST

static unsigned open_descriptors(void)
{
  unsigned n = 0;
  DIR *dir = opendir("/proc/self/fd");
  ck_assert_ptr_nonnull(dir);
  while (readdir(dir))
    n++;
  closedir(dir);
  return n;
}

START_TEST(test_nothing_stays_open)
{
  const unsigned before = open_descriptors();
  start();
  fzr_stun_msg answer;
  fzr_stun_builder b = begin(FZR_STUN_BINDING);
  ask(&b, &answer);
  stop();
  ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

/* A process that has no descriptors left is told so, and keeps none. */
START_TEST(test_no_descriptor_left)
{
  const unsigned before = open_descriptors();
  fzr_udp_config c = fzr_udp_config_init();
  struct rlimit limit, none;
  ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = limit;
  const int next = dup(0);
  close(next);
  int error = FZR_ERR_IO_NO_SOCKET;
  unsigned failures = 0;
  for (rlim_t more = 0; error; more++) {
    none.rlim_cur = (rlim_t)next + more;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    error = fzr_udp_new(&c, &udp, NULL);
    ck_assert(!error || error == FZR_ERR_IO_NO_SOCKET);
    failures += error != 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert(!error || open_descriptors() == before);
  }
  ck_assert_uint_ge(failures, 2); /* that of the loop, and those of sockets */
  fzr_udp_free(udp);
  ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

/* With no address to bind to, all are meant. */
START_TEST(test_all_addresses)
{
  fzr_stun_msg answer;
  fzr_sockaddr name;
  start_on(NULL);
  fzr_stun_builder b = begin(FZR_STUN_BINDING);
  ask(&b, &answer);
  /* And so by IPv6, where the system has it. */
  fzr_addr server6 = fzt_addr("::1");
  server6.port = server.port;
  const socklen_t len = fzr_addr_to_sockaddr(&server6, &name);
  const int other = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (other >= 0 && connect(other, &name.any, len) == 0) {
    ck_assert_int_eq(dup2(other, client), client);
    b = begin(FZR_STUN_BINDING);
    ask(&b, &answer);
  }
  close(other);
  stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_poll");
  TCase *tc = tcase_create("udp_poll");
  tcase_add_checked_fixture(tc, start, stop);
  tcase_add_test(tc, test_answers);
  tcase_add_test(tc, test_knows_what_time_it_is);
  tcase_add_test(tc, test_waits);
  tcase_add_test(tc, test_passed_moment);
  tcase_add_test(tc, test_signal_ends_the_waiting);
  tcase_add_test(tc, test_misuse);
  suite_add_tcase(suite, tc);
  tc = tcase_create("udp_poll by itself");
  tcase_add_test(tc, test_knows_before_the_first_turn);
  tcase_add_test(tc, test_nothing_stays_open);
  tcase_add_test(tc, test_no_descriptor_left);
  tcase_add_test(tc, test_all_addresses);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
