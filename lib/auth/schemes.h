/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in schemes, each in a file of its own; scheme.c chooses. All fill |out|, which comes zeroed. |secret| and |realm| are
 * zero-terminated. */
#ifndef FZRI_SCHEMES_H
#define FZRI_SCHEMES_H

#include "scheme.h"

enum fzr_auth_result fzri_stamp_lookup(const char *secret, const char *realm, const uint8_t *username,
                                       size_t len, uint64_t unix_now, fzr_auth_key *out);
enum fzr_auth_result fzri_rest_lookup(const char *secret, const char *realm, const uint8_t *username,
                                      size_t len, uint64_t unix_now, fzr_auth_key *out);
enum fzr_auth_result fzri_static_lookup(const fzri_scheme *scheme, const uint8_t *username, size_t len,
                                        fzr_auth_key *out);

/* Copies and sorts the users of |config|. Returns 0, FZR_ERR_CONFIG_AUTH (no users, an empty name, a name twice), or
 * FZR_ERR_NO_MEMORY. */
int fzri_static_init(fzri_scheme *scheme, const fzr_config *config);
void fzri_static_free(fzri_scheme *scheme);

#endif
