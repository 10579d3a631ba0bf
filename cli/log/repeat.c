/* SPDX-License-Identifier: Apache-2.0 */
#include "log/repeat.h"

#include <stdio.h>
#include <string.h>

static uint64_t mix(uint64_t h, uint64_t v, uint64_t key)
{
  h ^= v;
  h ^= h >> 32;
  h *= key | 1;
  h ^= h >> 29;
  h *= 0x9e3779b97f4a7c15u;
  return h ^ h >> 32;
}

static uint64_t mix_bytes(uint64_t h, const void *data, size_t len, uint64_t key)
{
  const uint8_t *p = data;
  h = mix(h, len, key);
  for (; len >= 8; len -= 8, p += 8) {
    uint64_t v;
    memcpy(&v, p, 8);
    h = mix(h, v, key);
  }
  uint64_t rest = 0;
  if (len)
    memcpy(&rest, p, len);
  return mix(h, rest, key);
}

static uint64_t mix_field(uint64_t h, const log_field *f, uint64_t key)
{
  h = mix_bytes(h, f->key, strlen(f->key), key);
  switch (f->kind) {
  case LOG_STR:
    return f->v.str ? mix_bytes(h, f->v.str, strlen(f->v.str), key) : h;
  case LOG_BYTES:
    return mix_bytes(h, f->v.bytes.data, f->v.bytes.len, key);
  case LOG_INT:
    return mix(h, (uint64_t)f->v.i, key);
  case LOG_UINT:
    return mix(h, f->v.u, key);
  case LOG_ADDR:
    return f->v.addr ? mix_bytes(h, f->v.addr, sizeof *f->v.addr, key) : h;
  }
  return h;
}

uint64_t log_repeat_hash(const log_repeat *r, const log_line *line)
{
  uint64_t h = mix(r->key[0], (uint64_t)line->level, r->key[1]);
  h = mix_bytes(h, line->target, strlen(line->target), r->key[1]);
  h = mix_bytes(h, line->message, strlen(line->message), r->key[1]);
  for (size_t i = 0; i < line->field_count; i++)
    h = mix_field(h, &line->fields[i], r->key[1]);
  return h;
}

/* Ends the window of |slot|. What it held back has to be told. */
static void end_window(log_repeat *r, log_repeat_slot *slot, log_repeat_slot *ended)
{
  if (slot->held_back) {
    *ended = *slot;
    r->waiting--;
  }
  slot->written = 0;
  slot->held_back = 0;
}

enum log_repeat_verdict log_repeat_judge(log_repeat *r, const log_line *line, uint64_t hash, fzr_time now,
                                         log_repeat_slot *ended)
{
  log_repeat_slot *slot = &r->slots[hash % LOG_REPEAT_SLOTS];
  ended->written = 0;
  if (slot->written && (slot->hash != hash || now - slot->since >= LOG_REPEAT_WINDOW))
    end_window(r, slot, ended);
  if (!slot->written) {
    slot->hash = hash;
    slot->since = now;
    slot->level = line->level;
    snprintf(slot->target, sizeof slot->target, "%s", line->target);
    snprintf(slot->message, sizeof slot->message, "%s", line->message);
  }
  if (slot->written < LOG_REPEAT_BURST) {
    slot->written++;
    return LOG_REPEAT_WRITE;
  }
  if (slot->held_back++ == 0)
    r->waiting++;
  return LOG_REPEAT_HOLD_BACK;
}

bool log_repeat_expire(log_repeat *r, fzr_time now, log_repeat_slot *ended)
{
  if (!r->waiting)
    return false;
  for (size_t i = 0; i < LOG_REPEAT_SLOTS; i++) {
    log_repeat_slot *slot = &r->slots[i];
    if (!slot->held_back || (now != FZR_TIME_NEVER && now - slot->since < LOG_REPEAT_WINDOW))
      continue;
    end_window(r, slot, ended);
    return true;
  }
  return false;
}
