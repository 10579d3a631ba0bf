/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of one flow, as verdicts tell of them, gathered into runs until they are sent. A run is one message, with GSO if it has more
 * than one segment. No socket is needed for it. */
#ifndef FZRI_UDP_RUN_H
#define FZRI_UDP_RUN_H

#include "udp_gso.h"

#include "firezone_relay/engine.h"

/* What one GSO send may carry: the largest datagram. */
#define FZRI_GSO_BYTES FZR_UDP_PAYLOAD_MAX
/* Runs held until the end of a batch, and the pieces they are made of. */
#define FZRI_RUNS   256u
#define FZRI_PIECES 512u
/* Bytes of their headers: of all pieces if these are of ChannelData, of 455 Data indications. */
#define FZRI_HEADERS (FZRI_PIECES * 32)

#define FZRI_NO_RUN UINT16_MAX

/* A piece of a run: what one verdict said, in as far as it is needed to send. */
typedef struct fzri_piece {
  const uint8_t *data;
  const uint8_t *hdr;
  uint32_t stride;
  uint16_t count;
  uint16_t len;
  uint16_t tail_len;
  uint16_t next;
  uint8_t hdr_len;
  uint8_t hdr_step; /* each header is that far behind the one before it: 0 or hdr_len */
  uint8_t tail_hdr; /* the last one's header is that far behind the others', if these are one: 0 or hdr_len */
  uint8_t pad;
  uint8_t tail_pad;
} fzri_piece;

/* What all segments of a run have in common. */
typedef struct fzri_path {
  const fzr_addr *to;
  const fzr_addr *from;
  uint16_t limit;   /* segments of this size or more go singly: fzri_gso_limit */
  bool to_stranger; /* few of them may wait, and none while neighbours are missing */
  bool dont_fragment;
} fzri_path;

typedef struct fzri_run {
  fzr_addr to;
  fzr_addr from;
  uint32_t bytes;
  uint16_t seg_len; /* header, payload and what is behind it, of all but the last */
  uint16_t count;
  uint16_t first_piece;
  uint16_t last_piece;
  uint16_t next; /* of the same list */
  bool closed;   /* its last segment is short, or it must go alone */
  bool to_stranger;
  bool
      dont_fragment; /* a message of one datagram is one of segments, too: the kernel fragments none of these */
} fzri_run;

/* The size of segments that the kernel is told for |run|; 0: none. */
static inline uint16_t fzri_run_segments(const fzri_run *run)
{
  if (run->count > 1)
    return run->seg_len;
  return run->dont_fragment ? (uint16_t)run->bytes : 0;
}

/* The runs of one socket, in order. */
typedef struct fzri_run_list {
  uint16_t first; /* FZRI_NO_RUN: none */
  uint16_t last;
} fzri_run_list;

typedef struct fzri_runs {
  uint16_t run_count;
  uint16_t piece_count;
  uint32_t header_bytes;
  fzri_run runs[FZRI_RUNS];
  fzri_piece pieces[FZRI_PIECES];
  uint8_t headers[FZRI_HEADERS];
} fzri_runs;

static inline fzri_run_list fzri_run_list_none(void)
{
  return (fzri_run_list){FZRI_NO_RUN, FZRI_NO_RUN};
}

/* Forgets all runs: of all lists, which are none from then on. */
static inline void fzri_runs_clear(fzri_runs *r)
{
  r->run_count = r->piece_count = 0;
  r->header_bytes = 0;
}

/* Puts |piece| into runs at the end of |list|, as many as it takes. Returns false when there is no more room; |piece| is what is left of
 * it then. Headers are copied, payloads are not. */
bool fzri_runs_put(fzri_runs *r, fzri_run_list *list, fzri_piece *piece, const fzri_path *path);

/* A datagram of a run: its header, if `hdr_len` is not 0, its payload, and `pad` bytes that are 0. */
typedef struct fzri_segment {
  const uint8_t *hdr;
  const uint8_t *data;
  uint16_t hdr_len;
  uint16_t len;
  uint16_t pad;
} fzri_segment;

/* The iovecs that a segment takes at most. */
#define FZRI_SEGMENT_IOVS 3u

/* A walk over the segments of a run. */
typedef struct fzri_segments {
  const fzri_piece *pieces;
  uint16_t piece; /* of the next segment; FZRI_NO_RUN: there is none */
  uint16_t at;    /* its number in the piece */
} fzri_segments;

/* Begins a walk over all segments of |run|. */
static inline fzri_segments fzri_segments_of(const fzri_runs *r, const fzri_run *run)
{
  return (fzri_segments){r->pieces, run->first_piece, 0};
}

/* The same from segment number |from| on. */
fzri_segments fzri_segments_from(const fzri_runs *r, const fzri_run *run, uint32_t from);

/* Takes the next segment into |out|. Returns false when there is none. */
static inline bool fzri_segments_next(fzri_segments *walk, fzri_segment *out)
{
  if (walk->piece == FZRI_NO_RUN)
    return false;
  const fzri_piece *piece = &walk->pieces[walk->piece];
  const bool tail = walk->at + 1u == piece->count;
  out->hdr = piece->hdr + (size_t)walk->at * piece->hdr_step + (tail ? piece->tail_hdr : 0u);
  out->hdr_len = piece->hdr_len;
  out->pad = tail ? piece->tail_pad : piece->pad;
  out->data = piece->data + (size_t)walk->at * piece->stride;
  out->len = tail ? piece->tail_len : piece->len;
  walk->at++;
  if (tail) {
    walk->piece = piece->next;
    walk->at = 0;
  }
  return true;
}

#endif
