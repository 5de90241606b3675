/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_daemon.c - see support_daemon.h. Loopback only; every wait is bounded.
 */
#include "support_daemon.h"
#include "agentclient/daemon/reload.h"
#include "agentclient/daemon/ring.h"
#include "agentclient/daemon/worker.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS  30000
#define INSTANCE "unit-daemon"

/* -- the agent -- */

struct workload_client {
  struct workload_client *next;
  int fd;
  workload_fn fn;
  void *arg;
};

enum agent_mode agent_mode;
static unsigned streams;
static pthread_mutex_t agent_lock = PTHREAD_MUTEX_INITIALIZER;
static struct workload_client *agent_clients;
struct pki_ca *ca, *other_ca;
struct pki_svid *self, *web, *stranger, *foreigner;

int workload_start(void) { return 0; }
void workload_stop(void) {}

static void tell(struct workload_client *c, enum workload_event event) {
  struct identity *id = event == WORKLOAD_UPDATE ? pki_identity(self, (struct pki_ca *[]){ca, NULL}) : NULL;
  c->fn(c->arg, event, id, event == WORKLOAD_DENIED ? 7 : 0, event == WORKLOAD_UPDATE ? "" : "no identity issued");
}

static void *first_answer(void *arg) {
  struct workload_client *c;
  pthread_mutex_lock(&agent_lock);
  for (c = agent_clients; c && c != arg; c = c->next) {
  }
  if (c)
    tell(c, agent_mode == AGENT_SERVES ? WORKLOAD_UPDATE : WORKLOAD_DENIED);
  pthread_mutex_unlock(&agent_lock);
  return NULL;
}

struct workload_client *workload_open_fd(int fd, workload_fn fn, void *arg) {
  struct workload_client *c = calloc(1, sizeof *c);
  *c = (struct workload_client){.fd = fd, .fn = fn, .arg = arg};
  pthread_mutex_lock(&agent_lock);
  c->next = agent_clients;
  agent_clients = c;
  streams++;
  pthread_mutex_unlock(&agent_lock);
  pthread_t t;
  if (agent_mode != AGENT_SILENT && pthread_create(&t, NULL, first_answer, c) == 0)
    pthread_detach(t);
  return c;
}

struct workload_client *workload_open_address(const char *endpoint, workload_fn fn, void *arg) {
  (void)endpoint;
  return workload_open_fd(-1, fn, arg);
}

void workload_close(struct workload_client *client) {
  pthread_mutex_lock(&agent_lock);
  struct workload_client **at = &agent_clients;
  while (*at != client)
    at = &(*at)->next;
  *at = client->next;
  pthread_mutex_unlock(&agent_lock);
  if (client->fd >= 0)
    close(client->fd);
  free(client);
}

unsigned agent_streams(void) {
  pthread_mutex_lock(&agent_lock);
  unsigned n = streams;
  pthread_mutex_unlock(&agent_lock);
  return n;
}

void agent_tells(enum workload_event event) {
  pthread_mutex_lock(&agent_lock);
  for (struct workload_client *c = agent_clients; c; c = c->next)
    tell(c, event);
  pthread_mutex_unlock(&agent_lock);
}

/* -- the worker -- */

static char dir[64], daemon_name[80], audit_path[128];
static pthread_t thread;
static pthread_barrier_t ready; /* the worker's thread and the test's meet */
static struct worker worker;
static struct daemon_options options = {.linger_ms = 3600000};
uint16_t listen_port, connect_port;
void (*daemon_lookup)(const char *name, struct resolver_answer *out);
const char *config_text;
static char config_room[4096];

void config_rules(const char *yaml) {
  snprintf(config_room, sizeof config_room,
           "workload_api: { socket: \"unix:///run/agent.sock\" }\n"
           "log: { to: %s/log, level: debug }\n"
           "audit: { to: %s }\n%s",
           dir, audit_path, yaml);
  config_text = config_room;
}

static void *serve(void *arg) {
  options.lookup = daemon_lookup;
  int rc = worker_open(&worker, &options, daemon_name);
  /* Only after a restart: the machine may be full of stand-ins that are none of ours. */
  struct ring *ring =
      rc == 0 && worker.base && arg ? ring_begin(worker.base, worker.uid, worker_knows, &worker) : NULL;
  pthread_barrier_wait(&ready);
  if (rc == 0 && worker.base)
    event_base_dispatch(worker.base);
  ring_end(ring);
  worker_close(&worker);
  return NULL;
}

static void worker_start(void *ring) {
  pthread_barrier_init(&ready, NULL, 2);
  assert_int_equal(pthread_create(&thread, NULL, serve, ring), 0);
  pthread_barrier_wait(&ready);
}

static void worker_stop(void) {
  kill(getpid(), SIGTERM);
  pthread_join(thread, NULL);
  pthread_barrier_destroy(&ready);
}

void daemon_restart(void) {
  worker_stop();
  worker_start(&worker);
}

int daemon_group_setup(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  ca = pki_ca_new("example.org");
  other_ca = pki_ca_new("other.test");
  self = pki_issue(ca, &(struct pki_leaf){.id = "spiffe://example.org/self"});
  web = pki_issue(ca, &(struct pki_leaf){.id = "spiffe://example.org/web"});
  stranger = pki_issue(ca, &(struct pki_leaf){.id = "spiffe://example.org/stranger"});
  foreigner = pki_issue(other_ca, &(struct pki_leaf){.id = "spiffe://other.test/web"});
  return 0;
}

int daemon_group_teardown(void **state) {
  (void)state;
  struct pki_svid *all[] = {self, web, stranger, foreigner};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    pki_svid_free(all[i]);
  pki_ca_free(ca);
  pki_ca_free(other_ca);
  return 0;
}

int daemon_setup(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/svidwrap-daemon-XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(audit_path, sizeof audit_path, "%s/audit", dir);
  snprintf(daemon_name, sizeof daemon_name, "svidwrap/daemon/%u/%s", (unsigned)geteuid(), dir + 5);
  agent_mode = AGENT_SERVES;
  listen_port = 22100;
  connect_port = 22200;
  config_rules("listen:\n"
               "  - { port: 22100-22199, mode: enforce, allow: [ spiffe://example.org/web ] }\n"
               "connect:\n"
               "  - { to: \"127.0.0.1:22200-22299\", mode: enforce, allow: [ spiffe://example.org/web ] }\n");
  setenv("SVIDWRAP_CONFIG", "/nonexistent", 1);
  setenv("SVIDWRAP_INSTANCE", INSTANCE, 1); /* rings nobody else's stand-ins */
  worker_start(NULL);
  return worker.base ? 0 : -1;
}

int daemon_teardown(void **state) {
  (void)state;
  worker_stop();
  char path[128];
  unlink(audit_path);
  snprintf(path, sizeof path, "%s/log", dir);
  unlink(path);
  return rmdir(dir);
}

struct change {
  struct post_item item;
  const char *rule;
  enum rules_mode mode;
  uint32_t percent;
};

static void change_one(struct config *c, const struct change *change) {
  char why[256];
  struct policy *p = policy_with_mode(c->policy, change->rule, change->mode, change->percent, why, sizeof why);
  if (!p || config_apply(&worker, c, p, why, sizeof why) != 0)
    fail_msg("%s", why);
}

static void change_all(struct post_item *item) {
  struct change *change = POST_OWNER(item, struct change, item);
  struct config *c;
  LIST_FOREACH(c, &worker.configs, link)
  change_one(c, change);
  pthread_barrier_wait(&ready);
}

void config_mode(const char *rule, enum rules_mode mode, uint32_t percent) {
  struct change change = {.item = {.fn = change_all}, .rule = rule, .mode = mode, .percent = percent};
  post_send(worker.post, &change.item);
  pthread_barrier_wait(&ready);
}

int config_fd(void) {
  char path[128];
  snprintf(path, sizeof path, "%s/config", dir);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, config_text, strlen(config_text)), (ssize_t)strlen(config_text));
  unlink(path);
  return fd;
}

/* -- the wire -- */

void header(void *msg, enum wire_type type, size_t len) {
  struct wire_hdr h = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .type = (uint16_t)type, .length = (uint32_t)len};
  memcpy(msg, &h, sizeof h);
}

int dial_daemon(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memcpy(un.sun_path + 1, daemon_name, strlen(daemon_name));
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(daemon_name));
  assert_int_equal(connect(fd, (struct sockaddr *)&un, len), 0);
  return fd;
}

void send_message(int sock, const void *msg, size_t len, int fd) {
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct iovec iov = {(void *)(uintptr_t)msg, len};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
  if (fd >= 0) {
    m.msg_control = &control;
    m.msg_controllen = sizeof control;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  assert_int_equal(sendmsg(sock, &m, MSG_NOSIGNAL), (ssize_t)len);
}

bool readable(int fd, int ms) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return poll(&p, 1, ms) == 1;
}

ssize_t receive(int sock, void *buf, size_t size, int fds[WIRE_FDS_MAX]) {
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
  } control;
  struct iovec iov = {buf, size};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int got[WIRE_FDS_MAX] = {-1, -1};
  assert_true(readable(sock, WAIT_MS));
  ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
  struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
  if (c)
    memcpy(got, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
  for (int i = 0; i < WIRE_FDS_MAX; i++) {
    if (fds)
      fds[i] = got[i];
    else if (got[i] >= 0)
      close(got[i]);
  }
  return n > 0 ? n : -1;
}

void say_hello(struct program *p) {
  static const char path[] = "/etc/test.yaml", vars[] = "A=b", program[] = "tester";
  char msg[sizeof(struct wire_hello) + sizeof path + sizeof vars + sizeof program];
  struct wire_hello h = {.pid = (uint32_t)getpid(),
                         .path_len = sizeof path - 1,
                         .vars_len = sizeof vars,
                         .program_len = sizeof program - 1};
  size_t len = sizeof h + h.path_len + h.vars_len + h.program_len;
  header(&h, WIRE_HELLO, len);
  memcpy(msg, &h, sizeof h);
  memcpy(msg + sizeof h, path, h.path_len);
  memcpy(msg + sizeof h + h.path_len, vars, h.vars_len);
  memcpy(msg + sizeof h + h.path_len + h.vars_len, program, h.program_len);
  int fd = config_fd(), fds[2];
  p->control = dial_daemon();
  send_message(p->control, msg, len, fd);
  close(fd);
  assert_int_equal(receive(p->control, &p->welcome, sizeof p->welcome, fds), sizeof p->welcome);
  p->arena = fds[0];
  p->rules = fds[1];
}

void end_program(struct program *p) {
  close(p->control);
  if (p->arena >= 0)
    close(p->arena);
  if (p->rules >= 0)
    close(p->rules);
}

struct wire_reply give_agent(struct program *p, uint32_t wait_ms) {
  struct wire_identity m = {.token = p->welcome.token, .wait_ms = wait_ms};
  struct wire_reply r;
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  header(&m, WIRE_IDENTITY, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, pair[0]);
  close(pair[0]);
  close(pair[1]);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  close(sock);
  return r;
}

void begin_program(struct program *p) {
  say_hello(p);
  assert_int_equal(p->welcome.status, WIRE_OK);
  struct wire_reply r = give_agent(p, WAIT_MS);
  assert_int_equal(r.status, WIRE_OK);
}

struct arena_slot *map_slot(int arena, uint32_t slot) {
  void *at = mmap(NULL, ARENA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, arena, (off_t)slot * ARENA_STRIDE);
  assert_true(at != MAP_FAILED);
  return at;
}

void unmap_slot(struct arena_slot *s) { munmap(s, ARENA_PAGE); }

/* -- listeners -- */

int tcp_listen(uint16_t *port, uint16_t from) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (uint16_t i = 0; i < 90; i++) {
    in.sin_port = htons((uint16_t)(from + i));
    if (bind(fd, (struct sockaddr *)&in, sizeof in) == 0 && listen(fd, 64) == 0) {
      *port = (uint16_t)(from + i);
      return fd;
    }
  }
  fail_msg("no free port from %u on", from);
  return -1;
}

void open_standin(struct standin *s, int backlog) {
  uint8_t random[16];
  assert_int_equal(getrandom(random, sizeof random, 0), sizeof random);
  int at = snprintf(s->name, sizeof s->name, "%s", WIRE_STANDIN_PREFIX);
  at += snprintf(s->name + at, sizeof s->name - (size_t)at, "%08x", wire_instance_tag(INSTANCE));
  for (size_t i = WIRE_TAG_LEN / 2; i < sizeof random; i++)
    at += snprintf(s->name + at, sizeof s->name - (size_t)at, "%02x", random[i]);
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memcpy(un.sun_path + 1, s->name, WIRE_NAME_LEN - 1);
  s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + WIRE_NAME_LEN);
  assert_int_equal(bind(s->listener, (struct sockaddr *)&un, len), 0);
  assert_int_equal(listen(s->listener, backlog), 0);
  s->tcp = tcp_listen(&s->port, listen_port);
  s->life = -1;
}

struct wire_reply request_listener(struct program *p, struct standin *s, enum wire_type type, int backlog, int *fd) {
  struct wire_listen m = {.token = p->welcome.token, .backlog = backlog, .rule = 0};
  struct wire_reply r;
  int fds[2];
  memcpy(m.name, s->name, sizeof m.name);
  header(&m, type, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, type == WIRE_LISTEN ? s->tcp : type == WIRE_ADOPT ? s->listener : -1);
  assert_int_equal(receive(sock, &r, sizeof r, fds), sizeof r);
  if (fd)
    *fd = fds[0];
  else if (fds[0] >= 0)
    close(fds[0]);
  if (r.status == WIRE_OK && (type == WIRE_LISTEN || type == WIRE_ADOPT)) {
    if (s->life >= 0)
      close(s->life);
    s->life = sock;
  } else {
    close(sock);
  }
  return r;
}

void listen_managed(struct program *p, struct standin *s, int backlog) {
  open_standin(s, backlog);
  struct wire_reply r = request_listener(p, s, WIRE_LISTEN, backlog, NULL);
  assert_int_equal(r.status, WIRE_OK);
}

void close_standin(struct standin *s) {
  if (s->listener >= 0)
    close(s->listener);
  if (s->tcp >= 0)
    close(s->tcp);
  if (s->life >= 0)
    close(s->life);
  s->listener = s->tcp = s->life = -1;
}

int accept_handover(struct standin *s, struct wire_handover *m, int *tcp) {
  int fds[2];
  assert_true(readable(s->listener, WAIT_MS));
  int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(receive(fd, m, sizeof *m, fds), sizeof *m);
  *tcp = fds[0];
  return fd;
}

/* -- TLS peers -- */

static void keylog(const SSL *ssl, const char *line) {
  struct peer *p = SSL_get_app_data(ssl);
  char label[64], random[65], hex[97];
  if (sscanf(line, "%63s %64s %96s", label, random, hex) != 3)
    return;
  uint8_t *to = strcmp(label, "CLIENT_TRAFFIC_SECRET_0") == 0   ? p->client_secret
                : strcmp(label, "SERVER_TRAFFIC_SECRET_0") == 0 ? p->server_secret
                                                                : NULL;
  for (size_t i = 0; to && i < strlen(hex) / 2; i++) {
    unsigned byte;
    sscanf(hex + 2 * i, "%2x", &byte);
    to[i] = (uint8_t)byte;
  }
}

int tcp_connect(uint16_t port) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  struct timeval tv = {.tv_sec = WAIT_MS / 1000};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
  return fd;
}

static void peer_prepare(struct peer *p, int fd, const struct pki_svid *svid, bool server) {
  memset(p, 0, sizeof *p);
  p->fd = fd;
  p->ctx = pki_peer_context(svid, server ? ca : NULL, server);
  SSL_CTX_set_keylog_callback(p->ctx, keylog);
  p->ssl = SSL_new(p->ctx);
  SSL_set_app_data(p->ssl, p);
  SSL_set_fd(p->ssl, fd);
}

bool peer_connect_on(struct peer *p, int fd, const struct pki_svid *svid) {
  peer_prepare(p, fd, svid, false);
  return SSL_connect(p->ssl) == 1;
}

bool peer_connect(struct peer *p, uint16_t port, const struct pki_svid *svid) {
  return peer_connect_on(p, tcp_connect(port), svid);
}

bool peer_accept(struct peer *p, int fd, const struct pki_svid *svid) {
  peer_prepare(p, fd, svid, true);
  return SSL_accept(p->ssl) == 1;
}

void peer_close(struct peer *p) {
  SSL_free(p->ssl);
  SSL_CTX_free(p->ctx);
  close(p->fd);
}

/* -- what is left behind -- */

unsigned audit_lines(void) {
  FILE *f = fopen(audit_path, "re");
  unsigned n = 0;
  if (!f)
    return 0;
  for (int c; (c = getc(f)) != EOF;)
    n += c == '\n';
  fclose(f);
  return n;
}

static char audit_line[8192];

bool audit_has(const char *text) {
  FILE *f = fopen(audit_path, "re");
  bool found = false;
  while (f && !found && fgets(audit_line, sizeof audit_line, f))
    found = strstr(audit_line, text) != NULL;
  if (f)
    fclose(f);
  return found;
}

const char *audit_find(const char *text) {
  for (int tries = 0; tries < 6000; tries++, usleep(5000))
    if (audit_has(text))
      return audit_line;
  return NULL;
}

unsigned open_fds(void) {
  DIR *d = opendir("/proc/self/fd");
  unsigned n = 0;
  while (readdir(d))
    n++;
  closedir(d);
  return n;
}
