/* SPDX-License-Identifier: Apache-2.0 */
/* Resource attributes and what overrides them. */
#include "testing.h"

#include "telemetry/resource.h"

#include <stdio.h>

static resource r;
static unsigned complaints;
static char part[64], problem[96];

static void complain(void *ctx, const char *p, size_t len, const char *why)
{
  ck_assert_ptr_eq(ctx, &r);
  complaints++;
  snprintf(part, sizeof part, "%.*s", (int)len, p);
  snprintf(problem, sizeof problem, "%s", why);
}

static void make(const char *service_name, const char *attributes)
{
  complaints = 0;
  const resource_facts facts = {.version = "9.8.7", .attributes = attributes, .service_name = service_name};
  resource_make(&r, &facts, complain, &r);
}

START_TEST(test_defaults)
{
  make(NULL, NULL);
  ck_assert_uint_eq(complaints, 0);
  ck_assert_str_eq(resource_get(&r, "service.name"), "relay");
  ck_assert_str_eq(resource_get(&r, "service.namespace"), "firezone");
  ck_assert_str_eq(resource_get(&r, "service.version"), "9.8.7");
  ck_assert_str_eq(resource_get(&r, "telemetry.sdk.language"), "c");
  ck_assert_str_eq(resource_get(&r, "telemetry.sdk.version"), "9.8.7");
  ck_assert_ptr_nonnull(resource_get(&r, "telemetry.sdk.name"));
  ck_assert_ptr_null(resource_get(&r, "host.name"));
}
END_TEST

START_TEST(test_overrides)
{
  make(NULL, "service.name=mine,service.namespace=ours,cloud.region=eu");
  ck_assert_str_eq(resource_get(&r, "service.name"), "mine");
  ck_assert_str_eq(resource_get(&r, "service.namespace"), "ours");
  ck_assert_str_eq(resource_get(&r, "cloud.region"), "eu");
  ck_assert_uint_eq(r.count, 7);
  /* The variable of its own wins over all. */
  make("best", "service.name=mine");
  ck_assert_str_eq(resource_get(&r, "service.name"), "best");
  make("", "service.name=mine");
  ck_assert_str_eq(resource_get(&r, "service.name"), "mine");
  /* The last one of a key. */
  make(NULL, "a=1,a=2");
  ck_assert_str_eq(resource_get(&r, "a"), "2");
  ck_assert_uint_eq(r.count, 7);
  make("caf\xff", NULL);
  ck_assert_str_eq(resource_get(&r, "service.name"), "caf\xef\xbf\xbd");
}
END_TEST

START_TEST(test_percent_decoding)
{
  make(NULL, " key%20one = a%2Cb%3dc%25 ,empty=,k=v=w,%C3%A9=%e2%82%ac");
  ck_assert_uint_eq(complaints, 0);
  ck_assert_str_eq(resource_get(&r, "key one"), "a,b=c%");
  ck_assert_str_eq(resource_get(&r, "empty"), "");
  ck_assert_str_eq(resource_get(&r, "k"), "v=w");
  ck_assert_str_eq(resource_get(&r, "\xc3\xa9"), "\xe2\x82\xac");
}
END_TEST

START_TEST(test_wrong_parts_are_skipped)
{
  static const struct {
    const char *part, *problem;
  } cases[] = {
      {"novalue", "expected key=value"},
      {"=x", "the key is empty"},
      {"a=%4", "'%' is not followed by two hexadecimal digits"},
      {"a=%zz", "'%' is not followed by two hexadecimal digits"},
      {"a=%", "'%' is not followed by two hexadecimal digits"},
      {"a=%FF", "it is not UTF-8"},
      {"a=\xff", "it is not UTF-8"},
      {"a=x%00y", "it is not UTF-8"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[128];
    snprintf(text, sizeof text, "before=1,%s, ,after=2", cases[i].part);
    make(NULL, text);
    ck_assert_msg(complaints == 1, "%s", text);
    ck_assert_str_eq(part, cases[i].part);
    ck_assert_str_eq(problem, cases[i].problem);
    ck_assert_str_eq(resource_get(&r, "before"), "1");
    ck_assert_str_eq(resource_get(&r, "after"), "2");
    ck_assert_uint_eq(r.count, 8);
    const resource_facts facts = {.version = "v", .attributes = text};
    resource_make(&r, &facts, NULL, NULL);
    ck_assert_uint_eq(r.count, 8);
  }
}
END_TEST

START_TEST(test_limits)
{
  static char text[65536];
  char key[16];
  size_t len = 0;
  for (unsigned i = 0; i < RESOURCE_MAX; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "k%u=v,", i);
  make(NULL, text);
  ck_assert_uint_eq(r.count, RESOURCE_MAX);
  ck_assert_uint_eq(complaints, 6); /* there are six already */
  ck_assert_str_eq(problem, "there are too many attributes");
  snprintf(key, sizeof key, "k%u", RESOURCE_MAX - 7);
  ck_assert_ptr_nonnull(resource_get(&r, key));
  memset(text, 'x', RESOURCE_VALUE_MAX + 3);
  memcpy(text, "k=", 2);
  text[RESOURCE_VALUE_MAX + 3] = 0;
  make(NULL, text);
  ck_assert_str_eq(problem, "it is too long");
  text[RESOURCE_VALUE_MAX + 2] = 0;
  make(NULL, text);
  ck_assert_uint_eq(strlen(resource_get(&r, "k")), RESOURCE_VALUE_MAX);
}
END_TEST

/* One process is told from another, unless the operator says who it is. */
START_TEST(test_instance)
{
  resource_facts facts = {.version = "1", .instance = "an id", .host = "a\xffhost"};
  resource_make(&r, &facts, NULL, NULL);
  ck_assert_str_eq(resource_get(&r, "service.instance.id"), "an id");
  ck_assert_str_eq(resource_get(&r, "host.name"), "a\xef\xbf\xbdhost");
  facts.attributes = "service.instance.id=mine,host.name=here";
  resource_make(&r, &facts, NULL, NULL);
  ck_assert_str_eq(resource_get(&r, "service.instance.id"), "mine");
  ck_assert_str_eq(resource_get(&r, "host.name"), "here");
  facts = (resource_facts){.host = ""};
  resource_make(&r, &facts, NULL, NULL);
  ck_assert_ptr_null(resource_get(&r, "service.instance.id"));
  ck_assert_ptr_null(resource_get(&r, "host.name"));
}
END_TEST

START_TEST(test_id)
{
  uint8_t random[16];
  char id[37];
  memset(random, 0xff, sizeof random);
  resource_make_id(random, id);
  ck_assert_str_eq(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
  memset(random, 0, sizeof random);
  random[15] = 0x1a;
  resource_make_id(random, id);
  ck_assert_str_eq(id, "00000000-0000-4000-8000-00000000001a");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: resource");
  TCase *c = tcase_create("resource");
  tcase_add_test(c, test_defaults);
  tcase_add_test(c, test_overrides);
  tcase_add_test(c, test_percent_decoding);
  tcase_add_test(c, test_wrong_parts_are_skipped);
  tcase_add_test(c, test_limits);
  tcase_add_test(c, test_instance);
  tcase_add_test(c, test_id);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
