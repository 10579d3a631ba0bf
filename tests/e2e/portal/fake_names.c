/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the process under test: getaddrinfo answers what the file that FAKE_NAMES names says at that moment. A line is an
 * address, "fail" (the name server is out of order) or "hang" (it says nothing for as long as the file says so). */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* Reads the file's lines; returns how many. */
static size_t read_lines(char lines[][64], size_t max)
{
  size_t n = 0;
  FILE *file = fopen(getenv("FAKE_NAMES"), "re");
  while (file != NULL && n < max && fgets(lines[n], 64, file) != NULL) {
    lines[n][strcspn(lines[n], "\n")] = '\0';
    n++;
  }
  if (file != NULL)
    (void)fclose(file);
  return n;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
  char lines[16][64];
  struct addrinfo **end = out;
  lookup real;
  *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  if (strcmp(node, "portal.test") != 0)
    return real(node, service, hints, out);
  size_t n = read_lines(lines, 16);
  while (n > 0 && strcmp(lines[0], "hang") == 0) {
    (void)usleep(10000);
    n = read_lines(lines, 16);
  }
  if (n == 0 || strcmp(lines[0], "fail") == 0)
    return EAI_AGAIN;
  *out = NULL;
  for (size_t i = 0; i < n; i++) {
    if (real(lines[i], service, hints, end) != 0)
      continue;
    while (*end != NULL)
      end = &(*end)->ai_next; /* glibc frees each element by itself, so lists can be joined */
  }
  return 0;
}
