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
  libbpf-dev llvm ethtool libcap2-bin procps git haproxy openssl
  build-essential debhelper help2man lintian python3-yaml skopeo umoci
)
# Clients that relays meet, for the suite "clients". What a release of Debian does not have is left out there, and its test says so.
client_packages=(
  chromium firefox-esr libnice-dev gstreamer1.0-nice gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  python3-gst-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0 python3-aiortc baresip-core libnss3-tools golang-github-pion-webrtc.v3-dev
)

packages=() optional=()
for group in "$@"; do
  case "$group" in
  build) packages+=("${build_packages[@]}") ;;
  test) packages+=("${test_packages[@]}") optional+=("${client_packages[@]}") ;;
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

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'; }

# Whether there is such a package, as far as apt knows.
is_known() { [ -n "$(apt-cache show "$1" 2>/dev/null)" ]; }

# Sets |missing|. Before apt's lists are there, they say of none that it is not to be had.
look() {
  local package
  missing=()
  for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  for package in "${optional[@]}"; do
    if ! is_installed "$package" && { is_known "$package" || ! is_known python3; }; then
      missing+=("$package")
    fi
  done
}

look
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
look
# Daemons that come with packages (coturn) are not to be started.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
apt-get install -q -y --no-install-recommends "${missing[@]}"
