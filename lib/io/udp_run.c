/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_run.h"

#include <string.h>

/* The most bytes of headers that one piece of a run has. */
#define HEADERS_MOST (FZRI_GSO_SEGMENTS * FZR_HEADER_MAX)

static bool same_addr(const fzr_addr *a, const fzr_addr *b)
{
  return memcmp(a, b, sizeof *a) == 0;
}

/* Whether a segment of |seg_len| bytes may join |run|. */
static bool may_join(const fzri_run *run, uint16_t seg_len, const fzri_path *path)
{
  return !run->closed && seg_len == run->seg_len && seg_len < path->limit && run->count < FZRI_GSO_SEGMENTS &&
         run->bytes + seg_len <= FZRI_GSO_BYTES && run->to_stranger == path->to_stranger &&
         run->dont_fragment == path->dont_fragment && same_addr(&run->to, path->to) &&
         same_addr(&run->from, path->from);
}

/* The last run of |list| if it takes a segment more, else a new one, for which there is room. */
static fzri_run *run_for(fzri_runs *r, fzri_run_list *list, uint16_t seg_len, const fzri_path *path)
{
  if (list->last != FZRI_NO_RUN && may_join(&r->runs[list->last], seg_len, path))
    return &r->runs[list->last];
  const uint16_t index = r->run_count++;
  fzri_run *run = &r->runs[index];
  /* One by one: as a whole it would be built on the stack, zeroed and copied. */
  run->to = *path->to;
  run->from = *path->from;
  run->bytes = 0;
  run->seg_len = seg_len;
  run->count = 0;
  run->first_piece = run->last_piece = run->next = FZRI_NO_RUN;
  run->closed = seg_len == 0 || seg_len >= path->limit;
  run->to_stranger = path->to_stranger;
  run->dont_fragment = path->dont_fragment;
  if (list->first == FZRI_NO_RUN)
    list->first = index;
  else
    r->runs[list->last].next = index;
  list->last = index;
  return run;
}

/* How many of |count| segments |run| takes: at least the one that it was looked for. */
static uint16_t fitting(const fzri_run *run, uint16_t count)
{
  if (run->closed || count == 1)
    return 1;
  uint32_t fits = FZRI_GSO_SEGMENTS - run->count;
  const uint32_t by_bytes = (FZRI_GSO_BYTES - run->bytes) / run->seg_len;
  if (by_bytes < fits)
    fits = by_bytes;
  if (!fits)
    return 1; /* one segment alone, larger than the bound for GSO */
  return fits < count ? (uint16_t)fits : count;
}

/* Copies headers. Those of ChannelData, one or two, are of a length that the compiler knows, which is a move or two. */
static inline void copy_headers(uint8_t *out, const uint8_t *in, uint32_t bytes)
{
  if (bytes == 4)
    memcpy(out, in, 4);
  else if (bytes == 8)
    memcpy(out, in, 8);
  else
    memcpy(out, in, bytes);
}

/* Adds the first |count| segments of |piece| to |run|; there is room. */
static void add_piece(fzri_runs *r, fzri_run *run, const fzri_piece *piece, uint16_t count)
{
  const uint16_t index = r->piece_count++;
  fzri_piece *added = &r->pieces[index];
  *added = *piece;
  added->next = FZRI_NO_RUN;
  if (count < piece->count) {
    added->count = count;
    added->tail_len = piece->len;
    added->tail_pad = piece->pad;
    added->tail_hdr = 0;
  }
  added->hdr = r->headers + r->header_bytes;
  if (piece->hdr_len) {
    const uint32_t bytes = (uint32_t)piece->hdr_len + added->tail_hdr + (count - 1u) * piece->hdr_step;
    copy_headers(r->headers + r->header_bytes, piece->hdr, bytes);
    r->header_bytes += bytes;
  }
  if (run->first_piece == FZRI_NO_RUN)
    run->first_piece = index;
  else
    r->pieces[run->last_piece].next = index;
  run->last_piece = index;
  run->count = (uint16_t)(run->count + count);
  const uint32_t last = (uint32_t)piece->hdr_len + added->tail_len + added->tail_pad;
  run->bytes += (count - 1u) * (uint32_t)run->seg_len + last;
  if (last != run->seg_len)
    run->closed = true;
}

bool fzri_runs_put(fzri_runs *r, fzri_run_list *list, fzri_piece *piece, const fzri_path *path)
{
  const uint16_t seg_len = (uint16_t)(piece->hdr_len + piece->len + piece->pad);
  while (piece->count) {
    if (r->run_count == FZRI_RUNS || r->piece_count == FZRI_PIECES ||
        r->header_bytes > FZRI_HEADERS - HEADERS_MOST)
      return false;
    fzri_run *run = run_for(r, list, seg_len, path);
    const uint16_t count = fitting(run, piece->count);
    add_piece(r, run, piece, count);
    piece->count = (uint16_t)(piece->count - count);
    if (!piece->count)
      break;
    piece->data += (size_t)count * piece->stride;
    if (piece->hdr_step)
      piece->hdr += (size_t)count * piece->hdr_step;
  }
  return true;
}

fzri_segments fzri_segments_from(const fzri_runs *r, const fzri_run *run, uint32_t from)
{
  uint16_t piece = run->first_piece;
  while (piece != FZRI_NO_RUN && from >= r->pieces[piece].count) {
    from -= r->pieces[piece].count;
    piece = r->pieces[piece].next;
  }
  return (fzri_segments){r->pieces, piece, (uint16_t)from};
}
