/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams that are sent through the relay, two ways at once, until those of each length have come or two seconds are over. No IO. */
#ifndef PROBE_DATA_H
#define PROBE_DATA_H

#include "facts.h"

#define PROBE_TOKEN       8u
#define PROBE_DATA_ROUNDS 5u

typedef struct probe_data {
  uint8_t token[PROBE_TOKEN]; /* by which they are known */
  unsigned first;             /* of the two ways */
  unsigned seen[2];           /* PROBE_SMALL, PROBE_LARGE */
  unsigned rounds;            /* that were sent */
  bool live;
  fzr_time began, next, end;
} probe_data;

/* Begins with the ways |first| and the one behind it. |token|: PROBE_TOKEN random bytes. */
void probe_data_start(probe_data *d, enum probe_way first, const uint8_t *token, fzr_time now);

/* Whether a round is to be sent now. Each has what has not come yet. */
bool probe_data_is_due(probe_data *d, fzr_time now);

/* Whether the datagram |size| (0 or 1) of the way |way| has not come yet. */
bool probe_data_is_missing(const probe_data *d, enum probe_way way, unsigned size);

/* Whether all have come, or no more will. */
bool probe_data_is_over(const probe_data *d, fzr_time now);

/* FZR_TIME_NEVER: none goes on. */
fzr_time probe_data_deadline(const probe_data *d);

/* Writes the datagram |size| of |way| to |out|. Returns its length. */
size_t probe_data_make(const probe_data *d, enum probe_way way, unsigned size,
                       uint8_t out[PROBE_LARGE_BYTES]);

/* The same, shorter one, by which it is known that it was sent otherwise: in an indication, say. */
size_t probe_data_make_other(const probe_data *d, enum probe_way way, uint8_t out[PROBE_LARGE_BYTES]);
/* Whether that is what came. */
bool probe_data_is_other(const probe_data *d, enum probe_way way, const uint8_t *data, size_t len);

/* Looks at what came on |way|. Returns whether it was one of them, unchanged. */
bool probe_data_take(probe_data *d, enum probe_way way, const uint8_t *data, size_t len);

#endif
