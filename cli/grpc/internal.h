/* SPDX-License-Identifier: Apache-2.0 */
/* What client.c (calls and HTTP/2) and connect.c (the connection below) share. */
#ifndef GRPC_INTERNAL_H
#define GRPC_INTERNAL_H

#include "grpc/client.h"
#include "grpc/output.h"
#include "net/race.h"
#include "net/resolve.h"

#include <event2/bufferevent.h>
#include <nghttp2/nghttp2.h>

#define GRPC_HOST_MAX   255u
#define GRPC_MAX_OUTPUT 262144u /* bytes that wait for a collector to read, and one turn's more */

/* Read from a collector in a second on average, and at once. Answers are short; a collector that sends frames without end must not keep the
 * thread busy that speaks to the portal, too. */
#define GRPC_SECOND_BYTES 262144u
#define GRPC_BURST_BYTES  524288u

typedef struct grpc_stream {
  grpc_client *client;
  bool active;
  bool finished; /* its answer is known; the callback comes from the loop */
  int32_t id;    /* 0: not submitted yet */
  const char *path;
  const uint8_t *message; /* the caller's */
  size_t len;
  size_t sent; /* of the prefix of five bytes and the message */
  unsigned timeout_ms;
  grpc_done done;
  void *ctx;
  struct event *deadline;
  /* the answer */
  int http_status;
  bool is_grpc; /* its content-type is */
  int code;     /* grpc-status; -1: none */
  char text[256];
  int64_t retry_after_ms;
  uint8_t *body;
  size_t body_len;
  bool too_long;
} grpc_stream;

enum grpc_state { GRPC_IDLE, GRPC_CONNECTING, GRPC_HANDSHAKE, GRPC_CONNECTED };

struct grpc_client {
  struct event_base *base;
  char host[GRPC_HOST_MAX + 1]; /* as getaddrinfo wants it */
  char authority[GRPC_HOST_MAX + 16];
  char agent[64];
  const grpc_header *headers;
  size_t header_count;
  const net_trust *trust; /* NULL: no TLS */
  enum grpc_state state;
  net_resolver *resolver;
  net_race *race;
  struct bufferevent *bev;
  struct ev_token_bucket_cfg *pace; /* GRPC_SECOND_BYTES */
  net_tls *tls;
  net_tls_memory tls_memory;
  bool heard; /* what the server began with is what was expected */
  nghttp2_session *session;
  grpc_output output;   /* within flush() */
  struct event *finish; /* runs callbacks of finished calls */
  bool going_away;      /* the server wants no more calls on this connection */
  grpc_stream streams[GRPC_MAX_CALLS];
};

/* Begins to connect. grpc_connected or grpc_disconnected follows, from the loop. Returns 0 or -1. */
int grpc_connect(grpc_client *client);
/* Closes it, at whatever stage it is; calls nothing. */
void grpc_disconnect(grpc_client *client);

/* Implemented by the calls' side: the connection is there; it is gone, because of |why|; it has |len| bytes, after which it may be gone;
 * it has room for more. */
void grpc_connected(grpc_client *client);
void grpc_disconnected(grpc_client *client, const char *why);
void grpc_received(grpc_client *client, const uint8_t *data, size_t len);
void grpc_writable(grpc_client *client);

/* Takes |endpoint| apart. Returns NULL or what is wrong with it. */
const char *grpc_parse_endpoint(const char *endpoint, char host[GRPC_HOST_MAX + 1], uint16_t *port);

/* |host| as certificates, SNI and HTTP have it: without the dot that ends a complete name, which look-ups are the better for, and without
 * an IPv6 address's zone. */
void grpc_peer_name(const char *host, char name[GRPC_HOST_MAX + 1]);

/* What is wrong with a server that begins with these |len| bytes where HTTP/2, or |tls|, was expected: static text. NULL if nothing is, or
 * if it takes more of them to see: then *|more| is set. */
const char *grpc_judge_beginning(const uint8_t *data, size_t len, bool tls, bool *more);

#endif
