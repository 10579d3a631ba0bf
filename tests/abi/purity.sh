#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The engine is pure: apart from the UDP adapter and what it asks the kernel, the library's objects import only what is listed here: memory, strings, and
# mbedTLS's hashes. No socket, no clock, no randomness, no printf.
set -euo pipefail
archive=$1

allowed='memcmp|memcpy|memmove|memset|memchr|strlen|strchr|strrchr|strcmp|strncmp|malloc|calloc|free|bcmp'
allowed+='|mbedtls_(md5|sha1|sha256)_(init|free|(starts|update|finish)(_ret)?)|mbedtls_platform_zeroize'
# What compilers add on their own: arithmetic, stack protector, fortified copies, sanitizers, coverage.
allowed+='|__(u?divti3|u?modti3|popcountdi2|u?divdi3|u?moddi3|udivmoddi4|ctzdi2)|__stack_chk_fail(_local)?|__mem(cpy|move|set)_chk|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|sanitizer|gcov|llvm)_.*|__gcov.*'

status=0
mapfile -t members < <(ar t "$archive" | grep -vE '^io_(udp|netlink|neighbours)')
[ "${#members[@]}" -gt 20 ] || {
  echo "only ${#members[@]} objects: is this the library?" >&2
  exit 1
}
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
archive=$(realpath "$archive")
(cd "$objects" && ar x "$archive")
# What they define themselves they may use; what the adapter defines they may not.
defined=$(cd "$objects" && nm --defined-only "${members[@]}" | awk 'NF == 3 {print $3}' | sort -u)
for member in "${members[@]}"; do
  imports=$(nm -u "$objects/$member" | awk '{print $2}' | grep -vxE "$allowed" | grep -vxF "$defined" || true)
  if [ -n "$imports" ]; then
    echo "$member imports: $(tr '\n' ' ' <<<"$imports")" >&2
    status=1
  fi
done
exit $status
