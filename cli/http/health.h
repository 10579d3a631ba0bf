/* SPDX-License-Identifier: Apache-2.0 */
/* GET /healthz and GET /readyz, for those who restart or load-balance relays. */
#ifndef CLI_HTTP_HEALTH_H
#define CLI_HTTP_HEALTH_H

#include "http/server.h"

/* What the answers are made of. The functions are called with |ctx| at each request. */
typedef struct health_source {
  void *ctx;
  /* When the last heartbeat was sent to the portal, on the same clock as |now|; FZR_TIME_NEVER if none ever was. */
  fzr_time (*last_heartbeat)(void *ctx);
  /* Whether relaying has begun and no shutdown has. */
  bool (*ready)(void *ctx);
  fzr_time (*now)(void *ctx);
  fzr_time max_heartbeat_age; /* 0: 15 minutes */
} health_source;

/* The verdict of /healthz for a heartbeat at |last| and a time of |now|: true while none was ever sent (FZR_TIME_NEVER) or the
 * last is younger than |max_age|. */
bool health_is_alive(fzr_time last, fzr_time now, fzr_time max_age);

/* Adds both routes to |server|: /healthz answers 200 or 400, /readyz 200 or 503. |source| is copied; its ctx must outlive
 * |server|. The routes' state is freed by health_free, after the server.
 * Returns NULL with errno set if it can't. */
struct health *health_new(http_server *server, const health_source *source);
void health_free(struct health *health);

#endif
