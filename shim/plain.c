/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.c - which managed connects go out in plaintext, and how the daemon hears of them.
 */
#include "plain.h"

#include "fdtab.h"
#include "libc.h"
#include "session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

/* 1 to 100, or 0 when there is no random number to be had. */
static uint32_t draw(void) {
  uint32_t r;
  int keep = errno;
  ssize_t n = getrandom(&r, sizeof r, GRND_NONBLOCK);
  errno = keep;
  return n == (ssize_t)sizeof r ? r % 100 + 1 : 0;
}

/* One lot for the life of the process, drawn at its first such connect(); who is forked later has it, too. The same
 * for all rules, so that a rising percentage only ever adds to who is among it. */
static uint32_t sticky_draw(void) {
  static _Atomic uint32_t drawn;
  uint32_t mine = atomic_load(&drawn);
  if (mine)
    return mine;
  uint32_t fresh = draw();
  return atomic_compare_exchange_strong(&drawn, &mine, fresh) ? fresh : mine;
}

uint32_t plain_why(const struct rules_entry *rule) {
  if (rule->mode == RULES_OFF)
    return WIRE_PLAIN_OFF;
  if (rule->mode != RULES_CANARY)
    return 0;
  if (rule->flags & RULES_SUSPENDED)
    return WIRE_PLAIN_SUSPENDED;
  if (rule->percent >= 100)
    return 0;
  if (rule->percent == 0)
    return WIRE_PLAIN_PERCENT;
  return (rule->flags & RULES_STICKY ? sticky_draw() : draw()) <= rule->percent ? 0 : WIRE_PLAIN_PERCENT;
}

bool plain_under_way(int fd) {
  struct tcp_info info;
  socklen_t len = sizeof info;
  int keep = errno;
  if ((unsigned)fd >= FDTAB_MAX || !(atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed) & FDF_PLAIN))
    return false;
  memset(&info, 0, sizeof info);
  bool closed = libc_real()->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || info.tcpi_state == TCP_CLOSE;
  errno = keep;
  return !closed;
}

static void compose(struct wire_plain *m, int fd, const struct rules_entry *rule, uint32_t why,
                    const struct sockaddr *dest, socklen_t len, const struct rules_hosts *hosts) {
  *m = (struct wire_plain){.rule = rule->rule, .why = why, .local_len = sizeof m->local, .dest_len = len};
  socklen_t cookie_len = sizeof m->cookie;
  if (hosts)
    m->hosts = *hosts;
  memcpy(&m->dest, dest, len < sizeof m->dest ? len : sizeof m->dest);
  if (libc_real()->getsockname(fd, (struct sockaddr *)&m->local, &m->local_len) != 0)
    m->local_len = 0;
  libc_real()->getsockopt(fd, SOL_SOCKET, SO_COOKIE, &m->cookie, &cookie_len);
  session_header(&m->hdr, WIRE_PLAIN, sizeof *m);
}

int plain_ask(int fd, const struct rules_entry *rule, uint32_t why, const struct sockaddr *dest, socklen_t len,
              const struct rules_hosts *hosts) {
  LOCK_NO_CANCEL;
  struct wire_plain m;
  struct wire_reply r = {.status = WIRE_BUSY};
  int keep = errno;
  if (!(rule->flags & RULES_AUDITED))
    return 0;
  compose(&m, fd, rule, why, dest, len, hosts);
  m.about = WIRE_PLAIN_ASKS;
  m.local_len = 0; /* not known before it connects */
  errno = 0;
  int rc = session_request(&m, sizeof m, offsetof(struct wire_plain, token), -1, &r, NULL, NULL);
  r.text[sizeof r.text - 1] = '\0';
  if (rc == 0 && r.status == WIRE_OK) {
    errno = keep;
    return 0;
  }
  session_complain("a connection in plaintext is refused: %s", rc != 0 ? strerror(errno) : r.text);
  errno = ECONNREFUSED;
  return -1;
}

void plain_tell(int fd, const struct rules_entry *rule, uint32_t why, const struct sockaddr *dest, socklen_t len,
                const struct rules_hosts *hosts) {
  LOCK_NO_CANCEL;
  struct wire_plain m;
  int keep = errno;
  compose(&m, fd, rule, why, dest, len, hosts);
  m.about = rule->flags & RULES_AUDITED ? WIRE_PLAIN_ASKED : WIRE_PLAIN_DONE;
  if (session_post(&m, sizeof m, offsetof(struct wire_plain, token)) != 0)
    session_complain("the daemon could not be told of a connection in plaintext (%s): no audit line for it; it goes "
                     "on, as its rule says",
                     strerror(errno));
  errno = keep;
}

int plain_connect(int fd, const struct rules_entry *rule, uint32_t why, const struct sockaddr *dest, socklen_t len,
                  const struct rules_hosts *hosts) {
  if (plain_ask(fd, rule, why, dest, len, hosts) != 0)
    return -1;
  if ((unsigned)fd < FDTAB_MAX)
    atomic_fetch_or(&fdtab_flags[fd], FDF_PLAIN);
  int rc = libc_real()->connect(fd, dest, len);
  if (rc == 0 || errno == EINPROGRESS || errno == EINTR)
    plain_tell(fd, rule, why, dest, len, hosts);
  return rc;
}
