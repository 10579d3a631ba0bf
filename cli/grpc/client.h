/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC client for unary calls over HTTP/2, within TLS or without (h2c with prior knowledge), on one event base, without blocking. It
 * keeps one connection, which it makes when a call needs it, and has one call at a time for each caller's slot. Bounded: an answer of 64
 * KiB, a deadline for each call. */
#ifndef GRPC_CLIENT_H
#define GRPC_CLIENT_H

#include "grpc/status.h"
#include "net/tls.h"

#include <event2/event.h>

#define GRPC_MAX_CALLS   4u
#define GRPC_MAX_ANSWER  65536u
#define GRPC_MAX_HEADERS 16u
#define GRPC_ERROR_MAX   256u

typedef struct grpc_client grpc_client;

/* How a call ended; all of it is valid during the callback only. */
typedef struct grpc_answer {
  enum grpc_code code;
  const char *message; /* what the server, or we, have to say: UTF-8, may be "" */
  const uint8_t *body; /* the answer's message, where `code` is GRPC_OK */
  size_t body_len;
  bool compressed;        /* there was a message that can't be read: `body` is NULL */
  int64_t retry_after_ms; /* what the server asked for; -1: nothing */
} grpc_answer;

/* Called once for each call, from the event loop, never from within grpc_call. It may start another one. */
typedef void (*grpc_done)(void *ctx, const grpc_answer *answer);

/* What is sent with each call, beside what gRPC has. */
typedef struct grpc_header {
  const char *name; /* lower case */
  const char *value;
} grpc_header;

/* Whom to call. Strings are copied but for the headers', which have to outlive the client, as |trust| has to. */
typedef struct grpc_config {
  /* "host:port", "[2001:db8::1]:4317", also with "http://" before and "/" behind; with "https://" it is TLS. With either the port may be
   * left out: 4317, of https 443. */
  const char *endpoint;
  const char *agent; /* the User-Agent */
  const grpc_header *headers;
  size_t header_count;    /* GRPC_MAX_HEADERS at most */
  const net_trust *trust; /* whom a server's certificate has to be signed by; NULL: there is no TLS */
} grpc_config;

/* A client that connects to nothing yet. Returns NULL with one line in the GRPC_ERROR_MAX bytes at |error| if the endpoint is none, or
 * memory is out. */
grpc_client *grpc_client_new(struct event_base *base, const grpc_config *config, char *error);

/* Closes the connection. Calls that are under way end without a callback. NULL is allowed. Not from within a callback. */
void grpc_client_free(grpc_client *client);

/* Checks |endpoint| alone. Returns NULL, or what is wrong with it: static text. */
const char *grpc_check_endpoint(const char *endpoint);

/* Whether it is TLS's. */
bool grpc_endpoint_has_tls(const char *endpoint);

/* Calls the method |path| (static text) with the |len| bytes |message|, which have to stay as they are until the callback, or until
 * grpc_client_free. The call ends after |timeout_ms| at the latest, with GRPC_DEADLINE_EXCEEDED. Returns 0, or -1 with errno set (ENOMEM;
 * EBUSY: GRPC_MAX_CALLS are under way). */
int grpc_call(grpc_client *client, const char *path, const uint8_t *message, size_t len, unsigned timeout_ms,
              grpc_done done, void *ctx);

#endif
