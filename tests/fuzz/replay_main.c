/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over all files of the directories named as arguments: the committed corpus, in every build. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static int replay_file(const char *path)
{
  static uint8_t buffer[1 << 20];
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    return -1;
  }
  const size_t size = fread(buffer, 1, sizeof buffer, file);
  fclose(file);
  uint8_t *exact = fuzz_exact(buffer, size);
  LLVMFuzzerTestOneInput(exact, size);
  free(exact);
  return 0;
}

static int replay_directory(const char *path, unsigned *files)
{
  DIR *dir = opendir(path);
  struct dirent *entry;
  int status = 0;
  if (!dir) {
    perror(path);
    return -1;
  }
  while ((entry = readdir(dir)) && !status) {
    char name[4096];
    struct stat info;
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    if (stat(name, &info) || !S_ISREG(info.st_mode))
      continue;
    status = replay_file(name);
    ++*files;
  }
  closedir(dir);
  return status;
}

int main(int argc, char **argv)
{
  unsigned files = 0;
  for (int i = 1; i < argc; i++)
    if (replay_directory(argv[i], &files))
      return EXIT_FAILURE;
  printf("%u inputs replayed\n", files);
  /* An empty corpus would test nothing. */
  return files ? EXIT_SUCCESS : EXIT_FAILURE;
}
