/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: each field, each mistake, and what comes before the end. */
#include "stream/proxy.h"

#include "proxy_header.h"
#include "testing.h"

static fzt_proxy_header h;
static stream_proxy_header out;

static enum stream_proxy_result read_all(void)
{
  return stream_proxy_read(h.data, h.len, &out);
}

static void check_bad(const char *error)
{
  ck_assert_int_eq(read_all(), STREAM_PROXY_BAD);
  ck_assert_str_eq(out.error, error);
  ck_assert(!out.has_addresses && out.want == 0);
}

/* It is whole, with these addresses; NULL: with none. */
static void check_done(const char *client, const char *server)
{
  ck_assert_int_eq(read_all(), STREAM_PROXY_DONE);
  ck_assert_uint_eq(out.want, h.len);
  ck_assert_ptr_null(out.error);
  ck_assert_int_eq(out.has_addresses, client != NULL);
  const fzr_addr none = {0}, from = client ? fzt_addr(client) : none, to = client ? fzt_addr(server) : none;
  ck_assert(fzr_addr_equal(&out.client, &from) && fzr_addr_equal(&out.server, &to));
}

static void begin_ip4(void)
{
  const fzr_addr client = fzt_addr("198.51.100.7:50000"), server = fzt_addr("192.0.2.1:443");
  fzt_proxy_tcp(&h, &client, &server);
}

START_TEST(test_ip4)
{
  static const uint8_t bytes[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49,
                                  0x54, 0x0a, 0x21, 0x11, 0x00, 0x0c, 198,  51,   100,  7,
                                  192,  0,    2,    1,    0xc3, 0x50, 0x01, 0xbb};
  memcpy(h.data, bytes, sizeof bytes);
  h.len = sizeof bytes;
  check_done("198.51.100.7:50000", "192.0.2.1:443");
  begin_ip4();
  ck_assert(h.len == sizeof bytes && memcmp(h.data, bytes, h.len) == 0);
  /* What follows is not looked at. */
  ck_assert_int_eq(stream_proxy_read(h.data, h.len + 100, &out), STREAM_PROXY_DONE);
  ck_assert_uint_eq(out.want, h.len);
}
END_TEST

START_TEST(test_ip6)
{
  fzr_addr client = fzt_addr("[2001:db8::7]:50000"), server = fzt_addr("[2001:db8::1]:443");
  fzt_proxy_tcp(&h, &client, &server);
  ck_assert_uint_eq(h.len, 16 + 36);
  check_done("[2001:db8::7]:50000", "[2001:db8::1]:443");
  memcpy(client.ip, "\0\0\0\0\0\0\0\0\0\0\377\377\306\63\144\7", 16);
  fzt_proxy_tcp(&h, &client, &server);
  check_done("198.51.100.7:50000", "0.0.0.0:443"); /* both ends have one family */
  memcpy(server.ip, "\0\0\0\0\0\0\0\0\0\0\377\377\300\0\2\1", 16);
  fzt_proxy_tcp(&h, &client, &server);
  check_done("198.51.100.7:50000", "192.0.2.1:443");
  client = fzt_addr("[2001:db8::7]:50000");
  fzt_proxy_tcp(&h, &client, &server);
  check_done("[2001:db8::7]:50000", "[::ffff:192.0.2.1]:443");
}
END_TEST

/* The balancer's own connection, whatever else it says. */
START_TEST(test_local)
{
  fzt_proxy_begin(&h, 0, 0);
  check_done(NULL, NULL);
  begin_ip4();
  h.data[12] = 0x20;
  check_done(NULL, NULL);
  fzt_proxy_add(&h, "\003\0", 2); /* no TLV */
  check_done(NULL, NULL);
  h.data[13] = 0xff;
  check_done(NULL, NULL);
}
END_TEST

/* Allowed, but not what clients come by: UNIX, datagrams, unspecified. */
START_TEST(test_other_families)
{
  static const uint8_t families[] = {0x00, 0x01, 0x02, 0x10, 0x12, 0x20, 0x22, 0x30, 0x31, 0x32};
  for (size_t i = 0; i < sizeof families; i++) {
    fzt_proxy_begin(&h, 1, families[i]);
    check_done(NULL, NULL);
    begin_ip4();
    h.data[13] = families[i];
    check_done(NULL, NULL);
  }
  begin_ip4();
  for (unsigned family = 0; family < 256; family++) {
    h.data[13] = (uint8_t)family;
    if (family >> 4 > 3 || (family & 0xf) > 2)
      check_bad("its PROXY header has a family or protocol that there is not");
  }
}
END_TEST

START_TEST(test_start)
{
  for (unsigned at = 0; at < 12; at++) {
    begin_ip4();
    h.data[at] ^= 1;
    for (size_t len = at + 1; len <= h.len; len++) {
      ck_assert_int_eq(stream_proxy_read(h.data, len, &out), STREAM_PROXY_BAD);
      ck_assert_str_eq(out.error, "it does not begin with a PROXY header of version 2");
    }
  }
  memcpy(h.data, "PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n", 45);
  check_bad("its PROXY header is one of version 1: version 2 is required");
  begin_ip4();
  h.data[12] = 0x31;
  check_bad("its PROXY header is of another version than 2");
  for (unsigned command = 2; command < 16; command++) {
    h.data[12] = (uint8_t)(0x20 | command);
    check_bad("its PROXY header has a command that there is not");
  }
}
END_TEST

START_TEST(test_lengths)
{
  static uint8_t zeros[8192];
  begin_ip4();
  h.data[15] = 11;
  check_bad("its PROXY header is too short for its addresses");
  fzt_proxy_begin(&h, 1, 0x21);
  fzt_proxy_add(&h, zeros, 35);
  check_bad("its PROXY header is too short for its addresses");
  begin_ip4();
  h.data[24] = h.data[25] = 0;
  check_bad("its PROXY header names no port of the client");
  begin_ip4();
  fzt_proxy_tlv(&h, 4, zeros, (uint16_t)(STREAM_PROXY_MAX - h.len - 3));
  ck_assert_uint_eq(h.len, STREAM_PROXY_MAX);
  check_done("198.51.100.7:50000", "192.0.2.1:443");
  fzt_proxy_begin(&h, 0, 0);
  fzt_proxy_add(&h, zeros, STREAM_PROXY_MAX - 15);
  ck_assert_int_eq(stream_proxy_read(h.data, STREAM_PROXY_START, &out), STREAM_PROXY_BAD);
  check_bad("its PROXY header is longer than 4096 bytes");
}
END_TEST

START_TEST(test_tlvs)
{
  begin_ip4();
  fzt_proxy_tlv(&h, 0x02, "relay.example", 13);
  fzt_proxy_tlv(&h, 0xea, NULL, 0);
  fzt_proxy_tlv(&h, 0xff, "x", 1);
  check_done("198.51.100.7:50000", "192.0.2.1:443");
  fzt_proxy_add(&h, "\4", 1);
  check_bad("what follows the addresses in its PROXY header is cut");
  fzt_proxy_add(&h, "\0", 1);
  check_bad("what follows the addresses in its PROXY header is cut");
  fzt_proxy_add(&h, "\1", 1);
  check_bad("a value in its PROXY header is longer than that");
  fzt_proxy_add(&h, "x", 1);
  check_done("198.51.100.7:50000", "192.0.2.1:443");
}
END_TEST

/* The sum is one that another program made. */
START_TEST(test_checksum)
{
  static const uint8_t more[] = {0x02, 0x00, 0x05, 0x72, 0x65, 0x6c, 0x61, 0x79, 0x03, 0x00,
                                 0x04, 0x04, 0x0e, 0x9d, 0x4f, 0x04, 0x00, 0x01, 0x00};
  begin_ip4();
  fzt_proxy_add(&h, more, sizeof more);
  check_done("198.51.100.7:50000", "192.0.2.1:443");
  for (size_t at = 16; at < 28; at++) {
    h.data[at] ^= 0x40;
    check_bad("the checksum of its PROXY header is wrong");
    h.data[at] ^= 0x40;
  }
  for (size_t at = 28 + 8 + 3; at < 28 + 8 + 7; at++) {
    h.data[at] ^= 1;
    check_bad("the checksum of its PROXY header is wrong");
    h.data[at] ^= 1;
  }
  begin_ip4();
  fzt_proxy_tlv(&h, 3, more, 3);
  check_bad("the checksum of its PROXY header is wrong");
}
END_TEST

START_TEST(test_more)
{
  begin_ip4();
  fzt_proxy_tlv(&h, 4, "padding", 7);
  for (size_t len = 0; len < h.len; len++) {
    ck_assert_int_eq(stream_proxy_read(h.data, len, &out), STREAM_PROXY_MORE);
    ck_assert_uint_eq(out.want, len < STREAM_PROXY_START ? STREAM_PROXY_START : h.len);
  }
}
END_TEST

START_TEST(test_networks)
{
  fzr_peer_rule networks[4];
  static const char *const texts[] = {"10.0.0.0/8", "192.0.2.16/28", "2001:db8::/33", "203.0.113.9"};
  for (unsigned i = 0; i < 4; i++)
    ck_assert_int_eq(fzr_peer_rule_parse(texts[i], true, &networks[i]), 0);
  static const struct {
    const char *addr;
    bool is_among;
  } rows[] = {{"10.255.255.255", true},   {"11.0.0.0", false},         {"192.0.2.16", true},
              {"192.0.2.31", true},       {"192.0.2.32", false},       {"192.0.2.15", false},
              {"203.0.113.9", true},      {"203.0.113.8", false},      {"2001:db8::1", true},
              {"2001:db8:7fff::1", true}, {"2001:db8:8000::1", false}, {"a00::", false},
              {"::ffff:10.0.0.1", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const fzr_addr addr = fzt_addr(rows[i].addr);
    ck_assert_msg(stream_proxy_is_among(networks, 4, &addr) == rows[i].is_among, "%s", rows[i].addr);
  }
  const fzr_addr some = fzt_addr("10.0.0.1");
  ck_assert(!stream_proxy_is_among(NULL, 0, &some));
  ck_assert_int_eq(fzr_peer_rule_parse("::/0", true, &networks[0]), 0);
  ck_assert(!stream_proxy_is_among(networks, 1, &some));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("proxy");
  TCase *tc = tcase_create("proxy");
  tcase_add_test(tc, test_ip4);
  tcase_add_test(tc, test_ip6);
  tcase_add_test(tc, test_local);
  tcase_add_test(tc, test_other_families);
  tcase_add_test(tc, test_start);
  tcase_add_test(tc, test_lengths);
  tcase_add_test(tc, test_tlvs);
  tcase_add_test(tc, test_checksum);
  tcase_add_test(tc, test_more);
  tcase_add_test(tc, test_networks);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
