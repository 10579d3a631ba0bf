/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a saved state: what its parts share. */
#ifndef FZRI_LOAD_H
#define FZRI_LOAD_H

#include "record.h"
#include "state.h"

typedef struct fzri_loading {
  fzr_engine *e;
  fzri_reader reader;
  fzr_load_result *result;
  /* Of the engine's record. What of it replaces something of |e| does so when all else is good. */
  bool has_engine;
  bool replaces; /* the saved one did */
  fzr_time nonce_time;
  fzri_siphash_key nonce_key;
  fzri_siphash_key name_key;
  fzri_siphash_key user_key;
  uint64_t txid_state;
  uint32_t txid_start;
  fzr_time look_at;
  fzr_addr public_addr[2];
  fzr_stats counters;
} fzri_loading;

/* Each takes one record, with which the engine has an object more, in all look-ups. Returns 0, or the error of fzr_engine_load. */
int fzri_load_allocation(fzri_loading *l, fzri_record *record);
int fzri_load_channel(fzri_loading *l, fzri_record *record);
int fzri_load_permission(fzri_loading *l, fzri_record *record);
int fzri_load_mobility(fzri_loading *l, fzri_record *record);
int fzri_load_reservation(fzri_loading *l, fzri_record *record);

#endif
