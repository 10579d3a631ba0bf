/* SPDX-License-Identifier: Apache-2.0 */
/* A day of each real client's calls: NATs that give another port and later the first one back, relays that are killed and started
 * again, credentials that run out, links that lose, repeat and reorder. Whatever the client would keep with a relay that makes no
 * mistake has to be kept: each datagram of a call that is well arrives, or was lost on a link. */
#include "memory_net.h"
#include "mimic.h"
#include "prng.h"
#include "testing.h"

#include <stdio.h>

#define SECONDS(n)  ((fzr_time)(n)*FZR_SECOND)
#define DAY         SECONDS(24 * 3600)
#define ONE_WAY     (10 * FZR_MILLISECOND)
#define TALK_EVERY  SECONDS(4)
#define NUMBERS     (24u * 3600u)
#define UNDERWAY    SECONDS(1) /* longer than anything is on a link */
#define PAYLOAD     8u
#define WORKERS     2u
#define LINES       6u
#define BEGIN       SECONDS(50)
#define QUIET       (BEGIN + DAY - SECONDS(1800)) /* from then on nothing happens any more */
#define AFTER       SECONDS(60)                   /* for what is under way at its end */
#define UNIX_BEGIN  1700000000u
#define FLIPS       100u
#define REST_TTL    100u
#define STAMP_TTL   7200u
#define ERROR_RATE  10u /* answers a second to one that asks without end, and so many seconds' worth at once */
#define ERROR_BURST 100u
#define ERROR_SLACK 5 /* what is not authenticated is counted apart */

static const memory_link good = {ONE_WAY, 0, 0, 0};
static const memory_link bad = {ONE_WAY, 40 * FZR_MILLISECOND, 5, 20};

typedef struct bits {
  uint8_t b[NUMBERS / 8];
} bits;

/* A client, its NAT, and what became of its data. */
typedef struct line {
  mimic m;
  enum mimic_kind kind;
  fzr_addr addr[2], server[2]; /* what the NAT may give it, and the worker that this leads to */
  unsigned at;
  bool was_told;         /* by the portal, that the relay is another one */
  bool unwell;           /* something happened that no relay can help; data may be lost */
  fzr_time since, asked; /* when that was, and the first request after it */
  unsigned allocations;  /* at that time */
  unsigned resets;       /* of the client, that were seen */
  fzr_time missed;       /* when it last asked while it was away */
  fzr_time comes_back;   /* to its first address; 0: it is there, or stays away */
  fzr_time calls_again;  /* its application begins a new call; 0: no */
  fzr_time gets;         /* new credentials; 0: no */
  uint32_t number;       /* of the next datagrams */
  fzr_time sent_at;      /* the last ones */
  bits counted, out[MIMIC_CHANNELS], back[MIMIC_CHANNELS], lost[MIMIC_CHANNELS];
  double errors; /* that it may get now */
  fzr_time errors_at;
  unsigned error_answers;
  unsigned flips, restarts, renewals;
  fzr_time most; /* from the first request until all channels were bound again */
  fzr_time told; /* from the restart until then, of those that the portal told */
} line;

static memory_net *net;
static memory_relay *relays[WORKERS];
static fzr_engine *engines[WORKERS];
static fzr_shared *shared;
static fzt_prng prng;
static enum fzr_auth_kind scheme;
static char secret[32];
static line lines[LINES];
static unsigned line_count;
static fzr_addr peers[MIMIC_CHANNELS], listen4, none;
static bool is_good;

static void set(bits *in, uint32_t n)
{
  in->b[n / 8] |= (uint8_t)(1u << n % 8);
}

static void unset(bits *in, uint32_t n)
{
  in->b[n / 8] &= (uint8_t) ~(1u << n % 8);
}

static bool has(const bits *in, uint32_t n)
{
  return in->b[n / 8] >> n % 8 & 1;
}

/* ---- data ---- */

typedef struct label {
  unsigned line, channel, back;
  uint32_t number;
} label;

static void write_label(uint8_t out[PAYLOAD], const label *l)
{
  const uint8_t text[PAYLOAD] = {(uint8_t)l->line,
                                 (uint8_t)l->channel,
                                 (uint8_t)l->back,
                                 (uint8_t)(l->number >> 16),
                                 (uint8_t)(l->number >> 8),
                                 (uint8_t)l->number,
                                 0x5a,
                                 0xa5};
  memcpy(out, text, PAYLOAD);
}

static label read_label(const uint8_t *in, size_t len)
{
  label l = {in[0], in[1], in[2], (uint32_t)in[3] << 16 | (uint32_t)in[4] << 8 | in[5]};
  fzt_check(len == PAYLOAD && in[6] == 0x5a && in[7] == 0xa5);
  fzt_check(l.line < line_count && l.channel < MIMIC_CHANNELS && l.back < 2 && l.number < NUMBERS);
  return l;
}

/* What a link lost. STUN: its sender tries again. */
static void lost(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  (void)ctx;
  (void)from;
  (void)to;
  if (len == PAYLOAD + 4u && data[0] >= 0x40)
    data += 4;
  else if (len != PAYLOAD)
    return;
  const label l = read_label(data, PAYLOAD);
  set(&lines[l.line].lost[l.channel], l.number);
}

/* A port that is not open, or a relay that is not there: no excuse. */
static void nobody(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  (void)ctx;
  (void)from;
  (void)to;
  (void)data;
  (void)len;
}

static void peer_receive(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  uint8_t echo[PAYLOAD];
  label l = read_label(data, len);
  (void)ctx;
  fzt_check(!l.back && fzr_addr_equal(to, &peers[l.channel]));
  set(&lines[l.line].out[l.channel], l.number);
  l.back = 1;
  write_label(echo, &l);
  memory_net_send(net, to, from, echo, sizeof echo);
}

static uint64_t unix_now(void)
{
  return UNIX_BEGIN + (memory_net_now(net) - BEGIN) / FZR_SECOND;
}

/* ---- a client on its line ---- */

static void credentials(const line *l, uint32_t ttl, char username[64], char password[64])
{
  const uint64_t expiry = unix_now() + ttl;
  if (scheme == FZR_AUTH_STATIC) {
    snprintf(username, 64, "%s", l->m.habits->name);
    snprintf(password, 64, "of %s", l->m.habits->name);
    return;
  }
  snprintf(username, 64, "%llu:%s%u", (unsigned long long)expiry, l->m.habits->name, (unsigned)(l - lines));
  const uint8_t *salt = (const uint8_t *)strchr(username, ':') + 1;
  if (scheme == FZR_AUTH_STAMP)
    fzr_auth_stamp_password(secret, expiry, salt, strlen((const char *)salt), password, 64);
  else
    fzr_auth_rest_password(secret, (const uint8_t *)username, strlen(username), password, 64);
}

static void login(line *l)
{
  char username[64], password[64];
  credentials(l, scheme == FZR_AUTH_REST ? REST_TTL : STAMP_TTL, username, password);
  mimic_login(&l->m, username, password, memory_net_now(net));
}

/* What is under way may be lost, and what comes next, until the line is well. */
static void falls_ill(line *l)
{
  const fzr_time now = memory_net_now(net);
  if (l->number && now - l->sent_at < UNDERWAY)
    unset(&l->counted, l->number - 1);
  if (l->unwell)
    return;
  l->unwell = true;
  l->since = now;
  l->asked = 0;
  l->allocations = l->m.allocations;
}

static void is_well(line *l)
{
  l->unwell = l->was_told = false;
}

/* After everything that the client did. */
static void look(line *l)
{
  const fzr_time now = memory_net_now(net);
  if (l->m.resets != l->resets) {
    l->resets = l->m.resets;
    falls_ill(l);
    l->asked = l->asked ? l->asked : now;
  }
  if (l->m.state == MIMIC_NEEDS_CREDENTIALS && !l->gets)
    l->gets = now + FZR_SECOND / 2;
  if (l->m.state == MIMIC_ENDED && !l->calls_again)
    ck_abort_msg("%s ended its call after %.1f s: %s", l->m.habits->name, (double)(now - BEGIN) / 1e9,
                 l->m.why);
  if (!l->unwell || l->comes_back || l->calls_again || l->gets || !mimic_ready(&l->m) ||
      l->m.allocations == l->allocations)
    return;
  l->most = l->asked && now - l->asked > l->most ? now - l->asked : l->most;
  if (l->was_told && now - l->since > l->told)
    l->told = now - l->since;
  is_well(l);
}

static void client_send(void *ctx, const uint8_t *data, size_t len)
{
  line *l = ctx;
  const bool tells = data[0] == 0 && (data[1] == FZR_STUN_ALLOCATE || data[1] == FZR_STUN_REFRESH ||
                                      data[1] == FZR_STUN_CHANNEL_BIND);
  if (l->unwell && !l->asked && tells)
    l->asked = memory_net_now(net);
  memory_net_send(net, &l->addr[l->at], &l->server[l->at], data, len);
}

/* One that asks without end gets ten errors a second, and ten seconds' worth at once. */
static void count_error(line *l)
{
  const fzr_time now = memory_net_now(net);
  l->error_answers++;
  l->errors += (double)(now - l->errors_at) / 1e9 * ERROR_RATE;
  l->errors = l->errors > ERROR_BURST ? ERROR_BURST : l->errors;
  l->errors_at = now;
  fzt_check(!is_good || l->errors >= -ERROR_SLACK);
  l->errors -= 1;
}

static void client_receive(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data,
                           size_t len)
{
  line *l = ctx;
  const uint8_t *payload;
  uint16_t payload_len;
  unsigned channel;
  if (!fzr_addr_equal(to, &l->addr[l->at]))
    return; /* the NAT has forgotten that port */
  fzt_check(fzr_addr_equal(from, &l->server[l->at]));
  if (data[0] == 1 && data[1] & 0x10)
    count_error(l);
  if (mimic_receive(&l->m, data, len, memory_net_now(net), &channel, &payload, &payload_len)) {
    const label got = read_label(payload, payload_len);
    fzt_check(got.back && got.line == (unsigned)(l - lines) && got.channel == channel);
    set(&l->back[channel], got.number);
  }
  look(l);
}

static void on_talk(void *ctx)
{
  line *l = ctx;
  const fzr_time now = memory_net_now(net);
  uint8_t data[PAYLOAD];
  if (!l->unwell)
    set(&l->counted, l->number);
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++) {
    const label of = {(unsigned)(l - lines), i, 0, l->number};
    write_label(data, &of);
    fzt_check(mimic_talk(&l->m, i, data, PAYLOAD) || l->unwell);
  }
  l->number++;
  l->sent_at = now;
  fzt_check(memory_net_timer(net, TALK_EVERY, on_talk, l) == 0);
}

/* ---- relays ---- */

static void start_relay(void)
{
  static const fzr_user users[] = {{"pion", "of pion"},           {"ice4j", "of ice4j"},
                                   {"webrtc-rs", "of webrtc-rs"}, {"libjuice", "of libjuice"},
                                   {"aiortc", "of aiortc"},       {"werift", "of werift"}};
  ck_assert_int_eq(fzr_shared_new(49152, 65535, NULL, &shared), 0);
  for (uint16_t i = 0; i < WORKERS; i++) {
    int error;
    fzr_config config = fzr_config_init();
    fzr_addr listen = listen4;
    listen.port = (uint16_t)(listen4.port + i);
    config.shared = shared;
    config.random = fzt_random;
    config.random_ctx = &prng;
    config.public_ip4 = listen4;
    config.public_ip6 = fzt_addr("2001:db8:ffff::1");
    config.auth = scheme;
    config.auth_secret = secret;
    config.users = users;
    config.user_count = sizeof users / sizeof *users;
    ck_assert_int_eq(fzr_engine_new(&config, &engines[i], memory_net_now(net)), 0);
    ck_assert_int_eq(fzr_engine_set_wallclock(engines[i], (int64_t)unix_now(), memory_net_now(net)), 0);
    relays[i] = memory_net_add_relay(net, engines[i], &listen, &none, &config.public_ip4, &config.public_ip6,
                                     NULL, &error);
    ck_assert_ptr_nonnull(relays[i]);
  }
}

static void stop_relay(void)
{
  for (unsigned i = 0; i < WORKERS; i++) {
    memory_net_remove_relay(net, relays[i]);
    fzr_engine_free(engines[i]);
  }
  fzr_shared_free(shared);
}

static uint64_t allocations(void)
{
  uint64_t n = 0;
  for (unsigned i = 0; i < WORKERS; i++) {
    fzr_stats stats;
    ck_assert_int_eq(fzr_engine_stats(engines[i], &stats), 0);
    n += stats.allocations;
  }
  return n;
}

/* ---- what happens in a day ---- */

static fzr_time between(fzr_time least, fzr_time most)
{
  return least + fzt_below(&prng, most - least + 1);
}

/* Another relay in its place. If the portal tells, its secret is another one, and clients hear of it within moments; if not, they find out
 * by themselves. */
static void restart(bool told)
{
  const fzr_time now = memory_net_now(net);
  if (now > QUIET)
    return;
  stop_relay();
  if (told)
    snprintf(secret, sizeof secret, "secret %llu", (unsigned long long)fzt_below(&prng, 1000000000));
  start_relay();
  for (line *l = lines; l < lines + line_count; l++) {
    falls_ill(l);
    l->since = now;
    l->asked = 0; /* what a flip before it had begun begins anew */
    l->allocations = l->m.allocations;
    l->comes_back = 0;
    l->restarts++;
    l->errors = ERROR_BURST;
    l->was_told = told;
    if (told)
      l->calls_again = now + between(FZR_SECOND / 2, FZR_SECOND);
    if (l->kind == MIMIC_SNOWNET)
      continue;
    /* No client of WebRTC keeps an allocation that the relay has forgotten: the application begins another call. But until then ice4j
     * asks without end. */
    l->at = 0;
    l->calls_again = now + between(SECONDS(5), SECONDS(10));
    if (l->kind == MIMIC_ICE4J) {
      l->calls_again += SECONDS(60);
      mimic_refresh(&l->m, now);
    }
  }
}

/* Firezone's clients ask from the new port when they ask next, or when they notice; then they allocate again. */
static void flip_for_good(line *l)
{
  if (l->unwell || l->gets || l->m.state != MIMIC_LIVE)
    return;
  falls_ill(l);
  l->at = 1 - l->at;
  l->flips++;
  if (fzt_below(&prng, 2))
    mimic_refresh(&l->m, memory_net_now(net));
}

/* Others never allocate again; when the first port comes back, it goes on. Who asks in between believes that the call is over; only
 * pion takes it for a success, and lives if that is not twice in turn. */
static void flip_and_back(line *l)
{
  const fzr_time now = memory_net_now(net), away = between(SECONDS(2), SECONDS(20));
  if (l->unwell || l->calls_again)
    return;
  if (mimic_deadline(&l->m) <= now + away + SECONDS(1)) {
    if (l->kind != MIMIC_PION || (l->missed && now - l->missed < SECONDS(700)))
      return;
    l->missed = now;
  }
  falls_ill(l);
  l->at = 1;
  l->flips++;
  l->comes_back = now + away;
}

static void on_flip(void *ctx)
{
  line *l = ctx;
  if (memory_net_now(net) > QUIET)
    return;
  if (l->kind == MIMIC_SNOWNET)
    flip_for_good(l);
  else
    flip_and_back(l);
  fzt_check(memory_net_timer(net, between(SECONDS(250), SECONDS(750)), on_flip, l) == 0);
}

static void on_restart(void *ctx)
{
  (void)ctx;
  restart(scheme == FZR_AUTH_STAMP && fzt_below(&prng, 2));
  fzt_check(memory_net_timer(net, between(SECONDS(2 * 3600), SECONDS(6 * 3600)), on_restart, NULL) == 0);
}

/* Dates of |l| that have come. */
static void keep_dates(line *l, fzr_time now)
{
  if (l->comes_back && now >= l->comes_back) {
    l->comes_back = 0;
    l->at = 0;
    is_well(l);
  }
  if (l->calls_again && now >= l->calls_again) {
    l->calls_again = l->gets = l->asked = 0;
    login(l);
    mimic_begin(&l->m, now);
  }
  if (l->gets && now >= l->gets) {
    l->gets = l->asked = 0;
    l->renewals++;
    login(l);
  }
  if (now >= mimic_deadline(&l->m))
    mimic_tick(&l->m, now);
  look(l);
}

static void on_tick(void *ctx)
{
  const fzr_time now = memory_net_now(net);
  for (line *l = lines; l < lines + line_count; l++)
    keep_dates(l, now);
  fzt_check(memory_net_timer(net, 100 * FZR_MILLISECOND, on_tick, ctx) == 0);
}

static void add_line(enum mimic_kind kind)
{
  line *l = &lines[line_count++];
  char text[64];
  memset(l, 0, sizeof *l);
  l->kind = kind;
  l->errors = ERROR_BURST;
  mimic_init(&l->m, kind, fzt_next(&prng), client_send, l);
  for (unsigned i = 0; i < 2; i++) {
    snprintf(text, sizeof text, "198.51.100.%u:%u", line_count, 40000 + i);
    l->addr[i] = fzt_addr(text);
    l->server[i] = listen4;
    l->server[i].port = (uint16_t)(listen4.port + i);
    fzt_check(memory_net_add_host(net, &l->addr[i], client_receive, l) == 0);
  }
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    l->m.channels[i].peer = peers[i];
  l->calls_again = BEGIN + between(0, SECONDS(30));
  falls_ill(l);
  fzt_check(memory_net_timer(net, between(SECONDS(1), SECONDS(5)), on_talk, l) == 0);
  fzt_check(memory_net_timer(net, between(SECONDS(60), SECONDS(900)), on_flip, l) == 0);
}

static void begin(enum fzr_auth_kind kind, uint64_t seed, const memory_link *link, bool ipv6)
{
  prng.state = seed;
  scheme = kind;
  is_good = link == &good;
  line_count = 0;
  snprintf(secret, sizeof secret, "the first secret");
  listen4 = fzt_addr("203.0.113.1:3478");
  peers[0] = fzt_addr("192.0.2.9:5000");
  peers[1] = fzt_addr(ipv6 ? "[2600::1]:5000" : "192.0.2.10:5000");
  net = memory_net_new(seed, BEGIN);
  fzt_check(net != NULL);
  memory_net_set_link(net, link);
  memory_net_set_tap(net, lost, NULL);
  memory_net_set_nobody(net, nobody);
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    fzt_check(memory_net_add_host(net, &peers[i], peer_receive, NULL) == 0);
  start_relay();
  fzt_check(memory_net_timer(net, 0, on_tick, NULL) == 0);
  fzt_check(memory_net_timer(net, between(SECONDS(3600), SECONDS(7200)), on_restart, NULL) == 0);
}

static bool all_are_ready(void)
{
  for (const line *l = lines; l < lines + line_count; l++)
    if (l->unwell || !mimic_ready(&l->m))
      return false;
  return true;
}

/* The day may end while one of them asks for new credentials, or goes on with those: that gets its time. */
static void live_a_day(void)
{
  memory_net_run(net, DAY);
  for (fzr_time more = 0; more < AFTER && !all_are_ready(); more += FZR_SECOND)
    memory_net_run(net, FZR_SECOND);
}

static void finish(void)
{
  stop_relay();
  memory_net_free(net);
}

/* Everything that was sent while the line was well has arrived, or a link lost it. */
static void account(const line *l)
{
  unsigned counted = 0, gone = 0, missing = 0;
  for (uint32_t n = 0; n < l->number; n++) {
    if (!has(&l->counted, n) || (n + 1 == l->number && memory_net_now(net) - l->sent_at < UNDERWAY))
      continue;
    for (unsigned i = 0; i < MIMIC_CHANNELS; i++) {
      const bool arrived = has(&l->out[i], n) && has(&l->back[i], n);
      counted++;
      gone += !arrived;
      missing += !arrived && !has(&l->lost[i], n);
    }
  }
  printf("%-9s %u flips, %u restarts, %u renewals; %u of %u rounds when it was well, %u lost by links, %u by "
         "the relay; "
         "%u requests, all again %.0f ms after the first of them, %.0f ms after the portal told it\n",
         l->m.habits->name, l->flips, l->restarts, l->renewals, counted, MIMIC_CHANNELS * l->number,
         gone - missing, missing, l->m.requests, (double)l->most / 1e6, (double)l->told / 1e6);
  ck_assert_msg(!missing, "%s: %u lost", l->m.habits->name, missing);
  ck_assert(!l->unwell && mimic_ready(&l->m));
  ck_assert_uint_ge(l->flips, FLIPS);
  ck_assert_uint_ge(l->restarts, 4);
}

static uint64_t seed_of(int i)
{
  const uint64_t seed = fzt_seed("mimics") + (uint64_t)i;
  printf("seed %llu, %s link\n", (unsigned long long)seed, i % 2 ? "bad" : "good");
  return seed;
}

START_TEST(test_firezone)
{
  begin(FZR_AUTH_STAMP, seed_of(_i), _i % 2 ? &bad : &good, true);
  for (unsigned i = 0; i < 3; i++)
    add_line(MIMIC_SNOWNET);
  live_a_day();
  for (const line *l = lines; l < lines + line_count; l++) {
    account(l);
    ck_assert_uint_ge(l->renewals, 4);
    /* A round trip each for 438, 437, the deletion of what is not there, the Allocate (two after a restart), the channels. */
    if (is_good)
      ck_assert_uint_le(l->most, 2 * ONE_WAY * 7);
    if (is_good)
      ck_assert_uint_le(l->told, SECONDS(2));
    ck_assert_uint_eq(l->m.codes[441] + l->m.codes[486] + l->m.codes[508] + l->m.codes[400], 0);
  }
  ck_assert_uint_le(allocations(), line_count);
  finish();
}
END_TEST

static void others(enum fzr_auth_kind kind, int i)
{
  begin(kind, seed_of(i), i % 2 ? &bad : &good, false);
  for (unsigned k = MIMIC_PION; k < MIMIC_KINDS; k++)
    add_line((enum mimic_kind)k);
  live_a_day();
  for (const line *l = lines; l < lines + line_count; l++) {
    account(l);
    ck_assert_uint_eq(l->m.allocations, l->restarts + 1);
    ck_assert_uint_eq(l->m.ignored, 0);
  }
  /* After a restart it asks on and on, if its credentials are still good. If not, it takes the 401 for what it is, because that is not
   * signed. */
  const unsigned errors = lines[MIMIC_ICE4J - MIMIC_PION].error_answers;
  if (kind == FZR_AUTH_STATIC)
    ck_assert_uint_gt(errors, 500);
  else
    ck_assert_uint_lt(errors, 100);
  finish();
}

START_TEST(test_with_passwords)
{
  others(FZR_AUTH_STATIC, _i);
}
END_TEST

START_TEST(test_with_short_lived_credentials)
{
  others(FZR_AUTH_REST, _i);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("mimics");
  TCase *tc = tcase_create("mimics");
  tcase_set_timeout(tc, 200);
  tcase_add_loop_test(tc, test_firezone, 0, 4);
  tcase_add_loop_test(tc, test_with_passwords, 0, 2);
  tcase_add_loop_test(tc, test_with_short_lived_credentials, 0, 2);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
