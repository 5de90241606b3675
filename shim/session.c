/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - this process's standing with the daemon.
 *
 * The state is one small struct. Saying HELLO is single-flight: one thread does it, the others wait on a
 * futex with a deadline; no lock is held while it waits for the daemon.
 */
#include "session.h"

#include "arenas.h"
#include "divided.h"
#include "environ.h"
#include "fdtab.h"
#include "headroom.h"
#include "hello.h"
#include "hosts.h"
#include "libc.h"
#include "tracer.h"
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SESSION_NONE = 0, SESSION_BUSY = 1, SESSION_READY = 2 };

#define HELLO_WAIT_MS 20000
#define HELLO_AGAIN   3
#define TELL_WAIT_MS  1000
#define RENEW_MS      1000
#define AGENT_DIAL_MS 5000

static struct {
  _Atomic uint32_t state;
  _Atomic uint32_t dialed; /* the agent, for this session */
  int control;             /* hidden */
  const struct rules_table *rules;
  struct wire_token token;
  char endpoint[1024];
  uid_t daemon_uid;
  uint32_t daemon_pid;
  bool follows;    /* daemon_uid was told by a ring */
  bool all_users;  /* its daemon is the machine's: there is no other one to go to */
  bool had_daemon; /* some daemon served this process before */
  uid_t ruid, euid;
  gid_t rgid, egid;
} session = {.control = -1};

/* -- who we are: a changed uid or gid means another workload -- */

static void remember_ids(void) {
  session.ruid = getuid();
  session.euid = geteuid();
  session.rgid = getgid();
  session.egid = getegid();
}

/* Two system calls, not four: every connect() asks. */
static bool same_ids(void) {
  uid_t ruid, euid, suid;
  gid_t rgid, egid, sgid;
  return getresuid(&ruid, &euid, &suid) == 0 && session.ruid == ruid && session.euid == euid &&
         getresgid(&rgid, &egid, &sgid) == 0 && session.rgid == rgid && session.egid == egid;
}

/* All three the same: there is no way back. */
static bool for_good(void) {
  uid_t ruid, euid, suid;
  gid_t rgid, egid, sgid;
  return getresuid(&ruid, &euid, &suid) == 0 && ruid == euid && euid == suid && getresgid(&rgid, &egid, &sgid) == 0 &&
         rgid == egid && egid == sgid;
}

void session_ids_changed(void) {
  lock_signals saved;
  uint32_t ready = SESSION_READY;
  int keep = errno;
  lock_signals_block(&saved);
  if (atomic_load(&session.state) == SESSION_READY && !same_ids() && for_good() &&
      atomic_compare_exchange_strong(&session.state, &ready, SESSION_BUSY)) {
    atomic_store(&session.dialed, 0);
    fdtab_unhide_close(&session.control);
    atomic_store(&session.state, SESSION_NONE);
    libc_real()->syscall(SYS_futex, &session.state, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
  }
  lock_signals_restore(&saved);
  errno = keep;
}

void session_after_fork(void) {
  arenas_after_fork();
  tracer_after_fork();
  if (atomic_load(&session.state) == SESSION_BUSY)
    atomic_store(&session.state, SESSION_NONE); /* the thread that was at it is not here */
}

void session_follow(unsigned uid) {
  session.daemon_uid = uid;
  session.follows = true;
}

void session_prefer(unsigned uid) {
  if (!session.had_daemon && atomic_load(&session.state) == SESSION_NONE)
    session_follow(uid);
}

bool session_turn_to_root(void) {
  int sock = session.daemon_uid == 0 ? -1 : transport_dial_running(0);
  if (sock < 0)
    return false;
  libc_real()->close(sock);
  session_follow(0);
  return session_ready(true) == 0 && session_agent(0, NULL, NULL) == 0;
}

bool session_is_elsewhere(unsigned uid) {
  return atomic_load(&session.state) == SESSION_READY && session.daemon_uid != uid;
}

bool session_begun(void) { return atomic_load(&session.state) != SESSION_NONE; }

bool session_is_with(int pid) {
  return atomic_load(&session.state) == SESSION_READY && session.daemon_pid == (uint32_t)pid;
}

struct wire_token session_token(void) {
  return session.token;
}

/* -- HELLO, by one thread at a time -- */

static int install(struct hello_answer *a) {
  const struct rules_table *rules = mmap(NULL, sizeof(struct rules_table), PROT_READ, MAP_SHARED, a->fds[1], 0);
  libc_real()->close(a->fds[1]);
  if (rules == MAP_FAILED) {
    libc_real()->close(a->fds[0]);
    return -ENOMEM;
  }
  int rc = arenas_add(a->welcome.arena_id, a->fds[0]);
  if (rc != 0 || rules->magic != RULES_MAGIC) {
    munmap((void *)(uintptr_t)rules, sizeof *rules);
    return rc ? rc : -EPROTO;
  }
  /* The old table stays mapped: another thread may be reading it. A daemon restart costs one mapping. */
  session.rules = rules;
  hosts_rules(rules);
  session.token = a->welcome.token;
  session.daemon_pid = a->welcome.daemon_pid;
  session.all_users = a->welcome.flags & WIRE_WELCOME_ALL_USERS;
  memcpy(session.endpoint, a->welcome.endpoint, sizeof session.endpoint);
  session.endpoint[sizeof session.endpoint - 1] = 0;
  fdtab_unhide_close(&session.control);
  session.control = a->control;
  a->control = -1;
  rc = fdtab_hide(&session.control);
  if (rc != 0)
    return rc;
  struct ucred daemon = {0};
  tracer_set(transport_peer_trusted(session.control, &daemon) ? daemon.pid : 0);
  session.had_daemon = true;
  atomic_store(&session.dialed, 0);
  return 0;
}

/* The machine's daemon, where root runs one for all users. 1: it took us; 0: there is none; -1 and errno. */
static int hello_as_guest(struct hello_answer *answer) {
  int keep = errno, control = transport_dial_running(0);
  if (control >= 0 && hello_exchange(control, WIRE_HELLO_GUEST, answer) == 0) {
    session.daemon_uid = 0;
    return 1;
  }
  if (errno != (control >= 0 ? ENOENT : ECONNREFUSED))
    return -1;
  errno = keep;
  return 0;
}

/* The daemon that we had, or are told to follow, or our user's. */
static int hello_to_known(struct hello_answer *answer) {
  int control = transport_dial(session.daemon_uid, session.had_daemon);
  if (control < 0 && session.daemon_uid != geteuid() && !session.all_users) {
    session.follows = false;
    session.daemon_uid = geteuid();
    control = transport_dial(session.daemon_uid, false);
  }
  return control < 0 ? -1 : hello_exchange(control, 0, answer);
}

/* A worker that dies has taken connections that it never answers; its successor does. */
static int hello_to_worker(struct hello_answer *answer) {
  int rc = hello_to_known(answer);
  for (int again = 0; rc != 0 && errno == ECONNRESET && again < HELLO_AGAIN; again++)
    rc = hello_to_known(answer);
  if (rc != 0 && errno == ECONNRESET)
    session_complain("the daemon gave no answer: %s", strerror(errno));
  return rc;
}

static int say_hello(void) {
  struct hello_answer answer;
  int guest = 0;
  if (!session.follows && !(session.had_daemon && session.daemon_uid == 0)) {
    session.daemon_uid = geteuid();
    guest = session.daemon_uid != 0 && !session.had_daemon ? hello_as_guest(&answer) : 0;
  }
  remember_ids();
  if (guest < 0 || (guest == 0 && hello_to_worker(&answer) != 0))
    return -1;
  int rc = install(&answer);
  if (answer.control >= 0)
    libc_real()->close(answer.control);
  if (rc != 0) {
    session_complain("the daemon's answer cannot be used: %s", strerror(-rc));
    errno = -rc;
    return -1;
  }
  return 0;
}

static void wait_while_busy(void) {
  struct timespec t = {.tv_sec = 1};
  int keep = errno;
  libc_real()->syscall(SYS_futex, &session.state, FUTEX_WAIT_PRIVATE, SESSION_BUSY, &t, NULL, 0);
  errno = keep;
}

/* The state is BUSY, and only this thread ends that. */
static int hello_alone(void) {
  bool room = headroom_open_if_crowded();
  int rc = say_hello(), failed = errno;
  headroom_close(room);
  if (rc != 0)
    session_complain_scarce("no session with the daemon", failed);
  atomic_store(&session.state, rc == 0 ? SESSION_READY : SESSION_NONE);
  libc_real()->syscall(SYS_futex, &session.state, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
  errno = failed;
  return rc;
}

/* A handler that left by siglongjmp() while the state is BUSY would leave it so for ever. */
static bool become_busy(uint32_t state, lock_signals *saved) {
  lock_handlers_block(saved);
  if (atomic_compare_exchange_strong(&session.state, &state, SESSION_BUSY))
    return true;
  lock_signals_restore(saved);
  return false;
}

int session_ready(bool again) {
  LOCK_NO_CANCEL;
  if (divided_lent_refused()) { /* the session would become the parent's */
    errno = ENOMEM;
    return -1;
  }
  struct wire_token before = session.token;
  uint64_t deadline = transport_now_ms() + HELLO_WAIT_MS;
  int keep = errno;
  for (;;) {
    uint32_t state = atomic_load(&session.state);
    if (state == SESSION_READY) {
      bool stale = again && memcmp(&before, &session.token, sizeof before) == 0;
      if (!stale && same_ids())
        return 0;
    }
    if (state == SESSION_BUSY) {
      if (transport_now_ms() > deadline) {
        errno = ETIMEDOUT;
        return -1;
      }
      wait_while_busy();
      continue;
    }
    lock_signals saved;
    if (!become_busy(state, &saved))
      continue;
    int rc = hello_alone(), failed = errno;
    lock_signals_restore(&saved);
    errno = rc == 0 ? keep : failed;
    return rc;
  }
}

/* -- the agent -- */

static int connect_agent(const struct sockaddr *sa, socklen_t len) {
  struct timeval limit = {.tv_sec = AGENT_DIAL_MS / 1000};
  int s = libc_real()->socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (s < 0)
    return -errno;
  fdtab_fresh(s);
  libc_real()->setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (libc_real()->connect(s, sa, len) == 0)
    return s;
  int failed = errno;
  libc_real()->close(s);
  return -failed;
}

/* The daemon has checked the endpoint; here it is only taken apart. The connection, or a negative errno. */
static int dial_agent(void) {
  union {
    struct sockaddr sa;
    struct sockaddr_un sun;
    struct sockaddr_storage any;
  } addr;
  socklen_t len;
  if (hello_endpoint(session.endpoint, &addr.any, &len) != 0)
    return -EINVAL;
  return connect_agent(&addr.sa, len);
}

int session_agent(uint32_t wait_ms, int *status, char *text) {
  LOCK_NO_CANCEL;
  struct wire_identity m = {.token = session.token, .wait_ms = wait_ms};
  struct wire_reply reply;
  static _Atomic int said; /* once for every outage: the daemon has it tried every few seconds */
  int fd = -1, keep = errno, rc = -1;
  session_header(&m.hdr, WIRE_IDENTITY, sizeof m);
  bool room = headroom_open_if_crowded();
  if (session.endpoint[0]) {
    fd = dial_agent();
    int before = atomic_exchange(&said, fd < 0 ? -fd : 0);
    if (fd < 0) {
      m.agent_errno = -fd;
      if (wait_ms == 0 && before != -fd) /* who waits is told by the daemon's answer */
        session_complain("cannot reach the SPIFFE agent at %s: %s; is it running, and may this user connect?",
                         session.endpoint, strerror(-fd));
    }
  }
  atomic_store(&session.dialed, 1);
  int sock = transport_dial(session.daemon_uid, true);
  if (sock >= 0 && session_send(sock, &m, sizeof m, fd) == 0 &&
      session_recv(sock, &reply, sizeof reply, WIRE_REPLY, NULL, (int)(wait_ms + SESSION_ANSWER_MS)) >=
          (ssize_t)sizeof reply) {
    if (status)
      *status = reply.status;
    if (text)
      memcpy(text, reply.text, sizeof reply.text);
    rc = 0;
  }
  int failed = errno;
  if (fd >= 0)
    libc_real()->close(fd);
  if (sock >= 0)
    libc_real()->close(sock);
  headroom_close(room);
  errno = rc == 0 ? keep : failed;
  return rc;
}

int session_agent_once(void) {
  LOCK_NO_CANCEL;
  if (atomic_exchange(&session.dialed, 1) != 0 || session.endpoint[0] == 0)
    return 0;
  return session_agent(0, NULL, NULL);
}

/* -- what the hooks ask -- */

static bool daemon_gone(void) {
  struct pollfd p = {.fd = session.control};
  return libc_real()->poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* Plaintext asks the daemon for nothing, and would not notice that there is another one, with other rules. True: they
 * are ours now. No daemon is started for it, and none is looked for more than once a second. */
static bool daemon_replaced(void) {
  static _Atomic uint64_t not_before;
  int keep = errno;
  bool renewed = false;
  if (daemon_gone() && transport_now_ms() >= atomic_load(&not_before)) {
    int sock = transport_dial_running(session.daemon_uid);
    if (sock >= 0) {
      libc_real()->close(sock);
      renewed = session_ready(true) == 0;
    }
    if (!renewed)
      atomic_store(&not_before, transport_now_ms() + RENEW_MS);
  }
  errno = keep;
  return renewed;
}

static int match(enum rules_kind kind, const struct sockaddr *sa, socklen_t len, struct rules_hosts *hosts,
                 struct rules_entry *out) {
  uint8_t addr[16];
  uint16_t port;
  if (rules_address(sa, len, addr, &port) != 0)
    return 0;
  if (session_ready(false) != 0)
    return -1;
  if (hosts)
    hosts_lookup(addr, hosts);
  int found = rules_match_host(session.rules, kind, addr, port, hosts, out);
  if (found == 1 && rules_entry_managed(out) && (out->mode == RULES_OFF || out->mode == RULES_CANARY) &&
      daemon_replaced())
    found = rules_match_host(session.rules, kind, addr, port, hosts, out);
  if (found < 0) {
    session_complain("the rules in shared memory are damaged: refusing; restart the daemon");
    errno = EACCES;
    return -1;
  }
  if (found == 0 || !rules_entry_managed(out))
    return 0;
  /* A canary may leave this connection in plaintext: who decides that dials the agent. */
  bool agent = out->mode == RULES_ENFORCE || out->mode == RULES_PERMISSIVE;
  return !agent || session_agent_once() == 0 ? 1 : -1;
}

int session_lookup(enum rules_kind kind, const struct sockaddr *sa, socklen_t len, struct rules_entry *out) {
  const struct rules_table *rules = session.rules;
  uint8_t addr[16];
  uint16_t port;
  if (rules_address(sa, len, addr, &port) != 0)
    return 0;
  int found = rules ? rules_match(rules, kind, addr, port, out) : -1;
  return found == 1 ? rules_entry_managed(out) : found;
}

int session_match(enum rules_kind kind, const struct sockaddr *sa, socklen_t len, struct rules_entry *out) {
  LOCK_NO_CANCEL;
  struct rules_hosts hosts;
  return match(kind, sa, len, kind == RULES_CONNECT ? &hosts : NULL, out);
}

int session_match_connect(const struct sockaddr *sa, socklen_t len, struct rules_hosts *hosts,
                          struct rules_entry *out) {
  LOCK_NO_CANCEL;
  return match(RULES_CONNECT, sa, len, hosts, out);
}

int session_dial(void) { return transport_dial(session.daemon_uid, session.had_daemon); }

int session_tell(void *msg, size_t len, size_t token_offset, int fd, struct wire_reply *reply,
                 int fds[WIRE_FDS_MAX]) {
  int rc = -1;
  if (atomic_load(&session.state) != SESSION_READY)
    return -1;
  memcpy((char *)msg + token_offset, &session.token, sizeof session.token);
  int sock = transport_dial_running(session.daemon_uid);
  if (sock < 0)
    return -1;
  if (session_send(sock, msg, len, fd) == 0 &&
      session_recv(sock, reply, sizeof *reply, WIRE_REPLY, fds, TELL_WAIT_MS) >= (ssize_t)sizeof *reply)
    rc = reply->status == WIRE_OK ? 0 : -1;
  libc_real()->close(sock);
  return rc;
}

int session_post(void *msg, size_t len, size_t token_offset) {
  if (atomic_load(&session.state) != SESSION_READY) {
    errno = ENOTCONN;
    return -1;
  }
  memcpy((char *)msg + token_offset, &session.token, sizeof session.token);
  int sock = transport_dial_running(session.daemon_uid);
  if (sock < 0)
    return -1;
  int rc = session_send(sock, msg, len, -1), failed = errno;
  libc_real()->close(sock);
  errno = failed;
  return rc;
}
