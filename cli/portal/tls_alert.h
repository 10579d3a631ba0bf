/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS alert of the server's means to who reads the log. */
#ifndef PORTAL_TLS_ALERT_H
#define PORTAL_TLS_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes one line on a fatal alert into the |cap| bytes at |out|: what it says of the server, where that is known, and the alert's
 * name in the words of RFC 8446 section 6, its number if it has no name there. |newest| is the newest version that this build
 * speaks, "1.2" or "1.3". */
void portal_tls_alert_text(uint8_t description, const char *newest, char *out, size_t cap);

#endif
