/* SPDX-License-Identifier: Apache-2.0 */
#include "http/control.h"

#include "log/filter.h"
#include "log/log.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>

#define TARGET "control"

struct control {
  void (*changed)(void *ctx);
  void *ctx;
};

/* Sets the filter to |directives|, or says why not. Whatever the new filter is, the log says that there is one. */
static void change(const struct control *control, const char *directives, http_response *response)
{
  char problem[256], filter[LOG_FILTER_TEXT_MAX];
  if (log_set_filter(directives, problem, sizeof problem)) {
    response->status = 400;
    evbuffer_add_printf(response->body, "%s\n", problem);
    return;
  }
  log_get_filter(filter, sizeof filter);
  evbuffer_add_printf(response->body, "%s\n", filter);
  const log_field field = {"filter", LOG_STR, {.str = filter}};
  log_always(FZR_LOG_INFO, TARGET, "Changed the log filter", &field, 1);
  if (log_filter_is_pointless()) {
    evbuffer_add_printf(response->body, "warning: %s\n", LOG_POINTLESS);
    log_always(FZR_LOG_WARN, TARGET, LOG_POINTLESS, NULL, 0);
  }
  control->changed(control->ctx);
}

/* The body as text that the caller frees; NULL if there is none. */
static char *body_text(const http_request *request)
{
  if (!request->body_len || memchr(request->body, 0, request->body_len))
    return NULL;
  return strndup((const char *)request->body, request->body_len);
}

static bool is_form(const char *body)
{
  return body && strncmp(body, "directives=", strlen("directives=")) == 0;
}

static void on_log_filter(void *ctx, const http_request *request, http_response *response)
{
  struct evkeyvalq form;
  http_form_init(&form);
  const char *directives = http_query(request, "directives");
  char *body = directives ? NULL : body_text(request);
  /* As a form, which is how curl -d directives=... is understood by everybody, or bare. */
  if (is_form(body))
    directives = http_parse_form(body, &form) == 0 ? evhttp_find_header(&form, "directives") : NULL;
  else if (body)
    directives = body;
  if (directives && *directives) {
    change(ctx, directives, response);
  } else {
    response->status = 400;
    evbuffer_add_printf(response->body, "expected ?directives=info,relay=debug\n");
  }
  evhttp_clear_headers(&form);
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
