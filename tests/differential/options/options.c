/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

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

SCENARIO("What do getsockname(), getpeername() and the common options say?") {
  int s, c, l;
  pair_keep(&l, &s, &c);
  ask_all("listener", l);
  ask_all("server", s);
  ask_all("client", c);
  int u = socket(AF_INET, SOCK_STREAM, 0);
  ask_all("fresh", u);
}
