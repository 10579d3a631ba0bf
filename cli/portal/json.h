/* SPDX-License-Identifier: Apache-2.0 */
/* Reads JSON (RFC 8259): a strict check of the grammar, then jsmn's tokens with a few helpers on top. */
#ifndef PORTAL_JSON_H
#define PORTAL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORTAL_JSON_MAX_DEPTH  32
#define PORTAL_JSON_MAX_TOKENS 2048

/* A value that was read: a place in a document; PORTAL_JSON_NONE is no value. */
typedef int portal_json_value;
#define PORTAL_JSON_NONE (-1)

typedef struct portal_json portal_json;

/* Makes a reader that holds one document at a time; NULL if memory is out. */
portal_json *portal_json_new(void);
void portal_json_free(portal_json *json);

/* Reads the |len| bytes at |text|, which are used until the next read. Returns NULL, or what is wrong: static text. Documents with
 * more than PORTAL_JSON_MAX_DEPTH levels or PORTAL_JSON_MAX_TOKENS values are refused. The root is value 0. */
const char *portal_json_read(portal_json *json, const char *text, size_t len);

/* The value of member |key| of |object|, the last one if it is repeated; NONE if there is none or |object| is no object. */
portal_json_value portal_json_member(const portal_json *json, portal_json_value object, const char *key);

bool portal_json_is_object(const portal_json *json, portal_json_value value);

/* Copies a string value, unescaped, as zero-terminated UTF-8 into |out|; what does not fit is cut off between characters. Lone
 * surrogates and U+0000 become U+FFFD. Returns whether |value| is a string; |out| is empty if not. */
bool portal_json_string(const portal_json *json, portal_json_value value, char *out, size_t cap);

/* Reads a number without sign, fraction or exponent, or a string that holds one. Returns whether |value| is one. */
bool portal_json_uint(const portal_json *json, portal_json_value value, uint64_t *out);

/* Whether the |len| bytes at |text| are one JSON value and nothing else but white space. */
bool portal_json_valid(const char *text, size_t len);

#endif
