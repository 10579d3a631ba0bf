/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses in the system's form, and datagrams of verdicts as parts of a message. */
#include "testing.h"

#include "firezone_relay/socket.h"

#include <arpa/inet.h>

static const char *const texts[] = {"192.0.2.1:1000", "0.0.0.0:0", "[2001:db8::1]:65535", "[::]:1"};

START_TEST(test_names_and_back)
{
  const fzr_addr addr = fzt_addr(texts[_i]);
  fzr_sockaddr name;
  fzr_addr back;
  memset(&name, 0xff, sizeof name);
  memset(&back, 0xff, sizeof back);
  const socklen_t len = fzr_addr_to_sockaddr(&addr, &name);
  ck_assert_uint_eq(len, addr.family == FZR_FAMILY_IPV4 ? sizeof name.in4 : sizeof name.in6);
  ck_assert_int_eq(name.any.sa_family, addr.family == FZR_FAMILY_IPV4 ? AF_INET : AF_INET6);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&name.any, len, &back), 0);
  ck_assert(fzr_addr_equal(&addr, &back));
}
END_TEST

/* How the client talks to the relay is no part of a name. */
START_TEST(test_transport)
{
  fzr_addr addr = fzt_addr("192.0.2.1:1000"), back;
  fzr_sockaddr name;
  addr.transport = FZR_TRANSPORT_TCP;
  const socklen_t len = fzr_addr_to_sockaddr(&addr, &name);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&name.any, len, &back), 0);
  ck_assert_uint_eq(back.transport, FZR_TRANSPORT_UDP);
}
END_TEST

/* Two addresses are equal when all their bytes are: a scope is one where it has a meaning. */
START_TEST(test_scope)
{
  static const struct {
    const char *addr;
    uint32_t scope;
  } rows[] = {{"fe80::1", 4}, {"febf::1", 4}, {"ff02::1", 4}, {"2001:db8::1", 0}, {"fec0::1", 0}, {"::1", 0}};
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_scope_id = 4};
    fzr_sockaddr again;
    fzr_addr addr;
    ck_assert_int_eq(inet_pton(AF_INET6, rows[i].addr, &name.sin6_addr), 1);
    ck_assert_int_eq(fzr_addr_from_sockaddr((struct sockaddr *)(void *)&name, sizeof name, &addr), 0);
    ck_assert_msg(addr.scope_id == rows[i].scope, "%s has scope %u", rows[i].addr, addr.scope_id);
    ck_assert_uint_eq(fzr_addr_to_sockaddr(&addr, &again), sizeof again.in6);
    ck_assert_uint_eq(again.in6.sin6_scope_id, rows[i].scope);
  }
}
END_TEST

START_TEST(test_what_is_no_name)
{
  fzr_sockaddr name;
  fzr_addr addr = fzt_addr("192.0.2.1:1000");
  const fzr_addr before = addr, none = {0};
  const socklen_t len = fzr_addr_to_sockaddr(&addr, &name);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&name.any, len - 1, &addr), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&name.any, 0, &addr), FZR_ERR_INVALID_ARGUMENT);
  name.any.sa_family = AF_INET6;
  ck_assert_int_eq(fzr_addr_from_sockaddr(&name.any, len, &addr), FZR_ERR_INVALID_ARGUMENT);
  name.any.sa_family = AF_UNIX;
  ck_assert_int_eq(fzr_addr_from_sockaddr(&name.any, sizeof name, &addr), FZR_ERR_INVALID_ARGUMENT);
  ck_assert(fzr_addr_equal(&addr, &before));
  ck_assert_uint_eq(fzr_addr_to_sockaddr(&none, &name), 0);
}
END_TEST

/* Datagram |i| of |v|, put together. */
static size_t gather(const fzr_verdict *v, uint16_t i, uint8_t *out)
{
  struct iovec parts[FZR_DATAGRAM_IOVECS];
  size_t len = 0;
  const size_t n = fzr_verdict_iovecs(v, i, parts);
  ck_assert(n >= 1 && n <= FZR_DATAGRAM_IOVECS);
  for (size_t k = 0; k < n; k++) {
    memcpy(out + len, parts[k].iov_base, parts[k].iov_len);
    len += parts[k].iov_len;
  }
  return len;
}

START_TEST(test_datagrams)
{
  static const uint8_t bytes[] = "abc..def..g";
  uint8_t got[64];
  fzr_verdict v = {
      .action = FZR_ACT_FORWARD, .data = bytes, .stride = 5, .count = 3, .len = 3, .tail_len = 1};
  ck_assert_uint_eq(gather(&v, 0, got), 3);
  ck_assert_mem_eq(got, "abc", 3);
  ck_assert_uint_eq(gather(&v, 1, got), 3);
  ck_assert_mem_eq(got, "def", 3);
  ck_assert_uint_eq(gather(&v, 2, got), 1);
  ck_assert_mem_eq(got, "g", 1);
  v.hdr_len = 4;
  v.hdr = (const uint8_t *)"HEADTAIL";
  ck_assert_uint_eq(gather(&v, 2, got), 5);
  ck_assert_mem_eq(got, "HEADg", 5);
  v.flags = FZR_VERDICT_TAIL_HDR;
  ck_assert_uint_eq(gather(&v, 1, got), 7);
  ck_assert_mem_eq(got, "HEADdef", 7);
  ck_assert_uint_eq(gather(&v, 2, got), 5);
  ck_assert_mem_eq(got, "TAILg", 5);
  v.pad = 1;
  v.tail_pad = 3;
  ck_assert_uint_eq(gather(&v, 1, got), 8);
  ck_assert_mem_eq(got, "HEADdef", 8); /* its zero as well */
  ck_assert_uint_eq(gather(&v, 2, got), 8);
  ck_assert_mem_eq(got, "TAILg\0\0", 8);
}
END_TEST

/* An empty datagram is one, too. */
START_TEST(test_empty_datagram)
{
  uint8_t got[64];
  const fzr_verdict v = {.action = FZR_ACT_FORWARD, .data = got, .count = 1};
  ck_assert_uint_eq(gather(&v, 0, got), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("socket");
  TCase *tc = tcase_create("socket");
  tcase_add_loop_test(tc, test_names_and_back, 0, sizeof texts / sizeof *texts);
  tcase_add_test(tc, test_transport);
  tcase_add_test(tc, test_scope);
  tcase_add_test(tc, test_what_is_no_name);
  tcase_add_test(tc, test_datagrams);
  tcase_add_test(tc, test_empty_datagram);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
