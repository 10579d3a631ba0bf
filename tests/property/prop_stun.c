/* SPDX-License-Identifier: Apache-2.0 */
/* The STUN reader never reads past its input, whatever that is, and reads back what the builder wrote. Inputs end where the memory
 * ends: the next page can't be read. */
#include "prng.h"
#include "testing.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_ATTRS 24
#define ROOM      2048

static uint8_t *edge; /* the first byte that can't be read */

static void make_edge(void)
{
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t *area = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ck_assert(area != MAP_FAILED && page >= ROOM);
  ck_assert_int_eq(mprotect(area + 2 * page, page, PROT_NONE), 0);
  edge = area + 2 * page;
}

/* |len| bytes that end at the edge. */
static const uint8_t *at_edge(const uint8_t *data, size_t len)
{
  if (len)
    memcpy(edge - len, data, len);
  return edge - len;
}

/* Looks at everything there is to be read. */
static void read_all(const uint8_t *data, size_t len)
{
  static const uint8_t key[FZR_STUN_KEY_LEN] = {1};
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  fzr_addr addr;
  uint32_t word;
  uint16_t offset = 0, channel, payload;
  volatile uint8_t sink = 0;
  if (fzr_channel_data_read(data, len, &channel, &payload) == 0)
    fzt_check(payload + 4u <= len);
  if (fzr_stun_read(data, len, &msg) != 0)
    return;
  while (fzr_stun_next(&msg, &offset, &attr)) {
    fzt_check(attr.value >= data && attr.value + attr.len <= data + len);
    for (uint16_t i = 0; i < attr.len; i++)
      sink = (uint8_t)(sink + attr.value[i]);
    fzr_stun_attr_addr(&msg, &attr, &addr);
    fzr_stun_get_u32(&msg, attr.type, &word);
    fzr_stun_get_addr(&msg, attr.type, &addr);
  }
  fzr_stun_error_code(&msg);
  fzr_stun_verify(&msg, key, FZR_STUN_KEY_LEN);
  fzr_stun_verify(&msg, key, 0);
  fzr_stun_verify_sha256(&msg, key, FZR_STUN_KEY_LEN, 0);
  for (unsigned i = 0; i < 2; i++) {
    if (!fzr_stun_get(&msg, i ? FZR_ATTR_PASSWORD_ALGORITHM : FZR_ATTR_PASSWORD_ALGORITHMS, &attr))
      continue;
    for (offset = 0; fzr_stun_next_algorithm(&attr, &offset, &channel);)
      fzt_check(offset && offset % 4 == 0 && offset <= attr.len);
  }
}

typedef struct written {
  uint16_t type, len;
  uint8_t value[40];
} written;

static uint16_t random_type(fzt_prng *prng)
{
  static const uint16_t known[] = {FZR_ATTR_USERNAME,
                                   FZR_ATTR_LIFETIME,
                                   FZR_ATTR_CHANNEL_NUMBER,
                                   FZR_ATTR_XOR_PEER_ADDRESS,
                                   FZR_ATTR_REALM,
                                   FZR_ATTR_NONCE,
                                   FZR_ATTR_SOFTWARE,
                                   FZR_ATTR_ERROR_CODE,
                                   FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY,
                                   FZR_ATTR_USERHASH,
                                   FZR_ATTR_PASSWORD_ALGORITHM,
                                   FZR_ATTR_PASSWORD_ALGORITHMS};
  if (fzt_below(prng, 4))
    return known[fzt_below(prng, sizeof known / sizeof *known)];
  return (uint16_t)((fzt_below(prng, 2) ? 0x7000 : 0x9000) + fzt_below(prng, 0x1000)); /* unknown ones */
}

/* Which of the two a message is signed with. */
enum { BY_SHA1 = 1, BY_SHA256 = 2 };

static size_t build_random(fzt_prng *prng, uint8_t out[ROOM], written *attrs, size_t *n, const uint8_t *key,
                           unsigned by, fzr_stun_builder *b)
{
  uint8_t txid[FZR_STUN_TXID_LEN];
  fzt_fill(prng, txid, sizeof txid);
  fzr_stun_build(b, out, ROOM, (uint16_t)fzt_below(prng, 0x100), (enum fzr_stun_class)fzt_below(prng, 4),
                 txid);
  *n = (size_t)fzt_below(prng, MAX_ATTRS);
  for (size_t i = 0; i < *n; i++) {
    attrs[i].type = random_type(prng);
    attrs[i].len = (uint16_t)fzt_below(prng, sizeof attrs[i].value + 1);
    fzt_fill(prng, attrs[i].value, attrs[i].len);
    fzr_stun_add(b, attrs[i].type, attrs[i].value, attrs[i].len);
  }
  if (by & BY_SHA1)
    fzr_stun_add_integrity(b, key, FZR_STUN_KEY_LEN);
  if (by & BY_SHA256)
    fzr_stun_add_integrity_sha256(b, key, FZR_STUN_KEY_LEN, 16 + 4 * (size_t)fzt_below(prng, 5));
  if (fzt_below(prng, 2))
    fzr_stun_add_fingerprint(b);
  const int len = fzr_stun_build_finish(b);
  fzt_check(len > 0);
  return (size_t)len;
}

static void check_attributes(const fzr_stun_msg *msg, const written *attrs, size_t n)
{
  fzr_stun_attr attr;
  uint16_t offset = 0;
  for (size_t i = 0; i < n; i++) {
    fzt_check(fzr_stun_next(msg, &offset, &attr));
    fzt_check(attr.type == attrs[i].type && attr.len == attrs[i].len);
    fzt_check(memcmp(attr.value, attrs[i].value, attr.len) == 0);
    /* By its type, the first one is found. */
    size_t first = 0;
    while (attrs[first].type != attrs[i].type)
      first++;
    if (fzr_stun_get(msg, attrs[i].type, &attr))
      fzt_check(attr.len == attrs[first].len && memcmp(attr.value, attrs[first].value, attr.len) == 0);
    else
      fzt_check(attrs[i].type >= 0x7000);
  }
}

START_TEST(test_reads_what_was_built)
{
  fzt_prng prng = {fzt_seed("stun")};
  make_edge();
  for (uint64_t round = 0; round < fzt_rounds(20000); round++) {
    uint8_t buffer[ROOM], key[FZR_STUN_KEY_LEN];
    written attrs[MAX_ATTRS];
    fzr_stun_builder b;
    fzr_stun_msg msg;
    size_t n;
    fzt_fill(&prng, key, sizeof key);
    const unsigned by = (unsigned)fzt_below(&prng, 4);
    const size_t len = build_random(&prng, buffer, attrs, &n, key, by, &b);
    fzt_check(fzr_stun_read(at_edge(buffer, len), len, &msg) == 0);
    fzt_check(msg.len == len);
    check_attributes(&msg, attrs, n);
    fzt_check(fzr_stun_verify(&msg, key, FZR_STUN_KEY_LEN) == !!(by & BY_SHA1));
    fzt_check(fzr_stun_verify_sha256(&msg, key, FZR_STUN_KEY_LEN, 16) == !!(by & BY_SHA256));
    key[fzt_below(&prng, sizeof key)] ^= (uint8_t)(1u << fzt_below(&prng, 8));
    fzt_check(!fzr_stun_verify(&msg, key, FZR_STUN_KEY_LEN));
    fzt_check(!fzr_stun_verify_sha256(&msg, key, FZR_STUN_KEY_LEN, 16));
    read_all(edge - len, len);
  }
}
END_TEST

/* Any change of what the integrity covers is noticed. */
START_TEST(test_every_flipped_bit_is_noticed)
{
  fzt_prng prng = {fzt_seed("integrity")};
  make_edge();
  for (uint64_t round = 0; round < fzt_rounds(20); round++) {
    uint8_t buffer[ROOM], key[FZR_STUN_KEY_LEN];
    written attrs[MAX_ATTRS];
    fzr_stun_builder b;
    fzr_stun_msg msg;
    size_t n;
    fzt_fill(&prng, key, sizeof key);
    const unsigned by = round % 2 ? BY_SHA1 : BY_SHA256 | (unsigned)fzt_below(&prng, 2);
    const size_t len = build_random(&prng, buffer, attrs, &n, key, by, &b);
    fzt_check(fzr_stun_read(buffer, len, &msg) == 0);
    const size_t covered = fzr_stun_has(&msg, FZR_ATTR_FINGERPRINT) ? len - 8 : len;
    for (size_t bit = 0; bit < 8 * covered; bit++) {
      buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
      if (fzr_stun_read(at_edge(buffer, len), len, &msg) == 0)
        fzt_check(!(by & BY_SHA256 ? fzr_stun_verify_sha256(&msg, key, FZR_STUN_KEY_LEN, 16)
                                   : fzr_stun_verify(&msg, key, FZR_STUN_KEY_LEN)));
      buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}
END_TEST

START_TEST(test_never_reads_past_the_end)
{
  fzt_prng prng = {fzt_seed("edge")};
  make_edge();
  for (uint64_t round = 0; round < fzt_rounds(60000); round++) {
    uint8_t buffer[ROOM];
    written attrs[MAX_ATTRS];
    fzr_stun_builder b;
    size_t n;
    static const uint8_t key[FZR_STUN_KEY_LEN] = {7};
    size_t len = build_random(&prng, buffer, attrs, &n, key, (unsigned)fzt_below(&prng, 4), &b);
    /* Damaged, cut off, with a length that matches all the same, or nothing but noise. */
    for (uint64_t hits = fzt_below(&prng, 6); hits; hits--)
      buffer[fzt_below(&prng, len)] = (uint8_t)fzt_next(&prng);
    if (fzt_below(&prng, 2))
      len = (size_t)fzt_below(&prng, len + 1);
    if (fzt_below(&prng, 16) == 0)
      fzt_fill(&prng, buffer, len);
    if (len >= FZR_STUN_HEADER_LEN && fzt_below(&prng, 4)) {
      len &= ~(size_t)3;
      buffer[2] = (uint8_t)((len - FZR_STUN_HEADER_LEN) >> 8);
      buffer[3] = (uint8_t)(len - FZR_STUN_HEADER_LEN);
      buffer[0] &= 3;
    }
    read_all(at_edge(buffer, len), len);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("stun");
  TCase *tc = tcase_create("stun");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, test_reads_what_was_built);
  tcase_add_test(tc, test_every_flipped_bit_is_noticed);
  tcase_add_test(tc, test_never_reads_past_the_end);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
