/* SPDX-License-Identifier: Apache-2.0 */
/* What makes an engine and what does not: nothing is left of one that could not be made. */
#include "relay.h"

static fzt_relay relay;

static int try_new(const fzr_config *config)
{
  fzr_engine *engine = NULL;
  const int error = fzr_engine_new(config, &engine, 0);
  fzr_engine_free(engine);
  ck_assert_uint_eq(relay.mem.live, 0);
  return error;
}

START_TEST(test_config_errors)
{
  char long_text[200];
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = 0;
  fzr_config c = fzt_config(&relay);
  ck_assert_int_eq(try_new(&c), 0);
  ck_assert_int_eq(fzr_engine_new(NULL, &relay.engine, 0), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_new(&c, NULL, 0), FZR_ERR_INVALID_ARGUMENT);

  c = fzt_config(&relay);
  c.size = 4;
  ck_assert_int_eq(try_new(&c), FZR_ERR_INVALID_ARGUMENT);
  c = fzt_config(&relay);
  c.random = NULL;
  ck_assert_int_eq(try_new(&c), FZR_ERR_INVALID_ARGUMENT);
  c = fzt_config(&relay);
  memset(&c.public_ip4, 0, sizeof c.public_ip4);
  memset(&c.public_ip6, 0, sizeof c.public_ip6);
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_ADDRESS);
  c = fzt_config(&relay);
  c.public_ip4 = fzt_addr("::1");
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_ADDRESS);
  c = fzt_config(&relay);
  c.public_ip6 = fzt_addr("1.2.3.4");
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_ADDRESS);
  static const char *const nobodys[] = {"0.0.0.0",         "0.1.2.3", "224.0.0.1",
                                        "255.255.255.255", "::",      "ff02::1"};
  for (size_t i = 0; i < sizeof nobodys / sizeof *nobodys; i++) {
    c = fzt_config(&relay);
    const fzr_addr addr = fzt_addr(nobodys[i]);
    *(addr.family == FZR_FAMILY_IPV4 ? &c.public_ip4 : &c.public_ip6) = addr;
    ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_ADDRESS);
  }
  c = fzt_config(&relay);
  c.lowest_port = 60000;
  c.highest_port = 59999;
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_PORTS);
  c = fzt_config(&relay);
  c.auth = FZR_AUTH_NONE;
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_AUTH);
  c = fzt_config(&relay);
  c.auth_secret = "";
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_AUTH);
  c = fzt_config(&relay);
  c.auth_second_secret = "";
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_AUTH);
  c = fzt_config(&relay);
  c.auth = FZR_AUTH_CALLBACK;
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_AUTH);
  c = fzt_config(&relay);
  c.auth = FZR_AUTH_STATIC;
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_AUTH);
  c = fzt_config(&relay);
  c.realm = long_text;
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_LIMIT);
  c = fzt_config(&relay);
  c.software = long_text;
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_LIMIT);
  c = fzt_config(&relay);
  c.answer_ring = 3;
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_LIMIT);
  c = fzt_config(&relay);
  const fzr_peer_rule bad = {.net = fzt_addr("10.0.0.1"), .prefix = 8};
  c.peer_rules = &bad;
  c.peer_rule_count = 1;
  ck_assert_int_eq(try_new(&c), FZR_ERR_CONFIG_RULE);
}
END_TEST

START_TEST(test_config_sizes)
{
  struct {
    fzr_config config;
    uint64_t more;
  } longer = {.config = fzt_config(&relay)};
  longer.config.size = sizeof longer;
  ck_assert_int_eq(try_new(&longer.config), 0);
  longer.more = 1;
  ck_assert_int_eq(try_new(&longer.config), FZR_ERR_UNSUPPORTED);

  /* A caller that was compiled with an older, shorter struct gets defaults for the rest. */
  fzr_config shorter = fzt_config(&relay);
  shorter.answer_ring = 3;
  shorter.size = offsetof(fzr_config, answer_ring);
  ck_assert_int_eq(try_new(&shorter), 0);
}
END_TEST

static int no_random(void *ctx, uint8_t *out, size_t len)
{
  (void)ctx;
  (void)out;
  (void)len;
  return -1;
}

START_TEST(test_no_randomness)
{
  fzr_config c = fzt_config(&relay);
  c.random = no_random;
  ck_assert_int_eq(try_new(&c), FZR_ERR_NO_RANDOM);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("config");
  TCase *tc = tcase_create("config");
  tcase_add_test(tc, test_config_errors);
  tcase_add_test(tc, test_config_sizes);
  tcase_add_test(tc, test_no_randomness);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
