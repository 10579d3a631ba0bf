/* SPDX-License-Identifier: Apache-2.0 */
#include "certificates.h"

#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPTION_NAME_MAX 112 /* bytes, the zero included */

/* More is no certificate. */
#define FILE_MAX_BYTES (1u << 20)

/* A file as text that ends with a zero, which counts. */
typedef struct pem {
  uint8_t *data;
  size_t len;
} pem;

/* By what two states of a file are told apart. A name that leads to another file is one. The time of its data is who writes it to say (cp -p, tar), that of
 * its inode is not. */
typedef struct stamp {
  dev_t device;
  ino_t inode;
  off_t size;
  struct timespec written, changed;
} stamp;

struct certificates {
  char *paths[2];                 /* of the certificate and of the key */
  char names[2][OPTION_NAME_MAX]; /* what errors call them: options, or lines of the file of --config */
  pem files[2];
  stamp looked_at[2]; /* when they were last read, or could not be */
  stamp seen[2];      /* by the last certificates_changed */
  net_tls_identity *identity;
};

static void look_at(const certificates *c, stamp out[2])
{
  memset(out, 0, 2 * sizeof *out);
  for (unsigned i = 0; i < 2; i++) {
    struct stat s;
    if (stat(c->paths[i], &s) == 0) {
      out[i].device = s.st_dev;
      out[i].inode = s.st_ino;
      out[i].size = s.st_size;
      out[i].written = s.st_mtim;
      out[i].changed = s.st_ctim;
    }
  }
}

static void forget(pem *p)
{
  if (p->data)
    explicit_bzero(p->data, p->len);
  free(p->data);
  *p = (pem){0};
}

/* Opens it; |again|: only a regular file, for one that nobody writes to would have the whole relay wait. Returns a descriptor, or -1 with errno set. */
static int open_file(const char *path, bool again)
{
  struct stat s;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | (again ? O_NONBLOCK : 0));
  if (fd < 0 || !again)
    return fd;
  const int error = fstat(fd, &s) ? errno : S_ISREG(s.st_mode) ? 0 : EINVAL;
  if (!error)
    return fd;
  close(fd);
  errno = error;
  return -1;
}

/* Returns 0, or an errno. */
static int read_file(const char *path, bool again, pem *out)
{
  const int fd = open_file(path, again);
  if (fd < 0)
    return errno;
  int error = 0;
  out->data = calloc(1, FILE_MAX_BYTES + 1);
  out->len = 0;
  ssize_t n = out->data ? 1 : -1;
  while (n > 0 && out->len < FILE_MAX_BYTES) {
    n = read(fd, out->data + out->len, FILE_MAX_BYTES - out->len);
    out->len += n > 0 ? (size_t)n : 0;
  }
  if (n < 0)
    error = out->data ? errno : ENOMEM;
  else if (n > 0)
    error = EFBIG;
  close(fd);
  out->len++;
  if (error)
    forget(out);
  return error;
}

static int read_files(const certificates *c, bool again, pem files[2], char *error)
{
  for (unsigned i = 0; i < 2; i++) {
    const int sys_errno = read_file(c->paths[i], again, &files[i]);
    if (sys_errno) {
      snprintf(error, OPTIONS_ERROR_MAX, "%s: can't read '%.200s': %s", c->names[i], c->paths[i],
               again && sys_errno == EINVAL ? "it is no regular file" : strerror(sys_errno));
      return -1;
    }
  }
  return 0;
}

static net_tls_identity *make_identity(const certificates *c, const pem files[2], char *error)
{
  char text[NET_TLS_ERROR_MAX];
  net_tls_identity *made =
      net_tls_identity_new(files[0].data, files[0].len, files[1].data, files[1].len, text);
  if (!made)
    snprintf(error, OPTIONS_ERROR_MAX, "%s '%.60s', %s '%.60s': %.150s", c->names[0], c->paths[0],
             c->names[1], c->paths[1], text);
  return made;
}

static int read_anew(certificates *c, bool again, char *error)
{
  pem files[2] = {{0}};
  look_at(c, c->looked_at);
  net_tls_identity *made = read_files(c, again, files, error) == 0 ? make_identity(c, files, error) : NULL;
  if (made) {
    net_tls_identity_drop(c->identity);
    c->identity = made;
  }
  for (unsigned i = 0; i < 2; i++) {
    if (made) {
      forget(&c->files[i]);
      c->files[i] = files[i];
    } else {
      forget(&files[i]);
    }
  }
  return made ? 0 : -1;
}

static void set_names(certificates *c, const options *o)
{
  static const char *const called[] = {"tls-cert", "tls-key"};
  for (unsigned i = 0; i < 2; i++)
    if (o->tls_lines[i])
      snprintf(c->names[i], sizeof c->names[i], "%.80s:%u: %s", o->config.path, o->tls_lines[i], called[i]);
    else
      snprintf(c->names[i], sizeof c->names[i], "--%s", called[i]);
}

/* Returns 0 or -1, and then they are as they were. */
static int set_paths(certificates *c, const options *o)
{
  char *const paths[2] = {strdup(o->tls_cert), strdup(o->tls_key)};
  for (unsigned i = 0; i < 2; i++) {
    const bool taken = paths[0] && paths[1];
    free(taken ? c->paths[i] : paths[i]);
    c->paths[i] = taken ? paths[i] : c->paths[i];
  }
  if (!paths[0] || !paths[1])
    return -1;
  set_names(c, o);
  return 0;
}

int certificates_reread(certificates *c, const options *o, char error[OPTIONS_ERROR_MAX])
{
  if (o && o->tls_cert && o->tls_key && set_paths(c, o)) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    return -1;
  }
  return read_anew(c, true, error);
}

certificates *certificates_new(const options *o, char error[OPTIONS_ERROR_MAX])
{
  certificates *c = calloc(1, sizeof *c);
  if (!c || set_paths(c, o)) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    certificates_free(c);
    return NULL;
  }
  if (read_anew(c, false, error) == 0) {
    look_at(c, c->seen);
    return c;
  }
  certificates_free(c);
  return NULL;
}

void certificates_free(certificates *c)
{
  if (!c)
    return;
  net_tls_identity_drop(c->identity);
  forget(&c->files[0]);
  forget(&c->files[1]);
  free(c->paths[0]);
  free(c->paths[1]);
  free(c);
}

net_tls_identity *certificates_copy(const certificates *c, char error[OPTIONS_ERROR_MAX])
{
  return make_identity(c, c->files, error);
}

bool certificates_changed(certificates *c)
{
  stamp now[2];
  look_at(c, now);
  const bool stable = memcmp(now, c->seen, sizeof now) == 0;
  memcpy(c->seen, now, sizeof now);
  if (!stable || memcmp(now, c->looked_at, sizeof now) == 0)
    return false;
  memcpy(c->looked_at, now, sizeof now);
  return true;
}

void certificates_log(const certificates *c)
{
  char until[64];
  net_tls_identity_end(c->identity, until, sizeof until);
  if (net_tls_identity_is_out_of_date(c->identity))
    log_warn("relay",
             "The certificate in %s is out of date (it is good until %s UTC): clients will refuse it",
             c->paths[0], until);
  else
    log_info("relay", "The certificate in %s is good until %s UTC", c->paths[0], until);
}
