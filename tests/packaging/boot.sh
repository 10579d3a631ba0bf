#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boots the systemd of the root $1, in namespaces that are there already: scripts/test-packages.sh made them. Of this machine it sees nothing: systemd
# cleans /tmp, so that has to be another one.
set -euo pipefail
root=$1
mount --make-rprivate /
mount --rbind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=1777 tmpfs var/tmp
mount -t tmpfs -o mode=755 tmpfs dev
while read -r name major minor; do
  mknod -m 666 "dev/$name" c "$major" "$minor"
done <<'DEVICES'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
DEVICES
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mkdir dev/shm dev/pts run/before
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
pivot_root . run/before
cd /
ip link set lo up
umount -l /run/before
rmdir /run/before
if [ -n "$(ls -A /tmp)" ] || [ "$(findmnt -no FSTYPE /tmp)" != tmpfs ]; then
  echo "/tmp is another's: no systemd is started" >&2
  exit 1
fi
exec env -i container=relay-packages PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target --log-target=console --show-status=0 </dev/null
