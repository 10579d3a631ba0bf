/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_queue.h"

#include "udp_flow.h"
#include "udp_internal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#define DEFAULT_BOUND (1u << 20)
/* Of that, for answers to strangers: who comes while the link is full gets his, but a flood of them is in nobody's way. */
#define STRANGERS_BOUND 8192u
/* How long data wait for a socket that takes nothing: later they are of no use to a conversation, and in the way of newer ones. What
 * a socket has already taken, but moves, is on a slow link: there all goes out in order, however long it takes. */
#define EXPIRES (80 * FZR_MILLISECOND)

/* What a queue takes of its bound: what describes a run counts, too, or empty datagrams would cost nothing. */
static uint64_t queue_cost(const fzri_queue *q)
{
  return q->bytes + (uint64_t)q->runs * sizeof(fzri_queued);
}

/* How many of |count| segments fit what is left of the bound. */
static uint32_t fitting(const fzr_udp *udp, const fzri_queue *q, uint32_t count, uint32_t bytes,
                        uint16_t seg_len)
{
  const uint32_t bound = udp->config.queue_bytes ? udp->config.queue_bytes : DEFAULT_BOUND;
  const uint64_t used = queue_cost(q) + sizeof(fzri_queued);
  if (used > bound)
    return 0;
  const uint32_t left = (uint32_t)(bound - used);
  if (bytes <= left)
    return count;
  return seg_len ? left / seg_len : 0;
}

/* Copies segments |from| to |from| + |count| - 1 of |run|, with all that is in front of and behind payloads, one behind the other. */
static uint32_t copy_segments(const fzr_udp *udp, const fzri_run *run, uint32_t from, uint32_t count,
                              uint8_t *out)
{
  uint32_t n = 0;
  fzri_segment segment;
  for (fzri_segments walk = fzri_segments_from(&udp->send.runs, run, from);
       count && fzri_segments_next(&walk, &segment); count--) {
    if (segment.hdr_len)
      memcpy(out + n, segment.hdr, segment.hdr_len);
    memcpy(out + n + segment.hdr_len, segment.data, segment.len);
    n += (uint32_t)segment.hdr_len + segment.len;
    memset(out + n, 0, segment.pad);
    n += segment.pad;
  }
  return n;
}

static fzri_queued *new_node(fzr_udp *udp, uint32_t bytes)
{
  fzri_queued *node = fzri_mem_zalloc(&udp->mem, sizeof *node + bytes);
  if (node)
    node->room = bytes;
  return node;
}

static void free_node(fzr_udp *udp, fzri_queued *node)
{
  fzri_mem_free(&udp->mem, node, sizeof *node + node->room);
}

static void count_queued(fzr_udp *udp, fzri_queue *q, int64_t packets, int64_t bytes)
{
  q->packets = (uint32_t)(q->packets + packets);
  q->bytes = (uint32_t)(q->bytes + bytes);
  udp->stats.queued_packets = (uint64_t)((int64_t)udp->stats.queued_packets + packets);
  udp->stats.queued_bytes = (uint64_t)((int64_t)udp->stats.queued_bytes + bytes);
}

/* Bytes that the kernel has of what |s| sent. */
static int held_by(const fzri_socket *s)
{
  int bytes = 0;
  return ioctl(s->fd, SIOCOUTQ, &bytes) ? 0 : bytes;
}

/* |s| is blocked: what waits for it may come to wait too long. */
static void note_waiting(fzr_udp *udp, fzri_socket *s)
{
  if (s->waits)
    return;
  s->waits = true;
  s->next_waiting = udp->waiting.sockets;
  udp->waiting.sockets = s;
  if (udp->waiting.look_at == FZR_TIME_NEVER)
    udp->waiting.look_at = udp->now + EXPIRES;
}

/* What counts datagrams that do not wait for |s|. */
static uint64_t *never_waits(fzr_udp *udp, const fzri_socket *s)
{
  return s->lane == FZRI_LANE_UNREACHED ? &udp->stats.unreached_dropped : &udp->stats.answers_dropped;
}

/* What |bytes| for a stranger take. */
static uint32_t stranger_cost(uint32_t bytes)
{
  return bytes + (uint32_t)sizeof(fzri_queued);
}

/* Whether |bytes| of |run| may wait for |s|. While neighbours are missing, strangers' answers may be what fills the sockets. */
static bool may_wait(const fzr_udp *udp, const fzri_socket *s, const fzri_run *run, uint32_t bytes)
{
  if (s->lane != FZRI_LANE_QUEUES)
    return false;
  if (!run->to_stranger)
    return true;
  return !udp->trouble.on && bytes <= STRANGERS_BOUND &&
         (s->queue ? s->queue->strangers : 0) + stranger_cost(bytes) <= STRANGERS_BOUND;
}

/* Puts |node| behind what waits for |s|, which has a queue. */
static void append_node(fzr_udp *udp, fzri_socket *s, fzri_queued *node)
{
  if (node->to_stranger)
    s->queue->strangers += stranger_cost(node->room);
  if (s->queue->tail)
    s->queue->tail->next = node;
  else
    s->queue->head = node;
  s->queue->tail = node;
  s->queue->runs++;
  count_queued(udp, s->queue, node->count, node->bytes);
  if (!s->blocked) {
    s->blocked = true;
    s->queue->held = held_by(s);
    note_waiting(udp, s);
    fzri_socket_watch(udp, s);
  }
}

int fzri_queue_adopt(fzr_udp *udp, fzri_socket *s, const fzr_udp_unsent *unsent)
{
  if (!s->queue)
    s->queue = fzri_mem_zalloc(&udp->mem, sizeof *s->queue);
  const bool fits =
      s->queue && fitting(udp, s->queue, unsent->count, unsent->len, unsent->seg) >= unsent->count;
  fzri_queued *node = fits ? new_node(udp, unsent->len) : NULL;
  if (!node) {
    udp->stats.queue_dropped += unsent->count;
    return FZR_ERR_NO_MEMORY;
  }
  node->to = unsent->to;
  node->from = unsent->from;
  node->seg_len = unsent->seg;
  node->count = unsent->count;
  node->bytes = unsent->len;
  node->at = udp->now - (unsent->waited < udp->now ? unsent->waited : udp->now);
  node->to_stranger = unsent->to_stranger;
  node->dont_fragment = unsent->dont_fragment;
  if (unsent->len)
    memcpy(node->data, unsent->data, unsent->len);
  append_node(udp, s, node);
  return 0;
}

void fzri_queue_append(fzr_udp *udp, fzri_socket *s, const fzri_run *run, uint32_t from_segment)
{
  const uint32_t count = run->count - from_segment;
  const uint32_t bytes = run->bytes - from_segment * run->seg_len;
  if (!may_wait(udp, s, run, bytes)) {
    *never_waits(udp, s) += count;
    return;
  }
  if (!s->queue)
    s->queue = fzri_mem_zalloc(&udp->mem, sizeof *s->queue);
  const uint32_t kept = s->queue ? fitting(udp, s->queue, count, bytes, run->seg_len) : 0;
  fzri_queued *node = kept ? new_node(udp, kept == count ? bytes : kept * run->seg_len) : NULL;
  if (!node) {
    udp->stats.queue_dropped += count;
    return;
  }
  udp->stats.queue_dropped += count - kept;
  node->to = run->to;
  node->from = run->from;
  node->seg_len = run->seg_len;
  node->at = udp->now;
  node->to_stranger = run->to_stranger;
  node->dont_fragment = run->dont_fragment;
  node->count = (uint16_t)kept;
  node->bytes = copy_segments(udp, run, from_segment, kept, node->data);
  append_node(udp, s, node);
}

static void drop_head(fzr_udp *udp, fzri_queue *q)
{
  fzri_queued *node = q->head;
  q->head = node->next;
  if (!q->head)
    q->tail = NULL;
  q->runs--;
  if (node->to_stranger)
    q->strangers -= stranger_cost(node->room);
  count_queued(udp, q, -(int64_t)(node->count - node->sent),
               -(int64_t)(node->bytes - node->sent * node->seg_len));
  free_node(udp, node);
}

/* Sends all or, with |singly|, the next segment of |node|, which is |q|'s first, by |s|. Returns 0 or errno. */
static int send_node(fzr_udp *udp, fzri_queue *q, const fzri_socket *s, fzri_queued *node, bool singly)
{
  struct msghdr msg;
  const uint32_t at = node->sent * node->seg_len;
  const uint32_t left = node->bytes - at;
  const uint32_t count = singly ? 1 : node->count - node->sent;
  struct iovec iov = {node->data + at, singly && left > node->seg_len ? node->seg_len : left};
  const uint16_t alone = node->dont_fragment ? (uint16_t)iov.iov_len : 0;
  fzri_msg_address(&msg, &node->to, fzri_socket_choice(s, &node->from), count > 1 ? node->seg_len : alone,
                   &udp->send.names[0], &udp->send.controls[0]);
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  udp->stats.send_calls++;
  if (sendmsg(s->fd, &msg, MSG_DONTWAIT) < 0)
    return errno;
  udp->stats.sent += count;
  q->moved = udp->now;
  if (singly && node->sent + 1u < node->count) {
    node->sent++;
    count_queued(udp, q, -1, -(int64_t)node->seg_len);
  } else {
    drop_head(udp, q);
  }
  return 0;
}

/* Sends the head of the queue. Returns false when the socket is full. */
static bool send_head(fzr_udp *udp, fzri_socket *s)
{
  fzri_queued *node = s->queue->head;
  const bool one = node->count - node->sent == 1;
  const bool singly = one || node->seg_len >= fzri_gso_limit(&udp->gso, &node->to);
  fzri_socket *by = s->listens ? fzri_lane(udp, &node->to, node->to_stranger) : s;
  const int error = send_node(udp, s->queue, by, node, singly);
  if (!error)
    return true;
  switch (fzri_errors_outcome(udp, by, &node->to, error, singly ? 0 : node->seg_len)) {
  case FZRI_SEND_BLOCKED:
    if (by == s)
      return false;
    if (by->lane == FZRI_LANE_UNREACHED && fzri_lanes_found(udp, &node->to))
      return true; /* the next try is by another lane */
    *never_waits(udp, by) += node->count - node->sent;
    drop_head(udp, s->queue);
    return true;
  case FZRI_SEND_AGAIN:
  case FZRI_SEND_SINGLY: /* what was remembered makes the next try a single one */
    return true;
  default:
    break;
  }
  udp->stats.send_errors++;
  if (singly && !one) {
    node->sent++;
    count_queued(udp, s->queue, -1, -(int64_t)node->seg_len);
  } else {
    udp->stats.send_errors += (uint64_t)(node->count - node->sent) - 1;
    drop_head(udp, s->queue);
  }
  return true;
}

/* Nothing waits for |s| any more. */
static void drained(fzr_udp *udp, fzri_socket *s)
{
  s->blocked = false;
  fzri_mem_free(&udp->mem, s->queue, sizeof *s->queue);
  s->queue = NULL;
  fzri_socket_watch(udp, s);
  fzri_flow_resume(udp, s);
}

void fzri_queue_flush(fzr_udp *udp, fzri_socket *s)
{
  if (!s->blocked)
    return;
  while (s->queue->head)
    if (!send_head(udp, s))
      return;
  drained(udp, s);
}

void fzri_queue_move(fzr_udp *udp, fzri_socket *from, fzri_socket *to)
{
  fzri_queue *q = from->queue, *behind = to->queue;
  if (!behind || !behind->head) {
    /* A queue without anything in it is one that had no memory for it. */
    to->queue = q;
    from->queue = behind;
  } else if (q && q->head) {
    behind->tail->next = q->head;
    behind->tail = q->tail;
    behind->bytes += q->bytes;
    behind->packets += q->packets;
    behind->runs += q->runs;
    behind->strangers += q->strangers;
    memset(q, 0, sizeof *q);
  }
  from->blocked = false;
  to->blocked = to->queue && to->queue->head;
  if (to->blocked) {
    to->queue->held = held_by(to);
    note_waiting(udp, to);
  }
  fzri_flow_move(from, to);
  fzri_socket_watch(udp, from);
  fzri_socket_watch(udp, to);
  if (!to->blocked)
    fzri_flow_resume(udp, to);
}

/* Whether less of what |s| has taken is held than when that was last looked at. */
static bool moves(const fzri_socket *s)
{
  const int held = held_by(s), before = s->queue->held;
  s->queue->held = held;
  return held < before;
}

static void expire(fzr_udp *udp, fzri_socket *s)
{
  const fzri_queued *node = s->queue->head;
  const fzr_time since = node->at > s->queue->moved ? node->at : s->queue->moved;
  if (since + EXPIRES > udp->now)
    return;
  if (moves(s)) {
    s->queue->moved = udp->now;
    return;
  }
  for (; node && node->at + EXPIRES <= udp->now; node = s->queue->head) {
    udp->stats.send_expired += node->count - node->sent;
    drop_head(udp, s->queue);
  }
  if (!node)
    drained(udp, s);
}

void fzri_queues_expire(fzr_udp *udp)
{
  if (udp->now < udp->waiting.look_at)
    return;
  for (fzri_socket **at = &udp->waiting.sockets, *s; (s = *at);) {
    if (s->blocked)
      expire(udp, s);
    if (s->blocked) {
      at = &s->next_waiting;
    } else {
      *at = s->next_waiting;
      s->waits = false;
    }
  }
  udp->waiting.look_at = udp->waiting.sockets ? udp->now + EXPIRES / 2 : FZR_TIME_NEVER;
}

static void free_queue(fzr_udp *udp, fzri_socket *s)
{
  for (fzri_socket **at = &udp->waiting.sockets; s->waits && *at; at = &(*at)->next_waiting) {
    if (*at != s)
      continue;
    *at = s->next_waiting;
    break;
  }
  if (!s->queue)
    return;
  udp->stats.queue_dropped += s->queue->packets;
  while (s->queue->head)
    drop_head(udp, s->queue);
  fzri_mem_free(&udp->mem, s->queue, sizeof *s->queue);
  s->queue = NULL;
}

void fzri_queue_end_socket(fzr_udp *udp, fzri_socket *s)
{
  fzri_flow_leave(s);
  free_queue(udp, s);
  fzri_socket_close(udp, s);
}
