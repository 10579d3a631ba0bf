/* SPDX-License-Identifier: Apache-2.0 */
#include "http/refusal.h"

#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#define HEAD_MAX 512 /* bytes; of such an answer's */

/* evhttp adds the head first and then the body, at once, and closes the connection when both have gone out. */
static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *ctx)
{
  static const char page[] = "\r\nContent-Type: text/html\r\n";
  char head[HEAD_MAX + 1], reply[HEAD_MAX + 64];
  (void)ctx;
  if (info->n_added == 0)
    return;
  const ev_ssize_t n = evbuffer_copyout(output, head, HEAD_MAX);
  head[n > 0 ? n : 0] = '\0';
  const char *end = strstr(head, "\r\n\r\n");
  const char *type = strstr(head, page);
  if (!end || !type || type > end || evbuffer_get_length(output) == (size_t)(end - head) + strlen("\r\n\r\n"))
    return;
  /* The status stays. A length of 0 is right whatever was asked, and by whatever version of HTTP. */
  const int len = snprintf(reply, sizeof reply, "%.*s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                           (int)strcspn(head, "\r"), head);
  evbuffer_drain(output, evbuffer_get_length(output));
  evbuffer_add(output, reply, (size_t)len);
}

void http_strip_refusals(struct bufferevent *bev)
{
  evbuffer_add_cb(bufferevent_get_output(bev), on_output, NULL);
}
