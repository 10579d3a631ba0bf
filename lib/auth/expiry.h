/* SPDX-License-Identifier: Apache-2.0 */
/* Usernames that begin with the time at which their credential runs out. */
#ifndef FZRI_EXPIRY_H
#define FZRI_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the decimal u64 that |username| begins with, up to a ':' or its end, into *|expiry|, and the index behind the colon into
 * *|rest| (0: there is no colon). Returns false if there is no digit, another character, or the number does not fit. Leading
 * zeros are fine. */
bool fzri_expiry_username(const uint8_t *username, size_t len, uint64_t *expiry, size_t *rest);

#endif
