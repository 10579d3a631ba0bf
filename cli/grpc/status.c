/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/status.h"

#include "common/hex.h"
#include "common/utf8.h"
#include "status.pb-c.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#define MESSAGE_MAX  1024u
#define DETAILS_MAX  4096u
#define RETRY_MAX_MS (3600 * INT64_C(1000))

const char *grpc_code_name(int code)
{
  static const char *const names[] = {
      "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED",
  };
  return code >= 0 && (size_t)code < sizeof names / sizeof *names ? names[code] : "UNKNOWN";
}

enum grpc_code grpc_code_of_http(int status)
{
  switch (status) {
  case 400:
    return GRPC_INTERNAL;
  case 401:
    return GRPC_UNAUTHENTICATED;
  case 403:
    return GRPC_PERMISSION_DENIED;
  case 404:
    return GRPC_UNIMPLEMENTED;
  case 429:
  case 502:
  case 503:
  case 504:
    return GRPC_UNAVAILABLE;
  default:
    return GRPC_UNKNOWN;
  }
}

enum grpc_code grpc_code_of_reset(uint32_t error)
{
  switch (error) {
  case NGHTTP2_REFUSED_STREAM:
    return GRPC_UNAVAILABLE;
  case NGHTTP2_CANCEL:
    return GRPC_CANCELLED;
  case NGHTTP2_ENHANCE_YOUR_CALM:
    return GRPC_RESOURCE_EXHAUSTED;
  case NGHTTP2_INADEQUATE_SECURITY:
    return GRPC_PERMISSION_DENIED;
  default:
    return GRPC_INTERNAL;
  }
}

bool grpc_may_retry(enum grpc_code code, bool told_to)
{
  switch (code) {
  case GRPC_CANCELLED:
  case GRPC_DEADLINE_EXCEEDED:
  case GRPC_ABORTED:
  case GRPC_OUT_OF_RANGE:
  case GRPC_UNAVAILABLE:
  case GRPC_DATA_LOSS:
    return true;
  case GRPC_RESOURCE_EXHAUSTED:
    return told_to;
  default:
    return false;
  }
}

void grpc_decode_message(const uint8_t *text, size_t len, char *out, size_t cap)
{
  uint8_t raw[MESSAGE_MAX];
  size_t n = 0;
  for (size_t i = 0; i < len && n < sizeof raw; i++) {
    const int byte = percent_byte((const char *)text + i, len - i);
    raw[n++] = byte >= 0 ? (uint8_t)byte : text[i];
    if (byte >= 0)
      i += 2;
  }
  utf8_copy(raw, n, out, cap);
}

static int base64_digit(uint8_t c)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

/* With or without padding, as gRPC allows it. Returns the length, or 0 if it is no base64 or too long. */
static size_t decode_base64(const uint8_t *text, size_t len, uint8_t *out, size_t cap)
{
  uint32_t bits = 0;
  unsigned have = 0;
  size_t n = 0;
  while (len && text[len - 1] == '=')
    len--;
  for (size_t i = 0; i < len; i++) {
    const int digit = base64_digit(text[i]);
    if (digit < 0)
      return 0;
    bits = (bits << 6 | (uint32_t)digit) & 0xffffffu;
    have += 6;
    if (have < 8)
      continue;
    have -= 8;
    if (n == cap)
      return 0;
    out[n++] = (uint8_t)(bits >> have);
  }
  return n;
}

static int64_t delay_of(const Grpcstatus__Detail *detail)
{
  static const char wanted[] = "type.googleapis.com/google.rpc.RetryInfo";
  int64_t ms = -1;
  if (strcmp(detail->type_url, wanted) != 0)
    return -1;
  Grpcstatus__RetryInfo *info = grpcstatus__retry_info__unpack(NULL, detail->value.len, detail->value.data);
  if (!info)
    return -1;
  const Grpcstatus__Duration *d = info->retry_delay;
  if (d && d->seconds >= 0 && d->nanos >= 0)
    ms = d->seconds > RETRY_MAX_MS / 1000 ? RETRY_MAX_MS : d->seconds * INT64_C(1000) + d->nanos / 1000000;
  grpcstatus__retry_info__free_unpacked(info, NULL);
  return ms;
}

int64_t grpc_retry_delay(const uint8_t *text, size_t len)
{
  uint8_t raw[DETAILS_MAX];
  int64_t ms = -1;
  const size_t n = decode_base64(text, len, raw, sizeof raw);
  Grpcstatus__Status *status = n ? grpcstatus__status__unpack(NULL, n, raw) : NULL;
  if (!status)
    return -1;
  for (size_t i = 0; i < status->n_details && ms < 0; i++)
    ms = delay_of(status->details[i]);
  grpcstatus__status__free_unpacked(status, NULL);
  return ms;
}
