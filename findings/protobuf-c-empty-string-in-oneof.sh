#!/usr/bin/env bash
# protobuf-c: a oneof that is set to protobuf_c_empty_string is not written; set to "" it is.
#
# Version:   protobuf-c 1.4.1 (Debian 12: libprotobuf-c-dev 1.4.1-1+b1), protoc 3.21.12 (3.21.12-3+deb12u1)
# Guess:     a member of a oneof has presence: once the case is set it is written, whatever its value (as false and 0 are); and
#            protobuf_c_empty_string, to which fresh proto3 messages point their strings, is as good an empty string as "".
# Behaviour: strings are compared with the default by address. With protobuf_c_empty_string (or NULL) nothing is written and the receiver finds
#            the oneof not set; with another empty string two bytes. An OTLP attribute with an empty value, copied from a fresh
#            message, arrives without a value.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack libprotobuf-c-dev=1.4.1-1+b1 libprotobuf-c1=1.4.1-1+b1 protobuf-c-compiler=1.4.1-1+b1 protobuf-compiler=3.21.12-3+deb12u1 \
  libprotoc32=3.21.12-3+deb12u1 libprotobuf32=3.21.12-3+deb12u1
cat >"$dir/value.proto" <<'END'
syntax = "proto3";
message Value {
  oneof value {
    string text = 1;
    bool truth = 2;
  }
}
message Fresh {
  string text = 1;
}
END
LD_LIBRARY_PATH=$root/usr/lib/$multiarch "$root/usr/bin/protoc" --plugin="$root/usr/bin/protoc-gen-c" -I "$dir" --c_out="$dir" \
  "$dir/value.proto" || cannot "protoc"
compile "$dir/value.pb-c.c" -lprotobuf-c <<'END'
#include "value.pb-c.h"
#include <stdio.h>

int main(void) {
  uint8_t buffer[16];
  Fresh fresh = FRESH__INIT;
  Value value = VALUE__INIT;
  value.value_case = VALUE__VALUE_TRUTH;
  printf("false: %zu bytes\n", value__pack(&value, buffer));
  value.value_case = VALUE__VALUE_TEXT;
  value.text = (char[]){""};
  printf("an empty string: %zu bytes\n", value__pack(&value, buffer));
  value.text = fresh.text;
  printf("a fresh message's empty string: %zu bytes\n", value__pack(&value, buffer));
}
END
expected='false: 2 bytes
an empty string: 2 bytes
a fresh message'\''s empty string: 0 bytes'
stated "$expected" "$("$dir/program")"
