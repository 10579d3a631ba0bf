/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include "common/decimal.h"

#include <string.h>

void probe_request_begin(fzr_stun_builder *b, uint8_t *out, size_t cap, uint16_t method,
                         const uint8_t txid[FZR_STUN_TXID_LEN])
{
  fzr_stun_build(b, out, cap, method, FZR_STUN_REQUEST, txid);
}

size_t probe_request_end(fzr_stun_builder *b, const probe_client *c)
{
  if (c->challenged) {
    fzr_stun_add(b, FZR_ATTR_USERNAME, c->login.username, strlen(c->login.username));
    fzr_stun_add(b, FZR_ATTR_REALM, c->realm, strlen(c->realm));
    fzr_stun_add(b, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
    fzr_stun_add_integrity(b, c->key, sizeof c->key);
  }
  const int len = fzr_stun_build_finish(b);
  return len > 0 ? (size_t)len : 0;
}

static void make_key(probe_client *c)
{
  if (c->login.has_key)
    memcpy(c->key, c->login.key, sizeof c->key);
  else
    fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)c->login.username, strlen(c->login.username),
                           c->realm, c->login.password, c->key);
}

bool probe_client_challenge(probe_client *c, const fzr_stun_msg *msg)
{
  fzr_stun_attr realm, nonce;
  if (!fzr_stun_get(msg, FZR_ATTR_REALM, &realm) || !fzr_stun_get(msg, FZR_ATTR_NONCE, &nonce) ||
      realm.len > PROBE_PHRASE_MAX || nonce.len > PROBE_PHRASE_MAX || memchr(realm.value, 0, realm.len))
    return false;
  memcpy(c->realm, realm.value, realm.len);
  c->realm[realm.len] = '\0';
  memcpy(c->nonce, nonce.value, nonce.len);
  c->nonce_len = nonce.len;
  c->challenged = true;
  make_key(c);
  return true;
}

void probe_client_log_in(probe_client *c, const probe_login *login)
{
  c->login = *login;
  make_key(c);
}

bool probe_client_is_signed(const probe_client *c, const fzr_stun_msg *msg)
{
  return fzr_stun_verify(msg, c->key, sizeof c->key);
}

uint64_t probe_expiry_of(const char *username)
{
  uint64_t value;
  const size_t digits = decimal_digits(username, strlen(username));
  const bool ends = username[digits] == ':' || !username[digits];
  return digits >= 9 && ends && decimal_read(username, digits, UINT32_MAX * (uint64_t)4, &value) ? value : 0;
}
