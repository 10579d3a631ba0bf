/* SPDX-License-Identifier: Apache-2.0 */
/* Name look-ups on their thread, and the race for a connection, on loopback. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/race.h"
#include "net/resolve.h"
#include "firezone_relay/socket.h"
#include "testing.h"

static struct event_base *base;
static unsigned threads;

static unsigned entries(const char *path)
{
  unsigned n = 0;
  DIR *dir = opendir(path);
  ck_assert_ptr_nonnull(dir);
  while (readdir(dir) != NULL)
    n++;
  (void)closedir(dir);
  return n;
}

static unsigned open_fds(void)
{
  return entries("/proc/self/fd");
}

static void setup(void)
{
  threads = entries("/proc/self/task");
  base = event_base_new();
  ck_assert_ptr_nonnull(base);
}

/* A look-up's thread is detached, and closes its descriptor last: the next test must not count it. */
static void teardown(void)
{
  event_base_free(base);
  while (entries("/proc/self/task") > threads)
    (void)sched_yield();
}

typedef struct answer {
  fzr_addr addrs[NET_MAX_ADDRS];
  size_t count;
  char error[160];
  unsigned calls;
  int fd;
} answer;

static void on_resolved(void *ctx, const fzr_addr *addrs, size_t count, const char *error)
{
  answer *a = ctx;
  a->calls++;
  a->count = count;
  memcpy(a->addrs, addrs, count * sizeof addrs[0]);
  (void)snprintf(a->error, sizeof a->error, "%s", error != NULL ? error : "");
}

START_TEST(localhost)
{
  answer a = {0};
  net_resolver *resolver = net_resolver_new(base, "localhost", 8081, NULL);
  ck_assert_ptr_nonnull(resolver);
  for (unsigned i = 1; i < 20; i++) {
    ck_assert_int_eq(net_resolver_start(resolver, on_resolved, &a), 0);
    while (a.calls < i)
      (void)event_base_loop(base, EVLOOP_ONCE);
    ck_assert_uint_ge(a.count, 1);
    for (size_t k = 0; k < a.count; k++)
      ck_assert_uint_eq(a.addrs[k].port, 8081);
  }
  net_resolver_free(resolver);
}
END_TEST

static int no_such_name(const char *node, const char *service, const struct addrinfo *hints,
                        struct addrinfo **out)
{
  (void)node;
  (void)service;
  (void)hints;
  *out = NULL;
  return EAI_NONAME;
}

START_TEST(unknown_name)
{
  answer a = {0};
  net_resolver *resolver = net_resolver_new(base, "nowhere", 1, no_such_name);
  ck_assert_int_eq(net_resolver_start(resolver, on_resolved, &a), 0);
  while (a.calls == 0)
    (void)event_base_loop(base, EVLOOP_ONCE);
  ck_assert_uint_eq(a.count, 0);
  ck_assert_str_ne(a.error, "");
  net_resolver_free(resolver);
}
END_TEST

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static bool is_open;
static unsigned lookups, ended;

/* A name server that says nothing until the gate is opened. */
static int stuck(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
  (void)pthread_mutex_lock(&gate);
  lookups++;
  while (!is_open)
    (void)pthread_cond_wait(&opened, &gate);
  ended++;
  (void)pthread_cond_broadcast(&opened);
  (void)pthread_mutex_unlock(&gate);
  return getaddrinfo(node, service, hints, out);
}

static void open_gate(void)
{
  (void)pthread_mutex_lock(&gate);
  is_open = true;
  (void)pthread_cond_broadcast(&opened);
  (void)pthread_mutex_unlock(&gate);
}

/* Attempts come and go while the name server is silent: the loop goes on, there is one thread, its answer is used when it comes. */
START_TEST(slow_name_server)
{
  answer a = {0};
  is_open = false;
  lookups = ended = 0;
  net_resolver *resolver = net_resolver_new(base, "127.0.0.1", 1, stuck);
  for (int i = 0; i < 50; i++) {
    ck_assert_int_eq(net_resolver_start(resolver, on_resolved, &a), 0);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    net_resolver_cancel(resolver);
  }
  ck_assert_int_eq(net_resolver_start(resolver, on_resolved, &a), 0);
  ck_assert_uint_eq(a.calls, 0);
  open_gate();
  while (a.calls == 0)
    (void)event_base_loop(base, EVLOOP_ONCE);
  ck_assert_uint_eq(a.count, 1);
  ck_assert_uint_eq(lookups, 1);
  net_resolver_free(resolver);
}
END_TEST

START_TEST(freed_while_looking_up)
{
  answer a = {0};
  is_open = false;
  lookups = ended = 0;
  net_resolver *resolver = net_resolver_new(base, "127.0.0.1", 1, stuck);
  ck_assert_int_eq(net_resolver_start(resolver, on_resolved, &a), 0);
  net_resolver_free(resolver);
  open_gate();
  (void)pthread_mutex_lock(&gate);
  while (ended == 0)
    (void)pthread_cond_wait(&opened, &gate);
  (void)pthread_mutex_unlock(&gate);
  (void)event_base_loop(base, EVLOOP_NONBLOCK);
  ck_assert_uint_eq(a.calls, 0);
}
END_TEST

START_TEST(families_alternate)
{
  static const struct {
    const char *in, *out;
  } cases[] = {{"4", "4"},     {"6644", "6464"}, {"4466", "4646"},   {"66644", "64646"},
               {"666", "666"}, {"6446", "6464"}, {"44446", "46444"}, {"", ""}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    fzr_addr addrs[8];
    char out[9] = "", order[2][9] = {"", ""};
    const size_t n = strlen(cases[i].in);
    for (size_t k = 0; k < n; k++) {
      addrs[k] = fzt_addr(cases[i].in[k] == '4' ? "1.2.3.4" : "::1");
      addrs[k].port = (uint16_t)(k + 1);
    }
    net_interleave(addrs, n);
    for (size_t k = 0; k < n; k++) {
      out[k] = addrs[k].family == FZR_FAMILY_IPV4 ? '4' : '6';
      char *family = order[addrs[k].family == FZR_FAMILY_IPV4];
      family[strlen(family)] = (char)('0' + addrs[k].port);
    }
    ck_assert_str_eq(out, cases[i].out);
    for (int f = 0; f < 2; f++) { /* within a family the order stays */
      for (size_t k = 1; k < strlen(order[f]); k++)
        ck_assert(order[f][k - 1] < order[f][k]);
    }
  }
}
END_TEST

static int listener(fzr_addr *addr)
{
  fzr_sockaddr ss;
  *addr = fzt_addr("127.0.0.1");
  socklen_t len = fzr_addr_to_sockaddr(addr, &ss);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(bind(fd, &ss.any, len), 0);
  ck_assert_int_eq(listen(fd, 8), 0);
  ck_assert_int_eq(getsockname(fd, &ss.any, &len), 0);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&ss.any, len, addr), 0);
  return fd;
}

/* A port that takes no connection and refuses none: a listener whose queue is full. */
static int full_listener(fzr_addr *addr, int fillers[8])
{
  fzr_sockaddr ss;
  const int fd = listener(addr);
  ck_assert_int_eq(listen(fd, 0), 0);
  const socklen_t len = fzr_addr_to_sockaddr(addr, &ss);
  for (int i = 0; i < 8; i++) {
    fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)connect(fillers[i], &ss.any, len);
  }
  return fd;
}

static void on_raced(void *ctx, int fd, const fzr_addr *addr, const char *error)
{
  answer *a = ctx;
  a->calls++;
  a->fd = fd;
  if (fd >= 0)
    a->addrs[0] = *addr;
  else
    (void)snprintf(a->error, sizeof a->error, "%s", error);
}

static void race(answer *a, const fzr_addr *addrs, size_t count, fzr_time timeout)
{
  memset(a, 0, sizeof *a);
  net_race *r = net_race_new(base, addrs, count, timeout, on_raced, a);
  ck_assert_ptr_nonnull(r);
  while (a->calls == 0)
    (void)event_base_loop(base, EVLOOP_ONCE);
  net_race_free(r);
  ck_assert_uint_eq(a->calls, 1);
}

START_TEST(refused_ones_are_passed_over_at_once)
{
  answer a;
  fzr_addr addrs[3];
  const unsigned before = open_fds();
  const int fd = listener(&addrs[2]);
  addrs[0] = fzt_addr("127.0.0.1:1");
  addrs[1] = fzt_addr("[::1]:1");
  race(&a, addrs, 3, 5 * FZR_SECOND);
  ck_assert_int_ge(a.fd, 0);
  ck_assert(fzr_addr_equal(&a.addrs[0], &addrs[2]));
  (void)close(a.fd);
  (void)close(fd);
  ck_assert_uint_eq(open_fds(), before);
}
END_TEST

START_TEST(silent_one_is_overtaken)
{
  answer a;
  fzr_addr addrs[2];
  int fillers[8];
  const unsigned before = open_fds();
  const int full = full_listener(&addrs[0], fillers);
  const int fd = listener(&addrs[1]);
  race(&a, addrs, 2, 5 * FZR_SECOND);
  ck_assert_int_ge(a.fd, 0);
  ck_assert(fzr_addr_equal(&a.addrs[0], &addrs[1]));
  (void)close(a.fd);
  (void)close(fd);
  (void)close(full);
  for (int i = 0; i < 8; i++)
    (void)close(fillers[i]);
  ck_assert_uint_eq(open_fds(), before);
}
END_TEST

START_TEST(all_fail)
{
  answer a;
  int fillers[8];
  fzr_addr addrs[2];
  addrs[0] = fzt_addr("127.0.0.1:1");
  race(&a, addrs, 1, 5 * FZR_SECOND);
  ck_assert_int_eq(a.fd, -1);
  ck_assert_str_eq(a.error, "cannot connect to 127.0.0.1:1: Connection refused");
  const int full = full_listener(&addrs[1], fillers);
  race(&a, addrs, 2, 50 * FZR_MILLISECOND);
  ck_assert_int_eq(a.fd, -1);
  ck_assert_ptr_nonnull(strstr(a.error, "timed out"));
  (void)close(full);
  for (int i = 0; i < 8; i++)
    (void)close(fillers[i]);
}
END_TEST

START_TEST(freed_in_the_middle)
{
  answer a = {0};
  int fillers[8];
  fzr_addr addrs[2];
  const unsigned before = open_fds();
  const int full = full_listener(&addrs[0], fillers);
  addrs[1] = addrs[0];
  net_race *r = net_race_new(base, addrs, 2, 5 * FZR_SECOND, on_raced, &a);
  (void)event_base_loop(base, EVLOOP_ONCE);
  net_race_free(r);
  (void)event_base_loop(base, EVLOOP_NONBLOCK);
  ck_assert_uint_eq(a.calls, 0);
  (void)close(full);
  for (int i = 0; i < 8; i++)
    (void)close(fillers[i]);
  ck_assert_uint_eq(open_fds(), before);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net");
  TCase *tc = tcase_create("net");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, localhost);
  tcase_add_test(tc, unknown_name);
  tcase_add_test(tc, slow_name_server);
  tcase_add_test(tc, freed_while_looking_up);
  tcase_add_test(tc, families_alternate);
  tcase_add_test(tc, refused_ones_are_passed_over_at_once);
  tcase_add_test(tc, silent_one_is_overtaken);
  tcase_add_test(tc, all_fail);
  tcase_add_test(tc, freed_in_the_middle);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
