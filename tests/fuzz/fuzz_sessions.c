/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of the control endpoint may be answered, and what a relay may be asked for. */
#include "fuzz.h"

#include "sessions/client.h"
#include "sessions/filter.h"
#include "sessions/format.h"

#include <stdlib.h>
#include <string.h>

static void write_lines(const uint8_t *data, size_t size)
{
  char line[SESSION_LINE_MAX];
  fzr_allocation a = {.id = size};
  memcpy(&a, data, size < sizeof a ? size : sizeof a);
  a.client.family = a.server.family = FZR_FAMILY_IPV4;
  a.relayed[0].family = FZR_FAMILY_IPV6;
  a.relayed[1].family = FZR_FAMILY_NONE;
  if (a.user_name_len > FZR_USER_NAME_MAX)
    a.user_name_len = FZR_USER_NAME_MAX;
  text_out out = text_out_of(line, sizeof line);
  session_json(&out, &a, 1, a.began);
  FUZZ_CHECK(!out.overflow && strchr(line, '\n') == line + out.len - 1);
  out = text_out_of(line, sizeof line);
  session_row(&out, &a, a.began);
  FUZZ_CHECK(!out.overflow && strchr(line, '\n') == line + out.len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  uint64_t id, again;
  client_head head;
  session_filter filter;
  char *text = malloc(size + 1), written[SESSION_ID_TEXT];
  if (!text)
    return 0;
  memcpy(text, data, size);
  text[size] = 0;
  if (client_read_head((const char *)data, size, &head))
    FUZZ_CHECK(head.status >= 100 && head.status <= 599 && head.length <= UINT64_MAX / 2);
  if (session_id_read(text, &id)) {
    session_id_write(id, written);
    FUZZ_CHECK(session_id_read(written, &again) && again == id);
  }
  session_filter_parse(text, text, &filter);
  write_lines(data, size);
  free(text);
  return 0;
}
