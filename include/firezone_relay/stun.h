/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file stun.h
 * A zero-copy reader and a bounded builder of STUN messages (RFC 8489). The same for the headers of
 * ChannelData (RFC 8656 section 12.4). Servers, clients, tests and fuzzers share them.
 *
 * Nothing here takes memory or keeps state: any thread may call it, on messages and builders of its
 * own. No pointer may be NULL, unless it is said.
 */
#ifndef FIREZONE_RELAY_STUN_H
#define FIREZONE_RELAY_STUN_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The magic cookie: bytes 4 to 7 of each STUN message (RFC 8489 section 5). */
#define FZR_STUN_COOKIE 0x2112A442u
/** Bytes of a STUN message's header (RFC 8489 section 5). */
#define FZR_STUN_HEADER_LEN 20u
/** Bytes of a transaction id (RFC 8489 section 5). */
#define FZR_STUN_TXID_LEN 12u
/** Bytes of a long-term key made by MD5 (RFC 8489 section 9.2.2). */
#define FZR_STUN_KEY_LEN 16u
/** Bytes of the longest long-term key: one made by SHA-256. */
#define FZR_STUN_KEY_MAX 32u
/** Bytes of a USERHASH: SHA-256 of username ":" realm (RFC 8489 section 14.4). */
#define FZR_STUN_USERHASH_LEN 32u
/** Bytes of the header of ChannelData: channel number and length (RFC 8656 section 12.4). */
#define FZR_CHANNEL_HEADER_LEN 4u
/** The lowest channel number (RFC 8656 section 12). */
#define FZR_CHANNEL_MIN 0x4000u
/** The highest channel number (RFC 8656 section 12). */
#define FZR_CHANNEL_MAX 0x4FFFu
/** The most bytes that a UDP datagram carries over IPv4. The library sends no longer ones. */
#define FZR_UDP_PAYLOAD_MAX 65507u
/** The most bytes of a payload that fit into a datagram behind a ChannelData header. */
#define FZR_CHANNEL_PAYLOAD_MAX (FZR_UDP_PAYLOAD_MAX - FZR_CHANNEL_HEADER_LEN)

/** The class of a STUN message: two bits of its type (RFC 8489 section 5). */
enum fzr_stun_class {
  /** It asks for a response. */
  FZR_STUN_REQUEST = 0,
  /** Nobody responds to it. */
  FZR_STUN_INDICATION = 1,
  /** The response to a request that was carried out. */
  FZR_STUN_SUCCESS = 2,
  /** The response to a request that was refused. Its ERROR-CODE says why. */
  FZR_STUN_ERROR = 3
};

/** The method of a STUN message: twelve bits of its type (RFC 8489 section 5). */
enum fzr_stun_method {
  /** Which address do you see me at? RFC 8489 section 3. */
  FZR_STUN_BINDING = 0x001,
  /** Make an allocation. RFC 8656 section 7. */
  FZR_STUN_ALLOCATE = 0x003,
  /** Let the allocation live on, or end it. RFC 8656 section 8. */
  FZR_STUN_REFRESH = 0x004,
  /** Data from the client for a peer, as an indication. RFC 8656 section 11. */
  FZR_STUN_SEND = 0x006,
  /** Data from a peer for the client, as an indication. RFC 8656 section 11. */
  FZR_STUN_DATA = 0x007,
  /** Install or refresh permissions. RFC 8656 section 10. */
  FZR_STUN_CREATE_PERMISSION = 0x008,
  /** Bind a channel to a peer, or refresh the binding. RFC 8656 section 12. */
  FZR_STUN_CHANNEL_BIND = 0x009
};

/**
 * The attributes that the reader knows. Those below 0x8000 are comprehension-required: who does not
 * understand one refuses the request (RFC 8489 section 14). What the engine makes of an attribute
 * is its own affair; that it is known here does not mean that the engine supports it.
 */
enum fzr_stun_attr_type {
  /** The name of the user, at most 508 bytes of UTF-8. RFC 8489 section 14.3. */
  FZR_ATTR_USERNAME = 0x0006,
  /** HMAC-SHA1 of the message up to here, 20 bytes. RFC 8489 section 14.5. */
  FZR_ATTR_MESSAGE_INTEGRITY = 0x0008,
  /** Why a request was refused: a number and a phrase. RFC 8489 section 14.8. */
  FZR_ATTR_ERROR_CODE = 0x0009,
  /** With error 420: the types that were not understood. RFC 8489 section 14.13. */
  FZR_ATTR_UNKNOWN_ATTRIBUTES = 0x000A,
  /** The channel's number and two bytes of 0. RFC 8656 section 18.1. */
  FZR_ATTR_CHANNEL_NUMBER = 0x000C,
  /** How long the allocation lives without a Refresh, seconds. RFC 8656 section 18.2. */
  FZR_ATTR_LIFETIME = 0x000D,
  /** The peer's address. RFC 8656 section 18.3. */
  FZR_ATTR_XOR_PEER_ADDRESS = 0x0012,
  /** The payload of a Send or Data indication. RFC 8656 section 18.4. */
  FZR_ATTR_DATA = 0x0013,
  /** The realm of the credentials. RFC 8489 section 14.9. */
  FZR_ATTR_REALM = 0x0014,
  /** What the server gave the client to prove its address with. RFC 8489 section 14.10. */
  FZR_ATTR_NONCE = 0x0015,
  /** The relayed address. RFC 8656 section 18.5. */
  FZR_ATTR_XOR_RELAYED_ADDRESS = 0x0016,
  /** The family that the relayed address shall have. RFC 8656 section 18.6. */
  FZR_ATTR_REQUESTED_ADDRESS_FAMILY = 0x0017,
  /** The relayed port shall be even. RFC 8656 section 18.7. */
  FZR_ATTR_EVEN_PORT = 0x0018,
  /** The transport between relay and peer: 17 is UDP. RFC 8656 section 18.8. */
  FZR_ATTR_REQUESTED_TRANSPORT = 0x0019,
  /** Send to the peer with DF set. RFC 8656 section 18.9. */
  FZR_ATTR_DONT_FRAGMENT = 0x001A,
  /** HMAC-SHA256 of the message up to here, 16 to 32 bytes. RFC 8489 section 14.6. */
  FZR_ATTR_MESSAGE_INTEGRITY_SHA256 = 0x001C,
  /** The algorithm by which the client made its key. RFC 8489 section 14.12. */
  FZR_ATTR_PASSWORD_ALGORITHM = 0x001D,
  /** SHA-256 of username and realm, instead of USERNAME. RFC 8489 section 14.4. */
  FZR_ATTR_USERHASH = 0x001E,
  /** The address that the request came from. RFC 8489 section 14.2. */
  FZR_ATTR_XOR_MAPPED_ADDRESS = 0x0020,
  /** Names a port that EVEN-PORT has reserved. RFC 8656 section 18.10. */
  FZR_ATTR_RESERVATION_TOKEN = 0x0022,
  /** A second relayed address, of this family. RFC 8656 section 18.11. */
  FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
  /** Why there is no address of one of two families. RFC 8656 section 18.12. */
  FZR_ATTR_ADDRESS_ERROR_CODE = 0x8001,
  /** The algorithms for keys that the server takes. RFC 8489 section 14.11. */
  FZR_ATTR_PASSWORD_ALGORITHMS = 0x8002,
  /** An ICMP error that came from the way to the peer. RFC 8656 section 18.13. */
  FZR_ATTR_ICMP = 0x8004,
  /** The name and version of the sender's software. RFC 8489 section 14.14. */
  FZR_ATTR_SOFTWARE = 0x8022,
  /** With error 300: another server, its address not XORed. RFC 8489 section 14.15. */
  FZR_ATTR_ALTERNATE_SERVER = 0x8023,
  /** CRC-32 of the message up to here, XORed with 0x5354554E. RFC 8489 section 14.7. */
  FZR_ATTR_FINGERPRINT = 0x8028,
  /** What moves an allocation to another 5-tuple; empty: one is wanted. RFC 8016 section 3.3. */
  FZR_ATTR_MOBILITY_TICKET = 0x8030
};

/** How many attributes fzr_stun_msg.at has room for: those of enum fzr_stun_attr_type, and more. */
#define FZR_STUN_ATTR_ROOM 40
/** How many unknown comprehension-required attributes a message remembers. */
#define FZR_STUN_UNKNOWN_MAX 8

/** An attribute: a view into the message, valid as long as the message's bytes are. */
typedef struct fzr_stun_attr {
  /** The first byte of the value, at any alignment. */
  const uint8_t *value;
  /** An enum fzr_stun_attr_type, or a type that is not known. */
  uint16_t type;
  /** Bytes of the value, without padding. */
  uint16_t len;
} fzr_stun_attr;

/**
 * A message that was read: a view into the caller's bytes, valid as long as they are.
 *
 * Of an attribute that comes twice, the first counts. Attributes after MESSAGE-INTEGRITY or
 * MESSAGE-INTEGRITY-SHA256 are passed over, but for the other of both and FINGERPRINT (RFC 8489
 * section 9).
 */
typedef struct fzr_stun_msg {
  /** The first byte of the header. The bytes are the caller's. */
  const uint8_t *data;
  /** Bytes of header and attributes. */
  uint16_t len;
  /** An enum fzr_stun_method, or another number of the 12 bits. */
  uint16_t method;
  /** An enum fzr_stun_class. */
  uint8_t cls;
  /**
   * How many attributes below 0x8000 are unknown, counted up to 255. Those past
   * FZR_STUN_UNKNOWN_MAX are counted, but not stored.
   */
  uint8_t unknown_count;
  /** Their types, in the order in which they came. For the UNKNOWN-ATTRIBUTES of a 420. */
  uint16_t unknown[FZR_STUN_UNKNOWN_MAX];
  /**
   * Where the header of each known attribute begins, in bytes from `data`; 0: it is absent. The
   * order is the library's own: read it by fzr_stun_get.
   */
  uint16_t at[FZR_STUN_ATTR_ROOM];
} fzr_stun_msg;

/**
 * `fzr_stun_read` reads the STUN message that fills the |len| bytes at |data| exactly, and
 * describes it in |msg|. Both are the caller's; |msg| keeps pointing into |data|. It makes one pass
 * and takes no memory. O(|len|). RFC 8489 sections 5 and 6.3.
 *
 * A FINGERPRINT, if present, is verified. MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 are not:
 * see fzr_stun_verify and fzr_stun_verify_sha256. A first
 * byte above 3 belongs to other protocols (RFC 7983). So methods from 0x100 on, which nobody has
 * defined, are not read.
 *
 * Returns FZR_DROP_NONE, or why this is no valid message. Nobody need answer it. What |msg| holds
 * then is not to be used.
 * - FZR_DROP_NOT_STUN: the first byte is another protocol's, or there is none.
 * - FZR_DROP_STUN_TRUNCATED: |len| is less than a header, or not what the header says.
 * - FZR_DROP_STUN_COOKIE: the magic cookie is missing.
 * - FZR_DROP_STUN_LENGTH: the length in the header is no multiple of 4.
 * - FZR_DROP_STUN_ATTRIBUTE: an attribute runs past the end, or a MESSAGE-INTEGRITY or FINGERPRINT
 *   has another length than its own.
 * - FZR_DROP_STUN_FINGERPRINT: the FINGERPRINT is wrong, or not the last attribute.
 */
FZR_API enum fzr_drop_reason fzr_stun_read(const uint8_t *data, size_t len, fzr_stun_msg *msg);

/**
 * `fzr_stun_has` tells whether |msg| has the known attribute |type| (enum fzr_stun_attr_type). It
 * does not look at the value. O(1).
 *
 * Returns false also if |type| is no known attribute.
 */
FZR_API bool fzr_stun_has(const fzr_stun_msg *msg, uint16_t type);

/**
 * `fzr_stun_get` looks up the known attribute |type| of |msg| and describes it in |attr|, which is
 * the caller's and points into the message. Of one that came twice it is the first. O(1).
 *
 * Returns true, or false, with |attr| untouched, if |msg| has none or |type| is no known attribute.
 */
FZR_API bool fzr_stun_get(const fzr_stun_msg *msg, uint16_t type, fzr_stun_attr *attr);

/**
 * `fzr_stun_next` walks all attributes of |msg| in their order: unknown and repeated ones, and
 * those behind MESSAGE-INTEGRITY, too. Set *|offset| to 0 before the first call. It counts bytes
 * from the begin of the message, and is moved on. O(1) for each step.
 *
 * Returns true with the next attribute in |attr|. Returns false at the end, and where an attribute
 * at *|offset| would reach beyond it; |attr| and |offset| are untouched then.
 */
FZR_API bool fzr_stun_next(const fzr_stun_msg *msg, uint16_t *offset, fzr_stun_attr *attr);

/**
 * `fzr_stun_txid` returns the transaction id of |msg|: FZR_STUN_TXID_LEN bytes inside the message,
 * valid as long as it is. A response carries that of its request (RFC 8489 section 5).
 */
FZR_API const uint8_t *fzr_stun_txid(const fzr_stun_msg *msg);

/**
 * `fzr_stun_get_u32` reads the known attribute |type| of |msg| as a 32-bit number into |value|, in
 * host order: LIFETIME and the like. The number of CHANNEL-NUMBER stands in the upper 16 bits, the
 * protocol of REQUESTED-TRANSPORT in the upper 8 (RFC 8656 sections 18.1 and 18.8). O(1).
 *
 * Returns true, or false, with |value| untouched, if |msg| has none, or one that is not 4 bytes
 * long.
 */
FZR_API bool fzr_stun_get_u32(const fzr_stun_msg *msg, uint16_t type, uint32_t *value);

/**
 * `fzr_stun_attr_addr` decodes |attr|, an XOR-…-ADDRESS of |msg|, into |addr|, which is the
 * caller's. Its scope is 0, and its transport FZR_TRANSPORT_UDP. RFC 8489 section 14.2.
 *
 * Returns true, or false, with |addr| untouched, if its family or length is not that of an address.
 */
FZR_API bool fzr_stun_attr_addr(const fzr_stun_msg *msg, const fzr_stun_attr *attr, fzr_addr *addr);

/**
 * `fzr_stun_attr_plain_addr` decodes |attr|, an address that is not XORed, into |addr|, which is
 * the caller's: ALTERNATE-SERVER. RFC 8489 sections 14.1 and 14.15.
 *
 * Returns true, or false, with |addr| untouched, if its family or length is not that of an address.
 */
FZR_API bool fzr_stun_attr_plain_addr(const fzr_stun_attr *attr, fzr_addr *addr);

/**
 * `fzr_stun_get_addr` is fzr_stun_get and fzr_stun_attr_addr in one: it decodes the known attribute
 * |type| of |msg| into |addr|. RFC 8489 section 14.2.
 *
 * Returns true, or false, with |addr| untouched, if |msg| has none, or one that is no address.
 */
FZR_API bool fzr_stun_get_addr(const fzr_stun_msg *msg, uint16_t type, fzr_addr *addr);

/**
 * `fzr_stun_error_code` returns the number in the ERROR-CODE of |msg|, 300 to 699, or 0 if it has
 * none or one of another number. RFC 8489 section 14.8.
 */
FZR_API unsigned fzr_stun_error_code(const fzr_stun_msg *msg);

/**
 * `fzr_stun_verify` tells whether the MESSAGE-INTEGRITY of |msg| was made with the |key_len| bytes
 * |key|: a long-term key (fzr_auth_long_term_key), or the bytes of a short-term password. |msg|
 * comes from fzr_stun_read. The comparison takes the same time, wherever the bytes differ. One
 * HMAC-SHA1 of the message: O(its length). RFC 8489 section 14.5.
 *
 * Returns false also if |msg| has no MESSAGE-INTEGRITY.
 */
FZR_API bool fzr_stun_verify(const fzr_stun_msg *msg, const uint8_t *key, size_t key_len);

/**
 * `fzr_stun_verify_sha256` is fzr_stun_verify for MESSAGE-INTEGRITY-SHA256: one HMAC-SHA256 of the
 * message. The attribute may be cut short, to a multiple of 4 bytes, at least 16. |least| says how
 * many bytes of it the caller asks for, 16 to 32: 32 unless what STUN is used for says otherwise,
 * and TURN says nothing. RFC 8489 section 14.6.
 *
 * Returns false also if |msg| has none, or one of a length that is not allowed.
 */
FZR_API bool fzr_stun_verify_sha256(const fzr_stun_msg *msg, const uint8_t *key, size_t key_len,
                                    size_t least);

/**
 * `fzr_stun_next_algorithm` walks the list in |attr|, a PASSWORD-ALGORITHMS, or a
 * PASSWORD-ALGORITHM, which is a list of one. *|offset| starts at 0 and is moved on; it is bytes
 * from the begin of the value. *|algorithm| gets the number, an enum fzr_password_algorithm or one
 * that is not known; its parameters are passed over. RFC 8489 sections 14.11 and 14.12.
 *
 * Returns true, or false, with |offset| and |algorithm| untouched, at the end, and where what
 * follows is no algorithm.
 */
FZR_API bool fzr_stun_next_algorithm(const fzr_stun_attr *attr, uint16_t *offset,
                                     uint16_t *algorithm);

/**
 * Builds a message into memory of the caller. The first call that fails marks the builder, and all
 * later ones do nothing: only the result of fzr_stun_build_finish needs to be looked at. The
 * members are for reading; the library sets them.
 */
typedef struct fzr_stun_builder {
  /** Where the message is built. The caller's. */
  uint8_t *data;
  /** How many bytes fit there, as far as a STUN message can be that long. */
  uint32_t cap;
  /** How many bytes the message has so far. */
  uint32_t len;
  /** 0, or the first enum fzr_error. */
  int error;
} fzr_stun_builder;

/**
 * `fzr_stun_build` begins a message of |method| (12 bits) and |cls| with the FZR_STUN_TXID_LEN
 * bytes |txid|, which are copied. It goes into the |cap| bytes at |data|, which stay the caller's.
 * |b| is the caller's, too; what is in it before does not matter. RFC 8489 section 5.
 *
 * What is wrong shows in fzr_stun_build_finish: |method| or |cls| out of range, or |cap| less than
 * FZR_STUN_HEADER_LEN.
 */
FZR_API void fzr_stun_build(fzr_stun_builder *b, uint8_t *data, size_t cap, uint16_t method,
                            enum fzr_stun_class cls, const uint8_t *txid);

/**
 * `fzr_stun_add` appends to |b| an attribute |type| with the |len| bytes at |value|, which are
 * copied and padded with zeros to a multiple of 4. |value| may be NULL if |len| is 0. RFC 8489
 * section 14.
 */
FZR_API void fzr_stun_add(fzr_stun_builder *b, uint16_t type, const void *value, size_t len);

/** `fzr_stun_add_u32` appends to |b| an attribute |type| of 4 bytes: |value| in network order. */
FZR_API void fzr_stun_add_u32(fzr_stun_builder *b, uint16_t type, uint32_t value);

/**
 * `fzr_stun_add_addr` appends to |b| an attribute |type| with |addr|, XORed as RFC 8489 section
 * 14.2 says. Scope and transport are left out. An |addr| of no family makes the builder fail.
 */
FZR_API void fzr_stun_add_addr(fzr_stun_builder *b, uint16_t type, const fzr_addr *addr);

/**
 * `fzr_stun_add_plain_addr` appends to |b| an attribute |type| with |addr|, not XORed:
 * ALTERNATE-SERVER. Scope and transport are left out. An |addr| of no family makes the builder
 * fail. RFC 8489 sections 14.1 and 14.15.
 */
FZR_API void fzr_stun_add_plain_addr(fzr_stun_builder *b, uint16_t type, const fzr_addr *addr);

/**
 * `fzr_stun_add_error` appends to |b| an ERROR-CODE with |code| and its usual reason phrase. A
 * |code| that is not from 300 to 699 makes the builder fail. RFC 8489 section 14.8.
 */
FZR_API void fzr_stun_add_error(fzr_stun_builder *b, unsigned code);

/**
 * `fzr_stun_add_address_error` appends to |b| an ADDRESS-ERROR-CODE for |family| with |code| and
 * its usual reason phrase. A |code| that is not from 300 to 699 makes the builder fail. RFC 8656
 * section 18.12.
 */
FZR_API void fzr_stun_add_address_error(fzr_stun_builder *b, enum fzr_family family, unsigned code);

/**
 * `fzr_stun_add_integrity` appends to |b| a MESSAGE-INTEGRITY over what is there, made with the
 * |key_len| bytes |key|. Only a MESSAGE-INTEGRITY-SHA256 and a FINGERPRINT may follow it: readers
 * pass all else over. RFC 8489 section 14.5.
 */
FZR_API void fzr_stun_add_integrity(fzr_stun_builder *b, const uint8_t *key, size_t key_len);

/**
 * `fzr_stun_add_integrity_sha256` appends to |b| a MESSAGE-INTEGRITY-SHA256 over what is there,
 * made with the |key_len| bytes |key|. |len| says how many bytes of it are written: 32 unless what
 * STUN is used for allows fewer, 16 or more and a multiple of 4; another makes the builder fail.
 * Only a FINGERPRINT may follow it. RFC 8489 section 14.6.
 */
FZR_API void fzr_stun_add_integrity_sha256(fzr_stun_builder *b, const uint8_t *key, size_t key_len,
                                           size_t len);

/**
 * `fzr_stun_add_algorithms` appends to |b| a PASSWORD-ALGORITHMS, or with |type|
 * FZR_ATTR_PASSWORD_ALGORITHM and a |count| of 1 a PASSWORD-ALGORITHM: the |count| numbers at
 * |algorithms|, each an enum fzr_password_algorithm, which has no parameters. RFC 8489 sections
 * 14.11 and 14.12.
 */
FZR_API void fzr_stun_add_algorithms(fzr_stun_builder *b, uint16_t type, const uint16_t *algorithms,
                                     size_t count);

/**
 * `fzr_stun_add_fingerprint` appends to |b| a FINGERPRINT over what is there. Nothing may follow
 * it, or readers drop the message; the builder does not check that. RFC 8489 section 14.7.
 */
FZR_API void fzr_stun_add_fingerprint(fzr_stun_builder *b);

/**
 * `fzr_stun_build_finish` completes the message of |b|. It takes nothing and frees nothing: send
 * the bytes at `data`.
 *
 * Returns the length of the message in bytes, or what the first call on |b| failed with:
 * - FZR_ERR_BUFFER_TOO_SMALL: the message did not fit. Give it more room, or less to say.
 * - FZR_ERR_INVALID_ARGUMENT: a number was out of its range, an address had no family, or a value
 *   was longer than 65535 bytes. Mend the call.
 */
FZR_API int fzr_stun_build_finish(fzr_stun_builder *b);

/**
 * `fzr_stun_method_name` returns the name of |method|, in small letters: "binding", "channelbind"
 * and so on; "unknown" for what is no enum fzr_stun_method. It is constant. Any thread.
 */
FZR_API const char *fzr_stun_method_name(unsigned method);

/**
 * `fzr_stun_error_reason` returns the reason phrase of |code|: "Unauthorized" for 401; "Error" for
 * codes that neither RFC 8489 section 14.8 nor RFC 8656 section 19 nor RFC 8016 section 3.4 has. It
 * is constant. Any thread.
 */
FZR_API const char *fzr_stun_error_reason(unsigned code);

/**
 * `fzr_channel_data_read` reads the ChannelData header of the |len| bytes at |data|, which are the
 * caller's. *|channel| gets the number, *|payload_len| the bytes of the payload. That begins at
 * |data| + FZR_CHANNEL_HEADER_LEN. Padding behind the payload is passed over. O(1). RFC 8656
 * sections 12.4 and 12.6.
 *
 * Returns FZR_DROP_NONE, or, with |channel| and |payload_len| untouched, why this is no
 * ChannelData:
 * - FZR_DROP_NOT_STUN: the number is not from FZR_CHANNEL_MIN to FZR_CHANNEL_MAX, or |len| is 0.
 * - FZR_DROP_CHANNEL_DATA_TRUNCATED: |len| is less than a header, or than the payload that it tells
 *   of.
 */
FZR_API enum fzr_drop_reason fzr_channel_data_read(const uint8_t *data, size_t len,
                                                   uint16_t *channel, uint16_t *payload_len);

/**
 * `fzr_channel_data_header` writes the header of |payload_len| bytes on |channel| to |out|, the
 * caller's. Neither is checked, and no padding is made: over UDP there need be none. RFC 8656
 * section 12.4.
 */
FZR_API void fzr_channel_data_header(uint8_t out[4], uint16_t channel, uint16_t payload_len);

#ifdef __cplusplus
}
#endif

#endif
