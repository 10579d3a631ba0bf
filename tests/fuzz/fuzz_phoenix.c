/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a portal's message; what it says is written as JSON and read again. */
#include "fuzz.h"

#include "portal/phoenix.h"

static void same_after_writing(portal_json *json, const char *string)
{
  char doc[2048], back[512];
  text_out text = text_out_of(doc, sizeof doc);
  text_puts(&text, "{\"s\":");
  text_json(&text, string);
  text_puts(&text, "}");
  FUZZ_CHECK(!text.overflow);
  FUZZ_CHECK(portal_json_read(json, doc, text.len) == NULL);
  FUZZ_CHECK(portal_json_string(json, portal_json_member(json, 0, "s"), back, sizeof back));
  FUZZ_CHECK(strcmp(back, string) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  portal_json *json = portal_json_new();
  phoenix_message message;
  FUZZ_CHECK(json);
  if (phoenix_read(json, (const char *)data, size, &message) == NULL) {
    FUZZ_CHECK(portal_json_valid((const char *)data, size));
    same_after_writing(json, message.event);
    same_after_writing(json, message.topic);
    same_after_writing(json, message.reason);
  }
  portal_json_free(json);
  return 0;
}
