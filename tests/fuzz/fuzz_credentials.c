/* SPDX-License-Identifier: Apache-2.0 */
/* Any username through each built-in scheme, and any text as a nonce. */
#include "auth/nonce.h"
#include "auth/scheme.h"
#include "base/utf8.h"
#include "fuzz.h"

static int fixed_random(void *ctx, uint8_t *out, size_t len)
{
  (void)ctx;
  memset(out, 7, len);
  return 0;
}

static void look_up(enum fzr_auth_kind kind, const uint8_t *name, size_t len, uint8_t algorithm, uint64_t now)
{
  static const fzr_user users[] = {{"alice", "a"}, {"bob", "b"}, {"1:x", "c"}};
  fzri_scheme scheme;
  fzri_mem mem;
  fzr_auth_key key;
  fzr_config config = fzr_config_init();
  config.auth = kind;
  config.auth_secret = "secret";
  config.realm = "firezone";
  config.users = users;
  config.user_count = kind == FZR_AUTH_STATIC ? 3 : 2; /* the last is one of the other schemes */
  FUZZ_CHECK(fzri_mem_init(&mem, NULL) == 0);
  FUZZ_CHECK(fzri_scheme_init(&scheme, &mem, &config) == 0);
  const enum fzr_auth_result result = fzri_scheme_lookup(&scheme, name, len, algorithm, now, &key);
  FUZZ_CHECK(result == FZR_AUTH_OK || result == FZR_AUTH_EXPIRED || result == FZR_AUTH_UNKNOWN);
  if (result != FZR_AUTH_UNKNOWN)
    FUZZ_CHECK((result == FZR_AUTH_EXPIRED) == (key.expires < now));
  FUZZ_CHECK(result == FZR_AUTH_UNKNOWN || key.algorithm == algorithm);
  /* Who has a name is found by its hash, where that is offered. */
  uint8_t hash[FZR_STUN_USERHASH_LEN];
  FUZZ_CHECK(fzr_auth_userhash(name, len, "firezone", hash) == 0);
  const fzri_slice found = fzri_scheme_resolve(&scheme, hash);
  FUZZ_CHECK(!!found.data == (kind == FZR_AUTH_STATIC && result == FZR_AUTH_OK));
  FUZZ_CHECK(!found.data || (found.len == len && memcmp(found.data, name, len) == 0));
  /* A fuzzer that watches comparisons gets to know the hashes of users. */
  if (len >= FZR_STUN_USERHASH_LEN) {
    const fzri_slice of = fzri_scheme_resolve(&scheme, name);
    FUZZ_CHECK(!of.data || fzr_auth_userhash(of.data, of.len, "firezone", hash) == 0);
    FUZZ_CHECK(!of.data || memcmp(hash, name, sizeof hash) == 0);
  }
  const fzri_slice user = fzri_scheme_user(&scheme, name, len);
  FUZZ_CHECK((const uint8_t *)user.data + user.len == name + len && user.len <= len);
  fzri_scheme_free(&scheme);
  FUZZ_CHECK(mem.used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input in = {data, size};
  const uint64_t now = (uint64_t)fuzz_u16(&in) << 16 | fuzz_u16(&in);
  uint8_t *name = fuzz_exact(in.data, in.size);
  look_up(FZR_AUTH_STAMP, name, in.size, FZR_PASSWORD_MD5, now);
  for (uint8_t algorithm = FZR_PASSWORD_MD5; algorithm <= FZR_PASSWORD_SHA256; algorithm++) {
    look_up(FZR_AUTH_REST, name, in.size, algorithm, now);
    look_up(FZR_AUTH_STATIC, name, in.size, algorithm, now);
  }

  const uint8_t ip[4] = {192, 0, 2, 1};
  const fzr_addr client = fzr_addr_ipv4(ip, 5);
  fzri_nonces nonces;
  FUZZ_CHECK(fzri_nonces_init(&nonces, fixed_random, NULL) == 0);
  uint32_t features;
  fuzz_sink = fzri_nonce_check(&nonces, &client, name, in.size, now, &features);
  FUZZ_CHECK(features <= 0xffffff || features == FZRI_NO_COOKIE);
  FUZZ_CHECK(fzr_auth_nonce_features(name, in.size) <= 0xffffff);
  fuzz_sink = fzri_utf8_valid(name, in.size);
  free(name);
  return 0;
}
