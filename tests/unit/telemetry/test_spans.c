/* SPDX-License-Identifier: Apache-2.0 */
/* Records of requests as spans, and the ring they wait in. */
#include "testing.h"

#include "telemetry/spans.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static const uint8_t txid[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint8_t *trace_id, *span_id;

static fzr_time monotonic(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (fzr_time)now.tv_sec * FZR_SECOND + (fzr_time)now.tv_nsec;
}

static fzr_log_record request(uint16_t event, uint16_t method)
{
  return (fzr_log_record){.event = event, .method = method, .txid = txid, .now = monotonic()};
}

static bool take(span_ring *ring, span *out)
{
  const span *first = span_ring_first(ring);
  if (!first)
    return false;
  *out = *first;
  span_ring_pop(ring);
  return true;
}

static void record(span_ring *ring, const fzr_log_record *r)
{
  span_ring_record(ring, r, &trace_id, &span_id);
}

START_TEST(test_a_span_has_what_the_record_has)
{
  const fzr_addr client = fzt_addr("192.0.2.1:4000"), peer = fzt_addr("[2001:db8::2]:5000");
  span_ring *ring = span_ring_new(8, -1);
  fzr_log_record r = request(FZR_LOG_PEER_REFUSED, FZR_STUN_CHANNEL_BIND);
  span s;
  r.client = &client;
  r.peer = &peer;
  r.port = 49152;
  r.channel = 0x4001;
  r.error_code = 403;
  r.software = (const uint8_t *)"soft";
  r.software_len = 4;
  record(ring, &r);
  ck_assert_ptr_nonnull(trace_id);
  ck_assert(take(ring, &s));
  ck_assert(memcmp(s.trace_id, trace_id, 16) == 0 && memcmp(s.span_id, span_id, 8) == 0);
  ck_assert(s.has_txid && memcmp(s.txid, txid, 12) == 0);
  ck_assert(fzr_addr_equal(&s.sender, &client) && fzr_addr_equal(&s.peer, &peer));
  ck_assert_uint_eq(s.allocation, 49152);
  ck_assert_uint_eq(s.channel, 0x4001);
  ck_assert_uint_eq(s.error_code, 403);
  ck_assert_uint_eq(s.software_len, 4);
  ck_assert(memcmp(s.software, "soft", 4) == 0);
  ck_assert_uint_le(s.start, s.end);
  ck_assert_uint_eq(s.start, r.now);
  ck_assert_str_eq(span_name(&s), "handle_channel_bind_request");
  ck_assert(!take(ring, &s));

  /* What the next one does not have it does not inherit; what is too long is cut. */
  static uint8_t big[600];
  r = request(FZR_LOG_REQUEST, FZR_STUN_BINDING);
  r.software = big;
  r.software_len = sizeof big;
  r.txid = NULL;
  r.now = FZR_TIME_NEVER - 1;
  record(ring, &r);
  ck_assert(take(ring, &s));
  ck_assert(!s.has_txid);
  ck_assert_uint_eq(s.peer.family, FZR_FAMILY_NONE);
  ck_assert_uint_eq(s.sender.family, FZR_FAMILY_NONE);
  ck_assert_uint_eq(s.software_len, SPAN_SOFTWARE_MAX);
  ck_assert_uint_eq(s.start, s.end);
  span_ring_free(ring);
}
END_TEST

START_TEST(test_which_records_are_requests)
{
  static const struct {
    uint16_t event;
    bool is;
  } cases[] = {{FZR_LOG_REQUEST, true},
               {FZR_LOG_ALLOCATION_CREATED, true},
               {FZR_LOG_ALLOCATION_REFRESHED, true},
               {FZR_LOG_ALLOCATION_DELETED, true},
               {FZR_LOG_CHANNEL_BOUND, true},
               {FZR_LOG_CHANNEL_REBOUND, true},
               {FZR_LOG_PERMISSION, true},
               {FZR_LOG_PEER_REFUSED, true},
               {FZR_LOG_ALLOCATION_EXPIRED, false},
               {FZR_LOG_CHANNEL_EXPIRED, false},
               {FZR_LOG_PORT_UNAVAILABLE, false},
               {FZR_LOG_CHANNEL_REVOKED, false}};
  span_ring *ring = span_ring_new(32, -1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    span s;
    const fzr_log_record r = request(cases[i].event, FZR_STUN_ALLOCATE);
    record(ring, &r);
    ck_assert_int_eq(trace_id != NULL, cases[i].is);
    ck_assert_int_eq(span_id != NULL, cases[i].is);
    ck_assert_int_eq(take(ring, &s), cases[i].is);
    /* Without a ring nothing is traced. */
    record(NULL, &r);
    ck_assert_ptr_null(trace_id);
  }
  span_ring_free(ring);
}
END_TEST

START_TEST(test_names)
{
  static const struct {
    uint16_t method;
    const char *name;
  } cases[] = {{FZR_STUN_BINDING, "handle_binding_request"},
               {FZR_STUN_ALLOCATE, "handle_allocate_request"},
               {FZR_STUN_REFRESH, "handle_refresh_request"},
               {FZR_STUN_CHANNEL_BIND, "handle_channel_bind_request"},
               {FZR_STUN_CREATE_PERMISSION, "handle_create_permission_request"},
               {0x7ff, "handle_unknown_request"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const span s = {.method = cases[i].method};
    ck_assert_str_eq(span_name(&s), cases[i].name);
  }
}
END_TEST

START_TEST(test_full_ring_drops_and_counts)
{
  const int wake = eventfd(0, EFD_NONBLOCK);
  uint64_t woken;
  span_ring *ring = span_ring_new(8, wake);
  span s;
  for (uint16_t i = 0; i < 20; i++) {
    fzr_log_record r = request(FZR_LOG_REQUEST, FZR_STUN_BINDING);
    r.port = i + 1;
    record(ring, &r);
    ck_assert_int_eq(read(wake, &woken, sizeof woken) > 0, i == 3); /* half full */
  }
  ck_assert_uint_eq(span_ring_dropped(ring), 12);
  for (unsigned i = 0; i < 8; i++) {
    ck_assert(take(ring, &s));
    ck_assert_uint_eq(s.allocation, i + 1);
  }
  ck_assert(!take(ring, &s));
  ck_assert_uint_eq(span_ring_dropped(ring), 12);
  span_ring_free(ring);
  close(wake);
}
END_TEST

START_TEST(test_ids_differ)
{
  enum { COUNT = 2000 };
  static uint8_t traces[COUNT][16], spans[COUNT][8];
  static const uint8_t zeros[16];
  span_ring *ring = span_ring_new(4, -1);
  for (size_t i = 0; i < COUNT; i++) {
    const fzr_log_record r = request(FZR_LOG_REQUEST, FZR_STUN_BINDING);
    record(ring, &r);
    memcpy(traces[i], trace_id, 16);
    memcpy(spans[i], span_id, 8);
    fzt_check(memcmp(traces[i], zeros, 16) != 0 && memcmp(spans[i], zeros, 8) != 0);
    for (size_t j = 0; j < i; j++)
      fzt_check(memcmp(traces[i], traces[j], 16) != 0 && memcmp(spans[i], spans[j], 8) != 0);
  }
  span_ring_free(ring);
}
END_TEST

#define RACE 200000u

static void *write_many(void *ctx)
{
  const uint8_t *t, *i;
  for (uint32_t n = 0; n < RACE; n++) {
    fzr_log_record r = request(FZR_LOG_REQUEST, FZR_STUN_BINDING);
    r.port = (uint16_t)n;
    r.channel = (uint16_t)~n;
    span_ring_record(ctx, &r, &t, &i);
  }
  return NULL;
}

/* A writer and a reader at the same time: each span is whole, in order, taken or counted. */
START_TEST(test_two_threads)
{
  pthread_t writer;
  span s;
  uint64_t taken = 0;
  span_ring *ring = span_ring_new(64, -1);
  ck_assert_int_eq(pthread_create(&writer, NULL, write_many, ring), 0);
  while (taken + span_ring_dropped(ring) < RACE) {
    if (!take(ring, &s))
      continue;
    fzt_check((s.channel ^ s.allocation) == 0xffff);
    taken++;
  }
  pthread_join(writer, NULL);
  while (take(ring, &s))
    taken++;
  ck_assert_uint_eq(taken + span_ring_dropped(ring), RACE);
  span_ring_free(ring);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: spans");
  TCase *c = tcase_create("spans");
  tcase_add_test(c, test_a_span_has_what_the_record_has);
  tcase_add_test(c, test_which_records_are_requests);
  tcase_add_test(c, test_names);
  tcase_add_test(c, test_full_ring_drops_and_counts);
  tcase_add_test(c, test_ids_differ);
  tcase_add_test(c, test_two_threads);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
