/* SPDX-License-Identifier: Apache-2.0 */
/* Adding up the workers, the process's own figures, and all of it as text for Prometheus. */
#include "testing.h"

#include "telemetry/metrics.h"
#include "telemetry/prometheus.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static metrics_worker workers[2];

static metrics_snapshot snapshot(void)
{
  memset(workers, 0, sizeof workers);
  for (unsigned i = 0; i < 2; i++) {
    const uint64_t k = i + 1;
    fzr_stats *s = &workers[i].engine;
    s->allocations = 3 * k;
    s->allocations_by_transport[FZR_TRANSPORT_UDP] = 2 * k;
    s->allocations_by_transport[FZR_TRANSPORT_TLS] = k;
    s->channels = 5 * k;
    s->permissions = 6 * k;
    s->indications[0] = 7 * k;
    s->indications[1] = 8 * k;
    s->allocations_moved = 2 * k;
    s->peer_errors[0] = 9 * k;
    s->peer_errors[1] = 12 * k;
    s->packets[0] = 7 * k;
    s->packets[1] = 11 * k;
    s->bytes[0] = 700 * k;
    s->bytes[1] = 1100 * k;
    s->packet_sizes[0] = 10 * k;
    s->packet_sizes[2] = 4 * k;
    s->packet_sizes[FZR_SIZE_CLASSES - 1] = 4 * k;
    s->dropped[FZR_DROP_SEND_QUEUE_FULL] = 1;
    s->responses[FZR_STAT_BINDING][0] = 100 * k;
    for (unsigned c = 1; c < FZR_STAT_CODES; c++)
      if (fzr_stat_code(c) == 401)
        s->responses[FZR_STAT_ALLOCATE][c] = 13 * k;
    workers[i].udp.queued_packets = 17 * k;
    workers[i].udp.queued_bytes = 1700 * k;
    workers[i].udp.queue_dropped = 2;
    workers[i].udp.send_errors = 9;
    workers[i].udp.send_expired = 3 * k;
    workers[i].udp.unreached_dropped = 4 * k;
    workers[i].udp.answers_dropped = 6 * k;
    workers[i].cpu_ns = 1500000000u * k;
  }
  return (metrics_snapshot){.version = "1.2\"3\\4\n5",
                            .workers = workers,
                            .worker_count = 2,
                            .has_portal = true,
                            .portal_connected = true,
                            .full = true,
                            .log_lines_dropped = 21,
                            .spans_dropped = 22};
}

START_TEST(test_totals)
{
  metrics_totals t;
  const metrics_snapshot s = snapshot();
  memset(&t, 0xff, sizeof t);
  metrics_add_up(&s, &t);
  ck_assert_uint_eq(t.allocations, 9);
  ck_assert_uint_eq(t.channels, 15);
  ck_assert_uint_eq(t.packets[0], 21);
  ck_assert_uint_eq(t.packets[1], 33);
  ck_assert_uint_eq(t.bytes[1], 3300);
  ck_assert_uint_eq(t.packet_sizes[2], 12);
  ck_assert_uint_eq(t.dropped[FZR_DROP_SEND_QUEUE_FULL], 2 + 4);
  ck_assert_uint_eq(t.dropped[FZR_DROP_SEND_ERROR], 18);
  ck_assert_uint_eq(t.dropped[FZR_DROP_SEND_EXPIRED], 9);
  ck_assert_uint_eq(t.dropped[FZR_DROP_UNREACHED], 12);
  ck_assert_uint_eq(t.dropped[FZR_DROP_ANSWER_WOULD_WAIT], 18);
  ck_assert_uint_eq(t.responses[FZR_STAT_BINDING][0], 300);
  const metrics_snapshot none = {0};
  metrics_add_up(&none, &t);
  ck_assert_uint_eq(t.allocations, 0);
}
END_TEST

START_TEST(test_names)
{
  ck_assert_str_eq(fzr_stat_method_name(FZR_STAT_CHANNEL_BIND), "channelbind");
  ck_assert_str_eq(fzr_stat_method_name(FZR_STAT_CREATE_PERMISSION), "createpermission");
  ck_assert_str_eq(fzr_stat_method_name(99), "other");
  ck_assert_str_eq(metrics_direction(0), "client_to_peer");
  ck_assert_str_eq(metrics_direction(1), "peer_to_client");
}
END_TEST

/* Only what can be expected is there before it happens. */
START_TEST(test_known_responses)
{
  metrics_totals t = {0};
  unsigned known = 0, code_437 = 0;
  while (fzr_stat_code(code_437) != 437)
    code_437++;
  for (unsigned m = 0; m < FZR_STAT_METHODS; m++)
    for (unsigned c = 0; c < FZR_STAT_CODES; c++)
      known += metrics_has_responses(&t, m, c);
  ck_assert_uint_eq(known, 5 + 2 + 13 + 8 + 9 + 9 + 1);
  ck_assert(metrics_has_responses(&t, FZR_STAT_BINDING, 0));
  ck_assert(!metrics_has_responses(&t, FZR_STAT_OTHER, 0));
  ck_assert(!metrics_has_responses(&t, FZR_STAT_BINDING, code_437));
  t.responses[FZR_STAT_BINDING][code_437] = 1;
  ck_assert(metrics_has_responses(&t, FZR_STAT_BINDING, code_437));
}
END_TEST

static bool is_there_from_the_start(unsigned method, unsigned code)
{
  const metrics_totals none = {0};
  for (unsigned i = 0; i < FZR_STAT_CODES; i++)
    if (fzr_stat_code(i) == code)
      return metrics_has_responses(&none, method, i);
  return false;
}

/* All that lib/turn answers: what every request may get that has to be authentic (request.c, authenticate.c), and what each method has beside. A
 * counter that begins with its first occurrence hides that from a rate. */
START_TEST(test_all_that_is_answered_is_there)
{
  static const struct {
    unsigned method;
    uint16_t codes[12];
  } answered[] = {
      {FZR_STAT_BINDING, {420}},
      {FZR_STAT_ALLOCATE, {400, 401, 420, 437, 438, 440, 442, 486, 508}},
      {FZR_STAT_REFRESH, {400, 401, 420, 437, 438, 441, 443}},
      {FZR_STAT_CHANNEL_BIND, {400, 401, 403, 420, 437, 438, 441, 443, 508}},
      {FZR_STAT_CREATE_PERMISSION, {400, 401, 403, 420, 437, 438, 441, 443}},
      {FZR_STAT_OTHER, {400}},
  };
  for (size_t i = 0; i < sizeof answered / sizeof *answered; i++)
    for (const uint16_t *code = answered[i].codes; *code; code++)
      ck_assert_msg(is_there_from_the_start(answered[i].method, *code), "%s %u",
                    fzr_stat_method_name(answered[i].method), *code);
}
END_TEST

START_TEST(test_process)
{
  metrics_process p;
  struct rlimit limit;
  struct timespec now;
  struct rusage usage;
  volatile unsigned sum = 0;
  do { /* some CPU time, to be seen in ticks of 10 ms */
    for (unsigned i = 0; i < 1000000; i++)
      sum = sum + i;
    getrusage(RUSAGE_SELF, &usage);
  } while (usage.ru_utime.tv_usec < 30000 && usage.ru_utime.tv_sec == 0);
  metrics_read_process(&p);
  clock_gettime(CLOCK_REALTIME, &now);
  getrlimit(RLIMIT_NOFILE, &limit);
  ck_assert(p.cpu_seconds > 0 && p.cpu_seconds < 60);
  ck_assert(p.start_seconds <= (double)now.tv_sec + 1 && p.start_seconds > (double)now.tv_sec - 600);
  ck_assert_uint_gt(p.resident_bytes, 100000);
  ck_assert_uint_ge(p.virtual_bytes, p.resident_bytes);
  ck_assert_uint_eq(p.max_fds, limit.rlim_cur);
  ck_assert_uint_eq(p.threads, 1);
  const uint64_t before = p.open_fds;
  const int fd = dup(0);
  metrics_read_process(&p);
  ck_assert_uint_eq(p.open_fds, before + (fd >= 0));
  close(fd);
}
END_TEST

static char *as_text(const metrics_snapshot *s)
{
  struct evbuffer *out = evbuffer_new();
  prometheus_write(s, out);
  const size_t len = evbuffer_get_length(out);
  char *text = malloc(len + 1);
  evbuffer_copyout(out, text, len);
  text[len] = 0;
  evbuffer_free(out);
  return text;
}

START_TEST(test_prometheus)
{
  static const char *const lines[] = {
      "# TYPE relay_active_allocations gauge",
      "relay_active_allocations 9",
      "# TYPE relay_client_allocations gauge",
      "relay_client_allocations{transport=\"udp\"} 6",
      "relay_client_allocations{transport=\"tcp\"} 0",
      "relay_client_allocations{transport=\"tls\"} 3",
      "relay_active_channels 15",
      "relay_active_permissions 18",
      "# TYPE relay_indications_total counter",
      "relay_indications_total{message_type=\"send\"} 21",
      "relay_indications_total{message_type=\"data\"} 24",
      "# TYPE relay_peer_errors_total counter",
      "relay_peer_errors_total{client=\"told\"} 27",
      "relay_peer_errors_total{client=\"untold\"} 36",
      "# TYPE relay_allocations_moved_total counter",
      "relay_allocations_moved_total 6",
      "relay_responses_total{response_class=\"success\",message_type=\"binding\"} 300",
      "relay_responses_total{response_class=\"success\",message_type=\"allocate\"} 0",
      "relay_responses_total{response_class=\"error\",message_type=\"allocate\",error_code=\"401\"} 39",
      "relay_responses_total{response_class=\"error\",message_type=\"allocate\",error_code=\"508\"} 0",
      "relay_responses_total{response_class=\"error\",message_type=\"refresh\",error_code=\"437\"} 0",
      "relay_responses_total{response_class=\"error\",message_type=\"channelbind\",error_code=\"403\"} 0",
      "relay_data_relayed_bytes_total{direction=\"client_to_peer\"} 2100",
      "relay_data_relayed_bytes_total{direction=\"peer_to_client\"} 3300",
      "relay_packets_total{direction=\"peer_to_client\"} 33",
      "# TYPE relay_packet_size_bytes histogram",
      "relay_packet_size_bytes_bucket{le=\"100\"} 30",
      "relay_packet_size_bytes_bucket{le=\"200\"} 30",
      "relay_packet_size_bytes_bucket{le=\"300\"} 42",
      "relay_packet_size_bytes_bucket{le=\"1500\"} 42",
      "relay_packet_size_bytes_bucket{le=\"+Inf\"} 54",
      "relay_packet_size_bytes_sum 5400",
      "relay_packet_size_bytes_count 54",
      "relay_send_queue_packets{worker=\"0\"} 17",
      "relay_send_queue_packets{worker=\"1\"} 34",
      "relay_worker_cpu_seconds_total{worker=\"1\"} 3.000000",
      "relay_portal_connected 1",
      "relay_portal_configured 1",
      "relay_full 1",
      "relay_build_info{version=\"1.2\\\"3\\\\4\\n5\"} 1",
      "relay_log_lines_dropped_total 21",
      "relay_spans_dropped_total 22",
      "# TYPE process_cpu_seconds_total counter",
  };
  char reason[96];
  const metrics_snapshot s = snapshot();
  char *text = as_text(&s);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    char whole[128];
    snprintf(whole, sizeof whole, "\n%s\n", lines[i]);
    ck_assert_msg(strstr(text, whole) != NULL, "missing: %s", lines[i]);
  }
  /* Each reason has a line, from the start. */
  for (unsigned i = 1; i < FZR_DROP_REASONS; i++) {
    snprintf(reason, sizeof reason, "relay_dropped_packets_total{reason=\"%s\"} ", fzr_drop_reason_name(i));
    ck_assert_msg(strstr(text, reason) != NULL, "missing: %s", reason);
  }
  ck_assert_ptr_null(strstr(text, "{response_class=\"success\",message_type=\"other\""));
  free(text);
}
END_TEST

/* Two data paths in the kernel: each has series of its own, and none of the workers'. */
START_TEST(test_prometheus_of_offloads)
{
  static const char *const lines[] = {
      "relay_packets_total{direction=\"peer_to_client\"} 33",
      "relay_packets_total{direction=\"client_to_peer\",datapath=\"one\",program=\"p\"} 1",
      "relay_packets_total{direction=\"peer_to_client\",datapath=\"two\",program=\"q\"} 4",
      "relay_data_relayed_bytes_total{direction=\"client_to_peer\",datapath=\"one\",program=\"p\"} 100",
      "relay_data_relayed_bytes_total{direction=\"peer_to_client\",datapath=\"two\",program=\"q\"} 400",
      "relay_packet_size_bytes_bucket{datapath=\"two\",program=\"q\",le=\"+Inf\"} 7",
      "relay_packet_size_bytes_sum{datapath=\"two\",program=\"q\"} 700",
      "# HELP relay_one_channels Channels now.",
      "# TYPE relay_one_channels gauge",
      "relay_one_channels{program=\"p\"} 5",
      "# HELP relay_one_passed_packets_total Packets left alone, by reason.",
      "# TYPE relay_one_passed_packets_total counter",
      "relay_one_passed_packets_total{program=\"p\",reason=\"short\"} 6",
      "relay_one_passed_packets_total{program=\"p\",reason=\"long\"} 0",
      "relay_dropped_packets_total{reason=\"not_stun\",datapath=\"one\",program=\"p\"} 9",
      "relay_two_channels{program=\"q\"} 8",
  };
  metrics_snapshot s = snapshot();
  s.offload_count = 2;
  s.offloads[0] = (offload_stats){
      .name = "one",
      .program = "p",
      .dropped = {[FZR_DROP_NOT_STUN] = 9, [FZR_DROP_STUN_COOKIE] = 3},
      .may_drop = 1u << FZR_DROP_NOT_STUN,
      .packets = {1, 2},
      .bytes = {100, 200},
      .figures = {{"channels", "{channel}", "Channels now", false, 1, {{NULL, 5}}},
                  {"passed.packets", "{packet}", "Packets left alone", true, 2, {{"short", 6}, {"long", 0}}}},
      .figure_count = 2};
  s.offloads[1] =
      (offload_stats){.name = "two",
                      .program = "q",
                      .packets = {3, 4},
                      .bytes = {300, 400},
                      .packet_sizes = {7},
                      .figures = {{"channels", "{channel}", "Channels now", false, 1, {{NULL, 8}}}},
                      .figure_count = 1};
  char *text = as_text(&s);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    char whole[128];
    snprintf(whole, sizeof whole, "\n%s\n", lines[i]);
    ck_assert_msg(strstr(text, whole) != NULL, "missing: %s", lines[i]);
  }
  ck_assert_ptr_null(strstr(text, "reason=\"stun_cookie\",datapath"));
  free(text);
}
END_TEST

START_TEST(test_prometheus_of_nothing)
{
  const metrics_snapshot s = {0};
  char *text = as_text(&s);
  ck_assert_ptr_nonnull(strstr(text, "relay_active_allocations 0\n"));
  ck_assert_ptr_nonnull(strstr(text, "relay_build_info{version=\"\"} 1\n"));
  ck_assert_ptr_null(strstr(text, "{worker="));
  free(text);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: metrics");
  TCase *c = tcase_create("metrics");
  tcase_add_test(c, test_totals);
  tcase_add_test(c, test_names);
  tcase_add_test(c, test_known_responses);
  tcase_add_test(c, test_all_that_is_answered_is_there);
  tcase_add_test(c, test_process);
  tcase_add_test(c, test_prometheus);
  tcase_add_test(c, test_prometheus_of_offloads);
  tcase_add_test(c, test_prometheus_of_nothing);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
