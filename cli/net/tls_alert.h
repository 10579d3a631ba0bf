/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS alert of the server's means to who reads the log. */
#ifndef NET_TLS_ALERT_H
#define NET_TLS_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The versions of TLS that the server was offered. */
enum net_tls_offered {
  NET_TLS_OFFERED_13,    /* 1.2 and 1.3 */
  NET_TLS_OFFERED_12,    /* 1.2, for this build has no 1.3 */
  NET_TLS_OFFERED_12_NOW /* 1.2, this once */
};

/* Writes one line on a fatal alert into the |cap| bytes at |out|: what it says of the server, where that is known, and the alert's
 * name in the words of RFC 8446 section 6, its number if it has no name there. */
void net_tls_alert_text(uint8_t description, enum net_tls_offered offered, char *out, size_t cap);

#endif
