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

enum fzr_error {
  /* -1xx: the caller misused the API; a bug to fix. */
  /** An argument is NULL or out of its range. */
  FZR_ERR_INVALID_ARGUMENT = -101,
  /** The output did not fit; nothing usable was written. */
  FZR_ERR_BUFFER_TOO_SMALL = -102,
  /** Not now: call order, or nothing by that name is pending. */
  FZR_ERR_INVALID_STATE = -103,
  /**
   * A config struct is longer than this library knows, with non-zero tail; or the engine's scheme
   * has no such thing.
   */
  FZR_ERR_UNSUPPORTED = -104,

  /* -2xx: the configuration is wrong. */
  /** No public address, one of the wrong family, or one that nobody can have. */
  FZR_ERR_CONFIG_ADDRESS = -201,
  /** Port range empty, holding 0, or not that of the shared pool. */
  FZR_ERR_CONFIG_PORTS = -202,
  /** No usable authentication scheme. */
  FZR_ERR_CONFIG_AUTH = -203,
  /** A CIDR rule that is none. */
  FZR_ERR_CONFIG_RULE = -204,
  /** A limit, realm or software string out of its range. */
  FZR_ERR_CONFIG_LIMIT = -205,

  /* -3xx: a resource ran out; try again later. */
  FZR_ERR_NO_MEMORY = -301,
  /** The random hook failed. */
  FZR_ERR_NO_RANDOM = -302,
  /** Every port of the range is in use. */
  FZR_ERR_NO_PORT = -303,
  /** There are as many channels as there may be. */
  FZR_ERR_NO_CHANNEL = -304,

  /* -4xx: an IO adapter reports a failure. */
  /** The system refused; errno says why, or what fzr_udp_new gave for it. */
  FZR_ERR_IO = -401,
  /** That address and port belong to another socket. */
  FZR_ERR_IO_IN_USE = -402,
  /** No descriptor or buffer space left. */
  FZR_ERR_IO_NO_SOCKET = -403,
  /** Begun; the result comes later. */
  FZR_ERR_IO_PENDING = -404,
};

/** Why a datagram (or one segment of a run) was dropped. 0 is no reason. */
enum fzr_drop_reason {
  FZR_DROP_NONE = 0,
  /** From port 0: nothing could be answered. */
  FZR_DROP_SOURCE_PORT_ZERO = 1,
  /** First byte neither STUN nor ChannelData, or empty. */
  FZR_DROP_NOT_STUN = 2,
  /** Shorter than a header, or than its length field says, or longer. */
  FZR_DROP_STUN_TRUNCATED = 3,
  /** Wrong magic cookie. */
  FZR_DROP_STUN_COOKIE = 4,
  /** Length is no multiple of 4. */
  FZR_DROP_STUN_LENGTH = 5,
  /** An attribute runs past the end, or has an impossible size. */
  FZR_DROP_STUN_ATTRIBUTE = 6,
  /** FINGERPRINT is wrong or not last. */
  FZR_DROP_STUN_FINGERPRINT = 7,
  /** Indications and responses are never answered. */
  FZR_DROP_STUN_NOT_REQUEST = 8,
  /** Shorter than its header or its length field. */
  FZR_DROP_CHANNEL_DATA_TRUNCATED = 9,
  /** ChannelData from a client without allocation. */
  FZR_DROP_UNKNOWN_CLIENT = 10,
  /** No such channel, or its 600 s and the grace are over. */
  FZR_DROP_UNKNOWN_CHANNEL = 11,
  /** To a relayed address, from a peer without channel. */
  FZR_DROP_UNKNOWN_PEER = 12,
  /** To a port that has no allocation. */
  FZR_DROP_UNKNOWN_PORT = 13,
  /** An unauthenticated request over the rate of its prefix. */
  FZR_DROP_RATE_LIMITED = 14,
  /** Over the allocation's bandwidth. */
  FZR_DROP_BANDWIDTH = 15,
  /** Payload does not fit a datagram with its ChannelData header. */
  FZR_DROP_TOO_LARGE = 16,
  /** An answer, not a datagram: the caller does not drain. */
  FZR_DROP_ANSWER_RING_FULL = 17,
  /** Counted by the adapter: back-pressure bound reached. */
  FZR_DROP_SEND_QUEUE_FULL = 18,
  /** Counted by the adapter: the system refused the datagram. */
  FZR_DROP_SEND_ERROR = 19,
  /** Counted by the adapter: waited too long for a socket that takes nothing. */
  FZR_DROP_SEND_EXPIRED = 20,
  /** Counted by the adapter: for a host on the link that does not answer. */
  FZR_DROP_UNREACHED = 21,
  /** Counted by the adapter: an answer to a stranger, and no room for it. */
  FZR_DROP_ANSWER_WOULD_WAIT = 22,
  /** A Binding request of a client without allocation, while there is no room for one. */
  FZR_DROP_FULL = 23,
  /** Begins as DTLS or TLS does. */
  FZR_DROP_TLS = 24,
  /** How many there are. */
  FZR_DROP_REASONS = 25,
  /** How many there may be before the ABI changes. */
  FZR_DROP_ROOM = 32
};

/**
 * `fzr_strerror` returns a short English text for |error|, one of enum fzr_error: static memory,
 * never NULL, "success" for 0 and "unknown error" for other numbers.
 */
FZR_API const char *fzr_strerror(int error);

/**
 * `fzr_drop_reason_name` returns a name fit for a metric's label ("unknown_channel") for |reason|,
 * one of enum fzr_drop_reason: static memory, never NULL, "unknown" for other numbers.
 */
FZR_API const char *fzr_drop_reason_name(unsigned reason);

#ifdef __cplusplus
}
#endif

#endif
