/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of all schemes, and nonces. */
#include "prng.h"
#include "testing.h"

#include "auth/nonce.h"
#include "auth/scheme.h"

#include <stdio.h>

static const uint8_t *bytes(const char *text)
{
  return (const uint8_t *)text;
}

START_TEST(test_stamp_passwords)
{
  static const struct {
    const char *secret, *salt, *password;
    uint64_t expiry;
  } vectors[] = {
      {"4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab", "n23JJ2wKKtt30oXi",
       "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68", 1892160000},
      {"1cab293a-4032-46f4-862a-40e5d174b0d2", "uvdgKvS9GXYZ_vmv",
       "6xUIoZ+QvxKhRasLifwfRkMXl+ETLJUsFkHlXjlHAkg", 1685984278},
  };
  char out[FZR_STAMP_PASSWORD_LEN + 1];
  for (size_t i = 0; i < 2; i++) {
    ck_assert_int_eq(fzr_auth_stamp_password(vectors[i].secret, vectors[i].expiry, bytes(vectors[i].salt),
                                             strlen(vectors[i].salt), out, sizeof out),
                     FZR_STAMP_PASSWORD_LEN);
    ck_assert_str_eq(out, vectors[i].password);
  }
  ck_assert_int_eq(fzr_auth_stamp_password("s", 1, bytes("a"), 1, out, sizeof out - 1),
                   FZR_ERR_BUFFER_TOO_SMALL);
  ck_assert_int_eq(fzr_auth_stamp_password(NULL, 1, bytes("a"), 1, out, sizeof out),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_auth_stamp_password("s", 1, NULL, 0, out, sizeof out), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_auth_stamp_password("s", 1, bytes("a"), 1, NULL, sizeof out),
                   FZR_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(test_rest_password)
{
  /* printf '1700000001:joe' | openssl dgst -sha1 -hmac north -binary | base64 */
  char out[FZR_REST_PASSWORD_LEN + 1];
  ck_assert_int_eq(fzr_auth_rest_password("north", bytes("1700000001:joe"), 14, out, sizeof out),
                   FZR_REST_PASSWORD_LEN);
  ck_assert_str_eq(out, "CZEMPazcEL0+N+fqiLQtQGHgHXg=");
  ck_assert_int_eq(fzr_auth_rest_password("north", bytes("x"), 1, out, 28), FZR_ERR_BUFFER_TOO_SMALL);
  ck_assert_int_eq(fzr_auth_rest_password(NULL, bytes("x"), 1, out, sizeof out), FZR_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(test_long_term_keys)
{
  uint8_t key[FZR_STUN_KEY_MAX];
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_MD5, NULL, 0, "r", "p", key),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes("u"), 1, NULL, "p", key),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes("u"), 1, "r", NULL, key),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes("u"), 1, "r", "p", NULL),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_auth_long_term_key((enum fzr_password_algorithm)0, bytes("u"), 1, "r", "p", key),
                   FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_auth_long_term_key((enum fzr_password_algorithm)3, bytes("u"), 1, "r", "p", key),
                   FZR_ERR_INVALID_ARGUMENT);
  /* The example of RFC 8489 section 9.2.2: user, realm, pass. */
  static const uint8_t md5[16] = {0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb,
                                  0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc, 0x40, 0xeb};
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes("user"), 4, "realm", "pass", key), 16);
  ck_assert_mem_eq(key, md5, 16);
  /* printf 'user:realm:pass' | sha256sum */
  static const uint8_t sha256[32] = {0x07, 0xe9, 0x34, 0x11, 0x7a, 0xbd, 0x40, 0x83, 0x6e, 0x7c, 0x63,
                                     0x29, 0xb5, 0x47, 0x31, 0xb2, 0xb2, 0xd2, 0xa5, 0xf9, 0xa7, 0x1f,
                                     0x54, 0x49, 0x22, 0xd7, 0x5e, 0x07, 0x30, 0xd8, 0x25, 0x1b};
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_SHA256, bytes("user"), 4, "realm", "pass", key), 32);
  ck_assert_mem_eq(key, sha256, 32);
}
END_TEST

static fzri_mem mem;
static fzri_scheme scheme;

static void init(enum fzr_auth_kind kind)
{
  static const fzr_user users[] = {{"bob", "b"}, {"alice", "a"}, {"al", "c"}, {"zoe", "d"}};
  fzr_config config = fzr_config_init();
  config.auth = kind;
  config.auth_secret = "secret";
  config.realm = "firezone";
  config.users = users;
  config.user_count = 4;
  fzri_mem_init(&mem, NULL);
  ck_assert_int_eq(fzri_scheme_init(&scheme, &mem, &config), 0);
}

static enum fzr_auth_result look_up(const char *name, uint64_t now, fzr_auth_key *key)
{
  return fzri_scheme_lookup(&scheme, bytes(name), strlen(name), FZR_PASSWORD_MD5, now, key);
}

START_TEST(test_stamp_usernames)
{
  static const struct {
    const char *name;
    enum fzr_auth_result result;
  } rows[] = {
      {"100:salt", FZR_AUTH_OK},
      {"99:salt", FZR_AUTH_EXPIRED},
      {"100:", FZR_AUTH_OK},
      {"0:x", FZR_AUTH_EXPIRED},
      {"18446744073709551615:x", FZR_AUTH_OK},
      {"18446744073709551616:x", FZR_AUTH_UNKNOWN},
      {"99999999999999999999999:x", FZR_AUTH_UNKNOWN},
      {"100", FZR_AUTH_UNKNOWN},
      {":x", FZR_AUTH_UNKNOWN},
      {"", FZR_AUTH_UNKNOWN},
      {"100:a:b", FZR_AUTH_UNKNOWN},
      {"100:a:", FZR_AUTH_UNKNOWN},
      {"+100:a", FZR_AUTH_UNKNOWN},
      {" 100:a", FZR_AUTH_UNKNOWN},
      {"1e3:a", FZR_AUTH_UNKNOWN},
      {"100:a+b/c=", FZR_AUTH_OK},
  };
  fzr_auth_key key;
  init(FZR_AUTH_STAMP);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(look_up(rows[i].name, 100, &key) == rows[i].result, "%s", rows[i].name);
  ck_assert(fzri_scheme_may_use(&scheme, 1, 2) && fzri_scheme_may_use(&scheme, 1, 1));
  ck_assert(!fzri_scheme_outlives(&scheme));
  ck_assert(fzri_scheme_signs_challenges(&scheme));
  ck_assert_int_eq(look_up("99:salt", 100, &key), FZR_AUTH_EXPIRED);
  ck_assert(key.sign_unauthenticated);
  ck_assert_uint_eq(key.expires, 99);
  /* Leading zeros do not change the password: it is made of the number. */
  fzr_auth_key padded;
  char password[64];
  fzr_auth_stamp_password("secret", 100, bytes("s"), 1, password, sizeof password);
  ck_assert_int_eq(look_up("0100:s", 1, &padded), FZR_AUTH_OK);
  uint8_t expected[16];
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes("0100:s"), 6, "firezone", password, expected);
  ck_assert_mem_eq(padded.key, expected, 16);
  fzri_scheme_free(&scheme);
  ck_assert_uint_eq(mem.used, 0);
}
END_TEST

START_TEST(test_rest_usernames)
{
  fzr_auth_key key;
  init(FZR_AUTH_REST);
  ck_assert_int_eq(look_up("100:joe", 100, &key), FZR_AUTH_OK);
  ck_assert_int_eq(look_up("100:joe:doe", 100, &key), FZR_AUTH_OK);
  ck_assert_int_eq(look_up("100", 100, &key), FZR_AUTH_OK);
  ck_assert_int_eq(look_up("99:joe", 100, &key), FZR_AUTH_EXPIRED);
  ck_assert_int_eq(look_up("joe", 100, &key), FZR_AUTH_UNKNOWN);
  ck_assert_int_eq(look_up("", 100, &key), FZR_AUTH_UNKNOWN);
  ck_assert(!key.sign_unauthenticated && !fzri_scheme_signs_challenges(&scheme));
  ck_assert(!fzri_scheme_may_use(&scheme, 1, 2) && fzri_scheme_may_use(&scheme, 1, 1));
  ck_assert(fzri_scheme_outlives(&scheme));
  fzri_scheme_free(&scheme);
}
END_TEST

static void check_user(const char *name, const char *user)
{
  const fzri_slice got = fzri_scheme_user(&scheme, bytes(name), strlen(name));
  ck_assert(got.len == strlen(user) && memcmp(got.data, user, got.len) == 0);
}

START_TEST(test_whom_usernames_name)
{
  init(FZR_AUTH_REST);
  check_user("100:joe", "joe");
  check_user("0200:joe", "joe");
  check_user("100:joe:doe", "joe:doe");
  check_user("100", "100"); /* nobody in particular: each is for himself */
  fzri_scheme_free(&scheme);
  init(FZR_AUTH_STAMP);
  check_user("100:salt", "salt");
  fzri_scheme_free(&scheme);
  init(FZR_AUTH_STATIC);
  check_user("100:joe", "100:joe");
  ck_assert(!fzri_scheme_may_use(&scheme, 1, 2) && fzri_scheme_may_use(&scheme, 1, 1));
  ck_assert(!fzri_scheme_signs_challenges(&scheme));
  fzri_scheme_free(&scheme);
}
END_TEST

START_TEST(test_static_users)
{
  fzr_auth_key key;
  uint8_t expected[16];
  init(FZR_AUTH_STATIC);
  ck_assert_int_eq(look_up("alice", 100, &key), FZR_AUTH_OK);
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes("alice"), 5, "firezone", "a", expected);
  ck_assert_mem_eq(key.key, expected, 16);
  ck_assert(!key.sign_unauthenticated);
  ck_assert_uint_eq(key.expires, FZR_NO_EXPIRY);
  ck_assert_int_eq(look_up("al", 100, &key), FZR_AUTH_OK);
  ck_assert_int_eq(look_up("bob", 100, &key), FZR_AUTH_OK);
  ck_assert_int_eq(look_up("zoe", 100, &key), FZR_AUTH_OK);
  ck_assert_int_eq(look_up("ali", 100, &key), FZR_AUTH_UNKNOWN);
  ck_assert_int_eq(look_up("", 100, &key), FZR_AUTH_UNKNOWN);
  ck_assert_int_eq(look_up("zoee", 100, &key), FZR_AUTH_UNKNOWN);
  fzri_scheme_free(&scheme);
  ck_assert_uint_eq(mem.used, 0);

  static const uint8_t one[FZR_STUN_KEY_LEN] = {1};
  static const fzr_user twice[] = {{"a", "x"}, {"a", "y"}}, empty[] = {{"", "x"}}, none[] = {{"a", NULL}},
                        both[] = {{"a", "x", one}};
  const struct {
    const fzr_user *users;
    size_t n;
  } wrong[] = {{twice, 2}, {empty, 1}, {none, 1}, {twice, 0}, {NULL, 1}, {both, 1}};
  for (size_t i = 0; i < 6; i++) {
    fzr_config config = fzr_config_init();
    config.auth = FZR_AUTH_STATIC;
    config.realm = "firezone";
    config.users = wrong[i].users;
    config.user_count = wrong[i].n;
    ck_assert_int_eq(fzri_scheme_init(&scheme, &mem, &config), FZR_ERR_CONFIG_AUTH);
    ck_assert_uint_eq(mem.used, 0);
  }
}
END_TEST

/* Whoever keeps no passwords has their keys. */
START_TEST(test_keys_of_users)
{
  uint8_t made[FZR_STUN_KEY_MAX];
  fzr_auth_key key;
  fzr_config config = fzr_config_init();
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes("alice"), 5, "example.org", "wonderland", made);
  const fzr_user users[] = {{.username = "alice", .key = made}, {"bob", "builder"}};
  config.auth = FZR_AUTH_STATIC;
  config.realm = "example.org";
  config.users = users;
  config.user_count = 2;
  fzri_mem_init(&mem, NULL);
  ck_assert_int_eq(fzri_scheme_init(&scheme, &mem, &config), 0);
  ck_assert_int_eq(look_up("alice", 1, &key), FZR_AUTH_OK);
  ck_assert_uint_eq(key.key_len, FZR_STUN_KEY_LEN);
  ck_assert_uint_eq(key.algorithm, FZR_PASSWORD_MD5);
  ck_assert_mem_eq(key.key, made, FZR_STUN_KEY_LEN);
  ck_assert_int_eq(look_up("bob", 1, &key), FZR_AUTH_OK);
  fzri_scheme_free(&scheme);
  ck_assert_uint_eq(mem.used, 0);
}
END_TEST

/* Their form tells the names of the one scheme from those of the other. */
START_TEST(test_users_beside_rest)
{
  static const char *const alike[] = {"100", "0", "100:joe", "100:", "5551234"};
  static const char *const unlike[] = {"joe", "joe:100", "100x:joe", "-100", "99999999999999999999999"};
  fzr_auth_key key;
  init(FZR_AUTH_REST);
  ck_assert_int_eq(look_up("alice", 100, &key), FZR_AUTH_OK);
  ck_assert_uint_eq(key.expires, FZR_NO_EXPIRY);
  ck_assert_int_eq(look_up("100:alice", 100, &key), FZR_AUTH_OK);
  ck_assert_uint_eq(key.expires, 100);
  ck_assert(!fzri_scheme_keys_stay(&scheme, bytes("alice"), 5));
  ck_assert(fzri_scheme_keys_stay(&scheme, bytes("100:alice"), 9));
  check_user("alice", "alice");
  for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
    const fzr_user users[] = {{"carol", "c"}, {alike[i], "x"}};
    ck_assert_int_eq(fzri_scheme_set_users(&scheme, users, 2), FZR_ERR_CONFIG_AUTH);
    ck_assert_int_eq(look_up("alice", 100, &key), FZR_AUTH_OK);
  }
  for (size_t i = 0; i < sizeof unlike / sizeof *unlike; i++) {
    const fzr_user users[] = {{unlike[i], "x"}};
    ck_assert_int_eq(fzri_scheme_set_users(&scheme, users, 1), 0);
    ck_assert_int_eq(look_up(unlike[i], 100, &key), FZR_AUTH_OK);
    ck_assert_int_eq(look_up("alice", 100, &key), FZR_AUTH_UNKNOWN);
  }
  ck_assert_int_eq(fzri_scheme_set_users(&scheme, NULL, 0), 0);
  ck_assert_int_eq(look_up("joe", 100, &key), FZR_AUTH_UNKNOWN);
  fzri_scheme_free(&scheme);
  ck_assert_uint_eq(mem.used, 0);
}
END_TEST

/* Tables of many sizes, beside a look at each row. */
START_TEST(test_static_tables)
{
  enum { MOST = 300 };
  static char names[MOST][8], passwords[MOST][8];
  static fzr_user users[MOST];
  fzt_prng prng = {fzt_seed("auth")};
  ck_assert_int_eq(fzri_mem_init(&mem, NULL), 0);
  for (size_t count = 0; count <= MOST; count = count < 10 ? count + 1 : count + 97) {
    fzri_static_users table;
    for (size_t i = 0; i < count; i++) {
      size_t same;
      do {
        snprintf(names[i], sizeof names[i], "%x", (unsigned)fzt_below(&prng, 8 * MOST));
        for (same = 0; strcmp(names[same], names[i]) != 0;)
          same++;
      } while (same < i);
      snprintf(passwords[i], sizeof passwords[i], "p%zu", i);
      users[i] = (fzr_user){names[i], passwords[i]};
    }
    ck_assert_int_eq(fzri_static_init(&table, &mem, "firezone", users, count), 0);
    for (unsigned n = 0; n < 8 * MOST; n++) {
      char name[8];
      uint8_t expected[16];
      fzr_auth_key key = {0};
      size_t i = 0;
      snprintf(name, sizeof name, "%x", n);
      while (i < count && strcmp(names[i], name) != 0)
        i++;
      uint8_t hash[FZR_STUN_USERHASH_LEN];
      fzr_auth_userhash(bytes(name), strlen(name), "firezone", hash);
      const fzri_slice found = fzri_static_resolve(&table, hash);
      fzt_check(i < count ? found.data && found.len == strlen(name) && !memcmp(found.data, name, found.len)
                          : !found.data);
      const enum fzr_auth_result result =
          fzri_static_lookup(&table, bytes(name), strlen(name), FZR_PASSWORD_MD5, &key);
      fzt_check(result == (i < count ? FZR_AUTH_OK : FZR_AUTH_UNKNOWN));
      if (i == count)
        continue;
      fzr_auth_long_term_key(FZR_PASSWORD_MD5, bytes(name), strlen(name), "firezone", passwords[i], expected);
      fzt_check(memcmp(key.key, expected, sizeof expected) == 0);
    }
    fzri_static_free(&table, &mem);
    ck_assert_uint_eq(mem.used, 0);
    if (count < 2)
      continue;
    users[count - 1].username = names[(size_t)fzt_below(&prng, count - 1)];
    ck_assert_int_eq(fzri_static_init(&table, &mem, "firezone", users, count), FZR_ERR_CONFIG_AUTH);
    ck_assert_uint_eq(mem.used, 0);
  }
}
END_TEST

static unsigned no_random_left;

static int random_bytes(void *ctx, uint8_t *out, size_t len)
{
  if (no_random_left)
    return -1;
  return fzt_random(ctx, out, len);
}

START_TEST(test_nonces)
{
  fzt_prng prng = {7};
  fzri_nonces n;
  char nonce[FZRI_NONCE_MAX];
  uint32_t told;
  const fzr_addr a = fzt_addr("192.0.2.1:5"), b = fzt_addr("192.0.2.1:6"), c = fzt_addr("192.0.2.2:5");
  const fzr_time t = 100 * FZR_SECOND;
  no_random_left = 0;
  ck_assert_int_eq(fzri_nonces_init(&n, random_bytes, &prng), 0);
  ck_assert_uint_eq(fzri_nonce_make(&n, &a, FZRI_NO_COOKIE, t, nonce), FZRI_NONCE_BARE);
  const uint8_t *text = (const uint8_t *)nonce;
  ck_assert_int_eq(fzri_nonce_check(&n, &a, text, FZRI_NONCE_BARE, t, &told), FZRI_NONCE_FRESH);
  ck_assert_int_eq(fzri_nonce_check(&n, &b, text, FZRI_NONCE_BARE, t, &told), FZRI_NONCE_FOREIGN);
  ck_assert_int_eq(fzri_nonce_check(&n, &c, text, FZRI_NONCE_BARE, t, &told), FZRI_NONCE_FOREIGN);
  ck_assert_int_eq(fzri_nonce_check(&n, &a, text, FZRI_NONCE_BARE - 1, t, &told), FZRI_NONCE_FOREIGN);
  ck_assert_int_eq(fzri_nonce_check(&n, &a, text, 0, t, &told), FZRI_NONCE_FOREIGN);
  for (size_t i = 0; i < FZRI_NONCE_BARE; i++) {
    char changed[FZRI_NONCE_BARE];
    memcpy(changed, nonce, sizeof changed);
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    ck_assert_int_eq(fzri_nonce_check(&n, &a, (const uint8_t *)changed, FZRI_NONCE_BARE, t, &told),
                     FZRI_NONCE_FOREIGN);
    changed[i] = '!';
    ck_assert_int_eq(fzri_nonce_check(&n, &a, (const uint8_t *)changed, FZRI_NONCE_BARE, t, &told),
                     FZRI_NONCE_FOREIGN);
  }
}
END_TEST

/* The cookie is part of it: nobody can take it away, or change what it says, and have a nonce that is ours. */
START_TEST(test_nonces_with_cookies)
{
  static const uint32_t all[] = {0, FZR_FEATURE_PASSWORD_ALGORITHMS, FZR_FEATURE_USERNAME_ANONYMITY,
                                 FZR_FEATURE_PASSWORD_ALGORITHMS | FZR_FEATURE_USERNAME_ANONYMITY};
  fzt_prng prng = {9};
  fzri_nonces n;
  char nonce[FZRI_NONCE_MAX];
  const fzr_addr a = fzt_addr("192.0.2.1:5"), b = fzt_addr("192.0.2.1:6");
  const fzr_time t = 100 * FZR_SECOND;
  no_random_left = 0;
  ck_assert_int_eq(fzri_nonces_init(&n, random_bytes, &prng), 0);
  for (size_t k = 0; k < 4; k++) {
    uint32_t told = 77;
    const uint8_t *text = (const uint8_t *)nonce;
    ck_assert_uint_eq(fzri_nonce_make(&n, &a, all[k], t, nonce), FZRI_NONCE_MAX);
    ck_assert_uint_lt(FZRI_NONCE_MAX, 128);
    ck_assert_uint_eq(fzr_auth_nonce_features(text, FZRI_NONCE_MAX), all[k]);
    ck_assert_int_eq(fzri_nonce_check(&n, &a, text, FZRI_NONCE_MAX, t, &told), FZRI_NONCE_FRESH);
    ck_assert_uint_eq(told, all[k]);
    ck_assert_int_eq(fzri_nonce_check(&n, &a, text, FZRI_NONCE_MAX, t + FZRI_NONCE_LIFETIME, &told),
                     FZRI_NONCE_OLD);
    ck_assert_uint_eq(told, all[k]);
    ck_assert_int_eq(fzri_nonce_check(&n, &b, text, FZRI_NONCE_MAX, t, &told), FZRI_NONCE_FOREIGN);
    for (size_t len = 0; len < FZRI_NONCE_MAX; len++)
      ck_assert_int_eq(fzri_nonce_check(&n, &a, text, len, t, &told), FZRI_NONCE_FOREIGN);
    ck_assert_int_eq(fzri_nonce_check(&n, &a, text + FZRI_COOKIE_LEN, FZRI_NONCE_BARE, t, &told),
                     FZRI_NONCE_FOREIGN);
    for (size_t other = 0; other < 4; other++) {
      char changed[FZRI_NONCE_MAX];
      memcpy(changed, nonce, sizeof changed);
      fzri_cookie_make(all[other], changed);
      ck_assert_int_eq(fzri_nonce_check(&n, &a, (const uint8_t *)changed, sizeof changed, t, &told),
                       other == k ? FZRI_NONCE_FRESH : FZRI_NONCE_FOREIGN);
    }
    for (size_t i = 0; i < FZRI_NONCE_MAX; i++) {
      nonce[i] ^= 1;
      ck_assert_int_eq(fzri_nonce_check(&n, &a, text, FZRI_NONCE_MAX, t, &told), FZRI_NONCE_FOREIGN);
      nonce[i] ^= 1;
    }
  }
  ck_assert_uint_eq(fzri_nonce_make(&n, &a, FZRI_NO_COOKIE, t, nonce), FZRI_NONCE_BARE);
  char made_up[FZRI_NONCE_MAX];
  uint32_t told;
  memcpy(made_up + FZRI_COOKIE_LEN, nonce, FZRI_NONCE_BARE);
  fzri_cookie_make(all[3], made_up);
  ck_assert_int_eq(fzri_nonce_check(&n, &a, (const uint8_t *)made_up, sizeof made_up, t, &told),
                   FZRI_NONCE_FOREIGN);
}
END_TEST

static enum fzr_auth_result key_by(const char *name, uint8_t algorithm, fzr_auth_key *key)
{
  return fzri_scheme_lookup(&scheme, bytes(name), strlen(name), algorithm, 1, key);
}

static void check_sha256(const char *name, const char *password)
{
  fzr_auth_key key;
  uint8_t expected[FZR_STUN_KEY_MAX];
  ck_assert_int_eq(key_by(name, FZR_PASSWORD_SHA256, &key), FZR_AUTH_OK);
  fzr_auth_long_term_key(FZR_PASSWORD_SHA256, bytes(name), strlen(name), "firezone", password, expected);
  ck_assert(key.algorithm == FZR_PASSWORD_SHA256 && key.key_len == sizeof expected);
  ck_assert_mem_eq(key.key, expected, sizeof expected);
}

static bool is_found(const char *name)
{
  uint8_t hash[FZR_STUN_USERHASH_LEN];
  fzr_auth_userhash(bytes(name), strlen(name), "firezone", hash);
  const fzri_slice found = fzri_scheme_resolve(&scheme, hash);
  ck_assert(!found.data || (found.len == strlen(name) && memcmp(found.data, name, found.len) == 0));
  hash[31] ^= 1;
  ck_assert(!fzri_scheme_resolve(&scheme, hash).data);
  return found.data;
}

static enum fzr_auth_result md5_alone(void *ctx, const fzr_auth_request *request, fzr_auth_key *out)
{
  *(uint8_t *)ctx = request->algorithm;
  out->algorithm = FZR_PASSWORD_MD5;
  out->key_len = FZR_STUN_KEY_LEN;
  out->expires = FZR_NO_EXPIRY;
  return FZR_AUTH_OK;
}

/* What each scheme offers, and that it has it. */
START_TEST(test_offers)
{
  const uint32_t algorithms = FZR_FEATURE_PASSWORD_ALGORITHMS, anonymity = FZR_FEATURE_USERNAME_ANONYMITY;
  fzr_auth_key key;
  char password[FZR_REST_PASSWORD_LEN + 1];
  init(FZR_AUTH_STAMP);
  ck_assert_uint_eq(fzri_scheme_features(&scheme), FZRI_NO_COOKIE);
  ck_assert(!is_found("100:salt"));
  fzri_scheme_free(&scheme);
  init(FZR_AUTH_REST);
  ck_assert_uint_eq(fzri_scheme_features(&scheme), algorithms);
  fzr_auth_rest_password("secret", bytes("100:joe"), 7, password, sizeof password);
  check_sha256("100:joe", password);
  ck_assert(!is_found("100:joe"));
  fzri_scheme_free(&scheme);
  init(FZR_AUTH_STATIC);
  ck_assert_uint_eq(fzri_scheme_features(&scheme), algorithms | anonymity);
  check_sha256("alice", "a");
  ck_assert(is_found("alice") && is_found("bob") && is_found("al") && is_found("zoe"));
  ck_assert(!is_found("ali") && !is_found(""));
  /* While one has no password, nobody is offered what he has not. */
  const uint8_t md5[FZR_STUN_KEY_LEN] = {1, 2, 3};
  const fzr_user mixed[] = {{"alice", "a", NULL}, {"key", NULL, md5}};
  ck_assert_int_eq(fzri_scheme_set_users(&scheme, mixed, 2), 0);
  ck_assert_uint_eq(fzri_scheme_features(&scheme), anonymity);
  ck_assert_int_eq(key_by("key", FZR_PASSWORD_SHA256, &key), FZR_AUTH_UNKNOWN);
  ck_assert_int_eq(key_by("key", FZR_PASSWORD_MD5, &key), FZR_AUTH_OK);
  ck_assert(is_found("key") && !is_found("bob"));
  check_sha256("alice", "a");
  ck_assert_int_eq(fzri_scheme_set_users(&scheme, mixed, 1), 0);
  ck_assert_uint_eq(fzri_scheme_features(&scheme), algorithms | anonymity);
  ck_assert_int_eq(fzri_scheme_set_users(&scheme, NULL, 0), 0);
  ck_assert(!is_found("alice"));
  fzri_scheme_free(&scheme);
  ck_assert_uint_eq(mem.used, 0);
}
END_TEST

/* An application that makes another key than it was asked for has none. */
START_TEST(test_offers_of_applications)
{
  uint8_t asked = 0;
  fzr_auth_key key;
  fzr_config config = fzr_config_init();
  config.auth = FZR_AUTH_CALLBACK;
  config.realm = "firezone";
  config.auth_fn = md5_alone;
  config.auth_ctx = &asked;
  ck_assert_int_eq(fzri_mem_init(&mem, NULL), 0);
  ck_assert_int_eq(fzri_scheme_init(&scheme, &mem, &config), 0);
  ck_assert_uint_eq(fzri_scheme_features(&scheme), FZR_FEATURE_PASSWORD_ALGORITHMS);
  ck_assert_int_eq(key_by("x", FZR_PASSWORD_SHA256, &key), FZR_AUTH_UNKNOWN);
  ck_assert_uint_eq(asked, FZR_PASSWORD_SHA256);
  ck_assert_int_eq(key_by("x", FZR_PASSWORD_MD5, &key), FZR_AUTH_OK);
  ck_assert_uint_eq(asked, FZR_PASSWORD_MD5);
  fzri_scheme_free(&scheme);
  config.md5_keys_only = true;
  ck_assert_int_eq(fzri_scheme_init(&scheme, &mem, &config), 0);
  ck_assert_uint_eq(fzri_scheme_features(&scheme), 0);
  fzri_scheme_free(&scheme);
}
END_TEST

/* Ours it stays, for years; it is good by itself for an hour. */
START_TEST(test_old_nonces)
{
  fzt_prng prng = {8};
  fzri_nonces n;
  char nonce[FZRI_NONCE_MAX];
  uint32_t told;
  const fzr_addr a = fzt_addr("192.0.2.1:5"), b = fzt_addr("192.0.2.1:6");
  const fzr_time t = 100 * FZR_SECOND, year = 365 * 24 * 3600 * FZR_SECOND;
  no_random_left = 0;
  ck_assert_int_eq(fzri_nonces_init(&n, random_bytes, &prng), 0);
  ck_assert_uint_eq(fzri_nonce_make(&n, &a, FZRI_NO_COOKIE, t, nonce), FZRI_NONCE_BARE);
  const uint8_t *text = (const uint8_t *)nonce;
  ck_assert_int_eq(
      fzri_nonce_check(&n, &a, text, FZRI_NONCE_BARE, t + FZRI_NONCE_LIFETIME - FZR_SECOND, &told),
      FZRI_NONCE_FRESH);
  ck_assert_int_eq(fzri_nonce_check(&n, &a, text, FZRI_NONCE_BARE, t + FZRI_NONCE_LIFETIME, &told),
                   FZRI_NONCE_OLD);
  ck_assert_int_eq(fzri_nonce_check(&n, &a, text, FZRI_NONCE_BARE, t + 10 * year, &told), FZRI_NONCE_OLD);
  ck_assert_int_eq(fzri_nonce_check(&n, &b, text, FZRI_NONCE_BARE, t + 10 * year, &told), FZRI_NONCE_FOREIGN);
  fzri_nonces_wipe(&n);
  ck_assert_int_eq(fzri_nonce_check(&n, &a, text, FZRI_NONCE_BARE, t, &told), FZRI_NONCE_FOREIGN);
  no_random_left = 1;
  ck_assert_int_eq(fzri_nonces_init(&n, random_bytes, &prng), FZR_ERR_NO_RANDOM);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("auth");
  TCase *tc = tcase_create("auth");
  tcase_add_test(tc, test_stamp_passwords);
  tcase_add_test(tc, test_rest_password);
  tcase_add_test(tc, test_long_term_keys);
  tcase_add_test(tc, test_stamp_usernames);
  tcase_add_test(tc, test_rest_usernames);
  tcase_add_test(tc, test_whom_usernames_name);
  tcase_add_test(tc, test_static_users);
  tcase_add_test(tc, test_static_tables);
  tcase_add_test(tc, test_keys_of_users);
  tcase_add_test(tc, test_users_beside_rest);
  tcase_add_test(tc, test_nonces);
  tcase_add_test(tc, test_nonces_with_cookies);
  tcase_add_test(tc, test_offers);
  tcase_add_test(tc, test_offers_of_applications);
  tcase_add_test(tc, test_old_nonces);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
