/* SPDX-License-Identifier: Apache-2.0 */
#include "login_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int login_file_open(const char *path, bool anew, bool *is_public, const char **what)
{
  struct stat file;
  /* On a regular file O_NONBLOCK changes nothing; a pipe would be waited for by open already. */
  const int fd = open(path, O_RDONLY | O_CLOEXEC | (anew ? O_NONBLOCK : 0));
  *is_public = false;
  if (fd < 0 || fstat(fd, &file)) {
    *what = strerror(errno);
  } else if (anew && !S_ISREG(file.st_mode)) {
    *what = "it is no regular file, so it can't be read anew";
  } else {
    *is_public = (file.st_mode & S_IROTH) != 0;
    return fd;
  }
  if (fd >= 0)
    close(fd);
  return -1;
}
