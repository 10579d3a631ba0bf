#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No two files of the library call each other, directly or by way of others: what is below does not know what is above. Names are read from
# the objects of the static library.
#
#   tests/abi/circles.sh LIBFZRELAY.A
set -euo pipefail
archive=$1

[ "$(ar t "$archive" | wc -l)" -gt 20 ] || {
  echo "$archive: too few objects: is this the library?" >&2
  exit 1
}

# A line for each set of files that reach each other; names as lib/ has them, without ".c".
found=$(nm -A "$archive" | awk '
  function file(name) {
    sub(/^[^:]*:/, "", name); sub(/:.*/, "", name); sub(/\.c\.o$/, "", name); sub(/_/, "/", name)
    return name
  }
  { at = file($0); files[at]; type = $(NF - 1); symbol = $NF }
  type == "U" { uses[at, symbol]; next }
  type ~ /[TDRBVW]/ { home[symbol] = at }
  END {
    for (pair in uses) {
      split(pair, part, SUBSEP)
      if (part[2] in home && home[part[2]] != part[1]) reach[part[1], home[part[2]]]
    }
    for (via in files)
      for (a in files)
        if ((a, via) in reach)
          for (b in files)
            if ((via, b) in reach) reach[a, b]
    for (a in files) {
      if (a in done || !((a, a) in reach)) continue
      line = "a circle of calls:"
      for (b in files)
        if ((a, b) in reach && (b, a) in reach) { line = line " " b; done[b] }
      print line
    }
  }')

if [ -n "$found" ]; then
  echo "$found" >&2
  exit 1
fi
