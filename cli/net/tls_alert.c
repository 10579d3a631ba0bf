/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_alert.h"

#include <stdio.h>

/* The alerts that a client has to ask its reader about. */
enum {
  HANDSHAKE_FAILURE = 40,
  PROTOCOL_VERSION = 70,
  INSUFFICIENT_SECURITY = 71,
  CERTIFICATE_REQUIRED = 116
};

static const char *alert_name(uint8_t description)
{
  static const struct {
    uint8_t description;
    const char *name;
  } alerts[] = {
      {0, "close_notify"},
      {10, "unexpected_message"},
      {20, "bad_record_mac"},
      {22, "record_overflow"},
      {HANDSHAKE_FAILURE, "handshake_failure"},
      {42, "bad_certificate"},
      {43, "unsupported_certificate"},
      {44, "certificate_revoked"},
      {45, "certificate_expired"},
      {46, "certificate_unknown"},
      {47, "illegal_parameter"},
      {48, "unknown_ca"},
      {49, "access_denied"},
      {50, "decode_error"},
      {51, "decrypt_error"},
      {PROTOCOL_VERSION, "protocol_version"},
      {INSUFFICIENT_SECURITY, "insufficient_security"},
      {80, "internal_error"},
      {86, "inappropriate_fallback"},
      {90, "user_canceled"},
      {100, "no_renegotiation"}, /* RFC 5246 */
      {109, "missing_extension"},
      {110, "unsupported_extension"},
      {112, "unrecognized_name"},
      {113, "bad_certificate_status_response"},
      {115, "unknown_psk_identity"},
      {CERTIFICATE_REQUIRED, "certificate_required"},
      {120, "no_application_protocol"},
  };
  for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++)
    if (alerts[i].description == description)
      return alerts[i].name;
  return NULL;
}

/* What |description| says of the server; "" if no more than its name does. */
static const char *meaning(uint8_t description, enum net_tls_offered offered)
{
  const bool has_13 = offered == NET_TLS_OFFERED_13;
  const bool refused = description == PROTOCOL_VERSION || description == HANDSHAKE_FAILURE ||
                       description == INSUFFICIENT_SECURITY;
  if (refused && offered == NET_TLS_OFFERED_12_NOW)
    return "the server does not take TLS 1.2 alone, which was offered this once: the next try offers 1.3 as "
           "well";
  switch (description) {
  case PROTOCOL_VERSION:
    return has_13 ? "the server speaks neither TLS 1.2 nor 1.3"
                  : "the server wants another version than TLS 1.2, most likely 1.3, which this build does "
                    "not have";
  case HANDSHAKE_FAILURE:
  case INSUFFICIENT_SECURITY:
    return has_13 ? "the server accepts no cipher or signature of this build: its certificate has to be of "
                    "ECDSA or RSA, "
                    "not Ed25519"
                  : "the server accepts no cipher or signature of this build: it has to speak TLS 1.2 with "
                    "AES-GCM or "
                    "ChaCha20, its certificate has to be of ECDSA or RSA, not Ed25519";
  case CERTIFICATE_REQUIRED:
    return "the server wants a certificate of the relay, which has none";
  default:
    return "";
  }
}

void net_tls_alert_text(uint8_t description, enum net_tls_offered offered, char *out, size_t cap)
{
  const char *name = alert_name(description);
  const char *text = meaning(description, offered);
  char number[16];
  snprintf(number, sizeof number, "%u", description);
  if (*text)
    snprintf(out, cap, "%s (TLS alert %s)", text, name ? name : number);
  else
    snprintf(out, cap, "the server ended the connection with TLS alert %s", name ? name : number);
}
