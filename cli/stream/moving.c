/* SPDX-License-Identifier: Apache-2.0 */
/* Connections go on in another process. What they are goes along as bytes (parcel.h), and their sockets as descriptors. Until the other
 * one has all and says so, this one can go on instead: so nothing of a socket is changed meanwhile. */
#include "common/clock.h"
#include "log/log.h"
#include "stream/internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- halting ---- */

/* Whether |c|'s socket is to be read. */
static bool is_read(const stream_connection *c)
{
  return !c->paused && !c->in_line && !(c->closing && c->over);
}

void streams_halt(streams *s)
{
  streams_flush(s);
  for (size_t i = 0; i < s->listener_count; i++) {
    event_del(s->listeners[i].ready);
    event_del(s->listeners[i].again);
  }
  struct event *const own[] = {s->flush, s->tick, s->resume, s->spare, s->share};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    event_del(own[i]);
  for (const stream_connection *c = s->lists[STREAM_BY_TIME].first; c; c = c->links[STREAM_BY_TIME].after) {
    event_del(c->readable);
    event_del(c->writable);
  }
  stream_arrivals_halt(s);
  s->halted = true;
}

/* Without memory the connection ends. */
static void go_on(stream_connection *c, fzr_time now)
{
  if ((is_read(c) && event_add(c->readable, NULL)) || (c->blocked && event_add(c->writable, NULL)))
    streams_end(c, STREAM_END_MEMORY, now);
}

void streams_go_on(streams *s)
{
  const fzr_time now = monotonic_now();
  bool failed = streams_watch_time(s) != 0;
  s->halted = false;
  for (size_t i = 0; i < s->listener_count; i++)
    failed |= event_add(s->listeners[i].ready, NULL) != 0;
  for (stream_connection *c = s->lists[STREAM_BY_TIME].first, *after; c; c = after) {
    after = c->links[STREAM_BY_TIME].after;
    go_on(c, now);
  }
  stream_arrivals_go_on(s, now);
  stream_handshakes_go_on(s, now);
  if (failed)
    log_error("relay", "Out of memory: new clients on TCP and TLS may not be heard until a restart");
}

unsigned streams_clients(const streams *s, enum stream_kind kind)
{
  return atomic_load(&s->clients[kind]);
}

bool streams_has(streams *s, const fzr_addr *client, const fzr_addr *server)
{
  return stream_find(s, client, server) != NULL;
}

/* ---- saving ---- */

/* Whether all that is needed of |c|'s TLS can go along: a handshake can't. */
static bool can_be_moved(const stream_connection *c)
{
  if (!c->tls || (c->closing && (c->shut || c->failed)))
    return true; /* nothing more is said on it */
  return c->established && net_tls_can_be_saved(c->tls);
}

/* Where it is being saved to. */
typedef struct saving {
  handover_file *file;
  fzr_time now;
  bool (*add)(void *ctx, int fd);
  void *ctx;
  unsigned left;
} saving;

static uint64_t cookie_of(int fd)
{
  uint64_t cookie = 0;
  socklen_t len = sizeof cookie;
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static unsigned flags_of(const stream_connection *c)
{
  return (c->closing ? STREAM_SAVED_CLOSING : 0u) | (c->shut ? STREAM_SAVED_SHUT : 0u) |
         (c->over ? STREAM_SAVED_OVER : 0u) | (c->blocked ? STREAM_SAVED_BLOCKED : 0u);
}

static void fill_queue(stream_saved *v, const stream_queue *q)
{
  const uint64_t first = q->end - stream_queue_len(q);
  v->waits = q->data + q->from;
  v->waits_len = stream_queue_len(q);
  v->begun = q->begun;
  v->marked = q->marked;
  for (uint32_t i = 0; i < q->marked; i++) {
    const stream_mark *m = &q->marks[i];
    v->marks[i] = (stream_mark){m->time, m->position > first ? m->position - first : 0};
  }
}

static bool save_connection(saving *to, const stream_connection *c)
{
  const bool speaks = c->tls && !(c->closing && (c->shut || c->failed));
  stream_saved v = {.cookie = cookie_of(c->fd),
                    .kind = c->kind,
                    .flags = flags_of(c),
                    .client = c->client,
                    .server = c->server,
                    .heard = c->heard,
                    .stranger_since = c->allocated ? to->now : c->stranger_since,
                    .closing_since = c->closing_since,
                    .blocked_at = c->blocked_at};
  if (!can_be_moved(c)) {
    to->left++;
    return true;
  }
  if (!c->closing) /* else nobody wants the rest of it */
    v.held_len = fzr_stream_held(c->framing, &v.held);
  if (stream_queue_len(&c->queue))
    fill_queue(&v, &c->queue);
  stream_parcel_put(to->file, &v, speaks ? c->tls : NULL, to->now);
  return to->add(to->ctx, c->fd);
}

static bool save_arrival(void *ctx, const stream_saved *saved, int fd)
{
  const saving *to = ctx;
  stream_saved v = *saved;
  v.cookie = cookie_of(fd);
  stream_parcel_put(to->file, &v, NULL, to->now);
  return to->add(to->ctx, fd);
}

/* Strangers first, in the order of their list, which has to stay. */
static bool save_connections(const streams *s, saving *to)
{
  for (const stream_connection *c = s->lists[STREAM_STRANGERS].first; c; c = c->links[STREAM_STRANGERS].after)
    if (!save_connection(to, c))
      return false;
  for (const stream_connection *c = s->lists[STREAM_BY_TIME].first; c; c = c->links[STREAM_BY_TIME].after)
    if (c->allocated && !save_connection(to, c))
      return false;
  return true;
}

bool streams_save(const streams *s, handover_file *file, fzr_time now, bool (*add)(void *ctx, int fd),
                  void *ctx, unsigned *left)
{
  saving to = {.file = file, .now = now, .add = add, .ctx = ctx};
  stream_parcel_begin(file);
  const bool saved = save_connections(s, &to) && stream_arrivals_save(s, save_arrival, &to);
  for (unsigned kind = 0; kind < STREAM_KINDS; kind++) {
    stream_stats stats = s->stats[kind];
    if (kind == STREAM_TLS)
      stats.ended[STREAM_END_HAND_OVER] += to.left;
    stream_parcel_put_stats(file, (enum stream_kind)kind, &stats);
  }
  *left = to.left;
  return saved;
}

size_t streams_listeners(const streams *s, int out[STREAM_LISTENERS])
{
  for (size_t i = 0; i < s->listener_count; i++)
    out[i] = s->listeners[i].fd;
  return s->listener_count;
}

/* ---- leaving ---- */

static void close_fd(int *fd)
{
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

/* A socket ends with its last descriptor: one that stays here would hold open what the other process closes. */
void streams_leave(streams *s)
{
  for (stream_connection *c = s->lists[STREAM_BY_TIME].first; c; c = c->links[STREAM_BY_TIME].after)
    close_fd(&c->fd);
  stream_arrivals_leave(s);
  for (size_t i = 0; i < s->listener_count; i++)
    close_fd(&s->listeners[i].fd);
}

/* ---- loading ---- */

/* What it is being loaded from. */
typedef struct loading {
  streams *s;
  const int *fds;
  size_t n, used;
  fzr_time now;
} loading;

/* Has |c| go on with a message of which a part has come. Returns whether that can be one. */
static bool load_held(const stream_connection *c, const stream_saved *v)
{
  fzr_pkt pkt;
  fzr_stream_batch batch = {.data = v->held, .len = v->held_len, .out = &pkt, .room = 1};
  return !v->held_len ||
         (!fzr_stream_read(c->framing, &batch) && !batch.written && !batch.reason && !batch.len);
}

/* Returns whether |v| can be, and there is memory for it. */
static bool fill_connection(stream_connection *c, const stream_saved *v)
{
  size_t begun = 0;
  c->closing = v->flags & STREAM_SAVED_CLOSING;
  c->shut = c->closing && v->flags & STREAM_SAVED_SHUT;
  c->over = c->closing && v->flags & STREAM_SAVED_OVER;
  c->heard = v->heard;
  c->closing_since = v->closing_since;
  c->blocked_at = v->blocked_at;
  if (v->tls_len && (v->kind != STREAM_TLS || !stream_load_secure(c, v->tls, v->tls_len, &begun)))
    return false;
  /* Without its TLS nothing may go out on it. */
  if (v->kind == STREAM_TLS && !v->tls_len && (v->waits_len || v->held_len))
    return false;
  c->failed = c->closing && v->kind == STREAM_TLS && !v->tls_len;
  return begun <= v->begun && load_held(c, v) &&
         stream_queue_restore(&c->queue, v->waits, v->waits_len, v->begun, v->marks, v->marked);
}

/* Puts |c| where it belongs. Returns false without memory. */
static bool settle(stream_connection *c, const stream_saved *v, fzr_time now)
{
  streams *s = c->owner;
  stream_stats *stats = &s->stats[c->kind];
  c->looked_at = now;
  stats->queued_bytes += stream_queue_len(&c->queue);
  if (!c->closing) {
    stats->connections++;
    stream_enter(s, c);
  }
  stream_append(c, STREAM_BY_TIME);
  stream_begin_stranger(c, v->stranger_since);
  stream_look_at(c, now);
  c->blocked = v->flags & STREAM_SAVED_BLOCKED || stream_queue_len(&c->queue);
  if (!is_read(c))
    event_del(c->readable);
  return !c->blocked || !event_add(c->writable, NULL);
}

static const char *load_connection(const loading *from, const stream_saved *v, int fd)
{
  static const char impossible[] = "what is said of a connection can't be", memory[] = "out of memory";
  streams *s = from->s;
  stream_connection *c = stream_new_connection(s, v->kind, fd, &v->client, &v->server);
  if (!c) {
    close(fd);
    return memory;
  }
  if (!fill_connection(c, v) || (!c->closing && stream_find(s, &c->client, &c->server))) {
    stream_free_connection(c);
    return impossible;
  }
  if (!stream_prefixes_keep(s->config.prefixes, &c->client)) {
    stream_free_connection(c);
    return memory;
  }
  return settle(c, v, from->now) ? NULL : memory;
}

/* Whether somebody can go on with |v|: nobody shakes hands where there is no certificate any more. */
static bool has_future(const streams *s, const stream_saved *v)
{
  return v->kind != STREAM_TLS || s->identity || v->tls_len || v->flags & STREAM_SAVED_CLOSING;
}

/* Takes the next socket, which has to be that of |v|: nobody must get what is another's. */
static const char *load_one(void *ctx, const stream_saved *v)
{
  loading *from = ctx;
  if (from->used == from->n)
    return "there are fewer sockets than connections";
  const int fd = from->fds[from->used];
  if (v->cookie && v->cookie != cookie_of(fd))
    return "a connection's socket is another one's";
  from->used++;
  if (!has_future(from->s, v)) {
    from->s->stats[v->kind].ended[STREAM_END_HAND_OVER]++;
    close(fd);
    return NULL;
  }
  return v->flags & STREAM_SAVED_ARRIVAL ? stream_arrivals_load(from->s, v, fd)
                                         : load_connection(from, v, fd);
}

const char *streams_load(streams *s, const uint8_t *data, size_t len, const int *fds, size_t n, fzr_time now)
{
  loading from = {.s = s, .fds = fds, .n = n, .now = now};
  stream_stats before[STREAM_KINDS];
  s->halted = true;
  const char *why = stream_parcel_read(data, len, now, before, load_one, &from);
  if (!why && from.used < n)
    why = "there are more sockets than connections";
  while (from.used < n)
    close(fds[from.used++]);
  for (unsigned kind = 0; kind < STREAM_KINDS; kind++) {
    s->stats[kind].accepted += before[kind].accepted;
    s->stats[kind].dropped += before[kind].dropped;
    for (unsigned i = 0; i < STREAM_ENDS; i++)
      s->stats[kind].ended[i] += before[kind].ended[i];
  }
  return why;
}
