/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c - the first exchange of a session.
 *
 * The configuration is opened by the program's own process (its mount namespace, its rights) and passed as
 * a descriptor, with the values of those environment variables that the file mentions and of those that override a
 * rule's mode, and no others. The shim does not parse it.
 */
#include "hello.h"

#include "environ.h"
#include "fdtab.h"
#include "libc.h"
#include "rings.h"
#include "session.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define CONFIG_DEFAULT  "/etc/svidwrap/svidwrap.yaml"
#define CONFIG_MAX      (1024 * 1024)
#define HELLO_ANSWER_MS 20000

struct message {
  struct wire_hello hello;
  char bytes[WIRE_MAX - sizeof(struct wire_hello)];
};

/* What HELLO is made of: too much for a small stack. */
struct work {
  struct message message;
  char path[WIRE_PATH_MAX];
};

static bool append(struct message *m, size_t *used, const char *data, size_t n) {
  if (n > sizeof m->bytes - *used)
    return false;
  memcpy(m->bytes + *used, data, n);
  *used += n;
  return true;
}

static const char *value_of(const char *name) {
  const char *v = environ_get(name);
  return v ? v : getenv(name);
}

static bool already(const struct message *m, size_t from, size_t to, const char *name) {
  size_t n = strlen(name);
  for (size_t at = from; at < to; at += strlen(m->bytes + at) + 1) {
    if (strncmp(m->bytes + at, name, n) == 0 && m->bytes[at + n] == '=')
      return true;
  }
  return false;
}

static void append_var(struct message *m, size_t *used, size_t from, const char *name) {
  const char *v = value_of(name);
  if (!v || already(m, from, *used, name))
    return;
  size_t start = *used;
  if (strlen(name) + strlen(v) + 2 + (start - from) > WIRE_VARS_MAX || !append(m, used, name, strlen(name)) ||
      !append(m, used, "=", 1) || !append(m, used, v, strlen(v) + 1))
    *used = start;
}

struct overrides {
  struct message *m;
  size_t *used, from;
};

/* SVIDWRAP_LISTEN_6379_MODE, SVIDWRAP_CONNECT_REDIS_PERCENT ...: what they mean is the daemon's to say. */
static bool append_override(const char *entry, void *arg) {
  struct overrides *o = arg;
  char name[128];
  size_t n = strcspn(entry, "=");
  if (n >= sizeof name ||
      (strncmp(entry, "SVIDWRAP_LISTEN_", 16) != 0 && strncmp(entry, "SVIDWRAP_CONNECT_", 17) != 0))
    return true;
  memcpy(name, entry, n);
  name[n] = 0;
  append_var(o->m, o->used, o->from, name);
  return true;
}

/* Every ${NAME} that the text mentions. */
static void append_vars(struct message *m, size_t *used, int fd) {
  size_t from = *used;
  struct stat st;
  append_var(m, used, from, "SPIFFE_ENDPOINT_SOCKET");
  environ_each(append_override, &(struct overrides){m, used, from});
  if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > CONFIG_MAX)
    return; /* the daemon says what is wrong with it */
  size_t size = (size_t)st.st_size;
  char *text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (text == MAP_FAILED)
    return;
  ssize_t got = pread(fd, text, size, 0);
  size_t n = got > 0 ? (size_t)got : 0;
  for (size_t i = 0; i + 2 < n; i++) {
    if (text[i] != '$' || text[i + 1] != '{')
      continue;
    char name[128];
    size_t k = 0;
    for (i += 2; i < n && k + 1 < sizeof name && (isalnum((unsigned char)text[i]) || text[i] == '_'); i++)
      name[k++] = text[i];
    name[k] = 0;
    if (k > 0)
      append_var(m, used, from, name);
  }
  munmap(text, size);
}

static int open_config(const char *path) {
  int fd = (int)libc_real()->syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
  if (fd >= 0)
    fdtab_fresh(fd);
  return fd < 0 ? -errno : fd;
}

static bool size_is(int fd, off_t at_least) {
  struct stat st;
  return fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= at_least;
}

/* The path as the daemon and the log should know it: absolute. */
static void config_path(char *path, size_t size) {
  const char *given = environ_get("SVIDWRAP_CONFIG");
  size_t at = 0;
  if (!given || !*given)
    given = CONFIG_DEFAULT;
  if (given[0] != '/' && getcwd(path, size / 2)) {
    at = strlen(path);
    path[at++] = '/';
  }
  snprintf(path + at, size - at, "%s", given);
}

/* As it was before chroot(): the file, open (hidden; or a negative errno), and its path. */
static struct {
  _Atomic bool jailed;
  int fd;
  char path[WIRE_PATH_MAX];
} kept = {.fd = -ENOENT};

void hello_keep_config(void) {
  if (atomic_load(&kept.jailed))
    return;
  if (kept.fd >= 0)
    fdtab_unhide_close(&kept.fd);
  config_path(kept.path, sizeof kept.path);
  kept.fd = open_config(kept.path);
  if (kept.fd >= 0 && fdtab_hide(&kept.fd) != 0) {
    libc_real()->close(kept.fd);
    kept.fd = -EMFILE;
  }
}

void hello_jailed(void) { atomic_store(&kept.jailed, true); }

/* The configuration and its path. The number, which is the caller's to close, or a negative errno. */
static int find_config(char *path, size_t size) {
  if (!atomic_load(&kept.jailed)) {
    config_path(path, size);
    return open_config(path);
  }
  snprintf(path, size, "%s", kept.path);
  if (kept.fd < 0)
    return kept.fd;
  int fd = libc_real()->fcntl(kept.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (fd >= 0)
    fdtab_fresh(fd);
  return fd < 0 ? -errno : fd;
}

static void compose(struct work *w, uint32_t flags, size_t *length, int *config) {
  struct message *m = &w->message;
  char *path = w->path;
  size_t used = 0;
  *config = find_config(path, sizeof w->path);
  m->hello = (struct wire_hello){.pid = (uint32_t)getpid(),
                                 .flags = flags | rings_state() | (getpid() == 1 ? WIRE_HELLO_CONTAINER : 0)};
  if (*config < 0)
    m->hello.config_errno = (uint32_t)(-*config);
  m->hello.path_len = (uint32_t)strlen(path);
  append(m, &used, path, strlen(path));
  size_t vars = used;
  append_vars(m, &used, *config);
  m->hello.vars_len = (uint32_t)(used - vars);
  const char *program = program_invocation_short_name ? program_invocation_short_name : "?";
  size_t n = strnlen(program, 255);
  if (!append(m, &used, program, n))
    n = 0;
  m->hello.program_len = (uint32_t)n;
  *length = sizeof m->hello + used;
  session_header(&m->hello.hdr, WIRE_HELLO, *length);
}

static _Atomic bool config_refused;

bool hello_config_refused(void) { return atomic_load(&config_refused); }

static int judge(struct hello_answer *out) {
  struct wire_welcome *w = &out->welcome;
  atomic_store(&config_refused, w->status == WIRE_BAD_CONFIG);
  w->text[sizeof w->text - 1] = 0;
  w->endpoint[sizeof w->endpoint - 1] = 0;
  if (w->status == WIRE_NOT_FOUND)
    return ENOENT;
  if (w->status != WIRE_OK) {
    session_complain("%s; every TCP connect and listen is refused until that is mended", w->text);
    return w->err > 0 ? w->err : EACCES;
  }
  if (!size_is(out->fds[0], (off_t)ARENA_SLOTS * ARENA_STRIDE) || !size_is(out->fds[1], sizeof(struct rules_table)))
    return EPROTO;
  return 0;
}

int hello_exchange(int control, uint32_t flags, struct hello_answer *out) {
  size_t length;
  int config = -1, failed = 0;
  *out = (struct hello_answer){.control = control, .fds = {-1, -1}};
  struct work *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (w == MAP_FAILED) {
    libc_real()->close(control);
    errno = ENOMEM;
    return -1;
  }
  compose(w, flags, &length, &config);
  if (session_send(control, &w->message, length, config) != 0 ||
      session_recv(control, &out->welcome, sizeof out->welcome, WIRE_WELCOME, out->fds, HELLO_ANSWER_MS) <
          (ssize_t)sizeof out->welcome) {
    failed = errno ? errno : EPROTO;
    if (failed == EPIPE)
      failed = ECONNRESET;
    if (failed != ECONNRESET) /* a worker that died: the caller tries its successor first */
      session_complain("the daemon gave no answer: %s", strerror(failed));
  } else {
    failed = judge(out);
  }
  munmap(w, sizeof *w);
  if (config >= 0)
    libc_real()->close(config);
  if (failed == 0)
    return 0;
  for (int i = 0; i < 2; i++) {
    if (out->fds[i] >= 0)
      libc_real()->close(out->fds[i]);
  }
  libc_real()->close(control);
  errno = failed;
  return -1;
}

static int endpoint_tcp(const char *rest, struct sockaddr_storage *addr, socklen_t *len) {
  char host[64];
  const char *colon = strrchr(rest, ':');
  if (!colon || (size_t)(colon - rest) >= sizeof host)
    return -1;
  size_t n = (size_t)(colon - rest);
  memcpy(host, rest, n);
  host[n] = 0;
  char *end;
  long port = strtol(colon + 1, &end, 10);
  if (port < 1 || port > 65535 || *end)
    return -1;
  struct sockaddr_in *in = (struct sockaddr_in *)addr;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;
  if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
    host[n - 1] = 0;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    *len = sizeof *in6;
    return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 ? 0 : -1;
  }
  in->sin_family = AF_INET;
  in->sin_port = htons((uint16_t)port);
  *len = sizeof *in;
  return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -1;
}

int hello_endpoint(const char *endpoint, struct sockaddr_storage *addr, socklen_t *len) {
  memset(addr, 0, sizeof *addr);
  if (strncmp(endpoint, "tcp://", 6) == 0)
    return endpoint_tcp(endpoint + 6, addr, len);
  if (strncmp(endpoint, "unix:", 5) != 0)
    return -1;
  const char *path = endpoint + 5;
  if (strncmp(path, "//", 2) == 0)
    path += 2;
  struct sockaddr_un *sun = (struct sockaddr_un *)addr;
  if (path[0] != '/' || strlen(path) >= sizeof sun->sun_path)
    return -1;
  sun->sun_family = AF_UNIX;
  memcpy(sun->sun_path, path, strlen(path) + 1);
  *len = (socklen_t)sizeof *sun;
  return 0;
}
