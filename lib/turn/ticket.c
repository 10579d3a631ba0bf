/* SPDX-License-Identifier: Apache-2.0 */
/* A MAC of what the ticket says, which is also the nonce that it is encrypted with (as in RFC 5297): so nobody can make one, or tell
 * whether two are of one allocation, and no two say different things under one nonce. */
#include "ticket.h"

#include "../base/bytes.h"
#include "../base/crypto.h"

#include <string.h>

#define PLAIN_LEN 16u
#define MAC_LEN   16u
#define TRIES     256u

/* Each use of the key has a first byte of its own. */
enum use { USE_KEY = 'K', USE_MAC = 'M', USE_STREAM = 'S' };

static void hash(const fzri_siphash_key *key, enum use use, const uint8_t in[16], uint8_t out[16])
{
  uint8_t text[17];
  text[0] = (uint8_t)use;
  memcpy(text + 1, in, 16);
  fzri_siphash24_128(key, text, sizeof text, out);
}

fzri_siphash_key fzri_ticket_key(const fzri_siphash_key *users, const uint8_t name[16])
{
  fzri_siphash_key key;
  uint8_t out[16];
  hash(users, USE_KEY, name, out);
  memcpy(&key, out, sizeof key);
  fzri_wipe(out, sizeof out);
  return key;
}

/* Encrypts or decrypts. */
static void crypt(const fzri_siphash_key *key, const uint8_t *mac, uint8_t text[PLAIN_LEN])
{
  uint8_t stream[PLAIN_LEN];
  hash(key, USE_STREAM, mac, stream);
  for (size_t i = 0; i < PLAIN_LEN; i++)
    text[i] ^= stream[i];
}

static void write_once(const fzri_siphash_key *key, const fzri_ticket *ticket, unsigned tries,
                       uint8_t out[FZRI_TICKET_LEN])
{
  uint8_t *text = out + MAC_LEN;
  memcpy(text, &ticket->id, sizeof ticket->id);
  fzri_put32(text + 8, ticket->generation);
  fzri_put16(text + 12, ticket->port);
  fzri_put16(text + 14, (uint16_t)tries);
  hash(key, USE_MAC, text, out);
  crypt(key, out, text);
}

/* One in eight has a byte that is 0: then the next one that says the same is tried. That all of them have one does not happen. */
void fzri_ticket_write(const fzri_siphash_key *key, const fzri_ticket *ticket, uint8_t out[FZRI_TICKET_LEN])
{
  unsigned tries = 0;
  do
    write_once(key, ticket, tries, out);
  while (memchr(out, 0, FZRI_TICKET_LEN) && ++tries < TRIES);
}

bool fzri_ticket_read(const fzri_siphash_key *key, const uint8_t *data, size_t len, fzri_ticket *out)
{
  uint8_t text[PLAIN_LEN], mac[MAC_LEN];
  if (len != FZRI_TICKET_LEN)
    return false;
  memcpy(text, data + MAC_LEN, sizeof text);
  crypt(key, data, text);
  hash(key, USE_MAC, text, mac);
  if (!fzri_equal_ct(mac, data, sizeof mac))
    return false;
  memcpy(&out->id, text, sizeof out->id);
  out->generation = fzri_get32(text + 8);
  out->port = fzri_get16(text + 12);
  return true;
}
