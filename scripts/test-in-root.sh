#!/usr/bin/env bash
# Tries this checkout as a newcomer would, on a bare Debian of another release: in a minimal root of its own, made by debootstrap.
#
#   scripts/test-in-root.sh bookworm|trixie|sid [option...]
#
#   --root DIR      the root's folder: made if it is not there, and kept; else a temporary one is made and removed
#   --only STEPS    of run, embed, quick, test those that are named, separated by commas (run,embed,test)
#   --times N       all of it N times in a row (1)
#   --copy          the working tree as it is, uncommitted changes included; else a clone of HEAD
#
# run: scripts/run.sh --check. embed: README's "Embed it", to the letter. quick, test: scripts/test.sh --quick, scripts/test.sh.
# Packages are installed with the machine's own network. Everything else runs in namespaces of its own (mounts, processes, network,
# host name), so that no test sees this machine's. Needs root and debootstrap. Prints a line for each step, and exits 0 only if all passed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,14s/^# \{0,1\}//p' "$0"; }
die() {
  echo "test-in-root.sh: $*" >&2
  exit 2
}

suite='' root='' only=run,embed,test times=1 copy=false
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help)
    usage
    exit 0
    ;;
  --root) root=${2:?} && shift 2 ;;
  --only) only=${2:?} && shift 2 ;;
  --times) times=${2:?} && shift 2 ;;
  --copy) copy=true && shift ;;
  -*) die "unknown option '$1'; see --help" ;;
  *) suite=$1 && shift ;;
  esac
done
[ -n "$suite" ] || die "which release? See --help"
[ "$(id -u)" -eq 0 ] || die "not root: debootstrap and namespaces need it"
command -v debootstrap >/dev/null || die "no debootstrap: apt-get install debootstrap"

keep=true
if [ -z "$root" ]; then
  keep=false
  root=$(mktemp -d /var/tmp/firezone-relay-root.XXXXXX)
fi
inside=/root/firezone-relay
trap '$keep || rm -rf --one-file-system "$root"' EXIT

if [ ! -e "$root/etc/debian_version" ]; then
  echo "== debootstrap --variant=minbase $suite"
  debootstrap --variant=minbase "$suite" "$root" >"$root.log" 2>&1 || {
    tail -n 5 "$root.log" >&2
    die "debootstrap failed"
  }
  rm -f "$root.log"
fi
# Names are looked up as on this machine.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
rm -rf "${root:?}$inside"
if $copy; then
  mkdir -p "$root$inside"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp -P --parents -t "$root$inside"
  # The copy is a checkout of its own, as a newcomer's is.
  (cd "$root$inside" && git init -q && git add -A && git -c user.name=try -c user.email=try@localhost commit -qm "the tree as it is")
else
  git clone -q --no-hardlinks . "$root$inside"
fi

# Runs a command in the root: in_root NET COMMAND, where NET is "net" for the machine's own network or "nonet" for none but loopback.
in_root() {
  local net=$1
  shift
  local flags=(--mount --pid --fork --kill-child --uts --ipc)
  [ "$net" = net ] || flags+=(--net)
  unshare "${flags[@]}" -- bash -s "$root" "$inside" "$net" "$*" <<'IN'
set -euo pipefail
root=$1 inside=$2 net=$3 command=$4
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" 2>/dev/null || true
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
hostname bare
if [ "$net" = nonet ]; then
  ip link set lo up
fi
exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LC_ALL=C.UTF-8 ${FUZZ_SECONDS:+FUZZ_SECONDS=$FUZZ_SECONDS} \
  chroot "$root" bash -c "cd '$inside'
$command" </dev/null
IN
}

# What "Embed it" in README.md says: install the library, build the program that stands there, run it.
embed() {
  cat <<'EMBED'
set -e
rm -rf build-embed
meson setup build-embed -Dbuildtype=release -Dtests=false >/dev/null
ninja -C build-embed --quiet
meson install -C build-embed >/dev/null
ldconfig
bench=$PWD/build-embed/tests/bench/fzr-bench
sed -n '/^## Embed it/,/^## /p' README.md | sed -n '/^```c$/,/^```$/p' | sed '/^```/d' >/tmp/relay.c
command=$(sed -n '/^## Embed it/,/^## /s/.*`\(cc relay[^`]*\)`.*/\1/p' README.md)
cd /tmp
echo "+ $command"
eval "$command"
./a.out &
relay=$!
answered=
for _ in $(seq 100); do
  if $bench binding --server 127.0.0.1:3478 --packets 1 >/dev/null 2>&1; then
    answered=true
    break
  fi
  sleep 0.05
done
kill $relay
[ "$answered" ] && echo "README's relay answers"
EMBED
}

failed=0
step() { # step NAME NET COMMAND
  local name=$1 net=$2 begin=$SECONDS status=0
  shift 2
  echo "== $suite: $name"
  in_root "$net" "$*" >"$root/root/$name.log" 2>&1 || status=$?
  tail -n 3 "$root/root/$name.log" | sed 's/^/   /'
  if [ "$status" -eq 0 ]; then
    echo "PASSED $suite $name ($((SECONDS - begin)) s)"
  else
    echo "FAILED $suite $name: status $status ($((SECONDS - begin)) s); the whole log:"
    cat "$root/root/$name.log"
    failed=1
  fi
}

for ((i = 1; i <= times; i++)); do
  case ",$only," in *,run,*)
    # Installs what it needs the first time, so with the network.
    step run net "RELAY_PORT=0 scripts/run.sh --check"
    ;;
  esac
  case ",$only," in *,embed,*)
    step packages net "scripts/install-deps.sh build"
    step embed nonet "$(embed)"
    ;;
  esac
  case ",$only," in *,quick,* | *,test,*) step packages net "scripts/install-deps.sh build test" ;; esac
  case ",$only," in *,quick,*) step quick nonet "scripts/test.sh --quick" ;; esac
  case ",$only," in *,test,*) step test nonet "scripts/test.sh" ;; esac
done
exit "$failed"
