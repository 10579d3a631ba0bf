/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* What the program that leads packets to the sockets of workers has in common with the relay. */
#ifndef FZS_SHARED_H
#define FZS_SHARED_H

#include <linux/types.h>

/* A port of an allocation, of one family. */
struct fzs_port {
  __u16 owner;  /* number of its worker, and 1; 0: nobody's */
  __u16 any;    /* not 0: at all addresses of the host, else at this one */
  __u32 ip[4];  /* as on the wire; an address of IPv4 is the first one, and the others are 0 */
  __u32 turn;   /* the program's: in which one of its worker |count| began */
  __u32 count;  /* likewise: packets since */
  __u32 period; /* likewise: when it last had another share though the turn was the same */
};
_Static_assert(sizeof(struct fzs_port) == 32, "two are a cache line, for the relay and for the program");

/* A worker; none is in another's cache lines. */
struct fzs_worker {
  __u32 turn[2]; /* the worker's, by family: goes up when it is about to read, and when it has read */
  __u32 reserved[30];
  __u64 dropped; /* the program's: packets beyond a port's share */
  __u64 reserved2[15];
};

struct fzs_settings {
  __u32 lowest; /* of the ports of allocations */
  __u32 ports;  /* how many there are */
  __u32 workers;
  __u32 share; /* packets that a port may have in a turn of its worker */
};

#endif
