#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests.
#
#   scripts/test.sh             everything
#   scripts/test.sh --quick     one build with gcc and its tests, nothing else
#
# FUZZ_SECONDS=N fuzzes each target for N seconds (30). Build folders (build-test*) are kept, so that a second run is faster.
#
# A test of the suites e2e, clients, xdp and bench-smoke that fails is run once more, alone: such tests wait for deadlines, on a machine where
# another test runs beside them and which may be busy with others' work, too. What passes then counts as passed, and is named under
# "Passed only at the second try, alone" with the end of its first log, for somebody to mend it. There is no second try for a crash and
# what a sanitizer has reported, for other suites, and where more than five tests of a build fail: that is no accident.
#
# Ends with what failed, the end of each log with it, and a line "N passed, N failed, N skipped" over all test programs, and exits 0 only if none failed.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
for arg in "$@"; do
  case "$arg" in
  --quick) quick=true ;;
  -h | --help)
    sed -n '2,14s/^# \{0,1\}//p' "$0"
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
failures=() unsteady=()
# Of each build; and of all, whose logs are told of at the end.
most_again=5 most_told=12

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

# Runs one test again by itself, as it was run before: run_again DIR SUITE NAME [meson test options of the first run...]
run_again() {
  local dir=$1 suite=$2 name=$3 wrap=() option
  shift 3
  for option in "$@"; do
    case "$option" in
    --wrap=*) wrap+=("$option") ;;
    esac
  done
  say "once more, alone: $name ($dir)"
  rm -f "$dir"/meson-logs/second-try*.json
  meson test -C "$dir" --no-rebuild --print-errorlogs --num-processes 1 --logbase second-try "${wrap[@]}" --suite "$suite" "$name" || true
  scripts/test-log.py passed "$dir"/meson-logs/second-try*.json
}

# Deals with the tests that failed in a run, the log of which is LOG: look_into DIR LOG [meson test options of the run...]. Sets |rescued| to
# the number of those that passed when they were run again.
look_into() {
  local dir=$1 log=$2 again suite name told
  shift 2
  rescued=0
  if ! meson introspect --tests "$dir" >"$dir/tests.json" || ! scripts/test-log.py failed "$log" "$dir/tests.json" >"$dir/failed-tests.txt"; then
    return 0
  fi
  while IFS=$'\t' read -r again suite name <&3; do
    told="$name in $dir"
    if [ $((${#failures[@]} + ${#unsteady[@]})) -lt "$most_told" ]; then
      told+=$'\n'$(scripts/test-log.py tell "$log" "$name" || true)
    fi
    if [ "$again" = again ] && [ "$(wc -l <"$dir/failed-tests.txt")" -le "$most_again" ] && run_again "$dir" "$suite" "$name" "$@"; then
      rescued=$((rescued + 1))
      unsteady+=("$told")
    else
      failures+=("$told")
    fi
  done 3<"$dir/failed-tests.txt"
}

# Runs the meson tests of a tree and adds up what they say: run_tests DIR [meson test options...]
run_tests() {
  local dir=$1 status=0 log=$1/test-summary.txt named rescued=0
  shift
  rm -f "$dir"/meson-logs/testlog*.json
  meson test -C "$dir" --no-rebuild --print-errorlogs "$@" | tee "$log" || status=$?
  count() { tail -n 20 "$log" | sed -n "s/^$1: *\([0-9]*\).*/\1/p" | tail -n 1; }
  local ok bad skip timeout
  ok=$(count Ok) bad=$(count Fail) skip=$(count Skipped) timeout=$(count Timeout)
  bad=$((${bad:-0} + ${timeout:-0}))
  if [ "$bad" -gt 0 ]; then
    named=${#failures[@]}
    look_into "$dir" "$dir"/meson-logs/testlog*.json "$@"
    named=$((${#failures[@]} - named + rescued))
    [ "$named" -eq "$bad" ] || failures+=("$bad failed or timed out in $dir, of which $named are named above")
  elif [ "$status" -ne 0 ]; then
    fail "meson test in $dir: exit status $status"
  fi
  passed=$((passed + ${ok:-0} + rescued))
  failed=$((failed + bad - rescued))
  skipped=$((skipped + ${skip:-0}))
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

if [ "${#unsteady[@]}" -gt 0 ]; then
  printf '\nPassed only at the second try, alone (they are to be mended):\n'
  printf '  %s\n' "${unsteady[@]}"
fi
if [ "${#failures[@]}" -gt 0 ]; then
  printf '\nWhat failed:\n'
  printf '  %s\n' "${failures[@]}"
fi
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
