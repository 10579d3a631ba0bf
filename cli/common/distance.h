/* SPDX-License-Identifier: Apache-2.0 */
/* How far a word is from another one: what was mistyped has something near to it. */
#ifndef COMMON_DISTANCE_H
#define COMMON_DISTANCE_H

#include <stddef.h>

#define DISTANCE_MAX 48u /* bytes of a word; a longer one is far from all */

/* How many letters have to be put in, taken out or changed to make |b| of the |len| bytes |a|; DISTANCE_MAX, if one of them is longer than
 * that. */
size_t distance(const char *a, size_t len, const char *b);

#endif
