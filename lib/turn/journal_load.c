/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what journal.c writes. First it is found out which record of each object is the last one, and which objects have ended; what is left is
 * loaded as a saved state is (load.h): allocations, what belongs to them, and the permissions in the order in which they lapse. */
#include "journal_layout.h"
#include "load.h"
#include "ports.h"
#include "resume.h"

#include "../base/bytes.h"
#include "../base/crypto.h"

#define PORTS 65536u

/* An object, or what an allocation has once. */
typedef struct object {
  size_t offset; /* of its last record */
  uint32_t next; /* of the same port; FZRI_MAP_NONE: none */
  uint32_t hash;
  uint16_t type; /* of its record; 0: it has ended */
} object;

/* By what records are about the same object. No padding: it is hashed as bytes. */
typedef struct key {
  fzr_addr peer;
  uint16_t type;
  uint16_t port;
  uint16_t number;
  uint16_t zero;
} key;

/* What is known of a port. */
typedef struct place {
  size_t changed; /* where an allocation began or ended there last; 0: nowhere */
  uint32_t first; /* its objects; FZRI_MAP_NONE: none */
} place;

typedef struct reading {
  fzri_loading l;
  size_t room; /* for objects */
  size_t count;
  object *objects; /* in the order in which they began */
  uint32_t *order; /* permissions */
  place *places;
  fzri_map map;            /* key -> object that has not ended */
  size_t engine, counters; /* offsets of these records; 0: none */
} reading;

/* ---- objects ---- */

/* The type that an object's records have which |type| is about, or 0. */
static uint16_t object_type(uint16_t type)
{
  switch (type) {
  case FZRI_RECORD_ALLOCATION:
  case FZRI_RECORD_ALLOCATION_END:
    return FZRI_RECORD_ALLOCATION;
  case FZRI_RECORD_CHANNEL:
  case FZRI_RECORD_CHANNEL_END:
    return FZRI_RECORD_CHANNEL;
  case FZRI_RECORD_PERMISSION:
  case FZRI_RECORD_PERMISSION_END:
    return FZRI_RECORD_PERMISSION;
  case FZRI_RECORD_MOBILITY:
  case FZRI_RECORD_RESERVATION:
    return type;
  default:
    return 0;
  }
}

/* What |record| is about. Returns whether that could be read. */
static bool read_key(fzri_record record, key *out)
{
  *out = (key){.type = object_type(record.type), .port = fzri_take_u16(&record)};
  if (out->type == FZRI_RECORD_CHANNEL)
    out->number = fzri_take_u16(&record);
  if (record.type == FZRI_RECORD_PERMISSION)
    fzri_take_u64(&record); /* when it lapses */
  if (out->type == FZRI_RECORD_PERMISSION)
    out->peer = fzri_take_addr(&record);
  return !record.bad;
}

static uint32_t hash_of(const reading *r, const key *k)
{
  return (uint32_t)fzri_siphash13(&r->l.e->hash_key, (const uint8_t *)k, sizeof *k);
}

/* The record at |offset|, which is good. */
static fzri_record record_at(const reading *r, size_t offset)
{
  fzri_record record;
  fzri_reader at = r->l.reader;
  at.offset = offset;
  fzri_reader_next(&at, &record);
  return record;
}

static uint32_t find(const reading *r, const key *k, uint32_t hash)
{
  uint32_t probe = hash, index;
  while ((index = fzri_map_next(&r->map, hash, &probe)) != FZRI_MAP_NONE) {
    key other;
    if (read_key(record_at(r, r->objects[index].offset), &other) && memcmp(&other, k, sizeof other) == 0)
      return index;
  }
  return FZRI_MAP_NONE;
}

static int put(reading *r, const key *k, size_t offset)
{
  const uint32_t hash = hash_of(r, k), known = find(r, k, hash);
  place *at = &r->places[k->port];
  if (known != FZRI_MAP_NONE) {
    r->objects[known].offset = offset;
    return 0;
  }
  if (fzri_map_reserve(&r->map, hash))
    return FZR_ERR_NO_MEMORY;
  FZRI_ASSERT(r->count < r->room);
  const uint32_t index = (uint32_t)r->count++;
  r->objects[index] = (object){.offset = offset, .next = at->first, .hash = hash, .type = k->type};
  at->first = index;
  fzri_map_insert(&r->map, hash, index);
  if (k->type == FZRI_RECORD_ALLOCATION)
    at->changed = offset;
  return 0;
}

static void end(reading *r, uint32_t index)
{
  object *o = &r->objects[index];
  if (o->type)
    fzri_map_remove(&r->map, o->hash, index);
  o->type = 0;
}

/* All that is at |port| ends. */
static void end_all(reading *r, uint16_t port, size_t offset)
{
  place *at = &r->places[port];
  for (uint32_t i = at->first; i != FZRI_MAP_NONE; i = r->objects[i].next)
    end(r, i);
  at->first = FZRI_MAP_NONE;
  at->changed = offset;
}

/* ---- all records ---- */

static int note(reading *r, const fzri_record *record)
{
  key k;
  switch (record->type) {
  case FZRI_RECORD_ENGINE:
    r->engine = record->offset;
    return 0;
  case FZRI_RECORD_COUNTERS:
    r->counters = record->offset;
    return 0;
  case FZRI_RECORD_WHOLE:
  case FZRI_RECORD_COMMIT:
    return 0;
  case FZRI_RECORD_PORTS: {
    fzri_record ports = *record;
    return fzri_load_record(&r->l, &ports);
  }
  default:
    break;
  }
  if (!object_type(record->type)) {
    fzri_record unknown = *record;
    return fzri_load_record(&r->l, &unknown);
  }
  if (!read_key(*record, &k))
    return FZR_ERR_STATE_DAMAGED;
  if (record->type == FZRI_RECORD_ALLOCATION_END) {
    end_all(r, k.port, record->offset);
    return 0;
  }
  if (record->type == k.type)
    return put(r, &k, record->offset);
  const uint32_t index = find(r, &k, hash_of(r, &k));
  if (index != FZRI_MAP_NONE)
    end(r, index);
  return 0;
}

static int note_all(reading *r)
{
  fzri_record record;
  fzri_reader at = r->l.reader;
  while (fzri_reader_next(&at, &record)) {
    const int error = note(r, &record);
    if (error)
      return error;
  }
  return r->engine ? 0 : FZR_ERR_STATE_DAMAGED;
}

/* ---- permissions ---- */

/* Whether permission |a| is to come after |b|. Times are what they are in the record, from before the journal on. */
static bool is_later(const reading *r, uint32_t a, uint32_t b)
{
  fzri_record x = record_at(r, r->objects[a].offset), y = record_at(r, r->objects[b].offset);
  fzri_take_u16(&x);
  fzri_take_u16(&y);
  const int64_t at = (int64_t)fzri_take_u64(&x), other = (int64_t)fzri_take_u64(&y);
  return at != other ? at > other : a > b;
}

/* Lets the |from|-th of |order| sink to where it belongs in a heap of |n|. */
static void sink(reading *r, size_t from, size_t n)
{
  for (size_t child; (child = 2 * from + 1) < n; from = child) {
    if (child + 1 < n && is_later(r, r->order[child + 1], r->order[child]))
      child++;
    if (!is_later(r, r->order[child], r->order[from]))
      return;
    const uint32_t held = r->order[from];
    r->order[from] = r->order[child];
    r->order[child] = held;
  }
}

/* Puts the permissions in order. Returns how many there are. */
static size_t sort_permissions(reading *r)
{
  size_t n = 0;
  for (size_t i = 0; i < r->count; i++)
    if (r->objects[i].type == FZRI_RECORD_PERMISSION)
      r->order[n++] = (uint32_t)i;
  for (size_t i = n / 2; i--;)
    sink(r, i, n);
  for (size_t left = n; left > 1; left--) {
    const uint32_t last = r->order[0];
    r->order[0] = r->order[left - 1];
    r->order[left - 1] = last;
    sink(r, 0, left - 1);
  }
  return n;
}

/* ---- loading ---- */

static int load_at(reading *r, size_t offset)
{
  fzri_record record = record_at(r, offset);
  r->l.result->offset = offset;
  return fzri_load_record(&r->l, &record);
}

/* Whether the port that the reservation at |offset| is about had an allocation since: it was claimed. */
static bool is_claimed(const reading *r, size_t offset)
{
  fzri_record record = record_at(r, offset);
  fzri_take_u16(&record);
  fzri_take_u8(&record);
  return r->places[fzri_take_u64(&record) & 0xffff].changed > offset;
}

static int load_object(reading *r, const object *o)
{
  r->l.claimed = o->type == FZRI_RECORD_RESERVATION && is_claimed(r, o->offset);
  return load_at(r, o->offset);
}

/* All of |type|, in the order in which they began. */
static int load_all(reading *r, uint16_t type)
{
  int error = 0;
  for (size_t i = 0; i < r->count && !error; i++)
    if (r->objects[i].type == type)
      error = load_object(r, &r->objects[i]);
  return error;
}

static int load_objects(reading *r)
{
  static const uint16_t types[] = {FZRI_RECORD_ALLOCATION, FZRI_RECORD_MOBILITY, FZRI_RECORD_RESERVATION,
                                   FZRI_RECORD_CHANNEL};
  int error = load_at(r, r->engine);
  if (!error && r->counters)
    error = load_at(r, r->counters);
  for (size_t i = 0; i < sizeof types / sizeof *types && !error; i++)
    error = load_all(r, types[i]);
  const size_t n = sort_permissions(r);
  for (size_t i = 0; i < n && !error; i++)
    error = load_object(r, &r->objects[r->order[i]]);
  return error;
}

/* Has ports rest that are free since a short time. */
static void rest_ports(reading *r)
{
  fzri_record record;
  fzri_reader at = r->l.reader;
  while (fzri_reader_next(&at, &record)) {
    if (record.type == FZRI_RECORD_PORTS)
      fzri_load_ports(&r->l, &record, true);
    if (record.type != FZRI_RECORD_ALLOCATION_END)
      continue;
    const uint16_t port = fzri_take_u16(&record);
    const fzr_time since = fzri_take_time(&record, &r->l.reader, 0);
    if (!record.bad)
      fzri_shared_rest_port(r->l.e->shared, port, since + FZRI_PORT_RESTS, false);
  }
}

static int load(reading *r)
{
  int error = note_all(r);
  if (!error)
    error = load_objects(r);
  if (!error)
    error = fzri_load_commit(&r->l);
  if (error)
    fzri_resume_undo(r->l.e);
  else
    rest_ports(r);
  return error;
}

/* Takes the memory for |records| records, loads, and gives it back. */
static int load_with_room(reading *r, size_t records)
{
  fzri_mem *mem = &r->l.e->mem;
  int error = FZR_ERR_NO_MEMORY;
  r->room = records;
  if (fzri_map_init(&r->map, mem))
    return error;
  r->objects = fzri_mem_calloc(mem, records, sizeof *r->objects);
  r->order = fzri_mem_calloc(mem, records, sizeof *r->order);
  r->places = fzri_mem_calloc(mem, PORTS, sizeof *r->places);
  if (r->objects && r->order && r->places) {
    for (unsigned i = 0; i < PORTS; i++)
      r->places[i].first = FZRI_MAP_NONE;
    error = load(r);
  }
  fzri_mem_free(mem, r->places, PORTS * sizeof *r->places);
  fzri_mem_free(mem, r->order, records * sizeof *r->order);
  fzri_mem_free(mem, r->objects, records * sizeof *r->objects);
  fzri_map_free(&r->map);
  return error;
}

int fzr_engine_load_journal(fzr_engine *e, const uint8_t *data, size_t len, fzr_time now,
                            fzr_load_result *result)
{
  fzr_load_result unseen;
  fzri_halves halves;
  if (!result)
    result = &unseen;
  *result = (fzr_load_result){0};
  if (!e || (!data && len))
    return FZR_ERR_INVALID_ARGUMENT;
  if (!fzri_load_may_begin(e))
    return FZR_ERR_INVALID_STATE;
  int error = fzri_journal_look(data, len, &halves);
  result->major = halves.major;
  result->minor = halves.minor;
  if (error)
    return error;
  if (halves.current < 0)
    return FZR_ERR_STATE_DAMAGED;
  const fzri_half *half = &halves.half[halves.current];
  if (half->origin > now || half->records >= FZRI_MAP_NONE)
    return FZR_ERR_STATE_DAMAGED;
  reading r = {.l = {.e = e, .result = result, .journal = true}};
  /* Whoever wrote it may have had a later time than |now|: that is no reason to lose all. */
  r.l.reader = (fzri_reader){half->data, half->len, FZRI_HALF_HEAD_LEN, half->origin, now, true};
  error = load_with_room(&r, half->records);
  if (!error)
    result->offset = half->len;
  result->offset += (uint64_t)(half->data - data);
  fzri_wipe(&r, sizeof r);
  return error;
}
