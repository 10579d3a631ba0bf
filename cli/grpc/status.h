/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's status codes, and what OTLP wants done about them. */
#ifndef GRPC_STATUS_H
#define GRPC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum grpc_code {
  GRPC_OK = 0,
  GRPC_CANCELLED = 1,
  GRPC_UNKNOWN = 2,
  GRPC_INVALID_ARGUMENT = 3,
  GRPC_DEADLINE_EXCEEDED = 4,
  GRPC_NOT_FOUND = 5,
  GRPC_ALREADY_EXISTS = 6,
  GRPC_PERMISSION_DENIED = 7,
  GRPC_RESOURCE_EXHAUSTED = 8,
  GRPC_FAILED_PRECONDITION = 9,
  GRPC_ABORTED = 10,
  GRPC_OUT_OF_RANGE = 11,
  GRPC_UNIMPLEMENTED = 12,
  GRPC_INTERNAL = 13,
  GRPC_UNAVAILABLE = 14,
  GRPC_DATA_LOSS = 15,
  GRPC_UNAUTHENTICATED = 16
};

/* "UNAVAILABLE" and the like; static text, never NULL. */
const char *grpc_code_name(int code);

/* What an HTTP status without gRPC's own means (gRPC's http-grpc-status-mapping). */
enum grpc_code grpc_code_of_http(int status);

/* What a stream that was reset means: |error| is HTTP/2's error code (PROTOCOL-HTTP2, "Errors"). */
enum grpc_code grpc_code_of_reset(uint32_t error);

/* Whether the same data may be sent again after |code|, by OTLP's table. |told_to|: the answer said when to try again. */
bool grpc_may_retry(enum grpc_code code, bool told_to);

/* Decodes the |len| bytes of a grpc-message header (percent-encoded UTF-8) into |out|, as valid UTF-8, zero-terminated. */
void grpc_decode_message(const uint8_t *text, size_t len, char *out, size_t cap);

/* Reads a grpc-status-details-bin header (base64 of google.rpc.Status) as far as it says when to try again. Returns milliseconds, or -1
 * if it does not say. */
int64_t grpc_retry_delay(const uint8_t *text, size_t len);

#endif
