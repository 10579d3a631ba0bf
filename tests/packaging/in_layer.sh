#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the command $3 in the root $1, with $2 in its environment, in namespaces that are there already: scripts/test-packages.sh made them.
set -euo pipefail
root=$1 variable=$2 command=$3
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$variable" \
  chroot "$root" bash -c "set -euo pipefail; $command"
