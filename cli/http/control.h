/* SPDX-License-Identifier: Apache-2.0 */
/* POST /log_filter?directives=...: changes the log filter of the running process. */
#ifndef CLI_HTTP_CONTROL_H
#define CLI_HTTP_CONTROL_H

#include "http/server.h"

/* Adds the route to |server|. It answers 200 with the filter that is now in force (and a second line if that can't be meant), or 400 with
 * what is wrong with the directives, and then nothing has changed. Directives may also be the request's body, bare or as a form's field.
 * |changed| is called with |ctx| after each change. Returns NULL with errno set if it can't. */
struct control *control_new(http_server *server, void (*changed)(void *ctx), void *ctx);

/* After the server. NULL is allowed. */
void control_free(struct control *control);

#endif
