/* SPDX-License-Identifier: Apache-2.0 */
/* Two agents of libnice in one process that reach each other through a relay: each message comes back. The last line of the output is JSON.
 *
 * Arguments: the relay's address and port, "udp" or "tcp"; username and password for the left agent, the same for the right one or "-" "-" if that is to be
 * reached at its own address; the right one's own address; how many bytes have to come back; and how many seconds the call has to last. */
#include <nice/agent.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE = 1000, WINDOW = 32, PACE_MS = 200, STALL_MS = 500 };

struct end {
  NiceAgent *agent;
  guint stream;
  struct end *other;
  gboolean is_left;
};

static GMainLoop *loop;
static struct end left = {.is_left = TRUE}, right;
static guint64 sent, back, wrong, wanted_bytes;
static gint64 begun, least_us;

static void fill_message(char *message, guint64 number)
{
  memset(message, (int)(number & 0xff), MESSAGE);
  memcpy(message, &number, sizeof number);
}

static gboolean is_enough(void)
{
  return back * MESSAGE >= wanted_bytes && g_get_monotonic_time() - begun >= least_us;
}

static void send_one(void)
{
  char message[MESSAGE];
  fill_message(message, sent++);
  nice_agent_send(left.agent, left.stream, 1, MESSAGE, message);
}

/* What is lost is not sent again: datagrams. Goes on when nothing has come for a while. */
static gboolean go_on(gpointer unused)
{
  static guint64 before;
  (void)unused;
  if (is_enough())
    g_main_loop_quit(loop);
  else if (back == before || back * MESSAGE >= wanted_bytes)
    send_one();
  before = back;
  return G_SOURCE_CONTINUE;
}

static void received(NiceAgent *agent, guint stream, guint component, guint len, gchar *data, gpointer user)
{
  struct end *end = user;
  if (!end->is_left) {
    nice_agent_send(agent, stream, component, len, data);
    return;
  }
  guint64 number;
  char message[MESSAGE];
  memcpy(&number, data, sizeof number);
  fill_message(message, number);
  if (len != MESSAGE || memcmp(data, message, MESSAGE) != 0)
    wrong++;
  back++;
  if (is_enough())
    g_main_loop_quit(loop);
  else if (back * MESSAGE < wanted_bytes)
    send_one();
}

static void state_changed(NiceAgent *agent, guint stream, guint component, guint state, gpointer user)
{
  struct end *end = user;
  (void)agent, (void)stream, (void)component;
  if (state == NICE_COMPONENT_STATE_FAILED) {
    fprintf(stderr, "%s failed\n", end->is_left ? "left" : "right");
    exit(1);
  }
  if (state == NICE_COMPONENT_STATE_READY && end->is_left && !sent)
    for (int i = 0; i < WINDOW; i++)
      send_one();
}

/* When both have gathered, each is told what the other has. */
static void gathered(NiceAgent *agent, guint stream, gpointer user)
{
  static int ready;
  (void)agent, (void)stream, (void)user;
  if (++ready < 2)
    return;
  for (struct end *end = &left;; end = &right) {
    g_autofree char *name = NULL, *password = NULL;
    nice_agent_get_local_credentials(end->other->agent, end->other->stream, &name, &password);
    nice_agent_set_remote_credentials(end->agent, end->stream, name, password);
    GSList *candidates = nice_agent_get_local_candidates(end->other->agent, end->other->stream, 1);
    if (!candidates) {
      fprintf(stderr, "%s has no candidate\n", end->other->is_left ? "left" : "right");
      exit(1);
    }
    nice_agent_set_remote_candidates(end->agent, end->stream, 1, candidates);
    g_slist_free_full(candidates, (GDestroyNotify)nice_candidate_free);
    if (end == &right)
      break;
  }
}

static void make(struct end *end, struct end *other, char **relay, char **user, const char *own)
{
  end->other = other;
  end->agent =
      nice_agent_new_full(g_main_loop_get_context(loop), NICE_COMPATIBILITY_RFC5245, NICE_AGENT_OPTION_NONE);
  gboolean relayed = strcmp(user[0], "-") != 0;
  g_object_set(end->agent, "controlling-mode", end->is_left, "force-relay", relayed, "upnp", FALSE, "ice-tcp",
               FALSE, NULL);
  if (!relayed) {
    NiceAddress address;
    nice_address_init(&address);
    nice_address_set_from_string(&address, own);
    nice_agent_add_local_address(end->agent, &address);
  }
  end->stream = nice_agent_add_stream(end->agent, 1);
  g_signal_connect(end->agent, "candidate-gathering-done", G_CALLBACK(gathered), end);
  g_signal_connect(end->agent, "component-state-changed", G_CALLBACK(state_changed), end);
  nice_agent_attach_recv(end->agent, end->stream, 1, g_main_loop_get_context(loop), received, end);
  if (relayed)
    nice_agent_set_relay_info(end->agent, end->stream, 1, relay[0], (guint)atoi(relay[1]), user[0], user[1],
                              strcmp(relay[2], "tcp") == 0 ? NICE_RELAY_TYPE_TURN_TCP
                                                           : NICE_RELAY_TYPE_TURN_UDP);
}

static const char *kind(const NiceCandidate *candidate)
{
  static const char *const names[] = {"host", "srflx", "prflx", "relay"};
  return candidate->type < G_N_ELEMENTS(names) ? names[candidate->type] : "?";
}

static void print_pair(const struct end *end)
{
  NiceCandidate *local = NULL, *remote = NULL;
  nice_agent_get_selected_pair(end->agent, end->stream, 1, &local, &remote);
  printf("[\"%s\", \"%s\"]%s", local ? kind(local) : "none", remote ? kind(remote) : "none",
         end->is_left ? ", " : "");
}

int main(int argc, char **argv)
{
  if (argc != 11) {
    fprintf(stderr, "usage: %s HOST PORT udp|tcp USER PASSWORD USER|- PASSWORD|- OWN-ADDRESS BYTES SECONDS\n",
            argv[0]);
    return 2;
  }
  loop = g_main_loop_new(NULL, FALSE);
  wanted_bytes = g_ascii_strtoull(argv[9], NULL, 10);
  least_us = atoi(argv[10]) * G_USEC_PER_SEC;
  begun = g_get_monotonic_time();
  make(&left, &right, argv + 1, argv + 4, argv[8]);
  make(&right, &left, argv + 1, argv + 6, argv[8]);
  if (!nice_agent_gather_candidates(left.agent, left.stream) ||
      !nice_agent_gather_candidates(right.agent, right.stream)) {
    fputs("no candidates can be gathered\n", stderr);
    return 1;
  }
  g_timeout_add(least_us ? PACE_MS : STALL_MS, go_on, NULL);
  g_main_loop_run(loop);
  printf("{\"pairs\": [");
  print_pair(&left);
  print_pair(&right);
  printf("], \"back\": %" G_GUINT64_FORMAT ", \"bytes\": %" G_GUINT64_FORMAT ", \"wrong\": %" G_GUINT64_FORMAT
         "}\n",
         back, back * MESSAGE, wrong);
  g_object_unref(left.agent);
  g_object_unref(right.agent);
  g_main_loop_unref(loop);
  return 0;
}
