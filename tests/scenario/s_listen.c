/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_listen.c - listeners: bound, shared, copied, shut down, listening again, short of descriptors.
 */
#include "scenario.h"

static int try_bind(int reuse) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = at_port(port);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  int r = bind(fd, (struct sockaddr *)&a, sizeof a), e = errno;
  if (r == 0)
    r = listen(fd, 5), e = errno;
  close(fd);
  errno = e;
  return r;
}

static void listener_accept_flags(void) {
  int l = listen_on(0, 8), c[4];
  for (int i = 0; i < 4; i++) {
    c[i] = client_socket(0);
    connect_to(c[i], port);
  }
  int s = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  CALL(fcntl(s, F_GETFD));
  set_nonblock(l, true);
  wait_mask(l, POLLIN, POLLIN);
  s = accept(l, NULL, NULL);
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  CALL(fcntl(s, F_GETFD));
  CALL(accept4(l, NULL, NULL, 1));
  struct sockaddr_in a;
  socklen_t len = 4;
  memset(&a, 0x55, sizeof a);
  wait_mask(l, POLLIN, POLLIN);
  say("accepted: %d", accept(l, (struct sockaddr *)&a, &len) >= 0);
  say("length %u, untouched behind: %d", len, a.sin_addr.s_addr == 0x55555555u);
  CALL(accept(-1, NULL, NULL));
  CALL(accept(0, NULL, NULL));
  int u = socket(AF_INET, SOCK_STREAM, 0);
  CALL(accept(u, NULL, NULL));
}

static void listener_dups(void) {
  int l = listen_on(0, 8), n[6];
  n[0] = (int)CALL(dup(l));
  n[1] = (int)CALL(dup2(l, 60));
  n[2] = (int)CALL(dup3(l, 61, O_CLOEXEC));
  n[3] = (int)CALL(fcntl(l, F_DUPFD, 70));
  n[4] = (int)CALL(fcntl(l, F_DUPFD_CLOEXEC, 70));
  close(l);
  for (int i = 0; i < 5; i++) {
    int c = client_socket(0);
    CALL(connect_to(c, port));
    int s = accept(n[i], NULL, NULL);
    write_all(c, 10, 0, 10);
    say("accepted %d, read %zu", s >= 0, read_all(s, 10, 0, 10));
    close(c);
    close(s);
    CALL(fcntl(n[i], F_GETFD));
    if (i < 4)
      CALL(close(n[i]));
  }
  CALL(fcntl(n[4], F_SETFL, O_NONBLOCK));
  CALL(accept(n[4], NULL, NULL));
  CALL(try_bind(1));
  CALL(close(n[4]));
  CALL(try_bind(1));
}

static void bind_while_copy_lives(void) {
  int l = listen_on(0, 8);
  struct step done;
  step_init(&done);
  CALL(try_bind(0));
  pid_t kid = fork();
  if (kid == 0) {
    step_wait(&done);
    _exit(0);
  }
  CALL(close(l));
  CALL(try_bind(0));
  CALL(try_bind(1));
  step_go(&done);
  child_status(kid);
  CALL(try_bind(0));
}

static void bind_after_kill(void) {
  struct step up;
  step_init(&up);
  for (int i = 0; i < 5; i++) {
    pid_t kid = fork();
    if (kid == 0) {
      int l = listen_on(0, 8);
      step_go(&up);
      pause();
      close(l);
    }
    step_wait(&up);
    CALL(try_bind(0));
    kill(kid, SIGKILL);
    child_status(kid);
    CALL(try_bind(0));
  }
}

/* The server is killed with a connection open; its successor takes the port at once. */
static void kill_and_rebind(void) {
  struct step up;
  step_init(&up);
  for (int i = 0; i < 3; i++) {
    pid_t kid = fork();
    if (kid == 0) {
      int l = listen_on(0, 8), s;
      step_go(&up);
      s = accept(l, NULL, NULL);
      write_all(s, 10, 0, 10);
      pause();
    }
    step_wait(&up);
    int c = client_socket(0);
    CALL(connect_to(c, port));
    say("read %zu", read_all(c, 10, 0, 10));
    kill(kid, SIGKILL);
    child_status(kid);
    close(c);
    CALL(try_bind(1));
  }
}

static void listener_shutdown(void) {
  int l = listen_on(0, 8);
  CALL(shutdown(l, SHUT_WR));
  say_poll("after SHUT_WR", l, POLLIN | POLLOUT, 0);
  CALL(shutdown(l, SHUT_RD));
  say_poll("after SHUT_RD", l, POLLIN | POLLOUT, 0);
  CALL(accept(l, NULL, NULL));
  int c = client_socket(0);
  CALL(connect_to(c, port));
  CALL(listen(l, 8));
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  say("accepted %d", s >= 0);
  CALL(shutdown(l, SHUT_RDWR));
  say("wrote %zu", write_all(c, 10, 0, 10));
  say("read %zu", read_all(s, 10, 0, 10));
  int on = -1;
  socklen_t len = sizeof on;
  CALL(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &on, &len));
  say("accepts: %d", on);
  CALL(close(l));
}

static void *accepts(void *arg) {
  role("acceptor");
  int l = *(int *)arg;
  CALL(accept(l, NULL, NULL));
  return NULL;
}

/* The usual way to wake a thread out of accept(). */
static void shutdown_wakes_accept(void) {
  int l = listen_on(0, 8);
  pthread_t t = thread(accepts, &l);
  nap(100);
  CALL(shutdown(l, SHUT_RDWR));
  pthread_join(t, NULL);
  CALL(close(l));
  CALL(try_bind(1));
}

static void listen_again(void) {
  int l = listen_on(0, 1);
  CALL(listen(l, 64));
  CALL(listen(l, 0));
  CALL(listen(l, -1));
  int on = -1;
  socklen_t len = sizeof on;
  CALL(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &on, &len));
  say("accepts: %d", on);
  int c = client_socket(0);
  CALL(connect_to(c, port));
  CALL(listen(l, 16));
  int s = accept(l, NULL, NULL);
  write_all(c, 10, 0, 10);
  say("read %zu", read_all(s, 10, 0, 10));
}

static void *accept_loop(void *arg) {
  int l = *(int *)arg;
  size_t *served = calloc(1, sizeof *served);
  for (;;) {
    int s = accept(l, NULL, NULL);
    char q = 0;
    if (s < 0 || read(s, &q, 1) != 1 || q == 'q') {
      close(s);
      return served;
    }
    write_all(s, 100, 0, 100);
    close(s);
    ++*served;
  }
}

static void threads_accept(void) {
  int l = listen_on(0, 32);
  pthread_t t[4];
  size_t good = 0, total = 0;
  for (int i = 0; i < 4; i++)
    t[i] = thread(accept_loop, &l);
  for (int i = 0; i < 24; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      give_up("connect");
    if (write(c, i < 20 ? "x" : "q", 1) == 1 && i < 20)
      good += read_all(c, 100, 0, 100) == 100;
    close(c);
  }
  for (int i = 0; i < 4; i++) {
    void *n = NULL;
    pthread_join(t[i], &n);
    total += *(size_t *)n;
  }
  say("good %zu, served %zu", good, total);
}

/* At the descriptor limit accept() says EMFILE and no client is lost. */
static void few_descriptors(void) {
  enum { CLIENTS = 30 };
  struct rlimit lim = {40, 40};
  int l = listen_on(SOCK_NONBLOCK, 64), held[64];
  pid_t kid = fork();
  if (kid == 0) {
    int c[CLIENTS];
    role("clients");
    close(l);
    size_t good = 0;
    for (int i = 0; i < CLIENTS; i++) {
      c[i] = client_socket(0);
      if (connect_to(c[i], port) != 0)
        say("connect: %s", errno_name(errno));
      write_all(c[i], 10, 0, 10);
    }
    for (int i = 0; i < CLIENTS; i++)
      good += read_all(c[i], 100, 0, 100) == 100;
    say("served %zu", good);
    _exit(0);
  }
  CALL(setrlimit(RLIMIT_NOFILE, &lim));
  for (int i = 0; i < 16; i++) /* leaves room for some clients, not for all */
    held[i] = open("/dev/null", O_RDONLY);
  int open_now = 0, done = 0, refused = 0, fd[64];
  while (done < CLIENTS) {
    if (poll_for(l, POLLIN, 10000) == 0)
      break;
    int s = accept(l, NULL, NULL);
    if (s >= 0) {
      fd[open_now++] = s;
      continue;
    }
    if (errno == EAGAIN) {
      if (open_now + done < CLIENTS)
        continue;
    } else {
      refused |= errno == EMFILE ? 1 : 2;
    }
    while (open_now > 0) {
      done += read_all(fd[--open_now], 10, 0, 10) == 10 && write_all(fd[open_now], 100, 0, 100) == 100;
      close(fd[open_now]);
    }
    if (errno == EAGAIN && open_now == 0)
      nap(1);
  }
  while (open_now > 0) {
    done += read_all(fd[--open_now], 10, 0, 10) == 10 && write_all(fd[open_now], 100, 0, 100) == 100;
    close(fd[open_now]);
  }
  say("served %d, was at the limit: %d", done, refused);
  child_status(kid);
  close(held[0]);
}

/* The number is free again before close() returns: a loop that closes and listens. */
static void close_and_listen(void) {
  for (int i = 0; i < 20; i++) {
    int l = listen_on(0, 8);
    if (close(l) != 0)
      say("close: %s", errno_name(errno));
  }
  int l = listen_on(0, 8), c = client_socket(0);
  CALL(connect_to(c, port));
  close(l);
  char b;
  CALL(recv(c, &b, 1, 0));
}

const struct scenario s_listen[] = {{"listener_accept_flags", listener_accept_flags},
                                    {"listener_dups", listener_dups},
                                    {"bind_while_copy_lives", bind_while_copy_lives},
                                    {"bind_after_kill", bind_after_kill},
                                    {"kill_and_rebind", kill_and_rebind},
                                    {"listener_shutdown", listener_shutdown},
                                    {"shutdown_wakes_accept", shutdown_wakes_accept},
                                    {"listen_again", listen_again},
                                    {"threads_accept", threads_accept},
                                    {"few_descriptors", few_descriptors},
                                    {"close_and_listen", close_and_listen},
                                    {NULL, NULL}};
