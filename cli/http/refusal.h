/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that evhttp gives by itself: to what it can't read as a request, or does not take. */
#ifndef CLI_HTTP_REFUSAL_H
#define CLI_HTTP_REFUSAL_H

#include <event2/bufferevent.h>

/* Takes the body from those that evhttp sends by |bev|: it is a page of HTML, and goes out in answer to HEAD, too, which has to have none
 * (RFC 9110 section 9.3.2). Handlers' answers are left alone, as none of them is HTML. */
void http_strip_refusals(struct bufferevent *bev);

#endif
