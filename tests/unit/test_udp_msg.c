/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel is told about a message, and what it tells. */
#include "testing.h"

#include "io/udp_msg.h"

#include <arpa/inet.h>
#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static struct msghdr msg;
static fzr_sockaddr name;
static fzri_control control;

/* The control data of |level| and |type| of |msg|, which is of |len| bytes. NULL: there is none. */
static const void *control_of(int level, int type, size_t len)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level != level || c->cmsg_type != type)
      continue;
    ck_assert_uint_eq(c->cmsg_len, CMSG_LEN(len));
    return CMSG_DATA(c);
  }
  return NULL;
}

START_TEST(test_nothing_to_say)
{
  const fzr_addr to = fzt_addr("192.0.2.1:1000");
  fzri_msg_address(&msg, &to, NULL, 0, &name, &control);
  ck_assert_ptr_eq(msg.msg_name, &name);
  ck_assert_uint_eq(msg.msg_namelen, sizeof name.in4);
  ck_assert_int_eq(name.in4.sin_family, AF_INET);
  ck_assert_uint_eq(ntohs(name.in4.sin_port), 1000);
  ck_assert_uint_eq(ntohl(name.in4.sin_addr.s_addr), 0xc0000201);
  ck_assert_ptr_null(msg.msg_control);
  ck_assert_uint_eq(msg.msg_controllen, 0);
}
END_TEST

START_TEST(test_source_and_size)
{
  const fzr_addr to = fzt_addr("192.0.2.1:1000"), from = fzt_addr("198.51.100.7:3478");
  fzri_msg_address(&msg, &to, &from, 1200, &name, &control);
  uint16_t size;
  struct in_pktinfo info;
  const void *said = control_of(IPPROTO_UDP, UDP_SEGMENT, sizeof size);
  ck_assert_ptr_nonnull(said);
  memcpy(&size, said, sizeof size);
  ck_assert_uint_eq(size, 1200);
  said = control_of(IPPROTO_IP, IP_PKTINFO, sizeof info);
  ck_assert_ptr_nonnull(said);
  memcpy(&info, said, sizeof info);
  ck_assert_uint_eq(ntohl(info.ipi_spec_dst.s_addr), 0xc6336407);
  ck_assert_int_eq(info.ipi_ifindex, 0);
}
END_TEST

START_TEST(test_size_alone)
{
  const fzr_addr to = fzt_addr("[2001:db8::1]:1000");
  fzri_msg_address(&msg, &to, NULL, 99, &name, &control);
  ck_assert_uint_eq(msg.msg_controllen, CMSG_SPACE(sizeof(uint16_t)));
  ck_assert_ptr_nonnull(control_of(IPPROTO_UDP, UDP_SEGMENT, sizeof(uint16_t)));
}
END_TEST

/* A link-local address is one of an interface. */
START_TEST(test_source6)
{
  fzr_addr to = fzt_addr("[fe80::1]:1000"), from = fzt_addr("[fe80::2]:3478");
  to.scope_id = from.scope_id = 5;
  fzri_msg_address(&msg, &to, &from, 0, &name, &control);
  ck_assert_uint_eq(msg.msg_namelen, sizeof name.in6);
  ck_assert_uint_eq(name.in6.sin6_scope_id, 5);
  struct in6_pktinfo info;
  const void *said = control_of(IPPROTO_IPV6, IPV6_PKTINFO, sizeof info);
  ck_assert_ptr_nonnull(said);
  memcpy(&info, said, sizeof info);
  ck_assert_mem_eq(&info.ipi6_addr, from.ip, 16);
  ck_assert_uint_eq(info.ipi6_ifindex, 5);
  ck_assert_ptr_null(control_of(IPPROTO_UDP, UDP_SEGMENT, sizeof(uint16_t)));
}
END_TEST

/* ---- what the kernel tells ---- */

/* Appends control data to |msg|, as the kernel does. */
static void tell(int level, int type, const void *data, size_t len)
{
  struct cmsghdr *c = (struct cmsghdr *)(void *)(control.bytes + msg.msg_controllen);
  ck_assert_uint_le(msg.msg_controllen + CMSG_SPACE(len), sizeof control.bytes);
  msg.msg_control = control.bytes;
  msg.msg_controllen += CMSG_SPACE(len);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(len);
  memcpy(CMSG_DATA(c), data, len);
}

static fzr_pkt told(uint32_t len, const char *to)
{
  fzr_pkt pkt = {.len = len, .to = fzt_addr(to)};
  fzri_msg_read_control(&msg, &pkt);
  memset(&msg, 0, sizeof msg);
  memset(&control, 0, sizeof control);
  return pkt;
}

static void tell_size(int size)
{
  tell(IPPROTO_UDP, UDP_GRO, &size, sizeof size);
}

START_TEST(test_run)
{
  memset(&msg, 0, sizeof msg);
  tell_size(100);
  ck_assert_uint_eq(told(1000, "0.0.0.0:1").seg, 100);
  tell_size(100); /* one datagram is no run */
  ck_assert_uint_eq(told(100, "0.0.0.0:1").seg, 0);
  tell_size(-1);
  ck_assert_uint_eq(told(100, "0.0.0.0:1").seg, 0);
  tell(IPPROTO_UDP, UDP_GRO + 100, "1234", 4); /* nothing that is known */
  tell_size(7);
  ck_assert_uint_eq(told(100, "0.0.0.0:1").seg, 7);
  ck_assert_uint_eq(told(100, "0.0.0.0:1").seg, 0);
}
END_TEST

START_TEST(test_destination)
{
  const struct in_pktinfo to4 = {
      .ipi_ifindex = 3, .ipi_addr.s_addr = htonl(0xc0000205), .ipi_spec_dst.s_addr = htonl(0xc0000206)};
  memset(&msg, 0, sizeof msg);
  tell_size(10);
  tell(IPPROTO_IP, IP_PKTINFO, &to4, sizeof to4);
  fzr_pkt pkt = told(100, "0.0.0.0:3478");
  fzr_addr want = fzt_addr("192.0.2.5:3478");
  ck_assert_mem_eq(&pkt.to, &want, sizeof want);
  ck_assert_uint_eq(pkt.seg, 10);

  struct in6_pktinfo to6 = {.ipi6_ifindex = 9};
  want = fzt_addr("[2001:db8::2]:3478");
  memcpy(&to6.ipi6_addr, want.ip, 16);
  tell(IPPROTO_IPV6, IPV6_PKTINFO, &to6, sizeof to6);
  pkt = told(100, "[::]:3478");
  ck_assert_mem_eq(&pkt.to, &want, sizeof want); /* the interface says nothing */

  want = fzt_addr("[fe80::2]:3478");
  want.scope_id = 9;
  memcpy(&to6.ipi6_addr, want.ip, 16);
  tell(IPPROTO_IPV6, IPV6_PKTINFO, &to6, sizeof to6);
  pkt = told(100, "[::]:3478");
  ck_assert_mem_eq(&pkt.to, &want, sizeof want);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_msg");
  TCase *tc = tcase_create("udp_msg");
  tcase_add_test(tc, test_nothing_to_say);
  tcase_add_test(tc, test_source_and_size);
  tcase_add_test(tc, test_size_alone);
  tcase_add_test(tc, test_source6);
  tcase_add_test(tc, test_run);
  tcase_add_test(tc, test_destination);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
