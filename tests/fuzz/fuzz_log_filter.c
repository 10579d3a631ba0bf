/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as RUST_LOG: what is understood can be written down and read again, and means the same. */
#include "fuzz.h"

#include "log/filter.h"

typedef struct counted {
  size_t count;
  const char *from, *end;
  const log_filter *filter;
} counted;

static void complain(void *ctx, const char *directive, size_t len, const char *problem)
{
  counted *c = ctx;
  const bool read = directive >= c->from && directive + len <= c->end;
  const bool kept = directive >= (const char *)c->filter && directive + len <= (const char *)(c->filter + 1);
  FUZZ_CHECK((read || kept) && *problem);
  c->count++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const targets[] = {"relay", "portal", "wire", "otlp", "a::b::c", ""};
  char written[LOG_FILTER_TEXT_MAX], again[LOG_FILTER_TEXT_MAX];
  log_filter filter, second;
  char *text = malloc(size + 1);
  FUZZ_CHECK(text);
  if (size)
    memcpy(text, data, size);
  text[size] = 0;
  counted c = {0, text, text + strlen(text), &filter};
  FUZZ_CHECK(log_filter_parse(&filter, text, complain, &c) == c.count);
  log_filter_format(&filter, written, sizeof written);
  FUZZ_CHECK(strlen(written) < sizeof written - 1);
  FUZZ_CHECK(log_filter_parse(&second, written, NULL, NULL) == 0);
  log_filter_format(&second, again, sizeof again);
  FUZZ_CHECK(strcmp(written, again) == 0);
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    const enum fzr_log_level level = log_filter_level(&filter, targets[i]);
    FUZZ_CHECK(level <= filter.highest && filter.highest <= FZR_LOG_TRACE);
    FUZZ_CHECK(level == log_filter_level(&second, targets[i]));
  }
  free(text);
  return 0;
}
