/* SPDX-License-Identifier: Apache-2.0 */
/* The schemes whose usernames say when they expire, each in a file of its own; scheme.c chooses. Both fill |out|, which comes zeroed.
 * |secret| and |realm| are zero-terminated. The stamp scheme has keys by MD5 alone: |algorithm|, an enum fzr_password_algorithm, is for
 * the other one. */
#ifndef FZRI_SCHEMES_H
#define FZRI_SCHEMES_H

#include "firezone_relay/auth.h"

enum fzr_auth_result fzri_stamp_lookup(const char *secret, const char *realm, const uint8_t *username,
                                       size_t len, uint64_t unix_now, fzr_auth_key *out);
enum fzr_auth_result fzri_rest_lookup(const char *secret, const char *realm, const uint8_t *username,
                                      size_t len, uint8_t algorithm, uint64_t unix_now, fzr_auth_key *out);

#endif
