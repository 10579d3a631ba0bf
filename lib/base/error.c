/* SPDX-License-Identifier: Apache-2.0 */
#include "firezone_relay/error.h"

#include <stddef.h>

static const struct {
  int error;
  const char *text;
} texts[] = {
    {0, "success"},
    {FZR_ERR_INVALID_ARGUMENT, "invalid argument"},
    {FZR_ERR_BUFFER_TOO_SMALL, "buffer too small"},
    {FZR_ERR_INVALID_STATE, "not possible in this state, or nothing by that name"},
    {FZR_ERR_UNSUPPORTED, "not supported by this version of the library, or not by this engine"},
    {FZR_ERR_CONFIG_ADDRESS, "no usable address configured, or one of the wrong family"},
    {FZR_ERR_CONFIG_PORTS, "invalid port range"},
    {FZR_ERR_CONFIG_AUTH, "authentication scheme, secret or users are wrong"},
    {FZR_ERR_CONFIG_RULE, "invalid peer rule"},
    {FZR_ERR_CONFIG_LIMIT, "configured value out of range"},
    {FZR_ERR_STATE_ADDRESS, "allocations have a public address that is not configured"},
    {FZR_ERR_STATE_PORT, "an allocation has a port that is out of the configured range or taken"},
    {FZR_ERR_STATE_LIMIT, "more channels and permissions than are configured"},
    {FZR_ERR_NO_MEMORY, "out of memory"},
    {FZR_ERR_NO_RANDOM, "no random bytes to be had"},
    {FZR_ERR_NO_CHANNEL, "as many channels as there may be"},
    {FZR_ERR_NO_PORT, "no free port"},
    {FZR_ERR_IO, "system call failed"},
    {FZR_ERR_IO_IN_USE, "address already in use"},
    {FZR_ERR_IO_NO_SOCKET, "out of descriptors or socket buffers"},
    {FZR_ERR_IO_PENDING, "operation pending"},
    {FZR_ERR_STATE_DAMAGED, "no saved state, or a damaged one"},
    {FZR_ERR_STATE_VERSION, "saved state of an unknown version"},
    {FZR_ERR_STATE_FOREIGN, "saved state of another relay"},
};

const char *fzr_strerror(int error)
{
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    if (texts[i].error == error)
      return texts[i].text;
  return "unknown error";
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
      [FZR_DROP_PORT_SHARE] = "port_share",
  };
  return reason < FZR_DROP_REASONS ? names[reason] : "unknown";
}
