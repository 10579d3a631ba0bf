/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a journal. One half of its memory counts, and each event goes there. When it has grown, the other half gets all that there is to know,
 * some allocations with each event, and each event that concerns those which it has by then; the others come later, as they are then. Once it is
 * complete it counts.
 *
 * A process may die between any two instructions. So nothing that counts is ever written over, and what is written counts once a record
 * behind it has vouched for it, with a checksum of all checksums of the half. */
#include "journal.h"

#include "journal_layout.h"
#include "saved_counters.h"

#include "../base/bytes.h"
#include "../base/crc32.h"
#include "../base/crypto.h"

#include <stdatomic.h>

/* So long as a half is shorter than that, it is not worth while to write the other one. */
#define SMALL 262144u
/* For each byte of events, how many of what there is to know are copied: the copy is complete before the half is full. */
#define COPIED_PER_BYTE 2u
#define COUNTERS_EVERY  FZR_SECOND

/* What one of each takes at most, ends included. */
#define ALLOCATION_BYTES 500u
#define CHANNEL_BYTES    96u
#define FIXED_BYTES      (1u << 20)
/* Half 0 and half 1, as bits. */
#define BOTH 3u

typedef struct half {
  uint8_t *at;
  size_t used;
  uint32_t chain;
} half;

struct fzri_journal {
  half halves[2];
  size_t half_len;
  size_t limit;    /* so long the half that counts may become before the other one is begun */
  unsigned live;   /* which one counts */
  unsigned to;     /* bits: where records go */
  bool copying;    /* the other one is being written */
  bool lost;       /* there was no room */
  bool sealing;    /* what is written vouches for the rest, and is none of it */
  uint32_t cursor; /* the allocations before it are in the other one */
  uint32_t generation;
  unsigned depth;   /* of what is there as a whole or not at all */
  uint32_t changed; /* an allocation that is to be written; FZRI_POOL_NONE: none */
  size_t written;   /* bytes since what was committed last */
  fzr_time counters_at;
  fzri_writer w;
};

/* ---- bytes ---- */

/* Whatever was written so far is there before what comes now. The process may die, and the processor does not: no fence for that. */
static void keep_order(void)
{
  atomic_signal_fence(memory_order_seq_cst);
}

static void disown(half *h)
{
  memset(h->at, 0, FZRI_HALF_HEAD_LEN); /* whose checksum is not 0 */
  keep_order();
}

/* There is no room: what the memory has is soon of long ago, and whoever loaded that would do harm. */
static void lose(struct fzri_journal *j)
{
  j->lost = true;
  j->copying = false;
  disown(&j->halves[0]);
  disown(&j->halves[1]);
}

static void append(struct fzri_journal *j, unsigned which, const uint8_t *record, size_t len)
{
  half *h = &j->halves[which];
  if (j->lost)
    return;
  if (len > j->half_len - h->used) {
    lose(j);
    return;
  }
  memcpy(h->at + h->used, record, len);
  h->used += len;
  if (!j->sealing)
    h->chain = fzri_record_chain(h->chain, fzri_get_le32(record + len - FZRI_RECORD_TAIL_LEN));
  if (which == j->live)
    j->written += len;
}

/* Takes whole records of the writer. */
static int take(void *ctx, const uint8_t *data, size_t len)
{
  struct fzri_journal *j = ctx;
  while (len) {
    const size_t record = FZRI_RECORD_HEAD_LEN + (size_t)fzri_get_le32(data + 4) + FZRI_RECORD_TAIL_LEN;
    for (unsigned i = 0; i < 2; i++)
      if (j->to & 1u << i)
        append(j, i, data, record);
    data += record;
    len -= record;
  }
  return 0;
}

/* What is written now goes to |to|, bits. Returns the writer. */
static fzri_writer *write_to(fzr_engine *e, unsigned to)
{
  e->journal->to = to;
  e->journal->w.now = e->now;
  return &e->journal->w;
}

/* Where something about |a| goes: to the other half, too, if that has it. */
static fzri_writer *write_about(fzr_engine *e, const fzri_allocation *a)
{
  const struct fzri_journal *j = e->journal;
  return write_to(e, j->copying && a->index < j->cursor ? BOTH : 1u << j->live);
}

/* The record |type| vouches for all records of half |which|. It is none of them: its checksum is that of the chain, and a chain of both would be the
 * same ever after, whatever had been before. */
static void put_seal(fzr_engine *e, unsigned which, enum fzri_record_type type)
{
  fzri_writer *w = write_to(e, 1u << which);
  fzri_record_begin(w, type);
  fzri_put_u32(w, e->journal->halves[which].chain);
  fzri_record_end(w);
  keep_order();
  e->journal->sealing = true;
  fzri_writer_flush(w);
  e->journal->sealing = false;
  keep_order();
}

/* ---- the other half ---- */

static void begin_copy(fzr_engine *e)
{
  struct fzri_journal *j = e->journal;
  half *h = &j->halves[!j->live];
  uint8_t head[FZRI_HALF_HEAD_LEN];
  disown(h);
  fzri_put_le(head, ++j->generation, 4);
  fzri_put_le(head + 4, j->w.base, 8);
  h->chain = fzri_crc32(head, 12);
  fzri_put_le(head + 12, h->chain, 4);
  memcpy(h->at, head, sizeof head);
  h->used = sizeof head;
  j->copying = true;
  j->cursor = 0;
  fzri_writer *w = write_to(e, 1u << !j->live);
  fzri_save_engine(w, e);
  fzri_counters_write(w, &e->stats);
  fzri_writer_flush(w);
}

static void put_end(fzri_writer *w, const fzri_allocation *a, fzr_time at)
{
  fzri_record_begin(w, FZRI_RECORD_ALLOCATION_END);
  fzri_put_u16(w, a->port);
  fzri_put_time(w, at);
  fzri_record_end(w);
  fzri_writer_flush(w);
}

static void copy_allocation(fzr_engine *e, const fzri_allocation *a)
{
  fzri_writer *w = write_to(e, 1u << !e->journal->live);
  fzri_save_allocation(w, e, a);
  fzri_save_extra(w, e, a);
  fzri_save_channels(w, e, a);
  for (uint32_t i = a->first_permission; i != FZRI_POOL_NONE; i = fzri_permission_at(e, i)->next)
    fzri_save_permission(w, e, fzri_permission_at(e, i));
  fzri_writer_flush(w);
}

/* Writes some |bytes| more of what there is to know. */
static void copy_on(fzr_engine *e, size_t bytes)
{
  struct fzri_journal *j = e->journal;
  const half *h = &j->halves[!j->live];
  const size_t from = h->used;
  for (; j->cursor < fzri_pool_end(&e->allocations); j->cursor++) {
    if (j->lost || h->used - from >= bytes)
      return;
    const fzri_allocation *a = fzri_allocation_at(e, j->cursor);
    if (fzri_is_saved(a))
      copy_allocation(e, a);
    else if (a->state == FZRI_ALLOCATION_CLOSING && a->ended)
      put_end(write_to(e, 1u << !j->live), a, e->now); /* its port is yet to rest */
  }
  /* At last: a port begins to rest some time after its allocation has ended. */
  fzri_writer *w = write_to(e, 1u << !j->live);
  fzri_save_ports(w, e);
  fzri_writer_flush(w);
  put_seal(e, !j->live, FZRI_RECORD_WHOLE);
  if (j->lost)
    return;
  j->live = !j->live;
  j->copying = false;
  const size_t most = j->half_len / 4 * 3, twice = h->used < SIZE_MAX / 4 ? 2 * h->used + SMALL : SIZE_MAX;
  j->limit = twice < most ? twice : most;
}

/* ---- events ---- */

static void put_counters(fzr_engine *e)
{
  struct fzri_journal *j = e->journal;
  if (e->now - j->counters_at < COUNTERS_EVERY)
    return;
  j->counters_at = e->now;
  fzri_writer *w = write_to(e, j->copying ? BOTH : 1u << j->live);
  fzri_counters_write(w, &e->stats);
  fzri_writer_flush(w);
}

static void put_changed(fzr_engine *e)
{
  struct fzri_journal *j = e->journal;
  if (j->changed == FZRI_POOL_NONE)
    return;
  const fzri_allocation *a = fzri_allocation_at(e, j->changed);
  j->changed = FZRI_POOL_NONE;
  fzri_writer *w = write_about(e, a);
  fzri_save_allocation(w, e, a);
  fzri_save_extra(w, e, a);
  fzri_writer_flush(w);
}

/* What was written is an event, which counts from now on. */
static void commit(fzr_engine *e)
{
  struct fzri_journal *j = e->journal;
  put_changed(e);
  if (!j->written || j->lost)
    return;
  put_counters(e);
  put_seal(e, j->live, FZRI_RECORD_COMMIT);
  const size_t written = j->written;
  j->written = 0;
  if (!j->copying && !j->lost && j->halves[j->live].used >= j->limit)
    begin_copy(e);
  if (j->copying)
    copy_on(e, COPIED_PER_BYTE * written);
}

static void commit_alone(fzr_engine *e)
{
  if (!e->journal->depth)
    commit(e);
}

void fzri_journal_open(fzr_engine *e)
{
  e->journal->depth++;
}

void fzri_journal_close(fzr_engine *e)
{
  if (!--e->journal->depth)
    commit(e);
}

void fzri_journal_put_allocation(fzr_engine *e, const fzri_allocation *a)
{
  if (e->journal->changed != a->index)
    put_changed(e);
  e->journal->changed = a->index;
  commit_alone(e);
}

void fzri_journal_put_allocation_end(fzr_engine *e, const fzri_allocation *a)
{
  if (e->journal->changed == a->index)
    e->journal->changed = FZRI_POOL_NONE;
  /* Also to the half that has not got it yet: that has to know which ports rest. */
  put_end(write_to(e, e->journal->copying ? BOTH : 1u << e->journal->live), a, e->now);
  commit_alone(e);
}

void fzri_journal_put_channel(fzr_engine *e, const fzri_channel *c)
{
  const fzri_allocation *a = fzri_allocation_at(e, c->allocation);
  fzri_writer *w = write_about(e, a);
  fzri_save_channel(w, a, c);
  fzri_writer_flush(w);
  commit_alone(e);
}

void fzri_journal_put_channel_end(fzr_engine *e, const fzri_channel *c)
{
  const fzri_allocation *a = fzri_allocation_at(e, c->allocation);
  fzri_writer *w = write_about(e, a);
  fzri_record_begin(w, FZRI_RECORD_CHANNEL_END);
  fzri_put_u16(w, a->port);
  fzri_put_u16(w, c->number);
  fzri_record_end(w);
  fzri_writer_flush(w);
  commit_alone(e);
}

void fzri_journal_put_permission(fzr_engine *e, const fzri_permission *p)
{
  fzri_writer *w = write_about(e, fzri_allocation_at(e, p->allocation));
  fzri_save_permission(w, e, p);
  fzri_writer_flush(w);
  commit_alone(e);
}

void fzri_journal_put_permission_end(fzr_engine *e, const fzri_permission *p)
{
  const fzri_allocation *a = fzri_allocation_at(e, p->allocation);
  const fzr_addr peer = fzri_permission_peer(p);
  fzri_writer *w = write_about(e, a);
  fzri_record_begin(w, FZRI_RECORD_PERMISSION_END);
  fzri_put_u16(w, a->port);
  fzri_put_addr(w, &peer);
  fzri_record_end(w);
  fzri_writer_flush(w);
  commit_alone(e);
}

/* ---- its begin and end ---- */

size_t fzr_journal_size(uint32_t allocations, uint32_t channels)
{
  const uint64_t known = (uint64_t)allocations * ALLOCATION_BYTES + (uint64_t)channels * CHANNEL_BYTES;
  const uint64_t size = FZRI_JOURNAL_HEAD_LEN + 2 * (3 * known + FIXED_BYTES);
  return size < SIZE_MAX ? (size_t)size : SIZE_MAX;
}

/* Puts the head of a journal of two halves of |half_len| bytes there, with nothing in them. */
static void put_head(struct fzri_journal *j, uint8_t *memory)
{
  uint8_t head[FZRI_JOURNAL_HEAD_LEN];
  memset(memory, 0, sizeof head);
  keep_order();
  disown(&j->halves[0]);
  disown(&j->halves[1]);
  memcpy(head, fzri_journal_name, sizeof fzri_journal_name);
  fzri_put_le(head + 8, FZR_JOURNAL_MAJOR, 2);
  fzri_put_le(head + 10, FZR_JOURNAL_MINOR, 2);
  fzri_put_le(head + 12, j->half_len, 8);
  fzri_put_le(head + 20, fzri_crc32(head, 20), 4);
  memcpy(memory, head, sizeof head);
}

/* Sets |j| up for |memory|, in which a journal may be that is to be left alone until the new one is complete. */
static void set_up(struct fzri_journal *j, uint8_t *memory, size_t size, fzr_time now)
{
  fzri_halves was;
  j->half_len = (size - FZRI_JOURNAL_HEAD_LEN) / 2;
  j->changed = FZRI_POOL_NONE;
  j->live = 1;
  j->counters_at = now;
  for (unsigned i = 0; i < 2; i++)
    j->halves[i].at = memory + FZRI_JOURNAL_HEAD_LEN + i * j->half_len;
  const int error = fzri_journal_look(memory, size, &was);
  if (error || was.half_len != j->half_len) {
    put_head(j, memory);
  } else {
    const uint32_t a = was.half[0].generation, b = was.half[1].generation;
    j->generation = (int32_t)(b - a) > 0 ? b : a;
    j->live = was.current != 0;
  }
  fzri_writer_init(&j->w, take, j, now);
  fzri_wipe(j->w.buffer, j->w.used);
  j->w.used = 0; /* the head of a state is none of a journal */
  j->w.journal = true;
}

int fzr_engine_set_journal(fzr_engine *e, void *memory, size_t size, fzr_time now)
{
  if (!e)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_engine_advance(e, now);
  fzri_journal_free(e);
  if (!memory)
    return 0;
  if (size < FZRI_JOURNAL_HEAD_LEN + 2 * FZRI_HALF_HEAD_LEN)
    return FZR_ERR_BUFFER_TOO_SMALL;
  e->journal = fzri_mem_zalloc(&e->mem, sizeof *e->journal);
  if (!e->journal)
    return FZR_ERR_NO_MEMORY;
  set_up(e->journal, memory, size, e->now);
  begin_copy(e);
  copy_on(e, SIZE_MAX);
  if (!e->journal->lost)
    return 0;
  fzri_journal_free(e);
  return FZR_ERR_BUFFER_TOO_SMALL;
}

bool fzr_engine_has_journal(const fzr_engine *e)
{
  return e && e->journal && !e->journal->lost;
}

void fzri_journal_free(fzr_engine *e)
{
  if (!e->journal)
    return;
  fzri_wipe(e->journal, sizeof *e->journal);
  fzri_mem_free(&e->mem, e->journal, sizeof *e->journal);
  e->journal = NULL;
}
