/* SPDX-License-Identifier: Apache-2.0 */
#include "firezone_relay/error.h"

const char *fzr_strerror(int error)
{
  switch (error) {
  case 0:
    return "success";
  case FZR_ERR_INVALID_ARGUMENT:
    return "invalid argument";
  case FZR_ERR_BUFFER_TOO_SMALL:
    return "buffer too small";
  case FZR_ERR_INVALID_STATE:
    return "not possible in this state, or nothing by that name";
  case FZR_ERR_UNSUPPORTED:
    return "not supported by this version of the library, or not by this engine";
  case FZR_ERR_CONFIG_ADDRESS:
    return "no usable address configured, or one of the wrong family";
  case FZR_ERR_CONFIG_PORTS:
    return "invalid port range";
  case FZR_ERR_CONFIG_AUTH:
    return "authentication scheme, secret or users are wrong";
  case FZR_ERR_CONFIG_RULE:
    return "invalid peer rule";
  case FZR_ERR_CONFIG_LIMIT:
    return "configured value out of range";
  case FZR_ERR_STATE_ADDRESS:
    return "allocations have a public address that is not configured";
  case FZR_ERR_STATE_PORT:
    return "an allocation has a port that is out of the configured range or taken";
  case FZR_ERR_STATE_LIMIT:
    return "more channels and permissions than are configured";
  case FZR_ERR_NO_MEMORY:
    return "out of memory";
  case FZR_ERR_NO_RANDOM:
    return "no random bytes to be had";
  case FZR_ERR_NO_CHANNEL:
    return "as many channels as there may be";
  case FZR_ERR_NO_PORT:
    return "no free port";
  case FZR_ERR_IO:
    return "system call failed";
  case FZR_ERR_IO_IN_USE:
    return "address already in use";
  case FZR_ERR_IO_NO_SOCKET:
    return "out of descriptors or socket buffers";
  case FZR_ERR_IO_PENDING:
    return "operation pending";
  case FZR_ERR_STATE_DAMAGED:
    return "no saved state, or a damaged one";
  case FZR_ERR_STATE_VERSION:
    return "saved state of an unknown version";
  case FZR_ERR_STATE_FOREIGN:
    return "saved state of another relay";
  default:
    return "unknown error";
  }
}

const char *fzr_drop_reason_name(unsigned reason)
{
  static const char *const names[FZR_DROP_REASONS] = {
      [FZR_DROP_NONE] = "none",
      [FZR_DROP_SOURCE_PORT_ZERO] = "source_port_zero",
      [FZR_DROP_NOT_STUN] = "not_stun",
      [FZR_DROP_STUN_TRUNCATED] = "stun_truncated",
      [FZR_DROP_STUN_COOKIE] = "stun_cookie",
      [FZR_DROP_STUN_LENGTH] = "stun_length",
      [FZR_DROP_STUN_ATTRIBUTE] = "stun_attribute",
      [FZR_DROP_STUN_FINGERPRINT] = "stun_fingerprint",
      [FZR_DROP_STUN_NOT_REQUEST] = "stun_not_request",
      [FZR_DROP_CHANNEL_DATA_TRUNCATED] = "channel_data_truncated",
      [FZR_DROP_UNKNOWN_CLIENT] = "unknown_client",
      [FZR_DROP_UNKNOWN_CHANNEL] = "unknown_channel",
      [FZR_DROP_UNKNOWN_PEER] = "unknown_peer",
      [FZR_DROP_UNKNOWN_PORT] = "unknown_port",
      [FZR_DROP_RATE_LIMITED] = "rate_limited",
      [FZR_DROP_BANDWIDTH] = "bandwidth",
      [FZR_DROP_TOO_LARGE] = "too_large",
      [FZR_DROP_ANSWER_RING_FULL] = "answer_ring_full",
      [FZR_DROP_SEND_QUEUE_FULL] = "send_queue_full",
      [FZR_DROP_SEND_ERROR] = "send_error",
      [FZR_DROP_SEND_EXPIRED] = "send_expired",
      [FZR_DROP_UNREACHED] = "unreached",
      [FZR_DROP_ANSWER_WOULD_WAIT] = "answer_would_wait",
      [FZR_DROP_FULL] = "full",
      [FZR_DROP_TLS] = "tls",
      [FZR_DROP_NO_PERMISSION] = "no_permission",
      [FZR_DROP_SEND_MALFORMED] = "send_malformed",
      [FZR_DROP_UNKNOWN_ATTRIBUTE] = "unknown_attribute",
      [FZR_DROP_PEER_PORT] = "peer_port",
  };
  return reason < FZR_DROP_REASONS ? names[reason] : "unknown";
}
