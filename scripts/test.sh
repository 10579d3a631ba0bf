#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests.
#
#   scripts/test.sh             everything
#   scripts/test.sh --quick     one build with gcc and its tests, nothing else
#
# FUZZ_SECONDS=N fuzzes each target for N seconds (30). Build folders (build-test*) are kept, so that a second run is faster.
#
# Ends with a line "N passed, N failed, N skipped" over all test programs, and exits 0 only if none failed.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
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
fuzz_seconds=${FUZZ_SECONDS:-30}
# A checkout that belongs to another user is no reason for git to refuse to list its files.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

scripts/install-deps.sh build test

passed=0 failed=0 skipped=0
failures=()

say() { printf '\n== [%d s] %s\n' "$SECONDS" "$*"; }

fail() {
  echo "FAILED: $*"
  failures+=("$*")
  failed=$((failed + 1))
}

# Counts one check that is not a meson test: check NAME COMMAND...
check() {
  local name=$1
  shift
  say "$name"
  if "$@"; then
    passed=$((passed + 1))
  else
    fail "$name"
  fi
}

# Counts one check that can't be made here: skip NAME WHY
skip() {
  say "$1"
  echo "SKIPPED: $2"
  skipped=$((skipped + 1))
}

# Configures and builds a tree: build DIR [meson options...]. A failure is counted.
build() {
  local dir=$1
  shift
  if [ -f "$dir/build.ninja" ]; then
    meson configure "$dir" "$@" >/dev/null || { fail "configuring $dir"; return 1; }
  else
    meson setup "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; fail "configuring $dir"; return 1; }
    rm -f "$dir.log"
  fi
  ninja -C "$dir" --quiet || { fail "building $dir"; return 1; }
}

# Runs the meson tests of a tree and adds up what they say: run_tests DIR [meson test options...]
run_tests() {
  local dir=$1 status=0 log=$1/test-summary.txt
  shift
  meson test -C "$dir" --no-rebuild --print-errorlogs "$@" | tee "$log" || status=$?
  count() { tail -n 20 "$log" | sed -n "s/^$1: *\([0-9]*\).*/\1/p" | tail -n 1; }
  local ok bad skip timeout
  ok=$(count Ok) bad=$(count Fail) skip=$(count Skipped) timeout=$(count Timeout)
  passed=$((passed + ${ok:-0}))
  failed=$((failed + ${bad:-0} + ${timeout:-0}))
  skipped=$((skipped + ${skip:-0}))
  if [ $((${bad:-0} + ${timeout:-0})) -gt 0 ]; then
    failures+=("${bad:-0} failed and ${timeout:-0} timed out in $dir")
  elif [ "$status" -ne 0 ]; then
    fail "meson test in $dir: exit status $status"
  fi
}

say "gcc: build and test (build-test)"
if build build-test -Dwerror=true; then
  run_tests build-test
fi

sanitized() {
  say "gcc, address and undefined behaviour sanitizers (build-test-asan)"
  build build-test-asan -Dwerror=true -Db_sanitize=address,undefined || return 0
  ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 run_tests build-test-asan
}

# The thread sanitizer wants the address space where it expects it; not every container lets a program say so.
threads() {
  local name="gcc, thread sanitizer: the program end to end, with several workers (build-test-tsan)" wrap=()
  if setarch -R true 2>/dev/null; then
    wrap=(setarch -R)
  fi
  say "$name"
  build build-test-tsan -Dwerror=true -Db_sanitize=thread -Dexamples=false || return 0
  if ! "${wrap[@]}" build-test-tsan/cli/firezone-relay --version >/dev/null 2>&1; then
    skip "$name" "the sanitizer does not start here (no setarch -R, too much address space randomisation)"
    return 0
  fi
  FZT_WORKERS=4 TSAN_OPTIONS=halt_on_error=1 run_tests build-test-tsan --suite e2e ${wrap:+--wrap="${wrap[*]}"}
  # What shards share, on threads that do nothing else.
  TSAN_OPTIONS=halt_on_error=1 run_tests build-test-tsan ports ${wrap:+--wrap="${wrap[*]}"}
}

clang_and_fuzzing() {
  say "clang: build without a warning, and for fuzzing (build-test-fuzz)"
  CC=clang CXX=clang++ build build-test-fuzz -Dwerror=true -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false || return 0
  passed=$((passed + 1))
  check "fuzzing, $fuzz_seconds s each" scripts/fuzz.sh build-test-fuzz "$fuzz_seconds"
}

# Counts a check by linters, whose findings differ from release to release: made with those of Debian 12 alone.
lint() {
  local found
  found=$(clang-format --version | grep -o 'version [0-9]*' || true)
  if [ "$found" = "version 14" ]; then
    check "$@"
  else
    skip "$1" "clang-format is ${found:-not there}; this check is made with the linters of Debian 12 (14)"
  fi
}

# Checks the layout of all C files.
layout() {
  local files
  mapfile -t files < <(git ls-files '*.c' '*.h')
  [ "${#files[@]}" -gt 0 ] && clang-format --dry-run -Werror "${files[@]}"
}

# Checks all shell scripts.
shell_scripts() {
  local files
  mapfile -t files < <(git ls-files '*.sh' .ci/run)
  [ "${#files[@]}" -gt 0 ] && shellcheck "${files[@]}"
}

if ! $quick; then
  sanitized
  threads
  clang_and_fuzzing
  lint "static analysis (cppcheck, clang-tidy)" scripts/lint.sh build-test
  lint "layout (clang-format)" layout
  check "scripts (shellcheck)" shell_scripts
  check "scripts/run.sh: from here to a relay that relays" env RELAY_PORT=0 scripts/run.sh --check
fi

if [ "${#failures[@]}" -gt 0 ]; then
  printf '\nWhat failed:\n'
  printf '  %s\n' "${failures[@]}"
fi
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
