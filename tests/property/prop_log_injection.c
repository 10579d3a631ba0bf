/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever bytes a client sends as USERNAME and SOFTWARE: each record is one line of its format, no field is forged, nothing that
 * steers a terminal gets through, and what was sent can be read back out of the line. */
#include "prng.h"
#include "testing.h"

#include "engine_log.h"
#include "log/log.h"

#include <stdio.h>
#include <unistd.h>

#define RECORDS    150u
#define NAME_MAX_  513u /* the longest USERNAME of RFC 8489 */
#define CHARS_MAX  NAME_MAX_
#define NO_CHAR    0xfffdu
#define INVALID(b) (0x80000000u | (b)) /* a byte that is no UTF-8 */

/* Any bytes, and what they mean as characters. */
typedef struct sent {
  uint8_t bytes[NAME_MAX_];
  uint16_t len;
  uint32_t chars[CHARS_MAX];
  unsigned count;
} sent;

static void put_char(sent *s, uint32_t code)
{
  uint8_t *p = s->bytes + s->len;
  if (code < 0x80) {
    p[0] = (uint8_t)code;
    s->len += 1;
  } else if (code < 0x800) {
    p[0] = (uint8_t)(0xc0 | code >> 6);
    p[1] = (uint8_t)(0x80 | (code & 0x3f));
    s->len += 2;
  } else if (code < 0x10000) {
    p[0] = (uint8_t)(0xe0 | code >> 12);
    p[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    p[2] = (uint8_t)(0x80 | (code & 0x3f));
    s->len += 3;
  } else {
    p[0] = (uint8_t)(0xf0 | code >> 18);
    p[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    p[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    p[3] = (uint8_t)(0x80 | (code & 0x3f));
    s->len += 4;
  }
  s->chars[s->count++] = code;
}

static void put_text(sent *s, const char *text)
{
  for (; *text && s->len < NAME_MAX_; text++)
    put_char(s, (uint8_t)*text);
}

static uint32_t any_char(fzt_prng *prng)
{
  static const uint32_t nasty[] = {0,    '\n', '\r', '"',    '\\',   '=',    ' ',    '\t',   0x1b,
                                   0x7f, 0x85, 0x9b, 0x2028, 0x2029, 0x202e, 0x200b, 0xfeff, 0xe0041,
                                   '{',  '}',  ',',  ':',    'u',    'x',    'n',    '.'};
  switch (fzt_below(prng, 4)) {
  case 0:
    return nasty[fzt_below(prng, sizeof nasty / sizeof *nasty)];
  case 1:
    return (uint32_t)(0x20 + fzt_below(prng, 0x5f));
  default: {
    const uint32_t code = (uint32_t)fzt_below(prng, 0x110000 - 0x800);
    return code < 0xd800 ? code : code + 0x800;
  }
  }
}

/* Lines and fields as an attacker would like them to appear, odd characters, bytes that are none. */
static void make_sent(fzt_prng *prng, sent *s)
{
  static const char *const forged[] = {
      "x\n2026-01-01T00:00:00.000000Z  INFO relay: Created new allocation",
      "\" allocation=1 x=\"",
      "\\\" allocation=1 x=\\\"",
      "\",\"level\":\"ERROR\",\"x\":\"",
      "\\\",\"level\":\"ERROR\",\"x\":\\\"",
      "\"}\n{\"timestamp\":\"now\"",
      "\\u0022}",
      "\\x0a",
      "\\u{a}",
      "\x1b[2J\x1b]0;title\x07",
      "\r\n\r\n",
      "truncated=true",
      "...",
  };
  const uint64_t pieces = fzt_below(prng, 20);
  s->len = 0;
  s->count = 0;
  for (uint64_t i = 0; i < pieces && s->len + 80u < NAME_MAX_; i++) {
    const uint64_t kind = fzt_below(prng, 8);
    if (kind < 3) {
      put_text(s, forged[fzt_below(prng, sizeof forged / sizeof *forged)]);
    } else if (kind == 3) {
      static const uint8_t never[] = {0xc0, 0xc1, 0xf5, 0xf8, 0xfc, 0xfe, 0xff};
      const uint8_t byte = never[fzt_below(prng, sizeof never)];
      s->bytes[s->len++] = byte;
      s->chars[s->count++] = INVALID(byte);
    } else {
      for (uint64_t n = fzt_below(prng, 12); n > 0; n--)
        put_char(s, any_char(prng));
    }
  }
}

/* ---- reading lines back ---- */

typedef struct reader {
  const char *p, *end;
} reader;

static bool eat(reader *r, const char *text)
{
  const size_t len = strlen(text);
  if ((size_t)(r->end - r->p) < len || memcmp(r->p, text, len) != 0)
    return false;
  r->p += len;
  return true;
}

static uint32_t hex(reader *r, unsigned digits)
{
  uint32_t value = 0;
  for (unsigned i = 0; i < digits; i++, r->p++) {
    fzt_check(r->p < r->end);
    const char *at = strchr("0123456789abcdef", *r->p);
    fzt_check(at && *at);
    value = value << 4 | (uint32_t)(at - "0123456789abcdef");
  }
  return value;
}

/* A character that stands for itself: it must be one that may. */
static uint32_t plain(reader *r)
{
  const uint8_t *p = (const uint8_t *)r->p;
  const unsigned more = p[0] < 0x80 ? 0 : p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc2 ? 1 : 9;
  uint32_t code = more == 0 ? p[0] : p[0] & (0x3fu >> more);
  fzt_check(more < 4 && (size_t)(r->end - r->p) > more);
  for (unsigned i = 1; i <= more; i++) {
    fzt_check((p[i] & 0xc0) == 0x80);
    code = code << 6 | (p[i] & 0x3fu);
  }
  r->p += more + 1;
  fzt_check(code >= 0x20 && !(code >= 0x7f && code < 0xa0) && code < 0x110000);
  fzt_check(code != 0x2028 && code != 0x2029 && code != 0x202e && code != 0x200b && code != 0xfeff &&
            code != 0xe0041);
  return code;
}

static uint32_t escaped(reader *r, bool json)
{
  fzt_check(r->p < r->end);
  switch (*r->p++) {
  case 'n':
    return '\n';
  case '"':
    return '"';
  case '\\':
    return '\\';
  case 'r':
    return '\r';
  case 't':
    return '\t';
  case 'b':
    fzt_check(json);
    return '\b';
  case 'f':
    fzt_check(json);
    return '\f';
  case 'x': {
    fzt_check(!json);
    const uint32_t byte = hex(r, 2);
    return byte < 0x80 ? byte : INVALID(byte);
  }
  case 'u':
    if (!json) {
      uint32_t code = 0;
      fzt_check(eat(r, "{"));
      while (!eat(r, "}"))
        code = code << 4 | hex(r, 1);
      return code;
    } else {
      const uint32_t high = hex(r, 4);
      if (high < 0xd800 || high > 0xdfff)
        return high;
      fzt_check(high < 0xdc00 && eat(r, "\\u"));
      const uint32_t low = hex(r, 4);
      fzt_check(low >= 0xdc00 && low <= 0xdfff);
      return 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
    }
  default:
    ck_abort_msg("not an escape: \\%c", r->p[-1]);
  }
  return 0;
}

/* A quoted string, which must be what was sent, or begin as it does where it was cut off with dots. */
static void expect_quoted(reader *r, const sent *s, bool json)
{
  static uint32_t got[8192];
  unsigned n = 0;
  fzt_check(eat(r, "\""));
  while (!eat(r, "\"")) {
    fzt_check(n < sizeof got / sizeof *got && r->p < r->end);
    const uint32_t code = eat(r, "\\") ? escaped(r, json) : plain(r);
    got[n++] = code;
  }
  unsigned same = 0;
  while (same < n && same < s->count) {
    const uint32_t wanted = json && (s->chars[same] & 0x80000000u) ? NO_CHAR : s->chars[same];
    if (got[same] != wanted)
      break;
    same++;
  }
  if (same == n && n == s->count)
    return;
  /* Cut off: only what is long when escaped may be. */
  fzt_check(n >= 3 && got[n - 1] == '.' && got[n - 2] == '.' && got[n - 3] == '.' && same + 3 >= n &&
            s->count > 80);
}

static void expect_time(reader *r)
{
  for (const char *shape = "0000-00-00T00:00:00.000000Z"; *shape; shape++, r->p++)
    fzt_check(r->p < r->end && (*shape == '0' ? *r->p >= '0' && *r->p <= '9' : *r->p == *shape));
}

static void read_human(reader *r, unsigned number, const sent *username, const sent *software)
{
  char text[192];
  expect_time(r);
  snprintf(text, sizeof text,
           "  INFO relay: Created new allocation sender=192.0.2.1:%u port=49152 "
           "first_relay_address=203.0.113.7 second_relay_address=2001:db8::7 lifetime=600s method=allocate "
           "username=",
           number + 1);
  fzt_check(eat(r, text));
  expect_quoted(r, username, false);
  fzt_check(eat(r, " software="));
  expect_quoted(r, software, false);
}

static void read_json(reader *r, enum log_style style, unsigned number, const sent *username,
                      const sent *software)
{
  const bool google = style == LOG_STYLE_GOOGLE_CLOUD, nested = style == LOG_STYLE_JSON;
  char text[320];
  fzt_check(eat(r, google ? "{\"time\":\"" : "{\"timestamp\":\""));
  expect_time(r);
  snprintf(
      text, sizeof text,
      "\",\"%s\":\"INFO\",%s\"message\":\"Created new allocation\","
      "\"sender\":\"192.0.2.1:%u\",\"port\":49152,\"first_relay_address\":\"203.0.113.7\","
      "\"second_relay_address\":\"2001:db8::7\",\"lifetime\":\"600s\",\"method\":\"allocate\",\"username\":",
      google ? "severity" : "level", nested ? "\"fields\":{" : "\"target\":\"relay\",", number + 1);
  fzt_check(eat(r, text));
  expect_quoted(r, username, true);
  fzt_check(eat(r, ",\"software\":"));
  expect_quoted(r, software, true);
  fzt_check(eat(r, nested ? "},\"target\":\"relay\"}" : "}"));
}

static sent usernames[RECORDS], softwares[RECORDS];

static void write_records(fzt_prng *prng)
{
  for (unsigned i = 0; i < RECORDS; i++) {
    static const uint8_t ip[4] = {192, 0, 2, 1}, ip4[4] = {203, 0, 113, 7};
    static const uint8_t ip6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 7};
    const fzr_addr relayed[2] = {fzr_addr_ipv4(ip4, 49152), fzr_addr_ipv6(ip6, 49152)};
    const fzr_addr client = fzr_addr_ipv4(ip, (uint16_t)(i + 1));
    make_sent(prng, &usernames[i]);
    make_sent(prng, &softwares[i]);
    const fzr_log_record record = {.level = FZR_LOG_INFO,
                                   .event = FZR_LOG_ALLOCATION_CREATED,
                                   .method = FZR_STUN_ALLOCATE,
                                   .port = 49152,
                                   .lifetime = 600,
                                   .client = &client,
                                   .username = usernames[i].bytes,
                                   .username_len = usernames[i].len,
                                   .software = softwares[i].bytes,
                                   .software_len = softwares[i].len,
                                   .relayed = {&relayed[0], &relayed[1]}};
    engine_log(NULL, &record);
  }
}

static void check_style(fzt_prng *prng, enum log_style style)
{
  static char text[4u << 20];
  FILE *file = tmpfile();
  fzt_check(file != NULL);
  const log_options options = {
      .style = style, .fd = fileno(file), .filter = "info", .queue_bytes = sizeof text / 2};
  fzt_check(log_init(&options) == 0);
  write_records(prng);
  log_shutdown();
  fzt_check(log_lines_dropped() == 0);
  const ssize_t len = pread(fileno(file), text, sizeof text, 0);
  fzt_check(len > 0);
  fclose(file);
  const char *p = text;
  for (unsigned i = 0; i < RECORDS; i++) {
    const char *newline = memchr(p, '\n', (size_t)(text + len - p));
    fzt_check(newline != NULL);
    reader r = {p, newline};
    if (style == LOG_STYLE_HUMAN)
      read_human(&r, i, &usernames[i], &softwares[i]);
    else
      read_json(&r, style, i, &usernames[i], &softwares[i]);
    fzt_check(r.p == r.end);
    p = newline + 1;
  }
  fzt_check(p == text + len);
}

START_TEST(test_lines)
{
  fzt_prng prng = {fzt_seed("log injection")};
  for (uint64_t round = 0; round < fzt_rounds(30); round++) {
    check_style(&prng, LOG_STYLE_HUMAN);
    check_style(&prng, LOG_STYLE_JSON);
    check_style(&prng, LOG_STYLE_JSON_FLAT);
    check_style(&prng, LOG_STYLE_GOOGLE_CLOUD);
  }
}
END_TEST

/* Bytes without any plan: still as many lines as records, and none of them with a byte that steers a terminal. */
START_TEST(test_noise)
{
  static char text[1u << 20];
  fzt_prng prng = {fzt_seed("log noise")};
  for (unsigned style = LOG_STYLE_HUMAN; style <= LOG_STYLE_GOOGLE_CLOUD; style++) {
    for (uint64_t round = 0; round < fzt_rounds(20); round++) {
      FILE *file = tmpfile();
      const log_options options = {.style = (enum log_style)style, .fd = fileno(file), .filter = "trace"};
      unsigned lines = 0;
      fzt_check(log_init(&options) == 0);
      for (unsigned i = 0; i < 100; i++) {
        uint8_t name[NAME_MAX_];
        fzt_fill(&prng, name, sizeof name);
        const fzr_log_record record = {.level = FZR_LOG_DEBUG,
                                       .event = FZR_LOG_REQUEST,
                                       .method = FZR_STUN_ALLOCATE,
                                       .error_code = 401,
                                       .username = name,
                                       .username_len = (uint16_t)fzt_below(&prng, sizeof name),
                                       .software = name,
                                       .software_len = (uint16_t)fzt_below(&prng, sizeof name)};
        engine_log(NULL, &record);
      }
      log_shutdown();
      const ssize_t len = pread(fileno(file), text, sizeof text, 0);
      fclose(file);
      for (ssize_t i = 0; i < len; i++) {
        const uint8_t c = (uint8_t)text[i];
        fzt_check(c == '\n' || (c >= 0x20 && c != 0x7f));
        lines += c == '\n';
      }
      fzt_check(lines == 100);
    }
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("property: log injection");
  TCase *c = tcase_create("log");
  tcase_set_timeout(c, 200);
  tcase_add_test(c, test_lines);
  tcase_add_test(c, test_noise);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
