/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the portal's URL, and what follows it as token and name: the request must stay one request. */
#include "fuzz.h"

#include "portal/upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static char request[65536];
  static portal_url url, again;
  char *text = malloc(size + 1);
  FUZZ_CHECK(text);
  if (size)
    memcpy(text, data, size);
  text[size] = 0;
  const char *rest = text + strlen(text) < text + size ? text + strlen(text) + 1 : "";
  const portal_login login = {.token = rest, .name = rest, .port = 3478};
  if (portal_url_parse(text, &url) == NULL) {
    text_out out = text_out_of(request, sizeof request);
    FUZZ_CHECK(url.port != 0 && url.host[0] != '\0');
    portal_url_target(&url, &login, &out);
    for (size_t i = 0; i < out.len; i++)
      FUZZ_CHECK((unsigned char)request[i] > ' ' && (unsigned char)request[i] < 0x7f);
    out = text_out_of(request, sizeof request);
    portal_url_display(&url, &out);
    if (out.len < PORTAL_URL_MAX) {
      FUZZ_CHECK(portal_url_parse(request, &again) == NULL);
      FUZZ_CHECK(again.tls == url.tls && again.port == url.port && strcmp(again.host, url.host) == 0);
    }
    out = text_out_of(request, sizeof request);
    portal_upgrade_request(&url, &login, "1.0.0", "key", &out);
    if (!out.overflow) {
      unsigned lines = 0;
      for (size_t i = 0; i < out.len; i++)
        lines += request[i] == '\n';
      FUZZ_CHECK(lines == 9);
    }
  }
  free(text);
  return 0;
}
