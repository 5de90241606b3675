/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

#include "../../programs/enfile.h"

/* What makes an open file answers ENFILE from now on, in this thread. (What only makes a number does not.) */
static void no_file_left(void) {
  static const unsigned makers[] = {SYS_socket,        SYS_socketpair,    SYS_accept,       SYS_accept4,
                                    SYS_openat,        SYS_openat2,       SYS_pipe2,        SYS_eventfd2,
                                    SYS_signalfd4,     SYS_epoll_create1, SYS_memfd_create, SYS_pidfd_open,
                                    SYS_inotify_init1, SYS_timerfd_create};
  if (!enfile_from_now(makers, sizeof makers / sizeof makers[0]))
    give_up("seccomp");
}

static int l, s, c, waiting, first, second;

static void *listens(void *arg) {
  role("listens");
  no_file_left();
  CALL(listen(l, 5));
  return arg;
}

static void *in_want(void *arg) {
  char b[200];
  role("in want");
  no_file_left();
  CALL(socket(AF_INET, SOCK_STREAM, 0));
  CALL(accept(l, NULL, NULL));
  CALL(accept4(l, NULL, NULL, SOCK_NONBLOCK));
  int d = dup(c);
  say("dup: %d", d >= 0);
  say("wrote %zu", write_all(d, 1000, 0, 1000));
  say("there %zu", read_all(s, 1000, 0, 300));
  CALL(close(d));
  /* These need no file natively. */
  fill(b, sizeof b, 0);
  CALL(dup2(c, STDIN_FILENO));
  CALL(connect_to(first, port));
  CALL(send(first, b, sizeof b, MSG_NOSIGNAL));
  set_nonblock(second, true);
  CALL(connect_to(second, port));
  send(second, b, sizeof b, MSG_NOSIGNAL); /* it may be connected by now */
  return arg;
}

SCENARIO("The system's table of files is full: what do the calls that need one say, and does all go on afterwards?") {
  int one = 1;
  char b;
  struct sockaddr_in a = at_port(port);
  l = client_socket(0);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  bind(l, (struct sockaddr *)&a, sizeof a);
  pthread_join(thread(listens, NULL), NULL);
  close(l);
  pair_keep(&l, &s, &c);
  waiting = client_socket(0);
  first = client_socket(0);
  second = client_socket(0);
  CALL(connect_to(waiting, port));
  pthread_join(thread(in_want, NULL), NULL);
  int t = accept(l, NULL, NULL);
  say("wrote %zu", write_all(waiting, 1000, 0, 1000));
  say("there %zu", read_all(t, 1000, 0, 1000));
  int again = client_socket(0);
  CALL(connect_to(again, port));
  CALL(write(again, "y", 1));
  do { /* what got through before is in the way */
    close(t);
    t = accept(l, NULL, NULL);
  } while (read(t, &b, 1) != 1 || b != 'y');
  say("accepted");
}
