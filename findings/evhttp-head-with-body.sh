#!/usr/bin/env bash
# libevent: evhttp answers HEAD with a body.
#
# Version:   libevent 2.1.12 (Debian 12: libevent-dev 2.1.12-stable-8+deb12u1)
# Guess:     evhttp allows HEAD by default and knows the request's method: of the buffer that evhttp_send_reply gets, and of the page that
#            evhttp_send_error makes, it sends only the length to HEAD (RFC 9110, 9.3.2: no content in the answer).
# Behaviour: both send their content after the header, without Content-Length. After evhttp_send_reply the connection stays open, so the
#            client takes the content for the start of the next answer. A handler has to look for EVHTTP_REQ_HEAD itself, hand over no buffer,
#            set Content-Length by hand, and use evhttp_send_reply for errors, too.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

version=2.1.12-stable-8+deb12u1
unpack libevent-dev=$version libevent-core-2.1-7=$version libevent-extra-2.1-7=$version
compile -levent_core -levent_extra <<'END'
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(struct evhttp_request *request, void *user) {
  (void)user;
  if (strcmp(evhttp_request_get_uri(request), "/reply") != 0) {
    evhttp_send_error(request, 405, NULL);
    return;
  }
  struct evbuffer *body = evbuffer_new();
  evbuffer_add(body, "hello", 5);
  evhttp_send_reply(request, 200, "OK", body);
  evbuffer_free(body);
}

int main(void) {
  struct event_base *base = event_base_new();
  struct evhttp *http = evhttp_new(base);
  evhttp_set_gencb(http, answer, NULL);
  struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &length);
  static const char *const paths[] = {"/reply", "/error"};
  for (int i = 0; i < 2; i++) {
    char text[2048];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return 77;
    int n = snprintf(text, sizeof text, "HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n", paths[i]);
    if (write(fd, text, (size_t)n) != n) return 77;
    size_t got = 0;
    const char *end = NULL;
    for (int turn = 0; turn < 500; turn++) { /* up to 1 s; a moment longer for what comes after the header */
      event_base_loop(base, EVLOOP_NONBLOCK);
      ssize_t more = recv(fd, text + got, sizeof text - 1 - got, MSG_DONTWAIT);
      if (more > 0) got += (size_t)more;
      text[got] = '\0';
      if (end == NULL && (end = strstr(text, "\r\n\r\n")) != NULL) turn = 400;
      usleep(2000);
    }
    printf("HEAD %s: %.12s, Content-Length %s, content starts: %.5s\n", paths[i], text, strstr(text, "Content-Length") ? "yes" : "no",
           end == NULL ? "" : end + 4);
    close(fd);
  }
}
END
expected='HEAD /reply: HTTP/1.1 200, Content-Length no, content starts: hello
HEAD /error: HTTP/1.1 405, Content-Length no, content starts: <HTML'
stated "$expected" "$("$dir/program")"
