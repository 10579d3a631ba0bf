/* SPDX-License-Identifier: Apache-2.0 */
/* Which relay is asked, and over what: turn:, turns:, stun: and stuns: (RFC 7064, RFC 7065). */
#ifndef PROBE_TARGET_H
#define PROBE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#define PROBE_HOST_MAX 253u

typedef enum probe_transport { PROBE_UDP, PROBE_TCP, PROBE_TLS } probe_transport;

typedef struct probe_target {
  char host[PROBE_HOST_MAX + 1]; /* in small letters, without brackets */
  bool host_is_ip;
  uint16_t port;
  probe_transport transport;
  bool stun_only; /* nothing but Binding is asked for */
} probe_target;

/* Reads |text| into |out|. Returns NULL, or what would be right: static text. */
const char *probe_target_parse(const char *text, probe_target *out);

/* "UDP", "TCP" or "TLS". */
const char *probe_transport_name(probe_transport transport);

#endif
