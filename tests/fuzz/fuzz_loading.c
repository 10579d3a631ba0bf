/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz_loading.h"

#include "fuzz.h"

static int repeatable(void *ctx, uint8_t *out, size_t len)
{
  uint8_t *next = ctx;
  for (size_t i = 0; i < len; i++)
    out[i] = (*next)++;
  return 0;
}

fzr_engine *fuzz_loading_engine(uint8_t flags, uint8_t *random)
{
  fzr_engine *engine;
  fzr_config config = fzr_config_init();
  config.random = repeatable;
  config.random_ctx = random;
  FUZZ_CHECK(fzr_addr_parse("203.0.113.1", &config.public_ip4) == 0);
  FUZZ_CHECK(fzr_addr_parse("2001:db8:ffff::1", &config.public_ip6) == 0);
  config.lowest_port = 50001;
  config.highest_port = 50200;
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = "secret";
  config.unauthenticated_rate = config.error_rate = FZR_UNLIMITED; /* no tables for them */
  config.max_channels = 500;
  config.relay_mode = flags & 2 ? FZR_RELAY_CHANNELS : FZR_RELAY_FULL;
  config.replace_allocations = flags & 4 ? FZR_REPLACE_ALWAYS : FZR_REPLACE_NEVER;
  config.mobility = flags & 8;
  FUZZ_CHECK(fzr_engine_new(&config, &engine, FZR_SECOND) == 0);
  return engine;
}

void fuzz_take_events(fzr_engine *engine, fzr_time now)
{
  fzr_event event;
  while (fzr_engine_next_event(engine, &event))
    if (event.type == FZR_EVENT_PORT_OPEN)
      FUZZ_CHECK(fzr_engine_port_result(engine, event.port, (enum fzr_family)event.family,
                                        event.port % 3 ? 0 : FZR_ERR_IO_IN_USE, engine, now) == 0);
}
