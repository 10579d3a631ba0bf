/* SPDX-License-Identifier: Apache-2.0 */
/* Which options a successor may have, and what may end it when. */
#include "testing.h"

#include "handover_in.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static options o;
static handover_message offer;
static char reason[HANDOVER_REASON_MAX];

static void begin(void)
{
  memset(&o, 0, sizeof o);
  memset(&offer, 0, sizeof offer);
  offer.public_ip4 = o.public_ip4 = fzt_addr("203.0.113.7");
  offer.bind_ip4 = o.bind_ip4 = fzt_addr("0.0.0.0");
  o.bind_ip6 = fzt_addr("::"); /* without a public one it does not matter */
  offer.listen_port = o.listen_port = 3478;
  offer.workers = 1;
}

static void refused(const char *line)
{
  ck_assert(!handover_in_fits(&offer, &o, reason));
  ck_assert_str_eq(reason, line);
}

START_TEST(test_the_same)
{
  ck_assert(handover_in_fits(&offer, &o, reason));
  o.listen_port = 0; /* any */
  ck_assert(handover_in_fits(&offer, &o, reason));
}
END_TEST

START_TEST(test_addresses)
{
  o.public_ip4 = fzt_addr("203.0.113.8");
  refused("--public-ip4-addr is 203.0.113.7 in the old relay and 203.0.113.8 in the new one, and can't "
          "change without a restart");
  o.public_ip4 = offer.public_ip4;
  o.public_ip6 = fzt_addr("2001:db8::7");
  refused("--public-ip6-addr is none in the old relay and 2001:db8::7 in the new one, and can't change "
          "without a restart");
  offer.public_ip6 = o.public_ip6;
  o.public_ip6 = (fzr_addr){0};
  refused("--public-ip6-addr is 2001:db8::7 in the old relay and none in the new one, and can't change "
          "without a restart");
  offer.public_ip6 = (fzr_addr){0};
  o.bind_ip4 = fzt_addr("127.0.0.1");
  refused("--bind-ip4-addr is 0.0.0.0 in the old relay and 127.0.0.1 in the new one, and can't change "
          "without a restart");
}
END_TEST

START_TEST(test_port)
{
  o.listen_port = 3479;
  refused(
      "--listen-port is 3478 in the old relay and 3479 in the new one, and can't change without a restart");
}
END_TEST

/* Clients on TCP and TLS keep the port that they talk to; who has none there may have another one, or none. */
START_TEST(test_ports_of_streams)
{
  offer.tcp_listen_port = 3478;
  offer.tls_listen_port = 443;
  ck_assert(handover_in_fits(&offer, &o, reason));
  offer.tcp_clients = 12;
  refused("--tcp-listen-port is 3478 in the old relay, which has 12 clients there, and none in the new one: "
          "it can't "
          "change while they are there, or without a restart");
  o.tcp_listen_port = 3479;
  refused("--tcp-listen-port is 3478 in the old relay, which has 12 clients there, and 3479 in the new one: "
          "it can't "
          "change while they are there, or without a restart");
  o.tcp_listen_port = 3478;
  ck_assert(handover_in_fits(&offer, &o, reason));
  offer.tls_clients = 1;
  refused("--tls-listen-port is 443 in the old relay, which has 1 client there, and none in the new one: it "
          "can't "
          "change while they are there, or without a restart");
  o.tls_listen_port = 443;
  ck_assert(handover_in_fits(&offer, &o, reason));
}
END_TEST

/* It is disarmed before READY is said, so also if that fails: the other process may have begun to end by then. */
START_TEST(test_no_alarm_once_ready)
{
  char error[OPTIONS_ERROR_MAX];
  int ends[2];
  signal(SIGPIPE, SIG_IGN);
  for (unsigned there = 0; there < 2; there++) {
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    const handover_message go = {.type = HANDOVER_GO, .went_at = 7};
    const char *why;
    handover_in in = {.fd = ends[0]};
    if (there)
      ck_assert_int_eq(handover_send(ends[1], &go, NULL, 0, FZR_TIME_NEVER, &why), 0);
    else
      close(ends[1]);
    alarm(100);
    ck_assert_int_eq(handover_in_begin(&in, error), there ? 0 : -1);
    ck_assert_uint_eq(alarm(0), 0);
    ck_assert(in.begun == there);
    close(ends[there]);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("handover-fits");
  TCase *tc = tcase_create("fits");
  tcase_add_checked_fixture(tc, begin, NULL);
  tcase_add_test(tc, test_the_same);
  tcase_add_test(tc, test_addresses);
  tcase_add_test(tc, test_port);
  tcase_add_test(tc, test_ports_of_streams);
  tcase_add_test(tc, test_no_alarm_once_ready);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
