#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests.
#
#   scripts/test.sh             everything
#   scripts/test.sh --quick     one build with gcc and its tests, nothing else
#
# Ends with a line "N passed, N failed, N skipped" over all test programs, and exits 0 only if none failed.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
for arg in "$@"; do
  case "$arg" in
  --quick) quick=true ;;
  -h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
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

say "gcc: build and test (build-test)"
build build-test -Dwerror=true
run_tests build-test

if ! $quick; then
  say "gcc, address and undefined behaviour sanitizers (build-test-asan)"
  build build-test-asan -Dwerror=true -Db_sanitize=address,undefined
  ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 run_tests build-test-asan

  check "clang: build without a warning (build-test-clang)" env CC=clang bash -c \
    '{ [ -f build-test-clang/build.ninja ] || meson setup build-test-clang -Dwerror=true >/dev/null; } &&
     ninja -C build-test-clang --quiet'
  check "layout (clang-format)" bash -c \
    "git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror"
  check "scripts (shellcheck)" bash -c \
    "git ls-files '*.sh' .ci/run | xargs shellcheck"
fi

printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
