/* SPDX-License-Identifier: Apache-2.0 */
/* GET /sessions?user=&client=&limit=&format=: the sessions of all workers, a JSON object a line, or a table. DELETE /sessions/ID ends one, DELETE
 * /sessions?user= (or client=) all that are meant. On the control endpoint alone. */
#ifndef RELAY_SESSIONS_CONTROL_H
#define RELAY_SESSIONS_CONTROL_H

#include "http/server.h"
#include "workers.h"

/* Whose sessions: NULL as long as there are no workers. */
typedef struct sessions_source {
  void *ctx;
  workers *(*workers)(void *ctx);
} sessions_source;

/* Adds the routes to |server|; |source| has to stay. Returns 0, or -1 with errno. */
int sessions_serve(http_server *server, const sessions_source *source);

#endif
