/* SPDX-License-Identifier: Apache-2.0 */
/* What clients on streams come to, in figures: counters since the start, and gauges of now. */
#ifndef COMMON_STREAM_STATS_H
#define COMMON_STREAM_STATS_H

#include <stdint.h>

/* What clients' connections are, in the order of their figures. */
enum stream_kind { STREAM_TCP, STREAM_TLS, STREAM_KINDS };

/* Why a connection ended, or was not even taken. */
enum stream_end {
  STREAM_END_CLIENT,         /* the client closed it */
  STREAM_END_ERROR,          /* the system says that it is broken */
  STREAM_END_NO_MESSAGE,     /* what came is neither STUN nor ChannelData */
  STREAM_END_TOO_LONG,       /* a message is over its limit */
  STREAM_END_IDLE,           /* no allocation, and no message for too long */
  STREAM_END_PREFIX,         /* its prefix has as many as it may have */
  STREAM_END_DESCRIPTORS,    /* none is left for it */
  STREAM_END_MEMORY,         /* none is left for it */
  STREAM_END_HANDSHAKE,      /* TLS: it failed */
  STREAM_END_HANDSHAKE_TIME, /* TLS: it took too long */
  STREAM_END_CROWD,          /* no allocation, and too many others without one have come after it */
  STREAM_END_AGE,            /* no allocation, for too long, whatever came */
  STREAM_END_UNREAD,         /* no allocation, and it does not take its answers */
  STREAM_END_PROXY,          /* a balancer's: it does not begin with a PROXY header */
  STREAM_END_PROXY_TIME,     /* likewise: the header did not come in time */
  STREAM_END_HAND_OVER,      /* another process has taken this one's place, and could not have it */
  STREAM_ENDS
};

typedef struct stream_stats {
  uint64_t connections; /* now */
  uint64_t accepted;
  uint64_t ended[STREAM_ENDS];
  uint64_t dropped;      /* messages to clients that take them too slowly */
  uint64_t queued_bytes; /* that wait now */
} stream_stats;

/* Values of labels. */
static inline const char *stream_kind_name(unsigned kind)
{
  return kind == STREAM_TCP ? "tcp" : kind == STREAM_TLS ? "tls" : "unknown";
}

static inline const char *stream_end_name(unsigned end)
{
  static const char *const names[STREAM_ENDS] = {
      [STREAM_END_CLIENT] = "client",
      [STREAM_END_ERROR] = "error",
      [STREAM_END_NO_MESSAGE] = "no_message",
      [STREAM_END_TOO_LONG] = "too_long",
      [STREAM_END_IDLE] = "idle",
      [STREAM_END_PREFIX] = "prefix_full",
      [STREAM_END_DESCRIPTORS] = "no_descriptor",
      [STREAM_END_MEMORY] = "no_memory",
      [STREAM_END_HANDSHAKE] = "handshake",
      [STREAM_END_HANDSHAKE_TIME] = "handshake_timeout",
      [STREAM_END_CROWD] = "too_many_strangers",
      [STREAM_END_AGE] = "no_allocation",
      [STREAM_END_UNREAD] = "unread",
      [STREAM_END_PROXY] = "proxy_header",
      [STREAM_END_PROXY_TIME] = "proxy_header_timeout",
      [STREAM_END_HAND_OVER] = "handed_over",
  };
  return end < STREAM_ENDS ? names[end] : "unknown";
}

#endif
