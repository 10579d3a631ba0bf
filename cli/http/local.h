/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets in the file system, for whoever is on this host and may open the file. */
#ifndef CLI_HTTP_LOCAL_H
#define CLI_HTTP_LOCAL_H

#include <stdbool.h>
#include <sys/types.h>

/* The longest path. */
#define HTTP_LOCAL_PATH_MAX 100

/* Makes a listener at |path| that its owner alone may connect to, or, if |group| is not -1, that group, too. What a dead process has left there
 * makes way. Of processes that do so at the same time one alone gets it: for that long there is a file |path|.lock. Returns the descriptor, or -1
 * with errno: EADDRINUSE if somebody listens there, or is about to, EEXIST if there is something else. */
int http_local_listen(const char *path, gid_t group);

/* Whether |fd| is a listener that was made at a path, which |out| gets then, of HTTP_LOCAL_PATH_MAX + 1 bytes. */
bool http_local_path(int fd, char *out);

/* Whether it is |fd|, a listener that another process has made, that is reached at |path|: not so if its file was removed or replaced. A process
 * that has made a listener there itself can't tell both apart. */
bool http_local_is_at(int fd, const char *path);

/* Which file it is now: so that one that somebody else has put there stays. Returns whether it is a socket. */
typedef struct http_local_file {
  dev_t dev;
  ino_t ino; /* 0: none */
} http_local_file;
bool http_local_look(const char *path, http_local_file *out);

/* Whether |path| is still |made|. */
bool http_local_is_still(const char *path, const http_local_file *made);

/* Has |path| be for those that http_local_listen would make it for. Returns 0, or -1 with errno: ENOENT if it is not |made| any more. */
int http_local_share(const char *path, const http_local_file *made, gid_t group);

/* Removes |path| if it is still |made|. */
void http_local_remove(const char *path, const http_local_file *made);

#endif
