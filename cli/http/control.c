/* SPDX-License-Identifier: Apache-2.0 */
#include "http/control.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "telemetry/log.h"
#include "telemetry/log_filter.h"

#define TARGET "control"

struct control {
  void (*changed)(void *ctx);
  void *ctx;
};

/* Sets the filter to |directives|, or says why not. */
static void change(const struct control *control, const char *directives, http_response *response)
{
  char problem[256], filter[LOG_FILTER_TEXT_MAX];
  if (log_set_filter(directives, problem, sizeof problem)) {
    response->status = 400;
    (void)evbuffer_add_printf(response->body, "%s\n", problem);
    return;
  }
  log_get_filter(filter, sizeof filter);
  (void)evbuffer_add_printf(response->body, "%s\n", filter);
  const log_field field = {"filter", LOG_STR, {.str = filter}};
  log_write(FZR_LOG_INFO, TARGET, "Changed the log filter", &field, 1);
  control->changed(control->ctx);
}

static void on_log_filter(void *ctx, const http_request *request, http_response *response)
{
  char *body = NULL;
  const char *directives = http_query(request, "directives");
  if (!directives && request->body_len && !memchr(request->body, 0, request->body_len))
    directives = body = strndup((const char *)request->body, request->body_len);
  if (directives && *directives) {
    change(ctx, directives, response);
  } else {
    response->status = 400;
    (void)evbuffer_add_printf(response->body, "expected ?directives=info,relay=debug\n");
  }
  free(body);
}

struct control *control_new(http_server *server, void (*changed)(void *ctx), void *ctx)
{
  struct control *control = malloc(sizeof *control);
  if (!control)
    return NULL;
  *control = (struct control){changed, ctx};
  if (http_server_route(server, EVHTTP_REQ_POST, "/log_filter", on_log_filter, control)) {
    free(control);
    return NULL;
  }
  return control;
}

void control_free(struct control *control)
{
  free(control);
}
