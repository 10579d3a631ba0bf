/* SPDX-License-Identifier: Apache-2.0 */
/* Who sends a request: RFC 8489 section 9.2.4. */
#ifndef FZRI_AUTHENTICATE_H
#define FZRI_AUTHENTICATE_H

#include "request.h"

/* Authenticates |r|, whose allocation has been looked up. Returns 0, and then r->authenticated is true and the credential there; or
 * the error code, 400, 401 or 438. r->dropped: nothing is to be answered. */
unsigned fzri_authenticate(fzr_engine *e, fzri_request *r);

/* What |r| is signed with, rightly or not: FZRI_BY_SHA256 if that HMAC is there and means something, else FZRI_BY_SHA1; 0 for nothing. */
uint8_t fzri_signed_by(const fzr_engine *e, const fzri_request *r);

/* The keyed hash of whom |username| names, in this engine: see fzri_scheme_user. */
uint64_t fzri_user_of(const fzr_engine *e, const uint8_t *username, size_t len);

#endif
