#!/usr/bin/env bash
# debhelper: a unit that the build installs below /usr/lib is not seen, and nothing is said.
#
# Version:   debhelper 13.11.4 (Debian 12)
# Guess:     dh_installsystemd makes the maintainer scripts for each unit of the package, wherever systemd looks for it: /usr/lib/systemd/system, where
#            build systems put units, or /lib/systemd/system, which is the same folder on Debian 12. Or it fails.
# Behaviour: it looks into /lib/systemd/system alone. For a unit below /usr/lib there is no line in postinst and postrm, no warning, and the status is 0:
#            the service is not enabled, started, restarted or purged.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

need perl dpkg-architecture
unpack debhelper=13.11.4 libdebhelper-perl=13.11.4
export PERL5LIB=$root/usr/share/perl5 DH_AUTOSCRIPTDIR=$root/usr/share/debhelper/autoscripts

try() { # try FOLDER: what dh_installsystemd says and writes for a unit that is in FOLDER of the package
  local at=$dir/source
  rm -rf "$at"
  mkdir -p "$at/debian/try$1"
  printf 'Source: try\nMaintainer: A <a@example.org>\nBuild-Depends: debhelper-compat (= 13)\n\nPackage: try\nArchitecture: all\nDescription: try\n' >"$at/debian/control"
  printf 'try (1) unstable; urgency=medium\n\n  * Try.\n\n -- A <a@example.org>  Mon, 30 Nov 2026 12:00:00 +0000\n' >"$at/debian/changelog"
  printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' >"$at/debian/try$1/try.service"
  local said status=0
  said=$(cd "$at" && "$root/usr/bin/dh_installsystemd" 2>&1) || status=$?
  echo "$1: status $status, said: '${said}', scripts: $(cd "$at/debian" && grep -rl try.service --include='*p[or][se]*' . | grep -oE 'p(re|ost)(inst|rm)' | sort -u | paste -sd ' ')"
}
seen=$(try /lib/systemd/system; try /usr/lib/systemd/system)
expected="/lib/systemd/system: status 0, said: '', scripts: postinst postrm prerm
/usr/lib/systemd/system: status 0, said: '', scripts: "
stated "$expected" "$seen"
