/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h - two or more processes that do random things with TCP sockets, one after the other, and write down what
 * they were answered. The same seed natively and wrapped must give the same trace.
 *
 * A seed is a list of operations; each has a random stream of its own, so that any of them can be left out (to shrink
 * a failing seed) without changing the others. Operations run one at a time: the coordinator hands the turn to one
 * process and waits for it. All that they know of each other is the world, in shared memory: who has which
 * descriptors, what is on its way in which connection. It serves to keep away from what TCP leaves open (how much a
 * write takes, what a read sees of bytes that are on their way, who would block for ever), never to judge an answer.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/tcp.h> /* for all of tcp_info; not with <netinet/tcp.h> */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The answer of a call that may be interrupted: signals come at any time where a seed has them. */
#define AGAIN(expr)                                                                                                  \
  __extension__({                                                                                                    \
    long again_;                                                                                                     \
    do                                                                                                               \
      again_ = (long)(expr);                                                                                         \
    while (again_ == -1 && errno == EINTR);                                                                          \
    again_;                                                                                                          \
  })

enum {
  WORKERS = 5,     /* processes of one seed */
  NUMBERS = 28,    /* descriptors that a worker knows of */
  OBJECTS = 160,   /* open file descriptions of one seed */
  CONNS = 48,      /* connections of one seed */
  OPS = 64,        /* operations of one seed */
  QUEUE = 2,       /* connections that wait at a listener */
  TEXT = 192 << 10 /* of a trace */
};
#define EXACT 40000u        /* up to so many bytes on their way all have arrived once the sender's call returned */
#define MOST  (1000u << 10) /* on their way at most: a blocking write ends then, whoever reads */

enum kind { K_NONE = 0, K_FRESH = 1, K_LISTENER = 2, K_CONN = 4, K_EPOLL = 8, K_DEAD = 16 };
#define K_SOCKET (K_FRESH | K_LISTENER | K_CONN | K_DEAD)

struct object { /* an open file description */
  uint8_t kind;
  bool nonblock, bound, reader; /* reader: a thread is blocked in a read of it */
  int refs;                     /* numbers that lead to it, in all workers */
  int conn, side;
  uint16_t port;
  int queue[QUEUE], queued; /* a listener's connections */
  bool shut;                /* a listener after shutdown() */
  bool inherited;           /* a listener that an image has from before: the daemon may ring it once */
  bool shared;              /* other processes have, or had, a number for it since before it was connected */
};

struct direction {    /* what one side sends */
  uint64_t sent, got; /* taken from the program; read by the other side's program */
  uint64_t wire;      /* of the kernel's counter: what has left the sender's socket */
  bool fin;
};

struct connection {
  struct direction from[2]; /* by the side that sends: 0 who connected, 1 who accepted */
  bool closed[2], shut_rd[2], reset[2], linger0[2];
  bool killed[2]; /* a process that had this side was: it goes on being counted */
  bool vague[2];  /* how much of what was sent still arrives at this side is open */
  bool relayed;   /* it went where no hook follows: when bytes arrive is open (ops_pass.c) */
  uint16_t client_port;
  int listener; /* the object in whose queue it is, or -1 */
};

struct number {
  int fd, object;
};

struct job {           /* what a worker's second thread does, while the first goes on */
  bool active, begins; /* begins: it may not be asleep yet */
  uint8_t what;
  int fd, object, flags;
  uint32_t len, events;
  uint64_t at; /* of the stream */
  long result;
  int error;
  bool wrong; /* bytes */
  short mask;
  int tid;
  sem_t end;
};

struct worker {
  bool alive;
  pid_t pid;
  int parent;
  sem_t go;
  struct number table[NUMBERS];
  int count;
  bool noise;
  struct job job;
};

struct world {
  uint64_t seed;
  uint32_t families; /* of operations, that this seed has */
  uint16_t port[64];
  int ports, taken; /* taken: ports that listeners of this seed had */
  sem_t done;
  int turn;   /* whose */
  int op;     /* which, or one of these */
  int dying;  /* a worker that is about to end, or -1 */
  int settle; /* a listener that must have its connection before anybody goes on, or -1 */
  int flying; /* the object in the message that nobody has taken yet, or -1 */
  bool over;  /* it cannot go on */
  struct worker worker[WORKERS];
  struct object object[OBJECTS];
  struct connection conn[CONNS];
  int objects, conns;
  size_t len;
  char text[TEXT];
};
enum { OP_QUIT = -1, OP_SETTLE = -2 };
enum { WORLD_FD = 900, PASS_IN, PASS_OUT }; /* where every image finds the world, and what is passed on */

extern struct world *W;
extern struct worker *me; /* this process, NULL in the coordinator */
extern const char *marker;

/* ---- random numbers: one stream an operation ---- */
struct draw {
  uint64_t state;
};
extern struct draw D;
void draw_init(uint64_t seed, uint64_t stream);
uint32_t draw(uint32_t below);
bool chance(uint32_t percent);
uint32_t draw_size(void);

/* ---- trace ---- */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *answer(long rc, int error); /* "5" or "-1 EAGAIN" */
const char *mask_name(unsigned mask);
void give_up(const char *why);

/* ---- the world ---- */
int object_new(enum kind kind);
int conn_new(void);
void number_add(int fd, int object);
int number_find(int fd);                /* index in the table, or -1 */
void number_drop(int index);            /* closed: the object may end with it */
void worker_drop(struct worker *w);     /* all its numbers */
bool reader_at(const struct object *o); /* a thread waits for what o sends */
int pick(unsigned kinds);               /* an index, or -1 */
int pick_quiet(unsigned kinds);         /* none that a thread reads, none that is vague or relayed */
struct object *object_of(int index);
struct connection *conn_of(const struct object *o);
uint64_t unread(const struct object *o);      /* bytes for this side */
uint64_t outstanding(const struct object *o); /* bytes of this side that nobody has read */
bool would_block(const struct object *o);     /* a read */
bool peer_takes_none(const struct object *o);
void conn_shut_wr(struct object *o);
void conn_sent(struct object *o, uint64_t n);
void conn_got(struct object *o, uint64_t n);
void conn_end(struct object *o); /* its last number went */
struct sockaddr_in at_port(uint16_t port);

/* ---- bytes ---- */
void fill(void *p, size_t n, const struct object *o, uint64_t at);       /* what o's side sends */
bool same(const void *p, size_t n, const struct object *o, uint64_t at); /* what o's side is sent */

/* ---- settling: waits, by system calls past every hook, until what was sent has arrived ---- */
long raw(long nr, long a, long b, long c, long d, long e, long f);
void settle(int index);
void settle_all(void);
void published(int index); /* after a write: says how much went out */
short raw_poll(int fd, short events, int ms);
bool thread_sleeps(pid_t pid, int tid);

/* ---- operations ---- */
struct op {
  const char *name;
  void (*run)(void);
  uint32_t weight;
  uint32_t family;
  bool settle_all;
};
enum family {
  F_BASE = 1,
  F_IO = 2,
  F_WAIT = 4,
  F_FD = 8,
  F_PROC = 16,
  F_THREAD = 32,
  F_SIGNAL = 64,
  F_OPTION = 128,
  F_PASS = 256
};
extern const struct op ops_life[], ops_io[], ops_bad[], ops_stdio[], ops_exec[], ops_wait[], ops_fd[], ops_proc[],
    ops_option[], ops_pass[], ops_both[];
bool exec_share(void); /* makes W, so that an image after exec can attach it */
bool exec_attach(void);
void exec_arrived(void);
void op_listen(void);
void op_connect(void);
void op_accept(void);
void accepted(struct object *l, int fd, bool nonblock); /* fd is of the first in l's queue */
extern _Thread_local int sigpipes;
bool flying_listener(void); /* in a message, and taken by nobody yet */
void worker_loop(int index) __attribute__((noreturn));
bool job_must_end(const struct job *j);
void job_said(struct worker *w);

#endif
