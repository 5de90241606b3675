/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_basic.c - the life of a connection: listen, connect, accept, exchange, half-close, reset, end.
 */
#include "scenario.h"

static void lca_blocking(void) {
  struct sockaddr_in a = at_port(port), got;
  socklen_t len = sizeof got;
  char buf[256];
  int one = 1, s = (int)CALL(socket(AF_INET, SOCK_STREAM, 0));
  CALL(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
  CALL(bind(s, (struct sockaddr *)&a, sizeof a));
  CALL(listen(s, 8));
  int c = (int)CALL(socket(AF_INET, SOCK_STREAM, 0));
  CALL(connect(c, (struct sockaddr *)&a, sizeof a));
  int x = (int)CALL(accept(s, (struct sockaddr *)&got, &len));
  say("accepted from 127.0.0.1: %d, length %u", got.sin_addr.s_addr == htonl(INADDR_LOOPBACK), len);
  struct sockaddr_in local;
  len = sizeof local;
  CALL(getsockname(c, (struct sockaddr *)&local, &len));
  say("the client's own port is the accepted one: %d", local.sin_port == got.sin_port);
  len = sizeof got;
  CALL(getpeername(c, (struct sockaddr *)&got, &len));
  say("the client's peer is the port: %d", got.sin_port == a.sin_port);
  len = sizeof got;
  CALL(getpeername(x, (struct sockaddr *)&got, &len));
  say("the server's peer is the client: %d", local.sin_port == got.sin_port);
  fill(buf, sizeof buf, 0);
  CALL(write(c, buf, 200));
  CALL(read(x, buf, sizeof buf));
  say_bytes("read", buf, 200);
  CALL(write(x, buf, 100));
  CALL(read(c, buf, 50));
  CALL(read(c, buf + 50, 150));
  say_bytes("read back", buf, 100);
  CALL(close(c));
  CALL(read(x, buf, sizeof buf));
  CALL(close(x));
  CALL(close(s));
  CALL(close(s));
}

static void lca_nonblock(void) {
  char buf[100];
  int l = listen_on(SOCK_NONBLOCK, 8);
  CALL(accept4(l, NULL, NULL, SOCK_NONBLOCK));
  say_poll("idle listener", l, POLLIN | POLLOUT, 0);
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, port));
  say_wait("client", c, POLLOUT);
  int error = -1;
  socklen_t len = sizeof error;
  CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", errno_name(error));
  CALL(connect_to(c, port));
  CALL(connect_to(c, port));
  say_wait("listener", l, POLLIN | POLLOUT);
  int x = (int)CALL(accept4(l, NULL, NULL, SOCK_NONBLOCK));
  CALL(accept4(l, NULL, NULL, SOCK_NONBLOCK));
  say_poll("listener", l, POLLIN | POLLOUT, 0);
  CALL(read(x, buf, sizeof buf));
  fill(buf, sizeof buf, 0);
  CALL(write(c, buf, sizeof buf));
  say_wait("server", x, POLLIN);
  CALL(read(x, buf, sizeof buf));
  say("same: %d", same(buf, sizeof buf, 0));
  CALL(read(x, buf, sizeof buf));
  close(c);
  say_wait("server at the end", x, POLLIN);
  CALL(read(x, buf, sizeof buf));
  CALL(read(x, buf, sizeof buf));
}

static void *connector(void *arg) {
  role("client");
  int c = client_socket(0);
  (void)arg;
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 100));
  say("read %zu", read_all(c, 1000, 1000, 77));
  CALL(close(c));
  return NULL;
}

/* A blocking accept() in one thread, a blocking connect() in another. */
static void two_threads(void) {
  int l = listen_on(0, 8);
  pthread_t t = thread(connector, NULL);
  int x = (int)accept(l, NULL, NULL);
  say("accepted: %d", x >= 0);
  say("read %zu", read_all(x, 1000, 0, 1000));
  say("wrote %zu", write_all(x, 1000, 1000, 1000));
  char c;
  CALL(read(x, &c, 1));
  pthread_join(t, NULL);
}

static void client_gone_before_accept(void) {
  char buf[100];
  int l = listen_on(0, 8), c = client_socket(0);
  connect_to(c, port);
  fill(buf, 50, 0);
  CALL(write(c, buf, 50));
  CALL(close(c));
  int x = accept(l, NULL, NULL);
  CALL(recv(x, buf, sizeof buf, MSG_WAITALL));
  say("same: %d", same(buf, 50, 0));
  CALL(read(x, buf, sizeof buf));
}

static void half_close_client(void) {
  int s, c;
  char buf[100];
  pair(&s, &c);
  fill(buf, sizeof buf, 0);
  CALL(write(c, buf, 100));
  CALL(shutdown(c, SHUT_WR));
  CALL(shutdown(c, SHUT_WR));
  CALL(send(c, buf, 1, MSG_NOSIGNAL));
  wait_mask(s, POLLIN | POLLRDHUP, POLLRDHUP);
  say_poll("server", s, POLLIN | POLLOUT | POLLRDHUP, 0);
  say("read %zu", read_all(s, 1000, 0, 33));
  CALL(read(s, buf, 10));
  say_poll("server", s, POLLIN | POLLOUT | POLLRDHUP, 0);
  say("wrote %zu", write_all(s, 50000, 7, 5000));
  say("read %zu", read_all(c, 50000, 7, 4096));
  CALL(close(s));
  CALL(read(c, buf, 10));
  wait_mask(c, POLLIN | POLLRDHUP, POLLHUP);
  say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
}

static void half_close_server(void) {
  int s, c;
  char buf[100];
  pair(&s, &c);
  CALL(shutdown(s, SHUT_WR));
  CALL(read(c, buf, 10));
  wait_mask(c, POLLIN | POLLRDHUP, POLLRDHUP);
  say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  say("wrote %zu", write_all(c, 30000, 0, 3000));
  say("read %zu", read_all(s, 30000, 0, 30000));
  CALL(shutdown(c, SHUT_WR));
  CALL(read(s, buf, 10));
  CALL(shutdown(s, SHUT_RDWR));
}

static void shut_rd(void) {
  int s, c;
  char buf[100];
  pair(&s, &c);
  CALL(shutdown(s, SHUT_RD));
  say_poll("server", s, POLLIN | POLLOUT | POLLRDHUP, 0);
  CALL(read(s, buf, 10));
  say("wrote %zu", write_all(s, 10, 0, 10));
  say("read %zu", read_all(c, 10, 0, 10));
  CALL(shutdown(c, SHUT_RDWR));
  CALL(read(c, buf, 10));
  CALL(send(c, buf, 10, MSG_NOSIGNAL));
  CALL(shutdown(s, 7));
}

static void reset_by_linger(void) {
  int s, c;
  char buf[100];
  struct linger hard = {1, 0};
  pair(&s, &c);
  CALL(setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
  CALL(close(c));
  wait_mask(s, POLLIN, POLLERR);
  say_poll("server", s, POLLIN | POLLOUT | POLLRDHUP, 0);
  CALL(read(s, buf, sizeof buf));
  CALL(send(s, buf, 10, MSG_NOSIGNAL));
  CALL(close(s));
}

static void reset_seen_by_error(void) {
  int s, c, error = -1;
  struct linger hard = {1, 0};
  pair(&s, &c);
  setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(c);
  wait_mask(s, POLLIN, POLLERR);
  socklen_t len = sizeof error;
  CALL(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", errno_name(error));
  CALL(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", errno_name(error));
  struct sockaddr_in a;
  len = sizeof a;
  CALL(getpeername(s, (struct sockaddr *)&a, &len));
}

/* Closing with unread bytes resets, as TCP does. */
static void close_with_unread(void) {
  int s, c;
  char buf[100];
  pair(&s, &c);
  write_all(c, 100, 0, 100);
  say_wait("server", s, POLLIN);
  CALL(read(s, buf, 10));
  CALL(close(s));
  wait_mask(c, POLLIN, POLLERR);
  say_poll("client", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  CALL(read(c, buf, 10));
}

static void many_connections(void) {
  int l = listen_on(0, 16);
  size_t good = 0;
  for (unsigned i = 0; i < 100; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      break;
    int s = accept(l, NULL, NULL);
    good += write_all(c, 10 + i, i, 1000) == 10 + i && read_all(s, 10 + i, i, 1000) == 10 + i;
    good += write_all(s, 10 + i, i, 1000) == 10 + i && read_all(c, 10 + i, i, 1000) == 10 + i;
    close(c);
    close(s);
  }
  say("good exchanges: %zu", good);
}

/* Forty connections open at once: they are told apart. */
static void concurrent_connections(void) {
  int l = listen_on(0, 64), c[40], s[40];
  size_t good = 0;
  for (unsigned i = 0; i < 40; i++) {
    c[i] = client_socket(0);
    if (connect_to(c[i], port) != 0)
      give_up("connect");
    write_all(c[i], 4, i * 64, 4);
    write_all(c[i], 100, i * 640, 100);
  }
  for (unsigned i = 0; i < 40; i++) {
    s[i] = accept(l, NULL, NULL);
    char first[4];
    struct sockaddr_in peer, own;
    socklen_t len = sizeof peer;
    getpeername(s[i], (struct sockaddr *)&peer, &len);
    for (unsigned k = 0; k < 40; k++) {
      len = sizeof own;
      getsockname(c[k], (struct sockaddr *)&own, &len);
      if (own.sin_port == peer.sin_port)
        good += recv(s[i], first, 4, MSG_WAITALL) == 4 && read_all(s[i], 100, k * 640, 1000) == 100;
    }
  }
  say("good: %zu", good);
}

/* Numbers are given out lowest first, as the kernel does: programs rely on it. */
static void lowest_numbers(void) {
  int l = (int)CALL(listen_on(0, 8));
  int c = client_socket(0);
  say("client %d", c);
  CALL(connect_to(c, port));
  int x = (int)CALL(accept(l, NULL, NULL));
  CALL(dup(x));
  CALL(close(c));
  CALL(open("/dev/null", O_RDONLY));
  CALL(socket(AF_INET, SOCK_STREAM, 0));
}

const struct scenario s_basic[] = {{"lca_blocking", lca_blocking},
                                   {"lca_nonblock", lca_nonblock},
                                   {"two_threads", two_threads},
                                   {"client_gone_before_accept", client_gone_before_accept},
                                   {"half_close_client", half_close_client},
                                   {"half_close_server", half_close_server},
                                   {"shut_rd", shut_rd},
                                   {"reset_by_linger", reset_by_linger},
                                   {"reset_seen_by_error", reset_seen_by_error},
                                   {"close_with_unread", close_with_unread},
                                   {"many_connections", many_connections},
                                   {"concurrent_connections", concurrent_connections},
                                   {"lowest_numbers", lowest_numbers},
                                   {NULL, NULL}};
