/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file error.h
 * Error codes of the API, and the reasons for which a datagram is dropped.
 *
 * Functions return 0 (or a count) on success and one of these negative numbers on failure. The
 * hundreds say what kind it is and so what to do about it. What a stranger sends is never an error
 * of the API: a bad datagram is dropped and counted under a drop reason.
 */
#ifndef FIREZONE_RELAY_ERROR_H
#define FIREZONE_RELAY_ERROR_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What went wrong. The numbers do not change. A caller that meets one it does not know can go by
 * the hundreds.
 */
enum fzr_error {
  /* -1xx: the caller misused the API; a bug to fix. */
  /** An argument is NULL or out of its range. Mend the call. */
  FZR_ERR_INVALID_ARGUMENT = -101,
  /** The output did not fit, and nothing usable was written. Give it more room. */
  FZR_ERR_BUFFER_TOO_SMALL = -102,
  /** Not now: calls came in the wrong order, or nothing by that name is pending. */
  FZR_ERR_INVALID_STATE = -103,
  /**
   * A struct is longer than this library knows it, and what is beyond is not zero. Or the object
   * cannot do it: its engine has another authentication scheme, say.
   */
  FZR_ERR_UNSUPPORTED = -104,

  /* -2xx: the configuration is wrong; tell the operator. */
  /** There is no public address, one of the wrong family, or one that nobody can have. */
  FZR_ERR_CONFIG_ADDRESS = -201,
  /** The range of ports is empty, holds 0, or is not that of the fzr_shared. */
  FZR_ERR_CONFIG_PORTS = -202,
  /**
   * There is no usable authentication scheme: no callback, or a secret or a user that is
   * missing, empty, too long or there twice.
   */
  FZR_ERR_CONFIG_AUTH = -203,
  /** A rule of the peer policy is none: no CIDR, or its prefix does not fit the address. */
  FZR_ERR_CONFIG_RULE = -204,
  /** A limit is out of its range, the realm is empty or too long, or the software too long. */
  FZR_ERR_CONFIG_LIMIT = -205,
  /** fzr_engine_load: clients were told a public address that the configuration does not have. */
  FZR_ERR_STATE_ADDRESS = -206,
  /** fzr_engine_load: an allocation's port is not in the range of ports, or is taken. */
  FZR_ERR_STATE_PORT = -207,
  /** fzr_engine_load: there are more channels and permissions than fzr_config.max_channels. */
  FZR_ERR_STATE_LIMIT = -208,

  /* -3xx: a resource ran out; try again later. */
  /** The memory hook returned NULL. */
  FZR_ERR_NO_MEMORY = -301,
  /** The random hook failed. */
  FZR_ERR_NO_RANDOM = -302,
  /** Every port of the range is in use. */
  FZR_ERR_NO_PORT = -303,
  /** There are as many channels as fzr_config.max_channels allows. */
  FZR_ERR_NO_CHANNEL = -304,

  /* -4xx: an IO adapter reports a failure. */
  /** The system refused. errno says why, or what fzr_udp_new gave for it. */
  FZR_ERR_IO = -401,
  /** That address and port belong to another socket. */
  FZR_ERR_IO_IN_USE = -402,
  /** The system has no descriptor or buffer space left. */
  FZR_ERR_IO_NO_SOCKET = -403,
  /** The operation has begun, and its result comes later. No failure. */
  FZR_ERR_IO_PENDING = -404,

  /* -5xx: what was saved can't be loaded; begin without it. */
  /** It is no saved state, or not all of it, or it was altered. */
  FZR_ERR_STATE_DAMAGED = -501,
  /** It is of a release whose states this one can't read. */
  FZR_ERR_STATE_VERSION = -502,
  /** It is not of the relay whose state the other engines of the fzr_shared were loaded with. */
  FZR_ERR_STATE_FOREIGN = -503,
};

/**
 * Why a datagram, or one segment of a run, was dropped. The numbers do not change. They are indices
 * of fzr_stats.dropped; fzr_drop_reason_name has a name for each.
 */
enum fzr_drop_reason {
  /** It was not dropped. */
  FZR_DROP_NONE = 0,
  /** It came from port 0, where nothing could be sent. */
  FZR_DROP_SOURCE_PORT_ZERO = 1,
  /** It is empty, or its first byte is neither STUN's nor ChannelData's (RFC 7983). */
  FZR_DROP_NOT_STUN = 2,
  /** A STUN message is shorter than its header, or not as long as its length field says. */
  FZR_DROP_STUN_TRUNCATED = 3,
  /** A STUN message has another magic cookie (RFC 8489 section 5). */
  FZR_DROP_STUN_COOKIE = 4,
  /** The length field of a STUN message is no multiple of 4. */
  FZR_DROP_STUN_LENGTH = 5,
  /** An attribute runs past the end of its message, or has a length that it cannot have. */
  FZR_DROP_STUN_ATTRIBUTE = 6,
  /** FINGERPRINT is wrong, or not the last attribute (RFC 8489 section 14.7). */
  FZR_DROP_STUN_FINGERPRINT = 7,
  /** A STUN indication or response that the relay does not take. */
  FZR_DROP_STUN_NOT_REQUEST = 8,
  /** ChannelData is shorter than its header, or than its length field says. */
  FZR_DROP_CHANNEL_DATA_TRUNCATED = 9,
  /** ChannelData came from a client without an allocation. */
  FZR_DROP_UNKNOWN_CLIENT = 10,
  /** ChannelData for a number that is not bound, or whose binding has expired. */
  FZR_DROP_UNKNOWN_CHANNEL = 11,
  /** It came to a relayed address, from a peer without a channel, and without a permission. */
  FZR_DROP_UNKNOWN_PEER = 12,
  /** It came to a port that has no allocation of that family. */
  FZR_DROP_UNKNOWN_PORT = 13,
  /** A request over unauthenticated_rate, error_rate or integrity_rate of the fzr_config. */
  FZR_DROP_RATE_LIMITED = 14,
  /** Data over the max_bandwidth_per_allocation of the fzr_config. */
  FZR_DROP_BANDWIDTH = 15,
  /**
   * A payload that does not fit into a datagram with its header; or a message on a stream that is
   * over the limit.
   */
  FZR_DROP_TOO_LARGE = 16,
  /** An answer, not a datagram: the caller does not take transmits. */
  FZR_DROP_ANSWER_RING_FULL = 17,
  /** The adapter counts it: a socket's queue of unsent datagrams is full. */
  FZR_DROP_SEND_QUEUE_FULL = 18,
  /** The adapter counts it: the system refused to send. */
  FZR_DROP_SEND_ERROR = 19,
  /** The adapter counts it: it waited too long for a socket that takes nothing. */
  FZR_DROP_SEND_EXPIRED = 20,
  /** The adapter counts it: it was for a host on the link that does not answer. */
  FZR_DROP_UNREACHED = 21,
  /** The adapter counts it: an answer to a stranger, for which there was no room. */
  FZR_DROP_ANSWER_WOULD_WAIT = 22,
  /**
   * A Binding request of a client without an allocation, while there is no room for one: see
   * silent_when_full of fzr_config.
   */
  FZR_DROP_FULL = 23,
  /** It begins as DTLS or TLS does: with a handshake. */
  FZR_DROP_TLS = 24,
  /** A Send indication for a peer without a permission (RFC 8656 section 11.2). */
  FZR_DROP_NO_PERMISSION = 25,
  /** A Send indication without a valid XOR-PEER-ADDRESS, or without DATA. */
  FZR_DROP_SEND_MALFORMED = 26,
  /** A Send indication with an unknown comprehension-required attribute. */
  FZR_DROP_UNKNOWN_ATTRIBUTE = 27,
  /** To or from a port, of a peer with a permission, that the peer policy does not allow. */
  FZR_DROP_PEER_PORT = 28,
  /**
   * The host counts it: more came to one port than its share, where one socket hears for all. See
   * `direct` of fzr_udp_config.
   */
  FZR_DROP_PORT_SHARE = 29,
  /** How many reasons there are in this release. */
  FZR_DROP_REASONS = 30,
  /** How many there may be before the ABI changes. */
  FZR_DROP_ROOM = 32
};

/**
 * `fzr_strerror` returns a short English text for |error|, one of enum fzr_error: "success" for 0,
 * "unknown error" for other numbers. The text is never NULL and lives for ever. Any thread.
 */
FZR_API const char *fzr_strerror(int error);

/**
 * `fzr_drop_reason_name` returns a name for |reason|, one of enum fzr_drop_reason, that is fit for
 * the label of a metric: "unknown_channel", say. It is "none" for FZR_DROP_NONE and "unknown" for
 * other numbers. The text is never NULL and lives for ever. Any thread.
 */
FZR_API const char *fzr_drop_reason_name(unsigned reason);

#ifdef __cplusplus
}
#endif

#endif
