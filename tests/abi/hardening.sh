#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The program and the library are built with what makes a mistake harder to exploit: position independent, relocations read-only
# and bound at start, no executable stack, stack protector, and checked copies where the compiler optimises.
#
#   hardening.sh PROGRAM LIBRARY OPTIMIZATION
set -euo pipefail
status=0

complain() {
  echo "$*" >&2
  status=1
}

for file in "$1" "$2"; do
  headers=$(readelf -Whl "$file")
  dynamic=$(readelf -Wd "$file")
  symbols=$(nm -D --undefined-only "$file")
  grep -q 'Type: *DYN' <<<"$headers" || complain "$file: not position independent"
  grep -q GNU_RELRO <<<"$headers" || complain "$file: no RELRO"
  grep -q 'FLAGS.*BIND_NOW\|FLAGS_1.*NOW' <<<"$dynamic" || complain "$file: not bound at start"
  grep -q 'GNU_STACK.* RW ' <<<"$headers" || complain "$file: executable stack"
  grep -q __stack_chk_fail <<<"$symbols" || complain "$file: no stack protector"
done
# The library copies nothing whose size the compiler does not know, so there is nothing to check in it.
case "$3" in
0 | g) ;;
*) grep -q '__[a-z]*printf_chk\|__mem[a-z]*_chk' <<<"$(nm -D --undefined-only "$1")" || complain "$1: no FORTIFY" ;;
esac
grep -q 'FLAGS_1.*PIE' <<<"$(readelf -Wd "$1")" || complain "$1: no PIE"
exit $status
