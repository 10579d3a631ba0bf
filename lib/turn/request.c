/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "allocation.h"
#include "answer.h"
#include "journal.h"
#include "name.h"
#include "replace.h"
#include "users.h"

uint64_t fzri_request_user(const fzr_engine *e, const fzri_request *r)
{
  const fzri_slice name = fzri_scheme_user(&e->scheme, r->username.value, r->username.len);
  /* Not the engine's own key: all shards must count the same user alike. */
  uint64_t user = fzri_siphash13(&e->user_key, name.data, name.len);
  /* A client that does not know which transport will get through tries all of them at once: each has its own newest allocation. How
   * many allocations a user has is counted over all of them. */
  if (e->replaces)
    user = fzri_user_by_transport(user, r->from->transport);
  return user ? user : 1;
}

fzri_allocation *fzri_request_allocation(fzr_engine *e, fzri_request *r)
{
  fzri_allocation *a = r->allocation;
  /* It goes on, but has no sockets yet: 437 would be its end. The client asks again. */
  if (a && a->state == FZRI_ALLOCATION_RESUMING)
    return NULL;
  if (!a || a->state != FZRI_ALLOCATION_LIVE) {
    fzri_answer_error(e, r, 437);
    return NULL;
  }
  if (!fzri_scheme_may_use(&e->scheme, a->user, r->user)) {
    fzri_answer_error(e, r, 441);
    return NULL;
  }
  return a;
}

/* The keys of one credential may differ: the client has another algorithm, or there is another secret. */
static bool has_other_credential(const fzr_engine *e, const fzri_request *r, const fzri_allocation *a)
{
  return a->user != r->user || a->key_expires != r->credential.expires ||
         a->key_algorithm != r->credential.algorithm ||
         memcmp(fzri_origin_of(e, a)->credential_tag, r->credential_tag, sizeof r->credential_tag) != 0 ||
         memcmp(a->key, r->credential.key, sizeof a->key) != 0;
}

void fzri_request_succeeds(fzr_engine *e, const fzri_request *r, fzri_allocation *a)
{
  const bool other_user = a->user != r->user;
  if (e->journal && has_other_credential(e, r, a))
    fzri_journal_allocation(e, a);
  fzri_request_keep_credential(e, r, a);
  /* A client may come over another transport, where he has a newest allocation, too. */
  if (other_user || r->ticket == FZRI_TICKET_MOVES)
    fzri_replace_user(e, a, fzri_request_user(e, r));
}

void fzri_request_keep_credential(fzr_engine *e, const fzri_request *r, fzri_allocation *a)
{
  fzri_origin *origin = fzri_origin_of(e, a);
  if (e->keeps_names && (a->user != r->user || origin->name == FZRI_POOL_NONE)) {
    const fzri_slice name = fzri_scheme_user(&e->scheme, r->username.value, r->username.len);
    fzri_name_drop(&e->names, origin->name);
    origin->name = fzri_name_keep(&e->names, name.data, name.len);
  }
  memcpy(a->key, r->credential.key, sizeof a->key);
  a->key_algorithm = r->credential.algorithm;
  memcpy(origin->credential_tag, r->credential_tag, sizeof origin->credential_tag);
  a->key_expires = r->credential.expires;
  a->user = r->user;
}

unsigned fzri_request_lifetime(const fzr_engine *e, fzri_request *r, uint32_t *lifetime)
{
  *lifetime = FZRI_LIFETIME_DEFAULT;
  if (!fzr_stun_has(&r->msg, FZR_ATTR_LIFETIME))
    return 0;
  if (!fzr_stun_get_u32(&r->msg, FZR_ATTR_LIFETIME, lifetime))
    return fzri_refuse_attribute(r, FZR_ATTR_LIFETIME);
  if (*lifetime > FZRI_LIFETIME_MAX)
    *lifetime = FZRI_LIFETIME_MAX;
  if (e->full && *lifetime && *lifetime < FZRI_LIFETIME_DEFAULT)
    *lifetime = FZRI_LIFETIME_DEFAULT;
  return 0;
}
