/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file stun.h
 * A zero-copy reader and a bounded builder of STUN messages (RFC 8489) and ChannelData headers (RFC
 * 8656 section 12.4): what servers, clients, tests and fuzzers share. Nothing here takes memory.
 */
#ifndef FIREZONE_RELAY_STUN_H
#define FIREZONE_RELAY_STUN_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FZR_STUN_COOKIE         0x2112A442u
#define FZR_STUN_HEADER_LEN     20u
#define FZR_STUN_TXID_LEN       12u
#define FZR_STUN_KEY_LEN        16u /**< a long-term key made by MD5 (RFC 8489 section 9.2.2) */
#define FZR_STUN_KEY_MAX        32u /**< the longest long-term key: made by SHA-256 */
#define FZR_CHANNEL_HEADER_LEN  4u
#define FZR_CHANNEL_MIN         0x4000u
#define FZR_CHANNEL_MAX         0x4FFFu
#define FZR_UDP_PAYLOAD_MAX     65507u
#define FZR_CHANNEL_PAYLOAD_MAX (FZR_UDP_PAYLOAD_MAX - FZR_CHANNEL_HEADER_LEN)

enum fzr_stun_class {
  FZR_STUN_REQUEST = 0,
  FZR_STUN_INDICATION = 1,
  FZR_STUN_SUCCESS = 2,
  FZR_STUN_ERROR = 3
};

enum fzr_stun_method {
  FZR_STUN_BINDING = 0x001,
  FZR_STUN_ALLOCATE = 0x003,
  FZR_STUN_REFRESH = 0x004,
  FZR_STUN_SEND = 0x006,
  FZR_STUN_DATA = 0x007,
  FZR_STUN_CREATE_PERMISSION = 0x008,
  FZR_STUN_CHANNEL_BIND = 0x009
};

enum fzr_stun_attr_type {
  FZR_ATTR_USERNAME = 0x0006,
  FZR_ATTR_MESSAGE_INTEGRITY = 0x0008,
  FZR_ATTR_ERROR_CODE = 0x0009,
  FZR_ATTR_UNKNOWN_ATTRIBUTES = 0x000A,
  FZR_ATTR_CHANNEL_NUMBER = 0x000C,
  FZR_ATTR_LIFETIME = 0x000D,
  FZR_ATTR_XOR_PEER_ADDRESS = 0x0012,
  FZR_ATTR_DATA = 0x0013,
  FZR_ATTR_REALM = 0x0014,
  FZR_ATTR_NONCE = 0x0015,
  FZR_ATTR_XOR_RELAYED_ADDRESS = 0x0016,
  FZR_ATTR_REQUESTED_ADDRESS_FAMILY = 0x0017,
  FZR_ATTR_EVEN_PORT = 0x0018,
  FZR_ATTR_REQUESTED_TRANSPORT = 0x0019,
  FZR_ATTR_DONT_FRAGMENT = 0x001A,
  FZR_ATTR_MESSAGE_INTEGRITY_SHA256 = 0x001C,
  FZR_ATTR_PASSWORD_ALGORITHM = 0x001D,
  FZR_ATTR_USERHASH = 0x001E,
  FZR_ATTR_XOR_MAPPED_ADDRESS = 0x0020,
  FZR_ATTR_RESERVATION_TOKEN = 0x0022,
  FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
  FZR_ATTR_ADDRESS_ERROR_CODE = 0x8001,
  FZR_ATTR_PASSWORD_ALGORITHMS = 0x8002,
  FZR_ATTR_ICMP = 0x8004,
  FZR_ATTR_SOFTWARE = 0x8022,
  FZR_ATTR_FINGERPRINT = 0x8028
};

/**
 * How many attributes fzr_stun_msg.at has room for: those of enum fzr_stun_attr_type, and more to
 * come.
 */
#define FZR_STUN_ATTR_ROOM 40
/**
 * How many unknown comprehension-required attributes a message remembers; the rest is only counted.
 */
#define FZR_STUN_UNKNOWN_MAX 8

/** An attribute: a view into the message. */
typedef struct fzr_stun_attr {
  /** Not aligned. */
  const uint8_t *value;
  uint16_t type;
  /** Without padding. */
  uint16_t len;
} fzr_stun_attr;

/**
 * A message that was read: a view into the caller's bytes, valid as long as they are.
 *
 * Of an attribute that comes twice, the first counts. Attributes after MESSAGE-INTEGRITY are passed
 * over, but for MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 section 14.5).
 */
typedef struct fzr_stun_msg {
  const uint8_t *data;
  /** Header and attributes. */
  uint16_t len;
  /** An enum fzr_stun_method, or another of the 12 bits. */
  uint16_t method;
  /** An enum fzr_stun_class. */
  uint8_t cls;
  /** Unknown attributes below 0x8000; those past FZR_STUN_UNKNOWN_MAX not stored. */
  uint8_t unknown_count;
  uint16_t unknown[FZR_STUN_UNKNOWN_MAX];
  /** Offset of each known attribute's header; 0 = absent. */
  uint16_t at[FZR_STUN_ATTR_ROOM];
} fzr_stun_msg;

/**
 * `fzr_stun_read` reads the STUN message that fills the |len| bytes at |data| exactly, in one pass,
 * and describes it in |msg|, which keeps pointing into |data|. A FINGERPRINT, if present, is
 * verified. A first byte above 3 belongs to other protocols (RFC 7983), so methods from 0x100 on,
 * which nobody has defined, are not read.
 *
 * Returns FZR_DROP_NONE, or why this is no valid message, which nobody need answer. |msg| is not to
 * be used then. RFC 8489 section 6.3:
 * - FZR_DROP_NOT_STUN: the first byte is another protocol's, or there is none.
 * - FZR_DROP_STUN_TRUNCATED: |len| is less than a header, or not what the header says.
 * - FZR_DROP_STUN_COOKIE: the magic cookie is missing.
 * - FZR_DROP_STUN_LENGTH: the length in the header is no multiple of 4.
 * - FZR_DROP_STUN_ATTRIBUTE: an attribute is longer than the message, or of a length that it can't
 *   have.
 * - FZR_DROP_STUN_FINGERPRINT: the FINGERPRINT is wrong, or not the last attribute.
 */
FZR_API enum fzr_drop_reason fzr_stun_read(const uint8_t *data, size_t len, fzr_stun_msg *msg);

/** `fzr_stun_has` tells whether |msg| has the known attribute |type| (enum fzr_stun_attr_type). */
FZR_API bool fzr_stun_has(const fzr_stun_msg *msg, uint16_t type);

/**
 * `fzr_stun_get` looks up the known attribute |type| of |msg| and describes it in |attr|.
 * Returns true, or false (|attr| untouched) if |msg| has none or |type| is no known attribute.
 */
FZR_API bool fzr_stun_get(const fzr_stun_msg *msg, uint16_t type, fzr_stun_attr *attr);

/**
 * `fzr_stun_next` walks all attributes of |msg|, unknown and repeated ones included. |offset|
 * starts at 0 and is moved on. Returns true with the next one in |attr|; or false, with |attr| and
 * |offset| untouched, at the end, and where an attribute at |offset| would reach beyond it.
 */
FZR_API bool fzr_stun_next(const fzr_stun_msg *msg, uint16_t *offset, fzr_stun_attr *attr);

/** `fzr_stun_txid` returns the 12 bytes of |msg|'s transaction id, inside the message. */
FZR_API const uint8_t *fzr_stun_txid(const fzr_stun_msg *msg);

/**
 * `fzr_stun_get_u32` reads the known attribute |type| of |msg| as a 32-bit number into |value|
 * (LIFETIME and the like; for CHANNEL-NUMBER and REQUESTED-TRANSPORT the value stands in the upper
 * bits). Returns true, or false (|value| untouched) if |msg| has none, or one that is not 4 bytes
 * long.
 */
FZR_API bool fzr_stun_get_u32(const fzr_stun_msg *msg, uint16_t type, uint32_t *value);

/**
 * `fzr_stun_attr_addr` decodes |attr|, an XOR-…-ADDRESS of |msg|, into |addr| (RFC 8489 section
 * 14.2).
 * Returns true, or false (|addr| untouched) if its family or length is not that of an address.
 */
FZR_API bool fzr_stun_attr_addr(const fzr_stun_msg *msg, const fzr_stun_attr *attr, fzr_addr *addr);

/**
 * `fzr_stun_get_addr` is fzr_stun_get and fzr_stun_attr_addr in one: it decodes the known attribute
 * |type| of |msg| into |addr|. Returns true, or false (|addr| untouched) if |msg| has none, or one
 * that is no address.
 */
FZR_API bool fzr_stun_get_addr(const fzr_stun_msg *msg, uint16_t type, fzr_addr *addr);

/**
 * `fzr_stun_error_code` returns the number in |msg|'s ERROR-CODE (300 to 699), or 0 if it has none.
 */
FZR_API unsigned fzr_stun_error_code(const fzr_stun_msg *msg);

/**
 * `fzr_stun_verify` tells whether |msg|'s MESSAGE-INTEGRITY is the HMAC-SHA1 of its bytes under the
 * |key_len| bytes |key|: a long-term key, or a short-term password. It compares in constant time.
 * Returns false if |msg| has none. RFC 8489 section 14.5.
 */
FZR_API bool fzr_stun_verify(const fzr_stun_msg *msg, const uint8_t *key, size_t key_len);

/**
 * Builds a message into memory of the caller. Any call that does not fit marks the builder failed
 * and writes nothing more; only fzr_stun_build_finish needs its result looked at.
 */
typedef struct fzr_stun_builder {
  uint8_t *data;
  uint32_t cap;
  uint32_t len;
  /** 0, or the first fzr_error. */
  int error;
} fzr_stun_builder;

/**
 * `fzr_stun_build` begins a message of |method| (12 bits) and |cls| with the 12 bytes |txid| in the
 * |cap| bytes at |data|, which stay the caller's.
 */
FZR_API void fzr_stun_build(fzr_stun_builder *b, uint8_t *data, size_t cap, uint16_t method,
                            enum fzr_stun_class cls, const uint8_t *txid);

/**
 * `fzr_stun_add` appends an attribute |type| with the |len| bytes at |value|, padded with zeros.
 */
FZR_API void fzr_stun_add(fzr_stun_builder *b, uint16_t type, const void *value, size_t len);
/** `fzr_stun_add_u32` appends an attribute of one 32-bit number. */
FZR_API void fzr_stun_add_u32(fzr_stun_builder *b, uint16_t type, uint32_t value);
/** `fzr_stun_add_addr` appends |addr| XORed as RFC 8489 section 14.2 says. */
FZR_API void fzr_stun_add_addr(fzr_stun_builder *b, uint16_t type, const fzr_addr *addr);
/** `fzr_stun_add_error` appends ERROR-CODE with |code| (300 to 699) and its usual reason phrase. */
FZR_API void fzr_stun_add_error(fzr_stun_builder *b, unsigned code);
/**
 * `fzr_stun_add_address_error` appends ADDRESS-ERROR-CODE for |family| with |code| and its usual
 * reason phrase (RFC 8656 section 18.13).
 */
FZR_API void fzr_stun_add_address_error(fzr_stun_builder *b, enum fzr_family family, unsigned code);
/**
 * `fzr_stun_add_integrity` appends MESSAGE-INTEGRITY over what is there, under the |key_len| bytes
 * |key|.
 */
FZR_API void fzr_stun_add_integrity(fzr_stun_builder *b, const uint8_t *key, size_t key_len);
/** `fzr_stun_add_fingerprint` appends FINGERPRINT; nothing may follow it. */
FZR_API void fzr_stun_add_fingerprint(fzr_stun_builder *b);
/**
 * `fzr_stun_build_finish` completes the message. Returns its length in bytes, or
 * FZR_ERR_BUFFER_TOO_SMALL or
 * FZR_ERR_INVALID_ARGUMENT if a call on |b| failed.
 */
FZR_API int fzr_stun_build_finish(fzr_stun_builder *b);

/**
 * `fzr_stun_method_name` returns "binding", "allocate" and so on for |method|; "unknown" for
 * others.
 */
FZR_API const char *fzr_stun_method_name(unsigned method);
/**
 * `fzr_stun_error_reason` returns the reason phrase of |code| ("Unauthorized"); "Error" for others.
 */
FZR_API const char *fzr_stun_error_reason(unsigned code);

/**
 * `fzr_channel_data_read` reads the ChannelData header of the |len| bytes at |data|. Padding behind
 * the payload is passed over. |channel| gets the number, |payload_len| the payload's length; the
 * payload begins at |data| + FZR_CHANNEL_HEADER_LEN.
 *
 * Returns FZR_DROP_NONE, or why these are no ChannelData; |channel| and |payload_len| are untouched
 * then. RFC 8656 sections 12.4 and 12.5:
 * - FZR_DROP_NOT_STUN: the number is not within 0x4000 to 0x4FFF.
 * - FZR_DROP_CHANNEL_DATA_TRUNCATED: |len| is less than a header, or than the payload that it tells
 *   of.
 */
FZR_API enum fzr_drop_reason fzr_channel_data_read(const uint8_t *data, size_t len, uint16_t *channel,
                                                   uint16_t *payload_len);

/**
 * `fzr_channel_data_header` writes the 4 header bytes of |payload_len| bytes on |channel| to |out|.
 */
FZR_API void fzr_channel_data_header(uint8_t out[4], uint16_t channel, uint16_t payload_len);

#ifdef __cplusplus
}
#endif

#endif
