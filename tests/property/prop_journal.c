/* SPDX-License-Identifier: Apache-2.0 */
/* Journals: whatever happens to a relay, and wherever its journal ends, what is loaded from it is what the relay was at one moment, and no other
 * than the last one or the one before when it has died in the midst of a call. Random histories, with a compaction every few steps. */
#include "journal_world.h"

#include "firezone_relay/journal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define AREA_MAX ((size_t)1 << 17)

static fzt_prng prng;

static size_t area_size(void)
{
  return 40000 + (size_t)fzt_below(&prng, AREA_MAX - 40000);
}

/* How often a port rested that had to. */
static uint64_t rested;

/* What a journal loads to now. |whole|: nothing of it is torn, and it has to have the same ports rest. Returns whether it loads. */
static bool load_all(const world *w, const uint8_t *area, size_t len, bool full, bool whole, uint64_t *state)
{
  static fzt_relay other;
  world_make_other(w, &other);
  fzr_load_result result;
  const int error = fzr_engine_load_journal(other.engine, area, len, w->relay.now, &result);
  ck_assert_msg(!error || error == FZR_ERR_STATE_DAMAGED, "%s", fzr_strerror(error));
  ck_assert_uint_le(result.offset, len);
  if (!error)
    *state = world_state(other.engine, w->relay.now, full);
  if (!error && whole)
    rested += world_check_rest(w, &other);
  fzt_relay_free(&other);
  return !error;
}

static bool load(const world *w, const uint8_t *area, size_t len, bool full, uint64_t *state)
{
  return load_all(w, area, len, full, false, state);
}

/* ---- torn writes ---- */

/* |before| with the first |n| of the bytes that |after| has otherwise, as they were written: the half that counted comes first. Returns whether there
 * were so many. */
static bool tear(const uint8_t *before, const uint8_t *after, size_t len, unsigned first, size_t n,
                 uint8_t *out)
{
  const size_t half = (len - 24) / 2;
  memcpy(out, before, len);
  for (unsigned i = 0; i < 2; i++) {
    const size_t begin = 24 + ((first + i) & 1) * half;
    for (size_t at = begin; at < begin + half; at++) {
      if (before[at] == after[at])
        continue;
      if (!n--)
        return true;
      out[at] = after[at];
    }
  }
  return false;
}

static uint32_t generation_of(const uint8_t *half)
{
  uint32_t generation;
  memcpy(&generation, half, sizeof generation);
  return generation;
}

/* How often the state before a call was found, and how often that after it. */
static uint64_t seen_before, seen_after;

static void check_torn(const world *w, const uint8_t *before, const uint8_t *after, size_t len, uint64_t was,
                       uint64_t is)
{
  static uint8_t torn[AREA_MAX];
  const size_t half = (len - 24) / 2;
  size_t changed = 0;
  for (size_t i = 0; i < len; i++)
    changed += before[i] != after[i];
  /* The half with the lower generation counts while the other one is being written. */
  const bool second = (int32_t)(generation_of(before + 24 + half) - generation_of(before + 24)) > 0;
  for (unsigned i = 0; i < 12 && changed; i++) {
    uint64_t found;
    const size_t n = i ? (size_t)fzt_below(&prng, changed + 1) : changed - 1;
    for (unsigned first = 0; first < 2; first++) {
      /* Which of them was written first is known where one is. */
      if (memcmp(before + 24, after + 24, half) != 0 &&
          memcmp(before + 24 + half, after + 24 + half, half) != 0 && first != second)
        continue;
      tear(before, after, len, first, n, torn);
      ck_assert_msg(load(w, torn, len, true, &found), "torn after %zu of %zu bytes", n, changed);
      ck_assert_msg(found == was || found == is, "another state after %zu of %zu bytes", n, changed);
      seen_before += found == was && was != is;
      seen_after += found == is && was != is;
    }
  }
}

/* One history, each call of which is torn. Every now and then the relay dies, and another one goes on from what it has left. */
static void live_torn(uint64_t seed)
{
  static uint8_t area[AREA_MAX], before[AREA_MAX];
  static world w;
  const size_t len = area_size();
  uint64_t found;
  world_init(&w, seed, false);
  memset(area, 0x5a, sizeof area);
  ck_assert_int_eq(fzr_engine_set_journal(w.relay.engine, area, len, w.relay.now), 0);
  for (unsigned i = 0; i < 250; i++) {
    world_prepare(&w);
    memcpy(before, area, len);
    const uint64_t was = world_state(w.relay.engine, w.relay.now, true);
    world_step(&w);
    ck_assert(fzr_engine_has_journal(w.relay.engine));
    const uint64_t is = world_state(w.relay.engine, w.relay.now, true);
    ck_assert(load_all(&w, area, len, true, true, &found));
    ck_assert_msg(found == is, "seed %llu, step %u: not what the engine is", (unsigned long long)seed, i);
    check_torn(&w, before, area, len, was, is);
    if (!fzt_below(&prng, 40))
      ck_assert_int_eq(fzr_engine_set_journal(w.relay.engine, area, len, w.relay.now), 0);
  }
  world_free(&w);
}

START_TEST(test_torn_writes)
{
  prng.state = fzt_seed("torn journals");
  for (uint64_t i = fzt_rounds(20); i--;)
    live_torn(fzt_next(&prng));
  for (unsigned i = 0; i < WORLD_COUNTS; i++) {
    printf("%s %llu, ", world_count_names[i], (unsigned long long)world_counts[i]);
    ck_assert_msg(world_counts[i], "none: %s", world_count_names[i]);
  }
  printf("before %llu, after %llu, ports at rest %llu\n", (unsigned long long)seen_before,
         (unsigned long long)seen_after, (unsigned long long)rested);
  ck_assert_uint_gt(rested, 0);
  ck_assert_uint_gt(seen_before, 0);
  ck_assert_uint_gt(seen_after, 0);
}
END_TEST

/* ---- cuts ---- */

#define STEPS 300

/* How many journals that end early could be loaded, and how many of those are of a moment before the last. */
static uint64_t cuts, cuts_before;

static void live_cut(uint64_t seed)
{
  static uint8_t area[AREA_MAX], copy[AREA_MAX];
  static world w;
  uint64_t states[STEPS + 1], found;
  const size_t len = area_size();
  world_init(&w, seed, true);
  memset(area, 0, sizeof area);
  ck_assert_int_eq(fzr_engine_set_journal(w.relay.engine, area, len, w.relay.now), 0);
  states[0] = world_state(w.relay.engine, w.relay.now, false);
  for (unsigned i = 1; i <= STEPS; i++) {
    world_prepare(&w);
    world_step(&w);
    states[i] = world_state(w.relay.engine, w.relay.now, false);
  }
  for (unsigned i = 0; i < 60; i++) {
    const size_t cut = (size_t)fzt_below(&prng, len + 1);
    memcpy(copy, area, len);
    if (i % 2)
      memset(copy + cut, (int)fzt_below(&prng, 256), len - cut);
    else if (cut < len)
      copy[cut] ^= (uint8_t)(1 + fzt_below(&prng, 255));
    if (!load(&w, copy, i % 2 && fzt_below(&prng, 2) ? cut : len, false, &found))
      continue;
    unsigned at = 0;
    while (at <= STEPS && states[at] != found)
      at++;
    ck_assert_msg(at <= STEPS, "seed %llu: what was cut at %zu of %zu is of no moment",
                  (unsigned long long)seed, cut, len);
    cuts_before += found != states[STEPS];
    cuts++;
  }
  world_free(&w);
}

START_TEST(test_cuts)
{
  prng.state = fzt_seed("cut journals");
  for (uint64_t i = fzt_rounds(40); i--;)
    live_cut(fzt_next(&prng));
  printf("%llu cuts loaded, %llu of an earlier moment\n", (unsigned long long)cuts,
         (unsigned long long)cuts_before);
  ck_assert_uint_gt(cuts, cuts_before);
  ck_assert_uint_gt(cuts_before, 0);
}
END_TEST

/* ---- kills ---- */

/* What both processes share, in descriptor SHARED of the one that is killed: libcheck allows no fork beside its own. */
typedef struct common {
  _Atomic unsigned begun;
  _Atomic unsigned done;
  uint64_t seed;
  size_t len;
  uint8_t area[AREA_MAX];
} common;
#define SHARED 99

static void begin_history(world *w, uint8_t *area, uint64_t seed, size_t len)
{
  world_init(w, seed, false);
  ck_assert_int_eq(fzr_engine_set_journal(w->relay.engine, area, len, w->relay.now), 0);
}

/* What the other process does: it goes on until it is killed, for the first one's sake not for ever. */
START_TEST(test_be_killed)
{
  static world w;
  common *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED, 0);
  ck_assert(c != MAP_FAILED);
  begin_history(&w, c->area, c->seed, c->len);
  for (unsigned i = 1; i < 100000; i++) {
    world_prepare(&w);
    c->begun = i;
    world_step(&w);
    c->done = i;
  }
}
END_TEST

static pid_t start_other(int shared)
{
  static char path[] = "/proc/self/exe", arg[] = "be-killed";
  char *const argv[] = {path, arg, NULL};
  const pid_t child = fork();
  if (child)
    return child;
  dup2(shared, SHARED);
  dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
  setenv("CK_FORK", "no", 1);
  execv(path, argv);
  _exit(127);
}

/* Kills a relay of |c| once it has come some way. Returns the number of the last step that it began. */
static unsigned kill_one(common *c, int shared)
{
  const unsigned until = (unsigned)fzt_below(&prng, 300), spins = (unsigned)fzt_below(&prng, 20000);
  c->begun = c->done = 0;
  const pid_t child = start_other(shared);
  ck_assert_int_gt(child, 0);
  while (c->begun <= until)
    if (c->begun == c->done)
      usleep(20);
  for (volatile unsigned i = 0; i < spins; i++)
    ;
  kill(child, SIGKILL);
  ck_assert_int_eq(waitpid(child, NULL, 0), child);
  return c->begun;
}

/* One life and its end. The model is the same history, up to there. */
static void live_killed(common *c, int shared)
{
  static world w;
  static uint8_t unused[AREA_MAX];
  uint64_t found, was;
  c->seed = fzt_next(&prng);
  c->len = area_size();
  memset(c->area, 0, sizeof c->area);
  const unsigned begun = kill_one(c, shared), done = c->done;
  begin_history(&w, unused, c->seed, c->len);
  for (unsigned i = 0; i < done; i++) {
    world_prepare(&w);
    world_step(&w);
  }
  if (begun > done)
    world_prepare(&w);
  uint64_t is = was = world_state(w.relay.engine, w.relay.now, true);
  ck_assert_msg(load(&w, c->area, c->len, true, &found), "seed %llu: nothing is left",
                (unsigned long long)c->seed);
  if (begun > done) {
    world_step(&w);
    is = world_state(w.relay.engine, w.relay.now, true);
  }
  ck_assert_msg(found == was || found == is, "seed %llu, killed in step %u", (unsigned long long)c->seed,
                begun);
  seen_before += found == was && was != is;
  seen_after += found == is && was != is;
  world_free(&w);
}

START_TEST(test_kills)
{
  prng.state = fzt_seed("killed relays");
  seen_before = seen_after = 0;
  const int shared = memfd_create("journal", MFD_CLOEXEC);
  ck_assert_int_ge(shared, 0);
  ck_assert_int_eq(ftruncate(shared, sizeof(common)), 0);
  common *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
  ck_assert(c != MAP_FAILED);
  for (uint64_t i = fzt_rounds(100); i--;)
    live_killed(c, shared);
  close(shared);
  munmap(c, sizeof *c);
  printf("in the midst of a call: before %llu, after %llu\n", (unsigned long long)seen_before,
         (unsigned long long)seen_after);
}
END_TEST

int main(int argc, char **argv)
{
  Suite *suite = suite_create("journal");
  TCase *tc = tcase_create("journal");
  tcase_set_timeout(tc, 200);
  if (argc > 1 && strcmp(argv[1], "be-killed") == 0) {
    tcase_add_test(tc, test_be_killed);
  } else {
    tcase_add_test(tc, test_torn_writes);
    tcase_add_test(tc, test_cuts);
    tcase_add_test(tc, test_kills);
  }
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
