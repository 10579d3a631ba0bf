/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_internal.h"

#include <errno.h>
#include <string.h>

/* ---- collecting ---- */

static bool same_addr(const fzr_addr *a, const fzr_addr *b)
{
  return memcmp(a, b, sizeof *a) == 0;
}

/* The last run of |s| if |len| more bytes to |to| may join it, else a new one. Room was made before. */
static fzri_run *run_for(fzr_udp *udp, fzri_socket *s, const fzr_addr *to, const fzr_addr *from,
                         uint16_t seg_len, uint16_t limit, bool to_stranger)
{
  if (s->last_run != FZRI_UDP_NONE) {
    fzri_run *last = &udp->runs[s->last_run];
    if (!last->closed && seg_len == last->seg_len && seg_len < limit && last->count < FZRI_GSO_SEGMENTS &&
        last->bytes + seg_len <= FZRI_GSO_BYTES && last->to_stranger == to_stranger &&
        same_addr(&last->to, to) && same_addr(&last->from, from))
      return last;
  }
  const uint16_t index = udp->run_count++;
  fzri_run *run = &udp->runs[index];
  *run = (fzri_run){*to,           *from,        0,          seg_len, 0, FZRI_UDP_NONE, FZRI_UDP_NONE,
                    FZRI_UDP_NONE, seg_len == 0, to_stranger};
  if (s->first_run == FZRI_UDP_NONE) {
    s->first_run = index;
    s->next_pending = NULL;
    if (udp->pending)
      udp->last_pending->next_pending = s;
    else
      udp->pending = s;
    udp->last_pending = s;
  } else {
    udp->runs[s->last_run].next = index;
  }
  s->last_run = index;
  return run;
}

static void add_piece(fzr_udp *udp, fzri_run *run, const fzri_piece *piece)
{
  const uint16_t index = udp->piece_count++;
  udp->pieces[index] = *piece;
  udp->pieces[index].next = FZRI_UDP_NONE;
  if (run->first_piece == FZRI_UDP_NONE)
    run->first_piece = index;
  else
    udp->pieces[run->last_piece].next = index;
  run->last_piece = index;
  run->count = (uint16_t)(run->count + piece->count);
  run->bytes +=
      (piece->count - 1u) * (uint32_t)(piece->hdr_len + piece->len) + piece->hdr_len + piece->tail_len;
  if (piece->tail_len != piece->len)
    run->closed = true;
}

/* Puts |piece| into runs of |s|, as many as it takes. */
static void collect(fzr_udp *udp, fzri_socket *s, fzri_piece piece, const fzr_addr *to, const fzr_addr *from,
                    bool to_stranger)
{
  const uint16_t seg_len = (uint16_t)(piece.hdr_len + piece.len);
  const uint16_t total = piece.count;
  const uint16_t tail_len = piece.tail_len;
  uint8_t tail_hdr[4];
  memcpy(tail_hdr, piece.tail_hdr, sizeof tail_hdr);
  const uint16_t limit = fzri_gso_limit(&udp->gso, to);
  if (seg_len >= limit && total > 1)
    fzri_gso_single(&udp->gso, to, total);
  for (uint16_t done = 0; done < total;) {
    if (udp->run_count == FZRI_RUNS || udp->piece_count == FZRI_PIECES)
      fzri_send_flush(udp);
    fzri_run *run = run_for(udp, s, to, from, seg_len, limit, to_stranger);
    uint32_t fits = 1;
    if (seg_len && seg_len < limit) {
      fits = FZRI_GSO_SEGMENTS - run->count;
      const uint32_t by_bytes = (FZRI_GSO_BYTES - run->bytes) / seg_len;
      if (by_bytes < fits)
        fits = by_bytes;
    } else {
      run->closed = true;
    }
    piece.count = (uint16_t)(fits < (uint32_t)(total - done) ? fits : (uint32_t)(total - done));
    if (!piece.count)
      piece.count = 1; /* one segment alone, larger than the bound for GSO */
    const bool last = done + piece.count == total;
    piece.tail_len = last ? tail_len : piece.len;
    memcpy(piece.tail_hdr, last ? tail_hdr : piece.hdr, sizeof piece.tail_hdr);
    add_piece(udp, run, &piece);
    piece.data += (size_t)piece.count * piece.stride;
    done = (uint16_t)(done + piece.count);
  }
}

/* Notes which listen socket the one that is being read feeds; if that is blocked, reading waits until it is not. The listen sockets
 * themselves go on: they feed others. */
static void note_source(fzr_udp *udp, fzri_socket *s)
{
  fzri_socket *source = udp->reading;
  if (!s->listens || s->lane != FZRI_LANE_QUEUES || !source || source->listens || source->paused)
    return;
  source->feeds = s;
  if (s->blocked)
    fzri_socket_pause(udp, source);
}

void fzri_socket_pause(fzr_udp *udp, fzri_socket *source)
{
  fzri_socket *s = source->feeds;
  if (source->paused)
    return;
  source->paused = true;
  source->next_paused = s->paused_list;
  s->paused_list = source;
  fzri_socket_watch(udp, source);
}

void fzri_send_verdicts(void *io, const fzr_verdict *verdicts, size_t n)
{
  fzr_udp *udp = io;
  for (size_t i = 0; i < n; i++) {
    const fzr_verdict *v = &verdicts[i];
    if (v->action != FZR_ACT_FORWARD)
      continue;
    fzri_socket *s = v->io ? v->io : fzri_lane(udp, &v->to, false);
    if (!s)
      continue;
    fzri_piece piece = {v->data,       v->stride,  v->count, v->len, v->tail_len,
                        FZRI_UDP_NONE, v->hdr_len, {0},      {0}};
    memcpy(piece.hdr, v->hdr, sizeof piece.hdr);
    memcpy(piece.tail_hdr, v->tail_hdr, sizeof piece.tail_hdr);
    fzr_addr inside;
    const fzr_addr *to = v->to_own ? fzri_inside_to(udp, &v->to, &inside) : &v->to;
    collect(udp, s, piece, to, &v->from, false);
    note_source(udp, s);
  }
}

void fzri_send_answers(void *io, const fzr_transmit *answers, size_t n)
{
  fzr_udp *udp = io;
  for (size_t i = 0; i < n; i++) {
    const fzr_transmit *t = &answers[i];
    fzri_socket *s = fzri_lane(udp, &t->to, t->to_stranger);
    if (!s)
      continue;
    const fzri_piece piece = {t->data, t->len, 1, t->len, t->len, FZRI_UDP_NONE, 0, {0}, {0}};
    collect(udp, s, piece, &t->to, &t->from, t->to_stranger);
  }
  /* The engine may overwrite its answers with the next input. */
  fzri_send_flush(udp);
}

/* ---- sending ---- */

/* Appends the iovecs of segments |from| to |from| + |count| - 1 of |run|. Payloads that lie one behind the other with nothing
 * between them take one iovec. Returns how many there are. */
static size_t fill_iovs(const fzr_udp *udp, const fzri_run *run, uint32_t from, uint32_t count,
                        struct iovec *iovs)
{
  size_t n = 0;
  uint32_t at = 0;
  for (uint16_t p = run->first_piece; p != FZRI_UDP_NONE && count; p = udp->pieces[p].next) {
    const fzri_piece *piece = &udp->pieces[p];
    for (uint32_t i = 0; i < piece->count && count; i++, at++) {
      if (at < from)
        continue;
      const bool tail = i + 1u == piece->count;
      if (piece->hdr_len)
        iovs[n++] = (struct iovec){(void *)(uintptr_t)(tail ? piece->tail_hdr : piece->hdr), piece->hdr_len};
      const uint16_t len = tail ? piece->tail_len : piece->len;
      uint8_t *data = (uint8_t *)(uintptr_t)piece->data + (size_t)i * piece->stride;
      if (!piece->hdr_len && n && (uint8_t *)iovs[n - 1].iov_base + iovs[n - 1].iov_len == data)
        iovs[n - 1].iov_len += len;
      else
        iovs[n++] = (struct iovec){data, len};
      count--;
    }
  }
  return n;
}

/* Sends the segments of |run| one by one from number |from| on. Returns the first that was not taken because the socket is
 * full, or run->count. */
static uint32_t send_singly(fzr_udp *udp, fzri_socket *s, const fzri_run *run, uint32_t from)
{
  while (from < run->count) {
    struct iovec iovs[2];
    struct msghdr msg;
    fzri_msg_address(&msg, &run->to, fzri_socket_choice(s, &run->from), 0, &udp->send_names[0],
                     &udp->send_controls[0]);
    msg.msg_iov = iovs;
    msg.msg_iovlen = fill_iovs(udp, run, from, 1, iovs);
    udp->stats.send_calls++;
    if (sendmsg(s->fd, &msg, MSG_DONTWAIT) >= 0) {
      udp->stats.sent++;
      from++;
      continue;
    }
    switch (fzri_gso_outcome(&udp->gso, &run->to, errno, 0)) {
    case FZRI_SEND_BLOCKED:
      return from;
    case FZRI_SEND_AGAIN:
      break;
    default:
      udp->stats.send_errors++;
      from++;
    }
  }
  return from;
}

static void queue_from(fzr_udp *udp, fzri_socket *s, uint16_t run, uint32_t segment)
{
  if (s->listens && s->lane == FZRI_LANE_QUEUES)
    udp->lanes[s->family == FZR_FAMILY_IPV6].stuck = true;
  for (; run != FZRI_UDP_NONE; run = udp->runs[run].next, segment = 0)
    fzri_queue_append(udp, s, &udp->runs[run], segment);
}

/* Fills messages from |run| on. Returns how many; their runs are |run| and those that follow it. */
static unsigned fill_messages(fzr_udp *udp, const fzri_socket *s, uint16_t run)
{
  unsigned n = 0;
  size_t iovs = 0;
  for (; run != FZRI_UDP_NONE && n < FZRI_SEND_MSGS; run = udp->runs[run].next, n++) {
    const fzri_run *r = &udp->runs[run];
    if (FZRI_SEND_IOVS - iovs < (size_t)2 * r->count)
      break;
    struct msghdr *msg = &udp->send_msgs[n].msg_hdr;
    fzri_msg_address(msg, &r->to, fzri_socket_choice(s, &r->from), r->count > 1 ? r->seg_len : 0,
                     &udp->send_names[n], &udp->send_controls[n]);
    msg->msg_iov = &udp->send_iovs[iovs];
    msg->msg_iovlen = fill_iovs(udp, r, 0, r->count, msg->msg_iov);
    iovs += msg->msg_iovlen;
  }
  return n;
}

/* Deals with the run that the kernel refused. Returns the next one, or FZRI_UDP_NONE when the rest was queued. */
static uint16_t after_error(fzr_udp *udp, fzri_socket *s, uint16_t run, int error)
{
  const fzri_run *r = &udp->runs[run];
  uint32_t done;
  switch (fzri_gso_outcome(&udp->gso, &r->to, error, r->count > 1 ? r->seg_len : 0)) {
  case FZRI_SEND_BLOCKED:
    queue_from(udp, s, run, 0);
    return FZRI_UDP_NONE;
  case FZRI_SEND_AGAIN:
    return run;
  case FZRI_SEND_SINGLY:
    done = send_singly(udp, s, r, 0);
    if (done < r->count) {
      queue_from(udp, s, run, done);
      return FZRI_UDP_NONE;
    }
    return r->next;
  default:
    udp->stats.send_errors += r->count;
    return r->next;
  }
}

/* Whether |r| is one payload alone, from a socket with one address: sendto takes it, which costs the kernel less than a message
 * does. It is the usual case of many clients that send singly. */
static bool is_alone(const fzr_udp *udp, const fzri_socket *s, const fzri_run *r)
{
  return r->next == FZRI_UDP_NONE && r->count == 1 && !s->listens && !udp->pieces[r->first_piece].hdr_len;
}

static uint16_t send_alone(fzr_udp *udp, fzri_socket *s, uint16_t run)
{
  const fzri_run *r = &udp->runs[run];
  const fzri_piece *piece = &udp->pieces[r->first_piece];
  const socklen_t len = fzri_to_sockaddr(&r->to, &udp->send_names[0]);
  udp->stats.send_calls++;
  if (sendto(s->fd, piece->data, piece->tail_len, MSG_DONTWAIT, &udp->send_names[0].any, len) < 0)
    return after_error(udp, s, run, errno);
  udp->stats.sent++;
  return FZRI_UDP_NONE;
}

static void send_runs(fzr_udp *udp, fzri_socket *s, uint16_t run)
{
  while (run != FZRI_UDP_NONE && is_alone(udp, s, &udp->runs[run]))
    run = send_alone(udp, s, run);
  while (run != FZRI_UDP_NONE) {
    const unsigned n = fill_messages(udp, s, run);
    const int sent = sendmmsg(s->fd, udp->send_msgs, n, MSG_DONTWAIT);
    udp->stats.send_calls++;
    if (sent < 0) {
      run = after_error(udp, s, run, errno);
      continue;
    }
    for (int i = 0; i < sent; i++) {
      udp->stats.sent += udp->runs[run].count;
      if (udp->runs[run].count > 1)
        fzri_gso_taken(&udp->gso);
      run = udp->runs[run].next;
    }
  }
}

void fzri_send_flush(fzr_udp *udp)
{
  fzri_socket *s = udp->pending;
  udp->pending = udp->last_pending = NULL;
  while (s) {
    fzri_socket *next = s->next_pending;
    const uint16_t run = s->first_run;
    s->first_run = s->last_run = FZRI_UDP_NONE;
    if (s->blocked)
      queue_from(udp, s, run, 0);
    else
      send_runs(udp, s, run);
    s = next;
  }
  udp->run_count = udp->piece_count = 0;
  if (udp->lanes[0].stuck || udp->lanes[1].stuck)
    fzri_lanes_unstick(udp);
}

void fzri_send_held(fzr_udp *udp)
{
  fzri_send_flush(udp);
  udp->held = 0;
}
