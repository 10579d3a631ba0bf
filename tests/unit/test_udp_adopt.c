/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets go from one UDP adapter to another: nobody reads meanwhile, nothing that came or waits is lost, and all can be taken back. */
#include "udp_rig.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define UNSENT_MAX 64
#define BYTES_MAX  4096

static fzt_relay heir; /* the relay of the adopter */
static fzr_udp *adopter;
static rig_host host;
static fzr_udp_socket given[RIG_WATCHED];
static size_t given_count;

static fzr_udp_config config_of(rig_host *h)
{
  fzr_udp_config config = fzr_udp_config_init();
  config.watch = rig_watch;
  config.unwatch = rig_unwatch;
  config.watch_ctx = h;
  config.bind_ip4 = fzt_addr("127.0.0.1");
  config.bind_ip6 = fzt_addr("::1");
  return config;
}

/* The rig's adapter reads no more, and its sockets are known under descriptors of their own, as another process would have them. */
static void give_away(void)
{
  uint32_t cursor = 0;
  given_count = 0;
  ck_assert_int_eq(fzr_udp_pause(rig.udp, rig.relay.now), 0);
  /* One by one, as far as it goes. */
  while (fzr_udp_list_sockets(rig.udp, &cursor, &given[given_count], 1)) {
    given[given_count].fd = fcntl(given[given_count].fd, F_DUPFD_CLOEXEC, 0);
    ck_assert_int_ge(given[given_count++].fd, 0);
  }
}

static void close_given(void)
{
  for (size_t i = 0; i < given_count; i++)
    close(given[i].fd);
}

/* Makes the adopter, with an engine that knows nobody. */
static void take_over_with(bool disable_gso)
{
  fzr_udp_config udp = config_of(&host);
  udp.disable_gso = disable_gso;
  memset(&host, 0, sizeof host);
  memset(&heir, 0, sizeof heir);
  fzr_config config = fzt_config(&heir);
  config.public_ip4 = fzt_addr("127.0.0.1");
  config.public_ip6 = fzt_addr("::1");
  ck_assert_int_eq(fzr_udp_adopt(&udp, given, 2, &adopter, NULL), 0);
  fzt_relay_init(&heir, &config);
  ck_assert_int_eq(fzr_udp_attach(adopter, heir.engine), 0);
  ck_assert_uint_eq(fzr_udp_listen_port(adopter), rig.listen.port);
}

static void take_over(void)
{
  take_over_with(false);
}

static void end_adopter(void)
{
  fzr_udp_free(adopter);
  fzt_relay_free(&heir);
}

/* As the driver does for an allocation of the state that was loaded. */
static void *claim_port(void)
{
  void *cookie;
  ck_assert_int_eq(fzr_udp_ops()->open_port(adopter, rig.relayed.port, FZR_FAMILY_IPV4, &cookie), 0);
  return cookie;
}

static void ask_binding(uint8_t number)
{
  uint8_t buffer[64];
  const uint8_t txid[12] = {number};
  fzr_stun_builder b;
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  rig_send(rig.client_fd, &rig.listen, buffer, (size_t)fzr_stun_build_finish(&b));
}

static void expect_binding(uint8_t number)
{
  uint8_t answer[256];
  const ssize_t n = recv(rig.client_fd, answer, sizeof answer, 0);
  ck_assert(n >= 20 && answer[0] == 1 && answer[1] == 1);
  ck_assert_uint_eq(answer[8], number);
}

START_TEST(test_what_comes_in_a_pause_is_relayed_after_it)
{
  uint8_t buffer[64];
  rig_start(_i, false, false);
  ck_assert_int_eq(fzr_udp_resume(rig.udp, rig.relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_udp_pause(rig.udp, rig.relay.now), 0);
  ck_assert_int_eq(fzr_udp_pause(rig.udp, rig.relay.now), FZR_ERR_INVALID_STATE);
  ck_assert_uint_eq(fzr_udp_deadline(rig.udp), FZR_TIME_NEVER);
  const uint64_t received = rig_stats().received;
  for (unsigned i = 0; i < RIG_MIXED; i++) {
    fzr_channel_data_header(buffer, 0x4000, 40);
    rig_payload(i, 40, buffer + 4);
    rig_send(rig.client_fd, &rig.listen, buffer, 44);
    rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(100 + i, 40, buffer));
  }
  const fzr_udp_ready ready[] = {{rig.host.tokens[rig.ipv6], FZR_WATCH_READ, 0},
                                 {rig.host.tokens[2], FZR_WATCH_READ, 0}};
  fzr_udp_on_ready_batch(rig.udp, ready, 2, rig.relay.now);
  fzr_udp_on_ready(rig.udp, ready[0].token, FZR_WATCH_READ, rig.relay.now);
  /* Nor does time pass for the engine: the allocation is as it was. */
  fzr_udp_on_deadline(rig.udp, rig.relay.now + 3600 * FZR_SECOND);
  ck_assert_uint_eq(rig_stats().received, received);
  rig_expect_nothing(rig.peer_fd);
  ck_assert_int_eq(fzr_udp_resume(rig.udp, rig.relay.now), 0);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < RIG_MIXED; i++) {
    rig_expect(rig.peer_fd, i, 40, false);
    rig_expect(rig.client_fd, 100 + i, 40, true);
  }
  rig_stop();
}
END_TEST

START_TEST(test_all_sockets_are_told)
{
  rig_start(false, false, false);
  const rig_client o = rig_add_client();
  give_away();
  ck_assert_uint_eq(given_count, 4);
  ck_assert(given[0].listens && given[1].listens && !given[2].listens && !given[3].listens);
  ck_assert_int_eq(given[0].family, FZR_FAMILY_IPV4);
  ck_assert_int_eq(given[1].family, FZR_FAMILY_IPV6);
  ck_assert_uint_eq(given[2].port, rig.relayed.port);
  ck_assert_uint_eq(given[3].port, o.relayed.port);
  close_given();
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_what_comes_meanwhile_is_read_by_the_adopter_in_order)
{
  rig_start(false, false, false);
  give_away();
  for (uint8_t i = 1; i <= 8; i++)
    ask_binding(i);
  take_over();
  for (uint8_t i = 9; i <= 16; i++)
    ask_binding(i);
  const fzr_udp_ready ready = {host.tokens[0], FZR_WATCH_READ, 0};
  fzr_udp_on_ready_batch(adopter, &ready, 1, heir.now);
  rig_expect_nothing(rig.client_fd);
  fzr_udp_free(rig.udp); /* its end is none of the adopter's */
  rig.udp = NULL;
  for (uint8_t i = 17; i <= 24; i++)
    ask_binding(i);
  ck_assert_int_eq(fzr_udp_resume(adopter, heir.now), 0);
  rig_serve(&host, adopter, heir.now);
  for (uint8_t i = 1; i <= 24; i++)
    expect_binding(i);
  close(given[2].fd);
  end_adopter();
  rig_stop();
}
END_TEST

START_TEST(test_all_can_be_taken_back)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  give_away();
  for (unsigned i = 0; i < 4; i++) {
    fzr_channel_data_header(buffer, 0x4000, 40);
    rig_payload(i, 40, buffer + 4);
    rig_send(rig.client_fd, &rig.listen, buffer, 44);
  }
  take_over();
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[2].fd), 0);
  end_adopter();
  ck_assert_int_eq(fzr_udp_resume(rig.udp, rig.relay.now), 0);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < 4; i++)
    rig_expect(rig.peer_fd, i, 40, false);
  rig_stop();
}
END_TEST

/* What fzr_udp_each_unsent has told of. */
static fzr_udp_unsent unsent[UNSENT_MAX];
static uint8_t bytes[BYTES_MAX];
static size_t unsent_count, bytes_len;

static void keep(void *ctx, const fzr_udp_unsent *u)
{
  (void)ctx;
  ck_assert_uint_lt(unsent_count, UNSENT_MAX);
  ck_assert_uint_le(bytes_len + u->len, BYTES_MAX);
  unsent[unsent_count] = *u;
  unsent[unsent_count].data = memcpy(bytes + bytes_len, u->data, u->len);
  unsent_count++;
  bytes_len += u->len;
}

START_TEST(test_what_waits_to_be_sent_goes_along)
{
  rig_start(false, false, false);
  unsent_count = bytes_len = 0;
  rig_blocked_fd = rig_relay_fd();
  rig_send_mixed(0);
  rig_send_mixed(16);
  give_away();
  fzr_udp_each_unsent(rig.udp, keep, NULL);
  ck_assert_uint_gt(unsent_count, 0);
  take_over();
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[2].fd), 0);
  for (size_t i = 0; i < unsent_count; i++) {
    ck_assert(!unsent[i].listens && unsent[i].port == rig.relayed.port);
    ck_assert_int_eq(fzr_udp_adopt_unsent(adopter, &unsent[i], heir.now), 0);
  }
  fzr_udp_stats stats;
  ck_assert_int_eq(fzr_udp_get_stats(adopter, &stats), 0);
  ck_assert_uint_eq(stats.queued_packets, 32);
  rig_expect_nothing(rig.peer_fd);
  rig_blocked_fd = -1;
  fzr_udp_free(rig.udp);
  rig.udp = NULL;
  claim_port();
  ck_assert_int_eq(fzr_udp_resume(adopter, heir.now), 0);
  rig_serve(&host, adopter, heir.now);
  for (unsigned from = 0; from < 32; from += 16)
    for (unsigned i = 0; i < 16; i++)
      rig_expect(rig.peer_fd, from + i, rig_mixed[i], false);
  rig_expect_nothing(rig.peer_fd);
  end_adopter();
  rig_stop();
}
END_TEST

START_TEST(test_the_socket_of_an_allocation_that_is_over_is_closed)
{
  fzr_addr addr;
  rig_start(false, false, false);
  const rig_client o = rig_add_client();
  give_away();
  take_over();
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[2].fd), 0);
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[3].fd), 0);
  ck_assert_int_eq(fzr_udp_port_addr(adopter, claim_port(), &addr), 0);
  ck_assert_uint_eq(addr.port, rig.relayed.port);
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[2].fd), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_udp_resume(adopter, heir.now), 0);
  ck_assert_int_ge(fcntl(given[2].fd, F_GETFD), 0);
  ck_assert_int_eq(fcntl(given[3].fd, F_GETFD), -1);
  end_adopter();
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

/* It ends before anything is read: another socket that has its memory is none that nobody has claimed. */
START_TEST(test_a_socket_that_ends_before_the_resume)
{
  fzr_addr addr;
  void *cookie;
  rig_start(false, false, false);
  give_away();
  take_over();
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[2].fd), 0);
  fzr_udp_ops()->close_port(adopter, rig.relayed.port, FZR_FAMILY_IPV4, claim_port());
  const fzr_udp_unsent late = {.to = fzt_addr("127.0.0.1:9"), .port = rig.relayed.port, .count = 1};
  ck_assert_int_eq(fzr_udp_adopt_unsent(adopter, &late, heir.now), FZR_ERR_INVALID_ARGUMENT);
  uint16_t port = rig.relayed.port;
  while (fzr_udp_ops()->open_port(adopter, ++port, FZR_FAMILY_IPV4, &cookie))
    ck_assert_uint_ne(port, 0);
  ck_assert_int_eq(fzr_udp_resume(adopter, heir.now), 0);
  ck_assert_int_eq(fzr_udp_port_addr(adopter, cookie, &addr), 0);
  ck_assert_uint_eq(addr.port, port);
  fzr_udp_stats stats;
  ck_assert_int_eq(fzr_udp_get_stats(adopter, &stats), 0);
  ck_assert_uint_eq(stats.sockets, 3);
  end_adopter();
  rig_stop();
}
END_TEST

/* What goes over while the other one still reads may be closed there, and its port opened again. */
START_TEST(test_a_later_socket_of_a_port_replaces_the_one_before)
{
  fzr_addr addr;
  rig_start(false, false, false);
  give_away();
  take_over();
  const int early = fcntl(given[2].fd, F_DUPFD_CLOEXEC, 0);
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, early), 0);
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[2].fd), 0);
  ck_assert_int_eq(fcntl(early, F_GETFD), -1);
  fzr_udp_stats stats;
  ck_assert_int_eq(fzr_udp_get_stats(adopter, &stats), 0);
  ck_assert_uint_eq(stats.sockets, 3);
  ck_assert_int_eq(fzr_udp_port_addr(adopter, claim_port(), &addr), 0);
  ck_assert_int_eq(fzr_udp_resume(adopter, heir.now), 0);
  ck_assert_int_ge(fcntl(given[2].fd, F_GETFD), 0);
  end_adopter();
  rig_stop();
}
END_TEST

START_TEST(test_what_was_opened_later_has_a_higher_number)
{
  fzr_udp_socket all[8];
  uint32_t cursor = 0;
  rig_start(false, false, false);
  ck_assert_uint_eq(fzr_udp_list_sockets(rig.udp, &cursor, all, 8), 3);
  uint64_t newest = 0;
  for (size_t i = 0; i < 3; i++)
    newest = all[i].serial > newest ? all[i].serial : newest;
  const rig_client o = rig_add_client();
  cursor = 0;
  ck_assert_uint_eq(fzr_udp_list_sockets(rig.udp, &cursor, all, 8), 4);
  for (size_t i = 0; i < 4; i++)
    ck_assert_int_eq(all[i].serial > newest, !all[i].listens && all[i].port == o.relayed.port);
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

static int option_of(int fd, int level, int name)
{
  int value = -1;
  socklen_t len = sizeof value;
  ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
  return value;
}

/* Only where they differ is anything to be done while nobody reads; and until then nothing of a socket changes. */
START_TEST(test_options_are_those_of_the_adopter)
{
  rig_start(false, false, false);
  give_away();
  const int fd = given[2].fd, before = _i & 1, off = 0, on = 1;
  ck_assert_int_eq(setsockopt(fd, IPPROTO_UDP, UDP_GRO, before ? &on : &off, sizeof on), 0);
  ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_RECVERR, before ? &on : &off, sizeof on), 0);
  take_over_with(_i & 2);
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, fd), 0);
  claim_port();
  ck_assert_int_eq(option_of(fd, IPPROTO_UDP, UDP_GRO), before);
  ck_assert_int_eq(option_of(fd, IPPROTO_IP, IP_RECVERR), before);
  ck_assert_int_eq(fzr_udp_resume(adopter, heir.now), 0);
  ck_assert_int_eq(option_of(fd, IPPROTO_UDP, UDP_GRO), !(_i & 2));
  ck_assert_int_eq(option_of(fd, IPPROTO_IP, IP_RECVERR), fzr_engine_wants_peer_errors(heir.engine));
  end_adopter();
  rig_stop();
}
END_TEST

START_TEST(test_a_pause_sends_what_can_be_sent)
{
  rig_start(false, false, false);
  unsent_count = bytes_len = 0;
  rig_blocked_fd = rig_relay_fd();
  rig_send_mixed(0);
  rig_blocked_fd = -1;
  ck_assert_int_eq(fzr_udp_pause(rig.udp, rig.relay.now), 0);
  rig_expect_mixed(0);
  fzr_udp_each_unsent(rig.udp, keep, NULL);
  ck_assert_uint_eq(unsent_count, 0);
  rig_stop();
}
END_TEST

START_TEST(test_what_contradicts_itself_does_not_wait)
{
  const fzr_addr to = fzt_addr("127.0.0.1:9");
  rig_start(false, false, false);
  give_away();
  take_over();
  const fzr_udp_unsent wrong[] = {
      {.to = to, .listens = true, .data = bytes, .len = 100, .seg = 50, .count = 0},
      {.to = to, .listens = true, .data = bytes, .len = 100, .seg = 50, .count = 3},
      {.to = to, .listens = true, .data = bytes, .len = 101, .seg = 50, .count = 2},
      {.to = to, .listens = true, .data = bytes, .len = 49, .seg = 50, .count = 2},
      {.to = to, .listens = true, .data = bytes, .len = 100, .seg = 0, .count = 2},
      {.to = to, .listens = true, .data = bytes, .len = 65536, .seg = 65535, .count = 1},
      {.to = to, .listens = true, .data = NULL, .len = 1, .seg = 1, .count = 1},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    ck_assert_int_eq(fzr_udp_adopt_unsent(adopter, &wrong[i], 0), FZR_ERR_INVALID_ARGUMENT);
  fzr_udp_stats stats;
  ck_assert_int_eq(fzr_udp_get_stats(adopter, &stats), 0);
  ck_assert_uint_eq(stats.queued_packets, 0);
  /* Empty datagrams are datagrams. */
  const fzr_udp_unsent none = {.to = to, .listens = true, .count = 1};
  ck_assert_int_eq(fzr_udp_adopt_unsent(adopter, &none, 0), 0);
  ck_assert_int_eq(fzr_udp_get_stats(adopter, &stats), 0);
  ck_assert_uint_eq(stats.queued_packets, 1);
  close(given[2].fd);
  end_adopter();
  rig_stop();
}
END_TEST

/* What is not adopted stays its caller's, open and as it was. */
static void refused(const fzr_udp_config *config, const fzr_udp_socket *listen, size_t n, int error)
{
  int sys_errno;
  ck_assert_int_eq(fzr_udp_adopt(config, listen, n, &adopter, &sys_errno), error);
  for (size_t i = 0; i < n; i++)
    ck_assert_int_ge(fcntl(listen[i].fd, F_GETFD), 0);
}

START_TEST(test_what_is_not_adopted)
{
  int pipes[2];
  rig_start(false, false, false);
  give_away();
  fzr_udp_config config = config_of(&host);
  ck_assert_int_eq(pipe(pipes), 0);
  const int unbound = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
  const int wrong[] = {pipes[0], unbound, tcp};
  const int errors[] = {FZR_ERR_IO, FZR_ERR_INVALID_ARGUMENT, FZR_ERR_INVALID_ARGUMENT};
  for (size_t i = 0; i < 3; i++) {
    const fzr_udp_socket two[2] = {given[0], {.fd = wrong[i]}};
    refused(&config, two, 2, errors[i]);
  }
  const fzr_udp_socket twice[2] = {given[0], given[0]}, other_port[2] = {given[0], given[2]};
  refused(&config, twice, 2, FZR_ERR_INVALID_ARGUMENT);
  refused(&config, other_port, 2, FZR_ERR_INVALID_ARGUMENT);
  refused(&config, given, 0, FZR_ERR_INVALID_ARGUMENT);
  config.bind_ip4 = fzt_addr("127.0.0.2");
  refused(&config, given, 2, FZR_ERR_CONFIG_ADDRESS);
  config.bind_ip4 = (fzr_addr){0};
  refused(&config, given, 2, FZR_ERR_CONFIG_ADDRESS);
  take_over();
  for (size_t i = 0; i < 3; i++)
    ck_assert_int_eq(fzr_udp_adopt_port(adopter, wrong[i]), errors[i]);
  host.refuse = true;
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[2].fd), FZR_ERR_IO_NO_SOCKET);
  host.refuse = false;
  ck_assert_int_eq(fzr_udp_adopt_port(rig.udp, given[2].fd), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_udp_resume(adopter, heir.now), 0);
  ck_assert_int_eq(fzr_udp_adopt_port(adopter, given[2].fd), FZR_ERR_INVALID_STATE);
  ck_assert_int_ge(fcntl(given[2].fd, F_GETFD), 0);
  for (size_t i = 0; i < 3; i++)
    close(wrong[i]);
  close(pipes[1]);
  close(given[2].fd);
  end_adopter();
  rig_stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp-adopt");
  TCase *tc = tcase_create("udp");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, test_what_comes_in_a_pause_is_relayed_after_it, 0, 2);
  tcase_add_test(tc, test_all_sockets_are_told);
  tcase_add_test(tc, test_what_comes_meanwhile_is_read_by_the_adopter_in_order);
  tcase_add_test(tc, test_all_can_be_taken_back);
  tcase_add_test(tc, test_what_waits_to_be_sent_goes_along);
  tcase_add_test(tc, test_the_socket_of_an_allocation_that_is_over_is_closed);
  tcase_add_test(tc, test_a_socket_that_ends_before_the_resume);
  tcase_add_test(tc, test_a_later_socket_of_a_port_replaces_the_one_before);
  tcase_add_test(tc, test_what_was_opened_later_has_a_higher_number);
  tcase_add_loop_test(tc, test_options_are_those_of_the_adopter, 0, 4);
  tcase_add_test(tc, test_a_pause_sends_what_can_be_sent);
  tcase_add_test(tc, test_what_contradicts_itself_does_not_wait);
  tcase_add_test(tc, test_what_is_not_adopted);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
