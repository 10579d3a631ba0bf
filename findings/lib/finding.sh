# shellcheck shell=bash
# Sourced by each finding: a temporary folder that goes away at the end, and the pinned packages in it.
#
# Exit status of a finding: 0 as stated, 1 changed, 77 cannot be tried here.
set -euo pipefail

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
root=$dir/root
multiarch=$(gcc -print-multiarch 2>/dev/null || true)
started=()

# Ends what the finding started, by its id, and removes the folder.
clean_up() {
  local pid
  for pid in "${started[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$dir"
}
trap clean_up EXIT

cannot() {
  echo "cannot be tried here: $*" >&2
  exit 77
}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || cannot "no $tool"
  done
}

# Unpacks Debian packages, each named PACKAGE=VERSION, below $root. $apt_options may hold further options of apt-get.
apt_options=()
unpack() {
  local file
  need apt-get dpkg
  mkdir -p "$dir/debs"
  (cd "$dir/debs" && apt-get "${apt_options[@]}" -qq download "$@" >"$dir/apt.log" 2>&1) ||
    cannot "apt-get download $* (run apt-get update first): $(head -n 1 "$dir/apt.log")"
  for file in "$dir"/debs/*.deb; do
    dpkg -x "$file" "$root"
  done
  rm -r "$dir/debs"
}

# Makes unpack take packages from another suite of Debian, with lists of its own: the host's are left as they are.
use_debian() {
  mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
  local mirror
  mirror=$(apt-cache policy 2>/dev/null | grep -oE 'https?://[^ ]+/debian ' | head -n 1) || cannot "no Debian mirror is set up"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$dir/apt/sources.list"
  apt_options=(
    -o "Dir::Etc::sourcelist=$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$dir/apt/lists"
    -o "Dir::Cache=$dir/apt/cache" -o Dir::Etc::preferencesparts=/dev/null
  )
  apt-get "${apt_options[@]}" -qq update >"$dir/apt.log" 2>&1 || cannot "apt-get update of $1"
}

# Compiles the C program on standard input to $dir/program; arguments are further ones of gcc.
compile() {
  need gcc
  cat >"$dir/program.c"
  gcc -std=gnu11 -Wall -I"$root/usr/include" -I"$dir" -o "$dir/program" "$dir/program.c" "$@" \
    -L"$root/usr/lib/$multiarch" -Wl,-rpath,"$root/usr/lib/$multiarch"
}

# Runs the Python program on standard input in a new network namespace, with the system's Python.
in_namespace() {
  need unshare ip
  [ -x /usr/bin/python3 ] || cannot "no python3"
  unshare -n true 2>/dev/null || cannot "no right to make a network namespace"
  cat >"$dir/program.py"
  unshare -n /usr/bin/python3 "$dir/program.py"
}

# Compares what was seen ($2) with what the head states ($1).
stated() {
  printf 'seen:\n%s\n' "$2"
  if [ "$1" != "$2" ]; then
    printf 'CHANGED; stated was:\n%s\n' "$1"
    exit 1
  fi
  echo "as stated"
}
