#!/usr/bin/env bash
# Runs every fuzz target of a build folder that was configured with clang and -Dfuzz=true, from its committed corpus, as many at
# a time as there are CPUs. What they find new is thrown away, unless a folder for it is named; inputs that break something are
# kept in the build folder.
#
#   scripts/fuzz.sh BUILD-FOLDER [SECONDS-EACH [FOLDER-FOR-NEW-INPUTS]]
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
"" | -h | --help)
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
build=$1
seconds=${2:-30}
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
new=${3:-$state/new}
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# Fuzzes one target: fuzz NAME
fuzz() {
  local name=$1 log="$state/$1.log" status=0
  mkdir -p "$new/$name"
  "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=2048 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="$build/fuzz-$name-" "$new/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1 || status=$?
  if [ "$status" -eq 0 ]; then
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, nothing found"
  else
    echo "$name: exit status $status"
    tail -n 60 "$log"
    touch "$state/failed"
  fi
}

found=0
for target in "$build"/tests/fuzz/fuzz_*; do
  if [ ! -f "$target" ] || [ ! -x "$target" ]; then
    continue
  fi
  found=$((found + 1))
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
    wait -n || true
  done
  fuzz "${target##*/fuzz_}" &
done
wait
if [ "$found" -eq 0 ]; then
  echo "fuzz.sh: no fuzz targets in $build" >&2
  exit 1
fi
[ ! -e "$state/failed" ]
