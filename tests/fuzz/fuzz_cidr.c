/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as an address and as a CIDR rule; what is accepted is written and read again. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char text[FZR_PEER_RULE_TEXT_MAX];
  fzr_peer_rule rule, same;
  fzr_addr addr, again;
  char *input = malloc(size + 1);
  FUZZ_CHECK(input);
  if (size)
    memcpy(input, data, size);
  input[size] = 0;
  if (fzr_addr_parse(input, &addr) == 0) {
    FUZZ_CHECK(fzr_addr_format(&addr, true, text, sizeof text) > 0);
    FUZZ_CHECK(fzr_addr_parse(text, &again) == 0 && fzr_addr_equal(&addr, &again));
  }
  if (fzr_peer_rule_parse(input, true, &rule) == 0) {
    FUZZ_CHECK(rule.prefix <= (rule.net.family == FZR_FAMILY_IPV4 ? 32 : 128));
    FUZZ_CHECK(rule.allow);
    FUZZ_CHECK(fzr_peer_rule_format(&rule, text, sizeof text) > 0);
    FUZZ_CHECK(fzr_peer_rule_parse(text, true, &same) == 0 && memcmp(&rule, &same, sizeof rule) == 0);
  }
  free(input);
  return 0;
}
