/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/prefixes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A prefix that has connections. There are no more of them than connections, which descriptors bound. */
typedef struct prefix {
  struct prefix *next;
  uint32_t count;
  uint8_t key[7]; /* family, and what counts of the address */
} prefix;

#define BUCKETS 4096u

struct stream_prefixes {
  pthread_mutex_t lock;
  uint32_t most;
  prefix *buckets[BUCKETS];
};

stream_prefixes *stream_prefixes_new(uint32_t most)
{
  stream_prefixes *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  p->most = most;
  pthread_mutex_init(&p->lock, NULL);
  return p;
}

void stream_prefixes_free(stream_prefixes *p)
{
  if (!p)
    return;
  for (unsigned i = 0; i < BUCKETS; i++)
    for (prefix *at = p->buckets[i], *next; at; at = next) {
      next = at->next;
      free(at);
    }
  pthread_mutex_destroy(&p->lock);
  free(p);
}

static void make_key(const fzr_addr *client, uint8_t key[7])
{
  memset(key, 0, 7);
  key[0] = client->family;
  memcpy(key + 1, client->ip, client->family == FZR_FAMILY_IPV4 ? 3 : 6);
}

/* Where the prefix is, or would be. Connections come from real addresses, so that nobody has enough prefixes to choose those of one
 * bucket. */
static prefix **find(stream_prefixes *p, const uint8_t key[7])
{
  uint32_t hash = 2166136261u;
  for (unsigned i = 0; i < 7; i++)
    hash = (hash ^ key[i]) * 16777619u;
  prefix **at = &p->buckets[(hash ^ hash >> 16) % BUCKETS];
  while (*at && memcmp((*at)->key, key, 7) != 0)
    at = &(*at)->next;
  return at;
}

/* Counts one more, up to |most|; 0: as many as there are. */
static bool enter(stream_prefixes *p, const fzr_addr *client, uint32_t most)
{
  uint8_t key[7];
  make_key(client, key);
  pthread_mutex_lock(&p->lock);
  prefix **at = find(p, key);
  if (!*at) {
    *at = calloc(1, sizeof **at);
    if (*at)
      memcpy((*at)->key, key, 7);
  }
  const bool may = *at && (!most || (*at)->count < most);
  if (may)
    (*at)->count++;
  pthread_mutex_unlock(&p->lock);
  return may;
}

bool stream_prefixes_enter(stream_prefixes *p, const fzr_addr *client)
{
  return enter(p, client, p->most);
}

bool stream_prefixes_keep(stream_prefixes *p, const fzr_addr *client)
{
  return enter(p, client, 0);
}

void stream_prefixes_leave(stream_prefixes *p, const fzr_addr *client)
{
  uint8_t key[7];
  make_key(client, key);
  pthread_mutex_lock(&p->lock);
  prefix **at = find(p, key), *one = *at;
  if (one && --one->count == 0) {
    *at = one->next;
    free(one);
  }
  pthread_mutex_unlock(&p->lock);
}
