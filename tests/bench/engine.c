/* SPDX-License-Identifier: Apache-2.0 */
/* fzr-bench-engine: what the engine alone costs, without a kernel: time per relayed packet and per request, memory per allocation
 * and channel, memory taken on the data path (none), and picking a port of a full range. */
#include "firezone_relay/firezone_relay.h"

#include "turn/ports.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECRET        "engine-bench"
#define USERNAME      "4000000000:bench"
#define CHANNEL       0x4000u
#define PAYLOAD       1280u
#define SEND_SIZE     (FZR_STUN_HEADER_LEN + 12u + 4u + PAYLOAD)
#define SEGMENTS      50u /* of a GRO run */
#define SEND_SEGMENTS 48u /* likewise: a datagram holds no more */
#define BATCH         32u
#define VERDICTS      64u
#define SLOT          (65536u + 192u) /* as in the UDP adapter: no power of two */
#define REQUESTS      64u             /* clients whose requests are kept ready */
#define TRIALS        5u

/* ---- memory, counted ---- */

static uint64_t taken, live; /* allocations ever made, bytes held now */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

/* All code that is linked in goes through these, so that nothing escapes the count. */
void *__wrap_malloc(size_t size)
{
  taken++;
  return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
  taken++;
  return __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
  taken++;
  return __real_realloc(ptr, size);
}

static void *counted_alloc(void *ctx, size_t size)
{
  (void)ctx;
  live += size;
  return malloc(size);
}

static void counted_free(void *ctx, void *ptr, size_t size)
{
  (void)ctx;
  live -= size;
  free(ptr);
}

/* ---- a relay in memory with many clients ---- */

/* How they reach their peers. */
enum manner {
  BY_CHANNEL,     /* of a relay that knows nothing else */
  BY_BOTH,        /* by a channel, whose peer has a permission, too */
  BY_INDICATIONS, /* by a permission, without a channel */
};

typedef struct client {
  fzr_addr addr;
  fzr_addr peer;
  uint16_t port;
} client;

typedef struct request {
  uint8_t data[256];
  uint32_t len;
} request;

typedef struct world {
  fzr_engine *engine;
  fzr_addr server;
  fzr_time now;
  uint64_t random;
  uint8_t key[FZR_STUN_KEY_LEN];
  unsigned count;
  client *clients;
  char nonce[REQUESTS][128]; /* of the first clients */
  size_t nonce_len;
  uint16_t channel; /* that is bound next */
  uint8_t *slots;
  uint64_t empty_bytes, allocated_bytes, bound_bytes; /* memory before, with allocations, with channels */
} world;

static void die(const char *what)
{
  fprintf(stderr, "fzr-bench-engine: %s\n", what);
  exit(EXIT_FAILURE);
}

static uint64_t next_random(world *w)
{
  w->random ^= w->random << 13;
  w->random ^= w->random >> 7;
  w->random ^= w->random << 17;
  return w->random;
}

static int fill_random(void *ctx, uint8_t *out, size_t len)
{
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)(next_random(ctx) >> 32);
  return 0;
}

static fzr_addr address(uint8_t net, unsigned host, uint16_t port)
{
  const uint8_t ip[4] = {198, (uint8_t)(20 + net), (uint8_t)(host >> 8), (uint8_t)host};
  return fzr_addr_ipv4(ip, port);
}

/* Does what the engine's events ask. */
static void take_events(world *w)
{
  fzr_event event;
  while (fzr_engine_next_event(w->engine, &event))
    if (event.type == FZR_EVENT_PORT_OPEN)
      fzr_engine_port_result(w->engine, event.port, (enum fzr_family)event.family, 0, w, w->now);
}

/* Puts |in| through the engine and reads the only answer; returns its error code. */
static unsigned ask(world *w, const fzr_addr *from, const request *in, fzr_stun_msg *msg, uint8_t answer[512])
{
  fzr_pkt pkt = {.data = in->data, .len = in->len, .from = *from, .to = w->server};
  fzr_verdict verdict;
  fzr_transmit transmit;
  fzr_batch one = {.in = &pkt, .count = 1, .out = &verdict, .room = 1};
  fzr_engine_rx(w->engine, FZR_SIDE_CLIENT, &one, w->now);
  take_events(w);
  if (!fzr_engine_next_transmit(w->engine, &transmit))
    die("a request was not answered");
  memcpy(answer, transmit.data, transmit.len);
  if (fzr_stun_read(answer, transmit.len, msg))
    die("an answer can't be read");
  return fzr_stun_error_code(msg);
}

#define NO_LIFETIME UINT32_MAX

static void build(world *w, unsigned i, uint16_t method, uint32_t lifetime, request *out)
{
  uint8_t txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  fill_random(w, txid, sizeof txid);
  fzr_stun_build(&b, out->data, sizeof out->data, method, FZR_STUN_REQUEST, txid);
  if (method == FZR_STUN_ALLOCATE)
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (method == FZR_STUN_CHANNEL_BIND) {
    fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)w->channel << 16);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &w->clients[i].peer);
  }
  if (method == FZR_STUN_CREATE_PERMISSION)
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &w->clients[i].peer);
  if (lifetime != NO_LIFETIME)
    fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, lifetime);
  if (method != FZR_STUN_BINDING) {
    fzr_stun_add(&b, FZR_ATTR_USERNAME, USERNAME, strlen(USERNAME));
    fzr_stun_add(&b, FZR_ATTR_REALM, "firezone", 8);
    fzr_stun_add(&b, FZR_ATTR_NONCE, w->nonce[i % REQUESTS], w->nonce_len);
    fzr_stun_add_integrity(&b, w->key, sizeof w->key);
  }
  fzr_stun_add_fingerprint(&b);
  out->len = (uint32_t)fzr_stun_build_finish(&b);
}

static void allocate(world *w, unsigned i)
{
  uint8_t answer[512];
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  fzr_addr relayed;
  request r;
  client *c = &w->clients[i];
  c->addr = address(0, i, (uint16_t)(1024 + i % 50000));
  c->peer = address(1, i, (uint16_t)(4096 + i % 50000));
  build(w, i, FZR_STUN_ALLOCATE, NO_LIFETIME, &r); /* with another client's nonce or none: it gets its own */
  ask(w, &c->addr, &r, &msg, answer);
  if (!fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce) || nonce.len > sizeof w->nonce[0])
    die("no nonce");
  memcpy(w->nonce[i % REQUESTS], nonce.value, nonce.len);
  w->nonce_len = nonce.len;
  build(w, i, FZR_STUN_ALLOCATE, NO_LIFETIME, &r);
  if (ask(w, &c->addr, &r, &msg, answer) || !fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed))
    die("an allocation was refused");
  c->port = relayed.port;
}

/* ChannelBind or CreatePermission. */
static void reach_peer(world *w, unsigned i, uint16_t method)
{
  uint8_t answer[512];
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  request r;
  build(w, i, method, NO_LIFETIME, &r);
  if (ask(w, &w->clients[i].addr, &r, &msg, answer) == 438 && fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce)) {
    memcpy(w->nonce[i % REQUESTS], nonce.value, nonce.len);
    build(w, i, method, NO_LIFETIME, &r);
    ask(w, &w->clients[i].addr, &r, &msg, answer);
  }
  if (msg.cls != FZR_STUN_SUCCESS)
    die("a peer was refused");
}

/* A Send indication of PAYLOAD bytes to the peer of client |i|. */
static void fill_send(world *w, unsigned i, uint8_t *out)
{
  static const uint8_t payload[PAYLOAD];
  uint8_t txid[FZR_STUN_TXID_LEN];
  fzr_stun_builder b;
  fill_random(w, txid, sizeof txid);
  fzr_stun_build(&b, out, SEND_SIZE, FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &w->clients[i].peer);
  fzr_stun_add(&b, FZR_ATTR_DATA, payload, sizeof payload);
  if (fzr_stun_build_finish(&b) != SEND_SIZE)
    die("a Send indication has another size");
}

static void world_init(world *w, unsigned count, enum manner manner)
{
  static const fzr_mem hooks = {.size = sizeof hooks, .alloc = counted_alloc, .free = counted_free};
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  memset(w, 0, sizeof *w);
  w->random = 0x2545f4914f6cdd1du;
  w->now = 1000 * FZR_SECOND;
  w->count = count;
  w->channel = CHANNEL;
  w->server = fzr_addr_ipv4((const uint8_t[]){192, 0, 2, 1}, 3478);
  w->clients = calloc(count, sizeof *w->clients);
  w->slots = calloc(BATCH, SLOT);
  if (!w->clients || !w->slots)
    die("out of memory");
  fzr_auth_stamp_password(SECRET, 4000000000, (const uint8_t *)"bench", 5, password, sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)USERNAME, strlen(USERNAME), "firezone", password,
                         w->key);
  fzr_config config = fzr_config_init();
  config.mem = &hooks;
  config.random = fill_random;
  config.random_ctx = w;
  config.public_ip4 = w->server;
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = SECRET;
  config.unauthenticated_rate = FZR_UNLIMITED;
  config.relay_mode = manner == BY_CHANNEL ? FZR_RELAY_CHANNELS : FZR_RELAY_FULL;
  config.replace_allocations = FZR_REPLACE_NEVER; /* all clients have one username */
  live = 0;
  if (fzr_engine_new(&config, &w->engine, w->now) || fzr_engine_set_wallclock(w->engine, 1700000000, w->now))
    die("no engine");
  w->empty_bytes = live;
  /* From the last to the first: the nonces that are kept are the first clients'. */
  for (unsigned i = count; i-- > 0;)
    allocate(w, i);
  w->allocated_bytes = live;
  for (unsigned i = count; i-- > 0;)
    reach_peer(w, i, manner == BY_INDICATIONS ? FZR_STUN_CREATE_PERMISSION : FZR_STUN_CHANNEL_BIND);
  w->bound_bytes = live;
  for (unsigned s = 0; s < BATCH; s++)
    for (unsigned i = 0; i < SEGMENTS; i++)
      fzr_channel_data_header(w->slots + (size_t)s * SLOT + (size_t)i * (PAYLOAD + 4), CHANNEL, PAYLOAD);
}

static void world_free(world *w)
{
  fzr_engine_free(w->engine);
  if (live)
    die("the engine kept memory");
  free(w->clients);
  free(w->slots);
}

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
        fill_send(w, who, w->slots + i * SLOT + segment * SEND_SIZE);
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
    build(w, i, k->method, k->method == FZR_STUN_REFRESH ? 600 : NO_LIFETIME, &requests[i]);
  fill_batch(w, k, requests, &b);
  const size_t batches = (size_t)((packets + b.datagrams - 1) / b.datagrams);
  uint32_t *spent = calloc(batches, sizeof *spent);
  if (!spent)
    die("out of memory");
  const uint64_t overhead = clock_cost(), before = taken;
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
  if (taken != before)
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
  const uint64_t before = live;
  for (unsigned n = 0; n < channels; n++) {
    uint8_t answer[512];
    fzr_stun_msg msg;
    request r;
    const unsigned i = n / EACH;
    if (n % EACH == 0)
      reach_peer(&w, i, FZR_STUN_CHANNEL_BIND); /* whose nonce is kept from then on */
    w.channel = (uint16_t)(CHANNEL + 1 + n % EACH);
    w.clients[i].peer.port = (uint16_t)(10000 + n % EACH);
    build(&w, i, FZR_STUN_CHANNEL_BIND, NO_LIFETIME, &r);
    const uint64_t begin = thread_ns();
    const unsigned code = ask(&w, &w.clients[i].addr, &r, &msg, answer);
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
  g.bytes = (double)(live - before) / channels;
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
  printf("Memory taken by the data path and by the requests above: none.\n");
}

static void usage(FILE *out)
{
  fputs("Usage: fzr-bench-engine [--packets N] [--case NAME --allocations N]\n"
        "  Without --case all are run and a table is printed; with it that one alone, once (for a "
        "profiler).\n  Cases:",
        out);
  for (size_t i = 0; i < CASES; i++)
    fprintf(out, " %s", cases[i].name);
  fputs("\n  and growth, of which --allocations is the number of channels.", out);
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
    else {
      usage(c == 'h' ? stdout : stderr);
      return c == 'h' ? EXIT_SUCCESS : 2;
    }
  }
  if (name && strcmp(name, "growth") == 0) {
    report_growth(allocations);
    return status;
  }
  if (name)
    return run_one(name, allocations, packets);
  report_all(packets);
  return status;
}
