/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_option.c - options, asked and set, on whatever the socket is at that time.
 */
#include "random.h"

static const struct {
  int level, name;
  const char *text;
  bool set;  /* may be set: it changes nothing that other operations tell */
  bool tell; /* its value is the same from run to run */
} options[] = {{SOL_SOCKET, SO_TYPE, "SO_TYPE", false, true},
               {SOL_SOCKET, SO_DOMAIN, "SO_DOMAIN", false, true},
               {SOL_SOCKET, SO_PROTOCOL, "SO_PROTOCOL", false, true},
               {SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN", false, true},
               {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", false, true},
               {SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", true, true},
               {SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST", true, true},
               {SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE", true, true},
               {SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", true, true},
               {SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", false, false},
               {SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", false, false},
               {SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT", false, true},
               {SOL_SOCKET, 9999, "none", true, true},
               {IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", false, true},
               {IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", true, true},
               {IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", true, true},
               {IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", true, true},
               {IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", true, true},
               {IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2", true, true},
               {IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", true, true},
               {IPPROTO_TCP, TCP_CORK, "TCP_CORK", false, true},
               {IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG", false, false},
               {IPPROTO_TCP, TCP_QUICKACK, "TCP_QUICKACK", true, false},
               {IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", false, true},
               {IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", false, true},
               {IPPROTO_TCP, TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP", false, false},
               {IPPROTO_TCP, 9999, "none of TCP", true, true},
               {IPPROTO_IP, IP_TOS, "IP_TOS", true, true},
               {IPPROTO_IP, IP_TTL, "IP_TTL", true, true},
               {IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", true, true}};

static void op_option(void) {
  uint32_t k = draw(sizeof options / sizeof *options);
  int i = pick_quiet(K_SOCKET), value = (int)draw(2) * (1 + (int)draw(10));
  unsigned char bytes[8] = {0};
  if (i < 0)
    return;
  int fd = me->table[i].fd;
  settle(i);
  if (options[k].set && chance(50)) {
    long rc = setsockopt(fd, options[k].level, options[k].name, &value, chance(92) ? sizeof value : draw(4));
    say(" set %s(%d) %d = %s", options[k].text, fd, value, answer(rc, errno));
    return;
  }
  socklen_t len = chance(85) ? sizeof value : draw(8);
  long rc = getsockopt(fd, options[k].level, options[k].name, bytes, &len);
  say(" %s(%d) = %s", options[k].text, fd, answer(rc, errno));
  memcpy(&value, bytes, sizeof value);
  if (rc == 0 && options[k].tell)
    say("  %d, %u bytes", value, len);
}

const struct op ops_option[] = {{"option", op_option, 50, F_OPTION, false}, {0}};
