#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The shared library exports what its version map names, each in the node of its release, and the headers declare just that. The version in
# the project's meson.build is that of the library's file name, its soname, the map's newest node and the headers' numbers.
#
#   symbols.sh LIBRARY MAP VERSION HEADER...
set -euo pipefail
library=$1 map=$2 version=$3
shift 3
status=0

complain() {
  echo "$*" >&2
  status=1
}

named=$(awk '/^FZRELAY_/ { node = $1 } /^    fzr_[a-z0-9_]+;$/ { sub(";", "", $1); print $1 "@@" node }' "$map" | sort)
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sort)
declared=$(sed -nE 's/^FZR_API [^(]*\b(fzr_[a-z0-9_]+)\(.*/\1/p' "$@" | sort)
[ -n "$named" ] || complain "$map names nothing"
diff <(echo "$named") <(echo "$exported") >&2 || complain "the exported symbols are not those of $map (< named, > exported)"
diff <(echo "$named" | cut -d @ -f 1) <(echo "$declared") >&2 ||
  complain "the headers declare other functions than $map names (< named, > declared)"

# A struct that may grow begins with its size: it has an initialiser, or is filled by a function that is told the size.
while read -r struct; do
  grep -qE "^static inline $struct ${struct}_init\(void\)|^FZR_API int fzr_[a-z_]+_sized\(.*\b$struct \*" "$@" ||
    complain "struct $struct has a size, and neither ${struct}_init nor a function …_sized"
done < <(awk '/^typedef struct fzr_[a-z_]+ \{/ { name = $3; next } /^}/ { name = "" }
    name != "" && !/^ *(\/\*|\*)/ && /;/ { if (/ size_t size;/) print name; name = "" }' "$@")

newest=$(sed -nE 's/^FZRELAY_([0-9.]+) .*/\1/p' "$map" | sort -V | tail -n 1)
[ "$newest" = "${version%.*}" ] || complain "the newest node of $map is of $newest, the project is $version"
numbers=$(sed -nE 's/^#define FZR_VERSION_(MAJOR|MINOR|PATCH) //p' "$@" | paste -s -d .)
[ "$numbers" = "$version" ] || complain "the headers' FZR_VERSION_… are $numbers, the project is $version"
grep -q "SONAME.*\[libfzrelay\.so\.${version%%.*}\]" <<<"$(readelf -d "$library")" || complain "the soname is not that of $version"
[ "$(basename "$(realpath "$library")")" = "libfzrelay.so.$version" ] || complain "the library's file name is not that of $version"
exit $status
