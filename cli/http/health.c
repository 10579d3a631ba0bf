/* SPDX-License-Identifier: Apache-2.0 */
#include "http/health.h"

#include <stdlib.h>

#include <event2/buffer.h>

struct health {
  health_source source;
};

static void answer(http_response *response, int status, const char *text)
{
  response->status = status;
  evbuffer_add_printf(response->body, "%s\n", text);
}

static void on_healthz(void *ctx, const http_request *request, http_response *response)
{
  (void)ctx;
  (void)request;
  answer(response, 200, "ok");
}

static void on_readyz(void *ctx, const http_request *request, http_response *response)
{
  const health_source *source = &((const struct health *)ctx)->source;
  const char *reason = source->not_ready(source->ctx);
  (void)request;
  answer(response, reason ? 503 : 200, reason ? reason : "ready");
}

struct health *health_new(http_server *server, const health_source *source)
{
  struct health *health = malloc(sizeof *health);
  if (!health)
    return NULL;
  health->source = *source;
  if (http_server_route(server, EVHTTP_REQ_GET, "/healthz", on_healthz, health) != 0 ||
      http_server_route(server, EVHTTP_REQ_GET, "/readyz", on_readyz, health) != 0) {
    /* A route that was added refers to |health|: there is no way back but to keep it. */
    return NULL;
  }
  return health;
}

void health_free(struct health *health)
{
  free(health);
}
