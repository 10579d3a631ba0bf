/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a relay's control endpoint: one request, and the answer as it comes. */
#ifndef SESSIONS_CLIENT_H
#define SESSIONS_CLIENT_H

#include "firezone_relay/types.h"

/* What a line of an error may have, with its zero. */
#define CLIENT_ERROR_MAX 256

/* Connects to the socket at |path|, or, if that is NULL, to |addr|. Returns the descriptor, or -1 with errno. */
int client_connect(const char *path, const fzr_addr *addr);

/* The head of an answer. */
typedef struct client_head {
  int status;
  uint64_t length; /* of the body */
  bool cut;        /* there are more sessions than it lists */
} client_head;

/* Takes some of the body of an answer with |head|. Returns false to give up. */
typedef bool (*client_body_fn)(void *ctx, const client_head *head, const char *data, size_t len);

/* Sends |method| for |target|, a path with query, to |fd|, which is closed, and calls |body| with |ctx| for what is answered. Returns the status
 * of the answer, all of which has come; or -1 with one line in |error|. */
int client_ask(int fd, const char *method, const char *target, client_body_fn body, void *ctx,
               char error[CLIENT_ERROR_MAX]);

/* Reads the head of an answer, the |len| bytes at |head|, which ends with an empty line, into |out|. Returns false if it is none, or does not say how
 * long the body is. */
bool client_read_head(const char *head, size_t len, client_head *out);

#endif
