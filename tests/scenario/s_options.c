/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_options.c - what a socket says about itself.
 */
#include "scenario.h"

static void ask(const char *what, int fd, int level, int name) {
  int v = -1;
  socklen_t len = sizeof v;
  int r = getsockopt(fd, level, name, &v, &len);
  if (r != 0)
    say("%s: %s", what, errno_name(errno));
  else
    say("%s: %d (%u)", what, v, len);
}

static void ask_all(const char *who, int fd) {
  say("%s", who);
  ask("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN);
  ask("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
  ask("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
  ask("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
  ask("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
  ask("SO_REUSEADDR", fd, SOL_SOCKET, SO_REUSEADDR);
  ask("SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE);
  ask("SO_RCVLOWAT", fd, SOL_SOCKET, SO_RCVLOWAT);
  ask("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY);
  ask("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE);
  ask("TCP_DEFER_ACCEPT", fd, IPPROTO_TCP, TCP_DEFER_ACCEPT);
  ask("IP_TTL", fd, IPPROTO_IP, IP_TTL);
  ask("IPV6_V6ONLY", fd, IPPROTO_IPV6, IPV6_V6ONLY);
  struct tcp_info info = {0};
  socklen_t len = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
    say("TCP state %u", info.tcpi_state);
  struct ucred peer = {0};
  len = sizeof peer;
  int r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
  say("SO_PEERCRED %d: pid %d", r, (int)peer.pid);
  struct sockaddr_storage a;
  len = sizeof a;
  r = getsockname(fd, (struct sockaddr *)&a, &len);
  say("getsockname %d: family %d, length %u", r, a.ss_family, len);
  len = sizeof a;
  CALL(getpeername(fd, (struct sockaddr *)&a, &len));
  struct stat st;
  CALL(fstat(fd, &st));
  say("a socket: %d", S_ISSOCK(st.st_mode));
}

static void options(void) {
  int s, c, l;
  pair_keep(&l, &s, &c);
  ask_all("listener", l);
  ask_all("server", s);
  ask_all("client", c);
  int u = socket(AF_INET, SOCK_STREAM, 0);
  ask_all("fresh", u);
}

static void set_and_get(void) {
  int s, c, l, on = 1, size = 70000;
  pair_keep(&l, &s, &c);
  int fd[] = {l, s, c};
  for (int i = 0; i < 3; i++) {
    CALL(setsockopt(fd[i], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    ask("SO_KEEPALIVE", fd[i], SOL_SOCKET, SO_KEEPALIVE);
    CALL(setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    ask("TCP_NODELAY", fd[i], IPPROTO_TCP, TCP_NODELAY);
    CALL(setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    ask("SO_RCVBUF", fd[i], SOL_SOCKET, SO_RCVBUF);
    CALL(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    ask("SO_SNDBUF", fd[i], SOL_SOCKET, SO_SNDBUF);
    CALL(setsockopt(fd[i], SOL_SOCKET, 9999, &on, sizeof on));
    CALL(setsockopt(fd[i], SOL_SOCKET, SO_KEEPALIVE, &on, 1));
    int v = 0;
    socklen_t len = 2;
    CALL(getsockopt(fd[i], SOL_SOCKET, SO_KEEPALIVE, &v, &len));
    say("short: %u", len);
    CALL(getsockopt(fd[i], SOL_SOCKET, SO_KEEPALIVE, &v, NULL));
  }
}

/* What is set on a listener holds for what it accepts. */
static void inherited(void) {
  int l = listen_on(0, 8), on = 1, size = 50000;
  CALL(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  CALL(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
  CALL(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
  int c = client_socket(0);
  connect_to(c, port);
  int s = accept(l, NULL, NULL);
  ask("TCP_NODELAY", s, IPPROTO_TCP, TCP_NODELAY);
  ask("SO_KEEPALIVE", s, SOL_SOCKET, SO_KEEPALIVE);
  ask("SO_RCVBUF", s, SOL_SOCKET, SO_RCVBUF);
}

static void short_addresses(void) {
  int s, c, l;
  pair_keep(&l, &s, &c);
  int fd[] = {l, s, c};
  for (int i = 0; i < 3; i++) {
    struct sockaddr_in a;
    socklen_t len = 4;
    memset(&a, 0x55, sizeof a);
    CALL(getsockname(fd[i], (struct sockaddr *)&a, &len));
    say("length %u, port right %d, untouched behind %d", len, a.sin_port == htons(port),
        a.sin_addr.s_addr == 0x55555555u);
    len = 0;
    CALL(getsockname(fd[i], (struct sockaddr *)&a, &len));
    say("length %u", len);
    CALL(getsockname(fd[i], NULL, NULL));
    if (i > 0) {
      len = 8;
      CALL(getpeername(fd[i], (struct sockaddr *)&a, &len));
      say("length %u", len);
    }
  }
}

static void wrong_calls_on_listener(void) {
  char b[10];
  int l = listen_on(0, 8);
  CALL(read(l, b, 10));
  CALL(recv(l, b, 10, MSG_DONTWAIT));
  struct sockaddr_in a = at_port(port);
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(connect_to(l, port));
}

static void wrong_calls_on_fresh(void) {
  char b[10];
  int s = client_socket(0);
  CALL(read(s, b, 10));
  CALL(send(s, b, 10, MSG_NOSIGNAL));
  CALL(shutdown(s, SHUT_RDWR));
  say_poll("fresh", s, POLLIN | POLLOUT, 0);
  CALL(accept(s, NULL, NULL));
  CALL(close(s));
  CALL(read(s, b, 10));
  CALL(connect_to(s, port));
  CALL(listen(s, 5));
  CALL(getsockname(s, (struct sockaddr *)b, &(socklen_t){sizeof b}));
}

static void ephemeral_listener(void) {
  int l = socket(AF_INET, SOCK_STREAM, 0);
  CALL(listen(l, 5));
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  CALL(getsockname(l, (struct sockaddr *)&a, &len));
  say("has a port: %d", a.sin_port != 0);
  int c = client_socket(0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CALL(connect(c, (struct sockaddr *)&a, sizeof a));
  int s = accept(l, NULL, NULL);
  say("accepted %d", s >= 0);
}

const struct scenario s_options[] = {{"options", options},
                                     {"set_and_get", set_and_get},
                                     {"inherited", inherited},
                                     {"short_addresses", short_addresses},
                                     {"wrong_calls_on_listener", wrong_calls_on_listener},
                                     {"wrong_calls_on_fresh", wrong_calls_on_fresh},
                                     {"ephemeral_listener", ephemeral_listener},
                                     {NULL, NULL}};
