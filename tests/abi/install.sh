#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs into an empty folder, then builds and runs the examples against what is there, through pkg-config alone: shared and
# static, as strict C11; and they are C++17, too.
set -euo pipefail
source=$1
build=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

DESTDIR=$root meson install -C "$build" --no-rebuild --quiet >/dev/null
pc=$(find "$root" -name libfzrelay.pc)
[ -n "$pc" ] || {
  echo "libfzrelay.pc was not installed" >&2
  exit 1
}
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=${pc%/*}
libdir=$root$(pkg-config --variable=libdir libfzrelay | sed "s|^$root||")
cc=${CC:-cc}

for example in minimal_poll own_loop two_adapters custom_auth save_load simulate; do
  sources=("$source/examples/$example.c")
  case "$example" in
    simulate) sources+=("$source/examples/memory_net.c") ;;
    two_adapters) sources+=("$source/examples/stream_adapter.c") ;;
  esac
  # shellcheck disable=SC2046 # flags are words
  $cc -std=c11 -pedantic-errors -Wall -Wextra -Werror "${sources[@]}" -o "$root/$example" $(pkg-config --cflags --libs libfzrelay)
  # shellcheck disable=SC2046
  $cc -std=c11 -pedantic-errors -Wall -Wextra -Werror "${sources[@]}" -o "$root/$example-static" \
    -Wl,-Bstatic $(pkg-config --static --cflags --libs libfzrelay) -Wl,-Bdynamic
  if command -v "${CXX:-c++}" >/dev/null; then
    # shellcheck disable=SC2046
    ${CXX:-c++} -x c++ -std=c++17 -pedantic-errors -Wall -Wextra -Werror -fsyntax-only "${sources[@]}" $(pkg-config --cflags libfzrelay)
  fi
done
# The whole relay of README, which is short and means what it says in both languages.
# shellcheck disable=SC2016
sed -n '/^## Embed it/,/^## /p' "$source/README.md" | sed -n '/^```c$/,/^```$/p' | sed '/^```/d' >"$root/relay.c"
lines=$(wc -l <"$root/relay.c")
if [ "$lines" -le 10 ] || [ "$lines" -gt 25 ]; then
  echo "README's relay has $lines lines" >&2
  exit 1
fi
# shellcheck disable=SC2046
$cc -std=c11 -pedantic-errors -Wall -Wextra -Werror "$root/relay.c" -o "$root/relay" $(pkg-config --cflags --libs libfzrelay)
if command -v "${CXX:-c++}" >/dev/null; then
  # shellcheck disable=SC2046
  ${CXX:-c++} -x c++ -std=c++17 -pedantic-errors -Wall -Wextra -Werror "$root/relay.c" -o "$root/relay-c++" $(pkg-config --cflags --libs libfzrelay)
fi
for example in custom_auth save_load simulate two_adapters; do
  LD_LIBRARY_PATH=$libdir "$root/$example" >/dev/null
  "$root/$example-static" >/dev/null
done
static_needs=$(ldd "$root/simulate-static")
shared_needs=$(LD_LIBRARY_PATH=$libdir ldd "$root/simulate")
if grep -q fzrelay <<<"$static_needs"; then
  echo "the static example needs the shared library" >&2
  exit 1
fi
grep -q "libfzrelay.so.0 => $root" <<<"$shared_needs" || {
  echo "the shared example does not use the installed library" >&2
  exit 1
}
# README measures a relay with it.
"$(find "$root" -path '*/bin/fzr-bench')" --help >/dev/null || {
  echo "fzr-bench was not installed, or does not run" >&2
  exit 1
}
# With the program comes its entry script for containers.
if [ -n "$(find "$root" -path '*/bin/firezone-relay')" ]; then
  entry=$(find "$root" -path '*/firezone-relay/docker-init-relay.sh')
  [ "$("$entry" echo ran)" = ran ] || {
    echo "docker-init-relay.sh was not installed, or does not run" >&2
    exit 1
  }
fi
echo "installed: $(cd "$root" && find . -path './*' -type f | grep -cE '\.(h|so|a|pc|1)|bin/')" files, examples run
