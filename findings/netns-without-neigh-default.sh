#!/usr/bin/env bash
# Linux: a network namespace has no net.ipv4.neigh.default; its interfaces begin with the host's values.
#
# Version:   Linux 6.18.44
# Guess:     net.ipv4.neigh.default is there in each network namespace, as net.ipv4.conf.default is, and sets what interfaces that are
#            made later begin with; so a container's own sysctls can set it.
# Behaviour: in a new namespace there is a folder for each interface, but none named default: sysctl fails. New interfaces take the values
#            of the first namespace's default. In a container each interface has to be set by its name, or the host's default before.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

default=/proc/sys/net/ipv4/neigh/default
[ -d $default ] || cannot "this is no first network namespace"
seen=$(in_namespace <<'END'
import os, subprocess

if subprocess.run("ip link add v0 type veth peer name v1".split()).returncode:
    raise SystemExit(77)
for protocol in ("ipv4", "ipv6"):
    print(protocol, "conf:", *sorted(os.listdir(f"/proc/sys/net/{protocol}/conf")))
    print(protocol, "neigh:", *sorted(os.listdir(f"/proc/sys/net/{protocol}/neigh")))
END
)
expected='ipv4 conf: all default lo v0 v1
ipv4 neigh: lo v0 v1
ipv6 conf: all default lo v0 v1
ipv6 neigh: lo v0 v1'
stated "$expected" "$seen"
