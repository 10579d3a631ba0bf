/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers of all kinds, cut at every byte, followed by anything, and with a bit changed. */
#include "stream/proxy.h"

#include "prng.h"
#include "proxy_header.h"
#include "testing.h"

static fzt_proxy_header h;

/* CRC32C by a table, as others have it. */
static uint32_t sum_of(const uint8_t *data, size_t len)
{
  static uint32_t table[256];
  for (uint32_t i = 1; i < 256 && !table[255]; i++) {
    table[i] = i;
    for (unsigned bit = 0; bit < 8; bit++)
      table[i] = (table[i] >> 1) ^ (table[i] % 2 ? 0x82f63b78u : 0);
  }
  uint32_t sum = 0xffffffffu;
  for (size_t i = 0; i < len; i++)
    sum = table[(sum ^ data[i]) & 0xff] ^ sum >> 8;
  return ~sum;
}

static fzr_addr some_addr(fzt_prng *prng, uint8_t family)
{
  fzr_addr addr = {.family = family, .port = (uint16_t)(1 + fzt_below(prng, 65535))};
  fzt_fill(prng, addr.ip, family == FZR_FAMILY_IPV4 ? 4 : 16);
  return addr;
}

static void add_tlvs(fzt_prng *prng, uint64_t count)
{
  uint8_t value[300];
  while (count--) {
    const uint8_t type = (uint8_t)(4 + fzt_below(prng, 252));
    fzt_fill(prng, value, sizeof value);
    fzt_proxy_tlv(&h, type, value, (uint16_t)fzt_below(prng, fzt_below(prng, 4) ? 20 : sizeof value));
  }
}

/* A whole header, with a checksum now and then. Sets what it says of both ends; returns whether it says it. */
static bool make(fzt_prng *prng, fzr_addr *client, fzr_addr *server, bool sum)
{
  const uint8_t family = fzt_below(prng, 2) ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6;
  *client = some_addr(prng, family);
  *server = some_addr(prng, family);
  const bool other = !sum && fzt_below(prng, 6) == 0;
  if (other) {
    uint8_t bytes[400];
    fzt_fill(prng, bytes, sizeof bytes);
    if (fzt_below(prng, 2))
      fzt_proxy_begin(&h, 0, (uint8_t)fzt_next(prng));
    else
      fzt_proxy_begin(&h, 1, fzt_below(prng, 2) ? 0x31 : 0x00);
    fzt_proxy_add(&h, bytes, (size_t)fzt_below(prng, sizeof bytes));
    *client = *server = (fzr_addr){0};
    return false;
  }
  fzt_proxy_tcp(&h, client, server);
  add_tlvs(prng, fzt_below(prng, 4));
  if (sum) {
    const size_t at = h.len + 3;
    fzt_proxy_tlv(&h, 3, "\0\0\0", 4);
    add_tlvs(prng, fzt_below(prng, 3));
    const uint32_t told = sum_of(h.data, h.len);
    for (unsigned i = 0; i < 4; i++)
      h.data[at + i] = (uint8_t)(told >> (24 - 8 * i));
  }
  return true;
}

START_TEST(test_cuts)
{
  fzt_prng prng = {fzt_seed("proxy")};
  for (uint64_t round = 0; round < fzt_rounds(1500); round++) {
    fzr_addr client, server;
    stream_proxy_header out;
    const bool has_addresses = make(&prng, &client, &server, fzt_below(&prng, 2));
    for (size_t len = 0; len < h.len; len++) {
      uint8_t *piece = malloc(len ? len : 1); /* of just its size */
      fzt_check(piece);
      memcpy(piece, h.data, len);
      fzt_check(stream_proxy_read(piece, len, &out) == STREAM_PROXY_MORE);
      fzt_check(out.want == (len < STREAM_PROXY_START ? STREAM_PROXY_START : h.len));
      free(piece);
    }
    fzt_fill(&prng, h.data + h.len, 64); /* what follows */
    fzt_check(stream_proxy_read(h.data, h.len + (size_t)fzt_below(&prng, 64), &out) == STREAM_PROXY_DONE);
    fzt_check(out.want == h.len && out.has_addresses == has_addresses && !out.error);
    fzt_check(fzr_addr_equal(&out.client, &client) && fzr_addr_equal(&out.server, &server));
  }
}
END_TEST

/* With a checksum, a bit that is changed never makes other addresses. */
START_TEST(test_changed_bits)
{
  fzt_prng prng = {fzt_seed("proxy, changed")};
  for (uint64_t round = 0; round < fzt_rounds(40); round++) {
    fzr_addr client, server;
    stream_proxy_header out;
    make(&prng, &client, &server, true);
    for (size_t bit = 0; bit < 8 * h.len; bit++) {
      h.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
      const enum stream_proxy_result result = stream_proxy_read(h.data, h.len, &out);
      fzt_check((result == STREAM_PROXY_BAD) == (out.error != NULL));
      fzt_check(result == STREAM_PROXY_DONE || !out.has_addresses);
      if (out.has_addresses)
        fzt_check(fzr_addr_equal(&out.client, &client) && fzr_addr_equal(&out.server, &server));
      h.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("property_proxy");
  TCase *tc = tcase_create("proxy");
  tcase_set_timeout(tc, 200);
  tcase_add_test(tc, test_cuts);
  tcase_add_test(tc, test_changed_bits);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
