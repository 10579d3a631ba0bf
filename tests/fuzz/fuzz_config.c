/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the file of --config: what is wrong is told in lines, and what is right is within its bounds. */
#include "fuzz.h"

#include "options.h"
#include "users_file.h"

static const uint8_t *text;
static size_t text_len;
static size_t mistakes;

static const char *no_variable(const char *name)
{
  (void)name;
  return NULL;
}

static int read_text(const char *path, bool anew, options_text *out, const char **what)
{
  (void)path;
  (void)anew;
  *what = "out of memory";
  *out = (options_text){malloc(text_len + 1), text_len, false};
  if (!out->data)
    return -1;
  if (text_len)
    memcpy(out->data, text, text_len);
  out->data[text_len] = 0;
  return 0;
}

static void tell(const char *line)
{
  FUZZ_CHECK(*line && strlen(line) < OPTIONS_ERROR_MAX && !strpbrk(line, "\n\r\x1b"));
  mistakes++;
}

/* Users, too, are read without a fault, and a mistake is in a line that there is. */
static void check_users(const options *o)
{
  static notes found;
  char error[OPTIONS_ERROR_MAX];
  users_table users;
  size_t lines = 1;
  found = (notes){0};
  for (size_t i = 0; i < text_len; i++)
    lines += text[i] == '\n';
  FUZZ_CHECK(o->config.users_len <= text_len && o->config.users_line <= lines);
  if (o->config.users &&
      users_read_text("x", o->config.users, o->config.users_len, false, &users, &found, error) == 0)
    users_free(&users);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const options_sources sources = {no_variable, read_text, tell};
  static options o, again;
  char error[OPTIONS_ERROR_MAX], names[256];
  char *argv[] = {(char *)(uintptr_t) "firezone-relay", (char *)(uintptr_t) "--config",
                  (char *)(uintptr_t) "x", NULL};
  text = data;
  text_len = size;
  mistakes = 0;
  const int result = options_read(3, argv, &sources, &o, error);
  FUZZ_CHECK((result != 0) == (mistakes > 0));
  FUZZ_CHECK(o.rule_count <= MAX_PEER_RULES && o.proxy_count <= MAX_PROXIES &&
             o.xdp.interface_count <= XDP_INTERFACES_MAX);
  check_users(&o);
  if (!result) {
    FUZZ_CHECK(o.lowest_port && o.lowest_port <= o.highest_port && o.idle_count <= MAX_IDLE_OPTIONS);
    FUZZ_CHECK(options_reread(&o, &again, error) == 0);
    FUZZ_CHECK(!options_fixed_that_differ(&o, &again, names, sizeof names));
    options_forget(&again);
  }
  options_forget(&o);
  return 0;
}
