/* SPDX-License-Identifier: Apache-2.0 */
/* A worker as its own files see it: worker.c, and worker_handover.c for what it does when one process takes the place of another. */
#ifndef RELAY_WORKER_INTERNAL_H
#define RELAY_WORKER_INTERNAL_H

#include "event_glue.h"
#include "worker.h"
#include "worker_streams.h"

#include <pthread.h>
#include <stdatomic.h>

enum command {
  COMMAND_STOP = 1,
  COMMAND_DRAIN = 2,
  COMMAND_SNAPSHOT = 4,
  COMMAND_LOG_LEVEL = 8,
  COMMAND_LOGINS = 16,
  COMMAND_IDENTITY = 32,
  COMMAND_PAUSE = 64,
  COMMAND_GIVE = 128,
  COMMAND_RESUME = 256,
  COMMAND_RULES = 512,
  COMMAND_SHOW = 1024,
  COMMAND_LOAD = 2048,
  COMMAND_TAKE_OVER = 4096,
  COMMAND_LEAVE = 8192,
  COMMAND_PREPARE = 16384,
  COMMAND_ASK_SESSIONS = 32768
};
/* Those whose CPU time is told. */
#define HANDOVER_COMMANDS (COMMAND_GIVE | COMMAND_LOAD | COMMAND_TAKE_OVER)

/* Which sockets a successor has got while they are read here. Under the lock. */
typedef struct worker_shown {
  int fd;          /* to it; -1: nobody waits for that */
  uint32_t cursor; /* of fzr_udp_list_sockets */
  uint32_t count;  /* descriptors */
  uint64_t newest; /* of the sockets that there were at the beginning: it gets all up to that one */
  bool all;        /* it has */
  bool full;       /* it has to read first */
} worker_shown;

struct worker {
  unsigned index;
  pthread_t thread;
  bool running;
  bool pin;
  unsigned schemes; /* AUTH_… */
  bool gso;         /* in use when it was last looked at */
  struct event_base *base;
  event_glue *glue;
  fzr_engine *engine;
  fzr_driver *driver;
  fzr_udp *udp;
  steer *steer;     /* NULL: each allocation has its own socket */
  streams *streams; /* NULL: UDP alone */
  struct event *wake;
  struct event *wallclock;
  struct event *listing; /* the next piece of the channels that |offloads| are told of */
  uint32_t listed;       /* how far they are: cursor of fzr_engine_list_channels */
  atomic_bool all_listed;
  int wake_fd;
  fzr_time cpu; /* of the thread, when it began to do what it was told in a hand-over */
  atomic_uint commands;
  uint64_t seed;
  span_ring *spans;
  const offloads *offloads; /* set before the thread goes */
  bool halted;              /* it reads nothing, for a hand-over; the thread's */
  pthread_mutex_t lock;     /* of what follows */
  pthread_cond_t begins, made, obeyed;
  bool begun;        /* the thread may go */
  uint64_t asked;    /* number of the last question for a snapshot */
  uint64_t answered; /* the question that |stats| answer */
  metrics_worker stats;
  logins *next;                    /* to be taken; NULL: none */
  net_tls_identity *next_identity; /* likewise */
  fzr_peer_rule *next_rules;       /* likewise */
  size_t next_rule_count;
  handover_parcel *parcel; /* where to put what is given away, or what was given */
  worker_shown shown;
  bool pauses;            /* it was told to, and not to read on; of who hands over, without the lock */
  unsigned ordered, done; /* of what worker_obey does: by number */
  const char *trouble;    /* what the last of them came to; NULL: nothing bad */
  fzr_time spent;         /* the CPU time that it took */
  fzr_udp_stats before;   /* counters of the adapter in earlier processes */
  unsigned left;          /* connections that could not go along */
  session_question
      question; /* the last one of sessions, by number, and the last that was answered, by |sessions| */
  uint64_t session_asked, session_answered;
  session_answer *sessions; /* NULL: nobody has asked yet */
  bool usage_log;
  bool gone; /* what lives here does so in another process; of who hands over, without the lock */
  char unloadable[OPTIONS_ERROR_MAX]; /* why it can't go on from what was given */
};

/* Has the thread of |w| look at its commands. Any thread. */
void worker_wake(const worker *w);

/* The event `listing`. NULL: no memory. */
struct event *worker_new_listing(worker *w);

/* On the thread: tells |offloads| of the channels that there are, and of those that come and go from then on. It goes on while the loop runs. */
void worker_list_channels(worker *w);

/* On the thread: puts together what worker_answer has. */
void worker_make_snapshot(worker *w);

/* On the thread: does what worker_ask_sessions asks. */
void worker_answer_sessions(worker *w);
/* Has it do so. */
void worker_command_sessions(worker *w);

/* On the thread: does what there is of |commands| about handing over. */
void worker_obey(worker *w, unsigned commands);

/* On the thread, before it does anything: loads and takes over, as it is told to, until worker_begin. */
void worker_await_begin(worker *w);

#endif
