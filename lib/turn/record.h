/* SPDX-License-Identifier: Apache-2.0 */
/* Saved states as bytes: a header, and records with type, length and checksum. docs/state-format.md says what is in them. All numbers are
 * little-endian; times are nanoseconds from a moment that is the same for the whole state, its base. */
#ifndef FZRI_RECORD_H
#define FZRI_RECORD_H

#include "firezone_relay/save.h"

#define FZRI_STATE_HEADER_LEN 12u
#define FZRI_RECORD_HEAD_LEN  8u
#define FZRI_RECORD_TAIL_LEN  4u
/* The longest record that is written, head and tail included. */
#define FZRI_RECORD_MAX 2048u
/* No time in a state is further ahead than that. */
#define FZRI_STATE_SPAN (86400 * FZR_SECOND)

/* The numbers do not change. */
enum fzri_record_type {
  FZRI_RECORD_ENGINE = 1, /* the first one */
  FZRI_RECORD_ALLOCATION = 2,
  FZRI_RECORD_CHANNEL = 3,
  FZRI_RECORD_PERMISSION = 4,
  FZRI_RECORD_MOBILITY = 5,
  FZRI_RECORD_RESERVATION = 6,
  FZRI_RECORD_COUNTERS = 7,
  FZRI_RECORD_PORTS = 8,
  /* Of journals alone. */
  FZRI_RECORD_ALLOCATION_END = 16,
  FZRI_RECORD_CHANNEL_END = 17,
  FZRI_RECORD_PERMISSION_END = 18,
  FZRI_RECORD_WHOLE = 30,
  FZRI_RECORD_COMMIT = 31,
  FZRI_RECORD_END = 0xffff /* the last one */
};

/* A flag of records: who does not know the type must not read the state. */
#define FZRI_RECORD_REQUIRED 0x0001u

/* ---- writing ---- */

typedef struct fzri_writer {
  fzr_save_fn write;
  void *ctx;
  fzr_time base;
  fzr_time now;     /* as of which it is written: the base of a state, and later in a journal */
  uint32_t chain;   /* checksum of all checksums so far */
  uint32_t records; /* how many there were */
  size_t used;
  size_t record; /* where the one that is written begins */
  bool failed;
  bool journal; /* which has a chain of its own, and is wiped at its end */
  uint8_t buffer[FZR_SAVE_PIECE_MAX];
} fzri_writer;

/* Begins a state whose times are from |base|. */
void fzri_writer_init(fzri_writer *w, fzr_save_fn write, void *ctx, fzr_time base);
/* Hands out what has been written of whole records. */
void fzri_writer_flush(fzri_writer *w);
/* Writes the last record, and hands all out. Returns 0 or FZR_ERR_IO. */
int fzri_writer_finish(fzri_writer *w);

/* Begins a record, of which at most FZRI_RECORD_MAX bytes are put then. */
void fzri_record_begin(fzri_writer *w, enum fzri_record_type type);
void fzri_record_end(fzri_writer *w);

void fzri_put_u8(fzri_writer *w, uint8_t value);
void fzri_put_u16(fzri_writer *w, uint16_t value);
void fzri_put_u32(fzri_writer *w, uint32_t value);
void fzri_put_u64(fzri_writer *w, uint64_t value);
void fzri_put_bytes(fzri_writer *w, const void *data, size_t len);
/* One that is further ahead of now than FZRI_STATE_SPAN is written as that. */
void fzri_put_time(fzri_writer *w, fzr_time at);
void fzri_put_addr(fzri_writer *w, const fzr_addr *addr);

/* ---- reading ---- */

/* A record that was found. Whoever reads past its end gets zeros, and |bad| is set. */
typedef struct fzri_record {
  uint16_t type;
  uint16_t flags;
  const uint8_t *at;
  uint32_t left;
  size_t offset; /* of its head in the state */
  bool bad;
} fzri_record;

typedef struct fzri_reader {
  const uint8_t *data;
  size_t len;
  size_t offset;   /* of the next record */
  fzr_time origin; /* what its times are from, in the reader's time */
  fzr_time base;   /* as of when it is: the same for a saved state, later for a journal */
  bool clamps;     /* a time that is too far ahead counts as the last one that is not */
} fzri_reader;

/* Finds the record at |offset|, which is not past the end, if it is whole and its checksum is right; *|checksum|, unless NULL, gets that. Returns
 * its length, head and tail included, or 0. */
size_t fzri_reader_look(const fzri_reader *r, size_t offset, fzri_record *record, uint32_t *checksum);

/* The checksum of all records up to one with |checksum|; |chain| is that of those before it. */
uint32_t fzri_record_chain(uint32_t chain, uint32_t checksum);

/* Looks whether the state is whole: its header, the frames and checksums of all records, and that it ends with the last one. Moves |offset|
 * of |r| as far as it is good. Returns 0, FZR_ERR_STATE_DAMAGED or FZR_ERR_STATE_VERSION. */
int fzri_reader_check(fzri_reader *r, uint16_t *major, uint16_t *minor);

/* Takes the next record of one that is whole. Returns whether there is one; the last one is none. */
bool fzri_reader_next(fzri_reader *r, fzri_record *record);

uint8_t fzri_take_u8(fzri_record *record);
uint16_t fzri_take_u16(fzri_record *record);
uint32_t fzri_take_u32(fzri_record *record);
uint64_t fzri_take_u64(fzri_record *record);
void fzri_take_bytes(fzri_record *record, void *out, size_t len);
/* A time that is more than |ahead|, at most FZRI_STATE_SPAN, after the base is |bad|, unless |r| clamps; one from before the clock's begin is 0. */
fzr_time fzri_take_time(fzri_record *record, const fzri_reader *r, fzr_time ahead);
/* An address with family, port and transport; of an unknown family or transport it is |bad|. */
fzr_addr fzri_take_addr(fzri_record *record);

#endif
