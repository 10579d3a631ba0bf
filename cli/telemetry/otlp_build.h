/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of OTLP messages that metrics and traces have in common. All of it lives in the arena; NULL means that memory is out. */
#ifndef TELEMETRY_OTLP_BUILD_H
#define TELEMETRY_OTLP_BUILD_H

#include "arena.h"
#include "common.pb-c.h"
#include "otlp.h"

/* An attribute. |key| and |value| have to stay until the message is packed. */
Otlp__KeyValue *otlp_string(arena *a, const char *key, const char *value);
Otlp__KeyValue *otlp_int(arena *a, const char *key, int64_t value);

Otlp__Resource *otlp_resource(arena *a, const resource *r);
Otlp__Scope *otlp_scope(arena *a, const char *version);

/* Packs |message| and frees the arena. Returns malloc'ed bytes, or NULL if memory is out or was before. */
uint8_t *otlp_pack(arena *a, const ProtobufCMessage *message, size_t *len);

/* Declares |name|, a message of |type| in the arena that is set to |init|; NULL if memory is out. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type, a name and an initialiser. */
#define OTLP_NEW(a, type, init, name)                                                                        \
  type *name = arena_take((a), sizeof *name);                                                                \
  if (name)                                                                                                  \
  *name = (type)init
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
