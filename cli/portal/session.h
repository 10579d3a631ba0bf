/* SPDX-License-Identifier: Apache-2.0 */
/* What a relay does about its portal, as a pure state machine: events and the time go in, actions come out. It reads no clock,
 * draws no randomness and touches no socket.
 *
 *   IDLE -start-> CONNECTING -switched-> JOINING -reply-> JOINED
 *                   ^   |                   |               |
 *                   |   +------ lost -------+------ lost ---+
 *                WAITING <--------------------------------- '
 *   any -fatal-> ENDED;  any -shutdown-> CLOSING (if a WebSocket is open) -> ENDED
 */
#ifndef PORTAL_SESSION_H
#define PORTAL_SESSION_H

#include "firezone_relay/types.h"
#include "net/backoff.h"
#include "portal/phoenix.h"

/* Durations; 0 means the default. */
typedef struct portal_timing {
  fzr_time heartbeat;     /* between heartbeats: 10 s */
  fzr_time join;          /* for the reply to the join: 5 s */
  fzr_time init;          /* from that reply until relaying begins without the portal's word: 10 s */
  fzr_time connect;       /* for the TCP connect to one address: 5 s */
  fzr_time attempt;       /* from the look-up of the name to the 101: 15 s */
  fzr_time backoff_first; /* 500 ms */
  fzr_time backoff_max;   /* 60 s */
  fzr_time stable; /* the wait for the next try is halved for each so much that a connection lasted: 10 s */
  fzr_time partition; /* without a connection, until the process gives up: 24 h */
  fzr_time close;     /* for the answer to our close: 2 s */
  fzr_time lookup;    /* for the name, if there are addresses that worked last: 5 s */
} portal_timing;

/* |given| with the defaults filled in. */
portal_timing portal_timing_complete(const portal_timing *given);

/* Reads "heartbeat=200ms,backoff-first=50ms,partition=2s" into |timing|: names as above, with hyphens, numbers with ms, s or m. It is
 * what the relay's hidden variable PORTAL_TIMING holds, with which tests need not wait for minutes. Returns whether all of it was
 * understood. */
bool portal_timing_parse(const char *text, portal_timing *timing);

/* Room for a join: a secret of 255 bytes, each of them escaped. */
#define SESSION_TEXT_MAX 1792

/* So many heartbeats without a reply, and the next one due: the connection is dead. */
#define SESSION_UNANSWERED_MAX 3

enum session_action_kind {
  SESSION_NONE,
  SESSION_CONNECT, /* begin an attempt: look up, connect, upgrade */
  SESSION_SEND,    /* send |text| as a text message */
  SESSION_CLOSE,   /* send a close with code 1000, then wait for the peer's */
  SESSION_DROP,    /* close the connection, or abandon the attempt, at once */
  SESSION_UP,      /* joined */
  SESSION_INIT, /* relaying may begin; once at most. |text|: "", or why it does although the portal has not said so */
  SESSION_RETRY, /* for the log: |text| says why, |delay| when the next attempt is, |repeated| that it was said before */
  SESSION_FATAL, /* the process must end with status 1 and |text| */
  SESSION_NOTE   /* for the log, at debug */
};

typedef struct session_action {
  enum session_action_kind kind;
  fzr_time delay;
  bool repeated;
  char text[SESSION_TEXT_MAX];
} session_action;

enum session_state {
  SESSION_IDLE,
  SESSION_WAITING,
  SESSION_CONNECTING,
  SESSION_JOINING,
  SESSION_JOINED,
  SESSION_CLOSING,
  SESSION_ENDED
};

#define SESSION_MAX_ACTIONS 4

typedef struct session {
  enum session_state state;
  portal_timing timing;
  net_backoff backoff;
  const char *stamp_secret;
  bool initialised;
  bool yields; /* another process joins in this one's place: a connection that is lost is the last one */
  bool taken;  /* the portal has opened a WebSocket for a token in the header alone */
  bool token_in_query; /* in this attempt, or the next one, it is there as well as in the header */
  bool query_told;     /* that it will be there, since it last joined: an outage may last for hours */
  bool ever_joined;
  unsigned unanswered; /* heartbeats, up to the last one */
  uint64_t next_ref;
  uint64_t join_ref;
  uint64_t heartbeat_ref;
  fzr_time deadline;       /* of the state: retry, attempt, join, init, close; or NEVER */
  fzr_time next_heartbeat; /* JOINED: when to send one */
  fzr_time joined_at;
  fzr_time partition; /* when to give up; NEVER while joined */
  uint64_t attempts;
  char reported[256]; /* why it is away, as it was last said */
  session_action actions[SESSION_MAX_ACTIONS];
  size_t first, count;
} session;

/* |stamp_secret| is kept by reference and must outlive the session; |timing| is copied. */
void session_init(session *s, const char *stamp_secret, const portal_timing *timing);

/* Takes the next action, in order; returns whether there was one. After each input, all have to be taken. Valid until the next
 * call of any function here. */
const session_action *session_next(session *s);

/* Inputs. |random| is any 32 random bits; used only when a retry is scheduled. */
void session_start(session *s, fzr_time now);
/* The WebSocket is open. */
void session_switched(session *s, fzr_time now);
/* The attempt failed, or an open connection ended; |why| is one line. */
void session_lost(session *s, const char *why, fzr_time now, uint32_t random);
/* The portal, or what stands before it, answered the upgrade with another |status| than 101. 401 ends the process, but where the token
 * was in the header alone and never taken so: then the next attempt has it in the query, too. All else is an outage. |detail| is the
 * body's reason, or the Location of a 3xx; |retry_after| is in seconds, 0 if none was given. */
void session_refused(session *s, int status, const char *detail, uint32_t retry_after, fzr_time now,
                     uint32_t random);
void session_message(session *s, const phoenix_message *message, fzr_time now, uint32_t random);
/* A time that session_deadline named has come. */
void session_timeout(session *s, fzr_time now, uint32_t random);
/* Another process joins with the same secret, and the portal ends this one's connection for that: none is begun any more. */
void session_yield(session *s);
/* Leave the portal for good. */
void session_shutdown(session *s, fzr_time now);

/* When session_timeout is due; FZR_TIME_NEVER if at no time. */
fzr_time session_deadline(const session *s);

#endif
