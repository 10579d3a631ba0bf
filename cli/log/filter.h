/* SPDX-License-Identifier: Apache-2.0 */
/* Which lines are wanted: directives as in RUST_LOG. */
#ifndef LOG_FILTER_H
#define LOG_FILTER_H

#include "firezone_relay/types.h"

#define LOG_FILTER_DIRECTIVES 32
#define LOG_FILTER_TARGET_MAX 47
/* Enough for every filter as text. */
#define LOG_FILTER_TEXT_MAX (LOG_FILTER_DIRECTIVES * (LOG_FILTER_TARGET_MAX + 8) + 8)
/* Longest directives that are read. */
#define LOG_FILTER_INPUT_MAX 8192

typedef struct log_filter {
  uint8_t fallback; /* enum fzr_log_level of targets that no directive names */
  uint8_t highest;  /* the most verbose level of all */
  uint8_t count;
  struct log_directive {
    uint8_t level;
    char target[LOG_FILTER_TARGET_MAX + 1];
  } directives[LOG_FILTER_DIRECTIVES];
} log_filter;

/* Reads |text|: directives with commas between them, each "level", "target=level" or "target" (which means all of it). A level is
 * error, warn, info, debug, trace, off in any case, or 1 to 5 and 0. A later directive for the same target replaces an earlier
 * one. With directives for targets alone, all other targets are off; without any, everything is at info. A directive that makes no
 * sense is skipped, and |complain|, if not NULL, is called for it with |len| bytes of |directive| and what is wrong. What no other
 * directive has a level for is at info then. Returns how many made no sense; a target that the relay does not have is one of them
 * where no level is given for the rest. */
typedef void (*log_complain)(void *ctx, const char *directive, size_t len, const char *problem);
size_t log_filter_parse(log_filter *filter, const char *text, log_complain complain, void *ctx);

/* The most verbose level that |target| may have: that of the directive which names it, or the module it belongs to ("a" is a module of
 * "a::b"), most closely. Names that Firezone's relay has for the same lines count as well (phoenix_channel for portal; relay_proto::server,
 * wire and firezone_relay for relay): the most verbose level of all. */
enum fzr_log_level log_filter_level(const log_filter *filter, const char *target);

/* All targets that the relay's lines have. */
#define LOG_FILTER_TARGETS "relay, portal, otlp, xdp, control, log, usage"

/* Whether the filter lets none of the relay's targets write any line, without saying so: "off" alone is meant, but "portal=off" may
 * be thought to leave the other targets on. */
bool log_filter_misses_all(const log_filter *filter);

/* Writes the filter as directives that log_filter_parse would read again; cut off at |cap|. */
void log_filter_format(const log_filter *filter, char *out, size_t cap);

#endif
