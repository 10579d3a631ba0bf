/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include "firezone_relay/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RETRY_FIRST (200 * FZR_MILLISECOND)
#define MAX_TRIES   6u

fzr_time bench_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (fzr_time)now.tv_sec * FZR_SECOND + (fzr_time)now.tv_nsec;
}

static int open_socket(session *s, const fzr_addr *server)
{
  fzr_sockaddr name;
  const socklen_t len = fzr_addr_to_sockaddr(server, &name);
  s->fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return s->fd < 0 ? -1 : connect(s->fd, &name.any, len);
}

static int open_wire(session *s, const fzr_addr *server)
{
  s->wire = wire_open(server);
  if (!s->wire)
    return -1;
  s->fd = wire_fd(s->wire);
  return wire_wait(s->wire);
}

int session_open(session *s, const fzr_addr *server, const credential *c, uint32_t id)
{
  memset(s, 0, sizeof *s);
  s->credential = c;
  if (*c->secret)
    snprintf(s->user, sizeof s->user, "%llu:fzr-bench-%ld-%u", (unsigned long long)c->expiry, (long)getpid(),
             id);
  s->fd = -1;
  if ((server->transport == FZR_TRANSPORT_UDP ? open_socket(s, server) : open_wire(s, server)) ||
      getrandom(s->txid, sizeof s->txid, 0) != (ssize_t)sizeof s->txid) {
    session_close(s);
    return -1;
  }
  memcpy(s->txid, &id, sizeof id);
  return 0;
}

void session_tell_error(void)
{
  fprintf(stderr, "fzr-bench: socket: %s\n",
          errno == EPROTO ? "the server spoke no TLS in time" : strerror(errno));
}

void session_close(session *s)
{
  if (s->wire)
    wire_close(s->wire);
  else if (s->fd >= 0)
    close(s->fd);
  s->wire = NULL;
  s->fd = -1;
}

static const char *username_of(const session *s)
{
  return *s->user ? s->user : s->credential->username;
}

static void make_key(session *s)
{
  char stamp[FZR_STAMP_PASSWORD_LEN + 1];
  const credential *c = s->credential;
  const char *name = username_of(s), *password = c->password, *salt = strchr(name, ':');
  if (*s->user && salt++) {
    fzr_auth_stamp_password(c->secret, c->expiry, (const uint8_t *)salt, strlen(salt), stamp, sizeof stamp);
    password = stamp;
  }
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)name, strlen(name), s->realm, password, s->key);
}

/* A new transaction id: the last bytes count up. */
static void new_transaction(session *s, enum session_state state, fzr_time now)
{
  uint64_t counter;
  memcpy(&counter, s->txid + 4, sizeof counter);
  counter += 0x9e3779b97f4a7c15u;
  memcpy(s->txid + 4, &counter, sizeof counter);
  s->state = state;
  s->sent_at = now;
  s->tries = 1;
}

static uint16_t method_of(const session *s)
{
  switch (s->state) {
  case SESSION_ALLOCATING:
    return FZR_STUN_ALLOCATE;
  case SESSION_PERMITTING:
    return FZR_STUN_CREATE_PERMISSION;
  case SESSION_BINDING:
    return FZR_STUN_CHANNEL_BIND;
  default:
    return FZR_STUN_REFRESH;
  }
}

static void send_request(session *s)
{
  uint8_t buffer[1500];
  fzr_stun_builder b;
  fzr_stun_build(&b, buffer, sizeof buffer, method_of(s), FZR_STUN_REQUEST, s->txid);
  if (s->state == SESSION_ALLOCATING) {
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    if (s->relayed.family == FZR_FAMILY_IPV6)
      fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, 2u << 24);
    if (s->both)
      fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  } else if (s->state == SESSION_BINDING || s->state == SESSION_PERMITTING) {
    if (s->state == SESSION_BINDING)
      fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)s->channel << 16);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &s->peer);
  } else {
    fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, s->lifetime);
  }
  if (s->nonce_len) {
    fzr_stun_add(&b, FZR_ATTR_USERNAME, username_of(s), strlen(username_of(s)));
    fzr_stun_add(&b, FZR_ATTR_REALM, s->realm, strlen(s->realm));
    fzr_stun_add(&b, FZR_ATTR_NONCE, s->nonce, s->nonce_len);
    fzr_stun_add_integrity(&b, s->key, sizeof s->key);
  }
  const int len = fzr_stun_build_finish(&b);
  s->requests++;
  /* From now on, whatever becomes of the answer. */
  s->allocated = s->allocated || (s->state == SESSION_ALLOCATING && s->has_key);
  /* What is not sent now is sent again by the timer, as if it had been lost. */
  if (len <= 0)
    return;
  if (s->wire
          ? !wire_send(s->wire, buffer, (size_t)len, 1)
          : send(s->fd, buffer, (size_t)len, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ECONNREFUSED)
    s->tries = MAX_TRIES;
}

void session_allocate(session *s, bool ipv6, fzr_time now)
{
  s->relayed.family = ipv6 ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
  new_transaction(s, SESSION_ALLOCATING, now);
  send_request(s);
}

void session_bind(session *s, uint16_t channel, const fzr_addr *peer, fzr_time now)
{
  s->channel = channel;
  s->peer = *peer;
  new_transaction(s, SESSION_BINDING, now);
  send_request(s);
}

void session_permit(session *s, const fzr_addr *peer, fzr_time now)
{
  s->peer = *peer;
  new_transaction(s, SESSION_PERMITTING, now);
  send_request(s);
}

void session_refresh(session *s, uint32_t lifetime, fzr_time now)
{
  s->lifetime = lifetime;
  new_transaction(s, lifetime ? SESSION_REFRESHING : SESSION_DELETING, now);
  send_request(s);
}

/* Takes realm and nonce of a 401 or 438 and asks again. */
static bool take_challenge(session *s, const fzr_stun_msg *msg, fzr_time now)
{
  fzr_stun_attr realm, nonce;
  if (!fzr_stun_get(msg, FZR_ATTR_NONCE, &nonce) || nonce.len > sizeof s->nonce)
    return false;
  if (fzr_stun_get(msg, FZR_ATTR_REALM, &realm) && realm.len < sizeof s->realm) {
    memcpy(s->realm, realm.value, realm.len);
    s->realm[realm.len] = 0;
  }
  memcpy(s->nonce, nonce.value, nonce.len);
  s->nonce_len = nonce.len;
  make_key(s);
  s->has_key = true;
  new_transaction(s, s->state, now);
  send_request(s);
  return true;
}

static void fail(session *s, unsigned code)
{
  if (s->state == SESSION_ALLOCATING && code)
    s->allocated = false;
  s->error = code;
  s->state = SESSION_FAILED;
}

static void succeed(session *s, const fzr_stun_msg *msg)
{
  if (s->state == SESSION_ALLOCATING && (!fzr_stun_get_addr(msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &s->relayed) ||
                                         !fzr_stun_get_addr(msg, FZR_ATTR_XOR_MAPPED_ADDRESS, &s->mapped))) {
    fail(s, 0);
    return;
  }
  s->allocated = s->state != SESSION_DELETING;
  s->state = s->allocated ? SESSION_READY : SESSION_GONE;
}

void session_answer(session *s, const uint8_t *data, size_t len, fzr_time now)
{
  fzr_stun_msg msg;
  if (fzr_stun_read(data, len, &msg) || memcmp(fzr_stun_txid(&msg), s->txid, sizeof s->txid) != 0)
    return;
  if (msg.method != method_of(s))
    return;
  if (msg.cls == FZR_STUN_SUCCESS && (!s->has_key || fzr_stun_verify(&msg, s->key, FZR_STUN_KEY_LEN))) {
    succeed(s, &msg);
  } else if (msg.cls == FZR_STUN_ERROR) {
    const unsigned code = fzr_stun_error_code(&msg);
    const bool challenge = (code == 401 && !s->nonce_len) || code == 438;
    if (!challenge || !take_challenge(s, &msg, now))
      fail(s, code);
  }
}

void session_tick(session *s, fzr_time now)
{
  const bool waits = s->state == SESSION_ALLOCATING || s->state == SESSION_PERMITTING ||
                     s->state == SESSION_BINDING || s->state == SESSION_REFRESHING ||
                     s->state == SESSION_DELETING;
  if (!waits || now < s->sent_at + (RETRY_FIRST << (s->tries - 1)))
    return;
  if (s->tries >= MAX_TRIES) {
    fail(s, 0);
    return;
  }
  s->tries++;
  s->sent_at = now;
  if (!s->wire)
    send_request(s);
}

typedef struct reading {
  session *session;
  fzr_time now;
} reading;

static void take_message(void *ctx, const uint8_t *data, uint32_t len)
{
  const reading *r = ctx;
  session_answer(r->session, data, len, r->now);
}

void session_read(session *s, fzr_time now)
{
  uint8_t buffer[2048];
  if (s->wire) {
    reading r = {s, now};
    if (!wire_read(s->wire, take_message, &r) && s->state != SESSION_GONE)
      fail(s, 0);
    return;
  }
  for (;;) {
    const ssize_t n = recv(s->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == ECONNREFUSED || errno == EINTR))
      continue;
    if (n < 0)
      return;
    session_answer(s, buffer, (size_t)n, now);
  }
}
