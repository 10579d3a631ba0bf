/* SPDX-License-Identifier: Apache-2.0 */
/* A short simulated life in which the n-th allocation of memory fails, for every n, alone and with all that follow: clients are told
 * 508 and try again, nothing crashes, nothing leaks, and what lives is served. */
#include "world.h"

#include <stdio.h>

static sim_world w;

static uint64_t live(bool full, uint64_t fail_from, uint64_t fail_only)
{
  const memory_link link = {10 * FZR_MILLISECOND, 50 * FZR_MILLISECOND, 50, 0};
  if ((full ? sim_start_full : sim_start)(&w, 7, &link, fail_from, fail_only) == 0) {
    memory_relay_set_ports(w.relay, 20 * FZR_MILLISECOND, 5);
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
      sim_client_go(&w.clients[i]);
      w.clients[i].lifetime = 60;
      w.clients[i].refresh_due = 0;
    }
    sim_run(&w, 50 * FZR_SECOND);
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
      const sim_client *c = &w.clients[i];
      fzt_check(c->codes[400] == 0 && c->codes[403] == 0 && c->codes[437] == 0 && c->codes[441] == 0);
      /* One failure is got over: the request comes again, and finds memory. */
      if (!fail_from)
        fzt_check(c->allocated);
      for (unsigned k = 0; k < SIM_PEERS; k++) {
        if (!fail_from)
          fzt_check(c->channels[k].bound && c->channels[k].back.received > 0);
        if (!c->channels[k].bound)
          fzt_check(c->channels[k].out.received == 0);
      }
      w.clients[i].keeps = false;
    }
    sim_run(&w, (full ? 660 : 120) * FZR_SECOND);
    fzt_check(sim_stats(&w).allocations == 0 && sim_stats(&w).channels == 0);
    fzt_check(sim_stats(&w).permissions == 0);
    fzt_check(memory_relay_open_ports(w.relay) == 0);
  } else {
    fzt_check(fail_from || fail_only);
  }
  const uint64_t count = w.mem.count;
  sim_end(&w);
  return count;
}

/* Of a relay with channels alone, and of one that has permissions and indications, too. */
START_TEST(test_every_allocation_fails_once)
{
  const bool full = _i;
  const uint64_t total = live(full, 0, 0);
  ck_assert_uint_gt(total, 15);
  for (uint64_t n = 1; n <= total; n++) {
    live(full, n, 0);
    live(full, 0, n);
  }
  printf("%llu allocations, each failed alone and with all that follow\n", (unsigned long long)total);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sim-oom");
  TCase *tc = tcase_create("sim-oom");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, test_every_allocation_fails_once, 0, 2);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
