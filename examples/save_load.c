/* SPDX-License-Identifier: Apache-2.0 */
/* Saves an engine's state in a file, and has a new engine go on from it, as a program does that is started anew. The file holds keys of
 * sessions: nobody else may read it. In a relay an adapter then opens the ports that the new engine's events tell of.
 *
 *   cc save_load.c $(pkg-config --cflags --libs libfzrelay) -o save_load
 *   ./save_load
 */
#include <firezone_relay/firezone_relay.h>

#include <stdio.h>
#include <stdlib.h>

/* Enough for an example that talks to nobody; a relay takes getrandom(2). */
static int not_random(void *ctx, uint8_t *out, size_t len)
{
  unsigned *state = (unsigned *)ctx;
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)((*state = *state * 1103515245u + 12345u) >> 16);
  return 0;
}

static int write_piece(void *ctx, const uint8_t *data, size_t len)
{
  return fwrite(data, 1, len, (FILE *)ctx) == len ? 0 : -1;
}

/* |saved_at| is when it was saved, by the same clock (CLOCK_MONOTONIC, within one boot): what has passed since then counts. */
static int load(fzr_engine *engine, FILE *file, fzr_time saved_at, fzr_load_result *result)
{
  const long len = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
  uint8_t *data = (uint8_t *)malloc(len > 0 ? (size_t)len : 1);
  rewind(file);
  const bool whole = data && len > 0 && fread(data, 1, (size_t)len, file) == (size_t)len;
  const int error = whole ? fzr_engine_load(engine, data, (size_t)len, saved_at, result) : FZR_ERR_IO;
  free(data);
  return error;
}

/* One engine ends at the first second, and another one is made a second later. */
static int hand_over(const fzr_config *config, FILE *file, fzr_load_result *result)
{
  fzr_engine *before = NULL, *after = NULL;
  int error = fzr_engine_new(config, &before, 0);
  error = error ? error : fzr_engine_save(before, write_piece, file, FZR_SECOND);
  error = error ? error : fzr_engine_new(config, &after, 2 * FZR_SECOND);
  error = error ? error : load(after, file, FZR_SECOND, result);
  fzr_engine_free(before);
  fzr_engine_free(after);
  return error;
}

int main(void)
{
  const fzr_user users[] = {{"alice", "wonderland", NULL}};
  unsigned seed = 1;
  fzr_config config = fzr_config_init();
  config.random = not_random;
  config.random_ctx = &seed;
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 1;
  fzr_addr_parse("192.0.2.1", &config.public_ip4);
  FILE *file = tmpfile(); /* in a relay a path: open(2) with mode 0600 */
  if (!file) {
    perror("tmpfile");
    return EXIT_FAILURE;
  }
  fzr_load_result result;
  const int error = hand_over(&config, file, &result);
  fclose(file);
  if (error) {
    fprintf(stderr, "%s\n", fzr_strerror(error));
    return EXIT_FAILURE;
  }
  printf("loaded %llu allocations, format %u.%u\n", (unsigned long long)result.allocations, result.major,
         result.minor);
  return EXIT_SUCCESS;
}
