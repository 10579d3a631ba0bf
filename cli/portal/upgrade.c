/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/upgrade.h"

#include "common/decimal.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <mbedtls/base64.h>
#include <mbedtls/sha1.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3
#define mbedtls_sha1 mbedtls_sha1_ret /* 2.28's plain one is deprecated */
#endif

/* A piece of a secret as long as this, from its start, is kept out of messages like the whole: the text may have been cut off. */
#define REDACT_FROM 8

enum { STATUS_LINE, HEADERS, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, DONE };

void portal_upgrade_key(const uint8_t random[16], char key[PORTAL_WS_KEY_LEN + 1])
{
  size_t len;
  mbedtls_base64_encode((unsigned char *)key, PORTAL_WS_KEY_LEN + 1, &len, random, 16);
}

static void accept_for(const char *key, char out[32])
{
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
  char joined[PORTAL_WS_KEY_LEN + sizeof guid];
  unsigned char hash[20];
  size_t len;
  text_out text = text_out_of(joined, sizeof joined);
  text_puts(&text, key);
  text_puts(&text, guid);
  mbedtls_sha1((const unsigned char *)joined, text.len, hash);
  mbedtls_base64_encode((unsigned char *)out, 32, &len, hash, sizeof hash);
}

void portal_upgrade_request(const portal_url *url, const portal_login *login, const char *version,
                            const char *key, text_out *text)
{
  text_puts(text, "GET ");
  portal_url_target(url, login, text);
  text_puts(text, " HTTP/1.1\r\nHost: ");
  portal_url_authority(url, text);
  text_puts(text, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: ");
  text_puts(text, key);
  text_puts(text, "\r\nUser-Agent: relay/");
  text_puts(text, version);
  text_puts(text, "\r\nX-Authorization: Bearer ");
  for (const char *token = login->token; *token; token++)
    if (*token != '\r' && *token != '\n')
      text_put(text, token, 1);
  text_puts(text, "\r\n\r\n");
}

void portal_upgrade_init(portal_upgrade *upgrade, const char *key)
{
  memset(upgrade, 0, sizeof *upgrade);
  accept_for(key, upgrade->expected);
  upgrade->state = STATUS_LINE;
}

static enum portal_upgrade_result bad(portal_upgrade *upgrade, const char *problem)
{
  upgrade->problem = problem;
  upgrade->state = DONE;
  return PORTAL_UPGRADE_BAD;
}

/* Copies the start of |len| bytes as one line: controls become spaces, bytes that are not UTF-8 question marks. Whole
 * characters only. Returns the new length of |out|, which held |at| bytes. */
static size_t copy_printable(char *out, size_t cap, size_t at, const char *data, size_t len)
{
  while (len > 0) {
    const unsigned char c = (unsigned char)*data;
    size_t n = utf8_length((const uint8_t *)data, len);
    if (at + (n > 0 ? n : 1) >= cap)
      break;
    if (n == 0 || c < 0x20 || c == 0x7f) {
      out[at++] = n == 0 ? '?' : ' ';
      n = 1;
    } else {
      memcpy(out + at, data, n);
      at += n;
    }
    data += n;
    len -= n;
  }
  out[at] = '\0';
  return at;
}

static bool read_status_line(portal_upgrade *upgrade)
{
  const char *line = upgrade->line;
  if (strncmp(line, "HTTP/1.1 ", 9) != 0 && strncmp(line, "HTTP/1.0 ", 9) != 0)
    return false;
  line += 9;
  uint64_t status;
  if (!decimal_read(line, strnlen(line, 3), 999, &status))
    return false;
  upgrade->status = (int)status;
  if (status < 100 || (line[3] != ' ' && line[3]))
    return false;
  if (line[3] == ' ')
    copy_printable(upgrade->reason, sizeof upgrade->reason, 0, line + 4, strlen(line + 4));
  return true;
}

/* Whether |token| is one of the comma-separated elements of |list|. */
static bool lists_token(const char *list, const char *token)
{
  const size_t want = strlen(token);
  while (*list) {
    list += strspn(list, " \t,");
    const size_t len = strcspn(list, " \t,");
    if (len == want && strncasecmp(list, token, len) == 0)
      return true;
    list += len;
  }
  return false;
}

static void keep_location(portal_upgrade *upgrade, const char *value)
{
  copy_printable(upgrade->location, sizeof upgrade->location, 0, value, strcspn(value, "?#"));
}

/* One header field. Returns what is wrong with it, or NULL. */
static const char *read_field(portal_upgrade *upgrade, const char *name, const char *value)
{
  if (strcasecmp(name, "Upgrade") == 0) {
    upgrade->saw_upgrade = lists_token(value, "websocket");
  } else if (strcasecmp(name, "Connection") == 0) {
    upgrade->saw_connection = upgrade->saw_connection || lists_token(value, "upgrade");
  } else if (strcasecmp(name, "Sec-WebSocket-Accept") == 0) {
    upgrade->saw_accept = strcmp(value, upgrade->expected) == 0;
  } else if (strcasecmp(name, "Sec-WebSocket-Extensions") == 0 ||
             strcasecmp(name, "Sec-WebSocket-Protocol") == 0) {
    upgrade->saw_unasked = upgrade->saw_unasked || *value != '\0';
  } else if (strcasecmp(name, "Location") == 0) {
    keep_location(upgrade, value);
  } else if (strcasecmp(name, "Retry-After") == 0) {
    copy_printable(upgrade->retry_after, sizeof upgrade->retry_after, 0, value, strlen(value));
  } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
    upgrade->chunked = lists_token(value, "chunked");
  } else if (strcasecmp(name, "Content-Length") == 0) {
    upgrade->has_length = decimal_read(value, strlen(value), UINT64_MAX - 1, &upgrade->body_left);
    if (!upgrade->has_length)
      return "its Content-Length is no number";
  }
  return NULL;
}

static const char *read_header_line(portal_upgrade *upgrade)
{
  char *colon = strchr(upgrade->line, ':');
  if (!colon || colon == upgrade->line)
    return "a header line has no name";
  *colon = '\0';
  if (strpbrk(upgrade->line, " \t"))
    return "a header line has a space in its name"; /* obsolete line folding too: RFC 9112 section 5.2 */
  char *value = colon + 1;
  value += strspn(value, " \t");
  size_t len = strlen(value);
  while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
    value[--len] = '\0';
  return read_field(upgrade, upgrade->line, value);
}

static enum portal_upgrade_result finish_switch(portal_upgrade *upgrade)
{
  if (!upgrade->saw_upgrade || !upgrade->saw_connection)
    return bad(upgrade, "its 101 does not upgrade to websocket");
  if (!upgrade->saw_accept)
    return bad(upgrade, "its Sec-WebSocket-Accept is missing or wrong");
  if (upgrade->saw_unasked)
    return bad(upgrade, "its 101 names an extension or sub-protocol that was not asked for");
  upgrade->state = DONE;
  return PORTAL_UPGRADE_SWITCHED;
}

static enum portal_upgrade_result refused(portal_upgrade *upgrade)
{
  while (upgrade->excerpt_len > 0 && upgrade->excerpt[upgrade->excerpt_len - 1] == ' ')
    upgrade->excerpt[--upgrade->excerpt_len] = '\0';
  upgrade->state = DONE;
  return PORTAL_UPGRADE_REFUSED;
}

static enum portal_upgrade_result headers_done(portal_upgrade *upgrade)
{
  if (upgrade->status == 101)
    return finish_switch(upgrade);
  if (upgrade->status < 200)
    return bad(upgrade, "its status is neither 101 nor a final one");
  if (upgrade->status == 204 || upgrade->status == 304)
    return refused(upgrade);
  if (upgrade->chunked) {
    upgrade->state = CHUNK_SIZE;
  } else if (upgrade->has_length && upgrade->body_left == 0) {
    return refused(upgrade);
  } else {
    if (!upgrade->has_length)
      upgrade->body_left = UINT64_MAX; /* until the connection ends */
    upgrade->state = BODY;
  }
  return PORTAL_UPGRADE_MORE;
}

static enum portal_upgrade_result chunk_line(portal_upgrade *upgrade)
{
  if (upgrade->state == CHUNK_END) {
    upgrade->state = CHUNK_SIZE;
    return upgrade->line_len == 0 ? PORTAL_UPGRADE_MORE : refused(upgrade);
  }
  char *end;
  const unsigned long long size = strtoull(upgrade->line, &end, 16);
  if (end == upgrade->line || size == 0 || upgrade->line[0] == '-')
    return refused(upgrade); /* the last one, or broken: what was read will do */
  upgrade->body_left = size;
  upgrade->state = CHUNK_DATA;
  return PORTAL_UPGRADE_MORE;
}

static enum portal_upgrade_result line_done(portal_upgrade *upgrade)
{
  const char *problem;
  if (upgrade->line_len > 0 && upgrade->line[upgrade->line_len - 1] == '\r')
    upgrade->line_len--;
  upgrade->line[upgrade->line_len] = '\0';
  const bool has_zero = strlen(upgrade->line) != upgrade->line_len;
  switch (upgrade->state) {
  case STATUS_LINE:
    if (has_zero || !read_status_line(upgrade))
      return bad(upgrade, "it does not begin as HTTP/1.1 does");
    upgrade->state = HEADERS;
    return PORTAL_UPGRADE_MORE;
  case HEADERS:
    if (upgrade->line_len == 0)
      return headers_done(upgrade);
    problem = has_zero ? "a header line holds a zero byte" : read_header_line(upgrade);
    return problem ? bad(upgrade, problem) : PORTAL_UPGRADE_MORE;
  default:
    return chunk_line(upgrade);
  }
}

/* Takes one byte of a line. */
static enum portal_upgrade_result line_byte(portal_upgrade *upgrade, char c)
{
  if (upgrade->state <= HEADERS && ++upgrade->header_len > PORTAL_UPGRADE_MAX_HEADER)
    return bad(upgrade, "its header is too large");
  if (c == '\n') {
    const enum portal_upgrade_result result = line_done(upgrade);
    upgrade->line_len = 0;
    return result;
  }
  if (upgrade->line_len + 1 >= sizeof upgrade->line)
    return upgrade->state <= HEADERS ? bad(upgrade, "a header line is too long") : refused(upgrade);
  upgrade->line[upgrade->line_len++] = c;
  return PORTAL_UPGRADE_MORE;
}

/* Takes up to |len| bytes of the body. Returns how many. */
static size_t body_bytes(portal_upgrade *upgrade, const uint8_t *data, size_t len,
                         enum portal_upgrade_result *result)
{
  if (len > upgrade->body_left)
    len = (size_t)upgrade->body_left;
  upgrade->body_left -= len;
  const size_t before = upgrade->excerpt_len;
  upgrade->excerpt_len =
      copy_printable(upgrade->excerpt, sizeof upgrade->excerpt, before, (const char *)data, len);
  const bool full = upgrade->excerpt_len + 4 >= sizeof upgrade->excerpt;
  if (full || (upgrade->body_left == 0 && upgrade->state == BODY))
    *result = refused(upgrade);
  else if (upgrade->body_left == 0)
    upgrade->state = CHUNK_END;
  return len;
}

enum portal_upgrade_result portal_upgrade_feed(portal_upgrade *upgrade, const uint8_t *data, size_t len,
                                               size_t *used)
{
  enum portal_upgrade_result result = PORTAL_UPGRADE_MORE;
  size_t at = 0;
  while (at < len && result == PORTAL_UPGRADE_MORE)
    if (upgrade->state == BODY || upgrade->state == CHUNK_DATA)
      at += body_bytes(upgrade, data + at, len - at, &result);
    else
      result = line_byte(upgrade, (char)data[at++]);
  *used = at;
  return result;
}

enum portal_upgrade_result portal_upgrade_end(portal_upgrade *upgrade)
{
  if (portal_upgrade_in_body(upgrade))
    return refused(upgrade);
  return bad(upgrade, upgrade->header_len == 0 ? "it is empty" : "it ends within its header");
}

bool portal_upgrade_in_body(const portal_upgrade *upgrade)
{
  return upgrade->state > HEADERS && upgrade->state < DONE;
}

void portal_redact(char *text, const char *secret)
{
  const size_t whole = strlen(secret);
  if (whole == 0)
    return;
  while (*text) {
    size_t len = 0;
    while (len < whole && text[len] == secret[len])
      len++;
    if (len < whole && len < REDACT_FROM)
      len = 1;
    else
      memset(text, '*', len);
    text += len;
  }
}
