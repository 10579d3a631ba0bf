/* SPDX-License-Identifier: Apache-2.0 */
#include "handover/message.h"

#include "handover/number.h"

#include <string.h>

#define HEAD  8u /* magic, type, what is 0 */
#define FIELD 4u /* number and length */

static const uint8_t magic[4] = {'F', 'Z', 'H', 'O'};

enum form { FORM_TEXT, FORM_U16, FORM_U32, FORM_U64, FORM_ADDR };

/* One field: how it stands in a message, and where in the struct. A number that was used once keeps its meaning. */
typedef struct field {
  uint16_t number;
  uint16_t offset;
  uint16_t room; /* of a text, with its zero */
  uint8_t form;
} field;

#define AT(member) offsetof(handover_message, member)

static const field fields[] = {
    {1, AT(version), HANDOVER_VERSION_MAX, FORM_TEXT},
    {2, AT(major), 0, FORM_U16},
    {3, AT(minor), 0, FORM_U16},
    {4, AT(state_major), 0, FORM_U16},
    {5, AT(state_minor), 0, FORM_U16},
    {6, AT(workers), 0, FORM_U32},
    {7, AT(listen_port), 0, FORM_U16},
    {8, AT(public_ip4), 0, FORM_ADDR},
    {9, AT(public_ip6), 0, FORM_ADDR},
    {10, AT(bind_ip4), 0, FORM_ADDR},
    {11, AT(bind_ip6), 0, FORM_ADDR},
    /* 12 and 13 are no longer said. */
    {14, AT(reason), HANDOVER_REASON_MAX, FORM_TEXT},
    {15, AT(kind), 0, FORM_U32},
    {16, AT(worker), 0, FORM_U32},
    {17, AT(fds), 0, FORM_U32},
    {18, AT(saved_at), 0, FORM_U64},
    {19, AT(secret), HANDOVER_SECRET_MAX, FORM_TEXT},
    {20, AT(tcp_listen_port), 0, FORM_U16},
    {21, AT(tls_listen_port), 0, FORM_U16},
    {22, AT(tcp_clients), 0, FORM_U32},
    {23, AT(tls_clients), 0, FORM_U32},
    {24, AT(allocations), 0, FORM_U32},
    {25, AT(channels), 0, FORM_U32},
    {26, AT(permissions), 0, FORM_U32},
    {30, AT(instance), HANDOVER_INSTANCE_MAX, FORM_TEXT},
    {31, AT(counting_since), 0, FORM_U64},
    {32, AT(went_at), 0, FORM_U64},
    {33, AT(about), HANDOVER_ABOUT_MAX, FORM_TEXT},
};
#define FIELDS (sizeof fields / sizeof fields[0])

static const void *member_of(const handover_message *m, const field *f)
{
  return (const uint8_t *)m + f->offset;
}

/* ---- addresses: port, then four or sixteen bytes ---- */

static size_t put_addr(const fzr_addr *addr, uint8_t *out)
{
  if (!addr->family)
    return 0;
  const size_t len = addr->family == FZR_FAMILY_IPV4 ? 4 : 16;
  handover_put_number(out, addr->port, 2);
  memcpy(out + 2, addr->ip, len);
  return 2 + len;
}

static bool get_addr(const uint8_t *in, size_t len, fzr_addr *out)
{
  if (len != 6 && len != 18)
    return false;
  const uint16_t port = (uint16_t)handover_get_number(in, 2);
  *out = len == 6 ? fzr_addr_ipv4(in + 2, port) : fzr_addr_ipv6(in + 2, port);
  return true;
}

/* ---- fields ---- */

static unsigned bytes_of(uint8_t form)
{
  return form == FORM_U16 ? 2 : form == FORM_U32 ? 4 : 8;
}

static uint64_t number_in(const void *member, uint8_t form)
{
  uint16_t n16;
  uint32_t n32;
  uint64_t n64;
  if (form == FORM_U16)
    return memcpy(&n16, member, sizeof n16), n16;
  if (form == FORM_U32)
    return memcpy(&n32, member, sizeof n32), n32;
  return memcpy(&n64, member, sizeof n64), n64;
}

/* Writes the value of |f|. Returns its length, 0 if there is nothing to say. */
static size_t put_value(const handover_message *m, const field *f, uint8_t *out)
{
  const void *member = member_of(m, f);
  if (f->form == FORM_ADDR)
    return put_addr(member, out);
  if (f->form == FORM_TEXT) {
    const size_t len = strnlen(member, f->room - 1u);
    memcpy(out, member, len);
    return len;
  }
  const uint64_t value = number_in(member, f->form);
  if (!value)
    return 0;
  handover_put_number(out, value, bytes_of(f->form));
  return bytes_of(f->form);
}

/* A text is shown to an operator: nothing in it may do anything to a terminal. */
static bool get_text(const uint8_t *in, size_t len, char *out, size_t room)
{
  if (len >= room)
    return false;
  for (size_t i = 0; i < len; i++)
    if (in[i] < ' ' || in[i] >= 0x7f)
      out[i] = '?';
    else
      out[i] = (char)in[i];
  memset(out + len, 0, room - len); /* it may be there twice, and the first one be longer */
  return true;
}

static bool get_value(const uint8_t *in, size_t len, const field *f, handover_message *m)
{
  uint8_t *member = (uint8_t *)m + f->offset;
  if (f->form == FORM_TEXT)
    return get_text(in, len, (char *)member, f->room);
  if (f->form == FORM_ADDR)
    return get_addr(in, len, (fzr_addr *)(void *)member);
  if (len != bytes_of(f->form))
    return false;
  const uint64_t value = handover_get_number(in, (unsigned)len);
  const uint16_t n16 = (uint16_t)value;
  const uint32_t n32 = (uint32_t)value;
  if (f->form == FORM_U16)
    memcpy(member, &n16, sizeof n16);
  else if (f->form == FORM_U32)
    memcpy(member, &n32, sizeof n32);
  else
    memcpy(member, &value, sizeof value);
  return true;
}

/* ---- messages ---- */

/* Texts, and all else, which is fewer bytes than a text. */
_Static_assert(HEAD + HANDOVER_VERSION_MAX + HANDOVER_REASON_MAX + HANDOVER_SECRET_MAX +
                       HANDOVER_INSTANCE_MAX + HANDOVER_ABOUT_MAX + FIELDS * (FIELD + 18) <=
                   HANDOVER_MESSAGE_MAX,
               "all fields fit");

size_t handover_write(const handover_message *m, uint8_t out[HANDOVER_MESSAGE_MAX])
{
  size_t n = HEAD;
  memcpy(out, magic, sizeof magic);
  handover_put_number(out + 4, (uint64_t)m->type, 2);
  handover_put_number(out + 6, 0, 2);
  for (size_t i = 0; i < FIELDS; i++) {
    const size_t len = put_value(m, &fields[i], out + n + FIELD);
    if (!len)
      continue;
    handover_put_number(out + n, fields[i].number, 2);
    handover_put_number(out + n + 2, len, 2);
    n += FIELD + len;
  }
  return n;
}

static bool is_possible(const handover_message *m)
{
  if (m->type < HANDOVER_HELLO || m->type >= HANDOVER_TYPES)
    return false;
  if (m->type == HANDOVER_GIVE)
    return m->kind && m->fds && m->fds <= HANDOVER_FDS_MAX && m->worker < HANDOVER_WORKERS_MAX;
  if (m->type == HANDOVER_OFFER && m->major == HANDOVER_MAJOR)
    return m->workers && m->workers <= HANDOVER_WORKERS_MAX && m->listen_port;
  return true;
}

bool handover_read(const uint8_t *data, size_t len, handover_message *out)
{
  memset(out, 0, sizeof *out);
  if (len < HEAD || len > HANDOVER_MESSAGE_MAX || memcmp(data, magic, sizeof magic) != 0)
    return false;
  out->type = (enum handover_type)handover_get_number(data + 4, 2);
  for (size_t at = HEAD; at < len;) {
    if (len - at < FIELD)
      return false;
    const uint16_t number = (uint16_t)handover_get_number(data + at, 2);
    const size_t value = (size_t)handover_get_number(data + at + 2, 2);
    at += FIELD;
    if (value > len - at)
      return false;
    for (size_t i = 0; i < FIELDS; i++)
      if (fields[i].number == number && !get_value(data + at, value, &fields[i], out))
        return false;
    at += value;
  }
  return is_possible(out);
}
