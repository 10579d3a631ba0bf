/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_send.h"

#include "udp_inside.h"
#include "udp_internal.h"
#include "udp_senders.h"

#include <errno.h>
#include <string.h>

/* ---- collecting ---- */

/* |s| is to send what is collected for it. */
static void note_pending(fzr_udp *udp, fzri_socket *s)
{
  if (s->runs.first != FZRI_NO_RUN)
    return;
  s->next_pending = NULL;
  if (udp->send.pending)
    udp->send.last_pending->next_pending = s;
  else
    udp->send.pending = s;
  udp->send.last_pending = s;
}

/* Puts |piece|, which is used up, into runs of |s|, as many as it takes. */
static void collect(fzr_udp *udp, fzri_socket *s, fzri_piece *piece, const fzri_path *path)
{
  if (piece->count > 1 && piece->hdr_len + piece->len + piece->pad >= path->limit)
    fzri_gso_single(&udp->gso, path->to, piece->count);
  note_pending(udp, s);
  while (!fzri_runs_put(&udp->send.runs, &s->runs, piece, path)) {
    fzri_send_flush(udp);
    note_pending(udp, s);
  }
}

#define UNUSUAL (FZR_VERDICT_TO_SHARD | FZR_VERDICT_TO_OWN | FZR_VERDICT_DONT_FRAGMENT)

/* Where |v| goes whose flags say that it is not as most are; |inside| is room for an address. NULL: nowhere. */
__attribute__((noinline)) static const fzr_addr *unusual_target(fzr_udp *udp, const fzr_verdict *v,
                                                                fzr_addr *inside)
{
  /* The allocation of another shard is over by now: the network, or who has its port, is to see nothing of that. */
  if (v->flags & FZR_VERDICT_TO_SHARD &&
      !fzr_engine_port_is_live(udp->engine, v->to.port, (enum fzr_family)v->to.family))
    return NULL;
  if (v->flags & FZR_VERDICT_DONT_FRAGMENT && !udp->gso.on) {
    udp->stats.send_errors += v->count;
    return NULL;
  }
  return v->flags & FZR_VERDICT_TO_OWN ? fzri_inside_to(udp, &v->to, inside) : &v->to;
}

void fzri_send_verdicts(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  fzr_udp *udp = io;
  udp->now = now;
  for (size_t i = 0; i < n; i++) {
    const fzr_verdict *v = &verdicts[i];
    fzr_addr inside;
    if (v->action != FZR_ACT_FORWARD)
      continue;
    const fzr_addr *to = v->flags & UNUSUAL ? unusual_target(udp, v, &inside) : &v->to;
    if (!to)
      continue;
    fzri_socket *s = v->io ? v->io : fzri_lane(udp, &v->to, false);
    if (!s)
      continue;
    fzri_piece piece = {.data = v->data,
                        .hdr = v->hdr,
                        .stride = v->stride,
                        .count = v->count,
                        .len = v->len,
                        .tail_len = v->tail_len,
                        .hdr_len = v->hdr_len,
                        .hdr_step = v->flags & FZR_VERDICT_OWN_HDRS ? v->hdr_len : 0,
                        .tail_hdr = v->flags & FZR_VERDICT_TAIL_HDR ? v->hdr_len : 0,
                        .pad = v->pad,
                        .tail_pad = v->tail_pad};
    const fzri_path path = {to, &v->from, fzri_gso_limit(&udp->gso, to), false,
                            v->flags & FZR_VERDICT_DONT_FRAGMENT};
    collect(udp, s, &piece, &path);
    if (s->listens && s->lane == FZRI_LANE_QUEUES)
      udp->send.to_clients = s;
  }
  if (!udp->send.may_wait)
    fzri_send_flush(udp);
}

void fzri_send_answers(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  fzr_udp *udp = io;
  udp->now = now;
  for (size_t i = 0; i < n; i++) {
    const fzr_transmit *t = &answers[i];
    fzri_socket *s = fzri_lane(udp, &t->to, t->to_stranger);
    if (!s)
      continue;
    fzri_piece piece = {.data = t->data, .stride = t->len, .count = 1, .len = t->len, .tail_len = t->len};
    const fzri_path path = {&t->to, &t->from, fzri_gso_limit(&udp->gso, &t->to), t->to_stranger, false};
    collect(udp, s, &piece, &path);
  }
  /* The engine may overwrite its answers with the next input. */
  fzri_send_flush(udp);
}

/* ---- sending ---- */

/* What is put behind payloads. */
static const uint8_t zeros[FZR_PAD_MAX];

/* Appends the iovecs of the next |count| segments of |walk|. Payloads that lie one behind the other with nothing between them take one
 * iovec. Returns how many there are. */
static size_t fill_iovs(fzri_segments walk, uint32_t count, struct iovec *iovs)
{
  size_t n = 0;
  fzri_segment segment;
  for (; count && fzri_segments_next(&walk, &segment); count--) {
    if (segment.hdr_len)
      iovs[n++] = (struct iovec){(void *)(uintptr_t)segment.hdr, segment.hdr_len};
    uint8_t *data = (uint8_t *)(uintptr_t)segment.data;
    if (!segment.hdr_len && n && (uint8_t *)iovs[n - 1].iov_base + iovs[n - 1].iov_len == data)
      iovs[n - 1].iov_len += segment.len;
    else
      iovs[n++] = (struct iovec){data, segment.len};
    if (segment.pad)
      iovs[n++] = (struct iovec){(void *)(uintptr_t)zeros, segment.pad};
  }
  return n;
}

/* Of one datagram. */
static uint16_t bytes_of(const struct iovec *iovs, size_t n)
{
  size_t bytes = 0;
  for (size_t i = 0; i < n; i++)
    bytes += iovs[i].iov_len;
  return (uint16_t)bytes;
}

/* Sends the segments of |run| one by one from number |from| on. Returns the first that was not taken because the socket is
 * full, or run->count. */
static uint32_t send_singly(fzr_udp *udp, fzri_socket *s, const fzri_run *run, uint32_t from)
{
  while (from < run->count) {
    struct iovec iovs[FZRI_SEGMENT_IOVS];
    struct msghdr msg;
    const size_t n = fill_iovs(fzri_segments_from(&udp->send.runs, run, from), 1, iovs);
    const uint16_t alone = run->dont_fragment ? bytes_of(iovs, n) : 0;
    fzri_msg_address(&msg, &run->to, fzri_socket_choice(s, &run->from), alone, &udp->send.names[0],
                     &udp->send.controls[0]);
    msg.msg_iov = iovs;
    msg.msg_iovlen = n;
    udp->stats.send_calls++;
    if (sendmsg(s->fd, &msg, MSG_DONTWAIT) >= 0) {
      udp->stats.sent++;
      from++;
      continue;
    }
    switch (fzri_errors_outcome(udp, s, &run->to, errno, 0)) {
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

/* Has |r| wait for |s| from |segment| on, or drops it where it may not. */
static void queue_run(fzr_udp *udp, fzri_socket *s, const fzri_run *r, uint32_t segment)
{
  if (s->lane == FZRI_LANE_UNREACHED && fzri_lanes_found(udp, &r->to)) {
    s = fzri_lane(udp, &r->to, r->to_stranger);
    if (!s->blocked)
      segment = send_singly(udp, s, r, segment);
    if (segment == r->count)
      return;
  }
  if (s->listens && s->lane == FZRI_LANE_QUEUES)
    udp->lanes[s->family == FZR_FAMILY_IPV6].stuck = true;
  fzri_queue_append(udp, s, r, segment);
}

static void queue_from(fzr_udp *udp, fzri_socket *s, uint16_t run, uint32_t segment)
{
  for (; run != FZRI_NO_RUN; run = udp->send.runs.runs[run].next, segment = 0)
    queue_run(udp, s, &udp->send.runs.runs[run], segment);
}

/* Fills messages from |run| on. Returns how many; their runs are |run| and those that follow it. */
static unsigned fill_messages(fzr_udp *udp, const fzri_socket *s, uint16_t run)
{
  unsigned n = 0;
  size_t iovs = 0;
  for (; run != FZRI_NO_RUN && n < FZRI_SEND_MSGS; run = udp->send.runs.runs[run].next, n++) {
    const fzri_run *r = &udp->send.runs.runs[run];
    if (FZRI_SEND_IOVS - iovs < (size_t)FZRI_SEGMENT_IOVS * r->count)
      break;
    struct msghdr *msg = &udp->send.msgs[n].msg_hdr;
    fzri_msg_address(msg, &r->to, fzri_socket_choice(s, &r->from), fzri_run_segments(r), &udp->send.names[n],
                     &udp->send.controls[n]);
    msg->msg_iov = &udp->send.iovs[iovs];
    msg->msg_iovlen = fill_iovs(fzri_segments_of(&udp->send.runs, r), r->count, msg->msg_iov);
    iovs += msg->msg_iovlen;
  }
  return n;
}

/* Deals with the run that the kernel refused. Returns the next one, or FZRI_NO_RUN when the rest was queued. */
static uint16_t after_error(fzr_udp *udp, fzri_socket *s, uint16_t run, int error)
{
  const fzri_run *r = &udp->send.runs.runs[run];
  uint32_t done;
  switch (fzri_errors_outcome(udp, s, &r->to, error, r->count > 1 ? r->seg_len : 0)) {
  case FZRI_SEND_BLOCKED:
    queue_from(udp, s, run, 0);
    return FZRI_NO_RUN;
  case FZRI_SEND_AGAIN:
    return run;
  case FZRI_SEND_SINGLY:
    done = send_singly(udp, s, r, 0);
    if (done < r->count) {
      queue_from(udp, s, run, done);
      return FZRI_NO_RUN;
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
  const fzri_piece *piece = &udp->send.runs.pieces[r->first_piece];
  return r->next == FZRI_NO_RUN && r->count == 1 && !r->dont_fragment && !s->listens && !piece->hdr_len &&
         !piece->tail_pad;
}

static uint16_t send_alone(fzr_udp *udp, fzri_socket *s, uint16_t run)
{
  const fzri_run *r = &udp->send.runs.runs[run];
  const fzri_piece *piece = &udp->send.runs.pieces[r->first_piece];
  const socklen_t len = fzr_addr_to_sockaddr(&r->to, &udp->send.names[0]);
  udp->stats.send_calls++;
  if (sendto(s->fd, piece->data, piece->tail_len, MSG_DONTWAIT, &udp->send.names[0].any, len) < 0)
    return after_error(udp, s, run, errno);
  udp->stats.sent++;
  return FZRI_NO_RUN;
}

static void send_runs(fzr_udp *udp, fzri_socket *s, uint16_t run)
{
  while (run != FZRI_NO_RUN && is_alone(udp, s, &udp->send.runs.runs[run]))
    run = send_alone(udp, s, run);
  while (run != FZRI_NO_RUN) {
    const unsigned n = fill_messages(udp, s, run);
    const int sent = sendmmsg(s->fd, udp->send.msgs, n, MSG_DONTWAIT);
    udp->stats.send_calls++;
    if (sent < 0) {
      run = after_error(udp, s, run, errno);
      continue;
    }
    for (int i = 0; i < sent; i++) {
      udp->stats.sent += udp->send.runs.runs[run].count;
      if (udp->send.runs.runs[run].count > 1)
        fzri_gso_taken(&udp->gso);
      run = udp->send.runs.runs[run].next;
    }
  }
}

/* What is from |run| on goes nowhere: there is no descriptor to send it by. */
static void lose_runs(fzr_udp *udp, uint16_t run)
{
  for (; run != FZRI_NO_RUN; run = udp->send.runs.runs[run].next)
    udp->stats.send_errors += udp->send.runs.runs[run].count;
}

void fzri_send_flush(fzr_udp *udp)
{
  fzri_socket *s = udp->send.pending;
  udp->send.pending = udp->send.last_pending = NULL;
  while (s) {
    fzri_socket *next = s->next_pending;
    const uint16_t run = s->runs.first;
    s->runs = fzri_run_list_none();
    if (s->blocked)
      queue_from(udp, s, run, 0);
    else if (udp->common.on && !s->listens && !fzri_common_may_send(udp, s))
      lose_runs(udp, run);
    else
      send_runs(udp, s, run);
    s = next;
  }
  fzri_runs_clear(&udp->send.runs);
  if (udp->lanes[0].stuck || udp->lanes[1].stuck)
    fzri_senders_unstick(udp);
}
