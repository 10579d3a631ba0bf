/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of the adapter, and what the host is to watch of them. */
#ifndef FZRI_UDP_SOCKET_H
#define FZRI_UDP_SOCKET_H

#include "udp_run.h"

#include "firezone_relay/udp.h"

/* What send buffers of sockets to clients are asked for where nothing is configured. */
#define FZRI_LISTEN_SEND_BUFFER (1 << 20)

/* What a socket is there for. Only those that queue are ever blocked. */
enum fzri_lane {
  FZRI_LANE_QUEUES,    /* relayed data and clients' answers: waits while the socket is full */
  FZRI_LANE_STRANGERS, /* answers to strangers: dropped when the socket is full */
  FZRI_LANE_UNREACHED  /* all for hosts on a link that do not answer: likewise */
};

struct fzri_socket;
struct fzri_queue;

/* Who is not read because of whom: udp_flow.h. */
typedef struct fzri_feed {
  struct fzri_socket *sender; /* to clients, that what comes here went out of last */
  struct fzri_socket *next;   /* among those that are paused for the same sender */
  struct fzri_socket *paused; /* head: who is paused for this one */
} fzri_feed;

/* A socket. Its memory stays with the adapter when it is closed, so that a token which the host still holds is harmless. */
typedef struct fzri_socket {
  uint32_t index; /* in the pool; first, for the pool overwrites it when the object is free */
  int fd;         /* -1: an allocation's that does not send now, see udp_common.h */
  uint32_t heard_in;
  uint32_t failed_in; /* hundredth of a second in which it could not be opened anew; 0: none */
  uint64_t serial;    /* of all sockets of the adapter: another one of the same memory has another */
  bool open;
  bool known; /* to the host: `watch` succeeded */
  bool listens;
  bool common;      /* hears for all allocations of its family: udp_common.h */
  bool quiet;       /* has sent nothing since it was last looked at */
  bool claimed;     /* inherited, and an allocation has it */
  bool as_read;     /* inherited: |gro| and |hears| are what the kernel has said */
  bool addresses;   /* no socket of UDP: it tells of the host's addresses */
  bool from_public; /* bound to the public address, which is the host's own */
  bool wildcard;    /* bound to no particular address: packet info says, and chooses, which */
  bool gro;         /* runs come with their segments' size */
  bool hears;       /* of ICMP errors: IP_RECVERR is on */
  bool deaf;        /* does not for a while: there were too many */
  uint8_t heard;    /* errors in the second |heard_in| */
  bool resting;     /* not read for a while: reading it does nothing but fail */
  bool blocked;     /* the queue is not empty */
  bool paused;      /* not read: what it feeds is blocked, or it only sends */
  uint8_t family;   /* enum fzr_family */
  uint8_t lane;     /* enum fzri_lane */
  bool waits;       /* among those in |waiting| */
  uint16_t port;
  uint8_t watched;                  /* FZR_WATCH_… asked for */
  fzri_run_list runs;               /* of the batch being collected */
  struct fzri_socket *next_pending; /* among those with runs */
  struct fzri_socket *next_waiting; /* among those that are, or were, blocked */
  fzri_feed feed;
  struct fzri_queue *queue; /* taken when it first blocks */
  void *slot;               /* the host's */
} fzri_socket;

/* Changes that the host refused. */
typedef struct fzri_rearm {
  bool due;    /* it refused to watch a socket as it has to be now */
  fzr_time at; /* when to ask it again */
} fzri_rearm;

/* Opens a socket and binds it to |addr| (port 0: any); a listening one of a group joins it where |join|. Returns 0 with it
 * in *|out|, or FZR_ERR_NO_MEMORY, FZR_ERR_IO_IN_USE, FZR_ERR_IO_NO_SOCKET, FZR_ERR_IO with errno left as it was. */
int fzri_socket_open(fzr_udp *udp, const fzr_addr *addr, bool listens, bool join, fzri_socket **out);
/* Opens the descriptor of |s|, which has none, anew, at |addr|. Returns as fzri_socket_open does. */
int fzri_socket_reopen(fzr_udp *udp, fzri_socket *s, const fzr_addr *addr);
/* Makes an object for |fd|. Returns NULL without memory; |fd| stays the caller's then. */
fzri_socket *fzri_socket_new(fzr_udp *udp, int fd);
/* Forgets it, and closes its descriptor. Nothing may wait for it, or in it: see fzri_queue_end_socket. */
void fzri_socket_close(fzr_udp *udp, fzri_socket *s);
/* Sets an option of type int. */
bool fzri_socket_set(int fd, int level, int name, int value);
/* Notes what buffers the kernel has given to |s|, which listens. */
void fzri_socket_tell_buffers(fzr_udp *udp, const fzri_socket *s);
/* Asks for the buffers of |s| that are configured. */
void fzri_socket_set_buffers(fzr_udp *udp, const fzri_socket *s);
/* Whether |s| is still the socket that had |serial|. */
static inline bool fzri_socket_is(const fzri_socket *s, uint64_t serial)
{
  return s->open && s->serial == serial;
}
/* |from| where each datagram that |s| sends has to say its source; NULL where |s| has but one. */
static inline const fzr_addr *fzri_socket_choice(const fzri_socket *s, const fzr_addr *from)
{
  return s->listens && s->wildcard ? from : NULL;
}
/* Whether |s| is bound to a loopback address, and so reaches this host alone. */
bool fzri_socket_is_local(const fzr_udp *udp, const fzri_socket *s);
/* Has the host watch what |s| needs now. Returns what the host returned; if it knows |s| already, it is asked again later. */
int fzri_socket_watch(fzr_udp *udp, fzri_socket *s);
/* Asks again for all sockets for which the host has refused. */
void fzri_sockets_rearm(fzr_udp *udp);

#endif
