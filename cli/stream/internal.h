/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the adapter share: listeners (accept.c), what balancers say first (arrivals.c), connections (connection.c), the
 * adapter that has them (streams.c), and how they go to another process (moving.c). */
#ifndef STREAM_INTERNAL_H
#define STREAM_INTERNAL_H

#include "firezone_relay/stream.h"
#include "stream/parcel.h"
#include "stream/queue.h"
#include "stream/streams.h"

#include <stdatomic.h>

/* Bytes that are read at once: one batch for the engine. */
#define STREAM_READ 65536u
/* So much may lie in the kernel that was not sent yet, and a little more. What waits in the queue can still be dropped. */
#define STREAM_UNSENT 8192
/* How long a TLS handshake may take, with a PROXY header before it; no longer than a connection may be idle. */
#define STREAM_HANDSHAKE (10 * FZR_SECOND)

typedef struct stream_connection stream_connection;

/* The lists that connections are in. */
enum stream_order {
  STREAM_BY_TIME,   /* all, those first that were looked at first */
  STREAM_STRANGERS, /* those without an allocation, those first that have been that for longest */
  STREAM_IN_LINE,   /* whose handshakes are to go on, those first that came first */
  STREAM_ORDERS
};

/* A list in the order in which members were put into it. */
typedef struct stream_list {
  stream_connection *first, *last;
  uint32_t count;
} stream_list;

/* A member's place in one. */
typedef struct stream_links {
  stream_connection *before, *after;
} stream_links;

struct stream_connection {
  streams *owner;
  stream_connection *next_of_hash;
  stream_links links[STREAM_ORDERS];
  stream_connection *next_dirty;
  stream_connection *next_paused;
  fzr_addr client, server;
  uint32_t hash;
  int fd;
  enum stream_kind kind;
  bool allocated;     /* has an allocation, as far as is known; who has none is among the strangers */
  bool dirty;         /* in owner->dirty */
  bool paused;        /* in owner->paused: not read */
  bool in_line;       /* in the list of those: not read */
  bool blocked;       /* the socket takes nothing now: `writable` waits for it */
  bool closing;       /* has ended but for its last words: it is in the lists of all and of strangers alone */
  bool shut;          /* they are written */
  bool over;          /* nothing more comes from the client */
  bool broken;        /* a write has failed: it is to be ended in this turn of the loop */
  bool unread;        /* a stranger's answers are too many: likewise */
  fzr_time looked_at; /* when it was put into by_time */
  fzr_time heard;     /* when its last message came */
  fzr_time stranger_since;
  fzr_time closing_since;
  uint32_t unlooked;   /* bytes written since somebody looked how many of them the kernel has sent */
  fzr_time blocked_at; /* while it is blocked: since when */
  fzr_time paused_at;  /* likewise */
  struct event *readable, *writable;
  fzr_stream *framing;
  net_tls *tls;     /* NULL: plain TCP, or nothing has come yet */
  bool established; /* its handshake is done */
  bool failed;      /* an alert has said so, and nothing may follow it */
  stream_queue queue;
};

/* Whether it will only be a client's when a handshake is done. */
static inline bool stream_shakes_hands(const stream_connection *c)
{
  return c->kind == STREAM_TLS && !c->established;
}

typedef struct stream_listener {
  streams *owner;
  struct event *ready;
  struct event *again; /* listens again after a time without descriptors */
  int fd;              /* -1: none */
  enum stream_kind kind;
} stream_listener;

/* A connection whose PROXY header has not come: arrivals.c. */
typedef struct stream_arrival stream_arrival;

struct streams {
  streams_config config;
  stream_listener listeners[STREAM_LISTENERS];
  size_t listener_count;
  stream_connection **table; /* by both ends */
  uint32_t table_size;       /* a power of two */
  uint32_t count;            /* of connections */
  uint64_t key[2];           /* of the hash: clients must not be able to choose a place */
  stream_connection *found;  /* last, by address; NULL: none */
  stream_list lists[STREAM_ORDERS];
  stream_connection *dirty;                  /* to be written to */
  stream_connection *paused;                 /* not read, while their peers' sockets are full */
  stream_arrival *arrivals, *oldest_arrival; /* the newest first */
  uint32_t arrival_count;
  struct event *flush, *tick, *resume;
  struct event *spare, *share; /* handshakes' turn: in time that is left, and in what is theirs */
  fzr_time rests_until;        /* the latter begins then */
  net_tls_identity *identity;  /* NULL: nobody comes by TLS */
  size_t cipher_from,
      cipher_to;           /* of |cipher|: what the connection that is being read has not been given yet */
  fzr_time told_handshake; /* when the log was told that one failed; 0: never */
  fzr_time told_prefix;    /* when the log was told that a prefix is full; 0: never */
  fzr_time told_crowd;     /* likewise, of too many strangers */
  fzr_time told_proxy; /* when the log was told that a balancer's connection has no PROXY header; 0: never */
  stream_stats stats[STREAM_KINDS];
  atomic_uint clients[STREAM_KINDS]; /* with an allocation; other threads look at them */
  bool halted;                       /* no descriptor is touched: another process may go on with them */
  uint8_t in[STREAM_READ];
  uint8_t cipher[STREAM_READ];
};

/* ---- streams.c ---- */

/* Takes over |fd|, on which |client| came at |since|, from when on its handshake has time. Closes it if that cannot be. */
void streams_take(streams *s, enum stream_kind kind, int fd, const fzr_addr *client, const fzr_addr *server,
                  fzr_time since);
/* Ends |c| and its allocation. It is gone then. Not from within a call into the driver. */
void streams_end(stream_connection *c, enum stream_end why, fzr_time now);
/* It goes now, with what it still has to say. */
void streams_drop(stream_connection *c, enum stream_end why, fzr_time now);
/* |c| has something to write in this turn of the loop. */
void streams_dirty(stream_connection *c);
/* |c| is not read until the UDP adapter's queues are short, or for long enough: it may be others who keep them long. */
void streams_pause(stream_connection *c, fzr_time now);

/* Whether the log is to have a line of something that may come as often as strangers like: one a minute. *|told| is when it last had; 0:
 * never. */
bool stream_may_tell(fzr_time *told, fzr_time now);

/* The connection between both; NULL if there is none. */
stream_connection *stream_find(streams *s, const fzr_addr *client, const fzr_addr *server);
/* Makes one of |fd|, which is its own then, that is read, and in no list and table yet. NULL without memory. */
stream_connection *stream_new_connection(streams *s, enum stream_kind kind, int fd, const fzr_addr *client,
                                         const fzr_addr *server);
void stream_free_connection(stream_connection *c);
/* Puts it into the table. */
void stream_enter(streams *s, stream_connection *c);
/* Writes what there is. Who can't be written to ends. */
void streams_flush(streams *s);
/* Has the events of time come. Returns 0, or -1 without memory. */
int streams_watch_time(streams *s);

/* ---- strangers.c ---- */

/* Puts |c| at the end of the list |order|, or takes it out. */
void stream_append(stream_connection *c, enum stream_order order);
void stream_remove(stream_connection *c, enum stream_order order);
/* Looks whether |c| has an allocation, and puts it among the strangers, or takes it out from there. */
void stream_look_at(stream_connection *c, fzr_time now);
/* |c| is new, and a stranger. */
void stream_begin_stranger(stream_connection *c, fzr_time now);
/* |c| goes, and is no stranger any more. */
void stream_end_stranger(stream_connection *c);
/* Whether |len| bytes more may wait for |c|. If they may not, it ends with this turn of the loop. */
bool stream_may_wait(stream_connection *c, size_t len, fzr_time now);
/* Ends the strangers that have been that for longest, until there are as few as there may be. */
void streams_thin_out(streams *s, fzr_time now);
/* Ends strangers whose time is over. */
void streams_end_old_strangers(streams *s, fzr_time now);
/* ---- arrivals.c ---- */

/* Whether connections from |addr| have to begin with a PROXY header. */
bool stream_is_proxied(const streams *s, const fzr_addr *addr);
/* Takes over |fd|, and gives it to streams_take once its PROXY header has come, with the addresses that are in it; |proxy| and |server|
 * are its own. Closes it if the header is none, or does not come in time. */
void stream_await(streams *s, enum stream_kind kind, int fd, const fzr_addr *proxy, const fzr_addr *server);
/* Closes those that are waited for. */
void stream_arrivals_free(streams *s);
/* Does not wait for them any more, and does again. */
void stream_arrivals_halt(streams *s);
void stream_arrivals_go_on(streams *s, fzr_time now);
/* Has |each| called with |ctx| for them, the oldest first, until it returns false. Returns whether it never did. */
bool stream_arrivals_save(const streams *s, bool (*each)(void *ctx, const stream_saved *saved, int fd),
                          void *ctx);
/* Closes their sockets alone. */
void stream_arrivals_leave(streams *s);
/* Goes on to wait for |saved|, whose socket |fd| is taken over. Returns NULL, or what went wrong: static text. */
const char *stream_arrivals_load(streams *s, const stream_saved *saved, int fd);

/* ---- closing.c ---- */

/* |c| has ended for |why|: writes what waits, and lets the client know. Returns whether there is something to wait for: then `closing`
 * is set. */
bool stream_begin_closing(stream_connection *c, enum stream_end why, fzr_time now);
/* Goes on with that when the socket takes more, and drops |c| when it is done. */
void stream_go_on_closing(stream_connection *c, fzr_time now);
/* Reads what nobody wants any more, and drops |c| when all is done. */
void stream_read_closing(stream_connection *c, fzr_time now);
/* Whether it has been waited for long enough. */
bool stream_has_closed(const stream_connection *c, fzr_time now);

/* ---- secure.c ---- */

/* Reads once, begins with TLS when the first byte comes, goes on with the handshake, and has stream_relay relay what comes. Returns
 * whether the connection goes on; *|why| says why not. */
bool stream_read_secure(stream_connection *c, fzr_time now, enum stream_end *why);
/* Goes on with a handshake that had to wait for the socket. Returns likewise. */
bool stream_go_on_secure(stream_connection *c, fzr_time now, enum stream_end *why);
/* Writes some of what waits, |most| bytes at most, in one record. Returns how many bytes, or as net_tls_write. */
ssize_t stream_write_secure(stream_connection *c, size_t most);

/* |c|, which is new, has the TLS that |len| bytes at |data| say. *|begun|: as net_tls_load. Returns false if they can't be read, or
 * without memory. */
bool stream_load_secure(stream_connection *c, const uint8_t *data, size_t len, size_t *begun);

/* ---- handshakes.c ---- */

/* Makes its events. Returns false without memory. */
bool stream_handshakes_begin(streams *s);
/* Something has come for |c|'s handshake: it is read when it is its turn. */
void stream_stand_in_line(stream_connection *c, fzr_time now);
/* Has turns come again for those that wait. */
void stream_handshakes_go_on(streams *s, fzr_time now);
/* It does not wait any more. */
void stream_leave_line(stream_connection *c);

/* ---- connection.c ---- */

/* Relays the messages that end within the |len| bytes at |data|. Returns whether the stream goes on; *|why| says why not. */
bool stream_relay(stream_connection *c, const uint8_t *data, size_t len, fzr_time now, enum stream_end *why);

/* Reads once, and relays what has come, or goes on with the handshake. |c| may be gone then. */
void stream_read(stream_connection *c, fzr_time now);
/* The callback of `readable`. */
void stream_on_readable(evutil_socket_t fd, short what, void *ctx);
/* That of `writable`. */
void stream_on_writable(evutil_socket_t fd, short what, void *ctx);
/* The socket takes nothing now: on_writable will go on. Returns false if that cannot be. */
bool stream_block(stream_connection *c, fzr_time now);
/* Writes what waits, as far as the socket takes it. Returns false if the connection is broken: it is to be ended. */
bool stream_write(stream_connection *c, fzr_time now);

#endif
