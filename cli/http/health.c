/* SPDX-License-Identifier: Apache-2.0 */
#include "http/health.h"

#include <stdlib.h>

#include <event2/buffer.h>

#define DEFAULT_MAX_AGE (900 * FZR_SECOND)

struct health {
  health_source source;
};

bool health_is_alive(fzr_time last, fzr_time now, fzr_time max_age)
{
  return last == FZR_TIME_NEVER || now < last || now - last < max_age;
}

static void answer(http_response *response, int status, const char *text)
{
  response->status = status;
  (void)evbuffer_add_printf(response->body, "%s\n", text);
}

static void on_healthz(void *ctx, const http_request *request, http_response *response)
{
  const health_source *source = &((const struct health *)ctx)->source;
  (void)request;
  if (health_is_alive(source->last_heartbeat(source->ctx), source->now(source->ctx),
                      source->max_heartbeat_age))
    answer(response, 200, "ok");
  else
    answer(response, 400, "no heartbeat was sent to the portal for too long");
}

static void on_readyz(void *ctx, const http_request *request, http_response *response)
{
  const health_source *source = &((const struct health *)ctx)->source;
  (void)request;
  if (source->ready(source->ctx))
    answer(response, 200, "ready");
  else
    answer(response, 503, "not relaying");
}

struct health *health_new(http_server *server, const health_source *source)
{
  struct health *health = malloc(sizeof *health);
  if (health == NULL)
    return NULL;
  health->source = *source;
  if (health->source.max_heartbeat_age == 0)
    health->source.max_heartbeat_age = DEFAULT_MAX_AGE;
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
