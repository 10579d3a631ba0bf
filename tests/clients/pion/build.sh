#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds a program with the pion/webrtc that Debian has: build.sh GO GOPATH FOLDER SOURCE OUTPUT
#
# Debian 12's package lies at github.com/pion/webrtc, and its files import it by its path with the version. A GOPATH of our own before
# Debian's has it there, too.
set -eu
go=$1 gopath=$2 folder=$3 source=$4 output=$5
if [ ! -e "$gopath/src/github.com/pion/webrtc/v3" ]; then
  mkdir -p "$folder/gopath/src/github.com/pion/webrtc"
  ln -sfn "$gopath/src/github.com/pion/webrtc" "$folder/gopath/src/github.com/pion/webrtc/v3"
fi
GO111MODULE=off GOPATH="$folder/gopath:$gopath" GOCACHE="$folder/gocache" GOFLAGS='' CGO_ENABLED=0 exec "$go" build -o "$output" "$source"
