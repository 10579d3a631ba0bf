#!/usr/bin/env bash
# Installs by apt whatever of the packages named on the command line's groups is missing.
#
#   scripts/install-deps.sh build         what building needs
#   scripts/install-deps.sh build test    and what the tests need
#
# Does nothing when everything is there. Needs root only when something is missing.
set -euo pipefail

build_packages=(
  gcc libc6-dev pkg-config meson ninja-build libevent-dev libmbedtls-dev libwslay-dev libjsmn-dev libnghttp2-dev libprotobuf-c-dev
  protobuf-c-compiler ca-certificates dpkg-dev
)
test_packages=(
  check g++ clang clang-format clang-tidy cppcheck shellcheck libclang-rt-dev binutils iproute2 python3
  python3-aioice coturn libre-dev golang-go golang-github-pion-turn.v2-dev valgrind strace man-db util-linux
  python3-websockets python3-grpcio python3-protobuf protobuf-compiler nghttp2-server prometheus curl
  libbpf-dev llvm ethtool libcap2-bin procps git
)

packages=()
for group in "$@"; do
  case "$group" in
  build) packages+=("${build_packages[@]}") ;;
  test) packages+=("${test_packages[@]}") ;;
  -h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *)
    echo "install-deps.sh: unknown group '$group': expected build or test" >&2
    exit 2
    ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$'; then
    missing+=("$package")
  fi
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

echo "== installing: ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
  echo "install-deps.sh: not root. Run this once: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# Daemons that come with packages (coturn) are not to be started.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
apt-get install -q -y --no-install-recommends "${missing[@]}"
