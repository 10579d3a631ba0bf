/* SPDX-License-Identifier: Apache-2.0 */
/* GET /healthz and GET /readyz, for those who restart or load-balance relays. */
#ifndef CLI_HTTP_HEALTH_H
#define CLI_HTTP_HEALTH_H

#include "http/server.h"

/* What the answers are made of. The function is called with |ctx| at each request. */
typedef struct health_source {
  void *ctx;
  /* Why no new client should be sent here, as one line; NULL if they may come. */
  const char *(*not_ready)(void *ctx);
} health_source;

/* Adds both routes to |server|: /readyz answers 200 or 503; /healthz 200 as long as there is a loop to answer at all, for what lives in
 * this process is relayed on, portal or none, and a restart would end it. |source| is copied; its ctx must outlive |server|. The routes'
 * state is freed by health_free, after the server. Returns NULL with errno set if it can't. */
struct health *health_new(http_server *server, const health_source *source);
void health_free(struct health *health);

#endif
