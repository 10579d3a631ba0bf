/* SPDX-License-Identifier: Apache-2.0 */
/* The Retry-After header (RFC 9110 section 10.2.3). */
#ifndef PORTAL_RETRY_AFTER_H
#define PORTAL_RETRY_AFTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest wait that is honoured, in seconds. */
#define PORTAL_RETRY_AFTER_MAX 300

/* Reads an HTTP date (RFC 9110 section 5.6.7, all three of its forms) from the |len| bytes at |text| into Unix seconds.
 * Returns whether it is one. */
bool portal_http_date(const char *text, size_t len, int64_t *unix_seconds);

/* Reads a Retry-After value, a number of seconds or an HTTP date, at a wall clock of |unix_now|, into |seconds| from now: 0 for a
 * date that has passed, PORTAL_RETRY_AFTER_MAX at most. Returns whether it is one. */
bool portal_retry_after(const char *text, size_t len, int64_t unix_now, uint32_t *seconds);

#endif
