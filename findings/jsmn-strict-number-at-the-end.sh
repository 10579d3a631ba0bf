#!/usr/bin/env bash
# jsmn: JSMN_STRICT takes no text that ends with a number, true, false or null.
#
# Version:   jsmn 1.1.0 (Debian 12: libjsmn-dev 1.1.0-2)
# Guess:     with JSMN_STRICT the parser takes what is JSON (RFC 8259, 2: any value may be a whole text), so 123 is one token, as "a" is.
# Behaviour: 123, true and null end with JSMN_ERROR_PART (-3, "more bytes expected") unless something follows them: white space, a comma or a
#            bracket. Strings need nothing. Without JSMN_STRICT numbers and words are taken at the end, too. Whoever gets bare values
#            appends a space before parsing.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack libjsmn-dev=1.1.0-2
compile <<'END'
#define JSMN_STRICT
#include <jsmn.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  static const char *const texts[] = {"123", "true", "null", "\"a\"", "123 ", "true\n", "[123]"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    jsmn_parser parser;
    jsmntok_t tokens[4];
    jsmn_init(&parser);
    printf("%d ", jsmn_parse(&parser, texts[i], strlen(texts[i]), tokens, 4));
  }
  printf("\n");
}
END
expected='-3 -3 -3 1 1 1 2 '
stated "$expected" "$("$dir/program")"
