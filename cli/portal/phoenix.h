/* SPDX-License-Identifier: Apache-2.0 */
/* Phoenix Channels messages, serializer V1 (JSON objects), as far as a relay needs them. */
#ifndef PORTAL_PHOENIX_H
#define PORTAL_PHOENIX_H

#include "common/text.h"
#include "portal/json.h"

#define PORTAL_TOPIC "relay"

enum phoenix_kind {
  PHOENIX_OTHER,    /* nothing that a relay acts on */
  PHOENIX_REPLY_OK, /* to the message with that ref */
  PHOENIX_REPLY_ERROR,
  PHOENIX_INIT,
  PHOENIX_CLOSED, /* phx_close or phx_error of the relay's topic */
  PHOENIX_DISCONNECT
};

typedef struct phoenix_message {
  enum phoenix_kind kind;
  bool has_ref;
  uint64_t ref;
  char event[64]; /* as sent, cut off at that length */
  char topic[64];
  char reason[256]; /* of an error reply or a disconnect; "" if none */
} phoenix_message;

/* Reads a message. |json| is the reader to use. Returns NULL, or what is wrong with it: static text. */
const char *phoenix_read(portal_json *json, const char *text, size_t len, phoenix_message *out);

/* Adds a join of the relay's topic, or a heartbeat, to |text|. */
void phoenix_write_join(const char *stamp_secret, uint64_t ref, text_out *text);
void phoenix_write_heartbeat(uint64_t ref, text_out *text);

#endif
