/* SPDX-License-Identifier: Apache-2.0 */
#include "take_over.h"

#include "handover/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* For one that hangs. The other process has given up by then: it waits HANDOVER_WAIT to agree, then HANDOVER_PREPARE_WAIT, and HANDOVER_WAIT
 * for READY. */
#define PATIENCE_S 60u
_Static_assert(HANDOVER_PREPARE_WAIT + 4 * HANDOVER_WAIT < PATIENCE_S * FZR_SECOND,
               "it ends one that is busy");

static int fail(void)
{
  fprintf(stderr, "firezone-relay: --take-over: can't start a process: %s\n", strerror(errno));
  return EXIT_FAILURE;
}

/* Whether a byte comes from |fd| before all who could send one have ended. */
static int await(int fd)
{
  char byte;
  ssize_t n;
  do
    n = read(fd, &byte, 1);
  while (n < 0 && errno == EINTR);
  close(fd);
  return n == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int take_over_split(int *told)
{
  int ends[2], status;
  if (pipe2(ends, O_CLOEXEC))
    return fail();
  const pid_t between = fork();
  if (between < 0)
    return fail();
  if (between) {
    close(ends[1]);
    while (waitpid(between, &status, 0) < 0 && errno == EINTR)
      ;
    return await(ends[0]);
  }
  /* A session of its own: it is to outlive the terminal. */
  setsid();
  const pid_t parent = getpid(), relay = fork();
  if (relay)
    _exit(relay < 0 ? fail() : EXIT_SUCCESS);
  close(ends[0]);
  while (getppid() == parent)
    poll(NULL, 0, 1);
  alarm(PATIENCE_S);
  *told = ends[1];
  return -1;
}

void take_over_commit(void)
{
  alarm(0);
}

void take_over_done(int told)
{
  if (told < 0)
    return;
  if (write(told, "", 1) < 0)
    fprintf(stderr, "firezone-relay: --take-over: nobody waits any more\n");
  close(told);
}
