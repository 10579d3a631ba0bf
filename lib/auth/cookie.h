/* SPDX-License-Identifier: Apache-2.0 */
/* The nonce cookie (RFC 8489 section 9.2): by it a server tells in each nonce what it offers, so that nobody on the way can take that
 * out of its answers. */
#ifndef FZRI_COOKIE_H
#define FZRI_COOKIE_H

#include "firezone_relay/auth.h"

#define FZRI_COOKIE_LEN 13u /* "obMatJos2", and base64 of 24 bits */

/* In place of features: there is no cookie, as of servers that know nothing of it. */
#define FZRI_NO_COOKIE UINT32_MAX

/* Writes the cookie of |features|, bits of enum fzr_security_feature. */
void fzri_cookie_make(uint32_t features, char out[FZRI_COOKIE_LEN]);

/* Whether the |len| bytes |nonce| begin with a cookie; *|features| gets its bits. */
bool fzri_cookie_read(const uint8_t *nonce, size_t len, uint32_t *features);

#endif
