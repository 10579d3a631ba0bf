/* SPDX-License-Identifier: Apache-2.0 */
#include "attr.h"
#include "attr_index.h"

#include "../base/crc32.h"
#include "../base/crypto.h"
#include "../base/precondition.h"

#include <string.h>

/* The tables hold place + 1 of each known type of the two ranges, 0x00xx and 0x80xx; 0 is unknown. */
int fzri_attr_index(uint16_t type)
{
  static const uint8_t low[0x23] = {
      [0x06] = 1,  [0x08] = 2,  [0x09] = 3,  [0x0a] = 4,  [0x0c] = 5,  [0x0d] = 6,  [0x12] = 7,
      [0x13] = 8,  [0x14] = 9,  [0x15] = 10, [0x16] = 11, [0x17] = 12, [0x18] = 13, [0x19] = 14,
      [0x1a] = 15, [0x1c] = 16, [0x1d] = 17, [0x1e] = 18, [0x20] = 19, [0x22] = 20,
  };
  static const uint8_t high[0x31] = {
      [0x00] = 21, [0x01] = 22, [0x02] = 23, [0x04] = 24, [0x22] = 25, [0x28] = 26, [0x23] = 27, [0x30] = 28,
  };
  if (type < sizeof low)
    return low[type] - 1;
  if (type >= 0x8000 && (size_t)(type - 0x8000) < sizeof high)
    return high[type - 0x8000] - 1;
  return -1;
}

#define INDEX_INTEGRITY    1
#define INDEX_INTEGRITY256 15
#define INDEX_FINGERPRINT  25

/* RFC 8489 section 5: the 20-byte header. */
static enum fzr_drop_reason read_header(const uint8_t *data, size_t len, fzr_stun_msg *msg)
{
  if (len == 0 || data[0] > 0x03)
    return FZR_DROP_NOT_STUN;
  if (len < FZR_STUN_HEADER_LEN)
    return FZR_DROP_STUN_TRUNCATED;
  if (fzri_get32(data + 4) != FZR_STUN_COOKIE)
    return FZR_DROP_STUN_COOKIE;
  const uint16_t body = fzri_get16(data + 2);
  if (body % 4)
    return FZR_DROP_STUN_LENGTH;
  if (len != (size_t)body + FZR_STUN_HEADER_LEN || len > UINT16_MAX)
    return FZR_DROP_STUN_TRUNCATED;
  /* The class's two bits stand between the method's twelve. */
  const uint16_t type = fzri_get16(data);
  msg->data = data;
  msg->len = (uint16_t)len;
  msg->cls = (uint8_t)((type >> 4 & 1) | (type >> 7 & 2));
  msg->method = (uint16_t)((type & 0xf) | (type >> 1 & 0x70) | (type >> 2 & 0xf80));
  return FZR_DROP_NONE;
}

static bool fingerprint_matches(const fzr_stun_msg *msg, size_t at)
{
  return (fzri_crc32(msg->data, at) ^ FZRI_FINGERPRINT_XOR) == fzri_get32(msg->data + at + FZRI_ATTR_HEADER);
}

/* Notes one attribute. Returns FZR_DROP_NONE or the reason to drop the message. */
static enum fzr_drop_reason note(fzr_stun_msg *msg, size_t at, uint16_t type, uint16_t len)
{
  const int index = fzri_attr_index(type);
  if (index == INDEX_FINGERPRINT) {
    if (len != FZRI_FINGERPRINT_LEN)
      return FZR_DROP_STUN_ATTRIBUTE;
    if (at + FZRI_ATTR_HEADER + FZRI_FINGERPRINT_LEN != msg->len || !fingerprint_matches(msg, at))
      return FZR_DROP_STUN_FINGERPRINT;
  } else if (index == INDEX_INTEGRITY) {
    /* Behind another one it would not be looked at. */
    if (len != FZRI_INTEGRITY_LEN && !msg->at[INDEX_INTEGRITY])
      return FZR_DROP_STUN_ATTRIBUTE;
  } else if (index != INDEX_INTEGRITY256 && (msg->at[INDEX_INTEGRITY] || msg->at[INDEX_INTEGRITY256])) {
    return FZR_DROP_NONE;
  }
  if (index >= 0) {
    if (!msg->at[index])
      msg->at[index] = (uint16_t)at;
  } else if (type < 0x8000) {
    if (msg->unknown_count < FZR_STUN_UNKNOWN_MAX)
      msg->unknown[msg->unknown_count] = type;
    if (msg->unknown_count < UINT8_MAX)
      msg->unknown_count++;
  }
  return FZR_DROP_NONE;
}

enum fzr_drop_reason fzr_stun_read(const uint8_t *data, size_t len, fzr_stun_msg *msg)
{
  memset(msg, 0, sizeof *msg);
  enum fzr_drop_reason reason = read_header(data, len, msg);
  if (reason)
    return reason;
  for (size_t at = FZR_STUN_HEADER_LEN; at < len;) {
    /* Lengths are multiples of 4 so far, so a header always fits. */
    const uint16_t type = fzri_get16(data + at), value_len = fzri_get16(data + at + 2);
    const size_t padded = ((size_t)value_len + 3) & ~(size_t)3;
    if (padded > len - at - FZRI_ATTR_HEADER)
      return FZR_DROP_STUN_ATTRIBUTE;
    reason = note(msg, at, type, value_len);
    if (reason)
      return reason;
    at += FZRI_ATTR_HEADER + padded;
  }
  return FZR_DROP_NONE;
}

bool fzr_stun_has(const fzr_stun_msg *msg, uint16_t type)
{
  const int index = fzri_attr_index(type);
  return index >= 0 && msg->at[index];
}

/* That at |at|, where a header is. */
static void describe(const fzr_stun_msg *msg, size_t at, fzr_stun_attr *attr)
{
  FZRI_ASSERT(at >= FZR_STUN_HEADER_LEN && at + FZRI_ATTR_HEADER <= msg->len);
  attr->type = fzri_get16(msg->data + at);
  attr->len = fzri_get16(msg->data + at + 2);
  attr->value = msg->data + at + FZRI_ATTR_HEADER;
}

bool fzr_stun_get(const fzr_stun_msg *msg, uint16_t type, fzr_stun_attr *attr)
{
  if (!fzr_stun_has(msg, type))
    return false;
  describe(msg, msg->at[fzri_attr_index(type)], attr);
  return true;
}

bool fzr_stun_next(const fzr_stun_msg *msg, uint16_t *offset, fzr_stun_attr *attr)
{
  const uint32_t at = *offset ? *offset : FZR_STUN_HEADER_LEN;
  /* The end; or an offset that is no attribute's, which the application may pass. */
  if (at < FZR_STUN_HEADER_LEN || at + FZRI_ATTR_HEADER > msg->len ||
      at + FZRI_ATTR_HEADER + fzri_get16(msg->data + at + 2) > msg->len)
    return false;
  describe(msg, at, attr);
  const uint32_t next = at + FZRI_ATTR_HEADER + ((attr->len + 3u) & ~3u);
  *offset = next < msg->len ? (uint16_t)next : msg->len;
  return true;
}

const uint8_t *fzr_stun_txid(const fzr_stun_msg *msg)
{
  return msg->data + 8;
}

bool fzr_stun_get_u32(const fzr_stun_msg *msg, uint16_t type, uint32_t *value)
{
  fzr_stun_attr attr;
  if (!fzr_stun_get(msg, type, &attr) || attr.len != 4)
    return false;
  *value = fzri_get32(attr.value);
  return true;
}

/* Reads an address that is XORed with the 16 bytes |mask|. */
static bool read_addr(const fzr_stun_attr *attr, const uint8_t *mask, fzr_addr *addr)
{
  const uint8_t *value = attr->value;
  const uint8_t family = attr->len >= 4 ? value[1] : FZR_FAMILY_NONE;
  const bool ip4 = family == FZR_FAMILY_IPV4;
  if ((!ip4 && family != FZR_FAMILY_IPV6) || attr->len != (ip4 ? 8 : 20))
    return false;
  fzri_attr_addr(value, ip4, mask, addr);
  return true;
}

bool fzr_stun_attr_addr(const fzr_stun_msg *msg, const fzr_stun_attr *attr, fzr_addr *addr)
{
  return read_addr(attr, msg->data + 4, addr); /* cookie and transaction id */
}

bool fzr_stun_attr_plain_addr(const fzr_stun_attr *attr, fzr_addr *addr)
{
  static const uint8_t none[16];
  return read_addr(attr, none, addr);
}

bool fzr_stun_get_addr(const fzr_stun_msg *msg, uint16_t type, fzr_addr *addr)
{
  fzr_stun_attr attr;
  return fzr_stun_get(msg, type, &attr) && fzr_stun_attr_addr(msg, &attr, addr);
}

unsigned fzr_stun_error_code(const fzr_stun_msg *msg)
{
  fzr_stun_attr attr;
  if (!fzr_stun_get(msg, FZR_ATTR_ERROR_CODE, &attr) || attr.len < 4)
    return 0;
  const unsigned hundreds = attr.value[2] & 7u, rest = attr.value[3];
  return hundreds >= 3 && hundreds <= 6 && rest < 100 ? hundreds * 100 + rest : 0;
}

bool fzr_stun_next_algorithm(const fzr_stun_attr *attr, uint16_t *offset, uint16_t *algorithm)
{
  const size_t at = *offset;
  if (at + FZRI_ATTR_HEADER > attr->len)
    return false;
  const size_t next = at + FZRI_ATTR_HEADER + ((fzri_get16(attr->value + at + 2) + (size_t)3) & ~(size_t)3);
  if (next > attr->len)
    return false;
  *algorithm = fzri_get16(attr->value + at);
  *offset = (uint16_t)next;
  return true;
}

/* What the MAC in the attribute at |at|, of |len| bytes, was made over: the message ended with it then, as its length field said. */
static void covered(const fzr_stun_msg *msg, size_t at, size_t len, uint8_t head[4], fzri_slice parts[2])
{
  memcpy(head, msg->data, 2);
  fzri_put16(head + 2, (uint16_t)(at + FZRI_ATTR_HEADER + len - FZR_STUN_HEADER_LEN));
  parts[0] = (fzri_slice){head, 4};
  parts[1] = (fzri_slice){msg->data + 4, at - 4};
}

bool fzr_stun_verify(const fzr_stun_msg *msg, const uint8_t *key, size_t key_len)
{
  uint8_t mac[FZRI_INTEGRITY_LEN], head[4];
  fzri_slice parts[2];
  const size_t at = msg->at[INDEX_INTEGRITY];
  if (!at)
    return false;
  covered(msg, at, FZRI_INTEGRITY_LEN, head, parts);
  fzri_hmac_sha1(key, key_len, parts, 2, mac);
  return fzri_equal_ct(mac, msg->data + at + FZRI_ATTR_HEADER, sizeof mac);
}

bool fzr_stun_verify_sha256(const fzr_stun_msg *msg, const uint8_t *key, size_t key_len, size_t least)
{
  uint8_t mac[FZRI_INTEGRITY256_LEN], head[4];
  fzri_slice parts[2];
  const size_t at = msg->at[INDEX_INTEGRITY256];
  const size_t len = at ? fzri_get16(msg->data + at + 2) : 0;
  if (len < FZRI_INTEGRITY256_MIN || len < least || len > sizeof mac || len % 4)
    return false;
  covered(msg, at, len, head, parts);
  fzri_hmac_sha256(key, key_len, parts, 2, mac);
  return fzri_equal_ct(mac, msg->data + at + FZRI_ATTR_HEADER, len);
}
