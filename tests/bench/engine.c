/* SPDX-License-Identifier: Apache-2.0 */
/* fzr-bench-engine: what the engine alone costs, without a kernel: time per relayed packet and per request, memory per allocation
 * and channel, memory taken on the data path (none), picking a port of a full range, and a hand-over. */
#include "engine_world.h"

#include "turn/ports.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEND_SEGMENTS 48u /* of a GRO run: a datagram holds no more */
#define VERDICTS      64u
#define TRIALS        5u

/* ---- cases ---- */

enum shape {
  SHAPE_GRO,    /* one GRO run of 50 datagrams a call */
  SHAPE_RUN,    /* 32 datagrams of one flow a call */
  SHAPE_RANDOM, /* 32 datagrams a call, each of any flow */
  SHAPE_SINGLE, /* one datagram a call, of any flow */
  SHAPE_REQUEST /* 32 requests a call */
};

typedef struct bench_case {
  const char *name;
  const char *text;
  enum shape shape;
  bool down;
  uint16_t method; /* SHAPE_REQUEST */
  double bar;      /* ns; 0: none */
  bool indications;
} bench_case;

static const bench_case cases[] = {
    {"up-gro", "ChannelData, GRO runs of one flow", SHAPE_GRO, false, 0, 25, false},
    {"up-run", "ChannelData, datagrams of one flow", SHAPE_RUN, false, 0, 25, false},
    {"up-random", "ChannelData, random flows, 32 at a time", SHAPE_RANDOM, false, 0, 100, false},
    {"up-single", "ChannelData, random flows, one at a time", SHAPE_SINGLE, false, 0, 0, false},
    {"down-gro", "peer packets, GRO runs of one flow", SHAPE_GRO, true, 0, 25, false},
    {"down-run", "peer packets, datagrams of one flow", SHAPE_RUN, true, 0, 25, false},
    {"down-random", "peer packets, random flows, 32 at a time", SHAPE_RANDOM, true, 0, 100, false},
    {"down-single", "peer packets, random flows, one at a time", SHAPE_SINGLE, true, 0, 0, false},
    {"binding", "Binding requests", SHAPE_REQUEST, false, FZR_STUN_BINDING, 0, false},
    {"refresh", "authenticated Refresh requests", SHAPE_REQUEST, false, FZR_STUN_REFRESH, 0, false},
    {"channel-bind", "authenticated ChannelBind requests (refreshing)", SHAPE_REQUEST, false,
     FZR_STUN_CHANNEL_BIND, 0, false},
    {"send-gro", "Send indications, GRO runs to one peer", SHAPE_GRO, false, 0, 45, true},
    {"send-run", "Send indications, datagrams to one peer", SHAPE_RUN, false, 0, 45, true},
    {"send-random", "Send indications, random flows, 32 at a time", SHAPE_RANDOM, false, 0, 0, true},
    {"send-single", "Send indications, random flows, one at a time", SHAPE_SINGLE, false, 0, 0, true},
    {"data-gro", "Data indications, GRO runs of one peer", SHAPE_GRO, true, 0, 40, true},
    {"data-run", "Data indications, datagrams of one peer", SHAPE_RUN, true, 0, 40, true},
    {"data-random", "Data indications, random flows, 32 at a time", SHAPE_RANDOM, true, 0, 0, true},
    {"data-single", "Data indications, random flows, one at a time", SHAPE_SINGLE, true, 0, 0, true},
};
#define CASES (sizeof cases / sizeof *cases)

/* Of a GRO run. */
static unsigned segments_of(const bench_case *k)
{
  return k->indications ? SEND_SEGMENTS : SEGMENTS;
}

typedef struct batch {
  fzr_pkt pkts[BATCH];
  fzr_verdict verdicts[VERDICTS];
  fzr_batch rx;       /* about both */
  uint64_t datagrams; /* in pkts */
  uint64_t relayed;   /* by the verdicts of all calls */
  uint64_t answered;
} batch;

static void fill_batch(world *w, const bench_case *k, const request *requests, batch *b)
{
  const unsigned count = w->count ? w->count : 1;
  unsigned who = (unsigned)(next_random(w) % count);
  const size_t n = k->shape == SHAPE_GRO || k->shape == SHAPE_SINGLE ? 1 : BATCH;
  b->rx = (fzr_batch){.in = b->pkts, .count = n, .out = b->verdicts, .room = VERDICTS};
  b->datagrams = k->shape == SHAPE_GRO ? segments_of(k) : n;
  const uint32_t size = k->down ? PAYLOAD : k->indications ? SEND_SIZE : PAYLOAD + FZR_CHANNEL_HEADER_LEN;
  for (size_t i = 0; i < n; i++) {
    if (k->shape == SHAPE_RANDOM && i)
      who = (unsigned)(next_random(w) % count);
    if (k->shape == SHAPE_REQUEST)
      who = (unsigned)(i % (count < REQUESTS ? count : REQUESTS));
    const client *c = &w->clients[who];
    fzr_pkt *pkt = &b->pkts[i];
    *pkt = (fzr_pkt){.data = w->slots + i * SLOT, .len = size, .from = c->addr, .to = w->server};
    if (k->shape == SHAPE_GRO) {
      pkt->len = size * segments_of(k);
      pkt->seg = (uint16_t)size;
    }
    if (k->shape == SHAPE_REQUEST) {
      pkt->data = requests[who].data;
      pkt->len = requests[who].len;
    }
    if (k->indications && !k->down)
      for (size_t segment = 0; segment < (k->shape == SHAPE_GRO ? segments_of(k) : 1); segment++)
        world_fill_send(w, who, w->slots + i * SLOT + segment * SEND_SIZE);
    if (k->down) {
      pkt->from = c->peer;
      pkt->to.port = c->port;
    }
  }
}

/* What is measured. Not to be inlined: instructions.sh counts what is executed below it. */
__attribute__((noinline)) static void bench_measured(world *w, const bench_case *k, batch *b)
{
  fzr_transmit transmit;
  fzr_engine_rx(w->engine, k->down ? FZR_SIDE_PEER : FZR_SIDE_CLIENT, &b->rx, w->now);
  if (k->shape == SHAPE_REQUEST)
    while (fzr_engine_next_transmit(w->engine, &transmit))
      b->answered++;
}

/* Adds up what the verdicts relay. */
static void check(batch *b)
{
  if (b->rx.consumed != b->rx.count)
    die("not everything was taken");
  for (size_t i = 0; i < b->rx.written; i++)
    b->relayed += b->verdicts[i].action == FZR_ACT_FORWARD ? b->verdicts[i].count : 0;
}

static uint64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The nanoseconds that reading the clock twice takes, to be left out. */
static uint64_t clock_cost(void)
{
  uint64_t best = UINT64_MAX;
  for (unsigned i = 0; i < 1000; i++) {
    const uint64_t begin = now_ns(), spent = now_ns() - begin;
    if (spent < best)
      best = spent;
  }
  return best;
}

static int by_size(const void *a, const void *b)
{
  const uint32_t *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

/* Runs |k| for |packets| packets, in batches; returns ns per packet of the median batch, which whatever else the machine does
 * does not reach. */
static double run_case(world *w, const bench_case *k, uint64_t packets)
{
  static batch b;
  static request requests[REQUESTS];
  for (unsigned i = 0; k->shape == SHAPE_REQUEST && i < REQUESTS && i < w->count; i++)
    world_build(w, i, k->method, k->method == FZR_STUN_REFRESH ? 600 : NO_LIFETIME, &requests[i]);
  fill_batch(w, k, requests, &b);
  const size_t batches = (size_t)((packets + b.datagrams - 1) / b.datagrams);
  uint32_t *spent = calloc(batches, sizeof *spent);
  if (!spent)
    die("out of memory");
  const uint64_t overhead = clock_cost(), before = world_memory_taken();
  b.relayed = b.answered = 0;
  for (size_t i = 0; i < batches; i++) {
    fill_batch(w, k, requests, &b);
    const uint64_t begin = now_ns();
    bench_measured(w, k, &b);
    const uint64_t took = now_ns() - begin;
    spent[i] = took > overhead ? (uint32_t)(took - overhead) : 0;
    check(&b);
  }
  if ((k->shape == SHAPE_REQUEST ? b.answered : b.relayed) != batches * b.datagrams)
    die("not everything came through");
  if (world_memory_taken() != before)
    die("memory was taken");
  qsort(spent, batches, sizeof *spent, by_size);
  const size_t middle = batches / 2;
  const double median = spent[middle];
  free(spent);
  return median / (double)b.datagrams;
}

/* ---- growth ---- */

/* CPU time of this thread: what else the machine does is not counted. */
static uint64_t thread_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

typedef struct growth {
  uint64_t worst, all; /* ns */
  double bytes;        /* for each channel */
} growth;

/* What ChannelBinds take while |channels| channels are made, and all tables grow: the worst one holds up a worker for so long. */
static growth run_growth(unsigned channels)
{
  enum { EACH = FZR_CHANNEL_MAX - FZR_CHANNEL_MIN };
  growth g = {0};
  world w;
  world_init(&w, (channels + EACH - 1) / EACH, BY_CHANNEL);
  const uint64_t before = world_memory_live();
  for (unsigned n = 0; n < channels; n++) {
    uint8_t answer[512];
    fzr_stun_msg msg;
    request r;
    const unsigned i = n / EACH;
    if (n % EACH == 0)
      world_reach_peer(&w, i, FZR_STUN_CHANNEL_BIND); /* whose nonce is kept from then on */
    w.channel = (uint16_t)(CHANNEL + 1 + n % EACH);
    w.clients[i].peer.port = (uint16_t)(10000 + n % EACH);
    world_build(&w, i, FZR_STUN_CHANNEL_BIND, NO_LIFETIME, &r);
    const uint64_t begin = thread_ns();
    const unsigned code = world_ask(&w, &w.clients[i].addr, &r, &msg, answer);
    const uint64_t took = thread_ns() - begin;
    if (code)
      die("a channel was refused");
    g.all += took;
    g.worst = took > g.worst ? took : g.worst;
    if (n % EACH == EACH - 1) {
      w.channel = CHANNEL;
      w.clients[i].peer.port = (uint16_t)(4096 + i % 50000);
    }
  }
  g.bytes = (double)(world_memory_live() - before) / channels;
  world_free(&w);
  return g;
}

static void report_growth(unsigned channels)
{
  const growth g = run_growth(channels);
  printf("| one ChannelBind while channels are made, the worst | %u channels | %.1f us | - |\n", channels,
         (double)g.worst / 1000);
  printf("| the same, on average | %u channels | %.1f us | - |\n", channels, (double)g.all / channels / 1000);
  printf("| memory per channel | %u channels | %.0f bytes | - |\n", channels, g.bytes);
}

/* ---- ports ---- */

/* ns per port that is picked and given back while |in_use| others are taken. */
static double run_ports(uint32_t in_use, uint64_t rounds)
{
  fzr_shared *shared;
  uint64_t random = 1;
  fzr_time now = 0;
  double best = 0;
  if (fzr_shared_new(49152, 65535, NULL, &shared))
    die("no pool of ports");
  for (uint32_t i = 0; i < in_use; i++)
    if (!fzri_shared_take_port(shared, FZRI_PORT_ANY, random += 0x9e3779b97f4a7c15u, false, 0))
      die("no port");
  for (unsigned trial = 0; trial < TRIALS; trial++) {
    const uint64_t begin = now_ns();
    for (uint64_t i = 0; i < rounds; i++) {
      /* A free port has had its rest. */
      now += FZRI_PORT_RESTS;
      const uint16_t port =
          fzri_shared_take_port(shared, FZRI_PORT_ANY, random += 0x9e3779b97f4a7c15u, false, now);
      if (!port)
        die("no port");
      fzri_shared_give_port(shared, port, now);
    }
    const double each = (double)(now_ns() - begin) / (double)rounds;
    if (!trial || each < best)
      best = each;
  }
  fzr_shared_free(shared);
  return best;
}

/* ---- reports ---- */

static int status = EXIT_SUCCESS;

static const char *verdict(double value, double bar)
{
  if (value <= bar)
    return "met";
  return "**missed**";
}

static void report_case(const bench_case *k, unsigned allocations, double ns)
{
  printf("| %s | %u | %.1f ns |", k->text, allocations, ns);
  /* The random bar is for 16,000 allocations, where nothing is in the cache. */
  if (k->bar > 0)
    printf(" %s: %.0f |\n", verdict(ns, k->bar), k->bar);
  else
    printf(" - |\n");
}

static void report_memory(const world *w)
{
  const double all = (double)w->bound_bytes / w->count;
  printf("| memory per allocation | %u | %.0f bytes | - |\n", w->count,
         (double)(w->allocated_bytes - w->empty_bytes) / w->count);
  printf("| memory per channel | %u | %.0f bytes | - |\n", w->count,
         (double)(w->bound_bytes - w->allocated_bytes) / w->count);
  printf("| memory of the whole engine per allocation with a channel | %u | %.0f bytes | %s: 512 |\n",
         w->count, all, verdict(all, 512));
  if (all > 512)
    status = EXIT_FAILURE; /* no noise in this one */
}

/* |channels|: what the channels of a relay without permissions take, as many. */
static void report_permission_memory(const world *w, uint64_t channels)
{
  const double each = (double)(w->bound_bytes - w->allocated_bytes - channels) / w->count;
  printf("| memory per permission | %u | %.0f bytes | %s: 64 |\n", w->count, each, verdict(each, 64));
  if (each > 64)
    status = EXIT_FAILURE;
}

static void report_all(uint64_t packets)
{
  static const unsigned counts[] = {1, 1000, 16000};
  world w;
  puts("| case | allocations | figure | bar |\n| --- | ---: | ---: | --- |");
  for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
    for (unsigned indications = 0; indications < 2; indications++) {
      world_init(&w, counts[n], indications ? BY_INDICATIONS : BY_CHANNEL);
      for (size_t i = 0; i < CASES; i++)
        if (cases[i].indications == indications)
          report_case(&cases[i], counts[n],
                      run_case(&w, &cases[i], cases[i].method ? packets / 20 : packets));
      world_free(&w);
    }
  }
  /* 12,289 was the worst number when tables were doubled. */
  static const unsigned sizes[] = {10000, 12289, 16000};
  for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
    world_init(&w, sizes[n], BY_CHANNEL);
    report_memory(&w);
    const uint64_t channels = w.bound_bytes - w.allocated_bytes;
    world_free(&w);
    world_init(&w, sizes[n], BY_BOTH);
    report_permission_memory(&w, channels);
    world_free(&w);
  }
  static const uint32_t used[] = {0, 8192, 16000, 16383};
  for (size_t n = 0; n < sizeof used / sizeof *used; n++)
    printf("| picking a port, %u of 16384 in use | - | %.0f ns | - |\n", used[n],
           run_ports(used[n], packets / 20));
  report_growth(110000);
  if (!report_save(16384))
    status = EXIT_FAILURE;
  printf("Memory taken by the data path and by the requests above: none.\n");
}

static void usage(FILE *out)
{
  fputs("Usage: fzr-bench-engine [--packets N] [--case NAME --allocations N] [--journal]\n"
        "  Without --case all are run and a table is printed; with it that one alone, once (for a "
        "profiler).\n  Cases:",
        out);
  for (size_t i = 0; i < CASES; i++)
    fprintf(out, " %s", cases[i].name);
  fputs("\n  save (a hand-over), and growth, of which --allocations is the number of channels.\n"
        "  --journal: what happens is written to a journal.",
        out);
  fputc('\n', out);
}

static int run_one(const char *name, unsigned allocations, uint64_t packets)
{
  world w;
  if (allocations > 16384)
    die("at most 16384 allocations");
  for (size_t i = 0; i < CASES; i++) {
    if (strcmp(name, cases[i].name) != 0)
      continue;
    world_init(&w, allocations, cases[i].indications ? BY_INDICATIONS : BY_CHANNEL);
    printf("%.1f ns\n", run_case(&w, &cases[i], packets));
    world_free(&w);
    return EXIT_SUCCESS;
  }
  fprintf(stderr, "fzr-bench-engine: no case '%s'\n", name);
  usage(stderr);
  return 2;
}

static uint64_t number(const char *text, uint64_t most)
{
  char *end;
  const unsigned long long value = strtoull(text, &end, 10);
  if (*end || !*text || !value || value > most) {
    fprintf(stderr, "fzr-bench-engine: '%s' is no number from 1 to %" PRIu64 "\n", text, most);
    exit(2);
  }
  return value;
}

int main(int argc, char **argv)
{
  static const struct option options[] = {{"packets", required_argument, NULL, 'p'},
                                          {"case", required_argument, NULL, 'c'},
                                          {"allocations", required_argument, NULL, 'a'},
                                          {"journal", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  const char *name = NULL;
  unsigned allocations = 1;
  uint64_t packets = 400000;
  for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
    if (c == 'p')
      packets = number(optarg, 1000000000);
    else if (c == 'a')
      allocations = (unsigned)number(optarg, 10000000);
    else if (c == 'c')
      name = optarg;
    else if (c == 'j')
      world_keeps_journal = true;
    else {
      usage(c == 'h' ? stdout : stderr);
      return c == 'h' ? EXIT_SUCCESS : 2;
    }
  }
  if (name && strcmp(name, "growth") == 0) {
    report_growth(allocations);
    return status;
  }
  if (name && strcmp(name, "save") == 0)
    return report_save(allocations < 16384 ? allocations : 16384) ? EXIT_SUCCESS : EXIT_FAILURE;
  if (name)
    return run_one(name, allocations, packets);
  report_all(packets);
  return status;
}
