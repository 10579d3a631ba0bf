/* SPDX-License-Identifier: Apache-2.0 */
/* POST /log_filter?directives=...: changes the log filter of the running process. */
#ifndef CLI_HTTP_CONTROL_H
#define CLI_HTTP_CONTROL_H

#include "http/server.h"

/* Adds the route to |server|. It answers 200 with the filter that is now in force, or 400 with what is wrong with the directives, and
 * then nothing has changed. Directives may also be the request's body. Returns 0, or -1 with errno set. */
int control_serve(http_server *server);

#endif
