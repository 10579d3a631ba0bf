#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests.
#
#   scripts/test.sh             everything
#   scripts/test.sh --quick     one build with gcc and its tests, nothing else
#
# FUZZ_SECONDS=N fuzzes each target for N seconds (30).
#
# Ends with a line "N passed, N failed, N skipped" over all test programs, and exits 0 only if none failed.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
fuzz_seconds=${FUZZ_SECONDS:-30}
for arg in "$@"; do
  case "$arg" in
  --quick) quick=true ;;
  -h | --help)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *)
    echo "test.sh: unknown argument '$arg'; see --help" >&2
    exit 2
    ;;
  esac
done

scripts/install-deps.sh build test

passed=0 failed=0 skipped=0

say() { printf '\n== %s\n' "$*"; }

# Counts one check that is not a meson test: check NAME COMMAND...
check() {
  local name=$1
  shift
  say "$name"
  if "$@"; then
    passed=$((passed + 1))
  else
    echo "FAILED: $name"
    failed=$((failed + 1))
  fi
}

# Configures (once) and builds a tree: build DIR [meson options...]
build() {
  local dir=$1
  shift
  if [ -f "$dir/build.ninja" ]; then
    meson configure "$dir" "$@" >/dev/null
  else
    meson setup "$dir" "$@" >/dev/null
  fi
  ninja -C "$dir" --quiet
}

# Runs the meson tests of a tree and adds up what they say: run_tests DIR [meson test options...]
run_tests() {
  local dir=$1 status=0 summary
  shift
  meson test -C "$dir" --no-rebuild --print-errorlogs "$@" | tee "$dir/test-summary.txt" || status=$?
  summary=$(tail -n 20 "$dir/test-summary.txt")
  count() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" <<<"$summary" | tail -n 1; }
  local ok bad skip timeout
  ok=$(count Ok) bad=$(count Fail) skip=$(count Skipped) timeout=$(count Timeout)
  passed=$((passed + ${ok:-0}))
  failed=$((failed + ${bad:-0} + ${timeout:-0}))
  skipped=$((skipped + ${skip:-0}))
  if [ "$status" -ne 0 ] && [ $((${bad:-0} + ${timeout:-0})) -eq 0 ]; then
    failed=$((failed + 1))
  fi
}

# Runs each fuzz target from the committed corpus, two at a time; what it finds new is thrown away.
fuzz_all() {
  local new status=0
  new=$(mktemp -d)
  # shellcheck disable=SC2016 # the inner shell expands it
  find build-test-fuzz/tests/fuzz -maxdepth 1 -type f -name 'fuzz_*' -executable -printf '%f\n' | sort |
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 xargs -P "$(nproc)" -I{} sh -c \
      'mkdir "$2/{}" && build-test-fuzz/tests/fuzz/{} -max_total_time="$1" -max_len=2048 -verbosity=0 -print_final_stats=1 \
       -artifact_prefix=build-test-fuzz/{}- "$2/{}" "tests/fuzz/corpus/$(echo {} | cut -c6-)" 2>&1 |
       grep -E "ERROR|SUMMARY|does not hold|number_of_executed_units" | sed "s/^/{}: /"; test -z "$(ls build-test-fuzz/{}-* 2>/dev/null)"' \
      _ "$fuzz_seconds" "$new" || status=1
  rm -rf "$new"
  return $status
}

say "gcc: build and test (build-test)"
build build-test -Dwerror=true
run_tests build-test

if ! $quick; then
  say "gcc, address and undefined behaviour sanitizers (build-test-asan)"
  build build-test-asan -Dwerror=true -Db_sanitize=address,undefined
  ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 run_tests build-test-asan

  say "gcc, thread sanitizer: the program end to end, with several workers (build-test-tsan)"
  build build-test-tsan -Dwerror=true -Db_sanitize=thread -Dexamples=false
  # The sanitizer wants the address space where it expects it.
  FZT_WORKERS=4 TSAN_OPTIONS=halt_on_error=1 run_tests build-test-tsan --suite e2e --wrap='setarch -R'

  say "clang: build without a warning, and for fuzzing (build-test-fuzz)"
  CC=clang build build-test-fuzz -Dwerror=true -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
  check "fuzzing, ${fuzz_seconds} s each" fuzz_all
  check "static analysis (cppcheck, clang-tidy)" scripts/lint.sh build-test
  check "layout (clang-format)" bash -c "git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror"
  check "scripts (shellcheck)" bash -c "git ls-files '*.sh' .ci/run | xargs shellcheck"
  check "scripts/run.sh: from here to a relay that relays" env RELAY_PORT=0 scripts/run.sh --check
fi

printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
