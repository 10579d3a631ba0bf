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
  bool journal; /* the engines of a relay have not written it at one moment: see fzr_engine_load_journal */
  bool claimed; /* the reservation that is loaded has no port any more */
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

/* Whether nothing has come to |e| that could be in the way. */
bool fzri_load_may_begin(const fzr_engine *e);
/* Takes one record, of whatever type. Returns 0, or the error of fzr_engine_load. */
int fzri_load_record(fzri_loading *l, fzri_record *record);
/* All is loaded: the engine is the saved one from now on. Returns 0, or FZR_ERR_STATE_FOREIGN with nothing changed. */
int fzri_load_commit(fzri_loading *l);
/* Reads what is known of ports. |apply|: once all else is loaded; before that they are looked at only. */
int fzri_load_ports(const fzri_loading *l, fzri_record *record, bool apply);

/* Each takes one record, with which the engine has an object more, in all look-ups. Returns 0, or the error of fzr_engine_load. */
int fzri_load_allocation(fzri_loading *l, fzri_record *record);
int fzri_load_channel(fzri_loading *l, fzri_record *record);
int fzri_load_permission(fzri_loading *l, fzri_record *record);
int fzri_load_mobility(fzri_loading *l, fzri_record *record);
int fzri_load_reservation(fzri_loading *l, fzri_record *record);

#endif
