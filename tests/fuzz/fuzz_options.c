/* SPDX-License-Identifier: Apache-2.0 */
/* Any words as command line and environment: what is wrong is said in one line, what is right is within its bounds. The input's first
 * byte says how many words stand on the command line; all that follow, separated by zeros or newlines, are NAME=VALUE of the
 * environment. */
#include "fuzz.h"

#include "options.h"

#define MAX_WORDS 24

static char *words[MAX_WORDS];
static size_t word_count, first_variable;

static const char *environment(const char *name)
{
  const size_t len = strlen(name);
  for (size_t i = first_variable; i < word_count; i++)
    if (strncmp(words[i], name, len) == 0 && words[i][len] == '=')
      return words[i] + len + 1;
  return NULL;
}

static void split(char *text, size_t size)
{
  word_count = 0;
  for (size_t start = 0; start <= size && word_count < MAX_WORDS;) {
    size_t end = start;
    while (end < size && text[end] && text[end] != '\n')
      end++;
    text[end] = 0;
    words[word_count++] = text + start;
    start = end + 1;
  }
}

static void check_read(const options *o)
{
  if (o->show_help || o->show_version)
    return;
  FUZZ_CHECK(o->rule_count <= MAX_PEER_RULES && o->xdp.interface_count <= XDP_INTERFACES_MAX);
  FUZZ_CHECK(o->max_partition_seconds <= UINT32_MAX);
  FUZZ_CHECK(o->shutdown_seconds <= UINT32_MAX || o->shutdown_seconds == UINT64_MAX);
  FUZZ_CHECK(!o->token || *o->token);
  FUZZ_CHECK(o->idle_count <= MAX_IDLE_OPTIONS);
  if (o->command == COMMAND_CREDENTIALS) {
    FUZZ_CHECK(o->ttl_seconds <= UINT32_MAX && (!o->salt || (*o->salt && !strchr(o->salt, ':'))));
    return;
  }
  if (o->command == COMMAND_IMPORT_COTURN) {
    FUZZ_CHECK(o->import_file && *o->import_file);
    return;
  }
  if (o->command == COMMAND_PROBE) {
    FUZZ_CHECK(o->probe_url && *o->probe_target.host && o->probe_target.port);
    return;
  }
  if (o->command == COMMAND_SESSIONS) {
    FUZZ_CHECK(!o->end_id || !o->end_user);
    return;
  }
  FUZZ_CHECK(o->public_ip4.family == FZR_FAMILY_IPV4 || o->public_ip6.family == FZR_FAMILY_IPV6);
  FUZZ_CHECK(o->lowest_port && o->lowest_port <= o->highest_port);
  FUZZ_CHECK(o->listen_port < o->lowest_port || o->listen_port > o->highest_port);
  FUZZ_CHECK(o->workers <= 1024 && o->max_channels_per_allocation >= 1 &&
             o->max_channels_per_allocation <= 4096);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const options_sources sources = {environment, NULL, NULL};
  static options o;
  char error[OPTIONS_ERROR_MAX], *argv[MAX_WORDS + 2] = {(char *)(uintptr_t) "firezone-relay"};
  fuzz_input in = {data, size};
  const size_t wanted = fuzz_byte(&in) % (MAX_WORDS + 1);
  char *text = malloc(in.size + 1);
  FUZZ_CHECK(text);
  if (in.size)
    memcpy(text, in.data, in.size);
  text[in.size] = 0;
  split(text, in.size);
  first_variable = wanted < word_count ? wanted : word_count;
  for (size_t i = 0; i < first_variable; i++)
    argv[1 + i] = words[i];
  if (options_read(1 + (int)first_variable, argv, &sources, &o, error))
    FUZZ_CHECK(*error && strlen(error) < sizeof error && !strpbrk(error, "\n\r\x1b"));
  else
    check_read(&o);
  free(text);
  return 0;
}
