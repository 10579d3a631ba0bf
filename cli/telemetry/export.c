/* SPDX-License-Identifier: Apache-2.0 */
#include "export.h"

#include "common/clock.h"
#include "log/log.h"
#include "net/backoff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/util.h>

#define TARGET        "otlp"
#define RING_CAPACITY 1024u
#define DRAIN_MS      500u
#define BATCHES       (EXPORT_SPAN_QUEUE / EXPORT_SPAN_BATCH + 1) /* and the one on its way */

/* One of the two kinds of data: at most one message of it is on its way, or waits to be sent again. */
typedef struct lane {
  exporter *owner;
  grpc_client *client; /* NULL: not exported */
  unsigned timeout_ms;
  const char *what;
  const char *path;
  const uint8_t *(*pack)(exporter *e, struct lane *p, size_t *len); /* NULL: there is nothing to send */
  void (*release)(exporter *e);                                     /* the message is no longer needed */
  const uint8_t *message;
  size_t len;
  uint64_t items;
  unsigned attempts; /* of this message */
  unsigned failures; /* in a row, over all messages */
  net_backoff backoff;
  bool in_flight;
  bool waiting; /* for the timer */
  bool told_compressed;
  char warned[sizeof((otlp_partial *)0)->message]; /* the collector's last warning */
  struct event *timer;
} lane;

struct exporter {
  exporter_config config;
  grpc_client *clients[2]; /* of metrics and traces; the second is NULL if it is the first */
  lane metrics, traces;
  bool metrics_due;
  bool flushing;
  struct event *interval, *drain, *wake, *flush_deadline;
  bool flush_over;
  int wake_fd;
  span_ring **rings;
  uint64_t lost; /* spans that found the queue full, or were not taken */
  uint8_t *packed_metrics;
  metrics_snapshot sent, told; /* what that message tells; what the collector has taken */
  uint64_t sent_at, told_at;   /* Unix time; told_at is 0 before the first */
  uint64_t given_at;           /* another process tells what comes later; 0: none */
  otlp_spans *batches
      [BATCHES]; /* a ring: the oldest is the message of `traces` if it has one, the newest takes spans */
  unsigned first, used;
};

static struct timeval milliseconds(unsigned ms)
{
  return timeval_of(ms * FZR_MILLISECOND);
}

/* ---- one lane ---- */

static void step(lane *p);
static void note_told(exporter *e);

static void drop_message(lane *p)
{
  if (p->message)
    p->release(p->owner);
  p->message = NULL;
}

/* Milliseconds to wait for the next try. */
static unsigned backoff_ms(lane *p)
{
  uint32_t random;
  evutil_secure_rng_get_bytes(&random, sizeof random);
  return (unsigned)(net_backoff_next(&p->backoff, random) / FZR_MILLISECOND);
}

static void wait_for(lane *p, unsigned delay)
{
  const struct timeval tv = milliseconds(delay);
  p->waiting = event_add(p->timer, &tv) == 0;
}

static void log_failure(const lane *p, const grpc_answer *a, bool again, unsigned delay)
{
  const log_field fields[] = {
      {"status", LOG_STR, {.str = grpc_code_name((int)a->code)}},
      {"reason", LOG_BYTES, {.bytes = {(const uint8_t *)a->message, strlen(a->message)}}},
      {"attempt", LOG_UINT, {.u = p->attempts}},
      {again ? "retry_ms" : "lost", LOG_UINT, {.u = again ? delay : p->items}},
  };
  char message[64];
  snprintf(message, sizeof message, "The collector did not take %s", p->what);
  /* The first failure, and what is lost, an operator has to know; not each attempt. */
  log_write(p->failures == 1 || !again ? FZR_LOG_WARN : FZR_LOG_DEBUG, TARGET, message, fields,
            sizeof fields / sizeof *fields);
}

static void on_failure(lane *p, const grpc_answer *a)
{
  exporter *e = p->owner;
  const bool may_retry = grpc_may_retry(a->code, a->retry_after_ms >= 0);
  const bool again = may_retry && !e->flushing && (p->attempts < EXPORT_ATTEMPTS || p == &e->metrics);
  unsigned delay = backoff_ms(p);
  p->failures++;
  if (a->retry_after_ms >= 0 && (uint64_t)a->retry_after_ms > delay)
    delay = (unsigned)(a->retry_after_ms < EXPORT_PUSHBACK_MAX ? a->retry_after_ms : EXPORT_PUSHBACK_MAX);
  log_failure(p, a, again, delay);
  if (!again) {
    if (p == &e->traces)
      e->lost += p->items;
    drop_message(p);
  }
  if (!e->flushing)
    wait_for(p, delay);
}

/* What the collector says though it took the message: that it did not take all of it, or, with nothing rejected, a warning, which is told
 * until another comes. */
static void tell_partial(lane *p, const otlp_partial *partial)
{
  const size_t len = strlen(partial->message);
  const log_field fields[] = {
      {"rejected", LOG_INT, {.i = partial->rejected}},
      {"reason", LOG_BYTES, {.bytes = {(const uint8_t *)partial->message, len}}},
  };
  char message[64];
  if (partial->rejected == 0) {
    if (len && strcmp(p->warned, partial->message) != 0) {
      snprintf(message, sizeof message, "The collector warns of %s", p->what);
      log_write(FZR_LOG_WARN, TARGET, message, fields + 1, 1);
      snprintf(p->warned, sizeof p->warned, "%s", partial->message);
    }
    return;
  }
  snprintf(message, sizeof message, "The collector did not take all %s", p->what);
  log_write(FZR_LOG_WARN, TARGET, message, fields, 2);
  if (p == &p->owner->traces && partial->rejected > 0)
    p->owner->lost += (uint64_t)partial->rejected < p->items ? (uint64_t)partial->rejected : p->items;
}

static void on_success(lane *p, const grpc_answer *a)
{
  otlp_partial partial;
  if (p->failures)
    log_info(TARGET, "The collector takes %s again", p->what);
  p->failures = 0;
  net_backoff_reset(&p->backoff);
  if (p == &p->owner->metrics)
    note_told(p->owner);
  drop_message(p);
  if (a->compressed && !p->told_compressed) {
    p->told_compressed = true;
    log_info(TARGET,
             "The collector took %s and answered compressed, which is not read: what it says there is lost",
             p->what);
  }
  if (!otlp_read_response(a->body, a->body_len, &partial)) {
    log_warn(TARGET, "The collector took %s, but its answer makes no sense", p->what);
    return;
  }
  tell_partial(p, &partial);
}

static void on_done(void *ctx, const grpc_answer *answer)
{
  lane *p = ctx;
  p->in_flight = false;
  if (answer->code == GRPC_OK)
    on_success(p, answer);
  else
    on_failure(p, answer);
  step(p);
}

static void send_message(lane *p)
{
  p->attempts++;
  p->in_flight = grpc_call(p->client, p->path, p->message, p->len, p->timeout_ms, on_done, p) == 0;
  if (!p->in_flight) {
    const grpc_answer answer = {.code = GRPC_UNAVAILABLE, .message = strerror(ENOMEM), .retry_after_ms = -1};
    on_failure(p, &answer);
  }
}

/* Sends what is to be sent, if nothing is on its way and no backoff is running. */
static void step(lane *p)
{
  exporter *e = p->owner;
  if (!p->client || p->in_flight || p->waiting)
    return;
  /* Newer metrics say all that older ones said. */
  if (p == &e->metrics && e->metrics_due)
    drop_message(p);
  if (!p->message) {
    p->message = p->pack(e, p, &p->len);
    p->attempts = 0;
  }
  if (p->message)
    send_message(p);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
  lane *p = ctx;
  (void)fd;
  (void)what;
  p->waiting = false;
  step(p);
}

/* ---- metrics ---- */

static const uint8_t *pack_metrics(exporter *e, lane *p, size_t *len)
{
  metrics_snapshot snapshot;
  if (!e->metrics_due)
    return NULL;
  e->metrics_due = false;
  p->items = 1;
  memset(&snapshot, 0, sizeof snapshot);
  e->config.snapshot(e->config.ctx, &snapshot);
  e->sent_at = e->given_at ? e->given_at : unix_now_ns();
  const otlp_window window = {.temporality = e->config.temporality,
                              .start_unix_ns = e->config.start_unix_ns,
                              .own_start_unix_ns = e->config.own_start_unix_ns,
                              .now = &snapshot,
                              .now_unix_ns = e->sent_at,
                              .before = e->told_at ? &e->told : NULL,
                              .before_unix_ns = e->told_at};
  if (e->config.temporality != OTLP_CUMULATIVE && metrics_copy(&e->sent, &snapshot))
    return NULL;
  e->packed_metrics = otlp_pack_metrics(e->config.origin, &window, len);
  return e->packed_metrics;
}

/* What was added since is told from now on. A message that was not taken is told again in the next one. */
static void note_told(exporter *e)
{
  const metrics_snapshot spare = e->told;
  if (e->config.temporality == OTLP_CUMULATIVE)
    return;
  e->told = e->sent;
  e->told_at = e->sent_at;
  e->sent = spare;
}

void exporter_go_on(exporter *e, const metrics_snapshot *then, uint64_t at)
{
  if (e->config.temporality != OTLP_CUMULATIVE && !metrics_copy(&e->told, then))
    e->told_at = at;
}

void exporter_give(exporter *e, uint64_t at)
{
  lane *p = &e->metrics;
  event_del(e->interval);
  e->given_at = at;
  e->metrics_due = p->client && e->config.temporality != OTLP_CUMULATIVE;
  if (!e->metrics_due && !p->in_flight) {
    event_del(p->timer);
    p->waiting = false;
    drop_message(p); /* what it tells is old */
  }
  step(p);
}

static void release_metrics(exporter *e)
{
  free(e->packed_metrics);
  e->packed_metrics = NULL;
}

static void on_interval(evutil_socket_t fd, short what, void *ctx)
{
  exporter *e = ctx;
  (void)fd;
  (void)what;
  e->metrics_due = true;
  step(&e->metrics);
}

/* ---- spans ---- */

static otlp_spans *batch(const exporter *e, unsigned index)
{
  return e->batches[(e->first + index) % BATCHES];
}

static const uint8_t *pack_spans(exporter *e, lane *p, size_t *len)
{
  if (e->used == 0)
    return NULL;
  otlp_spans *oldest = batch(e, 0);
  const bool old = monotonic_now() - otlp_spans_oldest(oldest) >= EXPORT_SPAN_WAIT;
  p->items = otlp_spans_count(oldest);
  return p->items == EXPORT_SPAN_BATCH || old || e->flushing ? otlp_spans_message(oldest, len) : NULL;
}

static void release_spans(exporter *e)
{
  otlp_spans_clear(batch(e, 0));
  e->first = (e->first + 1) % BATCHES;
  e->used--;
}

/* The batch that takes spans; NULL if the queue is full. */
static otlp_spans *open_batch(exporter *e)
{
  const unsigned on_its_way = e->traces.message ? 1 : 0;
  if (e->used > on_its_way && otlp_spans_count(batch(e, e->used - 1)) < EXPORT_SPAN_BATCH)
    return batch(e, e->used - 1);
  return e->used < BATCHES - 1 + on_its_way ? batch(e, e->used++) : NULL;
}

static void take(exporter *e, const span *s, uint64_t to_unix_ns)
{
  otlp_spans *open = open_batch(e);
  if (open && otlp_spans_add(open, s, to_unix_ns) == 0)
    return;
  e->lost++;
  if (open && otlp_spans_count(open) == 0)
    e->used--; /* there is none that is empty */
}

/* Takes what the workers have recorded. */
static void drain(exporter *e)
{
  const uint64_t to_unix_ns = unix_now_ns() - monotonic_now();
  for (unsigned i = 0; i < e->config.rings; i++) {
    span_ring *ring = e->rings[i];
    const span *s;
    /* Not more than a ring holds: a worker that is faster than we are must not keep us here. */
    for (unsigned n = 0; n < RING_CAPACITY && (s = span_ring_first(ring)); n++) {
      take(e, s, to_unix_ns);
      span_ring_pop(ring);
    }
  }
}

static void on_drain(evutil_socket_t fd, short what, void *ctx)
{
  exporter *e = ctx;
  (void)fd;
  (void)what;
  drain(e);
  step(&e->traces);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
  uint64_t count;
  if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
    return;
  on_drain(fd, what, ctx);
}

/* ---- flush ---- */

static void on_flush_deadline(evutil_socket_t fd, short what, void *ctx)
{
  exporter *e = ctx;
  (void)fd;
  (void)what;
  e->flush_over = true;
}

static bool is_idle(const exporter *e)
{
  return !e->metrics.in_flight && !e->traces.in_flight && !e->used && !e->metrics_due;
}

static void hurry(lane *p)
{
  if (p->waiting)
    event_del(p->timer);
  p->waiting = false;
  step(p);
}

void exporter_flush(exporter *e, unsigned timeout_ms)
{
  const struct timeval tv = milliseconds(timeout_ms);
  if (!e || e->flushing)
    return;
  e->flushing = true;
  event_del(e->interval);
  drain(e);
  if (!e->given_at)
    e->metrics_due = e->metrics.client != NULL;
  hurry(&e->traces);
  hurry(&e->metrics);
  if (event_add(e->flush_deadline, &tv))
    return;
  while (!is_idle(e) && !e->flush_over)
    if (event_base_loop(e->config.base, EVLOOP_ONCE) != 0 || event_base_got_break(e->config.base))
      break;
  event_del(e->flush_deadline);
  event_del(e->drain);
  if (is_idle(e))
    return;
  size_t spans = 0;
  for (unsigned i = 0; i < e->used; i++)
    spans += otlp_spans_count(batch(e, i));
  log_warn(TARGET, "Gave up sending the last metrics and %zu spans: the collector does not answer", spans);
}

/* ---- start and end ---- */

static bool add_timer(exporter *e, struct event **timer, short how, event_callback_fn callback, void *ctx,
                      unsigned ms)
{
  const struct timeval tv = milliseconds(ms);
  *timer = event_new(e->config.base, -1, how, callback, ctx);
  return *timer && (ms == 0 || event_add(*timer, &tv) == 0);
}

static bool new_lane(exporter *e, lane *p, const char *what, const char *path,
                     const uint8_t *(*pack)(exporter *, lane *, size_t *), void (*release)(exporter *))
{
  p->owner = e;
  p->what = what;
  p->path = path;
  p->pack = pack;
  p->release = release;
  net_backoff_init(&p->backoff, EXPORT_BACKOFF, EXPORT_BACKOFF_MAX);
  return add_timer(e, &p->timer, 0, on_timer, p, 0);
}

static bool new_rings(exporter *e)
{
  e->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  e->rings = calloc(e->config.rings + 1, sizeof *e->rings);
  if (e->wake_fd < 0 || !e->rings)
    return false;
  for (unsigned i = 0; i < BATCHES; i++)
    if (!(e->batches[i] = otlp_spans_new(e->config.origin)))
      return false;
  for (unsigned i = 0; i < e->config.rings; i++)
    if (!(e->rings[i] = span_ring_new(RING_CAPACITY, e->wake_fd)))
      return false;
  e->wake = event_new(e->config.base, e->wake_fd, EV_READ | EV_PERSIST, on_wake, e);
  return e->wake && event_add(e->wake, NULL) == 0;
}

/* Makes their clients. Returns 0, or -1 with one line in |error|. */
static int new_clients(exporter *e, char *error)
{
  const exporter_config *c = &e->config;
  const grpc_config *const wanted[2] = {c->metrics, c->traces != c->metrics ? c->traces : NULL};
  for (unsigned i = 0; i < 2; i++)
    if (wanted[i] && !(e->clients[i] = grpc_client_new(c->base, wanted[i], error)))
      return -1;
  e->metrics.client = e->clients[0];
  e->traces.client = c->traces && c->traces == c->metrics ? e->clients[0] : e->clients[1];
  e->metrics.timeout_ms = c->metrics_timeout_ms;
  e->traces.timeout_ms = c->traces_timeout_ms;
  return 0;
}

exporter *exporter_new(const exporter_config *config, char *error)
{
  exporter *e = calloc(1, sizeof *e);
  snprintf(error, GRPC_ERROR_MAX, "out of memory");
  if (!e)
    return NULL;
  e->config = *config;
  if (!config->traces)
    e->config.rings = 0;
  e->wake_fd = -1;
  if (new_clients(e, error) || !new_rings(e) ||
      !new_lane(e, &e->metrics, "metrics", OTLP_METRICS_PATH, pack_metrics, release_metrics) ||
      !new_lane(e, &e->traces, "spans", OTLP_TRACES_PATH, pack_spans, release_spans) ||
      !add_timer(e, &e->interval, EV_PERSIST, on_interval, e,
                 config->metrics ? config->metric_interval_ms : 0) ||
      !add_timer(e, &e->drain, EV_PERSIST, on_drain, e, DRAIN_MS) ||
      !add_timer(e, &e->flush_deadline, 0, on_flush_deadline, e, 0)) {
    exporter_free(e);
    return NULL;
  }
  return e;
}

void exporter_free(exporter *e)
{
  if (!e)
    return;
  grpc_client_free(e->clients[0]);
  grpc_client_free(e->clients[1]);
  struct event *const events[] = {e->metrics.timer, e->traces.timer, e->interval,
                                  e->drain,         e->wake,         e->flush_deadline};
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    if (events[i])
      event_free(events[i]);
  for (unsigned i = 0; e->rings && i < e->config.rings; i++)
    span_ring_free(e->rings[i]);
  if (e->wake_fd >= 0)
    close(e->wake_fd);
  free(e->rings);
  for (unsigned i = 0; i < BATCHES; i++)
    otlp_spans_free(e->batches[i]);
  release_metrics(e);
  metrics_forget(&e->sent);
  metrics_forget(&e->told);
  free(e);
}

span_ring *exporter_ring(exporter *e, unsigned index)
{
  return e && index < e->config.rings ? e->rings[index] : NULL;
}

uint64_t exporter_spans_dropped(const exporter *e)
{
  uint64_t n = e ? e->lost : 0;
  for (unsigned i = 0; e && i < e->config.rings; i++)
    n += span_ring_dropped(e->rings[i]);
  return n;
}
