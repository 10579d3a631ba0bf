/* SPDX-License-Identifier: Apache-2.0 */
#include "firezone_relay/stun.h"

const char *fzr_stun_method_name(unsigned method)
{
  switch (method) {
  case FZR_STUN_BINDING:
    return "binding";
  case FZR_STUN_ALLOCATE:
    return "allocate";
  case FZR_STUN_REFRESH:
    return "refresh";
  case FZR_STUN_SEND:
    return "send";
  case FZR_STUN_DATA:
    return "data";
  case FZR_STUN_CREATE_PERMISSION:
    return "createpermission";
  case FZR_STUN_CHANNEL_BIND:
    return "channelbind";
  default:
    return "unknown";
  }
}

const char *fzr_stun_error_reason(unsigned code)
{
  switch (code) {
  case 300:
    return "Try Alternate";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 405:
    return "Mobility Forbidden";
  case 420:
    return "Unknown Attribute";
  case 437:
    return "Allocation Mismatch";
  case 438:
    return "Stale Nonce";
  case 440:
    return "Address Family not Supported";
  case 441:
    return "Wrong Credentials";
  case 442:
    return "Unsupported Transport Protocol";
  case 443:
    return "Peer Address Family Mismatch";
  case 486:
    return "Allocation Quota Reached";
  case 500:
    return "Server Error";
  case 508:
    return "Insufficient Capacity";
  default:
    return "Error";
  }
}
