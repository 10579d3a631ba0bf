#!/usr/bin/env bash
# libnice: a relay of the type "TURN over TLS" is spoken to over TCP in clear text.
#
# Version:   libnice 0.1.21 (Debian 12: libnice10 0.1.21-1)
# Guess:     NICE_RELAY_TYPE_TURN_TLS, "A TURN relay using TLS over TCP" in the header, begins with a ClientHello, or is refused by
#            nice_agent_set_relay_info.
# Behaviour: the call succeeds, and the agent sends a bare Allocate to the TLS port, as with TURN_TCP. A server that speaks TLS ends the
#            connection, and the agent tells of no error: it has no relayed candidate. Whatever is made with libnice has that, such as
#            gstreamer's webrtcbin with turns:// in turn-server; turn://…?transport=tcp works.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

need pkg-config ldd
unpack libnice10=0.1.21-1 libnice-dev=0.1.21-1
pkg-config --exists gio-2.0 || cannot "no libglib2.0-dev"
if ldd "$root/usr/lib/$multiarch/libnice.so.10" | grep -q 'not found'; then
  cannot "libraries that libnice takes are missing: $(ldd "$root/usr/lib/$multiarch/libnice.so.10" | grep 'not found' | tr -s '\t\n' ' ')"
fi
# shellcheck disable=SC2046 # several options
compile $(pkg-config --cflags gio-2.0) -I"$root/usr/include/nice" -lnice $(pkg-config --libs gio-2.0) <<'END'
#include <gio/gio.h>
#include <nice/agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *what_is(const unsigned char *in, gssize n)
{
  if (n >= 20 && in[0] == 0 && in[1] == 3 && memcmp(in + 4, "\x21\x12\xa4\x42", 4) == 0) return "an Allocate in clear text";
  return n >= 3 && in[0] == 0x16 && in[1] == 3 ? "a handshake of TLS" : "something else";
}

/* The first that comes to a TCP port that is said to be a relay's of |type|. */
static void try(const char *name, NiceRelayType type)
{
  GMainContext *context = g_main_context_new();
  g_main_context_push_thread_default(context);
  NiceAgent *agent = nice_agent_new_full(context, NICE_COMPATIBILITY_RFC5245, NICE_AGENT_OPTION_NONE);
  GSocketListener *listener = g_socket_listener_new();
  guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
  g_object_set(agent, "upnp", FALSE, "ice-tcp", FALSE, "force-relay", TRUE, NULL);
  NiceAddress own;
  nice_address_init(&own);
  nice_address_set_from_string(&own, "127.0.0.1");
  nice_agent_add_local_address(agent, &own);
  guint stream = nice_agent_add_stream(agent, 1);
  gboolean taken = nice_agent_set_relay_info(agent, stream, 1, "127.0.0.1", port, "user", "password", type);
  nice_agent_gather_candidates(agent, stream);
  GSocketConnection *connection = NULL;
  GError *error = NULL;
  unsigned char in[4096];
  for (int i = 0; i < 200; i++) {
    g_main_context_iteration(context, FALSE);
    g_usleep(1000);
  }
  connection = g_socket_listener_accept(listener, NULL, NULL, &error);
  if (!connection) exit(77);
  for (int i = 0; i < 200; i++) {
    g_main_context_iteration(context, FALSE);
    g_usleep(1000);
  }
  gssize n = g_input_stream_read(g_io_stream_get_input_stream(G_IO_STREAM(connection)), in, sizeof in, NULL, NULL);
  printf("%s: set_relay_info returns %s, and what comes is %s\n", name, taken ? "TRUE" : "FALSE", what_is(in, n));
}

int main(void)
{
  setvbuf(stdout, NULL, _IONBF, 0);
  try("TURN_TCP", NICE_RELAY_TYPE_TURN_TCP);
  try("TURN_TLS", NICE_RELAY_TYPE_TURN_TLS);
  return 0;
}
END
seen=$(timeout 30 "$dir/program")
expected='TURN_TCP: set_relay_info returns TRUE, and what comes is an Allocate in clear text
TURN_TLS: set_relay_info returns TRUE, and what comes is an Allocate in clear text'
stated "$expected" "$seen"
