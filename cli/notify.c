/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include "common/clock.h"
#include "log/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* How long a manager that is busy is waited for. */
#define PATIENCE_S 2

/* Returns the length of the address, or 0: nobody listens. */
static socklen_t find_manager(struct sockaddr_un *addr)
{
  const char *path = getenv("NOTIFY_SOCKET");
  *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (!path || (*path != '/' && *path != '@') || !path[1] || strlen(path) >= sizeof addr->sun_path)
    return 0;
  memcpy(addr->sun_path, path, strlen(path));
  if (*path == '@') /* in the abstract namespace */
    addr->sun_path[0] = '\0';
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
}

/* Returns 0, or -1 with errno. */
static int say(const char *text, bool waits)
{
  struct sockaddr_un addr;
  const struct timeval patience = {PATIENCE_S, 0};
  const socklen_t size = find_manager(&addr);
  if (!size)
    return 0;
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const ssize_t n = sendto(fd, text, strlen(text), MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT),
                           (const struct sockaddr *)&addr, size);
  const int error = errno;
  close(fd);
  errno = error;
  return n < 0 ? -1 : 0;
}

static void tell(const char *text)
{
  if (say(text, true))
    log_warn("relay", "The service manager at NOTIFY_SOCKET can't be told '%.*s': %s",
             (int)strcspn(text, "\n"), text, strerror(errno));
}

void notify_ready(void)
{
  tell("READY=1\nSTATUS=Relaying");
}

void notify_reloading(void)
{
  char text[128];
  /* systemd 253 and later know by the time that it is about the reload that they asked for. */
  snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Another process takes over",
           monotonic_now() / 1000);
  say(text, false);
}

void notify_replaced(int pid)
{
  char text[64];
  if (pid <= 0)
    return; /* of another PID namespace: it has no number here */
  snprintf(text, sizeof text, "MAINPID=%d\nREADY=1", pid);
  tell(text);
}

void notify_stopping(void)
{
  tell("STOPPING=1\nSTATUS=Shutting down");
}

void notify_status(const char *format, ...)
{
  char line[192], text[sizeof line + 8];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  snprintf(text, sizeof text, "STATUS=%s", line);
  say(text, false);
}
