/* SPDX-License-Identifier: Apache-2.0 */
#include "sessions_main.h"

#include "common/text.h"
#include "sessions/client.h"
#include "sessions/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_query(text_out *target, bool *begun, const char *key, const char *value)
{
  if (!value)
    return;
  text_puts(target, *begun ? "&" : "?");
  text_puts(target, key);
  text_puts(target, "=");
  text_percent(target, value);
  *begun = true;
}

/* Writes what is asked for. */
static const char *method_for(const options *o, text_out *target)
{
  bool begun = false;
  text_puts(target, "/sessions");
  if (o->end_id) {
    text_puts(target, "/");
    text_puts(target, o->end_id);
    return "DELETE";
  }
  add_query(target, &begun, "user", o->end_user ? o->end_user : o->user);
  add_query(target, &begun, "client", o->client);
  if (o->end_user)
    return "DELETE";
  add_query(target, &begun, "format", o->json ? "json" : "table");
  return "GET";
}

/* Of an answer: where its body goes if all is well, and its begin. */
typedef struct shown {
  FILE *out; /* NULL: nowhere */
  bool cut;
  char begin[128];
  size_t len;
} shown;

static bool show(void *ctx, const client_head *head, const char *data, size_t len)
{
  shown *s = ctx;
  s->cut = head->cut;
  const size_t room = sizeof s->begin - 1 - s->len, some = len < room ? len : room;
  memcpy(s->begin + s->len, data, some);
  s->len += some;
  return !s->out || head->status != 200 || fwrite(data, 1, len, s->out) == len;
}

static int fail(const options *o, const char *why)
{
  char addr[FZR_ADDR_TEXT_MAX] = "";
  fzr_addr_format(&o->control_endpoint, true, addr, sizeof addr);
  fprintf(stderr, "firezone-relay: can't ask the relay at %s: %s\n",
          o->control_endpoint.family ? addr : o->control_socket, why);
  return EXIT_FAILURE;
}

/* What is to be looked at where nobody is found. */
static int fail_to_connect(const options *o)
{
  char why[CLIENT_ERROR_MAX];
  const int error = errno;
  snprintf(why, sizeof why, "%s%s", strerror(error),
           error == ENOENT || error == ECONNREFUSED ? ": no relay has its --control-socket there"
           : error == EACCES ? ": this takes the relay's user, root or the group of --control-group"
                             : "");
  return fail(o, why);
}

/* How many, as the relay says; 0 if it says no number. */
static unsigned long ended_of(const shown *s)
{
  static const char before[] = "{\"ended\":";
  const bool is_told = strncmp(s->begin, before, sizeof before - 1) == 0;
  return is_told ? strtoul(s->begin + sizeof before - 1, NULL, 10) : 0;
}

/* Some may be left. */
static int fail_busy(const options *o, const shown *s)
{
  char why[CLIENT_ERROR_MAX];
  const unsigned long ended = ended_of(s);
  snprintf(why, sizeof why,
           "a worker is busy, or the relay is being handed over: %lu session%s ended, try again for the rest",
           ended, ended == 1 ? "" : "s");
  return fail(o, why);
}

static int tell_ended(const shown *s)
{
  const unsigned long ended = ended_of(s);
  if (ended)
    return printf("%lu session%s ended\n", ended, ended == 1 ? "" : "s") < 0 || fflush(stdout) ? EXIT_FAILURE
                                                                                               : EXIT_SUCCESS;
  fprintf(stderr, "firezone-relay: there is no such session\n");
  return EXIT_NO_SESSION;
}

static int tell_listed(const shown *s)
{
  if (fflush(stdout))
    return EXIT_FAILURE;
  if (s->cut)
    fprintf(stderr,
            "firezone-relay: the list is cut, for there are more sessions: --user and --client choose\n");
  return EXIT_SUCCESS;
}

int sessions_main(const options *o)
{
  char data[3 * USERNAME_MAX + 512], error[CLIENT_ERROR_MAX];
  text_out target = text_out_of(data, sizeof data);
  const char *method = method_for(o, &target);
  const bool ends = o->end_id || o->end_user;
  shown s = {.out = ends ? NULL : stdout};
  if (target.overflow)
    return fail(o, "the name is too long");
  const int fd = client_connect(o->control_endpoint.family ? NULL : o->control_socket, &o->control_endpoint);
  if (fd < 0)
    return fail_to_connect(o);
  const int status = client_ask(fd, method, target.data, show, &s, error);
  if (status < 0)
    return fail(o, error);
  s.begin[strcspn(s.begin, "\r\n")] = 0;
  make_one_line(s.begin);
  if (status == 200 || (ends && status == 404))
    return ends ? tell_ended(&s) : tell_listed(&s);
  if (status == 503 && o->end_user)
    return fail_busy(o, &s);
  return fail(o, *s.begin ? s.begin : "it has no sessions to tell of");
}
