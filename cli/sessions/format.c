/* SPDX-License-Identifier: Apache-2.0 */
#include "sessions/format.h"

#include "common/utf8.h"
#include "sessions/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *session_transport(uint8_t transport)
{
  static const char *const names[] = {"udp", "tcp", "tls", "dtls"};
  return transport < sizeof names / sizeof *names ? names[transport] : "other";
}

void session_name(const fzr_allocation *a, char out[SESSION_NAME_MAX])
{
  text_out text = text_out_of(out, SESSION_NAME_MAX);
  for (size_t i = 0; i < a->user_name_len;) {
    char escaped[TEXT_ESCAPE_MAX];
    uint32_t code = a->user_name[i];
    const size_t n = utf8_read(a->user_name + i, a->user_name_len - i, &code);
    const size_t size = text_json_escape(code, n > 0, escaped);
    text_put(&text, size ? escaped : (const char *)a->user_name + i, size ? size : n);
    i += n ? n : 1;
  }
}

static uint64_t seconds(fzr_time from, fzr_time to)
{
  return to > from ? (to - from) / FZR_SECOND : 0;
}

static void put_number(text_out *out, const char *key, uint64_t value)
{
  text_puts(out, ",\"");
  text_puts(out, key);
  text_puts(out, "\":");
  text_uint(out, value);
}

/* |before|: what stands in front of it. */
static void put_addr(text_out *out, const char *before, const fzr_addr *addr)
{
  char text[FZR_ADDR_TEXT_MAX];
  fzr_addr_format(addr, true, text, sizeof text);
  text_puts(out, before);
  text_puts(out, text);
  text_puts(out, "\"");
}

void session_json(text_out *out, const fzr_allocation *a, unsigned worker, fzr_time now)
{
  char id[SESSION_ID_TEXT], name[SESSION_NAME_MAX];
  session_id_write(a->id, id);
  session_name(a, name);
  text_puts(out, "{\"id\":\"");
  text_puts(out, id);
  text_puts(out, "\",\"user\":\"");
  text_puts(out, name);
  put_addr(out, "\",\"client\":\"", &a->client);
  put_addr(out, ",\"server\":\"", &a->server);
  text_puts(out, ",\"transport\":\"");
  text_puts(out, session_transport(a->client.transport));
  text_puts(out, "\",\"relayed\":[");
  for (unsigned i = 0, n = 0; i < 2; i++)
    if (a->relayed[i].family)
      put_addr(out, n++ ? ",\"" : "\"", &a->relayed[i]);
  text_puts(out, "]");
  put_number(out, "age", seconds(a->began, now));
  put_number(out, "left", seconds(now, a->expires));
  put_number(out, "channels", a->channels);
  put_number(out, "permissions", a->permissions);
  put_number(out, "packets_from_client", a->packets[0]);
  put_number(out, "bytes_from_client", a->bytes[0]);
  put_number(out, "packets_to_client", a->packets[1]);
  put_number(out, "bytes_to_client", a->bytes[1]);
  put_number(out, "worker", worker);
  text_puts(out, "}\n");
}

#define COLUMNS "%-16s %-4s %-22s %-22s %8s %6s %4s %14s %14s  %s\n"

const char session_head[] =
    "ID               OVER CLIENT                 RELAYED                     AGE   LEFT "
    "CHAN    FROM CLIENT      TO CLIENT  USER\n";

static void write_duration(uint64_t s, char *out, size_t cap)
{
  if (s < 3600)
    snprintf(out, cap, "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
  else
    snprintf(out, cap, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
}

void session_row(text_out *out, const fzr_allocation *a, fzr_time now)
{
  char line[SESSION_LINE_MAX], id[SESSION_ID_TEXT], name[SESSION_NAME_MAX], client[FZR_ADDR_TEXT_MAX],
      relayed[FZR_ADDR_TEXT_MAX], age[24], left[24], channels[12], up[24], down[24];
  session_id_write(a->id, id);
  session_name(a, name);
  fzr_addr_format(&a->client, true, client, sizeof client);
  fzr_addr_format(&a->relayed[a->relayed[0].family ? 0 : 1], true, relayed, sizeof relayed);
  write_duration(seconds(a->began, now), age, sizeof age);
  write_duration(seconds(now, a->expires), left, sizeof left);
  snprintf(channels, sizeof channels, "%u", a->channels);
  snprintf(up, sizeof up, "%" PRIu64, a->bytes[0]);
  snprintf(down, sizeof down, "%" PRIu64, a->bytes[1]);
  snprintf(line, sizeof line, COLUMNS, id, session_transport(a->client.transport), client, relayed, age, left,
           channels, up, down, name);
  text_puts(out, line);
}
