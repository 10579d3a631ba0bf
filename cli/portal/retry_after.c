/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/retry_after.h"

#include "common/decimal.h"
#include "common/strip.h"

#include <string.h>
#include <strings.h>

/* What is left to read. Each step takes its part off the front, or fails for good. */
typedef struct cursor {
  const char *at;
  size_t len;
  bool ok;
} cursor;

static void skip_text(cursor *c, const char *text)
{
  const size_t n = strlen(text);
  c->ok = c->ok && c->len >= n && strncasecmp(c->at, text, n) == 0;
  if (c->ok) {
    c->at += n;
    c->len -= n;
  }
}

/* A number of exactly |digits| digits. */
static int number(cursor *c, size_t digits)
{
  uint64_t value = 0;
  c->ok = c->ok && c->len >= digits && decimal_read(c->at, digits, INT32_MAX, &value);
  if (c->ok) {
    c->at += digits;
    c->len -= digits;
  }
  return (int)value;
}

/* One of |count| names, by its number; at |names|, |stride| bytes each, zero-terminated. */
static int one_of(cursor *c, const char *names, size_t stride, int count)
{
  for (int i = 0; c->ok && i < count; i++) {
    cursor attempt = *c;
    skip_text(&attempt, names + (size_t)i * stride);
    if (attempt.ok) {
      *c = attempt;
      return i;
    }
  }
  c->ok = false;
  return 0;
}

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
static const char long_days[7][10] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                      "Friday", "Saturday", "Sunday"};

typedef struct date {
  int year, month /* from 0 */, day, hour, minute, second;
} date;

static void time_of_day(cursor *c, date *d)
{
  d->hour = number(c, 2);
  skip_text(c, ":");
  d->minute = number(c, 2);
  skip_text(c, ":");
  d->second = number(c, 2);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static date imf_fixdate(cursor *c)
{
  date d = {0};
  one_of(c, days[0], sizeof days[0], 7);
  skip_text(c, ", ");
  d.day = number(c, 2);
  skip_text(c, " ");
  d.month = one_of(c, months[0], sizeof months[0], 12);
  skip_text(c, " ");
  d.year = number(c, 4);
  skip_text(c, " ");
  time_of_day(c, &d);
  skip_text(c, " GMT");
  return d;
}

/* Sunday, 06-Nov-94 08:49:37 GMT. Two digits of a year are of this century: such a date is about now. */
static date rfc850_date(cursor *c)
{
  date d = {0};
  one_of(c, long_days[0], sizeof long_days[0], 7);
  skip_text(c, ", ");
  d.day = number(c, 2);
  skip_text(c, "-");
  d.month = one_of(c, months[0], sizeof months[0], 12);
  skip_text(c, "-");
  d.year = 2000 + number(c, 2);
  skip_text(c, " ");
  time_of_day(c, &d);
  skip_text(c, " GMT");
  return d;
}

/* Sun Nov  6 08:49:37 1994 */
static date asctime_date(cursor *c)
{
  date d = {0};
  one_of(c, days[0], sizeof days[0], 7);
  skip_text(c, " ");
  d.month = one_of(c, months[0], sizeof months[0], 12);
  skip_text(c, " ");
  if (c->ok && c->len > 0 && c->at[0] == ' ') {
    skip_text(c, " ");
    d.day = number(c, 1);
  } else {
    d.day = number(c, 2);
  }
  skip_text(c, " ");
  time_of_day(c, &d);
  skip_text(c, " ");
  d.year = number(c, 4);
  return d;
}

static bool is_leap(int year)
{
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool date_to_unix(const date *d, int64_t *out)
{
  static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  static const int length[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int last = length[d->month] + (d->month == 1 && is_leap(d->year));
  if (d->year < 1970 || d->day < 1 || d->day > last || d->hour > 23 || d->minute > 59 || d->second > 60)
    return false;
  const int years = d->year - 1;
  const int64_t leap_days = years / 4 - years / 100 + years / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
  const int64_t day = (int64_t)(d->year - 1970) * 365 + leap_days + before[d->month] +
                      (d->month > 1 && is_leap(d->year)) + d->day - 1;
  *out = ((day * 24 + d->hour) * 60 + d->minute) * 60 + d->second;
  return true;
}

bool portal_http_date(const char *text, size_t len, int64_t *unix_seconds)
{
  date (*const forms[])(cursor *) = {imf_fixdate, rfc850_date, asctime_date};
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    cursor c = {text, len, true};
    const date d = forms[i](&c);
    if (c.ok && c.len == 0)
      return date_to_unix(&d, unix_seconds);
  }
  return false;
}

bool portal_retry_after(const char *text, size_t len, int64_t unix_now, uint32_t *seconds)
{
  const stripped s = trim(text, len);
  uint64_t wait = PORTAL_RETRY_AFTER_MAX; /* a number that is too large, too */
  if (s.len == 0)
    return false;
  if (decimal_digits(s.text, s.len) == s.len) {
    decimal_read(s.text, s.len, PORTAL_RETRY_AFTER_MAX, &wait);
  } else {
    int64_t when;
    if (!portal_http_date(s.text, s.len, &when))
      return false;
    wait = when > unix_now ? (uint64_t)(when - unix_now) : 0;
  }
  *seconds = wait > PORTAL_RETRY_AFTER_MAX ? PORTAL_RETRY_AFTER_MAX : (uint32_t)wait;
  return true;
}
