#!/usr/bin/env bash
# Static analysis: cppcheck, and clang-tidy's bugprone, cert and clang-analyzer groups (.clang-tidy says what is left out, and
# why). Wants a configured build folder, for its compile_commands.json.
#
#   scripts/lint.sh BUILD-FOLDER
set -euo pipefail
case "${1:-}" in
-h | --help)
  sed -n '2,5s/^# \{0,1\}//p' "$0"
  exit 0
  ;;
esac
build=${1:?usage: scripts/lint.sh BUILD-FOLDER}
cd "$(dirname "$0")/.."
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

mapfile -t sources < <(git ls-files 'lib/*.c' 'cli/*.c' ':!cli/*.bpf.c' 'examples/*.c' 'tests/bench/*.c')
if [ "${#sources[@]}" -eq 0 ]; then
  echo "lint.sh: git lists no sources" >&2
  exit 1
fi
cppcheck --enable=warning,portability --inline-suppr --error-exitcode=1 --quiet -j"$(nproc)" --std=c11 -Iinclude -Ilib -Icli \
  -D_GNU_SOURCE -DFZR_BUILD_VERSION='"0"' "${sources[@]}"
# Only what this build compiles has a command line to be analysed with.
status=0
for source in "${sources[@]}"; do
  if grep -q "/$source\"" "$build/compile_commands.json" || grep -q "\.\./$source\"" "$build/compile_commands.json"; then
    echo "$source"
  fi
done | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet 2>/dev/null || status=$?
exit $status
