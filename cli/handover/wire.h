/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a hand-over with descriptors, over a Unix socket (SOCK_SEQPACKET), each by some moment; and files in memory, in which a state
 * goes along. */
#ifndef HANDOVER_WIRE_H
#define HANDOVER_WIRE_H

#include "handover/message.h"

/* How long the other one may take for an answer. */
#define HANDOVER_WAIT (2 * FZR_SECOND)
/* How long it may take to prepare: the old one goes on meanwhile. */
#define HANDOVER_PREPARE_WAIT (30 * FZR_SECOND)
/* How long a successor has to join the portal, before the one that it took over leaves it all the same. */
#define HANDOVER_JOIN_WAIT (30 * FZR_SECOND)

/* Makes a listener beside |path|, for this user alone, where nobody looks for it. Returns a descriptor, or -1 with errno. */
int handover_listen_beside(const char *path);

/* Moves that listener to |path|; whatever was there is replaced at once. Returns 0, or -1 with errno: it stays where it is. */
int handover_move_to(const char *path);

/* Removes what handover_listen_beside has made, if it was not moved. */
void handover_remove_beside(const char *path);

/* Connects to whoever listens at |path|. Returns a descriptor, or -1 with errno: ENOENT and ECONNREFUSED are nobody. */
int handover_connect(const char *path);

/* Whether the process at the other end of |fd| is one of this user or root's; its number is in *|pid|, 0 if it has none
 * in this PID namespace. */
bool handover_is_ours(int fd, int *pid);

/* Writes what the log calls the process |pid|: one in another container has no number here, and is 0. Returns |out|. */
#define HANDOVER_NAME_MAX 40u
const char *handover_name(int pid, char out[HANDOVER_NAME_MAX]);

/* Sends |m| and |n| descriptors, which stay the caller's. Returns 0, or -1 with what went wrong in *|why|: static text. */
int handover_send(int fd, const handover_message *m, const int *fds, size_t n, fzr_time until,
                  const char **why);

/* The same, at once, for threads that must not wait. Returns 1 if the other one has to read first. */
int handover_try_send(int fd, const handover_message *m, const int *fds, size_t n, const char **why);

/* Waits until the other one has read. Returns 0, or -1 with what went wrong in *|why|. */
int handover_await_room(int fd, fzr_time until, const char **why);

/* Waits for a message. |fds| gets the |n| descriptors with it, which are the caller's; NULL: there must be none. Returns as above; a
 * REFUSE is a message as any other. */
int handover_receive(int fd, handover_message *m, int fds[HANDOVER_FDS_MAX], size_t *n, fzr_time until,
                     const char **why);

/* Waits for a message of |type| without descriptors. Returns 0, or -1 with |reason|: what the other one has said, or what went wrong. */
int handover_await(int fd, enum handover_type type, handover_message *m, fzr_time until,
                   char reason[HANDOVER_REASON_MAX]);

/* Says REFUSE with |reason|, if the other one still listens. */
void handover_refuse(int fd, const char *reason);

/* Says no more, and hears no more than has come by now: from here on the other one can't send anything. */
void handover_hang_up(int fd);

/* A file in memory that is being written. `failed` is looked at once, at the end. */
typedef struct handover_file {
  int fd;
  bool failed;
  size_t held;
  uint8_t buffer[16384];
} handover_file;

/* Makes an empty one. It is freed by handover_file_seal. NULL: it can't, with errno. */
handover_file *handover_file_new(const char *name);
void handover_file_put(handover_file *file, const void *data, size_t len);
/* Frees |file|. Returns its descriptor, which nobody can write to any more, or -1 with errno if something has failed. */
int handover_file_seal(handover_file *file);

/* Maps what is in |fd|, a file that was sealed so. Returns false with errno if it can't. An empty one is NULL. */
bool handover_file_map(int fd, const uint8_t **data, size_t *len);
void handover_file_unmap(const uint8_t *data, size_t len);

#endif
