/* SPDX-License-Identifier: Apache-2.0 */
/* Send and Data indications as bytes. RFC 8656 sections 11.1 to 11.4. */
#ifndef FZRI_INDICATION_H
#define FZRI_INDICATION_H

#include "../base/bytes.h"
#include "firezone_relay/stun.h"

#include <string.h>

/* The first two bytes: method and class. */
#define FZRI_SEND_TYPE 0x0016u
#define FZRI_DATA_TYPE 0x0017u

/* Of a Data indication all that is in front of the payload: the header, XOR-PEER-ADDRESS, and type and length of DATA. Clients have sized
 * their packets so that no more than this fits. */
#define FZRI_DATA_HEADER_IPV4 36u
#define FZRI_DATA_HEADER_IPV6 48u

/* How a Send indication is laid out. Those that have nothing but the two attributes can be compared without being read anew. */
enum fzri_send_shape {
  FZRI_SEND_OTHER = 0,
  FZRI_SEND_PEER_IPV4 = 1, /* XOR-PEER-ADDRESS, then DATA */
  FZRI_SEND_PEER_IPV6 = 2,
  FZRI_SEND_DATA_IPV4 = 3, /* the other way round: pion does so */
  FZRI_SEND_DATA_IPV6 = 4
};

/* A Send indication that was read. */
typedef struct fzri_send {
  fzr_addr peer;
  const uint8_t *data;
  uint16_t len;
  uint8_t shape; /* enum fzri_send_shape */
  bool dont_fragment;
} fzri_send;

/* Whether the |len| bytes at |msg| begin as a Send indication does. */
static inline bool fzri_is_send(const uint8_t *msg, uint32_t len)
{
  return len >= FZR_STUN_HEADER_LEN && msg[0] == FZRI_SEND_TYPE >> 8 && msg[1] == (FZRI_SEND_TYPE & 0xff);
}

/* Reads the Send indication that fills the |len| bytes at |msg|, which begin as one does. Returns FZR_DROP_NONE with |out| filled in, or why
 * it is to be dropped. RFC 8656 section 11.2. */
enum fzr_drop_reason fzri_send_read(const uint8_t *msg, uint32_t len, fzri_send *out);

/* Whether |b| is a Send indication as |a| is, of |shape|, of the same |len| bytes and to the same peer. Both have |len| bytes. */
static inline bool fzri_send_same(uint8_t shape, const uint8_t *a, const uint8_t *b, uint32_t len)
{
  if (memcmp(a, b, 8) != 0) /* type, length, cookie */
    return false;
  const uint32_t peer = shape == FZRI_SEND_DATA_IPV4   ? len - 12
                        : shape == FZRI_SEND_DATA_IPV6 ? len - 24
                                                       : FZR_STUN_HEADER_LEN;
  const uint32_t data = shape == FZRI_SEND_PEER_IPV4   ? FZR_STUN_HEADER_LEN + 12
                        : shape == FZRI_SEND_PEER_IPV6 ? FZR_STUN_HEADER_LEN + 24
                                                       : FZR_STUN_HEADER_LEN;
  if (shape == FZRI_SEND_OTHER || memcmp(a + data, b + data, 4) != 0 || memcmp(a + peer, b + peer, 12) != 0)
    return false;
  if (shape == FZRI_SEND_PEER_IPV4 || shape == FZRI_SEND_DATA_IPV4)
    return true;
  /* The rest of an IPv6 address is hidden by the transaction id. */
  uint8_t differ = 0;
  for (unsigned i = 0; i < FZR_STUN_TXID_LEN; i++)
    differ |= (uint8_t)(a[peer + 12 + i] ^ a[8 + i] ^ b[peer + 12 + i] ^ b[8 + i]);
  return !differ;
}

/* Writes what stands in front of a payload of |len| bytes from |peer| to |out|. Returns how many bytes that takes. */
static inline uint8_t fzri_data_header(uint8_t *out, const fzr_addr *peer, uint16_t len,
                                       const uint8_t txid[FZR_STUN_TXID_LEN])
{
  const bool ip4 = peer->family == FZR_FAMILY_IPV4;
  const uint8_t hdr_len = ip4 ? FZRI_DATA_HEADER_IPV4 : FZRI_DATA_HEADER_IPV6;
  const uint32_t padded = (len + 3u) & ~3u;
  fzri_put16(out, FZRI_DATA_TYPE);
  fzri_put16(out + 2, (uint16_t)(hdr_len - FZR_STUN_HEADER_LEN + padded));
  fzri_put32(out + 4, FZR_STUN_COOKIE);
  memcpy(out + 8, txid, FZR_STUN_TXID_LEN);
  fzri_put16(out + 20, FZR_ATTR_XOR_PEER_ADDRESS);
  fzri_put16(out + 22, ip4 ? 8 : 20);
  fzri_put16(out + 24, peer->family);
  fzri_put16(out + 26, (uint16_t)(peer->port ^ FZR_STUN_COOKIE >> 16));
  fzri_put32(out + 28, fzri_get32(peer->ip) ^ FZR_STUN_COOKIE);
  if (!ip4)
    for (unsigned i = 0; i < FZR_STUN_TXID_LEN; i++)
      out[32 + i] = peer->ip[4 + i] ^ txid[i];
  fzri_put16(out + hdr_len - 4, FZR_ATTR_DATA);
  fzri_put16(out + hdr_len - 2, len);
  return hdr_len;
}

/* Copies the header of |hdr_len| bytes at |header| to |out|, with another transaction id. */
static inline void fzri_data_header_again(uint8_t *out, const uint8_t *header, uint8_t hdr_len,
                                          const uint8_t txid[FZR_STUN_TXID_LEN])
{
  if (hdr_len == FZRI_DATA_HEADER_IPV4) {
    memcpy(out, header, FZRI_DATA_HEADER_IPV4);
  } else {
    memcpy(out, header, FZRI_DATA_HEADER_IPV6);
    for (unsigned i = 0; i < FZR_STUN_TXID_LEN; i++)
      out[32 + i] = header[32 + i] ^ header[8 + i] ^ txid[i];
  }
  memcpy(out + 8, txid, FZR_STUN_TXID_LEN);
}

#endif
