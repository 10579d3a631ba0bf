/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/portal.h"

#include "common/clock.h"
#include "common/strip.h"
#include "log/log.h"
#include "net/resolve.h"
#include "portal/conn.h"
#include "portal/retry_after.h"
#include "portal/upgrade.h"
#include "portal/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/platform_util.h>

#define TARGET         "portal"
#define TOKEN_MAX      3072 /* three times this, escaped, fits into a request beside all else */
#define BODY_TIMEOUT   FZR_SECOND
#define DETAIL_MAX     640
#define CLOSE_NORMALLY 1000

struct portal {
  struct event_base *base;
  portal_callbacks callbacks;
  portal_url url;
  portal_login login; /* its strings are those below */
  char token[TOKEN_MAX + 1];
  char name[256];
  char version[64];
  char stamp_secret[256];
  char shown_url[PORTAL_URL_MAX + 300];
  session session;
  portal_json *json;
  net_resolver *resolver;
  portal_conn *conn;
  net_trust *trust; /* during a handshake */
  net_tls_memory tls_memory;
  struct event *timer;
  struct event *late;            /* fires when a look-up takes too long */
  fzr_addr addrs[NET_MAX_ADDRS]; /* of the last look-up that succeeded */
  size_t addr_count;
  fzr_addr good[NET_MAX_ADDRS]; /* those of the last attempt that joined, the address that did so first */
  size_t good_count;
  fzr_addr shunned; /* connected, but came to nothing: tried last next time */
  bool joined;      /* over the connection that there is */
  bool acting;
  bool lookup_told; /* that the name can't be looked up, since the relay was last joined */
};

static uint32_t random_bits(void)
{
  uint32_t bits = 0;
  (void)!getrandom(&bits, sizeof bits, 0);
  return bits;
}

/* Copies what the portal said, without what it was told. */
static void clean(const portal *p, const char *said, char out[DETAIL_MAX])
{
  char encoded[TOKEN_MAX * 3 + 1];
  text_out text = text_out_of(encoded, sizeof encoded);
  text_form(&text, p->token);
  snprintf(out, DETAIL_MAX, "%s", said);
  portal_redact(out, p->token);
  portal_redact(out, encoded);
  portal_redact(out, p->stamp_secret);
  mbedtls_platform_zeroize(encoded, sizeof encoded);
}

static void act(portal *p);

/* --- the attempt --- */

static void drop_attempt(portal *p)
{
  event_del(p->late);
  net_resolver_cancel(p->resolver);
  if (p->conn && !p->joined)
    p->shunned = portal_conn_peer(p->conn);
  p->joined = false;
  portal_conn_free(p->conn);
  p->conn = NULL;
  net_trust_free(p->trust);
  p->trust = NULL;
}

static void attempt_failed(portal *p, const char *why)
{
  char text[DETAIL_MAX];
  clean(p, why, text);
  session_lost(&p->session, text, monotonic_now(), random_bits());
  act(p);
}

static void on_open(void *ctx)
{
  portal *p = ctx;
  net_trust_free(p->trust);
  p->trust = NULL;
  session_switched(&p->session, monotonic_now());
  act(p);
}

static void on_refused(void *ctx, int status, const char *detail, const char *retry_after)
{
  portal *p = ctx;
  char text[DETAIL_MAX];
  uint32_t seconds = 0;
  portal_retry_after(retry_after, strlen(retry_after), (int64_t)time(NULL), &seconds);
  clean(p, detail, text);
  session_refused(&p->session, status, text, seconds, monotonic_now(), random_bits());
  act(p);
}

static void on_text(void *ctx, const char *data, size_t len)
{
  portal *p = ctx;
  phoenix_message message;
  char text[DETAIL_MAX];
  const char *problem = phoenix_read(p->json, data, len, &message);
  if (problem) {
    log_debug(TARGET, "ignored a message of %zu bytes: %s", len, problem);
    return;
  }
  if (log_enabled(FZR_LOG_DEBUG, TARGET)) {
    clean(p, message.event, text);
    const log_field field = {"event", LOG_BYTES, {.bytes = {(const uint8_t *)text, strlen(text)}}};
    log_write(FZR_LOG_DEBUG, TARGET, "message from the portal", &field, 1);
  }
  clean(p, message.reason, text);
  snprintf(message.reason, sizeof message.reason, "%.*s", (int)sizeof message.reason - 1, text);
  session_message(&p->session, &message, monotonic_now(), random_bits());
  act(p);
}

static void on_binary(void *ctx, size_t len)
{
  (void)ctx;
  log_debug(TARGET, "ignored a binary message of %zu bytes", len);
}

static void on_lost(void *ctx, const char *why)
{
  attempt_failed(ctx, why);
}

/* Moves the shunned address, if it is among them, behind all others. */
static void shun(const portal *p, fzr_addr *addrs, size_t count)
{
  for (size_t i = 0; i + 1 < count; i++) {
    if (fzr_addr_equal(&addrs[i], &p->shunned)) {
      const fzr_addr moved = addrs[i];
      memmove(&addrs[i], &addrs[i + 1], (count - i - 1) * sizeof addrs[0]);
      addrs[count - 1] = moved;
      return;
    }
  }
}

static void connect_to(portal *p, const fzr_addr *addrs, size_t count)
{
  uint8_t nonce[16];
  char key[PORTAL_WS_KEY_LEN + 1];
  char request[PORTAL_REQUEST_MAX];
  char error[NET_TLS_ERROR_MAX];
  fzr_addr ordered[NET_MAX_ADDRS];
  memcpy(ordered, addrs, count * sizeof addrs[0]);
  shun(p, ordered, count);
  if (p->url.tls && (p->trust = net_trust_load(getenv, error)) == NULL) {
    attempt_failed(p, error);
    return;
  }
  (void)!getrandom(nonce, sizeof nonce, 0);
  portal_upgrade_key(nonce, key);
  text_out text = text_out_of(request, sizeof request);
  p->login.token_in_query = p->session.token_in_query;
  portal_upgrade_request(&p->url, &p->login, p->version, key, &text);
  const portal_conn_config config = {
      .base = p->base,
      .url = &p->url,
      .trust = p->trust,
      .tls_memory = &p->tls_memory,
      .request = request,
      .key = key,
      .addrs = ordered,
      .addr_count = count,
      .connect_timeout = p->session.timing.connect,
      .body_timeout = BODY_TIMEOUT,
      .ctx = p,
      .on_open = on_open,
      .on_refused = on_refused,
      .on_text = on_text,
      .on_binary = on_binary,
      .on_lost = on_lost,
  };
  p->conn = portal_conn_new(&config);
  mbedtls_platform_zeroize(request, sizeof request);
  if (!p->conn)
    attempt_failed(p, "out of memory");
}

static void warn_of_lookup(portal *p, const char *what)
{
  if (!p->lookup_told)
    log_warn(TARGET, "%s; trying the addresses that worked last", what);
  p->lookup_told = true;
}

static void on_resolved(void *ctx, const fzr_addr *addrs, size_t count, const char *error)
{
  portal *p = ctx;
  char text[DETAIL_MAX];
  event_del(p->late);
  if (count > 0) {
    memcpy(p->addrs, addrs, count * sizeof addrs[0]);
    p->addr_count = count;
    connect_to(p, p->addrs, count);
    return;
  }
  snprintf(text, sizeof text, "cannot look up %s: %s", p->url.host, error);
  if (p->good_count == 0) {
    attempt_failed(p, text);
    return;
  }
  warn_of_lookup(p, text);
  connect_to(p, p->good, p->good_count);
}

/* A name server that says nothing is no better than one that fails: where there are addresses, they are tried. */
static void on_late(evutil_socket_t fd, short what, void *ctx)
{
  portal *p = ctx;
  (void)fd;
  (void)what;
  net_resolver_cancel(p->resolver);
  char text[DETAIL_MAX];
  snprintf(text, sizeof text, "looking up %s takes long", p->url.host);
  warn_of_lookup(p, text);
  connect_to(p, p->good, p->good_count);
}

static void begin_attempt(portal *p)
{
  fzr_addr literal;
  log_debug(TARGET, "connecting to %s", p->shown_url);
  if (p->url.host_is_ip && fzr_addr_parse(p->url.host, &literal) == 0) {
    literal.port = p->url.port;
    on_resolved(p, &literal, 1, NULL);
  } else if (net_resolver_start(p->resolver, on_resolved, p) != 0) {
    on_resolved(p, NULL, 0, strerror(errno));
  } else if (p->good_count > 0) {
    const struct timeval tv = timeval_of(p->session.timing.lookup);
    event_add(p->late, &tv);
  }
}

/* The list that led to a join is kept for when the name can't be looked up, with the address that did it first. */
static void remember_good(portal *p)
{
  const fzr_addr peer = portal_conn_peer(p->conn);
  p->shunned = (fzr_addr){0};
  if (p->addr_count == 0)
    return;
  p->good[0] = peer;
  p->good_count = 1;
  for (size_t i = 0; i < p->addr_count && p->good_count < NET_MAX_ADDRS; i++)
    if (!fzr_addr_equal(&p->addrs[i], &peer))
      p->good[p->good_count++] = p->addrs[i];
}

/* --- what the session says is to be done --- */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
  portal *p = ctx;
  (void)fd;
  (void)what;
  if (p->session.state == SESSION_IDLE)
    session_start(&p->session, monotonic_now());
  else
    session_timeout(&p->session, monotonic_now(), random_bits());
  act(p);
}

static void set_timer(portal *p)
{
  const fzr_time deadline = session_deadline(&p->session);
  const fzr_time now = monotonic_now();
  event_del(p->timer);
  if (deadline == FZR_TIME_NEVER)
    return;
  /* Rounded up: a timer that fires early would find nothing due. */
  const fzr_time wait = deadline > now ? deadline - now + 999 : 0;
  const struct timeval tv = timeval_of(wait);
  event_add(p->timer, &tv);
}

static void went_up(portal *p)
{
  char addr[FZR_ADDR_TEXT_MAX] = "";
  const fzr_addr peer = portal_conn_peer(p->conn);
  p->joined = true;
  p->lookup_told = false;
  remember_good(p);
  fzr_addr_format(&peer, true, addr, sizeof addr);
  log_info(TARGET, "connected to the portal %s at %s", p->shown_url, addr);
}

/* Once for each reason: an outage may last for hours. */
static void log_retry(const session_action *action)
{
  const double seconds = (double)action->delay / (double)FZR_SECOND;
  if (action->repeated)
    log_debug(TARGET, "%s; next try in %.1f s", action->text, seconds);
  else
    log_warn(TARGET, "%s; next try in %.1f s", action->text, seconds);
}

static void act_on(portal *p, const session_action *action)
{
  switch (action->kind) {
  case SESSION_CONNECT:
    begin_attempt(p);
    break;
  case SESSION_SEND:
    if (p->conn)
      portal_conn_send(p->conn, action->text, strlen(action->text));
    break;
  case SESSION_CLOSE:
    if (p->conn)
      portal_conn_close(p->conn, CLOSE_NORMALLY);
    break;
  case SESSION_DROP:
    drop_attempt(p);
    break;
  case SESSION_UP:
    went_up(p);
    break;
  case SESSION_INIT:
    if (action->text[0])
      log_warn(TARGET, "%s: relaying begins all the same", action->text);
    else
      log_info(TARGET, "the portal says that relaying may begin");
    p->callbacks.on_init(p->callbacks.ctx);
    break;
  case SESSION_RETRY:
    log_retry(action);
    break;
  case SESSION_FATAL:
    p->callbacks.on_fatal(p->callbacks.ctx, action->text);
    break;
  case SESSION_NOTE:
    log_debug(TARGET, "ignored %s", action->text);
    break;
  default:
    break;
  }
}

/* Does all that is to be done. An action may give the session new input, whose actions are then done by the outermost call. */
static void act(portal *p)
{
  if (p->acting)
    return;
  p->acting = true;
  for (const session_action *next = session_next(&p->session); next; next = session_next(&p->session)) {
    session_action action = *next;
    act_on(p, &action);
    mbedtls_platform_zeroize(&action, sizeof action); /* a join holds the secret */
  }
  p->acting = false;
  set_timer(p);
}

/* --- the public face --- */

const char *portal_check_url(const char *url)
{
  portal_url parsed;
  return portal_url_parse(url, &parsed);
}

static bool is_header_text(const char *text)
{
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f)
      return false;
  return true;
}

bool portal_token_is_usable(const char *token)
{
  const stripped s = strip(token, strlen(token));
  size_t len = 0;
  for (size_t i = 0; i < s.len; i++) {
    const char c = s.text[i];
    if (c == '\r' || c == '\n')
      continue;
    if (c <= ' ' || c >= 0x7f || len++ == TOKEN_MAX)
      return false;
  }
  return len > 0;
}

/* Copies a token without what does not belong to it. */
static bool copy_token(portal *p, const char *token)
{
  size_t len = 0;
  if (!portal_token_is_usable(token))
    return false;
  const stripped s = strip(token, strlen(token));
  for (size_t i = 0; i < s.len; i++)
    if (s.text[i] != '\r' && s.text[i] != '\n')
      p->token[len++] = s.text[i];
  p->token[len] = '\0';
  return true;
}

static bool copy(char *out, size_t cap, const char *text)
{
  const int len = snprintf(out, cap, "%s", text);
  return len >= 0 && (size_t)len < cap;
}

/* Returns NULL, or what is wrong with the options. */
static const char *take_options(portal *p, const portal_options *o)
{
  text_out shown = text_out_of(p->shown_url, sizeof p->shown_url);
  if (portal_url_parse(o->api_url ? o->api_url : PORTAL_DEFAULT_URL, &p->url))
    return "--api-url: expected a URL such as " PORTAL_DEFAULT_URL;
  portal_url_display(&p->url, &shown);
  if (!copy_token(p, o->token))
    return "FIREZONE_TOKEN: invalid value (not shown): expected " PORTAL_TOKEN_EXPECTED;
  if (!copy(p->name, sizeof p->name, o->name ? o->name : "") ||
      !copy(p->version, sizeof p->version, o->version) || !is_header_text(p->version))
    return "FIREZONE_NAME: expected at most 255 bytes";
  if (!copy(p->stamp_secret, sizeof p->stamp_secret, o->stamp_secret))
    return "the stamp secret is longer than 255 bytes";
  p->login = (portal_login){.token = p->token,
                            .name = p->name[0] != '\0' ? p->name : NULL,
                            .ipv4 = o->ipv4,
                            .ipv6 = o->ipv6,
                            .port = o->port};
  session_init(&p->session, p->stamp_secret, &o->timing);
  return NULL;
}

/* Whether an upgrade request fits, and there is something to verify the portal by: better known now than in the first attempt. */
static const char *try_out(const portal *p, char error[NET_TLS_ERROR_MAX])
{
  char request[PORTAL_REQUEST_MAX];
  text_out text = text_out_of(request, sizeof request);
  portal_login largest = p->login;
  largest.token_in_query = true;
  portal_upgrade_request(&p->url, &largest, p->version, "0123456789abcdef01234==", &text);
  mbedtls_platform_zeroize(request, sizeof request);
  if (text.overflow)
    return "--api-url, FIREZONE_TOKEN, FIREZONE_NAME: expected less than 16 KiB together, escaped for a URL";
  if (!p->url.tls)
    return NULL;
  net_trust *trust = net_trust_load(getenv, error);
  net_trust_free(trust);
  return trust ? NULL : error;
}

portal *portal_start(const portal_options *options, struct event_base *base,
                     const portal_callbacks *callbacks, char error[PORTAL_ERROR_MAX])
{
  char trust_error[NET_TLS_ERROR_MAX];
  const struct timeval at_once = {0, 0};
  portal *p = calloc(1, sizeof *p);
  const char *problem = p ? take_options(p, options) : "out of memory";
  if (!problem)
    problem = try_out(p, trust_error);
  if (!problem) {
    p->base = base;
    p->callbacks = *callbacks;
    p->json = portal_json_new();
    p->resolver = net_resolver_new(base, p->url.host, p->url.port, NULL);
    p->timer = evtimer_new(base, on_timer, p);
    p->late = evtimer_new(base, on_late, p);
    if (!p->json || !p->resolver || !p->timer || !p->late || event_add(p->timer, &at_once) != 0)
      problem = "out of memory";
  }
  if (!problem)
    return p;
  snprintf(error, PORTAL_ERROR_MAX, "%s", problem);
  portal_free(p);
  return NULL;
}

void portal_shutdown(portal *p)
{
  session_shutdown(&p->session, monotonic_now());
  act(p);
}

void portal_yield(portal *p)
{
  session_yield(&p->session);
  act(p);
}

bool portal_is_closed(const portal *p)
{
  return p->session.state == SESSION_ENDED;
}

void portal_free(portal *p)
{
  if (!p)
    return;
  if (p->resolver && p->late)
    drop_attempt(p);
  net_resolver_free(p->resolver);
  portal_json_free(p->json);
  if (p->timer)
    event_free(p->timer);
  if (p->late)
    event_free(p->late);
  mbedtls_platform_zeroize(p, sizeof *p);
  free(p);
}

bool portal_is_connected(const portal *p)
{
  return p != NULL && p->session.state == SESSION_JOINED;
}
