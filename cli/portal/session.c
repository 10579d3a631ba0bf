/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/session.h"

#include "common/decimal.h"

#include <stdio.h>
#include <string.h>

static fzr_time or_default(fzr_time given, fzr_time normal)
{
  return given != 0 ? given : normal;
}

portal_timing portal_timing_complete(const portal_timing *given)
{
  return (portal_timing){
      .heartbeat = or_default(given->heartbeat, 10 * FZR_SECOND),
      .join = or_default(given->join, 5 * FZR_SECOND),
      .init = or_default(given->init, 10 * FZR_SECOND),
      .connect = or_default(given->connect, 5 * FZR_SECOND),
      .attempt = or_default(given->attempt, 15 * FZR_SECOND),
      .backoff_first = or_default(given->backoff_first, NET_BACKOFF_FIRST),
      .backoff_max = or_default(given->backoff_max, NET_BACKOFF_MAX),
      .stable = or_default(given->stable, 10 * FZR_SECOND),
      .partition = or_default(given->partition, 86400 * FZR_SECOND),
      .close = or_default(given->close, 2 * FZR_SECOND),
      .lookup = or_default(given->lookup, 5 * FZR_SECOND),
  };
}

static fzr_time *timing_field(portal_timing *t, const char *name, size_t len)
{
  const struct {
    const char *name;
    fzr_time *field;
  } fields[] = {
      {"heartbeat", &t->heartbeat}, {"init", &t->init},
      {"join", &t->join},           {"connect", &t->connect},
      {"attempt", &t->attempt},     {"backoff-first", &t->backoff_first},
      {"partition", &t->partition}, {"backoff-max", &t->backoff_max},
      {"close", &t->close},         {"lookup", &t->lookup},
      {"stable", &t->stable},
  };
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
    if (strlen(fields[i].name) == len && memcmp(fields[i].name, name, len) == 0)
      return fields[i].field;
  return NULL;
}

/* Reads a number of up to seven digits and its unit, at the end or before a comma. */
static bool read_time(const char *text, fzr_time *out)
{
  static const struct {
    const char *name;
    fzr_time scale;
  } units[] = {{"ms", FZR_MILLISECOND}, {"s", FZR_SECOND}, {"m", 60 * FZR_SECOND}};
  const size_t digits = decimal_digits(text, strlen(text));
  const char *unit = text + digits;
  const size_t len = strcspn(unit, ",");
  uint64_t value;
  if (!decimal_read(text, digits, 9999999, &value))
    return false;
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    if (strlen(units[i].name) == len && memcmp(units[i].name, unit, len) == 0) {
      *out = value * units[i].scale;
      return *out != 0;
    }
  }
  return false;
}

bool portal_timing_parse(const char *text, portal_timing *timing)
{
  while (*text) {
    const size_t name = strcspn(text, "=");
    fzr_time *field = timing_field(timing, text, name);
    if (!field || text[name] != '=' || !read_time(text + name + 1, field))
      return false;
    text += strcspn(text, ",");
    text += *text == ',';
  }
  return true;
}

void session_init(session *s, const char *stamp_secret, const portal_timing *timing)
{
  memset(s, 0, sizeof *s);
  s->timing = portal_timing_complete(timing);
  net_backoff_init(&s->backoff, s->timing.backoff_first, s->timing.backoff_max);
  s->stamp_secret = stamp_secret;
  s->deadline = s->next_heartbeat = s->partition = FZR_TIME_NEVER;
}

static session_action *push(session *s, enum session_action_kind kind)
{
  if (s->first == s->count)
    s->first = s->count = 0;
  /* Each input gives two actions at most, and all of them are taken before the next. */
  if (s->count == SESSION_MAX_ACTIONS)
    s->count--;
  session_action *action = &s->actions[s->count++];
  action->kind = kind;
  action->delay = 0;
  action->repeated = false;
  action->text[0] = '\0';
  return action;
}

static void push_text(session *s, enum session_action_kind kind, const char *text)
{
  snprintf(push(s, kind)->text, SESSION_TEXT_MAX, "%s", text);
}

const session_action *session_next(session *s)
{
  return s->first < s->count ? &s->actions[s->first++] : NULL;
}

static bool is_connected(const session *s)
{
  return s->state == SESSION_JOINING || s->state == SESSION_JOINED;
}

static bool is_over(const session *s)
{
  return s->state == SESSION_CLOSING || s->state == SESSION_ENDED;
}

static void end(session *s)
{
  s->state = SESSION_ENDED;
  s->deadline = s->next_heartbeat = s->partition = FZR_TIME_NEVER;
}

/* Leaves whatever connection there is. */
static void leave(session *s)
{
  if (s->state == SESSION_CONNECTING || is_connected(s))
    push(s, SESSION_DROP);
  s->next_heartbeat = FZR_TIME_NEVER;
  s->unanswered = 0;
}

static void fatal(session *s, const char *why)
{
  leave(s);
  push_text(s, SESSION_FATAL, why);
  end(s);
}

static void fatal_reason(session *s, const char *what, const char *reason)
{
  char text[SESSION_TEXT_MAX];
  snprintf(text, sizeof text, "%s: %s", what, reason[0] != '\0' ? reason : "no reason given");
  fatal(s, text);
}

static void begin_attempt(session *s, fzr_time now)
{
  s->state = SESSION_CONNECTING;
  s->deadline = now + s->timing.attempt;
  s->attempts++;
  push(s, SESSION_CONNECT);
}

/* Whether |reason| is news since it was last reported; it is reported now. */
static bool is_news(session *s, const char *reason)
{
  char text[sizeof s->reported] = "";
  memcpy(text, reason, strnlen(reason, sizeof text - 1));
  if (strcmp(text, s->reported) == 0)
    return false;
  memcpy(s->reported, text, sizeof text);
  return true;
}

/* What a connection that has just ended says of the next ones. Those that die soon after the join let the waits grow on. The longer
 * one lasted, the shorter is the next wait: a proxy may end each of them after half a minute, and the relay must not be away for as
 * long. Returns whether it died soon. */
static bool died_young(session *s, fzr_time now)
{
  if (s->state != SESSION_JOINED)
    return false;
  net_backoff_relax(&s->backoff, (now - s->joined_at) / s->timing.stable);
  return now - s->joined_at < s->timing.stable;
}

/* Goes back to waiting, for at least |least|. |reason| is what |why| has in common with the same failure at another time. All relays
 * of a portal may have been told the same |least|: up to a quarter of it is added, so that they do not all come at its end. */
static void retry_for(session *s, const char *reason, const char *why, fzr_time least, fzr_time now,
                      uint32_t random)
{
  if (s->yields) {
    leave(s);
    end(s);
    return;
  }
  const bool was_joined = s->state == SESSION_JOINED;
  const bool young = died_young(s, now);
  leave(s);
  s->token_in_query = false;
  if (s->partition == FZR_TIME_NEVER)
    s->partition = now + s->timing.partition;
  const fzr_time wait = net_backoff_next(&s->backoff, random);
  const fzr_time told = least + (least >> 18) * (random >> 16);
  s->state = SESSION_WAITING;
  s->deadline = now + (least > 0 && told > wait ? told : wait);
  session_action *action = push(s, SESSION_RETRY);
  action->delay = s->deadline - now;
  action->repeated = !is_news(s, reason) && !was_joined;
  snprintf(action->text, sizeof action->text, "%s%s", why, young ? ", soon after it had taken the join" : "");
}

static void retry(session *s, const char *why, fzr_time now, uint32_t random)
{
  retry_for(s, why, why, 0, now, random);
}

void session_start(session *s, fzr_time now)
{
  if (s->state != SESSION_IDLE)
    return;
  s->partition = now + s->timing.partition;
  begin_attempt(s, now);
}

void session_switched(session *s, fzr_time now)
{
  if (s->state != SESSION_CONNECTING)
    return;
  s->state = SESSION_JOINING;
  s->taken |= !s->token_in_query;
  s->deadline = now + s->timing.join;
  s->join_ref = s->next_ref++;
  session_action *action = push(s, SESSION_SEND);
  text_out text = text_out_of(action->text, sizeof action->text);
  phoenix_write_join(s->stamp_secret, s->join_ref, &text);
}

void session_lost(session *s, const char *why, fzr_time now, uint32_t random)
{
  if (s->state == SESSION_CLOSING) {
    push(s, SESSION_DROP);
    end(s);
  } else if (s->state == SESSION_CONNECTING || is_connected(s)) {
    retry(s, why, now, random);
  }
}

/* Says what came in the place of a 101, in words for each kind. */
static void describe_refusal(int status, const char *detail, char text[SESSION_TEXT_MAX])
{
  const char *colon = detail[0] != '\0' ? ": " : "";
  if (status >= 300 && status < 400)
    snprintf(text, SESSION_TEXT_MAX,
             "the portal answered with status %d, a redirect to \"%s\"; redirects are not followed", status,
             detail);
  else if (status < 300)
    snprintf(text, SESSION_TEXT_MAX,
             "not a portal, but something else (a proxy, a login page) answered with status %d%s%s", status,
             colon, detail);
  else
    snprintf(text, SESSION_TEXT_MAX, "the portal answered with status %d%s%s", status, colon, detail);
}

void session_refused(session *s, int status, const char *detail, uint32_t retry_after, fzr_time now,
                     uint32_t random)
{
  char text[SESSION_TEXT_MAX], reason[32];
  if (s->state != SESSION_CONNECTING)
    return;
  describe_refusal(status, detail, text);
  snprintf(reason, sizeof reason, "status %d", status);
  if ((status == 401 || status == 400) && !s->taken && !s->token_in_query) {
    /* Older portals look into the query alone. It is not sent there unasked, and each time for one try, for it may not have been the
     * portal that refused: proxies write queries into their logs. */
    const size_t len = strlen(text);
    snprintf(text + len, sizeof text - len, "; the next try has the token in the URL as well");
    retry_for(s, s->query_told ? reason : text, text, 0, now, random);
    s->token_in_query = s->query_told = true;
  } else if (status == 401) {
    fatal(s, text);
  } else {
    retry_for(s, reason, text, retry_after * FZR_SECOND, now, random);
  }
}

static void joined(session *s, fzr_time now)
{
  s->state = SESSION_JOINED;
  s->ever_joined = true;
  s->query_told = false;
  s->joined_at = now;
  s->partition = FZR_TIME_NEVER;
  s->deadline = s->initialised ? FZR_TIME_NEVER : now + s->timing.init;
  s->next_heartbeat = now + s->timing.heartbeat;
  s->unanswered = 0;
  push(s, SESSION_UP);
}

/* A portal that has taken this relay before may be out of sorts: that is an outage as any other. */
static void rejoin_refused(session *s, const char *reason, fzr_time now, uint32_t random)
{
  char text[SESSION_TEXT_MAX];
  snprintf(text, sizeof text, "the portal refused to take this relay back: %s",
           reason[0] != '\0' ? reason : "no reason given");
  retry(s, text, now, random);
}

static void first_join_refused(session *s, const char *reason)
{
  if (strcmp(reason, "invalid_version") == 0)
    fatal(s, "the portal refused the login: invalid_version: it does not support this version of the relay");
  else if (strcmp(reason, "disabled") == 0)
    fatal(s, "the portal refused the login: disabled: relays like this one are switched off there");
  else
    fatal_reason(s, "the portal refused the login", reason);
}

static void send_heartbeat(session *s, fzr_time now)
{
  s->heartbeat_ref = s->next_ref++;
  s->unanswered++;
  s->next_heartbeat = now + s->timing.heartbeat;
  session_action *action = push(s, SESSION_SEND);
  text_out text = text_out_of(action->text, sizeof action->text);
  phoenix_write_heartbeat(s->heartbeat_ref, &text);
}

static void on_reply(session *s, const phoenix_message *message, fzr_time now, uint32_t random)
{
  const uint64_t later = s->heartbeat_ref - message->ref; /* heartbeats since the one that is answered */
  if (s->state == SESSION_JOINING && message->ref == s->join_ref) {
    if (message->kind == PHOENIX_REPLY_OK)
      joined(s, now);
    else if (s->ever_joined)
      rejoin_refused(s, message->reason, now, random);
    else
      first_join_refused(s, message->reason);
  } else if (later < s->unanswered) {
    s->unanswered = (unsigned)later;
  } else {
    push_text(s, SESSION_NOTE, "a reply that nothing waits for");
  }
}

static void on_init(session *s)
{
  if (s->initialised)
    return;
  s->initialised = true;
  if (s->state == SESSION_JOINED)
    s->deadline = FZR_TIME_NEVER;
  push(s, SESSION_INIT);
}

/* A portal that took the join and then forgets to say init must not keep a relay idle for ever. */
static void init_overdue(session *s)
{
  s->initialised = true;
  s->deadline = FZR_TIME_NEVER;
  snprintf(push(s, SESSION_INIT)->text, SESSION_TEXT_MAX,
           "the portal took the join, but said nothing of init for %llu s",
           (unsigned long long)(s->timing.init / FZR_SECOND));
}

void session_message(session *s, const phoenix_message *message, fzr_time now, uint32_t random)
{
  if (!is_connected(s))
    return;
  switch (message->kind) {
  case PHOENIX_REPLY_OK:
  case PHOENIX_REPLY_ERROR:
    if (message->has_ref)
      on_reply(s, message, now, random);
    break;
  case PHOENIX_INIT:
    on_init(s);
    break;
  case PHOENIX_CLOSED:
    retry(s, "the portal closed the channel", now, random);
    break;
  case PHOENIX_DISCONNECT:
    if (strcmp(message->reason, "token_expired") == 0)
      fatal(s, "the token has expired (token_expired): the relay needs a new one");
    else
      push_text(s, SESSION_NOTE, "a disconnect whose reason is not known");
    break;
  default:
    push_text(s, SESSION_NOTE, "an event that is not known");
    break;
  }
}

static void partition_over(session *s)
{
  char text[SESSION_TEXT_MAX];
  snprintf(text, sizeof text, "no connection to the portal for %llu s (--max-partition-time)",
           (unsigned long long)(s->timing.partition / FZR_SECOND));
  fatal(s, text);
}

static void heartbeat_due(session *s, fzr_time now, uint32_t random)
{
  if (s->unanswered == SESSION_UNANSWERED_MAX)
    retry(s, "the portal did not answer three heartbeats", now, random);
  else
    send_heartbeat(s, now);
}

void session_timeout(session *s, fzr_time now, uint32_t random)
{
  if (now >= s->partition) {
    partition_over(s);
  } else if (now >= s->next_heartbeat) {
    heartbeat_due(s, now, random);
  } else if (now >= s->deadline) {
    if (s->state == SESSION_WAITING)
      begin_attempt(s, now);
    else if (s->state == SESSION_CONNECTING)
      retry(s, "connecting to the portal took too long", now, random);
    else if (s->state == SESSION_JOINING)
      retry(s, "the portal did not answer the join in time", now, random);
    else if (s->state == SESSION_JOINED)
      init_overdue(s);
    else if (s->state == SESSION_CLOSING)
      session_lost(s, "", now, random);
  }
}

void session_yield(session *s)
{
  s->yields = true;
  if (!is_connected(s) && !is_over(s)) {
    leave(s);
    end(s);
  }
}

void session_shutdown(session *s, fzr_time now)
{
  if (is_over(s))
    return;
  if (is_connected(s)) {
    push(s, SESSION_CLOSE);
    end(s);
    s->state = SESSION_CLOSING;
    s->deadline = now + s->timing.close;
  } else {
    leave(s);
    end(s);
  }
}

fzr_time session_deadline(const session *s)
{
  fzr_time first = s->deadline;
  if (s->next_heartbeat < first)
    first = s->next_heartbeat;
  return s->partition < first ? s->partition : first;
}
