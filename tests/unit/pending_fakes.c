/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_fakes.c - see pending_fakes.h. The fake daemon is a thread of the test; the fake record engine
 * moves bytes in the clear, so that a test sees what reached the wire.
 */
#include "pending_fakes.h"

#include "epollreg.h"
#include "listener.h"
#include "relay.h"
#include "session.h"
#include "stream.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

_Atomic int fake_answer, fake_errno = EACCES, fake_asked, fake_answered, fake_hellos, fake_agents, fake_gone;
in_port_t fake_managed[4];
struct rules_entry fake_rule, fake_late;
int fake_late_at;
struct fake_told *fake_told;
struct fake_net fake_net;

/* -- the daemon -- */

#define SLOTS 64
static struct arena_slot *slots; /* shared with forked children */
static _Atomic uint32_t next_slot;
static int daemon_fd;
static struct sockaddr_un daemon_addr;
static socklen_t daemon_len;

struct arena_slot *fake_last_slot(void) {
  return &slots[(atomic_load(&next_slot) - 1) % SLOTS];
}

struct asked {
  int reply, tcp, answer;
  bool in_progress;
};
#define HELD 64
static struct asked held[HELD];
static _Atomic int holding;

static void say(int reply, int status, int err, uint32_t slot, uint32_t use) {
  struct wire_connected a = {.status = status, .err = err, .arena_id = 7, .slot = slot, .slot_use = use};
  session_header(&a.hdr, WIRE_CONNECTED, sizeof a);
  send(reply, &a, sizeof a, MSG_NOSIGNAL);
}

/* TCP is what comes first: has connect() ended, and how? */
static bool tcp_failed(const struct asked *q) {
  struct pollfd p = {.fd = q->tcp, .events = POLLOUT};
  libc_real()->poll(&p, 1, q->in_progress ? 2000 : 0);
  return (p.revents & (POLLERR | POLLHUP)) != 0;
}

static void grant(int reply) {
  uint32_t i = atomic_fetch_add(&next_slot, 1) % SLOTS;
  slots[i].magic = ARENA_SLOT_MAGIC;
  __atomic_add_fetch(&slots[i].use, 1, __ATOMIC_SEQ_CST);
  atomic_store(&slots[i].holders, 0);
  atomic_store(&slots[i].state, ARENA_READY);
  say(reply, WIRE_OK, 0, i, slots[i].use);
}

static void answer(struct asked *q) {
  int what = q->answer;
  if (what == FAKE_FORGETFUL || what == FAKE_NEEDS_AGENT) {
    int first = atomic_load(&fake_asked) == 1;
    if (first) {
      say(q->reply, what == FAKE_FORGETFUL ? WIRE_UNKNOWN_SESSION : WIRE_NEED_AGENT, 0, 0, 0);
    } else {
      grant(q->reply);
    }
  } else if (what == FAKE_CONTRARY || (what == FAKE_LOOK_AGAIN && atomic_load(&fake_asked) == 1)) {
    say(q->reply, WIRE_BAD_REQUEST, EACCES, 0, 0);
  } else if (what == FAKE_DIE) {
    /* closed below, unanswered */
  } else if (what == FAKE_STUBBORN) {
    say(q->reply, WIRE_UNKNOWN_SESSION, ECONNREFUSED, 0, 0);
  } else if (what == FAKE_GARBAGE) {
    send(q->reply, "what?", 5, MSG_NOSIGNAL);
  } else if (what == FAKE_LIAR || tcp_failed(q)) {
    say(q->reply, WIRE_TCP_FAILED, 0, 0, 0);
  } else if (what == FAKE_REFUSE) {
    say(q->reply, WIRE_REFUSED, atomic_load(&fake_errno), 0, 0);
  } else {
    grant(q->reply);
  }
  libc_real()->close(q->tcp);
  libc_real()->close(q->reply);
  atomic_fetch_add(&fake_answered, 1);
}

static int take_request(int c, bool *in_progress) {
  struct wire_connect m;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {&m, sizeof m};
  struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int fd = -1;
  if (recvmsg(c, &h, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof m)
    return -1;
  struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
  if (cm)
    memcpy(&fd, CMSG_DATA(cm), sizeof fd);
  *in_progress = (m.flags & WIRE_CONNECT_IN_PROGRESS) != 0;
  return fd;
}

static _Atomic int release_as = -1;

static void look_at_held(void) {
  int as = atomic_exchange(&release_as, -1);
  for (int i = 0; i < HELD; i++) {
    struct pollfd p = {.fd = held[i].reply, .events = POLLIN};
    if (held[i].reply < 0)
      continue;
    if (as >= 0) {
      held[i].answer = as;
      answer(&held[i]);
    } else if (libc_real()->poll(&p, 1, 0) > 0) {
      atomic_fetch_add(&fake_gone, 1);
      libc_real()->close(held[i].tcp);
      libc_real()->close(held[i].reply);
    } else {
      continue;
    }
    held[i].reply = -1;
    atomic_fetch_sub(&holding, 1);
  }
}

static void hold(struct asked q) {
  for (int i = 0; i < HELD; i++) {
    if (held[i].reply < 0) {
      held[i] = q;
      atomic_fetch_add(&holding, 1);
      return;
    }
  }
  abort();
}

static void *serve(void *arg) {
  (void)arg;
  for (;;) {
    struct pollfd p = {.fd = daemon_fd, .events = POLLIN};
    libc_real()->poll(&p, 1, 2);
    look_at_held();
    if (!(p.revents & POLLIN))
      continue;
    struct asked q = {.reply = libc_real()->accept4(daemon_fd, NULL, NULL, SOCK_CLOEXEC)};
    q.tcp = take_request(q.reply, &q.in_progress);
    if (q.tcp < 0) {
      libc_real()->close(q.reply);
      continue;
    }
    q.answer = atomic_load(&fake_answer);
    atomic_fetch_add(&fake_asked, 1);
    if (q.answer == FAKE_HOLD)
      hold(q);
    else
      answer(&q);
  }
  return NULL;
}

static void release(int as) {
  atomic_store(&release_as, as);
  while (atomic_load(&release_as) >= 0)
    usleep(1000);
}

void fake_release(int as) {
  for (int i = 0; i < WAIT_MS && atomic_load(&holding) == 0; i++)
    usleep(1000); /* the question is still on its way */
  release(as);
}

bool fake_refuses_plain;

void fake_reset(int as) {
  release(FAKE_DIE);
  atomic_store(&fake_answer, as);
  atomic_store(&fake_asked, 0);
  atomic_store(&fake_answered, 0);
  atomic_store(&fake_hellos, 0);
  atomic_store(&fake_agents, 0);
  atomic_store(&fake_told->count, 0);
  fake_late_at = 0;
  fake_refuses_plain = false;
  fake_rule = (struct rules_entry){.kind = RULES_CONNECT, .mode = RULES_ENFORCE, .percent = 100, .rule = 3};
  atomic_store(&fake_gone, 0);
  atomic_store(&fake_errno, EACCES);
}

static int tcp_listener(struct sockaddr_in *sa, int backlog) {
  socklen_t len = sizeof *sa;
  int fd = libc_real()->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  *sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (in_port_t port = 21500; port < 21999; port++) {
    sa->sin_port = htons(port);
    if (libc_real()->bind(fd, (struct sockaddr *)sa, len) == 0)
      break;
  }
  if (backlog >= 0)
    libc_real()->listen(fd, backlog);
  return fd;
}

int fake_setup(void **state) {
  (void)state;
  pthread_t t;
  fake_net.open_fd = tcp_listener(&fake_net.open, 512);
  fake_net.stuck_fd = tcp_listener(&fake_net.stuck, 0);
  for (int i = 0; i < 4; i++) {
    int fd = libc_real()->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    libc_real()->connect(fd, (struct sockaddr *)&fake_net.stuck, sizeof fake_net.stuck);
  }
  tcp_listener(&fake_net.closed, -1); /* bound, so that nobody else listens there */
  fake_managed[0] = fake_net.open.sin_port;
  fake_managed[1] = fake_net.stuck.sin_port;
  fake_managed[2] = fake_net.closed.sin_port;
  fake_told = mmap(NULL, sizeof *fake_told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  slots = mmap(NULL, SLOTS * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  daemon_addr.sun_family = AF_UNIX;
  int n = snprintf(daemon_addr.sun_path + 1, sizeof daemon_addr.sun_path - 1, "svidwrap-test-%d", getpid());
  daemon_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
  daemon_fd = libc_real()->socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  libc_real()->bind(daemon_fd, (struct sockaddr *)&daemon_addr, daemon_len);
  libc_real()->listen(daemon_fd, 64);
  for (int i = 0; i < HELD; i++)
    held[i].reply = -1;
  return pthread_create(&t, NULL, serve, NULL);
}

/* -- the session -- */

int session_match(enum rules_kind kind, const struct sockaddr *sa, socklen_t len, struct rules_entry *out) {
  uint8_t addr[16];
  uint16_t port;
  *out = fake_late_at && atomic_load(&fake_asked) >= fake_late_at ? fake_late : fake_rule;
  out->kind = (uint8_t)kind;
  if (rules_address(sa, len, addr, &port) != 0)
    return 0;
  for (size_t i = 0; i < sizeof fake_managed / sizeof fake_managed[0]; i++) {
    if (fake_managed[i] && fake_managed[i] == htons(port))
      return rules_entry_managed(out);
  }
  return 0;
}

int session_agent_once(void) { return 0; }

int session_request(void *msg, size_t len, size_t token_offset, int fd, struct wire_reply *reply,
                    int fds[WIRE_FDS_MAX], int *life) {
  (void)fd;
  (void)fds;
  (void)life;
  *reply = (struct wire_reply){.status = fake_refuses_plain ? WIRE_REFUSED : WIRE_OK};
  return session_post(msg, len, token_offset);
}

int session_post(void *msg, size_t len, size_t token_offset) {
  (void)token_offset;
  if (len != sizeof fake_told->last)
    return -1;
  memcpy(&fake_told->last, msg, len);
  atomic_fetch_add(&fake_told->count, 1);
  return 0;
}

int session_match_connect(const struct sockaddr *sa, socklen_t len, struct rules_hosts *hosts,
                          struct rules_entry *out) {
  *hosts = (struct rules_hosts){0};
  return session_match(RULES_CONNECT, sa, len, out);
}

int session_dial(void) {
  int s = libc_real()->socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (libc_real()->connect(s, (struct sockaddr *)&daemon_addr, daemon_len) != 0)
    abort();
  return s;
}

void session_header(struct wire_hdr *h, enum wire_type type, size_t length) {
  *h = (struct wire_hdr){
      .magic = WIRE_MAGIC, .version = WIRE_VERSION, .type = (uint16_t)type, .length = (uint32_t)length};
}

struct wire_token session_token(void) {
  return (struct wire_token){{1}};
}

int session_ready(bool again) {
  if (again)
    atomic_fetch_add(&fake_hellos, 1);
  return 0;
}

int session_agent(uint32_t wait_ms, int *status, char *text) {
  (void)wait_ms;
  (void)status;
  (void)text;
  atomic_fetch_add(&fake_agents, 1);
  return 0;
}

int session_send(int sock, const void *msg, size_t len, int fd) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct iovec iov = {(void *)(uintptr_t)msg, len};
  struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&h);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return sendmsg(sock, &h, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

struct arena_slot *session_slot(uint64_t arena_id, uint32_t slot) {
  return arena_id == 7 && slot < SLOTS ? &slots[slot] : NULL;
}

void session_complain(const char *fmt, ...) { (void)fmt; }
void session_complain_scarce(const char *what, int err) {
  (void)what;
  (void)err;
}

/* -- the record engine: a slot's life without its crypto -- */

_Atomic uint32_t conn_unsent;
_Atomic bool conn_any = true;

/* A piece of a record is the byte 'p'. */
bool conn_piece(struct conn *c, int fd) {
  (void)c;
  char byte;
  bool piece = false;
  while (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && byte == 'p')
    piece = recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
  return piece && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

int conn_take(struct conn *c, struct arena_slot *slot, uint32_t use) {
  uint32_t ready = ARENA_READY;
  if (__atomic_load_n(&slot->use, __ATOMIC_SEQ_CST) != use ||
      !atomic_compare_exchange_strong(&slot->state, &ready, ARENA_LIVE))
    return -ESTALE;
  memset(c, 0, sizeof *c);
  c->slot = slot;
  atomic_store(&slot->holders, 1);
  return 0;
}
void conn_close(struct conn *c, int fd) {
  (void)fd;
  if (atomic_fetch_sub(&c->slot->holders, 1) == 1)
    atomic_store(&c->slot->state, ARENA_RELEASED);
}
void conn_free(struct conn *c) { (void)c; }
void conn_join(struct conn *c, struct arena_slot *slot, uint32_t use) {
  memset(c, 0, sizeof *c);
  c->slot = slot;
  c->use = use;
}

void conn_number_left(struct conn *c, int fd) {
  (void)c;
  (void)fd;
}
void conn_hold(struct conn *c) { atomic_fetch_add(&c->slot->holders, 1); }
void conn_unhold(struct conn *c) { atomic_fetch_sub(&c->slot->holders, 1); }
void conn_after_fork(struct conn *c) { (void)c; }
int conn_shutdown(struct conn *c, int fd, int how) {
  (void)c;
  return libc_real()->shutdown(fd, how);
}
bool conn_connect0(struct conn *c, bool next) {
  return __atomic_exchange_n(&c->counted, next, __ATOMIC_SEQ_CST); /* a field that nobody needs here */
}
int conn_flush(struct conn *c, int fd) {
  (void)c;
  (void)fd;
  atomic_store(&conn_unsent, 0);
  return 0;
}
void listener_closing(struct listener *l) { (void)l; }
void listener_closed(struct listener *l) { (void)l; }

/* -- the program's calls -- */

static int native_connect(int fd, const struct sockaddr *sa, socklen_t len) {
  return libc_real()->connect(fd, sa, len);
}
static int native_poll(struct pollfd *p, nfds_t n, int t) { return libc_real()->poll(p, n, t); }
static int native_select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t) {
  return libc_real()->select(n, r, w, e, t);
}
static int native_epoll_ctl(int e, int op, int fd, struct epoll_event *ev) {
  return libc_real()->epoll_ctl(e, op, fd, ev);
}
static int native_epoll_wait(int e, struct epoll_event *ev, int n, int t) {
  return libc_real()->epoll_wait(e, ev, n, t);
}
const struct fake_api fake_native = {false,         native_connect,   native_poll,
                                     native_select, native_epoll_ctl, native_epoll_wait};
const struct fake_api fake_wrapped = {true, connect, poll, select, epoll_ctl, epoll_wait};

int fake_socket(const struct fake_api *api, bool nonblock) {
  int fd = libc_real()->socket(AF_INET, SOCK_STREAM | (nonblock ? SOCK_NONBLOCK : 0), 0);
  if (api->wrapped) {
    fdtab_fresh(fd);
    atomic_store(&fdtab_flags[fd], FDF_TCP);
  }
  return fd;
}

int fake_close(const struct fake_api *api, int fd) {
  if (api->wrapped)
    fdtab_close(fd);
  return libc_real()->close(fd);
}

enum sock_kind fake_kind(int fd) {
  struct sock *s = fdtab_get(fd);
  enum sock_kind kind = s ? (enum sock_kind)atomic_load(&s->kind) : SOCK_UNUSED;
  if (s)
    sock_put(s);
  return kind;
}

/* A socket that is PENDING or FAILED answers -1 or 0 here; else 1: make the real call. */
static ssize_t met(const struct fake_api *api, int fd, bool write) {
  struct sock *s = api->wrapped ? fdtab_get(fd) : NULL;
  if (!s)
    return 1;
  enum sock_kind kind = pending_settle(s, fd);
  ssize_t n = 1;
  if (kind == SOCK_PENDING || kind == SOCK_FAILED) {
    n = pending_io(s, fd, write, MSG_NOSIGNAL);
    if (n == 0 && (atomic_load(&s->kind) == SOCK_CONN || atomic_load(&s->kind) == SOCK_PLAIN))
      n = 1;
  }
  sock_put(s);
  return n;
}

ssize_t fake_read(const struct fake_api *api, int fd, void *buf, size_t n) {
  ssize_t rc = met(api, fd, false);
  return rc == 1 ? libc_real()->recv(fd, buf, n, 0) : rc;
}
ssize_t fake_write(const struct fake_api *api, int fd, const void *buf, size_t n) {
  ssize_t rc = met(api, fd, true);
  return rc == 1 ? libc_real()->send(fd, buf, n, MSG_NOSIGNAL) : rc;
}

int fake_so_error(const struct fake_api *api, int fd) {
  int err = 0;
  socklen_t len = sizeof err;
  struct sock *s = api->wrapped ? fdtab_get(fd) : NULL;
  if (s && atomic_load(&s->kind) != SOCK_CONN && atomic_load(&s->kind) != SOCK_PLAIN)
    pending_so_error(s, fd, &err);
  else
    libc_real()->getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
  if (s)
    sock_put(s);
  return err;
}

int fake_getpeername(const struct fake_api *api, int fd) {
  struct sockaddr_in sa;
  socklen_t len = sizeof sa;
  struct sock *s = api->wrapped ? fdtab_get(fd) : NULL;
  int rc = s ? pending_getpeername(s, fd, (struct sockaddr *)&sa, &len)
             : libc_real()->getpeername(fd, (struct sockaddr *)&sa, &len);
  if (s)
    sock_put(s);
  return rc;
}

int fake_shutdown(const struct fake_api *api, int fd, int how) {
  struct sock *s = api->wrapped ? fdtab_get(fd) : NULL;
  int rc = s ? pending_shutdown(s, fd, how) : libc_real()->shutdown(fd, how);
  if (s)
    sock_put(s);
  return rc;
}

bool stream_has(int fd) { return fd <= 2; }

/* Nothing here connects on a standard stream's number. */
void relay_follow_number(int fd) { (void)fd; } /* nothing forks here */
int relay_convert(int fd, const char *what) {
  (void)fd;
  (void)what;
  return -ENOSYS;
}
int relay_address(int fd, bool peer, struct sockaddr_storage *sa, socklen_t *len) {
  (void)fd;
  (void)peer;
  (void)sa;
  (void)len;
  return 0;
}

pid_t fake_fork(void) {
  lock_signals saved;
  pending_fork_prepare();
  fdtab_before_fork(&saved);
  pid_t pid = libc_real()->fork();
  if (pid == 0) {
    fdtab_after_fork_child(&saved);
    pending_fork_child();
  } else {
    fdtab_after_fork_parent(&saved);
    pending_fork_parent(pid < 0);
  }
  return pid;
}
