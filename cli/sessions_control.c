/* SPDX-License-Identifier: Apache-2.0 */
#include "sessions_control.h"

#include "common/clock.h"
#include "sessions/format.h"

#include <string.h>

#include <event2/buffer.h>

/* How long a slice of one worker may take, and all of them: meanwhile nothing else is answered. */
#define SLICE_WAIT (200 * FZR_MILLISECOND)
#define ALL_WAIT   (500 * FZR_MILLISECOND)

#define PATH "/sessions"

/* A walk over the sessions of all workers. */
typedef struct walk {
  const workers *all;
  session_question question;
  fzr_time until;
  uint64_t left; /* that may be listed */
  bool table;
  bool cut; /* there are more */
  unsigned ended;
} walk;

static void refuse(http_response *response, int status, const char *why)
{
  response->status = status;
  evbuffer_drain(response->body, evbuffer_get_length(response->body));
  response->content_type = "text/plain; charset=utf-8";
  evbuffer_add_printf(response->body, "%s\n", why);
}

static void refuse_busy(http_response *response)
{
  refuse(response, 503, "a worker is busy, or the relay is being handed over: try again");
}

/* By the main thread alone: it is large. */
static session_answer answer;

static bool ask(const walk *w, unsigned i, const session_question *q)
{
  const fzr_time now = monotonic_now();
  const fzr_time until = now + SLICE_WAIT < w->until ? now + SLICE_WAIT : w->until;
  return worker_ask_sessions(workers_at(w->all, i), q, until, &answer);
}

static void write_some(walk *w, unsigned index, struct evbuffer *out)
{
  char line[SESSION_LINE_MAX];
  size_t i;
  for (i = 0; i < answer.count && w->left; i++, w->left--) {
    text_out text = text_out_of(line, sizeof line);
    if (w->table)
      session_row(&text, &answer.found[i], answer.now);
    else
      session_json(&text, &answer.found[i], index, answer.now);
    evbuffer_add(out, text.data, text.len);
  }
  w->cut = i < answer.count;
}

/* Writes those that are meant to |out|, if it is not NULL, up to the first that may not be listed. Returns whether all workers have answered, as far
 * as they had to. */
static bool walk_all(walk *w, struct evbuffer *out)
{
  const unsigned count = w->all ? workers_number(w->all) : 0;
  w->until = monotonic_now() + ALL_WAIT;
  for (unsigned i = 0; i < count && !w->cut; i++) {
    session_question q = w->question;
    do {
      if (!ask(w, i, &q)) {
        w->cut = out && !w->left; /* all that may be listed is, and whether there are more is not known */
        return w->cut;
      }
      w->ended += answer.ended;
      q.cursor = answer.cursor;
      if (out)
        write_some(w, i, out);
    } while (!answer.over && !w->cut);
  }
  return true;
}

/* What a query says; NULL, or what is wrong with it. */
static const char *read_query(const http_request *request, walk *w)
{
  const char *format = http_query(request, "format");
  const char *wrong = session_limit_parse(http_query(request, "limit"), &w->left);
  w->table = format && strcmp(format, "table") == 0;
  if (format && !w->table && strcmp(format, "json") != 0)
    return "format: expected json or table";
  if (wrong)
    return wrong;
  return session_filter_parse(http_query(request, "user"), http_query(request, "client"),
                              &w->question.filter);
}

static walk walk_of(const sessions_source *source)
{
  return (walk){.all = source->workers(source->ctx)};
}

static void on_list(void *ctx, const http_request *request, http_response *response)
{
  walk w = walk_of(ctx);
  const char *wrong = read_query(request, &w);
  if (wrong) {
    refuse(response, 400, wrong);
    return;
  }
  response->content_type = w.table ? "text/plain; charset=utf-8" : "application/jsonl";
  if (w.table)
    evbuffer_add(response->body, session_head, strlen(session_head));
  if (!walk_all(&w, response->body)) {
    refuse_busy(response);
  } else if (w.cut) {
    response->header[0] = SESSION_CUT;
    response->header[1] = "1";
  }
}

static void tell_ended(http_response *response, unsigned ended)
{
  response->content_type = "application/json";
  evbuffer_add_printf(response->body, "{\"ended\":%u}\n", ended);
}

static void on_end_all(void *ctx, const http_request *request, http_response *response)
{
  walk w = walk_of(ctx);
  const char *wrong = read_query(request, &w);
  const session_filter *f = &w.question.filter;
  if (!wrong && !f->has_user && !f->has_client)
    wrong = "expected ?user= or ?client=: all sessions are not ended at once";
  if (!wrong && http_query(request, "limit"))
    wrong = "limit: not with DELETE";
  if (wrong) {
    refuse(response, 400, wrong);
    return;
  }
  w.question.end = true;
  if (!walk_all(&w, NULL))
    response->status = 503; /* with how many have ended all the same */
  tell_ended(response, w.ended);
}

static void on_end(void *ctx, const http_request *request, http_response *response)
{
  walk w = walk_of(ctx);
  if (!session_id_read(request->path + strlen(PATH "/"), &w.question.id)) {
    refuse(response, 400, "expected " PATH "/ID, of 16 hexadecimal digits");
    return;
  }
  const bool answered = walk_all(&w, NULL);
  if (w.ended)
    tell_ended(response, w.ended);
  else if (answered)
    refuse(response, 404, "there is no such session");
  else
    refuse_busy(response);
}

int sessions_serve(http_server *server, const sessions_source *source)
{
  void *ctx = (void *)(uintptr_t)source;
  return http_server_route(server, EVHTTP_REQ_GET, PATH, on_list, ctx) ||
                 http_server_route(server, EVHTTP_REQ_DELETE, PATH, on_end_all, ctx) ||
                 http_server_route(server, EVHTTP_REQ_DELETE, PATH "/", on_end, ctx)
             ? -1
             : 0;
}
