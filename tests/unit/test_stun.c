/* SPDX-License-Identifier: Apache-2.0 */
/* The STUN reader and builder, ChannelData, and the names. What whole messages do is in rfc5769 and the conformance table. */
#include "testing.h"

#include "base/bytes.h"
#include "stun/attr_index.h"

static const uint8_t txid[FZR_STUN_TXID_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static uint8_t buffer[1024];
static fzr_stun_builder b;
static fzr_stun_msg msg;

static void begin(uint16_t method, enum fzr_stun_class cls)
{
  fzr_stun_build(&b, buffer, sizeof buffer, method, cls, txid);
}

static enum fzr_drop_reason finish_and_read(void)
{
  const int len = fzr_stun_build_finish(&b);
  ck_assert_int_gt(len, 0);
  return fzr_stun_read(buffer, (size_t)len, &msg);
}

START_TEST(test_methods_and_classes)
{
  for (unsigned method = 0; method < 0x1000; method++)
    for (unsigned cls = 0; cls < 4; cls++) {
      begin((uint16_t)method, (enum fzr_stun_class)cls);
      if (method > 0xff) { /* would begin with a byte that other protocols have */
        fzt_check(finish_and_read() == FZR_DROP_NOT_STUN);
        continue;
      }
      fzt_check(finish_and_read() == 0);
      fzt_check(msg.method == method && msg.cls == cls && msg.len == FZR_STUN_HEADER_LEN);
      fzt_check(memcmp(fzr_stun_txid(&msg), txid, sizeof txid) == 0);
    }
}
END_TEST

START_TEST(test_known_attributes)
{
  static const uint16_t known[FZRI_KNOWN_ATTRS] = {0x0006, 0x0008, 0x0009, 0x000a, 0x000c, 0x000d, 0x0012,
                                                   0x0013, 0x0014, 0x0015, 0x0016, 0x0017, 0x0018, 0x0019,
                                                   0x001a, 0x001c, 0x001d, 0x001e, 0x0020, 0x0022, 0x8000,
                                                   0x8001, 0x8002, 0x8004, 0x8022, 0x8028, 0x8023, 0x8030};
  unsigned found = 0;
  for (unsigned type = 0; type <= UINT16_MAX; type++) {
    const int index = fzri_attr_index((uint16_t)type);
    if (index < 0)
      continue;
    ck_assert_uint_eq(known[index], type);
    found++;
  }
  ck_assert_uint_eq(found, FZRI_KNOWN_ATTRS);
}
END_TEST

START_TEST(test_first_of_two_counts)
{
  uint32_t value;
  begin(FZR_STUN_REFRESH, FZR_STUN_REQUEST);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 7);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 8);
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert(fzr_stun_get_u32(&msg, FZR_ATTR_LIFETIME, &value));
  ck_assert_uint_eq(value, 7);
}
END_TEST

START_TEST(test_unknown_attributes)
{
  begin(FZR_STUN_BINDING, FZR_STUN_REQUEST);
  for (unsigned i = 0; i < 12; i++) {
    fzr_stun_add(&b, (uint16_t)(0x7000 + i), "abcde", i % 6);
    fzr_stun_add(&b, (uint16_t)(0xf000 + i), NULL, 0); /* optional: passed over */
  }
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert_uint_eq(msg.unknown_count, 12);
  for (unsigned i = 0; i < FZR_STUN_UNKNOWN_MAX; i++)
    ck_assert_uint_eq(msg.unknown[i], 0x7000 + i);
  /* The walk sees all of them. */
  fzr_stun_attr attr;
  uint16_t offset = 0;
  unsigned n = 0;
  while (fzr_stun_next(&msg, &offset, &attr))
    n++;
  ck_assert_uint_eq(n, 24);
  ck_assert(!fzr_stun_next(&msg, &offset, &attr));
  /* The count does not run over. */
  begin(FZR_STUN_BINDING, FZR_STUN_REQUEST);
  b.cap = sizeof buffer;
  static uint8_t many[FZR_STUN_HEADER_LEN + 300 * 4];
  fzr_stun_build(&b, many, sizeof many, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  for (unsigned i = 0; i < 300; i++)
    fzr_stun_add(&b, 0x7777, NULL, 0);
  ck_assert_int_eq(fzr_stun_read(many, (size_t)fzr_stun_build_finish(&b), &msg), 0);
  ck_assert_uint_eq(msg.unknown_count, UINT8_MAX);
}
END_TEST

/* An offset that is none of the walk's reads nothing that is not the message's. */
START_TEST(test_walk_from_anywhere)
{
  begin(FZR_STUN_BINDING, FZR_STUN_REQUEST);
  fzr_stun_add(&b, 0x7777, "abcdefgh", 8);
  fzr_stun_add(&b, 0xf000, NULL, 0);
  ck_assert_int_eq(finish_and_read(), 0);
  unsigned found = 0;
  for (unsigned from = 0; from <= UINT16_MAX; from++) {
    const fzr_stun_attr none = {0};
    fzr_stun_attr attr = none;
    uint16_t offset = (uint16_t)from;
    if (fzr_stun_next(&msg, &offset, &attr)) {
      found++;
      ck_assert(attr.value >= msg.data + FZR_STUN_HEADER_LEN + 4);
      ck_assert(attr.value + attr.len <= msg.data + msg.len);
      ck_assert(offset > from && offset <= msg.len);
    } else {
      ck_assert(offset == from && !attr.value && !attr.len);
    }
  }
  ck_assert_uint_ge(found, 3); /* 0, and both */
  for (uint16_t at = (uint16_t)(msg.len - 3); at < msg.len; at++) {
    uint16_t offset = at;
    fzr_stun_attr attr;
    ck_assert(!fzr_stun_next(&msg, &offset, &attr));
  }
}
END_TEST

START_TEST(test_behind_integrity)
{
  static const uint8_t key[FZR_STUN_KEY_LEN] = {9};
  uint8_t sha256[32] = {1};
  begin(FZR_STUN_REFRESH, FZR_STUN_REQUEST);
  ck_assert(fzr_stun_build_finish(&b) > 0);
  fzr_stun_add_integrity(&b, key, sizeof key);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 7);
  fzr_stun_add(&b, 0x7777, NULL, 0);
  fzr_stun_add(&b, FZR_ATTR_MESSAGE_INTEGRITY, "short", 5); /* a second one is as good as none */
  fzr_stun_add(&b, FZR_ATTR_MESSAGE_INTEGRITY_SHA256, sha256, sizeof sha256);
  fzr_stun_add_fingerprint(&b);
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert(!fzr_stun_has(&msg, FZR_ATTR_LIFETIME));
  ck_assert_uint_eq(msg.unknown_count, 0);
  ck_assert(fzr_stun_has(&msg, FZR_ATTR_MESSAGE_INTEGRITY_SHA256));
  ck_assert(fzr_stun_has(&msg, FZR_ATTR_FINGERPRINT));
  ck_assert(fzr_stun_verify(&msg, key, FZR_STUN_KEY_LEN));
  buffer[9] ^= 1; /* the transaction id: integrity must notice, and so does the fingerprint */
  ck_assert_int_eq(fzr_stun_read(buffer, b.len, &msg), FZR_DROP_STUN_FINGERPRINT);
}
END_TEST

/* The same behind MESSAGE-INTEGRITY-SHA256; what is between both is covered by it, but not by the other. */
START_TEST(test_behind_integrity_sha256)
{
  static const uint8_t key[FZR_STUN_KEY_MAX] = {9};
  begin(FZR_STUN_REFRESH, FZR_STUN_REQUEST);
  fzr_stun_add_integrity_sha256(&b, key, sizeof key, 32);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 7);
  fzr_stun_add(&b, 0x7777, NULL, 0);
  fzr_stun_add(&b, FZR_ATTR_MESSAGE_INTEGRITY_SHA256, "second", 6);
  fzr_stun_add_integrity(&b, key, sizeof key);
  fzr_stun_add_fingerprint(&b);
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert(!fzr_stun_has(&msg, FZR_ATTR_LIFETIME));
  ck_assert_uint_eq(msg.unknown_count, 0);
  ck_assert(fzr_stun_has(&msg, FZR_ATTR_FINGERPRINT));
  ck_assert(fzr_stun_verify(&msg, key, sizeof key));
  ck_assert(fzr_stun_verify_sha256(&msg, key, sizeof key, 32));

  begin(FZR_STUN_REFRESH, FZR_STUN_REQUEST);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 7);
  fzr_stun_add_integrity(&b, key, sizeof key);
  fzr_stun_add_integrity_sha256(&b, key, sizeof key, 20);
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert(fzr_stun_has(&msg, FZR_ATTR_LIFETIME));
  ck_assert(fzr_stun_verify(&msg, key, sizeof key));
  ck_assert(fzr_stun_verify_sha256(&msg, key, sizeof key, 16));
  ck_assert(!fzr_stun_verify_sha256(&msg, key, sizeof key, 32));
  begin(FZR_STUN_REFRESH, FZR_STUN_REQUEST);
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert(!fzr_stun_verify_sha256(&msg, key, sizeof key, 16));
}
END_TEST

static unsigned walk(const uint8_t *value, size_t len, uint16_t *last)
{
  const fzr_stun_attr attr = {value, FZR_ATTR_PASSWORD_ALGORITHMS, (uint16_t)len};
  uint16_t offset = 0;
  unsigned n = 0;
  while (fzr_stun_next_algorithm(&attr, &offset, last)) {
    ck_assert(offset <= len);
    n++;
  }
  return n;
}

START_TEST(test_password_algorithms)
{
  static const uint16_t two[] = {2, 1};
  static const uint8_t parameters[] = {0, 9, 0, 5, 'a', 'b', 'c', 'd', 'e', 0, 0, 0, 0, 1, 0, 0};
  fzr_stun_attr attr;
  uint16_t algorithm = 77, offset = 0;
  begin(FZR_STUN_ALLOCATE, FZR_STUN_ERROR);
  fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHMS, two, 2);
  fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHM, two, 1);
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_PASSWORD_ALGORITHMS, &attr));
  ck_assert_str_eq(fzt_hex(attr.value, attr.len), "0002000000010000");
  ck_assert(fzr_stun_next_algorithm(&attr, &offset, &algorithm));
  ck_assert_uint_eq(algorithm, 2);
  ck_assert(fzr_stun_next_algorithm(&attr, &offset, &algorithm));
  ck_assert_uint_eq(algorithm, 1);
  ck_assert(!fzr_stun_next_algorithm(&attr, &offset, &algorithm));
  ck_assert(offset == 8 && algorithm == 1);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_PASSWORD_ALGORITHM, &attr));
  ck_assert_str_eq(fzt_hex(attr.value, attr.len), "00020000");
  /* Parameters are passed over, with their padding; where that is cut off, the list ends. */
  for (size_t len = 0; len <= sizeof parameters; len++) {
    const unsigned n = walk(parameters, len, &algorithm);
    ck_assert_uint_eq(n, len < 12 ? 0 : len < 16 ? 1 : 2);
    if (n)
      ck_assert_uint_eq(algorithm, n == 1 ? 9 : 1);
  }
  static const uint8_t too_long[] = {0, 1, 0xff, 0xff, 0, 0, 0, 0};
  ck_assert_uint_eq(walk(too_long, sizeof too_long, &algorithm), 0);
  /* One algorithm is one. */
  begin(FZR_STUN_ALLOCATE, FZR_STUN_REQUEST);
  fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHM, two, 2);
  ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_INVALID_ARGUMENT);
  begin(FZR_STUN_ALLOCATE, FZR_STUN_REQUEST);
  fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHMS, two, UINT16_MAX / 4 + 1);
  ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_INVALID_ARGUMENT);
  fzr_stun_build(&b, buffer, 27, FZR_STUN_ALLOCATE, FZR_STUN_REQUEST, txid);
  fzr_stun_add_algorithms(&b, FZR_ATTR_PASSWORD_ALGORITHMS, two, 2);
  ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_BUFFER_TOO_SMALL);
}
END_TEST

START_TEST(test_fingerprint_must_be_last)
{
  begin(FZR_STUN_BINDING, FZR_STUN_REQUEST);
  fzr_stun_add_fingerprint(&b);
  fzr_stun_add(&b, FZR_ATTR_SOFTWARE, "x", 1);
  ck_assert_int_eq(finish_and_read(), FZR_DROP_STUN_FINGERPRINT);
}
END_TEST

START_TEST(test_getters)
{
  fzr_stun_attr attr = {NULL, 5, 6};
  const fzr_addr before = fzt_addr("192.0.2.1:7");
  fzr_addr addr = before;
  uint32_t value = 77;
  begin(FZR_STUN_BINDING, FZR_STUN_REQUEST);
  fzr_stun_add(&b, FZR_ATTR_LIFETIME, "abc", 3);
  fzr_stun_add(&b, FZR_ATTR_XOR_PEER_ADDRESS, "\0\1\1\1\1\1\1", 7);
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert(!fzr_stun_get(&msg, FZR_ATTR_USERNAME, &attr));
  ck_assert(!fzr_stun_get(&msg, 0x7777, &attr));
  ck_assert(!fzr_stun_has(&msg, 0x7777));
  ck_assert_uint_eq(attr.type, 5);
  ck_assert(!fzr_stun_get_u32(&msg, FZR_ATTR_LIFETIME, &value));
  ck_assert(!fzr_stun_get_u32(&msg, FZR_ATTR_CHANNEL_NUMBER, &value));
  ck_assert(!fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, &addr));
  ck_assert(!fzr_stun_get_addr(&msg, FZR_ATTR_XOR_MAPPED_ADDRESS, &addr));
  ck_assert_uint_eq(value, 77);
  ck_assert(fzr_addr_equal(&addr, &before));
  ck_assert(!fzr_stun_verify(&msg, buffer, FZR_STUN_KEY_LEN)); /* has none */
  ck_assert_uint_eq(fzr_stun_error_code(&msg), 0);
}
END_TEST

START_TEST(test_addresses)
{
  static const char *const addrs[] = {"192.0.2.1:32853", "0.0.0.0:0", "255.255.255.255:65535",
                                      "[2001:db8::1]:1", "[::]:0"};
  /* Families and sizes that do not belong together. */
  static const struct {
    uint8_t family, len;
  } bad[] = {{0, 8}, {1, 4}, {1, 7}, {1, 9}, {1, 20}, {2, 8}, {2, 19}, {2, 21}, {3, 20}, {1, 0}, {2, 3}};
  fzr_addr addr;
  for (size_t i = 0; i < sizeof addrs / sizeof *addrs; i++) {
    const fzr_addr given = fzt_addr(addrs[i]);
    begin(FZR_STUN_BINDING, FZR_STUN_SUCCESS);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_MAPPED_ADDRESS, &given);
    ck_assert_int_eq(finish_and_read(), 0);
    ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_MAPPED_ADDRESS, &addr));
    ck_assert(fzr_addr_equal(&addr, &given));
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint8_t value[24] = {0, bad[i].family};
    begin(FZR_STUN_BINDING, FZR_STUN_SUCCESS);
    fzr_stun_add(&b, FZR_ATTR_XOR_MAPPED_ADDRESS, value, bad[i].len);
    ck_assert_int_eq(finish_and_read(), 0);
    ck_assert(!fzr_stun_get_addr(&msg, FZR_ATTR_XOR_MAPPED_ADDRESS, &addr));
  }
}
END_TEST

START_TEST(test_error_codes)
{
  for (unsigned code = 0; code <= 1000; code++) {
    begin(FZR_STUN_BINDING, FZR_STUN_ERROR);
    fzr_stun_add_error(&b, code);
    if (code < 300 || code > 699) {
      ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_INVALID_ARGUMENT);
      continue;
    }
    fzt_check(finish_and_read() == 0);
    fzt_check(fzr_stun_error_code(&msg) == code);
  }
  /* Numbers that no code has. */
  static const uint8_t odd[][4] = {{0, 0, 2, 50}, {0, 0, 7, 0}, {0, 0, 4, 100}};
  for (unsigned i = 0; i < 3; i++) {
    begin(FZR_STUN_BINDING, FZR_STUN_ERROR);
    fzr_stun_add(&b, FZR_ATTR_ERROR_CODE, odd[i], 4);
    ck_assert_int_eq(finish_and_read(), 0);
    ck_assert_uint_eq(fzr_stun_error_code(&msg), 0);
  }
  begin(FZR_STUN_BINDING, FZR_STUN_ERROR);
  fzr_stun_add(&b, FZR_ATTR_ERROR_CODE, odd[0], 3);
  ck_assert_int_eq(finish_and_read(), 0);
  ck_assert_uint_eq(fzr_stun_error_code(&msg), 0);
  begin(FZR_STUN_ALLOCATE, FZR_STUN_SUCCESS);
  fzr_stun_add_address_error(&b, FZR_FAMILY_IPV6, 440);
  ck_assert_int_eq(finish_and_read(), 0);
  fzr_stun_attr attr;
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_ADDRESS_ERROR_CODE, &attr));
  ck_assert_mem_eq(attr.value, "\2\0\4\50Address Family not Supported", attr.len);
}
END_TEST

/* What does not fit, wherever that shows, fails the message, and not a byte is written past the end. */
START_TEST(test_builder_bounds)
{
  static const uint8_t key[FZR_STUN_KEY_LEN] = {1};
  const fzr_addr addr = fzt_addr("[::1]:2");
  begin(FZR_STUN_ALLOCATE, FZR_STUN_ERROR);
  fzr_stun_add(&b, FZR_ATTR_USERNAME, "user", 4);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 1);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_MAPPED_ADDRESS, &addr);
  fzr_stun_add_error(&b, 400);
  fzr_stun_add_integrity(&b, key, sizeof key);
  fzr_stun_add_fingerprint(&b);
  const int whole = fzr_stun_build_finish(&b);
  for (int cap = 0; cap <= whole; cap++) {
    uint8_t small[256];
    memset(small, 0xee, sizeof small);
    fzr_stun_build(&b, small, (size_t)cap, FZR_STUN_ALLOCATE, FZR_STUN_ERROR, txid);
    fzr_stun_add(&b, FZR_ATTR_USERNAME, "user", 4);
    fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 1);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_MAPPED_ADDRESS, &addr);
    fzr_stun_add_error(&b, 400);
    fzr_stun_add_integrity(&b, key, sizeof key);
    fzr_stun_add_fingerprint(&b);
    ck_assert_int_eq(fzr_stun_build_finish(&b), cap == whole ? whole : FZR_ERR_BUFFER_TOO_SMALL);
    for (size_t i = (size_t)cap; i < sizeof small; i++)
      ck_assert_uint_eq(small[i], 0xee);
  }
}
END_TEST

START_TEST(test_builder_misuse)
{
  static uint8_t large[70000], value[65532 - 4];
  const fzr_addr none = {0};
  fzr_stun_build(&b, buffer, sizeof buffer, 0x1000, FZR_STUN_REQUEST, txid);
  ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_INVALID_ARGUMENT);
  fzr_stun_build(&b, buffer, sizeof buffer, 1, (enum fzr_stun_class)4, txid);
  fzr_stun_add_fingerprint(&b); /* after a failure: nothing happens */
  ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_INVALID_ARGUMENT);
  begin(1, FZR_STUN_REQUEST);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_MAPPED_ADDRESS, &none);
  ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_INVALID_ARGUMENT);
  fzr_stun_build(&b, large, sizeof large, 1, FZR_STUN_REQUEST, txid);
  fzr_stun_add(&b, FZR_ATTR_DATA, large, UINT16_MAX + 1u);
  ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_INVALID_ARGUMENT);
  /* More than the length field can say is too much, however large the buffer. */
  fzr_stun_build(&b, large, sizeof large, 1, FZR_STUN_REQUEST, txid);
  fzr_stun_add(&b, FZR_ATTR_DATA, value, sizeof value);
  ck_assert_int_eq(fzr_stun_build_finish(&b), 65552);
  fzr_stun_add(&b, FZR_ATTR_SOFTWARE, NULL, 0);
  ck_assert_int_eq(fzr_stun_build_finish(&b), FZR_ERR_BUFFER_TOO_SMALL);
}
END_TEST

START_TEST(test_channel_data)
{
  uint8_t data[16] = {0};
  uint16_t channel, len;
  for (unsigned first = 0; first < 256; first++) {
    data[0] = (uint8_t)first;
    data[3] = 4;
    ck_assert_int_eq(fzr_channel_data_read(data, 8, &channel, &len),
                     first >= 0x40 && first <= 0x4f ? 0 : FZR_DROP_NOT_STUN);
  }
  ck_assert_int_eq(fzr_channel_data_read(data, 0, &channel, &len), FZR_DROP_NOT_STUN);
  for (unsigned n = FZR_CHANNEL_MIN; n <= FZR_CHANNEL_MAX; n++) {
    fzr_channel_data_header(data, (uint16_t)n, 5);
    fzt_check(fzr_channel_data_read(data, 9, &channel, &len) == 0 && channel == n && len == 5);
    fzt_check(fzr_channel_data_read(data, 12, &channel, &len) == 0 && len == 5); /* padding */
    fzt_check(fzr_channel_data_read(data, 8, &channel, &len) == FZR_DROP_CHANNEL_DATA_TRUNCATED);
  }
  for (size_t n = 1; n < 4; n++)
    ck_assert_int_eq(fzr_channel_data_read(data, n, &channel, &len), FZR_DROP_CHANNEL_DATA_TRUNCATED);
  fzr_channel_data_header(data, 0x4abc, UINT16_MAX);
  ck_assert_mem_eq(data, "\x4a\xbc\xff\xff", 4);
}
END_TEST

START_TEST(test_names)
{
  static const struct {
    unsigned method;
    const char *name;
  } methods[] = {{1, "binding"}, {3, "allocate"},         {4, "refresh"},     {6, "send"},
                 {7, "data"},    {8, "createpermission"}, {9, "channelbind"}, {2, "unknown"}};
  static const unsigned codes[] = {300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 500, 508};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    ck_assert_str_eq(fzr_stun_method_name(methods[i].method), methods[i].name);
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    ck_assert_str_ne(fzr_stun_error_reason(codes[i]), "Error");
  ck_assert_str_eq(fzr_stun_error_reason(699), "Error");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("stun");
  TCase *tc = tcase_create("stun");
  tcase_add_test(tc, test_methods_and_classes);
  tcase_add_test(tc, test_known_attributes);
  tcase_add_test(tc, test_first_of_two_counts);
  tcase_add_test(tc, test_unknown_attributes);
  tcase_add_test(tc, test_walk_from_anywhere);
  tcase_add_test(tc, test_behind_integrity);
  tcase_add_test(tc, test_behind_integrity_sha256);
  tcase_add_test(tc, test_password_algorithms);
  tcase_add_test(tc, test_fingerprint_must_be_last);
  tcase_add_test(tc, test_getters);
  tcase_add_test(tc, test_addresses);
  tcase_add_test(tc, test_error_codes);
  tcase_add_test(tc, test_builder_bounds);
  tcase_add_test(tc, test_builder_misuse);
  tcase_add_test(tc, test_channel_data);
  tcase_add_test(tc, test_names);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
