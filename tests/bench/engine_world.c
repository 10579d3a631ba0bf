/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET   "engine-bench"
#define USERNAME "4000000000:bench"

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

uint64_t world_memory_taken(void)
{
  return taken;
}

uint64_t world_memory_live(void)
{
  return live;
}

/* ---- the relay and its clients ---- */

_Noreturn void die(const char *what)
{
  fprintf(stderr, "fzr-bench-engine: %s\n", what);
  exit(EXIT_FAILURE);
}

uint64_t next_random(world *w)
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

unsigned world_ask(world *w, const fzr_addr *from, const request *in, fzr_stun_msg *msg, uint8_t answer[512])
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

void world_build(world *w, unsigned i, uint16_t method, uint32_t lifetime, request *out)
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
  world_build(w, i, FZR_STUN_ALLOCATE, NO_LIFETIME,
              &r); /* with another client's nonce or none: it gets its own */
  world_ask(w, &c->addr, &r, &msg, answer);
  if (!fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce) || nonce.len > sizeof w->nonce[0])
    die("no nonce");
  memcpy(w->nonce[i % REQUESTS], nonce.value, nonce.len);
  w->nonce_len = nonce.len;
  world_build(w, i, FZR_STUN_ALLOCATE, NO_LIFETIME, &r);
  if (world_ask(w, &c->addr, &r, &msg, answer) ||
      !fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed))
    die("an allocation was refused");
  c->port = relayed.port;
}

void world_reach_peer(world *w, unsigned i, uint16_t method)
{
  uint8_t answer[512];
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  request r;
  world_build(w, i, method, NO_LIFETIME, &r);
  if (world_ask(w, &w->clients[i].addr, &r, &msg, answer) == 438 &&
      fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce)) {
    memcpy(w->nonce[i % REQUESTS], nonce.value, nonce.len);
    world_build(w, i, method, NO_LIFETIME, &r);
    world_ask(w, &w->clients[i].addr, &r, &msg, answer);
  }
  if (msg.cls != FZR_STUN_SUCCESS)
    die("a peer was refused");
}

void world_fill_send(world *w, unsigned i, uint8_t *out)
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

bool world_keeps_journal;

fzr_engine *world_new_engine(world *w)
{
  static const fzr_mem hooks = {.size = sizeof hooks, .alloc = counted_alloc, .free = counted_free};
  fzr_engine *engine;
  fzr_config config = fzr_config_init();
  config.mem = &hooks;
  config.random = fill_random;
  config.random_ctx = w;
  config.public_ip4 = w->server;
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = SECRET;
  config.unauthenticated_rate = FZR_UNLIMITED;
  config.relay_mode = w->manner == BY_CHANNEL ? FZR_RELAY_CHANNELS : FZR_RELAY_FULL;
  config.replace_allocations = FZR_REPLACE_NEVER; /* all clients have one username */
  if (fzr_engine_new(&config, &engine, w->now) || fzr_engine_set_wallclock(engine, 1700000000, w->now))
    die("no engine");
  return engine;
}

/* Has the engine of |w| write a journal, which is never freed: a measurement is a process. */
static void keep_journal(const world *w)
{
  const size_t size = fzr_journal_size(w->count, w->count + 1024);
  void *memory = calloc(1, size);
  if (!memory || fzr_engine_set_journal(w->engine, memory, size, w->now))
    die("no journal");
}

void world_init(world *w, unsigned count, enum manner manner)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  memset(w, 0, sizeof *w);
  w->random = 0x2545f4914f6cdd1du;
  w->now = 1000 * FZR_SECOND;
  w->count = count;
  w->manner = manner;
  w->channel = CHANNEL;
  w->server = fzr_addr_ipv4((const uint8_t[]){192, 0, 2, 1}, 3478);
  w->clients = calloc(count, sizeof *w->clients);
  w->slots = calloc(BATCH, SLOT);
  if (!w->clients || !w->slots)
    die("out of memory");
  fzr_auth_stamp_password(SECRET, 4000000000, (const uint8_t *)"bench", 5, password, sizeof password);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)USERNAME, strlen(USERNAME), "firezone", password,
                         w->key);
  live = 0;
  w->engine = world_new_engine(w);
  if (world_keeps_journal)
    keep_journal(w);
  w->empty_bytes = live;
  /* From the last to the first: the nonces that are kept are the first clients'. */
  for (unsigned i = count; i-- > 0;)
    allocate(w, i);
  w->allocated_bytes = live;
  for (unsigned i = count; i-- > 0;)
    world_reach_peer(w, i, manner == BY_INDICATIONS ? FZR_STUN_CREATE_PERMISSION : FZR_STUN_CHANNEL_BIND);
  w->bound_bytes = live;
  for (unsigned s = 0; s < BATCH; s++)
    for (unsigned i = 0; i < SEGMENTS; i++)
      fzr_channel_data_header(w->slots + (size_t)s * SLOT + (size_t)i * (PAYLOAD + 4), CHANNEL, PAYLOAD);
}

void world_free(world *w)
{
  fzr_engine_free(w->engine);
  if (live)
    die("the engine kept memory");
  free(w->clients);
  free(w->slots);
}
