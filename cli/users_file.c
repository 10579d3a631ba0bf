/* SPDX-License-Identifier: Apache-2.0 */
#include "users_file.h"

#include "common/strip.h"
#include "common/utf8.h"
#include "login_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX   ((size_t)16 << 20) /* bytes; more is another file */
#define USERS_MAX  100000u            /* what a reload of some half a second makes keys for */
#define KEY_DIGITS (2u * FZR_STUN_KEY_LEN)
#define OPTION     "--users-file"

/* A user, and where he stands. */
typedef struct row {
  fzr_user user;
  unsigned line;
} row;

typedef struct parser {
  const char *option; /* that names it */
  const char *path;
  bool beside_rest;
  row *rows;
  size_t count, cap;
  unsigned line;
  unsigned mistakes;
  notes *notes;
  char *error;
} parser;

static int complain(parser *p, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int complain(parser *p, unsigned line, const char *format, ...)
{
  char text[OPTIONS_ERROR_MAX];
  va_list args;
  const int len = snprintf(text, sizeof text, "%s: %.200s:%u: ", p->option, p->path, line);
  va_start(args, format);
  vsnprintf(text + len, sizeof text - (size_t)len, format, args);
  va_end(args);
  make_one_line(text);
  if (!p->mistakes++)
    memcpy(p->error, text, sizeof text);
  else if (p->notes->mistake)
    p->notes->mistake(text);
  return -1;
}

/* ---- a line ---- */

/* Digits, alone or before a colon, which no name has: so the REST scheme's look. */
static bool is_rest_name(const char *name)
{
  return *name && name[strspn(name, "0123456789")] == '\0';
}

static int check_name(parser *p, const char *name)
{
  if (!*name)
    return complain(p, p->line, "a name is missing: expected user:password or user:0xKEY");
  if (strlen(name) > USERNAME_MAX)
    return complain(p, p->line, "the name is too long: expected at most %d bytes", USERNAME_MAX);
  if (!utf8_is_valid(name, strlen(name)))
    return complain(p, p->line, "the name is not UTF-8, so that nobody can log in by it: expected UTF-8");
  if (p->beside_rest && is_rest_name(name))
    return complain(
        p, p->line,
        "'%.100s' looks like a name of --auth rest, an expiry: expected one that is not of digits alone",
        name);
  return 0;
}

/* 16: it is none. */
static unsigned hex_digit(char c)
{
  static const char digits[] = "0123456789abcdef0123456789ABCDEF";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (unsigned)(at - digits) % 16 : 16;
}

/* The key that |text| has behind its 0x, in its place. Returns whether it is one. */
static bool decode_key(char *text, const uint8_t **key)
{
  uint8_t *out = (uint8_t *)text;
  if (strlen(text) != KEY_DIGITS + 2)
    return false;
  for (size_t i = 0; i < FZR_STUN_KEY_LEN; i++) {
    const unsigned high = hex_digit(text[2 + 2 * i]), low = hex_digit(text[3 + 2 * i]);
    if (high > 15 || low > 15)
      return false;
    out[i] = (uint8_t)(high << 4 | low);
  }
  *key = out;
  return true;
}

static bool is_quoted(const char *text)
{
  const size_t len = strlen(text);
  return len >= 2 && (*text == '"' || *text == '\'') && text[len - 1] == *text;
}

/* What can be meant, and hardly is. */
static void look_at(const parser *p, const char *name, const char *password)
{
  const char *odd = NULL;
  if (is_quoted(name) || is_quoted(password))
    odd = "quotes are taken as a part of what they stand around";
  else if (is_blank(name[strlen(name) - 1]) || is_blank(*password))
    odd = "blanks beside the colon are taken as a part of the name or the password";
  else if (strncmp(name, "user=", 5) == 0)
    odd = "'user=' is taken as a part of the name: here a line begins with the name itself";
  else if (strstr(password, " #"))
    odd = "what follows a # is taken as a part of the password: a comment needs a line of its own";
  else if (!utf8_is_valid(password, strlen(password)))
    odd = "the password is not UTF-8, as that of clients is";
  if (odd)
    note(p->notes, "%.200s:%u looks wrong: %s", p->path, p->line, odd);
}

static int add(parser *p, const fzr_user *user)
{
  if (p->count == USERS_MAX)
    return complain(p, p->line,
                    "there are too many users: expected at most %u, or --auth rest, which has no list",
                    USERS_MAX);
  if (p->count == p->cap) {
    const size_t cap = p->cap ? 2 * p->cap : 16;
    row *rows = realloc(p->rows, cap * sizeof *rows);
    if (!rows)
      return complain(p, p->line, "out of memory");
    p->rows = rows;
    p->cap = cap;
  }
  p->rows[p->count++] = (row){*user, p->line};
  return 0;
}

/* |text| is zero-terminated, without blanks around it, and not empty. */
static int read_line(parser *p, char *text)
{
  char *password = strchr(text, ':');
  fzr_user user = {.username = text};
  if (*text == '#')
    return 0;
  if (!password) /* it may be one */
    return complain(p, p->line, "there is no colon: expected user:password or user:0xKEY");
  *password++ = '\0';
  if (check_name(p, text))
    return -1;
  if (!*password)
    return complain(p, p->line, "'%.100s' has no password: expected user:password or user:0xKEY", text);
  look_at(p, text, password);
  if (strncmp(password, "0x", 2) == 0) {
    if (!decode_key(password, &user.key))
      return complain(p, p->line, "'%.100s' has no right key: expected 0x and %u hexadecimal digits", text,
                      KEY_DIGITS);
  } else {
    user.password = password;
  }
  return add(p, &user);
}

static int read_lines(parser *p, char *text, size_t len)
{
  for (size_t at = 0; at < len;) {
    char *line = text + at;
    const char *end = memchr(line, '\n', len - at);
    const size_t n = end ? (size_t)(end - line) : len - at;
    const stripped s = p->line ? trim(line, n) : strip(line, n);
    p->line++;
    if (memchr(line, 0, n))
      return complain(p, p->line, "there is a byte 0: expected text");
    line[s.text - line + (ptrdiff_t)s.len] = '\0'; /* there is a byte behind the last line, too */
    if (s.len && read_line(p, line + (s.text - line)) && !p->notes->mistake)
      return -1;
    at += n + 1;
  }
  return p->mistakes ? -1 : 0;
}

/* ---- the file ---- */

static int complain_of_file(const char *path, const char *what, char *error)
{
  snprintf(error, OPTIONS_ERROR_MAX, OPTION ": can't read '%.200s' (%s): expected a file of users", path,
           what);
  make_one_line(error);
  return -1;
}

/* Reads all of it, and makes room for one byte more. */
static int read_file(const char *path, bool anew, users_table *out, bool *is_public, char *error)
{
  size_t cap = 0, len = 0;
  char *text = NULL;
  ssize_t n = 1;
  const char *what = NULL;
  const int fd = login_file_open(path, anew, is_public, &what);
  if (fd < 0)
    return complain_of_file(path, what, error);
  while (n > 0 && !what) {
    if (cap - len < 4096) {
      /* Not realloc, which would leave passwords behind. */
      char *more = calloc(1, cap = cap ? 2 * cap : 8192);
      if (more && text)
        memcpy(more, text, len);
      if (text)
        explicit_bzero(text, len);
      free(text);
      text = more;
    }
    n = text ? read(fd, text + len, cap - len - 1) : -1;
    if (n < 0)
      what = text ? strerror(errno) : "out of memory";
    else if ((len += (size_t)n) > FILE_MAX)
      what = "it has more than 16 MB";
  }
  close(fd);
  *out = (users_table){.text = text, .text_len = len};
  return what ? complain_of_file(path, what, error) : 0;
}

static int compare(const void *a, const void *b)
{
  const row *x = a, *y = b;
  const int order = strcmp(x->user.username, y->user.username);
  return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Sorts what was read, and hands it over. */
static int finish(parser *p, users_table *out)
{
  if (!p->count) {
    snprintf(p->error, OPTIONS_ERROR_MAX,
             "%s: there is no user in '%.200s': expected lines with user:password", p->option, p->path);
    make_one_line(p->error);
    return -1;
  }
  qsort(p->rows, p->count, sizeof *p->rows, compare);
  for (size_t i = 1; i < p->count; i++)
    if (strcmp(p->rows[i - 1].user.username, p->rows[i].user.username) == 0)
      return complain(p, p->rows[i].line,
                      "'%.100s' is there already: expected one line a user, not line %u, too",
                      p->rows[i].user.username, p->rows[i - 1].line);
  out->list = calloc(p->count, sizeof *out->list);
  if (!out->list)
    return complain(p, p->line, "out of memory");
  for (out->count = 0; out->count < p->count; out->count++)
    out->list[out->count] = p->rows[out->count].user;
  return 0;
}

int users_read(const char *path, bool beside_rest, bool anew, users_table *out, notes *n,
               char error[OPTIONS_ERROR_MAX])
{
  parser p = {.option = OPTION, .path = path, .beside_rest = beside_rest, .notes = n, .error = error};
  bool is_public = false;
  const bool failed = read_file(path, anew, out, &is_public, error) ||
                      read_lines(&p, out->text, out->text_len) || finish(&p, out);
  free(p.rows);
  if (failed)
    users_free(out);
  else if (is_public)
    note(n, "Everybody on this host can read %.200s, and log in: chmod o-r", path);
  return failed ? -1 : 0;
}

int users_read_text(const char *path, const char *text, size_t len, bool beside_rest, users_table *out,
                    notes *n, char error[OPTIONS_ERROR_MAX])
{
  parser p = {.option = "--config", .path = path, .beside_rest = beside_rest, .notes = n, .error = error};
  *out = (users_table){.text = calloc(1, len + 1), .text_len = len};
  if (!out->text)
    return complain(&p, 0, "out of memory");
  memcpy(out->text, text, len);
  const bool failed = read_lines(&p, out->text, len) || finish(&p, out);
  free(p.rows);
  if (failed)
    users_free(out);
  return failed ? -1 : 0;
}

const fzr_user *users_find(const users_table *users, const char *name)
{
  for (size_t i = 0; i < users->count; i++)
    if (strcmp(users->list[i].username, name) == 0)
      return &users->list[i];
  return NULL;
}

void users_forget(users_table *users)
{
  if (users->text)
    explicit_bzero(users->text, users->text_len);
  free(users->text);
  free(users->list);
  *users = (users_table){.count = users->count};
}

void users_free(users_table *users)
{
  users_forget(users);
  users->count = 0;
}
