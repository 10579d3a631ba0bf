#!/usr/bin/env bash
# wslay: a close frame with 1012 to 1014 is a protocol error.
#
# Version:   wslay 1.1.1 (Debian 12: libwslay-dev 1.1.1-3+b1)
# Guess:     IANA's registry of close codes has 1012 (service restart), 1013 (try again later) and 1014 (bad gateway): on_msg_recv is
#            called with the code, and the close is answered with the same, as with 1011.
# Behaviour: no callback; wslay answers 1002 and counts the close as not received (status 1006). A server that says that it restarts looks
#            like one that breaks the protocol. Whoever wants the code has to read it from the frame's bytes (on_frame_recv_chunk).
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack libwslay-dev=1.1.1-3+b1 libwslay1=1.1.1-3+b1
compile -lwslay <<'END'
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <wslay/wslay.h>

static uint8_t in[4], out[64];
static size_t in_at, out_length;
static unsigned called;

static ssize_t receive(wslay_event_context_ptr context, uint8_t *to, size_t room, int flags, void *user) {
  (void)flags, (void)user;
  size_t n = sizeof in - in_at < room ? sizeof in - in_at : room;
  if (n == 0) {
    wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  memcpy(to, in + in_at, n);
  in_at += n;
  return (ssize_t)n;
}

static ssize_t transmit(wslay_event_context_ptr context, const uint8_t *data, size_t n, int flags, void *user) {
  (void)context, (void)flags, (void)user;
  memcpy(out + out_length, data, n);
  out_length += n;
  return (ssize_t)n;
}

static int no_mask(wslay_event_context_ptr context, uint8_t *to, size_t n, void *user) {
  (void)context, (void)user;
  memset(to, 0, n);
  return 0;
}

static void message(wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *arg, void *user) {
  (void)context, (void)user;
  called = arg->status_code;
}

int main(void) {
  const struct wslay_event_callbacks callbacks = {
      .recv_callback = receive, .send_callback = transmit, .genmask_callback = no_mask, .on_msg_recv_callback = message};
  for (unsigned code = 1011; code <= 1014; code++) {
    wslay_event_context_ptr context;
    wslay_event_context_client_init(&context, &callbacks, NULL);
    memcpy(in, (uint8_t[]){0x88, 2, (uint8_t)(code >> 8), (uint8_t)code}, 4);
    in_at = out_length = called = 0;
    int error = wslay_event_recv(context) | wslay_event_send(context);
    printf("%u: error %d, callback's code %u, answered %d, status %u\n", code, error, called, out[6] << 8 | out[7],
           wslay_event_get_status_code_received(context));
    wslay_event_context_free(context);
  }
}
END
expected='1011: error 0, callback'\''s code 1011, answered 1011, status 1011
1012: error 0, callback'\''s code 0, answered 1002, status 1006
1013: error 0, callback'\''s code 0, answered 1002, status 1006
1014: error 0, callback'\''s code 0, answered 1002, status 1006'
stated "$expected" "$("$dir/program")"
