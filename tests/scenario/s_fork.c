/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_fork.c - connections and listeners in more than one process, and under more than one number.
 */
#include "scenario.h"

/* The child writes, the parent reads; the peer sees the end only after the last close. */
static void fork_shared(void) {
  int s, c;
  char b;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    close(c);
    say("wrote %zu", write_all(s, 50000, 0, 777));
    CALL(close(s));
    _exit(0);
  }
  say("from the child: %zu", read_all(c, 50000, 0, 1000));
  child_status(kid);
  say_poll("open still", c, POLLIN, 50);
  say("from the parent: %zu", write_all(s, 1000, 50000, 1000));
  say("read %zu", read_all(c, 1000, 50000, 1000));
  say("to the server: %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(s, 1000, 0, 1000));
  CALL(close(s));
  CALL(read(c, &b, 1));
}

/* Two processes write and read in turns on one connection: nothing is lost or mixed up. */
static void fork_in_turns(void) {
  int s, c;
  struct step to_kid, to_parent;
  pair(&s, &c);
  step_init(&to_kid);
  step_init(&to_parent);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    for (unsigned i = 0; i < 20; i++) {
      step_wait(&to_kid);
      say("read %zu, wrote %zu", read_all(s, 100, 200 * i + 100, 100), write_all(s, 100, 200 * i + 100, 100));
      step_go(&to_parent);
    }
    _exit(0);
  }
  for (unsigned i = 0; i < 20; i++) {
    write_all(c, 200, 200 * i, 200);
    say("read %zu, wrote %zu", read_all(s, 100, 200 * i, 100), write_all(s, 100, 200 * i, 100));
    step_go(&to_kid);
    step_wait(&to_parent);
    say("back %zu", read_all(c, 200, 200 * i, 33));
  }
  child_status(kid);
}

/* A record that one process has read in part goes on in the other. */
static void fork_partly_read(void) {
  int s, c;
  char b[1000];
  pair(&s, &c);
  write_all(c, 1000, 0, 1000);
  CALL(recv(s, b, 300, MSG_WAITALL));
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    CALL(recv(s, b, 300, MSG_WAITALL));
    say("same %d", same(b, 300, 300));
    _exit(0);
  }
  child_status(kid);
  CALL(recv(s, b, 400, MSG_WAITALL));
  say("same %d", same(b, 400, 600));
}

static void fork_both_block(void) {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) { /* the server's side, read by both processes at once */
    role("child");
    char b[1];
    ssize_t n = read(s, b, 1);
    _exit(n == 1 ? 1 : 0);
  }
  nap(50);
  char b[1];
  write_all(c, 2, 0, 2);
  CALL(read(s, b, 1));
  child_status(kid);
}

static void prefork(void) {
  int l = listen_on(0, 32);
  pid_t kid[3];
  for (int i = 0; i < 3; i++) {
    if ((kid[i] = fork()) != 0)
      continue;
    for (;;) {
      char q;
      int s = accept(l, NULL, NULL);
      if (s < 0)
        _exit(1);
      if (read(s, &q, 1) == 1 && q == 'q')
        _exit(0);
      write_all(s, 1000, 0, 100);
      close(s);
    }
  }
  close(l);
  size_t good = 0;
  for (int i = 0; i < 12 + 3; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      give_up("connect");
    if (write(c, i < 12 ? "x" : "q", 1) == 1 && i < 12)
      good += read_all(c, 1000, 0, 1000) == 1000;
    char end;
    good += i < 12 && read(c, &end, 1) == 0;
    close(c);
  }
  say("served and ended %zu", good);
  for (int i = 0; i < 3; i++)
    child_status(kid[i]);
}

/* A server that forks for every connection. */
static void fork_per_connection(void) {
  int l = listen_on(0, 32);
  pid_t server = fork();
  if (server == 0) {
    for (int i = 0; i < 5; i++) {
      int s = accept(l, NULL, NULL);
      if (fork() == 0) {
        close(l);
        size_t n = read_all(s, 1000, 0, 100);
        write_all(s, n, 0, 100);
        exit(0);
      }
      close(s);
    }
    while (wait(NULL) > 0) {
    }
    _exit(0);
  }
  close(l);
  for (int i = 0; i < 5; i++) {
    int c = client_socket(0);
    CALL(connect_to(c, port));
    write_all(c, 1000, 0, 1000);
    say("back %zu", read_all(c, 1000, 0, 1000));
    char end;
    CALL(read(c, &end, 1));
    close(c);
  }
  child_status(server);
}

static void end_by(int how) {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    write_all(s, 100, 0, 100);
    if (how == 0)
      exit(0);
    if (how == 1)
      _exit(0);
    if (how == 2)
      _Exit(0);
    quick_exit(0);
  }
  close(s);
  char b;
  say("read %zu", read_all(c, 100, 0, 100));
  CALL(read(c, &b, 1));
  child_status(kid);
}
static void end_by_exit(void) { end_by(0); }
static void end_by__exit(void) { end_by(1); }
static void end_by__Exit(void) { end_by(2); }
static void end_by_quick_exit(void) { end_by(3); }

/* Run with `truncation: eof`: natively a killed peer is an end of file. */
static void peer_killed(void) {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    write_all(s, 100, 0, 100);
    pause();
    _exit(0);
  }
  close(s);
  char b;
  say("read %zu", read_all(c, 100, 0, 100));
  kill(kid, SIGKILL);
  child_status(kid);
  wait_mask(c, POLLIN | POLLRDHUP, POLLRDHUP);
  say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  CALL(read(c, &b, 1));
  CALL(read(c, &b, 1));
}

static void dup_connection(void) {
  int s, c, l;
  char b[10];
  pair_keep(&l, &s, &c);
  int d = (int)CALL(dup(s));
  int e = (int)CALL(dup2(s, 60));
  int f = (int)CALL(dup3(s, 61, O_CLOEXEC));
  int g = (int)CALL(fcntl(s, F_DUPFD, 70));
  int h = (int)CALL(fcntl(s, F_DUPFD_CLOEXEC, 70));
  CALL(fcntl(f, F_GETFD));
  CALL(fcntl(h, F_GETFD));
  CALL(fcntl(e, F_GETFD));
  CALL(dup2(s, s));
  CALL(dup3(s, s, 0));
  int all[] = {s, d, e, f, g, h};
  for (unsigned i = 0; i < 6; i++) {
    write_all(c, 10, i * 10, 10);
    say("read %zu, wrote %zu", read_all(all[i], 10, i * 10, 10), write_all(all[i], 5, i, 5));
    say("client read %zu", read_all(c, 5, i, 5));
    if (i < 5)
      CALL(close(all[i]));
  }
  say_poll("open still", c, POLLIN, 50);
  CALL(fcntl(h, F_SETFL, O_NONBLOCK));
  CALL(read(h, b, 1));
  CALL(close(h));
  CALL(read(c, b, 1));
}

static void dup2_over_connection(void) {
  int s, c, s2, c2, l;
  char b[10];
  pair_keep(&l, &s, &c);
  c2 = client_socket(0);
  connect_to(c2, port);
  s2 = accept(l, NULL, NULL);
  say("another number: %d", dup2(s2, s) == s);
  CALL(read(c, b, 1));
  write_all(c2, 10, 0, 10);
  say("read %zu", read_all(s, 10, 0, 10));
  CALL(dup2(open("/dev/null", O_RDWR), c2) == c2);
  CALL(read(s, b, 1));
  CALL(write(c2, "x", 1));
}

static void reused_numbers(void) {
  int l = listen_on(0, 8);
  for (int i = 0; i < 5; i++) {
    int c = client_socket(0);
    connect_to(c, port);
    int s = accept(l, NULL, NULL);
    close(c);
    close(s);
    int p[2];
    CALL(pipe(p));
    CALL(write(p[1], "abc", 3));
    char b[4];
    CALL(read(p[0], b, 4));
    close(p[0]);
    close(p[1]);
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    CALL(listen(u, 5));
    close(u);
  }
}

const struct scenario s_fork[] = {{"fork_shared", fork_shared},
                                  {"fork_in_turns", fork_in_turns},
                                  {"fork_partly_read", fork_partly_read},
                                  {"fork_both_block", fork_both_block},
                                  {"prefork", prefork},
                                  {"fork_per_connection", fork_per_connection},
                                  {"end_by_exit", end_by_exit},
                                  {"end_by__exit", end_by__exit},
                                  {"end_by__Exit", end_by__Exit},
                                  {"end_by_quick_exit", end_by_quick_exit},
                                  {"peer_killed", peer_killed},
                                  {"dup_connection", dup_connection},
                                  {"dup2_over_connection", dup2_over_connection},
                                  {"reused_numbers", reused_numbers},
                                  {NULL, NULL}};
