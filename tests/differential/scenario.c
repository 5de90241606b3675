/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario.c - main, the trace and the helpers of the scenario program.
 *
 *   scenario NAME PORT [DEAD_PORT]     runs one scenario and prints its trace
 *   scenario --list                    all as "FAMILY NAME QUESTION"
 *
 * $SCENARIO_MARKER goes into every payload. The trace lives in shared memory, so that it survives a child
 * that is killed; a scenario that hangs prints what it has and exits 3.
 */
#include "scenario.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define ROLES     24
#define ROLE_TEXT (96u * 1024u)

struct trace_role {
  char name[24];
  _Atomic size_t len;
  char text[ROLE_TEXT];
};
struct trace {
  _Atomic int lock;
  int count;
  pid_t owner;
  struct trace_role role[ROLES];
};

uint16_t port, dead_port;
const char *self;
static struct trace *trace;
static __thread struct trace_role *mine;
static char block[64];

static struct scenario *scenarios;

/* ---- trace ---- */
void role(const char *name) {
  while (atomic_exchange(&trace->lock, 1))
    usleep(100);
  struct trace_role *found = NULL;
  for (int i = 0; i < trace->count; i++) {
    if (strcmp(trace->role[i].name, name) == 0)
      found = &trace->role[i];
  }
  if (found == NULL && trace->count < ROLES) {
    found = &trace->role[trace->count++];
    snprintf(found->name, sizeof found->name, "%s", name);
  }
  mine = found;
  trace->lock = 0;
  if (found == NULL)
    give_up("too many roles");
}

void say(const char *fmt, ...) {
  int saved = errno;
  char line[512];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(line, sizeof line - 1, fmt, ap);
  va_end(ap);
  size_t len = n < 0 ? 0 : (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
  line[len++] = '\n';
  size_t at = atomic_fetch_add(&mine->len, len);
  if (at + len < ROLE_TEXT)
    memcpy(mine->text + at, line, len);
  errno = saved;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct trace_role *)a)->name, ((const struct trace_role *)b)->name);
}

static void print_trace(void) {
  qsort(trace->role, (size_t)trace->count, sizeof trace->role[0], by_name);
  for (int i = 0; i < trace->count; i++) {
    struct trace_role *r = &trace->role[i];
    r->text[r->len < ROLE_TEXT ? r->len : ROLE_TEXT - 1] = 0;
    for (char *save = NULL, *line = strtok_r(r->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
      printf("%s: %s\n", r->name, line);
  }
  fflush(stdout);
}

void give_up(const char *why) {
  say("GAVE UP: %s", why);
  if (getpid() != trace->owner) { /* the owner prints, and sees from our end that all is not well */
    kill(trace->owner, SIGALRM);
    _exit(3);
  }
  print_trace();
  _exit(3);
}

static void on_alarm(int sig) {
  (void)sig;
  role("scenario");
  say("HANG or failure elsewhere");
  print_trace();
  _exit(3);
}

const char *errno_name(int e) {
  const char *n = strerrorname_np(e);
  return n ? n : "?";
}

long said_call(const char *text, long result, int error) {
  if (result == -1)
    say("%s = -1 %s", text, errno_name(error));
  else if (error != 0)
    say("%s = %ld (errno set to %s)", text, result, errno_name(error));
  else
    say("%s = %ld", text, result);
  errno = error;
  return result;
}

void say_bytes(const char *what, const void *p, size_t n) {
  say("%s: %zu bytes %016llx", what, n, (unsigned long long)hash_bytes(0, p, n));
}

/* ---- sockets ---- */
struct sockaddr_in at_port(uint16_t p) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(p), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int listen_on(int flags, int backlog) {
  int fd = socket(AF_INET, SOCK_STREAM | flags, 0), one = 1;
  struct sockaddr_in a = at_port(port);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0)
    give_up("socket");
  if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0) {
    say("bind: %s", errno_name(errno));
    give_up("bind");
  }
  if (listen(fd, backlog) != 0) {
    say("listen: %s", errno_name(errno));
    give_up("listen");
  }
  return fd;
}

int client_socket(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  if (fd < 0)
    give_up("socket");
  return fd;
}

int connect_to(int fd, uint16_t p) {
  struct sockaddr_in a = at_port(p);
  return connect(fd, (struct sockaddr *)&a, sizeof a);
}

void pair_keep(int *listener, int *server, int *client) {
  *listener = listen_on(SOCK_CLOEXEC, 16);
  *client = client_socket(0);
  if (connect_to(*client, port) != 0) {
    say("connect: %s", errno_name(errno));
    give_up("connect");
  }
  *server = accept(*listener, NULL, NULL);
  if (*server < 0) {
    say("accept: %s", errno_name(errno));
    give_up("accept");
  }
  no_delay(*client);
  no_delay(*server);
}

void pair(int *server, int *client) {
  int listener;
  pair_keep(&listener, server, client);
  close(listener);
}

void set_nonblock(int fd, bool on) {
  int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* ---- waiting ---- */
short poll_for(int fd, short events, int ms) {
  struct pollfd p = {.fd = fd, .events = events};
  int n;
  do
    n = poll(&p, 1, ms);
  while (n < 0 && errno == EINTR);
  return n > 0 ? p.revents : 0;
}

const char *mask_name(short mask, char buf[64]) {
  static const struct {
    short bit;
    const char *name;
  } names[] = {{POLLIN, "IN"},   {POLLPRI, "PRI"},   {POLLOUT, "OUT"},    {POLLERR, "ERR"},
               {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}};
  buf[0] = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (mask & names[i].bit) {
      strcat(buf, buf[0] ? "|" : "");
      strcat(buf, names[i].name);
    }
  }
  return buf[0] ? buf : "0";
}

void say_poll(const char *what, int fd, short events, int ms) {
  char asked[64], got[64];
  say("poll %s for %s: %s", what, mask_name(events, asked), mask_name(poll_for(fd, events, ms), got));
}

void say_wait(const char *what, int fd, short events) { say_poll(what, fd, events, 30000); }

void wait_mask(int fd, short events, short all) {
  for (int i = 0; i < 6000; i++) {
    if ((poll_for(fd, events, 0) & all) == all)
      return;
    nap(5);
  }
  char buf[64];
  say("mask never came: %s", mask_name(all, buf));
}

void nap(int ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {
  }
}

void until_asleep(pid_t who) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)who);
  for (int asleep = 0, i = 0; asleep < 50 && i < 10000; i++, nap(2)) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
      close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *name_ends = strrchr(text, ')');
    asleep = name_ends && name_ends[1] == ' ' && name_ends[2] == 'S' ? asleep + 1 : 0;
  }
}

pid_t child_status(pid_t pid) {
  int st = 0;
  pid_t got;
  do
    got = waitpid(pid, &st, 0);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    say("waitpid: %s", errno_name(errno));
  else if (WIFEXITED(st))
    say("child exited %d", WEXITSTATUS(st));
  else
    say("child killed by signal %d", WTERMSIG(st));
  return got;
}

/* ---- bytes ---- */
/* The byte at one place of the stream: the marker, and the number of the 64-byte block it is in. */
static uint8_t byte_at(uint64_t at) {
  size_t i = at % 64;
  return i < 56 ? (uint8_t)block[i] : (uint8_t)((at / 64) >> (8 * (i - 56)));
}

void fill(void *p, size_t n, uint64_t at) {
  for (size_t i = 0; i < n; i++)
    ((uint8_t *)p)[i] = byte_at(at + i);
}

bool same(const void *p, size_t n, uint64_t at) {
  for (size_t i = 0; i < n; i++) {
    if (((const uint8_t *)p)[i] != byte_at(at + i))
      return false;
  }
  return true;
}

uint64_t hash_bytes(uint64_t h, const void *p, size_t n) {
  if (h == 0)
    h = 14695981039346656037ull;
  for (size_t i = 0; i < n; i++)
    h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211ull;
  return h;
}

size_t write_all(int fd, size_t n, uint64_t at, size_t piece) {
  uint8_t *buf = malloc(piece);
  size_t done = 0;
  while (done < n) {
    size_t want = n - done < piece ? n - done : piece;
    fill(buf, want, at + done);
    ssize_t w = write(fd, buf, want);
    if (w < 0 && errno == EINTR)
      continue;
    if (w < 0 && errno == EAGAIN) {
      poll_for(fd, POLLOUT, 30000);
      continue;
    }
    if (w <= 0) {
      say("write_all stopped: %s", errno_name(errno));
      break;
    }
    done += (size_t)w;
  }
  free(buf);
  return done;
}

size_t read_all(int fd, size_t n, uint64_t at, size_t piece) {
  uint8_t *buf = malloc(piece);
  size_t done = 0;
  while (done < n) {
    ssize_t r = read(fd, buf, n - done < piece ? n - done : piece);
    if (r < 0 && errno == EINTR)
      continue;
    if (r < 0 && errno == EAGAIN) {
      poll_for(fd, POLLIN, 30000);
      continue;
    }
    if (r < 0)
      say("read_all stopped: %s", errno_name(errno));
    if (r <= 0)
      break;
    if (!same(buf, (size_t)r, at + done)) {
      say("read_all: wrong bytes at %zu", done);
      break;
    }
    done += (size_t)r;
  }
  free(buf);
  return done;
}

/* ---- threads and processes ---- */
void step_init(struct step *s) {
  if (pipe(s->fd) != 0)
    give_up("pipe");
}
void step_go(struct step *s) {
  if (write(s->fd[1], "x", 1) != 1)
    give_up("step_go");
}
void step_wait(struct step *s) {
  char c;
  if (poll_for(s->fd[0], POLLIN, 30000) == 0)
    give_up("the other side never came");
  if (read(s->fd[0], &c, 1) != 1)
    give_up("step_wait");
}
pid_t newest_thread;
struct begun {
  void *(*fn)(void *);
  void *arg;
  _Atomic pid_t id;
};

static void *begin(void *arg) {
  struct begun *b = arg;
  void *(*fn)(void *) = b->fn;
  void *given = b->arg;
  atomic_store(&b->id, gettid()); /* from here on it is not ours */
  return fn(given);
}

pthread_t thread(void *(*fn)(void *), void *arg) {
  pthread_t t;
  struct begun b = {fn, arg, 0};
  if (pthread_create(&t, NULL, begin, &b) != 0)
    give_up("pthread_create");
  while (atomic_load(&b.id) == 0)
    sched_yield();
  newest_thread = atomic_load(&b.id);
  return t;
}

/* ---- the scenarios ---- */
void scenario_add(struct scenario *s) {
  s->next = scenarios;
  scenarios = s;
}

/* The length of FAMILY in ".../FAMILY/NAME.c", and where both begin. */
static int names_of(const struct scenario *s, const char **family, const char **name) {
  const char *slash = strrchr(s->file, '/'), *start = slash;
  while (start > s->file && start[-1] != '/')
    start--;
  *family = start;
  *name = slash + 1;
  return (int)(slash - start);
}

static const struct scenario *find(const char *wanted) {
  for (const struct scenario *s = scenarios; s; s = s->next) {
    const char *family, *name;
    names_of(s, &family, &name);
    size_t n = strlen(name) - 2; /* ".c" */
    if (strlen(wanted) == n && memcmp(name, wanted, n) == 0)
      return s;
  }
  return NULL;
}

static int list(void) {
  for (const struct scenario *s = scenarios; s; s = s->next) {
    const char *family, *name;
    int n = names_of(s, &family, &name);
    if (s->question != NULL)
      printf("%.*s %.*s %s\n", n, family, (int)strlen(name) - 2, name, s->question);
  }
  return 0;
}

const char *beside(const char *name) {
  static char path[4096];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 100);
  if (n <= 0)
    give_up("readlink");
  path[n] = '\0';
  snprintf(strrchr(path, '/') + 1, 90, "%s", name);
  return path;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--list") == 0)
    return list();
  if (argc < 3)
    return 64;
  self = getenv("SCENARIO_SELF"); /* valgrind executes no links */
  if (self == NULL)
    self = "/proc/self/exe";
  port = (uint16_t)atoi(argv[2]);
  dead_port = argc > 3 ? (uint16_t)atoi(argv[3]) : 0;
  const char *marker = getenv("SCENARIO_MARKER");
  snprintf(block, sizeof block, "%-56s", marker ? marker : "no marker");
  trace = mmap(NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (trace == MAP_FAILED)
    return 71;
  trace->owner = getpid();
  signal(SIGALRM, on_alarm);
  alarm(getenv("SCENARIO_SLOW") ? 120 : 60);
  role("main");
  const struct scenario *s = find(argv[1]);
  if (s == NULL)
    return 64;
  s->run();
  print_trace();
  return 0;
}
