/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include "log/log.h"

#include <stdlib.h>
#include <string.h>

#define NO_FILTER "info"

const options *reload_latest(const reload *r, const options *start)
{
  return r->latest ? r->latest : start;
}

void reload_free(reload *r)
{
  if (r->latest)
    options_forget(r->latest);
  free(r->latest);
  r->latest = NULL;
}

static bool rules_differ(const options *a, const options *b)
{
  return a->rule_count != b->rule_count ||
         memcmp(a->rules, b->rules, a->rule_count * sizeof a->rules[0]) != 0;
}

/* Whoever has set another one at the control endpoint keeps that, unless the file says something new. */
static bool take_filter(const options *before, const options *next)
{
  char error[256];
  const char *was = before->log_filter ? before->log_filter : NO_FILTER;
  const char *is = next->log_filter ? next->log_filter : NO_FILTER;
  if (strcmp(was, is) == 0)
    return false;
  if (log_set_filter(is, error, sizeof error)) {
    log_error("relay", "SIGHUP: --log-filter: %s", error);
    return false;
  }
  const log_field field = {"filter", LOG_STR, {.str = is}};
  log_always(FZR_LOG_INFO, "relay", "SIGHUP: the log filter is another one", &field, 1);
  return true;
}

int reload_options(reload *r, const options *start, reload_result *out)
{
  char error[OPTIONS_ERROR_MAX] = "out of memory", names[400];
  const options *before = reload_latest(r, start);
  options *next = start->config.path ? malloc(sizeof *next) : NULL;
  if (!start->config.path)
    return 0;
  if (!next || options_reread(start, next, error)) {
    log_error("relay", "SIGHUP: %s; all stays as it was", error);
    if (next)
      options_forget(next);
    free(next);
    return -1;
  }
  if (options_fixed_that_differ(start, next, names, sizeof names))
    log_warn("relay", "SIGHUP: changed in the file, and it takes a restart or a hand-over: %s", names);
  /* How clients log in is one of these. */
  next->auth = start->auth;
  next->token = start->token;
  out->rules = rules_differ(before, next);
  out->log_filter = take_filter(before, next);
  reload_free(r);
  r->latest = next;
  return 0;
}
