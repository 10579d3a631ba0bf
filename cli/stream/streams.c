/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/streams.h"

#include "common/clock.h"
#include "firezone_relay/socket.h"
#include "log/log.h"
#include "stream/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define TABLE_MIN 256u
#define TICK_MS   250u
/* How often a connection is looked at within the time that it may be idle; or once a second. */
#define LOOKS 30u
/* How often those that are paused are looked at. */
#define RESUME_MS 5u
/* So long at most. What the sockets have not taken by then is dropped, each socket's own; and who has to wait for others is read 64 KiB
 * each time. */
#define PAUSE (80 * FZR_SECOND / 1000)
/* Bytes for peers that may wait when they are read again. */
#define UDP_QUEUE_LOW 16384u
#define TELL_EVERY    (60 * FZR_SECOND)

/* ---- the table ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
  h = (h ^ v) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 32;
}

static uint64_t mix_addr(const streams *s, uint64_t h, const fzr_addr *addr)
{
  uint64_t words[3] = {0};
  memcpy(words, addr->ip, sizeof addr->ip);
  words[2] = (uint64_t)addr->scope_id << 32 | (uint64_t)addr->port << 16 | (uint64_t)addr->family << 8 |
             addr->transport;
  for (unsigned i = 0; i < 3; i++)
    h = mix(h, words[i] ^ s->key[1]);
  return h;
}

/* Of both ends: one client's port may have connections to several of the relay's addresses. */
static uint32_t hash_of(const streams *s, const fzr_addr *client, const fzr_addr *server)
{
  return (uint32_t)mix_addr(s, mix_addr(s, s->key[0], client), server);
}

static stream_connection **place_of(const streams *s, uint32_t hash)
{
  return &s->table[hash & (s->table_size - 1)];
}

static bool is_between(const stream_connection *c, const fzr_addr *client, const fzr_addr *server)
{
  return fzr_addr_equal(&c->client, client) && fzr_addr_equal(&c->server, server);
}

stream_connection *stream_find(streams *s, const fzr_addr *client, const fzr_addr *server)
{
  if (s->found && is_between(s->found, client, server))
    return s->found;
  const uint32_t hash = hash_of(s, client, server);
  for (stream_connection *c = *place_of(s, hash); c; c = c->next_of_hash)
    if (c->hash == hash && is_between(c, client, server))
      return s->found = c;
  return NULL; /* it has gone, and its allocation is about to */
}

/* Twice as many places. Without memory chains become longer. */
static void grow(streams *s)
{
  const uint32_t size = s->table_size * 2;
  stream_connection **old = s->table, **table = calloc(size, sizeof(stream_connection *));
  if (!table)
    return;
  const uint32_t old_size = s->table_size;
  s->table = table;
  s->table_size = size;
  for (uint32_t i = 0; i < old_size; i++)
    for (stream_connection *c = old[i], *next; c; c = next) {
      next = c->next_of_hash;
      c->next_of_hash = *place_of(s, c->hash);
      *place_of(s, c->hash) = c;
    }
  free(old);
}

void stream_enter(streams *s, stream_connection *c)
{
  if (s->count == s->table_size)
    grow(s);
  s->count++;
  c->hash = hash_of(s, &c->client, &c->server);
  c->next_of_hash = *place_of(s, c->hash);
  *place_of(s, c->hash) = c;
}

static void leave(streams *s, const stream_connection *c)
{
  stream_connection **at = place_of(s, c->hash);
  while (*at != c)
    at = &(*at)->next_of_hash;
  *at = c->next_of_hash;
  s->count--;
  if (s->found == c)
    s->found = NULL;
}

/* ---- lists ---- */

void streams_dirty(stream_connection *c)
{
  streams *s = c->owner;
  if (c->dirty)
    return;
  if (!s->dirty)
    event_active(s->flush, 0, 0);
  c->dirty = true;
  c->next_dirty = s->dirty;
  s->dirty = c;
}

void streams_pause(stream_connection *c, fzr_time now)
{
  streams *s = c->owner;
  const struct timeval soon = {0, (suseconds_t)RESUME_MS * 1000};
  if (c->paused || event_del(c->readable))
    return;
  if (!s->paused && event_add(s->resume, &soon)) {
    event_add(c->readable, NULL);
    return;
  }
  c->paused = true;
  c->paused_at = now;
  c->next_paused = s->paused;
  s->paused = c;
}

/* ---- what the driver calls ---- */

static void put(stream_connection *c, const struct iovec *parts, size_t count, fzr_time now)
{
  stream_stats *stats = &c->owner->stats[c->kind];
  const size_t before = stream_queue_len(&c->queue);
  size_t len = 0;
  /* Nobody has an allocation yet on such a connection, whatever the engine says: this would go out in clear. */
  if (stream_shakes_hands(c)) {
    stats->dropped++;
    return;
  }
  for (size_t i = 0; i < count; i++)
    len += parts[i].iov_len;
  if (!c->allocated && !stream_may_wait(c, len, now)) {
    stats->dropped++;
    return;
  }
  stats->dropped += stream_queue_put(&c->queue, parts, count, c->owner->config.queue_bytes, now);
  stats->queued_bytes += stream_queue_len(&c->queue) - before;
}

/* Packets go out as soon as all that came at once are there: what they lie in meanwhile is in the CPU's cache, and serves the next client,
 * too. Where each client's waited for the end of the turn, the kernel had to find and clear memory for all of them, each time. */
static void write_packets(stream_connection *c, fzr_time now)
{
  if (!c || c->dirty)
    return;
  c->broken = !stream_write(c, now);
  if (c->broken)
    streams_dirty(c);
}

static void forward(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  streams *s = io;
  stream_connection *last = NULL;
  for (size_t i = 0; i < n; i++) {
    const fzr_verdict *v = &verdicts[i];
    stream_connection *c = v->action == FZR_ACT_FORWARD ? stream_find(s, &v->to, &v->from) : NULL;
    if (c && c != last) {
      write_packets(last, now);
      last = c;
    }
    for (uint16_t k = 0; c && k < v->count; k++) {
      struct iovec parts[FZR_DATAGRAM_IOVECS];
      const size_t count = fzr_verdict_iovecs(v, k, parts);
      put(c, parts, count, now);
    }
  }
  write_packets(last, now);
}

static void transmit(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  streams *s = io;
  for (size_t i = 0; i < n; i++) {
    const struct iovec part = {(void *)(uintptr_t)answers[i].data, answers[i].len};
    stream_connection *c = stream_find(s, &answers[i].to, &answers[i].from);
    if (!c)
      continue;
    put(c, &part, 1, now);
    streams_dirty(c);
  }
}

/* ---- connections ---- */

void stream_free_connection(stream_connection *c)
{
  if (c->readable)
    event_free(c->readable);
  if (c->writable)
    event_free(c->writable);
  net_tls_free(c->tls);
  fzr_stream_free(c->framing);
  stream_queue_clear(&c->queue);
  close(c->fd);
  free(c);
}

bool stream_may_tell(fzr_time *told, fzr_time now)
{
  if (*told && now - *told < TELL_EVERY)
    return false;
  *told = now;
  return true;
}

/* A prefix that has all that it may have is somebody's attack, or the way out of many users. */
static void tell_prefix_full(streams *s, const fzr_addr *client, fzr_time now)
{
  if (!stream_may_tell(&s->told_prefix, now))
    return;
  const log_field field = {"client", LOG_ADDR, {.addr = client}};
  log_write(FZR_LOG_WARN, "relay",
            "Connections are closed at once: the client's network has as many as "
            "--max-connections-per-prefix allows",
            &field, 1);
}

stream_connection *stream_new_connection(streams *s, enum stream_kind kind, int fd, const fzr_addr *client,
                                         const fzr_addr *server)
{
  stream_connection *c = calloc(1, sizeof *c);
  if (!c)
    return NULL;
  c->owner = s;
  c->fd = fd;
  c->kind = kind;
  c->client = *client;
  c->server = *server;
  c->readable = event_new(s->config.base, fd, EV_READ | EV_PERSIST, stream_on_readable, c);
  c->writable = event_new(s->config.base, fd, EV_WRITE, stream_on_writable, c);
  if (c->readable && c->writable && !fzr_stream_new(client, server, NULL, &c->framing) &&
      !event_add(c->readable, NULL))
    return c;
  c->fd = -1; /* it is the caller's */
  stream_free_connection(c);
  return NULL;
}

void streams_take(streams *s, enum stream_kind kind, int fd, const fzr_addr *client, const fzr_addr *server,
                  fzr_time since)
{
  stream_stats *stats = &s->stats[kind];
  enum stream_end why = STREAM_END_MEMORY;
  const fzr_time now = monotonic_now();
  stats->accepted++;
  /* Its end has not been seen yet: it may be paused. The new one must not have its allocation, nor lose one when it ends. */
  stream_connection *former = stream_find(s, client, server);
  if (former) {
    streams_drop(former, STREAM_END_CLIENT, now);
    s->config.settled(s->config.settled_ctx, now);
  }
  if (fd >= s->config.end_fd) {
    why = STREAM_END_DESCRIPTORS;
  } else if (!stream_prefixes_enter(s->config.prefixes, client)) {
    why = STREAM_END_PREFIX;
    tell_prefix_full(s, client, now);
  } else {
    stream_connection *c = stream_new_connection(s, kind, fd, client, server);
    if (c) {
      c->heard = since;
      c->looked_at = now;
      stats->connections++;
      stream_enter(s, c);
      stream_append(c, STREAM_BY_TIME);
      stream_begin_stranger(c, now);
      streams_thin_out(s, now);
      return;
    }
    stream_prefixes_leave(s->config.prefixes, client);
  }
  stats->ended[why]++;
  close(fd);
}

static void tell_end(const stream_connection *c, enum stream_end why)
{
  const log_field fields[] = {{"client", LOG_ADDR, {.addr = &c->client}},
                              {"transport", LOG_STR, {.str = stream_kind_name(c->kind)}},
                              {"reason", LOG_STR, {.str = stream_end_name(why)}}};
  if (log_enabled(FZR_LOG_DEBUG, "relay"))
    log_write(FZR_LOG_DEBUG, "relay", "Connection closed", fields, sizeof fields / sizeof *fields);
}

/* Takes |c| out of the list that begins at |*at|, which is linked by the member at |offset|. */
static void unlink_from(stream_connection **at, stream_connection *c, size_t offset)
{
  while (*at && *at != c)
    at = (stream_connection **)((char *)*at + offset);
  if (*at)
    *at = *(stream_connection **)((char *)c + offset);
}

/* What others are to know of the end of |c|. */
static void make_known(const stream_connection *c, enum stream_end why, fzr_time now)
{
  streams *s = c->owner;
  tell_end(c, why);
  /* On a stream an allocation ends with its connection (RFC 8656 section 3.1); without one this does nothing. */
  fzr_engine_end_allocation(fzr_driver_engine(s->config.driver), &c->client, &c->server, now);
  s->stats[c->kind].ended[why]++;
}

/* Ends |c| and its allocation, as far as anybody can see but its client. While it is halted both may go on in another process: nothing has
 * ended, and nobody is told so. */
static void end(stream_connection *c, enum stream_end why, fzr_time now)
{
  streams *s = c->owner;
  if (!s->halted)
    make_known(c, why, now);
  if (c->dirty)
    unlink_from(&s->dirty, c, offsetof(stream_connection, next_dirty));
  if (c->paused)
    unlink_from(&s->paused, c, offsetof(stream_connection, next_paused));
  c->dirty = c->paused = false;
  stream_leave_line(c);
  leave(s, c);
  s->stats[c->kind].connections--;
}

static void forget(stream_connection *c)
{
  streams *s = c->owner;
  stream_remove(c, STREAM_BY_TIME);
  stream_end_stranger(c);
  stream_prefixes_leave(s->config.prefixes, &c->client);
  s->stats[c->kind].queued_bytes -= stream_queue_len(&c->queue);
  stream_free_connection(c);
}

void streams_drop(stream_connection *c, enum stream_end why, fzr_time now)
{
  if (!c->closing)
    end(c, why, now);
  forget(c);
}

void streams_end(stream_connection *c, enum stream_end why, fzr_time now)
{
  if (!c->closing) {
    end(c, why, now);
    if (stream_begin_closing(c, why, now)) {
      /* Others need not wait for its place. Its time begins anew, and so it stands behind those whose time began before. */
      stream_end_stranger(c);
      stream_begin_stranger(c, now);
      return;
    }
    if (c->established && !c->shut && why != STREAM_END_CLIENT && why != STREAM_END_ERROR)
      net_tls_close(c->tls);
  }
  forget(c);
}

/* ---- the loop ---- */

/* The answers of this turn: one write for each client. */
void streams_flush(streams *s)
{
  const fzr_time now = monotonic_now();
  bool ended = false;
  while (s->dirty) {
    stream_connection *c = s->dirty;
    s->dirty = c->next_dirty;
    c->dirty = false;
    if (!c->unread && !c->broken && stream_write(c, now))
      continue;
    streams_end(c, c->unread ? STREAM_END_UNREAD : STREAM_END_ERROR, now);
    ended = true;
  }
  if (ended)
    s->config.settled(s->config.settled_ctx, now);
}

static void on_flush(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  streams_flush(ctx);
}

/* Why |c| has to go, if nothing has come by now; STREAM_ENDS: it need not. */
static enum stream_end time_is_over(const stream_connection *c, fzr_time now)
{
  const streams *s = c->owner;
  const bool idles = !c->allocated && now - c->heard >= s->config.idle;
  if (c->closing)
    return stream_has_closed(c, now) ? STREAM_END_CLIENT : STREAM_ENDS;
  if (stream_shakes_hands(c))
    return idles || now - c->heard >= STREAM_HANDSHAKE ? STREAM_END_HANDSHAKE_TIME : STREAM_ENDS;
  if (idles)
    return STREAM_END_IDLE;
  return !c->allocated && c->blocked && now - c->blocked_at >= s->config.unread ? STREAM_END_UNREAD
                                                                                : STREAM_ENDS;
}

/* Looks at those that nobody has looked at for a while: who has no allocation and says nothing has to go. */
static void look_at_idle(streams *s, fzr_time now)
{
  const fzr_time every = s->config.idle / LOOKS < FZR_SECOND ? s->config.idle / LOOKS : FZR_SECOND;
  for (stream_connection *c = s->lists[STREAM_BY_TIME].first, *after; c && now - c->looked_at >= every;
       c = after) {
    after = c->links[STREAM_BY_TIME].after;
    stream_look_at(c, now);
    c->looked_at = now;
    stream_remove(c, STREAM_BY_TIME);
    stream_append(c, STREAM_BY_TIME);
    const enum stream_end why = time_is_over(c, now);
    if (why != STREAM_ENDS)
      streams_end(c, why, now);
  }
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
  streams *s = ctx;
  const fzr_time now = monotonic_now();
  (void)fd;
  (void)what;
  look_at_idle(s, now);
  streams_end_old_strangers(s, now);
}

int streams_watch_time(streams *s)
{
  const struct timeval every = {0, (suseconds_t)TICK_MS * 1000}, soon = {0, (suseconds_t)RESUME_MS * 1000};
  return event_add(s->tick, &every) || (s->paused && event_add(s->resume, &soon)) ? -1 : 0;
}

static void on_resume(evutil_socket_t fd, short what, void *ctx)
{
  streams *s = ctx;
  fzr_udp_stats stats;
  const struct timeval soon = {0, (suseconds_t)RESUME_MS * 1000};
  const fzr_time now = monotonic_now();
  (void)fd;
  (void)what;
  const bool all =
      !s->config.udp || fzr_udp_get_stats(s->config.udp, &stats) || stats.queued_bytes <= UDP_QUEUE_LOW;
  stream_connection **at = &s->paused;
  while (*at) {
    stream_connection *c = *at;
    if (!all && now - c->paused_at < PAUSE) {
      at = &c->next_paused;
      continue;
    }
    *at = c->next_paused;
    c->paused = false;
    event_add(c->readable, NULL);
  }
  if (s->paused)
    event_add(s->resume, &soon);
}

/* ---- life ---- */

streams *streams_new(const streams_config *config)
{
  fzr_io_ops ops = fzr_io_ops_init();
  streams *s = calloc(1, sizeof *s);
  if (!s)
    return NULL;
  s->config = *config;
  s->table_size = TABLE_MIN;
  s->table = calloc(TABLE_MIN, sizeof(stream_connection *));
  s->flush = event_new(config->base, -1, 0, on_flush, s);
  s->tick = event_new(config->base, -1, EV_PERSIST, on_tick, s);
  s->resume = event_new(config->base, -1, 0, on_resume, s);
  ops.forward = forward;
  ops.transmit = transmit;
  if (s->table && s->flush && s->tick && s->resume && stream_handshakes_begin(s) && !streams_watch_time(s) &&
      getrandom(s->key, sizeof s->key, 0) == sizeof s->key &&
      !fzr_driver_add(config->driver, FZR_TRANSPORT_TCP, &ops, s) &&
      !fzr_driver_add(config->driver, FZR_TRANSPORT_TLS, &ops, s))
    return s;
  streams_free(s);
  return NULL;
}

void streams_set_identity(streams *s, net_tls_identity *identity)
{
  net_tls_identity_drop(s->identity);
  s->identity = identity;
}

void streams_stats(const streams *s, stream_stats out[STREAM_KINDS])
{
  memcpy(out, s->stats, sizeof s->stats);
}

static void free_event(struct event *event)
{
  if (event)
    event_free(event);
}

void streams_free(streams *s)
{
  if (!s)
    return;
  fzr_driver_remove(s->config.driver, FZR_TRANSPORT_TCP, s);
  fzr_driver_remove(s->config.driver, FZR_TRANSPORT_TLS, s);
  const fzr_time now = monotonic_now();
  for (stream_connection *c = s->lists[STREAM_BY_TIME].first, *after; c; c = after) {
    after = c->links[STREAM_BY_TIME].after;
    /* While it is halted another process may go on with them. */
    if (c->established && !c->closing && !s->halted)
      net_tls_close(c->tls);
    streams_drop(c, STREAM_END_CLIENT, now);
  }
  stream_arrivals_free(s);
  for (size_t i = 0; i < s->listener_count; i++) {
    free_event(s->listeners[i].ready);
    free_event(s->listeners[i].again);
    close(s->listeners[i].fd);
  }
  free_event(s->flush);
  free_event(s->tick);
  free_event(s->resume);
  free_event(s->spare);
  free_event(s->share);
  net_tls_identity_drop(s->identity);
  free(s->table);
  free(s);
}
