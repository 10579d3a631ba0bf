#!/usr/bin/env bash
# glibc: a loop that takes and gives back a few hundred kB has the kernel take them back each time, by default.
#
# Version:   glibc 2.36 (Debian 12: libc6 2.36-9+deb12u), x86-64
# Guess:     M_TRIM_THRESHOLD is there so that memory which is wanted again at once stays (mallopt(3): "may improve performance by reducing the number of
#            system calls"), and "glibc adjusts the threshold dynamically": a loop that does the same a thousand times ends in no system calls.
# Behaviour: the threshold adjusts itself only when a block of its own mapping, 128 KiB and more, is freed. Twenty blocks of 20,000 bytes, taken and
#            freed a thousand times, are 3,003 calls of brk in the main thread, and a madvise each time in another one; and all pages are
#            faulted in anew. With mallopt(M_TRIM_THRESHOLD, 4 MiB) there are none.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

expected='main thread, defaults: brk each round, no madvise
another thread, defaults: no brk, madvise each round
main thread, 4 MiB: no brk, no madvise
another thread, 4 MiB: no brk, no madvise'

need strace
strace -o /dev/null true 2>/dev/null || cannot "no right to trace"
compile -pthread -fno-builtin <<'END'
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void *run(void *ctx)
{
  (void)ctx;
  for (int round = 0; round < 1000; round++) {
    void *blocks[20];
    for (int i = 0; i < 20; i++)
      memset(blocks[i] = malloc(20000), 1, 20000);
    for (int i = 0; i < 20; i++)
      free(blocks[i]);
  }
  return NULL;
}

/* program THREAD KEPT */
int main(int argc, char **argv)
{
  pthread_t thread;
  if (argc != 3)
    return 1;
  if (atoi(argv[2]))
    mallopt(M_TRIM_THRESHOLD, atoi(argv[2]));
  if (atoi(argv[1]))
    return pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL);
  run(NULL);
  return 0;
}
END

# How often the call $1 was made: a few are of the beginning.
often() {
  local n
  n=$(awk -v call="$1" '$NF == call { print $4 }' "$dir/count")
  if [ "${n:-0}" -ge 1000 ]; then echo "$1 each round"; elif [ "${n:-0}" -lt 100 ]; then echo "no $1"; else echo "$1 $n times"; fi
}

try() {
  strace -f -c -o "$dir/count" "$dir/program" "$2" "$3"
  echo "$1: $(often brk), $(often madvise)"
}

stated "$expected" "$(
  try "main thread, defaults" 0 0
  try "another thread, defaults" 1 0
  try "main thread, 4 MiB" 0 4194304
  try "another thread, 4 MiB" 1 4194304
)"
