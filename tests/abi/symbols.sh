#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The shared library exports exactly the symbols listed, each in its version's node, and has its soname.
set -euo pipefail
library=$1
list=$2
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | sort)
if ! diff <(grep -v '^#' "$list") <(echo "$exported"); then
  echo "the exported symbols are not those of $list (< listed, > exported)" >&2
  exit 1
fi
dynamic=$(readelf -d "$library")
grep -q 'SONAME.*libfzrelay\.so\.0' <<<"$dynamic" || {
  echo "no soname" >&2
  exit 1
}
