/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_relay.c - connections that go where hooks cannot follow: standard streams, images without svidwrap's help, other
 * processes. Is nothing lost in mid-stream, and does each end see the other's end as over TCP?
 */
#include "scenario.h"

#define BULK (8u << 20)

static pid_t cat(int fd, int other) {
  pid_t kid = fork();
  if (kid == 0) {
    close(other);
    dup2(fd, 0);
    dup2(fd, 1);
    close(fd);
    execl("/bin/cat", "cat", (char *)NULL);
    _exit(127);
  }
  close(fd);
  return kid;
}

static void *pour(void *arg) {
  int c = *(int *)arg;
  role("writer");
  say("wrote %zu", write_all(c, BULK, 0, 100000));
  shutdown(c, SHUT_WR);
  return NULL;
}

/* Megabytes there and back through a program that knows read() and write() only, with a reader that dawdles. */
static void relay_bulk(void) {
  int s, c;
  pair(&s, &c);
  pid_t kid = cat(s, c);
  pthread_t t = thread(pour, &c);
  nap(50);
  say("back %zu", read_all(c, BULK, 0, 70000));
  pthread_join(t, NULL);
  char b;
  CALL(read(c, &b, 1));
  child_status(kid);
}

/* What was read in part, and what came before the change, is there after it. */
static void relay_in_mid_stream(void) {
  int s, c;
  char b[10];
  pair(&s, &c);
  write_all(c, 5000, 0, 5000);
  CALL(read(s, b, 10));
  say("first ten %d", same(b, 10, 0));
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    close(c);
    CALL(dup2(s, 0));
    say("rest %zu", read_all(0, 4990, 10, 1000));
    say("and through the old number %zu", read_all(s, 2000, 5000, 2000));
    CALL(write(s, "done", 4));
    _exit(0);
  }
  close(s);
  write_all(c, 2000, 5000, 2000);
  CALL(recv(c, b, 4, MSG_WAITALL));
  child_status(kid);
  CALL(read(c, b, 1));
}

/* printf() and fgets() on a connection that became 0 and 1 of the same process. */
static void relay_printf(void) {
  int s, c;
  char line[100];
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    dup2(s, 0);
    dup2(s, 1);
    close(s);
    while (fgets(line, sizeof line, stdin))
      printf("you said %s", line);
    exit(7);
  }
  close(s);
  CALL(write(c, "one\ntwo\n", 8));
  shutdown(c, SHUT_WR);
  FILE *f = fdopen(c, "r");
  while (fgets(line, sizeof line, f))
    say("%s", line);
  say("end %d", feof(f) != 0);
  child_status(kid);
}

/* A stranger gets the descriptor: the sender's own numbers go on working, too. */
static void relay_passed_on(void) {
  int s, c, u[2];
  pair(&s, &c);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, u) != 0)
    give_up("socketpair");
  pid_t kid = fork();
  if (kid == 0) {
    role("receiver");
    char b, control[CMSG_SPACE(sizeof(int))];
    close(s);
    close(c);
    struct iovec v = {&b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CALL(recvmsg(u[1], &m, 0));
    int d;
    memcpy(&d, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof d);
    say("read %zu", read_all(d, 1000, 0, 1000));
    say("wrote %zu", write_all(d, 1000, 0, 1000));
    _exit(0);
  }
  char b = 'x', control[CMSG_SPACE(sizeof(int))] = "";
  struct iovec v = {&b, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET;
  h->cmsg_type = SCM_RIGHTS;
  h->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(h), &s, sizeof s);
  CALL(sendmsg(u[0], &m, 0));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(c, 1000, 0, 1000));
  child_status(kid);
  say("wrote %zu", write_all(s, 100, 0, 100));
  say("read %zu", read_all(c, 100, 0, 100));
  close(s);
  CALL(read(c, &b, 1));
}

/* It stays in the epoll sets where it was, under its number and its data. */
static void relay_in_epoll(void) {
  int s, c, ep = epoll_create1(0), keep = dup(0);
  char b[10];
  pair(&s, &c);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 4711};
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
  CALL(dup2(s, 0));
  CALL(epoll_wait(ep, &e, 1, 0));
  write_all(c, 10, 0, 10);
  CALL(epoll_wait(ep, &e, 1, 5000));
  say("data %llu mask %x", (unsigned long long)e.data.u64, e.events);
  CALL(read(s, b, sizeof b));
  CALL(epoll_wait(ep, &e, 1, 0));
  CALL(close(s));
  CALL(dup2(keep, 0));
  CALL(read(c, b, 1));
  CALL(epoll_wait(ep, &e, 1, 50));
}

static void relay_nonblocking(void) {
  int s, c, keep = dup(0);
  char b[10];
  pair(&s, &c);
  set_nonblock(s, true);
  CALL(dup2(s, 0));
  say("non-blocking %d", (fcntl(0, F_GETFL) & O_NONBLOCK) != 0);
  CALL(read(0, b, 1));
  size_t sent = 0;
  static char block[65536];
  ssize_t n;
  while (sent < (64u << 20) && (n = write(0, block, sizeof block)) > 0)
    sent += (size_t)n;
  say("full %d", sent > 100000 && sent < (64u << 20));
  CALL(poll(&(struct pollfd){.fd = 0, .events = POLLOUT}, 1, 0));
  size_t got = 0;
  while (got < sent && (n = read(c, block, sizeof block)) > 0)
    got += (size_t)n;
  say("all of it came %d", got == sent);
  wait_mask(0, POLLOUT, POLLOUT);
  dup2(keep, 0);
  close(s);
  CALL(read(c, b, 1));
}

/* The parent of an inetd: it accepts, forks, and closes its own number; the child's life is the connection's. */
static void relay_of_an_inetd(void) {
  for (int i = 0; i < 5; i++) {
    int s, c;
    char b[200];
    pair(&s, &c);
    pid_t kid = fork();
    if (kid == 0) {
      for (int fd = 0; fd <= 2; fd++)
        dup2(s, fd);
      closefrom(3);
      execl("/bin/sh", "sh", "-c", "read x; echo \"got $x\"; echo to stderr >&2; exit 3", (char *)NULL);
      _exit(127);
    }
    close(s);
    CALL(write(c, "line\n", 5));
    size_t n = 0;
    ssize_t k;
    while ((k = read(c, b + n, sizeof b - 1 - n)) > 0)
      n += (size_t)k;
    b[n] = 0;
    say("%s(%zd)", b, k);
    child_status(kid);
    close(c);
  }
}

static void say_names(int fd, const struct sockaddr_in *client) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  int value = -1;
  memset(&a, 0, sizeof a);
  CALL(getpeername(fd, (struct sockaddr *)&a, &len));
  say("family %d, length %u, the client %d", a.sin_family, len,
      a.sin_port == client->sin_port && a.sin_addr.s_addr == client->sin_addr.s_addr);
  len = 7;
  CALL(getpeername(fd, (struct sockaddr *)&a, &len));
  say("length %u", len);
  len = sizeof a;
  CALL(getsockname(fd, (struct sockaddr *)&a, &len));
  say("family %d, the port %d", a.sin_family, a.sin_port == htons(port));
  len = sizeof value;
  CALL(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len));
  say("domain %d", value);
  CALL(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &len));
  say("protocol %d", value);
  CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
  say("type %d", value);
  value = 1;
  CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
  CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
  CALL(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &len));
}

/* Who is at the other end, in this image and in the next. */
static void relay_names(void) {
  int s, c;
  char arg[3][32];
  struct sockaddr_in client;
  socklen_t len = sizeof client;
  pair(&s, &c);
  getsockname(c, (struct sockaddr *)&client, &len);
  pid_t kid = fork();
  if (kid == 0) {
    role("same image");
    dup2(s, 0);
    close(s);
    say_names(0, &client);
    snprintf(arg[0], sizeof arg[0], "%u", port);
    snprintf(arg[1], sizeof arg[1], "%u", dead_port);
    snprintf(arg[2], sizeof arg[2], "%u", client.sin_port);
    setenv("RELAY_CLIENT", arg[2], 1);
    execl(self, self, "image_relay_names", arg[0], arg[1], (char *)NULL);
    _exit(127);
  }
  close(s);
  child_status(kid);
  char b;
  CALL(read(c, &b, 1));
}

static void image_relay_names(void) {
  role("next image");
  struct sockaddr_in client = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = (in_port_t)atoi(getenv("RELAY_CLIENT"))};
  say_names(0, &client);
}

/* The peer resets: what the program that was executed sees on its standard input. */
static void relay_reset(void) {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    close(c);
    dup2(s, 0);
    close(s);
    char b[10];
    CALL(read(0, b, 5));
    CALL(read(0, b, 5));
    _exit(0);
  }
  close(s);
  CALL(write(c, "hello", 5));
  nap(100);
  struct linger reset = {1, 0};
  CALL(setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
  CALL(close(c));
  child_status(kid);
}

/* The kernel itself picks a standard stream's number: dup() and F_DUPFD with one of them closed. */
static void relay_by_dup(void) {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    char b[5];
    close(c);
    close(0);
    CALL(dup(s));
    CALL(read(0, b, 5));
    close(0);
    CALL(fcntl(s, F_DUPFD_CLOEXEC, 0));
    say("close-on-exec %d", fcntl(0, F_GETFD));
    CALL(write(0, b, 5));
    _exit(0);
  }
  close(s);
  char b[5];
  CALL(write(c, "hello", 5));
  CALL(recv(c, b, 5, MSG_WAITALL));
  say_bytes("back", b, 5);
  child_status(kid);
  CALL(read(c, b, 1));
}

const struct scenario s_relay[] = {{"relay_bulk", relay_bulk},
                                   {"relay_in_mid_stream", relay_in_mid_stream},
                                   {"relay_printf", relay_printf},
                                   {"relay_passed_on", relay_passed_on},
                                   {"relay_in_epoll", relay_in_epoll},
                                   {"relay_nonblocking", relay_nonblocking},
                                   {"relay_of_an_inetd", relay_of_an_inetd},
                                   {"relay_names", relay_names},
                                   {"relay_reset", relay_reset},
                                   {"relay_by_dup", relay_by_dup},
                                   {"image_relay_names", image_relay_names},
                                   {NULL, NULL}};
