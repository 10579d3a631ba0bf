#!/usr/bin/env bash
# libabigail: symbols that move to another version node are all removed, and none is added.
#
# Version:   abidiff 2.2.0 (Debian 12: abigail-tools 2.2-2, libabigail0 2.2-2; libdw1, libelf1 0.188-2.1)
# Guess:     a library whose linker script renames its only version node (LIB_1 becomes LIB_2) and changes nothing else has, to abidiff, as many
#            added functions as removed ones: f@@LIB_1 goes and f@@LIB_2 comes.
# Behaviour: it counts the removed ones alone, "0 Added functions", and ends with 12 (ABI change, incompatible). With --no-added-syms, which should
#            change nothing then, the summary is the same. Nothing in the report says that the functions are there under another node.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack abigail-tools=2.2-2 libabigail0=2.2-2 libdw1=0.188-2.1 libelf1=0.188-2.1
need gcc
cat >"$dir/two.c" <<'END'
int one(int x);
int two(int x);
int one(int x) { return x + 1; }
int two(int x) { return x + 2; }
END
for version in 1 2; do
  printf 'LIB_%s { global: one; two; local: *; };\n' "$version" >"$dir/map$version"
  gcc -g -shared -fPIC -Wl,-soname,libtwo.so.0 -Wl,--version-script="$dir/map$version" -o "$dir/libtwo.so.$version" "$dir/two.c"
done
compare() {
  local status=0
  LD_LIBRARY_PATH="$root/usr/lib/$multiarch" "$root/usr/bin/abidiff" "$@" "$dir/libtwo.so.1" "$dir/libtwo.so.2" >"$dir/report" || status=$?
  sed -n 's/^Functions changes summary: //p' "$dir/report"
  echo "status $status"
}
expected='2 Removed, 0 Changed, 0 Added functions
status 12
2 Removed, 0 Changed, 0 Added functions
status 12'
stated "$expected" "$(compare; compare --no-added-syms)"
