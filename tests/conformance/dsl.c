/* SPDX-License-Identifier: Apache-2.0 */
#include "dsl.h"

#include <stdarg.h>
#include <stdio.h>

#define CLIENTS 4
#define TEXT    2048
#define OFFERED "\0\2\0\0\0\1\0\0" /* SHA-256, then MD5 */

typedef struct script {
  fzt_relay relay;
  fzt_client_state clients[CLIENTS + 1];
  fzt_client_state *client;
  uint8_t txid[FZR_STUN_TXID_LEN];
  uint8_t kept_txid[FZR_STUN_TXID_LEN];
  uint16_t port;          /* relayed port of the last success */
  uint16_t last_port;     /* before that */
  uint8_t tickets[2][64]; /* the last MOBILITY-TICKET, and the one before */
  uint16_t ticket_lens[2];
  uint8_t token[8]; /* the last RESERVATION-TOKEN */
  bool passing;     /* not the last step: nobody reads its outcome, and no nonce need be tried */
  char outcome[TEXT];
  const char *realm;
  uint8_t keys256[CLIENTS + 1][FZR_STUN_KEY_MAX]; /* by SHA-256, of the clients */
  const uint8_t *key;                             /* that the last request was signed with */
  size_t key_len;
} script;

static void say(script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(script *s, const char *format, ...)
{
  const size_t len = strlen(s->outcome);
  va_list args;
  va_start(args, format);
  if (len && len < TEXT - 1) {
    s->outcome[len] = ' ';
    s->outcome[len + 1] = 0;
  }
  const size_t at = strlen(s->outcome);
  vsnprintf(s->outcome + at, TEXT - at, format, args);
  va_end(args);
}

static const char *text_of(const fzr_addr *addr, uint16_t relayed)
{
  static char buffers[2][FZR_ADDR_TEXT_MAX + 4];
  static unsigned turn;
  char *out = buffers[turn++ & 1];
  fzr_addr_format(addr, true, out, FZR_ADDR_TEXT_MAX);
  if (relayed && addr->port == relayed)
    strcpy(strrchr(out, ':'), ":P");
  return out;
}

/* ---- what comes out ---- */

static const char *name_of(uint16_t type)
{
  switch (type) {
  case FZR_ATTR_XOR_MAPPED_ADDRESS:
    return "mapped";
  case FZR_ATTR_XOR_RELAYED_ADDRESS:
    return "relayed";
  case FZR_ATTR_LIFETIME:
    return "lifetime";
  case FZR_ATTR_SOFTWARE:
    return "software";
  case FZR_ATTR_REALM:
    return "realm";
  default:
    return NULL;
  }
}

static void tell_unknown(script *s, const fzr_stun_attr *attr)
{
  char list[128] = "unknown=";
  for (unsigned i = 0; i + 1 < attr->len; i += 2)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%04x", i ? "," : "",
             attr->value[i] << 8 | attr->value[i + 1]);
  say(s, "%s", list);
}

static bool nonce_is_good(script *s, const fzr_stun_attr *attr)
{
  /* Good is what the relay takes back: ask it, with a request that changes nothing. */
  fzt_client_state probe = *s->client;
  fzt_relay copy = s->relay;
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  memcpy(probe.nonce, attr->value, attr->len);
  probe.nonce_len = attr->len;
  memset(probe.key, 0x55, sizeof probe.key);
  fzt_begin(&s->relay, &probe, &b, buffer, sizeof buffer, FZR_STUN_REFRESH);
  const int code = fzt_finish(&s->relay, &probe, &b, &msg);
  fzr_engine *engine = s->relay.engine;
  fzt_prng prng = s->relay.prng;
  const fzt_mem mem = s->relay.mem;
  s->relay = copy;
  s->relay.engine = engine;
  s->relay.prng = prng;
  s->relay.mem = mem;
  return code == 401; /* a wrong key, but not 438 */
}

static void tell_ticket(script *s, const fzr_stun_attr *attr)
{
  ck_assert_uint_le(attr->len, sizeof s->tickets[0]);
  if (attr->len == s->ticket_lens[0] && memcmp(attr->value, s->tickets[0], attr->len) == 0) {
    say(s, "same-ticket");
    return;
  }
  memcpy(s->tickets[1], s->tickets[0], sizeof s->tickets[0]);
  s->ticket_lens[1] = s->ticket_lens[0];
  memcpy(s->tickets[0], attr->value, attr->len);
  s->ticket_lens[0] = attr->len;
  say(s, "ticket");
}

/* With what the server says that it offers: p for PASSWORD-ALGORITHMS, u for username anonymity. */
static void tell_nonce(script *s, const fzr_stun_attr *attr)
{
  const uint32_t features = fzr_auth_nonce_features(attr->value, attr->len);
  const bool has_cookie = attr->len > 13 && memcmp(attr->value, "obMatJos2", 9) == 0;
  const char *good = s->passing || nonce_is_good(s, attr) ? "" : "useless-";
  ck_assert_uint_eq(features & ~(uint32_t)(FZR_FEATURE_PASSWORD_ALGORITHMS | FZR_FEATURE_USERNAME_ANONYMITY),
                    0);
  say(s, "%snonce%s%s%s", good, has_cookie ? "-" : "", features & FZR_FEATURE_PASSWORD_ALGORITHMS ? "p" : "",
      features & FZR_FEATURE_USERNAME_ANONYMITY ? "u" : "");
}

static void tell_attr(script *s, const fzr_stun_msg *msg, const fzr_stun_attr *attr)
{
  fzr_addr addr;
  switch (attr->type) {
  case FZR_ATTR_ERROR_CODE:
    return;
  case FZR_ATTR_XOR_MAPPED_ADDRESS:
  case FZR_ATTR_XOR_RELAYED_ADDRESS:
    ck_assert(fzr_stun_attr_addr(msg, attr, &addr));
    if (attr->type == FZR_ATTR_XOR_RELAYED_ADDRESS) {
      if (s->port != addr.port)
        s->last_port = s->port;
      s->port = addr.port;
    }
    say(s, "%s=%s", name_of(attr->type), text_of(&addr, s->port));
    return;
  case FZR_ATTR_LIFETIME:
    say(s, "lifetime=%u",
        (unsigned)attr->value[0] << 24 | (unsigned)attr->value[1] << 16 | (unsigned)attr->value[2] << 8 |
            attr->value[3]);
    return;
  case FZR_ATTR_REALM:
    say(s, "realm=%.*s", attr->len, (const char *)attr->value);
    return;
  case FZR_ATTR_NONCE:
    tell_nonce(s, attr);
    return;
  case FZR_ATTR_PASSWORD_ALGORITHMS:
    say(s, attr->len == 8 && memcmp(attr->value, OFFERED, 8) == 0 ? "algorithms" : "other-algorithms");
    return;
  case FZR_ATTR_UNKNOWN_ATTRIBUTES:
    tell_unknown(s, attr);
    return;
  case FZR_ATTR_ADDRESS_ERROR_CODE:
    say(s, "address-error=%u:%u%02u", attr->value[0], attr->value[2] & 7u, (unsigned)attr->value[3]);
    return;
  case FZR_ATTR_MESSAGE_INTEGRITY:
    say(s, fzr_stun_verify(msg, s->key, s->key_len) ? "mi" : "wrong-mi");
    return;
  case FZR_ATTR_MESSAGE_INTEGRITY_SHA256:
    say(s, fzr_stun_verify_sha256(msg, s->key, s->key_len, 32) ? "mi256" : "wrong-mi256");
    return;
  case FZR_ATTR_SOFTWARE:
    say(s, "software");
    return;
  case FZR_ATTR_FINGERPRINT:
    say(s, "fingerprint");
    return;
  case FZR_ATTR_RESERVATION_TOKEN:
    ck_assert_uint_eq(attr->len, sizeof s->token);
    say(s, memcmp(s->token, attr->value, sizeof s->token) == 0 ? "same-token" : "token");
    memcpy(s->token, attr->value, sizeof s->token);
    return;
  case FZR_ATTR_MOBILITY_TICKET:
    tell_ticket(s, attr);
    return;
  case FZR_ATTR_ALTERNATE_SERVER:
    ck_assert(fzr_stun_attr_plain_addr(attr, &addr));
    say(s, "alternate=%s", text_of(&addr, 0));
    return;
  default:
    say(s, "attribute-%04x", attr->type);
  }
}

static void tell_answer(script *s, const fzt_answer *answer)
{
  /* A copy: asking about a nonce uses the relay again. */
  const fzt_answer a = *answer;
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  uint16_t offset = 0;
  ck_assert_int_eq(fzr_stun_read(a.data, a.len, &msg), 0);
  ck_assert_uint_le(a.len, 120 + 200);
  if (!fzr_addr_equal(&a.to, &s->client->addr) || !fzr_addr_equal(&a.from, &s->client->server))
    say(s, "misdirected");
  if (memcmp(fzr_stun_txid(&msg), s->txid, sizeof s->txid) != 0)
    say(s, "wrong-tid");
  if (msg.cls == FZR_STUN_ERROR)
    say(s, "error %u", fzr_stun_error_code(&msg));
  else
    say(s, "success");
  while (fzr_stun_next(&msg, &offset, &attr))
    tell_attr(s, &msg, &attr);
}

/* A Data indication, which has to be a message that others can read. */
static void tell_indication(script *s, const fzr_verdict *v)
{
  uint8_t bytes[UINT16_MAX + 64];
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  fzr_addr peer;
  uint16_t offset = 0;
  const size_t len = (size_t)v->hdr_len + v->len + v->pad;
  memcpy(bytes, v->hdr, v->hdr_len);
  memcpy(bytes + v->hdr_len, v->data, v->len);
  memset(bytes + v->hdr_len + v->len, 0, v->pad);
  ck_assert_uint_eq(v->count, 1);
  ck_assert(fzr_addr_equal(&v->to, &s->client->addr));
  ck_assert(fzr_addr_equal(&v->from, &s->client->server));
  ck_assert_int_eq(fzr_stun_read(bytes, len, &msg), 0);
  ck_assert_uint_eq(msg.cls, FZR_STUN_INDICATION);
  ck_assert_uint_eq(msg.method, FZR_STUN_DATA);
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, &peer));
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_DATA, &attr));
  ck_assert_uint_eq(attr.len, v->len);
  unsigned attributes = 0;
  while (fzr_stun_next(&msg, &offset, &attr))
    attributes++;
  ck_assert_uint_eq(attributes, 2);
  say(s, "data %s %u", text_of(&peer, 0), v->len);
}

static void tell_verdict(script *s, const fzr_verdict *v)
{
  if (v->action == FZR_ACT_DROP) {
    say(s, "drop %s", fzr_drop_reason_name(v->reason));
  } else if (v->action == FZR_ACT_FORWARD && v->hdr_len > FZR_CHANNEL_HEADER_LEN) {
    tell_indication(s, v);
  } else if (v->action == FZR_ACT_FORWARD && v->hdr_len) {
    const unsigned channel = (unsigned)v->hdr[0] << 8 | v->hdr[1];
    ck_assert_uint_eq((unsigned)v->hdr[2] << 8 | v->hdr[3], v->len);
    ck_assert(fzr_addr_equal(&v->to, &s->client->addr));
    ck_assert(fzr_addr_equal(&v->from, &s->client->server));
    say(s, "deliver 0x%04x %u", channel, v->len);
  } else if (v->action == FZR_ACT_FORWARD) {
    ck_assert_uint_eq(v->from.port, s->port);
    ck_assert_ptr_nonnull(v->io);
    say(s, "forward %s %u", text_of(&v->to, 0), v->len);
  }
}

static void tell_all(script *s)
{
  s->outcome[0] = 0;
  for (size_t i = 0; i < s->relay.verdict_count; i++)
    tell_verdict(s, &s->relay.verdicts[i]);
  const size_t answers = s->relay.answer_count;
  for (size_t i = 0; i < answers; i++)
    tell_answer(s, &s->relay.answers[i]);
  if (!s->outcome[0])
    say(s, "nothing");
}

/* ---- what goes in ---- */

static size_t unhex(const char *text, uint8_t *out, size_t cap)
{
  size_t n = 0;
  for (; text[0] && text[1] && text[0] != ' ' && n < cap; text += 2) {
    unsigned byte;
    ck_assert_int_eq(sscanf(text, "%2x", &byte), 1);
    out[n++] = (uint8_t)byte;
  }
  return n;
}

/* The words of a request that say how it is signed rather than what it asks. */
typedef struct manner {
  bool user, mi, nonce, realm, bad_mi, fingerprint, bad_fingerprint, same_tid, kept_tid, truncated;
  const char *realm_text, *user_text, *nonce_text, *late;
  enum fzr_stun_class cls;
  /* RFC 8489: a key by SHA-256, the list as it was sent or another, the algorithm's number (0: none), bytes of the newer HMAC (0: none). */
  bool by_sha256, list, bad_mi256, hash, bare_nonce;
  const char *list_hex, *hash_hex, *cookie;
  uint16_t algorithm;
  size_t mi256;
} manner;

static bool starts(const char *word, const char *with, const char **rest)
{
  const size_t len = strlen(with);
  if (strncmp(word, with, len) != 0)
    return false;
  *rest = word + len;
  return true;
}

/* Those of RFC 8489. */
static bool read_manner256(const char *word, manner *m)
{
  const char *rest;
  if (strcmp(word, "sha256") == 0 || strcmp(word, "md5") == 0) {
    m->by_sha256 = *word == 's';
    m->algorithm = *word == 's' ? FZR_PASSWORD_SHA256 : FZR_PASSWORD_MD5;
    m->list = true;
    m->mi = false;
    m->mi256 = 32;
  } else if (strcmp(word, "key256") == 0)
    m->by_sha256 = true;
  else if (strcmp(word, "no-list") == 0)
    m->list = false;
  else if (starts(word, "list=", &rest))
    m->list_hex = rest;
  else if (starts(word, "algorithm=", &rest))
    m->algorithm = (uint16_t)strtoul(rest, NULL, 0);
  else if (starts(word, "mi256=", &rest))
    m->mi256 = strtoul(rest, NULL, 0);
  else if (strcmp(word, "bad-mi256") == 0)
    m->bad_mi256 = true;
  else if (strcmp(word, "mi") == 0)
    m->mi = true;
  else if (strcmp(word, "hash") == 0 || starts(word, "hash=", &m->hash_hex))
    m->hash = true;
  else if (strcmp(word, "bare-nonce") == 0)
    m->bare_nonce = true;
  else if (starts(word, "cookie=", &rest))
    m->cookie = rest;
  else
    return false;
  return true;
}

static bool read_manner(const char *word, manner *m)
{
  const char *rest;
  if (read_manner256(word, m))
    return true;
  if (strcmp(word, "anonymous") == 0)
    m->user = m->mi = m->nonce = m->realm = false;
  else if (strcmp(word, "no-user") == 0)
    m->user = false;
  else if (strcmp(word, "no-mi") == 0)
    m->mi = false;
  else if (strcmp(word, "no-nonce") == 0)
    m->nonce = false;
  else if (strcmp(word, "no-realm") == 0)
    m->realm = false;
  else if (strcmp(word, "bad-mi") == 0)
    m->bad_mi = true;
  else if (strcmp(word, "bad-nonce") == 0)
    m->nonce_text = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  else if (strcmp(word, "short-nonce") == 0)
    m->nonce_text = "A";
  else if (strcmp(word, "fingerprint") == 0)
    m->fingerprint = true;
  else if (strcmp(word, "bad-fingerprint") == 0)
    m->bad_fingerprint = true;
  else if (strcmp(word, "same-tid") == 0)
    m->same_tid = true;
  else if (strcmp(word, "kept-tid") == 0)
    m->same_tid = m->kept_tid = true;
  else if (strcmp(word, "truncated") == 0)
    m->truncated = true;
  else if (strcmp(word, "indication") == 0)
    m->cls = FZR_STUN_INDICATION;
  else if (strcmp(word, "success") == 0)
    m->cls = FZR_STUN_SUCCESS;
  else if (starts(word, "realm=", &rest))
    m->realm_text = rest;
  else if (starts(word, "user=", &rest))
    m->user_text = rest;
  else if (starts(word, "late=", &rest))
    m->late = rest;
  else
    return false;
  return true;
}

static void add_bytes(fzr_stun_builder *b, const char *spec)
{
  uint8_t bytes[128];
  char *colon;
  const uint16_t type = (uint16_t)strtoul(spec, &colon, 0);
  const size_t n = *colon == ':' ? unhex(colon + 1, bytes, sizeof bytes) : 0;
  fzr_stun_add(b, type, bytes, n);
}

static fzr_addr peer_of(const script *s, const char *text)
{
  /* "P" is a port that a client got: of the other one, if there is one. */
  char buffer[96];
  snprintf(buffer, sizeof buffer, "%s", text);
  char *p = strstr(buffer, ":P");
  if (p)
    sprintf(p, ":%u", (unsigned)s->port);
  return fzt_addr(buffer);
}

static void add_word(const script *s, fzr_stun_builder *b, const char *word)
{
  const char *rest;
  if (starts(word, "transport=", &rest)) {
    fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_TRANSPORT, (uint32_t)strtoul(rest, NULL, 0) << 24);
  } else if (starts(word, "lifetime=", &rest)) {
    fzr_stun_add_u32(b, FZR_ATTR_LIFETIME, (uint32_t)strtoul(rest, NULL, 0));
  } else if (starts(word, "req=", &rest)) {
    fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, (uint32_t)strtoul(rest, NULL, 0) << 24);
  } else if (starts(word, "add=", &rest)) {
    fzr_stun_add_u32(b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, (uint32_t)strtoul(rest, NULL, 0) << 24);
  } else if (starts(word, "chan=", &rest)) {
    fzr_stun_add_u32(b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)strtoul(rest, NULL, 0) << 16);
  } else if (starts(word, "peer=", &rest)) {
    const fzr_addr peer = peer_of(s, rest);
    fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  } else if (strcmp(word, "df") == 0) {
    fzr_stun_add(b, FZR_ATTR_DONT_FRAGMENT, "", 0);
  } else if (strcmp(word, "even") == 0) {
    fzr_stun_add(b, FZR_ATTR_EVEN_PORT, "\x80", 1);
  } else if (strcmp(word, "even-only") == 0) {
    fzr_stun_add(b, FZR_ATTR_EVEN_PORT, "", 1);
  } else if (strcmp(word, "token") == 0) {
    fzr_stun_add(b, FZR_ATTR_RESERVATION_TOKEN, s->token, sizeof s->token);
  } else if (strcmp(word, "forged-token") == 0) {
    fzr_stun_add(b, FZR_ATTR_RESERVATION_TOKEN, s->token, sizeof s->token);
    b->data[b->len - 4] ^= 0x10;
  } else if (strcmp(word, "mobile") == 0) {
    fzr_stun_add(b, FZR_ATTR_MOBILITY_TICKET, "", 0);
  } else if (strcmp(word, "ticket") == 0 || strcmp(word, "old-ticket") == 0) {
    const unsigned old = word[0] == 'o';
    fzr_stun_add(b, FZR_ATTR_MOBILITY_TICKET, s->tickets[old], s->ticket_lens[old]);
  } else if (strcmp(word, "forged-ticket") == 0) {
    fzr_stun_add(b, FZR_ATTR_MOBILITY_TICKET, s->tickets[0], s->ticket_lens[0]);
    b->data[b->len - 1] ^= 1;
  } else if (starts(word, "unknown=", &rest) || starts(word, "optional=", &rest)) {
    fzr_stun_add(b, (uint16_t)strtoul(rest, NULL, 0), "abc", 3);
  } else if (starts(word, "attr=", &rest)) {
    add_bytes(b, rest);
  } else if (starts(word, "software=", &rest)) {
    fzr_stun_add(b, FZR_ATTR_SOFTWARE, rest, strlen(rest));
  } else {
    ck_abort_msg("unknown word: %s", word);
  }
}

static uint16_t method_of(const char *word)
{
  const char *rest;
  if (strcmp(word, "binding") == 0)
    return FZR_STUN_BINDING;
  if (strcmp(word, "allocate") == 0)
    return FZR_STUN_ALLOCATE;
  if (strcmp(word, "refresh") == 0)
    return FZR_STUN_REFRESH;
  if (strcmp(word, "bind") == 0)
    return FZR_STUN_CHANNEL_BIND;
  if (strcmp(word, "permission") == 0)
    return FZR_STUN_CREATE_PERMISSION;
  if (strcmp(word, "send") == 0)
    return FZR_STUN_SEND;
  return starts(word, "method=", &rest) ? (uint16_t)strtoul(rest, NULL, 0) : 0;
}

static void add_hash(const script *s, const manner *m, fzr_stun_builder *b, const char *user)
{
  uint8_t hash[FZR_STUN_USERHASH_LEN + 1];
  size_t len = FZR_STUN_USERHASH_LEN;
  if (m->hash_hex)
    len = unhex(m->hash_hex, hash, sizeof hash);
  else
    ck_assert_int_eq(fzr_auth_userhash((const uint8_t *)user, strlen(user), s->realm, hash), 0);
  fzr_stun_add(b, FZR_ATTR_USERHASH, hash, len);
}

/* The client's nonce, or what somebody on the way could make of it. */
static void add_nonce(const script *s, const manner *m, fzr_stun_builder *b)
{
  char nonce[sizeof s->client->nonce];
  const size_t skip = m->bare_nonce ? 13 : 0;
  memcpy(nonce, s->client->nonce, sizeof nonce);
  if (m->cookie)
    memcpy(nonce + 9, m->cookie, 4);
  fzr_stun_add(b, FZR_ATTR_NONCE, nonce + skip, s->client->nonce_len - skip);
}

static void add_list(const manner *m, fzr_stun_builder *b)
{
  uint8_t list[64];
  const size_t len = m->list_hex ? unhex(m->list_hex, list, sizeof list) : 8;
  fzr_stun_add(b, FZR_ATTR_PASSWORD_ALGORITHMS, m->list_hex ? list : (const uint8_t *)OFFERED, len);
}

static void add_credential(const script *s, const manner *m, fzr_stun_builder *b)
{
  const char *user = m->user_text ? m->user_text : s->client->username;
  if (m->hash)
    add_hash(s, m, b, user);
  else if (m->user)
    fzr_stun_add(b, FZR_ATTR_USERNAME, user, strlen(user));
  if (m->realm)
    fzr_stun_add(b, FZR_ATTR_REALM, m->realm_text ? m->realm_text : s->realm,
                 strlen(m->realm_text ? m->realm_text : s->realm));
  if (m->nonce && m->nonce_text)
    fzr_stun_add(b, FZR_ATTR_NONCE, m->nonce_text, strlen(m->nonce_text));
  else if (m->nonce && s->client->nonce_len)
    add_nonce(s, m, b);
  if (m->list)
    add_list(m, b);
  if (m->algorithm)
    fzr_stun_add_algorithms(b, FZR_ATTR_PASSWORD_ALGORITHM, &m->algorithm, 1);
}

static void sign(script *s, const manner *m, fzr_stun_builder *b)
{
  s->key = m->by_sha256 ? s->keys256[s->client - s->clients] : s->client->key;
  s->key_len = m->by_sha256 ? FZR_STUN_KEY_MAX : FZR_STUN_KEY_LEN;
  if (m->mi)
    fzr_stun_add_integrity(b, s->key, s->key_len);
  if (m->mi && m->bad_mi)
    b->data[b->len - 1] ^= 1;
  if (m->mi256)
    fzr_stun_add_integrity_sha256(b, s->key, s->key_len, m->mi256);
  if (m->mi256 && m->bad_mi256)
    b->data[b->len - 1] ^= 1;
}

/* Builds the request of |words| (the method's first) and sends it. */
static void request(script *s, uint16_t method, char **words, size_t n)
{
  uint8_t buffer[1500];
  fzr_stun_builder b;
  const bool binding = method == FZR_STUN_BINDING;
  manner m = {
      .user = !binding, .mi = !binding, .nonce = !binding, .realm = !binding, .cls = FZR_STUN_REQUEST};
  bool is_manner[64] = {false};
  for (size_t i = 1; i < n; i++)
    is_manner[i] = read_manner(words[i], &m);
  if (!m.same_tid)
    fzt_fill(&s->relay.prng, s->txid, sizeof s->txid);
  if (m.kept_tid)
    memcpy(s->txid, s->kept_txid, sizeof s->txid);
  fzr_stun_build(&b, buffer, sizeof buffer, method, m.cls, s->txid);
  add_credential(s, &m, &b);
  for (size_t i = 1; i < n; i++)
    if (!is_manner[i])
      add_word(s, &b, words[i]);
  sign(s, &m, &b);
  if (m.late)
    add_bytes(&b, m.late);
  if (m.fingerprint || m.bad_fingerprint)
    fzr_stun_add_fingerprint(&b);
  if (m.bad_fingerprint)
    b.data[b.len - 1] ^= 1;
  const int len = fzr_stun_build_finish(&b);
  ck_assert_int_gt(len, 0);
  fzt_client(&s->relay, &s->client->addr, &s->client->server, buffer, (size_t)len - (m.truncated ? 4 : 0));
}

static void get_nonce(script *s)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  char *words[] = {(char *)"refresh", (char *)"anonymous"};
  request(s, FZR_STUN_REFRESH, words, 2);
  ck_assert_uint_eq(s->relay.answer_count, 1);
  ck_assert_int_eq(fzr_stun_read(s->relay.answers[0].data, s->relay.answers[0].len, &msg), 0);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(s->client->nonce, nonce.value, nonce.len);
  s->client->nonce_len = nonce.len;
}

static void send_channel(script *s, const char *number, const char *length)
{
  static uint8_t data[FZR_UDP_PAYLOAD_MAX];
  const size_t len = strtoul(length, NULL, 0);
  fzr_channel_data_header(data, (uint16_t)strtoul(number, NULL, 0), (uint16_t)len);
  fzt_client(&s->relay, &s->client->addr, &s->client->server, data, 4 + len);
}

static void send_peer(script *s, const char *addr, const char *length)
{
  static uint8_t data[FZR_UDP_PAYLOAD_MAX];
  const fzr_addr peer = peer_of(s, addr);
  fzt_peer(&s->relay, &peer, s->port, data, strtoul(length, NULL, 0));
}

static void set_user(script *s, const char *name, const char *password)
{
  snprintf(s->client->username, sizeof s->client->username, "%s", name);
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)name, strlen(name), s->realm,
                                          password, s->client->key),
                   FZR_STUN_KEY_LEN);
  fzr_auth_long_term_key(FZR_PASSWORD_SHA256, (const uint8_t *)name, strlen(name), s->realm, password,
                         s->keys256[s->client - s->clients]);
}

/* Alice and Kate: she has a key by MD5 alone, and no password that anybody knew, if |by_key|. */
static void set_users(script *s, bool by_key)
{
  static const uint8_t key[FZR_STUN_KEY_LEN] = {'k'};
  const fzr_user users[] = {{"alice", "wonderland", NULL},
                            {"kate", by_key ? NULL : "shrew", by_key ? key : NULL}};
  ck_assert_int_eq(fzr_engine_set_users(s->relay.engine, users, 2), 0);
}

#define SECOND_SECRET "the second secret"

static void stamp_user(script *s, const char *secret, const char *expiry, const char *salt)
{
  char name[FZT_USERNAME_MAX], password[64];
  snprintf(name, sizeof name, "%s:%s", expiry, salt);
  fzr_auth_stamp_password(secret, strtoull(expiry, NULL, 10), (const uint8_t *)salt, strlen(salt), password,
                          sizeof password);
  set_user(s, name, password);
}

/* The key that the client's password gives with another username. */
static void key_of(script *s, const char *name)
{
  char own[FZT_USERNAME_MAX];
  snprintf(own, sizeof own, "%s", s->client->username);
  stamp_user(s, FZT_SECRET, name, strchr(own, ':') + 1);
  snprintf(s->client->username, sizeof s->client->username, "%s", own);
}

/* A stamp credential whose username has |len| bytes. */
static void long_user(script *s, size_t len)
{
  char salt[FZT_USERNAME_MAX];
  const size_t fill = len - strlen("1892160000:");
  memset(salt, 'a', fill);
  salt[fill] = 0;
  stamp_user(s, FZT_SECRET, "1892160000", salt);
}

/* One whose salt is these bytes. */
static void odd_user(script *s, const char *hex)
{
  uint8_t salt[64];
  salt[unhex(hex, salt, sizeof salt - 1)] = 0;
  stamp_user(s, FZT_SECRET, "1892160000", (const char *)salt);
}

/* The same with the REST scheme's. */
static void rest_user(script *s, const char *name)
{
  char password[FZR_REST_PASSWORD_LEN + 1];
  ck_assert_int_gt(
      fzr_auth_rest_password(FZT_SECRET, (const uint8_t *)name, strlen(name), password, sizeof password), 0);
  set_user(s, name, password);
}

static void expect_allocations(const script *s, const char *count)
{
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(s->relay.engine, &stats), 0);
  ck_assert_uint_eq(stats.allocations, strtoul(count, NULL, 0));
}

static void step(script *s, char **words, size_t n)
{
  uint8_t bytes[512];
  const uint16_t method = method_of(words[0]);
  if (method) {
    request(s, method, words, n);
    tell_all(s);
  } else if (strcmp(words[0], "channel") == 0) {
    send_channel(s, words[1], words[2]);
    tell_all(s);
  } else if (strcmp(words[0], "peer") == 0) {
    send_peer(s, words[1], words[2]);
    tell_all(s);
  } else if (strcmp(words[0], "raw") == 0) {
    fzt_client(&s->relay, &s->client->addr, &s->client->server, bytes,
               n > 1 ? unhex(words[1], bytes, sizeof bytes) : 0);
    tell_all(s);
  } else if (strcmp(words[0], "wait") == 0) {
    fzt_pass(&s->relay, (fzr_time)(strtod(words[1], NULL) * 1e9));
  } else if (strcmp(words[0], "skip") == 0) {
    s->relay.now += (fzr_time)(strtod(words[1], NULL) * 1e9);
  } else if (strcmp(words[0], "draining") == 0) {
    fzr_engine_set_draining(s->relay.engine, true);
  } else if (strcmp(words[0], "open-error") == 0) {
    s->relay.open_errors[s->relay.open_error_count++] = atoi(words[1]);
  } else if (strcmp(words[0], "client") == 0) {
    s->client = &s->clients[atoi(words[1])];
  } else if (strcmp(words[0], "local") == 0) {
    s->client->server = fzt_addr(words[1]);
  } else if (strcmp(words[0], "source") == 0) {
    s->client->addr = fzt_addr(words[1]);
  } else if (strcmp(words[0], "keep-tid") == 0) {
    memcpy(s->kept_txid, s->txid, sizeof s->txid);
  } else if (strcmp(words[0], "nonce") == 0) {
    get_nonce(s);
  } else if (strcmp(words[0], "take-nonce") == 0) {
    memcpy(s->client->nonce, s->clients[atoi(words[1])].nonce, sizeof s->client->nonce);
    s->client->nonce_len = s->clients[atoi(words[1])].nonce_len;
  } else if (strcmp(words[0], "user") == 0) {
    set_user(s, words[1], words[2]);
  } else if (strcmp(words[0], "stamp") == 0) {
    stamp_user(s, FZT_SECRET, words[1], words[2]);
  } else if (strcmp(words[0], "second-stamp") == 0) {
    stamp_user(s, SECOND_SECRET, words[1], words[2]);
  } else if (strcmp(words[0], "long-user") == 0) {
    long_user(s, strtoul(words[1], NULL, 0));
  } else if (strcmp(words[0], "odd-user") == 0) {
    odd_user(s, words[1]);
  } else if (strcmp(words[0], "key-of") == 0) {
    key_of(s, words[1]);
  } else if (strcmp(words[0], "rest") == 0) {
    rest_user(s, words[1]);
  } else if (strcmp(words[0], "users-by-key") == 0 || strcmp(words[0], "users-by-password") == 0) {
    set_users(s, words[0][9] == 'k');
  } else if (strcmp(words[0], "times") == 0) {
    const bool passing = s->passing;
    for (int i = atoi(words[1]); i > 0; i--) {
      s->passing = passing || i > 1;
      step(s, words + 2, n - 2);
    }
  } else if (strcmp(words[0], "expect-even") == 0) {
    ck_assert_uint_eq(s->port % 2, 0);
  } else if (strcmp(words[0], "expect-next") == 0) {
    ck_assert_uint_eq(s->port, s->last_port + 1);
  } else if (strcmp(words[0], "expect-allocations") == 0) {
    expect_allocations(s, words[1]);
  } else {
    ck_abort_msg("unknown step: %s", words[0]);
  }
}

static void run_steps(script *s, const char *steps)
{
  char text[TEXT];
  char *words[64];
  size_t n = 0;
  char *keep = NULL;
  snprintf(text, sizeof text, "%s", steps);
  for (char *word = strtok_r(text, " ", &keep); word; word = strtok_r(NULL, " ", &keep)) {
    if (strcmp(word, ";") != 0) {
      words[n++] = word;
      continue;
    }
    s->passing = true;
    if (n)
      step(s, words, n);
    n = 0;
  }
  s->passing = false;
  if (n)
    step(s, words, n);
}

/* Each user's password is his name. With a |ctx| all challenges are signed. */
static enum fzr_auth_result same_as_name(void *ctx, const fzr_auth_request *request, fzr_auth_key *out)
{
  char name[64];
  if (request->username_len >= sizeof name)
    return FZR_AUTH_UNKNOWN;
  memcpy(name, request->username, request->username_len);
  name[request->username_len] = 0;
  out->algorithm = request->algorithm;
  out->key_len =
      (uint8_t)fzr_auth_long_term_key((enum fzr_password_algorithm)request->algorithm, request->username,
                                      request->username_len, request->realm, name, out->key);
  out->sign_unauthenticated = ctx;
  out->expires = FZR_NO_EXPIRY;
  return FZR_AUTH_OK;
}

/* Words of a config: dual (the default) v4 v6 loopback static rest draining ports=N channels=N users=N bandwidth=N rate=N
 * errors=N proofs=N outlive realm=R second channels-only permissions=N all-channels=N alternate4=ADDR alternate6=ADDR
 * over=N mobility strict-families callback signing-callback md5-only */
static void configure(script *s, fzr_config *config, const char *words)
{
  static const fzr_user users[] = {{"alice", "wonderland", NULL}, {"bob", "builder", NULL}};
  char text[256];
  const char *rest;
  char *keep = NULL;
  snprintf(text, sizeof text, "%s", words);
  for (char *word = strtok_r(text, " ", &keep); word; word = strtok_r(NULL, " ", &keep)) {
    if (strcmp(word, "v4") == 0) {
      memset(&config->public_ip6, 0, sizeof config->public_ip6);
    } else if (strcmp(word, "v6") == 0) {
      memset(&config->public_ip4, 0, sizeof config->public_ip4);
    } else if (strcmp(word, "loopback") == 0) {
      config->public_ip4 = fzt_addr("127.0.0.1");
      config->public_ip6 = fzt_addr("::1");
    } else if (strcmp(word, "private") == 0) {
      config->public_ip4 = fzt_addr("10.0.0.1");
    } else if (strcmp(word, "static") == 0) {
      config->auth = FZR_AUTH_STATIC;
      config->users = users;
      config->user_count = 2;
    } else if (strcmp(word, "rest") == 0) {
      config->auth = FZR_AUTH_REST;
    } else if (strcmp(word, "callback") == 0 || strcmp(word, "signing-callback") == 0) {
      config->auth = FZR_AUTH_CALLBACK;
      config->auth_fn = same_as_name;
      config->auth_ctx = *word == 's' ? config : NULL;
    } else if (strcmp(word, "md5-only") == 0) {
      config->md5_keys_only = true;
    } else if (strcmp(word, "second") == 0) {
      config->auth_second_secret = SECOND_SECRET;
    } else if (starts(word, "ports=", &rest)) {
      config->lowest_port = 50000;
      config->highest_port = (uint16_t)(50000 + atoi(rest) - 1);
    } else if (starts(word, "channels=", &rest)) {
      config->max_channels_per_allocation = (uint32_t)atoi(rest);
    } else if (starts(word, "users=", &rest)) {
      config->max_allocations_per_user = (uint32_t)atoi(rest);
    } else if (starts(word, "bandwidth=", &rest)) {
      config->max_bandwidth_per_allocation = (uint64_t)atoi(rest);
    } else if (starts(word, "rate=", &rest)) {
      config->unauthenticated_rate = (uint32_t)atoi(rest);
    } else if (starts(word, "errors=", &rest)) {
      config->error_rate = (uint32_t)atoi(rest);
    } else if (starts(word, "proofs=", &rest)) {
      config->integrity_rate = (uint32_t)atoi(rest);
    } else if (strcmp(word, "channels-only") == 0) {
      config->relay_mode = FZR_RELAY_CHANNELS;
    } else if (starts(word, "permissions=", &rest)) {
      config->max_permissions_per_allocation = (uint32_t)atoi(rest);
    } else if (starts(word, "all-channels=", &rest)) {
      config->max_channels = (uint32_t)atoi(rest);
    } else if (strcmp(word, "mobility") == 0) {
      config->mobility = true;
    } else if (strcmp(word, "strict-families") == 0) {
      config->strict_families = true;
    } else if (starts(word, "alternate4=", &rest)) {
      config->alternate_ip4 = fzt_addr(rest);
    } else if (starts(word, "alternate6=", &rest)) {
      config->alternate_ip6 = fzt_addr(rest);
    } else if (starts(word, "over=", &rest)) {
      config->alternate_over = (uint32_t)atoi(rest);
    } else if (strcmp(word, "outlive") == 0) {
      config->allocations_outlive_credentials = true;
    } else if (starts(word, "realm=", &rest)) {
      s->realm = config->realm = "example.org";
    } else {
      ck_assert_str_eq(word, "dual");
    }
  }
}

bool fzt_row_passes(const fzt_row *row)
{
  static script s; /* large */
  memset(&s, 0, sizeof s);
  s.realm = "firezone";
  fzr_config config = fzt_config(&s.relay);
  configure(&s, &config, row->config);
  fzt_relay_init(&s.relay, &config);
  for (int i = 1; i <= CLIENTS; i++) {
    char addr[64];
    snprintf(addr, sizeof addr, "198.51.100.%d:%d", i, 40000 + i);
    fzt_client_init(&s.clients[i], addr);
  }
  s.client = &s.clients[1];
  run_steps(&s, row->steps);
  const bool passes = strcmp(s.outcome, row->expected) == 0;
  if (!passes)
    printf("%s [%s]\n  %s\n  expected: %s\n  got:      %s\n", row->section, row->config, row->steps,
           row->expected, s.outcome);
  fzt_relay_free(&s.relay);
  return passes;
}
