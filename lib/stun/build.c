/* SPDX-License-Identifier: Apache-2.0 */
#include "attr.h"
#include "firezone_relay/stun.h"

#include "../base/crc32.h"
#include "../base/crypto.h"

#include <string.h>

/* The length field counts what follows the header, in 16 bits, and is a multiple of 4. */
#define MESSAGE_MAX (FZR_STUN_HEADER_LEN + 0xfffcu)

static void fail(fzr_stun_builder *b, int error)
{
  if (!b->error)
    b->error = error;
}

void fzr_stun_build(fzr_stun_builder *b, uint8_t *data, size_t cap, uint16_t method, enum fzr_stun_class cls,
                    const uint8_t *txid)
{
  b->data = data;
  b->cap = cap < MESSAGE_MAX ? (uint32_t)cap : MESSAGE_MAX;
  b->len = 0;
  b->error = 0;
  if (method > 0xfff || (unsigned)cls > 3) {
    fail(b, FZR_ERR_INVALID_ARGUMENT);
    return;
  }
  if (b->cap < FZR_STUN_HEADER_LEN) {
    fail(b, FZR_ERR_BUFFER_TOO_SMALL);
    return;
  }
  const unsigned type = (method & 0xfu) | (method & 0x70u) << 1 | (method & 0xf80u) << 2 |
                        ((unsigned)cls & 1) << 4 | ((unsigned)cls & 2) << 7;
  fzri_put16(data, (uint16_t)type);
  fzri_put16(data + 2, 0);
  fzri_put32(data + 4, FZR_STUN_COOKIE);
  memcpy(data + 8, txid, FZR_STUN_TXID_LEN);
  b->len = FZR_STUN_HEADER_LEN;
}

/* Makes room for an attribute and writes its header and padding. Returns where its value goes, or NULL. */
static inline uint8_t *add_header(fzr_stun_builder *b, uint16_t type, size_t len)
{
  if (b->error)
    return NULL;
  if (len > UINT16_MAX) {
    fail(b, FZR_ERR_INVALID_ARGUMENT);
    return NULL;
  }
  const uint32_t padded = ((uint32_t)len + 3) & ~3u;
  if (b->cap - b->len < FZRI_ATTR_HEADER || b->cap - b->len - FZRI_ATTR_HEADER < padded) {
    fail(b, FZR_ERR_BUFFER_TOO_SMALL);
    return NULL;
  }
  uint8_t *at = b->data + b->len;
  fzri_put16(at, type);
  fzri_put16(at + 2, (uint16_t)len);
  if (padded)
    fzri_put32(at + padded, 0); /* the last four bytes of the value, of which some may be padding */
  b->len += FZRI_ATTR_HEADER + padded;
  fzri_put16(b->data + 2, (uint16_t)(b->len - FZR_STUN_HEADER_LEN));
  return at + FZRI_ATTR_HEADER;
}

void fzr_stun_add(fzr_stun_builder *b, uint16_t type, const void *value, size_t len)
{
  uint8_t *at = add_header(b, type, len);
  if (at && len)
    memcpy(at, value, len);
}

void fzr_stun_add_u32(fzr_stun_builder *b, uint16_t type, uint32_t value)
{
  uint8_t *at = add_header(b, type, 4);
  if (at)
    fzri_put32(at, value);
}

/* Appends an address, XORed with the 16 bytes |mask|. */
static void add_addr(fzr_stun_builder *b, uint16_t type, const fzr_addr *addr, const uint8_t *mask)
{
  const size_t ip_len = addr->family == FZR_FAMILY_IPV4 ? 4 : 16;
  if (addr->family != FZR_FAMILY_IPV4 && addr->family != FZR_FAMILY_IPV6) {
    fail(b, FZR_ERR_INVALID_ARGUMENT);
    return;
  }
  uint8_t *at = add_header(b, type, 4 + ip_len);
  if (!at)
    return;
  at[0] = 0;
  at[1] = addr->family;
  fzri_put16(at + 2, addr->port ^ fzri_get16(mask));
  for (size_t i = 0; i < ip_len; i++)
    at[4 + i] = addr->ip[i] ^ mask[i];
}

void fzr_stun_add_addr(fzr_stun_builder *b, uint16_t type, const fzr_addr *addr)
{
  if (!b->error)
    add_addr(b, type, addr, b->data + 4); /* cookie and transaction id */
}

void fzr_stun_add_plain_addr(fzr_stun_builder *b, uint16_t type, const fzr_addr *addr)
{
  static const uint8_t none[16];
  add_addr(b, type, addr, none);
}

/* The four bytes that ERROR-CODE and ADDRESS-ERROR-CODE begin with, and the reason phrase. */
static void add_code(fzr_stun_builder *b, uint16_t type, uint8_t family, unsigned code)
{
  if (code < 300 || code > 699) {
    fail(b, FZR_ERR_INVALID_ARGUMENT);
    return;
  }
  const char *reason = fzr_stun_error_reason(code);
  const size_t len = strlen(reason);
  uint8_t *at = add_header(b, type, 4 + len);
  if (!at)
    return;
  at[0] = family;
  at[1] = 0;
  at[2] = (uint8_t)(code / 100);
  at[3] = (uint8_t)(code % 100);
  memcpy(at + 4, reason, len);
}

void fzr_stun_add_error(fzr_stun_builder *b, unsigned code)
{
  add_code(b, FZR_ATTR_ERROR_CODE, 0, code);
}

void fzr_stun_add_address_error(fzr_stun_builder *b, enum fzr_family family, unsigned code)
{
  add_code(b, FZR_ATTR_ADDRESS_ERROR_CODE, (uint8_t)family, code);
}

void fzr_stun_add_integrity(fzr_stun_builder *b, const uint8_t *key, size_t key_len)
{
  const uint32_t covered = b->len;
  uint8_t *at = add_header(b, FZR_ATTR_MESSAGE_INTEGRITY, FZRI_INTEGRITY_LEN);
  if (!at)
    return;
  /* The length field counts this attribute already, as it must. */
  const fzri_slice part = {b->data, covered};
  fzri_hmac_sha1(key, key_len, &part, 1, at);
}

void fzr_stun_add_integrity_sha256(fzr_stun_builder *b, const uint8_t *key, size_t key_len, size_t len)
{
  uint8_t mac[FZRI_INTEGRITY256_LEN];
  if (len < FZRI_INTEGRITY256_MIN || len > sizeof mac || len % 4) {
    fail(b, FZR_ERR_INVALID_ARGUMENT);
    return;
  }
  const uint32_t covered = b->len;
  uint8_t *at = add_header(b, FZR_ATTR_MESSAGE_INTEGRITY_SHA256, len);
  if (!at)
    return;
  const fzri_slice part = {b->data, covered};
  fzri_hmac_sha256(key, key_len, &part, 1, mac);
  memcpy(at, mac, len);
}

void fzr_stun_add_algorithms(fzr_stun_builder *b, uint16_t type, const uint16_t *algorithms, size_t count)
{
  if (count > UINT16_MAX / 4 || (type == FZR_ATTR_PASSWORD_ALGORITHM && count != 1)) {
    fail(b, FZR_ERR_INVALID_ARGUMENT);
    return;
  }
  uint8_t *at = add_header(b, type, 4 * count);
  for (size_t i = 0; at && i < count; i++, at += 4) {
    fzri_put16(at, algorithms[i]);
    fzri_put16(at + 2, 0); /* bytes of parameters */
  }
}

void fzr_stun_add_fingerprint(fzr_stun_builder *b)
{
  const uint32_t covered = b->len;
  uint8_t *at = add_header(b, FZR_ATTR_FINGERPRINT, 4);
  if (at)
    fzri_put32(at, fzri_crc32(b->data, covered) ^ FZRI_FINGERPRINT_XOR);
}

int fzr_stun_build_finish(fzr_stun_builder *b)
{
  return b->error ? b->error : (int)b->len;
}
