#!/usr/bin/env bash
# Builds the Debian packages of HEAD in a fresh root, looks at them with lintian, and tries them under a real systemd in another fresh root:
# installed, run, upgraded by a hand-over while a client's data goes through, removed, purged.
#
#   scripts/test-packages.sh bookworm|trixie|sid [option...]
#
#   --root DIR   a root of that release as debootstrap --variant=minbase leaves it; it is only read. Else one is made, and removed
#   --out DIR    where the packages are put; else they are removed, too
#   --quick      without the tests that the packages' build runs
#
# Packages that these need are installed with the machine's own network. The rest runs in namespaces of its own (mounts, processes, network, control
# group): systemd there sees no file of this machine's, and no /tmp. Needs root, debootstrap, overlayfs and control groups of version 2.
# Exits 0 only if all of it passed.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
  echo "test-packages.sh: $*" >&2
  exit 2
}

suite='' root='' out='' profile=''
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help)
    sed -n '2,14s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  --root) root=$(realpath "${2:?}") && shift 2 ;;
  --out) out=$(realpath "${2:?}") && shift 2 ;;
  --quick) profile=nocheck && shift ;;
  -*) die "unknown option '$1'; see --help" ;;
  *) suite=$1 && shift ;;
  esac
done
[ -n "$suite" ] || die "which release? See --help"
[ "$(id -u)" -eq 0 ] || die "not root: namespaces and overlays need it"
groups=$(findmnt -t cgroup2 -n -o TARGET | head -n 1)
[ -n "$groups" ] || die "no control groups of version 2 are mounted"

work=$(mktemp -d /var/tmp/firezone-relay-packages.XXXXXX)
group=$groups/${work##*/}
manager=
cleanup() {
  local name
  if [ -n "$manager" ]; then
    kill -KILL "$manager" 2>/dev/null || true
    wait "$manager" 2>/dev/null || true
  fi
  for name in build run; do
    # What ran there ends with its namespace, a moment later.
    for _ in $(seq 100); do
      mountpoint -q "$work/$name" || break
      umount "$work/$name" 2>/dev/null || sleep 0.1
    done
  done
  rm -rf --one-file-system "$work"
  if [ -d "$group" ]; then
    find "$group" -depth -type d -exec rmdir {} +
  fi
}
trap cleanup EXIT

say() { printf '== [%d s] %s: %s\n' "$SECONDS" "$suite" "$*"; }

if [ -z "$root" ]; then
  say "debootstrap"
  root=$work/root
  debootstrap --variant=minbase "$suite" "$root" >"$work/debootstrap.log" 2>&1 || {
    tail -n 5 "$work/debootstrap.log" >&2
    die "debootstrap failed"
  }
fi
[ -e "$root/etc/debian_version" ] || die "no root of Debian: '$root'"

# layer NAME: a root of its own at $work/NAME, above the fresh one.
layer() {
  mkdir "$work/$1" "$work/$1.upper" "$work/$1.work"
  mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/$1.upper,workdir=$work/$1.work" "$work/$1"
  cp -L /etc/resolv.conf "$work/$1/etc/resolv.conf"
  # Nothing is started in a root that has not been booted.
  printf '#!/bin/sh\nexit 101\n' >"$work/$1/usr/sbin/policy-rc.d"
  chmod +x "$work/$1/usr/sbin/policy-rc.d"
}

# in_layer NAME COMMAND: runs it there, with the machine's network, and tells what it said if it fails.
in_layer() {
  if ! unshare --mount --pid --fork --kill-child --uts --ipc -- bash tests/packaging/in_layer.sh "$work/$1" "DEB_BUILD_OPTIONS=$profile" "$2" </dev/null >"$work/log" 2>&1; then
    cat "$work/log"
    echo "FAILED $suite: $2"
    exit 1
  fi
}

say "what building takes"
layer build
git clone -q --no-hardlinks . "$work/build/root/firezone-relay"
in_layer build "apt-get update -q && apt-get install -q -y --no-install-recommends build-essential lintian git"
in_layer build "cd /root/firezone-relay && apt-get build-dep -q -y --no-install-recommends ${profile:+-P $profile} ./"

say "dpkg-buildpackage -us -uc -b"
begin=$SECONDS
in_layer build "cd /root/firezone-relay && dpkg-buildpackage -us -uc -b ${profile:+-P$profile}"
echo "   $((SECONDS - begin)) s"

say "lintian"
in_layer build "cd /root && lintian --allow-root --fail-on error firezone-relay_*.changes"
cat "$work/log"

say "a program with the library"
in_layer build "cd /root && tests=firezone-relay/tests/packaging && apt-get install -q -y ./libfzrelay*.deb && bash \$tests/deb_library.sh firezone-relay"

say "the packages of a later version"
in_layer build "cd /root && bash firezone-relay/tests/packaging/deb_later.sh firezone-relay_[0-9]*.deb /root/later"

layer run
mkdir "$work/run/root/first" "$work/run/root/later"
cp "$work"/build/root/*.deb "$work/run/root/first/"
cp "$work"/build/root/later/*.deb "$work/run/root/later/"
cp tests/packaging/deb_installed.sh "$work/run/root/"
if [ -n "$out" ]; then
  cp "$work"/build/root/*.deb "$out/"
fi

say "installed and purged where no systemd runs"
in_layer run "apt-get update -q && apt-get install -q -y --no-install-recommends systemd systemd-sysv dbus iproute2 procps
  apt-get install -q -y /root/first/firezone-relay_[0-9]*.deb && firezone-relay --version && test -s /etc/firezone-relay/secret
  apt-get purge -q -y firezone-relay && ! test -e /etc/firezone-relay && rm /usr/sbin/policy-rc.d"

say "systemd"
mkdir "$group"
(
  echo "$BASHPID" >"$group/cgroup.procs"
  exec unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup --propagation private -- bash tests/packaging/boot.sh "$work/run" >"$work/boot.log" 2>&1
) &
manager=$!
# systemd is the child of unshare, and has the root for its own.
inside=
for _ in $(seq 600); do
  inside=$(pgrep -P "$manager" || true)
  if [ -n "$inside" ] && [ "$(cat "/proc/$inside/comm" 2>/dev/null)" = systemd ] &&
    state=$(nsenter -t "$inside" -a -r -w -- systemctl is-system-running 2>/dev/null || true) && [[ $state = running || $state = degraded ]]; then
    break
  fi
  kill -0 "$manager" 2>/dev/null || break
  sleep 0.1
done
if [ "$(cat "/proc/$inside/comm" 2>/dev/null)" != systemd ]; then
  cat "$work/boot.log"
  echo "FAILED $suite: systemd did not start"
  exit 1
fi

say "installed, upgraded, removed, purged"
nsenter -t "$inside" -a -r -w -- env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
  bash /root/deb_installed.sh || {
  echo "FAILED $suite: the packages as installed"
  exit 1
}
say "PASSED"
