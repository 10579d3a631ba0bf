#!/usr/bin/env bash
# apt: --no-download refuses a package that is a file already.
#
# Version:   apt 2.6.1 (Debian 12)
# Guess:     "apt-get --no-download install /root/try.deb" installs it: nothing has to be downloaded, the path is absolute, and so it goes without the option.
# Behaviour: it ends with status 100 and an "Internal Error" about a path that is not absolute, which is not the one that it was given, but the name that the
#            package would have among the downloaded ones. So an installation without a network has to be made of dpkg -i, or without this option.
# Seen:      see `expected` below. apt asks dpkg for nothing but to tell what it would do.
. "$(dirname "$0")/lib/finding.sh"

need dpkg-deb
[ "$(id -u)" -eq 0 ] || cannot "not root: apt has a lock of its own"
unpack apt=2.6.1 libapt-pkg6.0=2.6.1
mkdir -p "$dir/try/DEBIAN" "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/log" "$dir/etc"
printf 'Package: try\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: try\n' >"$dir/try/DEBIAN/control"
dpkg-deb --root-owner-group -b "$dir/try" "$dir/try.deb" >/dev/null
: >"$dir/status"
printf '#!/bin/sh\nexit 0\n' >"$dir/dpkg"
chmod +x "$dir/dpkg"

try() {
  local said status=0
  said=$(LC_ALL=C LD_LIBRARY_PATH=$root/usr/lib/$multiarch "$root/usr/bin/apt-get" -o "Dir::State=$dir/state" -o "Dir::State::status=$dir/status" \
    -o "Dir::Cache=$dir/cache" -o "Dir::Etc=$dir/etc" -o "Dir::Log=$dir/log" -o "Dir::Bin::methods=$root/usr/lib/apt/methods" -o "Dir::Bin::dpkg=$dir/dpkg" \
    -o APT::Sandbox::User=root -y "$@" install "$dir/try.deb" 2>&1) || status=$?
  echo "$*: status $status $(grep '^E:' <<<"$said" || true)"
}
seen=$(try -q; try -q --no-download)
expected="-q: status 0 
-q --no-download: status 100 E: Internal Error, Pathname to install is not absolute 'try_1_all.deb'"
stated "$expected" "$seen"
