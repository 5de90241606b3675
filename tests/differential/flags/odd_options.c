/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("What do the options answer that few programs ask for?") {
  int fds[3];
  pair_keep(&fds[0], &fds[1], &fds[2]);
  static const struct {
    const char *name;
    int level, option;
  } options[] = {
#define O(level, option) {#option, level, option}
      O(SOL_SOCKET, SO_TYPE),
      O(SOL_SOCKET, SO_PROTOCOL),
      O(SOL_SOCKET, SO_DOMAIN),
      O(SOL_SOCKET, SO_ACCEPTCONN),
      O(SOL_SOCKET, SO_ERROR),
      O(SOL_SOCKET, SO_BUSY_POLL),
      O(SOL_SOCKET, SO_TIMESTAMP),
      O(SOL_SOCKET, SO_OOBINLINE),
      O(SOL_SOCKET, SO_PRIORITY),
      O(SOL_SOCKET, SO_BROADCAST),
      O(SOL_SOCKET, SO_DEBUG),
      O(SOL_SOCKET, SO_DONTROUTE),
      O(SOL_SOCKET, SO_REUSEADDR),
      O(SOL_SOCKET, SO_REUSEPORT),
      O(SOL_SOCKET, SO_KEEPALIVE),
      O(SOL_SOCKET, SO_MARK),
      O(SOL_SOCKET, SO_RCVLOWAT),
      O(SOL_SOCKET, SO_SNDLOWAT),
      O(SOL_SOCKET, SO_LOCK_FILTER),
      O(SOL_SOCKET, SO_SELECT_ERR_QUEUE),
      O(SOL_SOCKET, SO_PASSCRED),
      O(IPPROTO_TCP, TCP_NODELAY),
      O(IPPROTO_TCP, TCP_CORK),
      O(IPPROTO_TCP, TCP_KEEPIDLE),
      O(IPPROTO_TCP, TCP_KEEPINTVL),
      O(IPPROTO_TCP, TCP_KEEPCNT),
      O(IPPROTO_TCP, TCP_SYNCNT),
      O(IPPROTO_TCP, TCP_LINGER2),
      O(IPPROTO_TCP, TCP_DEFER_ACCEPT),
      O(IPPROTO_TCP, TCP_USER_TIMEOUT),
      O(IPPROTO_TCP, TCP_FASTOPEN),
      O(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS),
      O(IPPROTO_TCP, TCP_TIMESTAMP),
      O(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
      O(IPPROTO_TCP, TCP_INQ),
      O(IPPROTO_TCP, TCP_SAVE_SYN),
      O(IPPROTO_IP, IP_TOS),
      O(IPPROTO_IP, IP_TTL),
      O(IPPROTO_IP, IP_RECVERR),
      O(IPPROTO_IP, IP_TRANSPARENT),
      O(IPPROTO_IP, IP_FREEBIND),
      O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
  };
  for (int i = 0; i < 3; i++) {
    say("-- %s", i == 0 ? "listener" : i == 1 ? "server" : "client");
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
      int v = -1;
      socklen_t len = sizeof v;
      int rc = getsockopt(fds[i], options[k].level, options[k].option, &v, &len);
      bool changes = options[k].option == TCP_TIMESTAMP && options[k].level == IPPROTO_TCP;
      say("%s: %d %s %d, %u", options[k].name, rc, rc ? errno_name(errno) : "", changes ? 0 : v, len);
    }
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
      int v = 1, got = -1;
      socklen_t len = sizeof got;
      if (options[k].level == SOL_SOCKET && (options[k].option == SO_LOCK_FILTER || options[k].option == SO_MARK))
        continue;
      int rc = setsockopt(fds[i], options[k].level, options[k].option, &v, sizeof v), e = errno;
      getsockopt(fds[i], options[k].level, options[k].option, &got, &len);
      bool changes = options[k].option == TCP_TIMESTAMP && options[k].level == IPPROTO_TCP;
      say("set %s: %d %s now %d", options[k].name, rc, rc ? errno_name(e) : "", changes ? 0 : got);
    }
    struct ucred cred = {0};
    socklen_t len = sizeof cred;
    CALL(getsockopt(fds[i], SOL_SOCKET, SO_PEERCRED, &cred, &len));
    say("peer %d %d %d", (int)cred.pid, (int)cred.uid, (int)cred.gid);
    uint64_t cookie[2] = {0, 0};
    len = 8;
    CALL(getsockopt(fds[i], SOL_SOCKET, SO_COOKIE, &cookie[0], &len));
    CALL(getsockopt(fds[i], SOL_SOCKET, SO_COOKIE, &cookie[1], &len));
    say("one cookie %d", cookie[0] == cookie[1] && cookie[0] != 0);
    struct tcp_info info = {0};
    len = sizeof info;
    CALL(getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &len));
    say("state %d", info.tcpi_state);
    char name[16] = "";
    len = sizeof name;
    CALL(getsockopt(fds[i], IPPROTO_TCP, TCP_CONGESTION, name, &len));
    say("congestion control %s", name);
    CALL(setsockopt(fds[i], IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    len = sizeof name;
    CALL(getsockopt(fds[i], IPPROTO_TCP, TCP_ULP, name, &len));
    CALL(ioctl(fds[i], SIOCATMARK, &cred));
  }
  CALL(setsockopt(fds[1], SOL_SOCKET, SO_RCVLOWAT, &(int){1}, sizeof(int)));
  say("wrote %zu", write_all(fds[2], 1000, 0, 100));
  say("read %zu", read_all(fds[1], 1000, 0, 1000));
}
