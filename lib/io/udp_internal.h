/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP adapter's inside: what its files share. */
#ifndef FZRI_UDP_INTERNAL_H
#define FZRI_UDP_INTERNAL_H

#include "../base/mem.h"
#include "../base/pool.h"
#include "neighbours.h"
#include "udp_msg.h"
#include "udp_run.h"
#include "firezone_relay/udp.h"

/* Messages of one recvmmsg. More do not pay on loopback; each has a slot of buffer for the largest datagram. */
#define FZRI_RECV_MSGS 32u
/* Slots are not a power of two apart, so that the first lines of all of them do not fall into the same cache sets. */
#define FZRI_RECV_SLOT (65536u + 192u)
/* Messages and iovecs of one sendmmsg. A message has at most two iovecs for each of its segments. */
#define FZRI_SEND_MSGS 32u
#define FZRI_SEND_IOVS (FZRI_SEND_MSGS * 2 * FZRI_GSO_SEGMENTS / 4)

/* Datagrams waiting for a socket to become writable: one run, headers in place. */
typedef struct fzri_queued {
  struct fzri_queued *next;
  fzr_addr to;
  fzr_addr from;
  uint32_t bytes;   /* of all segments */
  uint32_t room;    /* bytes taken for `data` */
  uint16_t seg_len; /* of all but the last */
  uint16_t count;
  uint32_t sent; /* segments of a run that went singly and was interrupted */
  bool to_stranger;
  fzr_time at; /* when it began to wait */
  uint8_t data[];
} fzri_queued;

typedef struct fzri_queue {
  fzri_queued *head;
  fzri_queued *tail;
  uint32_t bytes;
  uint32_t packets;
  uint32_t runs;
  uint32_t strangers; /* of the bound, what answers to strangers take */
  fzr_time moved;     /* when the socket last took something, or what it had taken was seen to get less */
  int held;           /* bytes that it had taken when that was last looked at */
} fzri_queue;

/* What a socket is there for. Only those that queue are ever blocked. */
enum fzri_lane {
  FZRI_LANE_QUEUES,    /* relayed data and clients' answers: waits while the socket is full */
  FZRI_LANE_STRANGERS, /* answers to strangers: dropped when the socket is full */
  FZRI_LANE_UNREACHED  /* all for hosts on a link that do not answer: likewise */
};

/* A socket. Its memory stays with the adapter when it is closed, so that a token which the host still holds is harmless. */
typedef struct fzri_socket {
  uint32_t index; /* in the pool; first, for the pool overwrites it when the object is free */
  int fd;
  bool open;
  bool known; /* to the host: `watch` succeeded */
  bool listens;
  bool addresses;   /* no socket of UDP: it tells of the host's addresses */
  bool from_public; /* bound to the public address, which is the host's own */
  bool wildcard;    /* bound to no particular address: packet info says, and chooses, which */
  bool gro;         /* runs come with their segments' size */
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
  struct fzri_socket *next_paused;  /* among those that feed the same blocked socket */
  struct fzri_socket *paused_list;  /* head: who waits for this one */
  struct fzri_socket *feeds;        /* the socket to clients that what comes here went out of last */
  fzri_queue *queue;                /* taken when it first blocks */
  void *slot;                       /* the host's */
} fzri_socket;

/* The listen socket, and those that may stand in for it. */
#define FZRI_SENDERS 4u

/* The sockets by which datagrams leave from one family's listen port. All but the listen socket only send, and are opened when they are
 * first wanted, which in most relays is never. */
typedef struct fzri_lanes {
  fzri_socket *sender;                /* the one of |senders| that is in use; NULL: the family is not */
  fzri_socket *senders[FZRI_SENDERS]; /* first the listen socket */
  fzri_socket *strangers;
  fzri_socket *unreached;
  fzr_time try_at; /* not before this is another sender looked for */
  bool stuck;      /* the sender refused something that has not been dealt with */
} fzri_lanes;

/* What send buffers of sockets to clients are asked for where nothing is configured. */
#define FZRI_LISTEN_SEND_BUFFER (1 << 20)

/* The addresses of the host. Arrays of two are by family: 0 IPv4, 1 IPv6. */
typedef struct fzri_addrs {
  fzri_socket *socket; /* that tells of them; NULL: nobody does */
  uint32_t seq;        /* of the last question for all of them */
  bool asked;          /* and its answer has not ended */
  bool known;          /* the engine was told of one */
  bool stale;          /* it is to be asked, at `ask_at` */
  bool changed;        /* since what follows was judged */
  bool reach[2];       /* there is an address by which others can be reached */
  bool has_public[2];  /* the public address is among them */
  bool own_public[2];  /* the public address is the host's, and allocations' sockets belong to it */
  bool offered[2];     /* relayed addresses can be had */
  bool inside[2];      /* the public address is not the host's: what is sent there might not come back */
  fzr_addr public_addr[2];
  fzr_addr inner_addr
      [2]; /* where allocations' sockets are reached on this host; what they send there comes from it, too */
  fzr_time ask_at;
  fzr_addr *list; /* of the answer so far */
  size_t count, room;
} fzri_addrs;

struct fzr_udp {
  _Alignas(FZRI_CACHE_LINE) fzri_mem mem; /* no line is shared with another thread's adapter */
  fzr_udp_config config;
  fzr_udp_stats stats;
  fzr_driver *driver;
  fzr_engine *engine; /* NULL: not attached */
  fzri_addrs addrs;
  fzri_pool sockets;
  fzri_socket *listen[2];     /* by family: 0 IPv4, 1 IPv6 */
  fzri_lanes lanes[2];        /* likewise */
  fzri_neighbours unresolved; /* as they were when they were last looked at */
  bool troubled;              /* they hold room in a socket, or did some seconds ago */
  fzri_socket *waiting;       /* sockets that are blocked, and some that were */
  fzr_time expire_at;         /* when to look at them */
  fzr_time now;               /* of the turn */
  fzr_time looked_at;         /* at the neighbours */
  fzr_time look_after;        /* not before this again */
  fzr_time calm_at;           /* then the trouble is over, if no neighbour is waited for until then */
  uint16_t port;
  fzri_gso gso;
  fzri_socket *reading; /* whose datagrams are being relayed now */
  unsigned held;        /* receive slots whose datagrams wait in runs for the end of the turn */
  bool hold;            /* they may wait: more sockets are to be read in this turn */
  bool resting;         /* some sockets are, until `rest_until` */
  fzr_time rest_until;  /* when the last rest ended, or will end */
  fzr_time rest_for;    /* how long that rest is */
  bool unarmed;         /* the host refused to watch a socket as it has to be now */
  fzr_time rearm_at;    /* when to ask it again */
  void (*channel_hook)(void *ctx, const fzr_event *event);
  void *channel_hook_ctx;

  /* Receiving. */
  uint8_t *slots; /* FZRI_RECV_MSGS of FZRI_RECV_SLOT */
  struct mmsghdr recv_msgs[FZRI_RECV_MSGS];
  struct iovec recv_iovs[FZRI_RECV_MSGS];
  union fzri_sockaddr recv_names[FZRI_RECV_MSGS];
  fzri_control recv_controls[FZRI_RECV_MSGS];
  fzr_pkt pkts[FZRI_RECV_MSGS];

  /* Sending. */
  fzri_runs runs;
  fzri_socket *pending; /* sockets with runs, in order of their first one */
  fzri_socket *last_pending;
  struct mmsghdr send_msgs[FZRI_SEND_MSGS];
  struct iovec send_iovs[FZRI_SEND_IOVS];
  union fzri_sockaddr send_names[FZRI_SEND_MSGS];
  fzri_control send_controls[FZRI_SEND_MSGS];
};

/* udp_socket.c */
/* Opens a socket and binds it to |addr| (port 0: any); a listening one of a group joins it where |join|. Returns 0 with it
 * in *|out|, or FZR_ERR_NO_MEMORY, FZR_ERR_IO_IN_USE, FZR_ERR_IO_NO_SOCKET, FZR_ERR_IO with errno left as it was. */
int fzri_socket_open(fzr_udp *udp, const fzr_addr *addr, bool listens, bool join, fzri_socket **out);
/* Makes an object for |fd|, which is no UDP socket. Returns NULL without memory; |fd| stays the caller's then. */
fzri_socket *fzri_socket_adopt(fzr_udp *udp, int fd);
void fzri_socket_close(fzr_udp *udp, fzri_socket *s);
/* Opens a socket that sends from the listen port of |listener|, from whatever local address each datagram says, and receives nothing. The
 * host does not know it. NULL if that can't be. */
fzri_socket *fzri_socket_open_sender(fzr_udp *udp, const fzri_socket *listener, enum fzri_lane lane);
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

/* udp_addrs.c */
/* Tells the engine which addresses the host has, and goes on telling; the same for what follows from them. Returns 0, FZR_ERR_NO_MEMORY,
 * FZR_ERR_IO (nobody tells) with errno, or what `watch` returned. */
int fzri_addrs_start(fzr_udp *udp);
void fzri_addrs_stop(fzr_udp *udp);
/* Reads what is there to read of them. */
void fzri_addrs_ready(fzr_udp *udp, fzr_time now);
fzr_time fzri_addrs_deadline(const fzr_udp *udp);
void fzri_addrs_settle(fzr_udp *udp, fzr_time now);
/* The address that an allocation's socket is to be bound to; |room| is for it to be in. */
const fzr_addr *fzri_addrs_for_port(fzr_udp *udp, uint8_t family, fzr_addr *room);

/* udp_inside.c: allocations of one relay that are each other's peers, where the public address is that of a NAT */
/* Where to send what is for |to|, an own address: to the allocation's socket on this host, in |room|, if |to| is a live one's that the network
 * need not bring back; else |to|. */
const fzr_addr *fzri_inside_to(const fzr_udp *udp, const fzr_addr *to, fzr_addr *room);
/* What came from |from| to an allocation's socket: if that is another one's socket, it came from its relayed address. */
void fzri_inside_from(const fzr_udp *udp, fzr_addr *from);

/* udp_recv.c */
/* Makes the receive buffers. Returns 0 or FZR_ERR_NO_MEMORY. */
int fzri_recv_init(fzr_udp *udp);
void fzri_recv_free(fzr_udp *udp);
/* Reads from |s| up to the budget and relays it; with `hold`, what peers sent may wait in runs for fzri_send_flush. */
void fzri_recv(fzr_udp *udp, fzri_socket *s, fzr_time now);
/* Sockets that rest are read again when that is due, at FZR_TIME_NEVER if none does. */
fzr_time fzri_recv_deadline(const fzr_udp *udp);
void fzri_recv_settle(fzr_udp *udp, fzr_time now);

/* udp_send.c */
/* The functions of fzr_io_ops that send; |io| is the adapter. Runs are held until fzri_send_flush. */
void fzri_send_verdicts(void *io, const fzr_verdict *verdicts, size_t n);
void fzri_send_answers(void *io, const fzr_transmit *answers, size_t n);
void fzri_send_flush(fzr_udp *udp);
/* The same, and all receive slots are free again. */
void fzri_send_held(fzr_udp *udp);
/* Stops reading |source| until the listen socket that it feeds has sent its queue. */
void fzri_socket_pause(fzr_udp *udp, fzri_socket *source);
/* udp_lanes.c */
/* At the beginning of a turn at |now|. */
void fzri_lanes_begin(fzr_udp *udp, fzr_time now);
/* Deals with senders that are stuck: if neighbours that do not answer hold their room, others take over. */
void fzri_lanes_unstick(fzr_udp *udp);
/* By which socket a datagram leaves for |to| in times of trouble. */
fzri_socket *fzri_lane_in_trouble(const fzr_udp *udp, const fzr_addr *to, bool to_stranger);

/* By which socket a datagram leaves for |to|, a client or stranger; NULL if the family is not in use. */
static inline fzri_socket *fzri_lane(const fzr_udp *udp, const fzr_addr *to, bool to_stranger)
{
  return udp->troubled ? fzri_lane_in_trouble(udp, to, to_stranger)
                       : udp->lanes[to->family == FZR_FAMILY_IPV6].sender;
}

/* udp_queue.c */
/* Appends |run| from its segment |from_segment| on, as far as the bound goes, and sees to it that |s| is watched. What does not fit is
 * counted; so is all of a run that may not wait, or of a socket that does not queue. */
void fzri_queue_append(fzr_udp *udp, fzri_socket *s, const fzri_run *run, uint32_t from_segment);
/* Sends what is queued, as far as the socket takes it; when all is gone, those that fed it are read again. */
void fzri_queue_flush(fzr_udp *udp, fzri_socket *s);
/* Appends what waits for |from| to what waits for |to|, with the sources that are paused for it. */
void fzri_queue_move(fzr_udp *udp, fzri_socket *from, fzri_socket *to);
/* Drops, and counts, what has waited too long for sockets that take nothing, if it is time for that (`expire_at`). */
void fzri_queues_expire(fzr_udp *udp);
void fzri_queue_free(fzr_udp *udp, fzri_socket *s);

#endif
