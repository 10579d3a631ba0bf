/* SPDX-License-Identifier: Apache-2.0 */
#include "scheme.h"

#include "expiry.h"
#include "key.h"
#include "schemes.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(void *) != 8 || sizeof(fzr_auth_request) == 64, "frozen");

static bool is_secret(const char *secret)
{
  const size_t len = secret ? strlen(secret) : 0;
  return len && len <= FZRI_SECRET_MAX;
}

static void copy_secret(char out[FZRI_SECRET_MAX + 1], const char *secret)
{
  fzri_wipe(out, FZRI_SECRET_MAX + 1);
  if (secret)
    memcpy(out, secret, strlen(secret) + 1);
}

/* Whether there are secrets, of which passwords are made. */
static bool has_secrets(const fzri_scheme *scheme)
{
  return scheme->kind == FZR_AUTH_STAMP || scheme->kind == FZR_AUTH_REST;
}

int fzri_scheme_set_secrets(fzri_scheme *scheme, const char *secret, const char *second)
{
  if (!has_secrets(scheme))
    return FZR_ERR_UNSUPPORTED;
  if (!is_secret(secret) || (second && !is_secret(second)))
    return FZR_ERR_CONFIG_AUTH;
  copy_secret(scheme->secret, secret);
  copy_secret(scheme->second_secret, second);
  return 0;
}

/* Whether |username| has the form that the REST scheme gives to its own, which is how they are told from users beside it. */
static bool is_rest_username(const uint8_t *username, size_t len)
{
  uint64_t expiry;
  size_t name;
  return fzri_expiry_username(username, len, &expiry, &name);
}

static bool has_rest_username(const fzr_user *users, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (users[i].username && is_rest_username((const uint8_t *)users[i].username, strlen(users[i].username)))
      return true;
  return false;
}

int fzri_scheme_set_users(fzri_scheme *scheme, const fzr_user *users, size_t count)
{
  fzri_static_users other;
  if (scheme->kind != FZR_AUTH_STATIC && scheme->kind != FZR_AUTH_REST)
    return FZR_ERR_UNSUPPORTED;
  if (scheme->kind == FZR_AUTH_REST && has_rest_username(users, count))
    return FZR_ERR_CONFIG_AUTH;
  const int error = fzri_static_init(&other, scheme->mem, scheme->realm, users, count);
  if (error)
    return error;
  fzri_static_free(&scheme->users, scheme->mem);
  scheme->users = other;
  return 0;
}

static int init_kind(fzri_scheme *scheme, const fzr_config *config)
{
  int error;
  switch (config->auth) {
  case FZR_AUTH_REST:
    error = fzri_scheme_set_users(scheme, config->users, config->users ? config->user_count : 0);
    if (error)
      return error;
    __attribute__((fallthrough));
  case FZR_AUTH_STAMP:
    return fzri_scheme_set_secrets(scheme, config->auth_secret, config->auth_second_secret);
  case FZR_AUTH_STATIC:
    return config->users && config->user_count
               ? fzri_scheme_set_users(scheme, config->users, config->user_count)
               : FZR_ERR_CONFIG_AUTH;
  case FZR_AUTH_CALLBACK:
    scheme->fn = config->auth_fn;
    scheme->fn_ctx = config->auth_ctx;
    return scheme->fn ? 0 : FZR_ERR_CONFIG_AUTH;
  default:
    return FZR_ERR_CONFIG_AUTH;
  }
}

int fzri_scheme_init(fzri_scheme *scheme, fzri_mem *mem, const fzr_config *config)
{
  memset(scheme, 0, sizeof *scheme);
  scheme->mem = mem;
  scheme->kind = config->auth;
  scheme->md5_only = config->md5_keys_only;
  scheme->outlived = config->auth == FZR_AUTH_REST || config->allocations_outlive_credentials;
  const size_t realm_len = strlen(config->realm);
  if (!realm_len || realm_len > FZRI_REALM_MAX)
    return FZR_ERR_CONFIG_LIMIT;
  memcpy(scheme->realm, config->realm, realm_len + 1);
  const int error = init_kind(scheme, config);
  if (error)
    fzri_scheme_free(scheme);
  return error;
}

void fzri_scheme_free(fzri_scheme *scheme)
{
  if (scheme->mem)
    fzri_static_free(&scheme->users, scheme->mem);
  fzri_wipe(scheme, sizeof *scheme);
}

/* A key whose time is over is expired whatever the application said of it. One that was not asked for is none: of no length it would
 * be everybody's. */
static enum fzr_auth_result ask_application(const fzri_scheme *scheme, const uint8_t *username,
                                            size_t username_len, uint8_t algorithm, uint64_t unix_now,
                                            fzr_auth_key *out)
{
  const fzr_auth_request request = {.username = username,
                                    .username_len = username_len,
                                    .realm = scheme->realm,
                                    .unix_now = unix_now,
                                    .algorithm = algorithm};
  const enum fzr_auth_result result = scheme->fn(scheme->fn_ctx, &request, out);
  if (result == FZR_AUTH_UNKNOWN || out->algorithm != algorithm || out->key_len != fzri_key_len(algorithm))
    return FZR_AUTH_UNKNOWN;
  return result == FZR_AUTH_OK && out->expires < unix_now ? FZR_AUTH_EXPIRED : result;
}

enum fzr_auth_result fzri_scheme_lookup(const fzri_scheme *scheme, const uint8_t *username,
                                        size_t username_len, uint8_t algorithm, uint64_t unix_now,
                                        fzr_auth_key *out)
{
  memset(out, 0, sizeof *out);
  switch (scheme->kind) {
  case FZR_AUTH_STAMP:
    return fzri_stamp_lookup(scheme->secret, scheme->realm, username, username_len, unix_now, out);
  case FZR_AUTH_REST:
    if (is_rest_username(username, username_len))
      return fzri_rest_lookup(scheme->secret, scheme->realm, username, username_len, algorithm, unix_now,
                              out);
    return fzri_static_lookup(&scheme->users, username, username_len, algorithm, out);
  case FZR_AUTH_STATIC:
    return fzri_static_lookup(&scheme->users, username, username_len, algorithm, out);
  default:
    return ask_application(scheme, username, username_len, algorithm, unix_now, out);
  }
}

enum fzr_auth_result fzri_scheme_lookup_second(const fzri_scheme *scheme, const uint8_t *username,
                                               size_t username_len, uint8_t algorithm, uint64_t unix_now,
                                               fzr_auth_key *out)
{
  memset(out, 0, sizeof *out);
  if (!*scheme->second_secret)
    return FZR_AUTH_UNKNOWN;
  return scheme->kind == FZR_AUTH_STAMP
             ? fzri_stamp_lookup(scheme->second_secret, scheme->realm, username, username_len, unix_now, out)
             : fzri_rest_lookup(scheme->second_secret, scheme->realm, username, username_len, algorithm,
                                unix_now, out);
}

bool fzri_scheme_makes(const fzri_scheme *scheme, const uint8_t *username, size_t username_len,
                       const fzr_auth_key *key)
{
  fzr_auth_key made[2];
  const bool first =
      fzri_scheme_lookup(scheme, username, username_len, key->algorithm, 0, &made[0]) != FZR_AUTH_UNKNOWN &&
      fzri_equal_ct(made[0].key, key->key, sizeof key->key);
  const bool second = fzri_scheme_lookup_second(scheme, username, username_len, key->algorithm, 0,
                                                &made[1]) != FZR_AUTH_UNKNOWN &&
                      fzri_equal_ct(made[1].key, key->key, sizeof key->key);
  fzri_wipe(made, sizeof made);
  return first || second;
}

fzri_slice fzri_scheme_user(const fzri_scheme *scheme, const uint8_t *username, size_t len)
{
  uint64_t expiry;
  size_t skip = 0;
  if (has_secrets(scheme))
    fzri_expiry_username(username, len, &expiry, &skip);
  return (fzri_slice){username + skip, len - skip};
}

bool fzri_scheme_may_use(const fzri_scheme *scheme, uint64_t owner, uint64_t user)
{
  return scheme->kind == FZR_AUTH_STAMP || owner == user;
}

bool fzri_scheme_keys_stay(const fzri_scheme *scheme, const uint8_t *username, size_t len)
{
  return scheme->kind == FZR_AUTH_STAMP || (scheme->kind == FZR_AUTH_REST && is_rest_username(username, len));
}

bool fzri_scheme_user_is_client(const fzri_scheme *scheme)
{
  return scheme->kind == FZR_AUTH_STAMP;
}

unsigned fzri_scheme_keys_of_user(const fzri_scheme *scheme)
{
  return *scheme->second_secret ? 2 : 1;
}

bool fzri_scheme_outlives(const fzri_scheme *scheme)
{
  return scheme->outlived;
}

bool fzri_scheme_signs_challenges(const fzri_scheme *scheme)
{
  return scheme->kind == FZR_AUTH_STAMP || scheme->kind == FZR_AUTH_CALLBACK;
}

const uint8_t fzri_offered_algorithms[FZRI_OFFERED_LEN] = {0, FZR_PASSWORD_SHA256, 0, 0,
                                                           0, FZR_PASSWORD_MD5,    0, 0};

uint32_t fzri_scheme_features(const fzri_scheme *scheme)
{
  uint32_t features = 0;
  if (scheme->kind == FZR_AUTH_STAMP)
    return FZRI_NO_COOKIE;
  if (!scheme->md5_only && !scheme->users.md5_only)
    features |= FZR_FEATURE_PASSWORD_ALGORITHMS;
  if (scheme->kind == FZR_AUTH_STATIC)
    features |= FZR_FEATURE_USERNAME_ANONYMITY;
  return features;
}

fzri_slice fzri_scheme_resolve(const fzri_scheme *scheme, const uint8_t userhash[FZR_STUN_USERHASH_LEN])
{
  return scheme->kind == FZR_AUTH_STATIC ? fzri_static_resolve(&scheme->users, userhash)
                                         : (fzri_slice){NULL, 0};
}
