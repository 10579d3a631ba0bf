/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629). */
#ifndef FZRI_UTF8_H
#define FZRI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the |len| bytes |text| are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool fzri_utf8_valid(const uint8_t *text, size_t len);

#endif
