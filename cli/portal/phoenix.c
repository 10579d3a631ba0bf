/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/phoenix.h"

#include <string.h>

static void read_reply(const portal_json *json, portal_json_value payload, phoenix_message *out)
{
  char status[16];
  portal_json_string(json, portal_json_member(json, payload, "status"), status, sizeof status);
  if (strcmp(status, "ok") == 0) {
    out->kind = PHOENIX_REPLY_OK;
  } else if (strcmp(status, "error") == 0) {
    const portal_json_value response = portal_json_member(json, payload, "response");
    out->kind = PHOENIX_REPLY_ERROR;
    portal_json_string(json, portal_json_member(json, response, "reason"), out->reason, sizeof out->reason);
  }
}

static void read_event(const portal_json *json, portal_json_value payload, phoenix_message *out)
{
  const bool ours = strcmp(out->topic, PORTAL_TOPIC) == 0;
  if (strcmp(out->event, "phx_reply") == 0) {
    read_reply(json, payload, out);
  } else if (ours && strcmp(out->event, "init") == 0) {
    out->kind = PHOENIX_INIT;
  } else if (ours && (strcmp(out->event, "phx_close") == 0 || strcmp(out->event, "phx_error") == 0)) {
    out->kind = PHOENIX_CLOSED;
  } else if (strcmp(out->event, "disconnect") == 0) {
    out->kind = PHOENIX_DISCONNECT;
    portal_json_string(json, portal_json_member(json, payload, "reason"), out->reason, sizeof out->reason);
  }
}

const char *phoenix_read(portal_json *json, const char *text, size_t len, phoenix_message *out)
{
  memset(out, 0, sizeof *out);
  const char *problem = portal_json_read(json, text, len);
  if (problem)
    return problem;
  if (!portal_json_is_object(json, 0))
    return "not a JSON object";
  if (!portal_json_string(json, portal_json_member(json, 0, "event"), out->event, sizeof out->event))
    return "no event";
  portal_json_string(json, portal_json_member(json, 0, "topic"), out->topic, sizeof out->topic);
  out->has_ref = portal_json_uint(json, portal_json_member(json, 0, "ref"), &out->ref);
  read_event(json, portal_json_member(json, 0, "payload"), out);
  return NULL;
}

void phoenix_write_join(const char *stamp_secret, uint64_t ref, text_out *text)
{
  text_puts(text, "{\"topic\":\"" PORTAL_TOPIC "\",\"event\":\"phx_join\",\"payload\":{\"stamp_secret\":");
  text_json(text, stamp_secret);
  text_puts(text, "},\"ref\":");
  text_uint(text, ref);
  text_puts(text, "}");
}

void phoenix_write_heartbeat(uint64_t ref, text_out *text)
{
  text_puts(text, "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":");
  text_uint(text, ref);
  text_puts(text, "}");
}
