/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario.h - a program that is run natively and under svidwrap; its two traces must be the same.
 *
 * A scenario writes down what each call answered: result, errno, poll masks, hashes of bytes. Nothing that
 * depends on time or on addresses goes into a trace. Each process or thread that speaks has a role, and a
 * role's lines stay together, so that the order in which roles run does not matter.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One scenario a file, tests/differential/FAMILY/NAME.c: the file's name is the scenario's. */
struct scenario {
  const char *file, *question; /* without a question: an image that other scenarios execute */
  void (*run)(void);
  struct scenario *next;
};
void scenario_add(struct scenario *s);
#define SCENARIO(question)                                                                                           \
  static void scenario_run_(void);                                                                                   \
  static struct scenario scenario_ = {__FILE__, question, scenario_run_, NULL};                                      \
  __attribute__((constructor)) static void scenario_add_(void) { scenario_add(&scenario_); }                         \
  static void scenario_run_(void)
#define IMAGE SCENARIO(NULL)

extern uint16_t port;                 /* the managed port */
extern uint16_t dead_port;            /* where the harness keeps a connection from being finished */
extern const char *self;              /* this program's path */
const char *beside(const char *name); /* the path of another test program or library */

/* ---- trace ---- */
void role(const char *name); /* this thread or process speaks as name from now on */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
long said_call(const char *text, long result, int error);
void say_bytes(const char *what, const void *p, size_t n);
void give_up(const char *why); /* prints the traces so far and ends the whole program */
const char *errno_name(int e);

/* Runs the call and writes it down as it stands in the source, with its result. */
#define CALL(expr)                                                                                                   \
  __extension__({                                                                                                    \
    errno = 0;                                                                                                       \
    long call_result_ = (long)(expr);                                                                                \
    said_call(#expr, call_result_, errno);                                                                           \
  })

/* ---- sockets ---- */
struct sockaddr_in at_port(uint16_t p);
int listen_on(int flags, int backlog); /* on `port`, SO_REUSEADDR; flags as socket()'s type flags */
int client_socket(int flags);
int connect_to(int fd, uint16_t p); /* plain connect(), not written down */
/* A connected pair by listen, connect and accept in this thread; the listener is closed again unless kept. */
void pair(int *server, int *client);
void pair_keep(int *listener, int *server, int *client);
void set_nonblock(int fd, bool on);
void no_delay(int fd);

/* ---- waiting: give up after 30 s ---- */
short poll_for(int fd, short events, int ms); /* the mask, or 0 */
void say_poll(const char *what, int fd, short events, int ms);
void say_wait(const char *what, int fd, short events); /* waits for any of events, writes the whole mask down */
void wait_mask(int fd, short events, short all);       /* until all of these are there */
const char *mask_name(short mask, char buf[64]);
void nap(int ms);
void until_asleep(
    pid_t who); /* a process of one thread, or a thread: until it sleeps, and has gone on sleeping for a while */
extern pid_t newest_thread;    /* of thread() */
pid_t child_status(pid_t pid); /* waits for it and writes its end down */

/* ---- bytes: a stream with the marker in it, so that place and content are both checked ---- */
void fill(void *p, size_t n, uint64_t at);
bool same(const void *p, size_t n, uint64_t at);
uint64_t hash_bytes(uint64_t h, const void *p, size_t n);
size_t write_all(int fd, size_t n, uint64_t at, size_t piece);
size_t read_all(int fd, size_t n, uint64_t at, size_t piece); /* reads up to n bytes and checks them */

/* ---- threads and processes ---- */
struct step { /* a rendezvous that works across fork */
  int fd[2];
};
void step_init(struct step *s);
void step_go(struct step *s);
void step_wait(struct step *s);
pthread_t thread(void *(*fn)(void *), void *arg);

#endif
