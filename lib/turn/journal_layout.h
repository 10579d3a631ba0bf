/* SPDX-License-Identifier: Apache-2.0 */
/* Where in its memory a journal has what: a head, and two halves, each with a head and records. docs/state-format.md has the same in words. */
#ifndef FZRI_JOURNAL_LAYOUT_H
#define FZRI_JOURNAL_LAYOUT_H

#include "record.h"

#include "firezone_relay/journal.h"

/* The head: 8 bytes of name, u16 major, u16 minor, u64 length of a half, u32 checksum. */
#define FZRI_JOURNAL_HEAD_LEN 24u
static const uint8_t fzri_journal_name[8] = {'f', 'z', 'r', 'j', 'o', 'u', 'r', 'n'};
/* The head of a half: u32 generation, u64 what times are from, u32 checksum. */
#define FZRI_HALF_HEAD_LEN 16u

/* A half that was looked at. */
typedef struct fzri_half {
  const uint8_t *data;
  size_t len;     /* as far as it is good: to the end of the last event that is whole. 0: it is no half */
  size_t records; /* up to there */
  uint32_t generation;
  fzr_time origin; /* what its times are from, in the clock of whoever wrote it */
  bool whole;      /* all that there was to know is in it */
} fzri_half;

/* A journal that was looked at. */
typedef struct fzri_halves {
  uint16_t major, minor;
  size_t half_len; /* 0: it is no journal */
  fzri_half half[2];
  int current; /* which one counts; -1: none */
} fzri_halves;

/* Looks at the |len| bytes at |data|, which may be anything. Returns 0, with |current| or without, FZR_ERR_STATE_DAMAGED if it is no journal, or
 * FZR_ERR_STATE_VERSION. */
int fzri_journal_look(const uint8_t *data, size_t len, fzri_halves *out);

#endif
