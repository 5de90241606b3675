/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `svidwrap dev-agent`: options, the socket, signals and time. Serves demos and tests on one machine; it
 * never writes its CA's key anywhere and never takes over a socket that another agent still serves.
 */
#include "devagent.h"

#include "../workload/grpccore.h"
#include "mint.h"
#include "roots.h"
#include "server.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define MINTS_MAX 64

static const char usage[] =
    "usage: svidwrap dev-agent --socket PATH [--config FILE] [--print-bundle FILE] [--mint ID --out DIR]\n"
    "\n"
    "A SPIFFE Workload API server with its own CA, for demos and tests; never for production.\n"
    "\n"
    "  --socket PATH        the unix socket to serve on\n"
    "  --config FILE        entries, lifetimes, federation (without it: spiffe://example.org/dev for your uid)\n"
    "  --print-bundle FILE  writes the trust bundle as PEM, at start and whenever it changes\n"
    "  --mint ID --out DIR  writes svid.pem, key.pem and bundle.pem for a test peer; with an agent running on\n"
    "                       PATH, asks that one and ends; otherwise mints at start and goes on serving\n"
    "\n"
    "SIGHUP reads the configuration again, SIGUSR1 issues new SVIDs, SIGUSR2 rotates the CA, SIGTERM ends.\n";

struct agent {
  const char *socket_path, *config_path, *bundle_path;
  struct {
    const char *id, *dir;
  } mints[MINTS_MAX];
  size_t mint_count, out_count;
  int listener, signals, wake;
  struct stat made; /* the socket's inode, to remove our own and no other */
  struct devagent_issuer *issuer;
  struct devagent_server *server;
  uint8_t *bundle; /* as last written */
  size_t bundle_len;
};

static void say(const char *what, const char *why) {
  fprintf(stderr, "svidwrap dev-agent: %s%s%s\n", what, why ? ": " : "", why ? why : "");
}

static int options(struct agent *a, int argc, char **argv) {
  static const struct option known[] = {
      {"socket", required_argument, NULL, 's'},
      {"config", required_argument, NULL, 'c'},
      {"print-bundle", required_argument, NULL, 'b'},
      {"mint", required_argument, NULL, 'm'},
      {"out", required_argument, NULL, 'o'},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  int o;
  optind = 1;
  while ((o = getopt_long(argc, argv, "", known, NULL)) != -1) {
    if (o == 's')
      a->socket_path = optarg;
    else if (o == 'c')
      a->config_path = optarg;
    else if (o == 'b')
      a->bundle_path = optarg;
    else if (o == 'm' && a->mint_count < MINTS_MAX)
      a->mints[a->mint_count++].id = optarg;
    else if (o == 'o' && a->out_count < MINTS_MAX)
      a->mints[a->out_count++].dir = optarg;
    else {
      fputs(usage, o == 'h' ? stdout : stderr);
      return o == 'h' ? -1 : EX_USAGE;
    }
  }
  if (optind != argc || !a->socket_path || a->mint_count != a->out_count) {
    say(!a->socket_path  ? "--socket is missing"
        : optind != argc ? "too many words"
                         : "each --mint needs an --out",
        NULL);
    fputs(usage, stderr);
    return EX_USAGE;
  }
  return 0;
}

static struct devagent_config *configure(const struct agent *a, char *why, size_t why_len) {
  return a->config_path ? devagent_config_read(a->config_path, why, why_len) : devagent_config_default(geteuid());
}

/* Is somebody serving there? */
static int served(const struct sockaddr_un *at) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int yes = fd >= 0 && (connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 || errno == EAGAIN);
  if (fd >= 0)
    close(fd);
  return yes;
}

static int address(const char *path, struct sockaddr_un *at) {
  memset(at, 0, sizeof *at);
  at->sun_family = AF_UNIX;
  if (!*path || strlen(path) >= sizeof at->sun_path)
    return -1;
  strcpy(at->sun_path, path);
  return 0;
}

static int listen_on(struct agent *a) {
  struct sockaddr_un at;
  struct stat st;
  if (address(a->socket_path, &at) != 0) {
    say(a->socket_path, "a socket's name has 1 to 107 characters");
    return EX_USAGE;
  }
  if (served(&at)) {
    say(a->socket_path, "an agent is serving there already");
    return EX_CANTCREAT;
  }
  if (lstat(a->socket_path, &st) == 0 && S_ISSOCK(st.st_mode))
    unlink(a->socket_path); /* left behind by one that was killed */
  a->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (a->listener < 0 || bind(a->listener, (struct sockaddr *)&at, sizeof at) != 0 ||
      chmod(a->socket_path, 0777) != 0 || stat(a->socket_path, &a->made) != 0 || listen(a->listener, 4096) != 0) {
    say(a->socket_path, strerror(errno));
    return EX_CANTCREAT;
  }
  return 0;
}

/* Writes the bundle where it is wanted, if it is another than the one there. */
static int publish_bundle(struct agent *a) {
  size_t len, pem_len = 0;
  int rc = 0;
  if (!a->bundle_path)
    return 0;
  uint8_t *der = devagent_issuer_roots(a->issuer, &len);
  if (!der || (a->bundle && len == a->bundle_len && memcmp(der, a->bundle, len) == 0)) {
    free(der);
    return 0;
  }
  char *pem = devagent_roots_pem(der, len, &pem_len);
  if (!pem || devagent_file_replace(a->bundle_path, pem, pem_len, 0644) != 0) {
    say(a->bundle_path, strerror(errno));
    rc = -1;
  }
  free(pem);
  free(a->bundle);
  a->bundle = der;
  a->bundle_len = len;
  return rc;
}

static int mint_own(struct agent *a) {
  for (size_t i = 0; i < a->mint_count; i++) {
    uint8_t *msg = NULL;
    size_t len = 0;
    char why[512];
    if (devagent_issuer_mint(a->issuer, a->mints[i].id, &msg, &len, why, sizeof why) != 1) {
      say("mint", why);
      return EX_USAGE;
    }
    int rc = devagent_mint_write(msg, len, a->mints[i].dir, why, sizeof why);
    OPENSSL_clear_free(msg, len);
    if (rc != 0) {
      say("mint", why);
      return EX_CANTCREAT;
    }
  }
  return 0;
}

static void accept_all(struct agent *a) {
  for (;;) {
    struct devagent_caller caller;
    int fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
      continue;
    if (fd < 0) {
      if (errno != EAGAIN) {
        say("accept", strerror(errno));
        poll(NULL, 0, 100); /* out of descriptors: it would spin */
      }
      return;
    }
    if (devagent_caller_take(fd, &caller) != 0)
      close(fd); /* came and went */
    else
      devagent_server_add(a->server, fd, &caller);
  }
}

static void reload(struct agent *a) {
  char why[512];
  struct devagent_config *c = configure(a, why, sizeof why);
  if (!c || devagent_issuer_reload(a->issuer, c, why, sizeof why) != 0)
    say("the configuration stays as it was", why);
  else
    say("configuration read again", NULL);
}

/* 1: end. */
static int on_signal(struct agent *a) {
  struct signalfd_siginfo si;
  char why[512];
  if (read(a->signals, &si, sizeof si) != (ssize_t)sizeof si)
    return 0;
  switch (si.ssi_signo) {
  case SIGHUP:
    reload(a);
    break;
  case SIGUSR1:
    devagent_issuer_renew(a->issuer);
    say("new SVIDs", NULL);
    break;
  case SIGUSR2:
    if (devagent_issuer_rotate(a->issuer, why, sizeof why) != 0)
      say("the CA stays", why);
    else
      say("a new CA is in the bundle and signs from the next second on", NULL);
    break;
  default:
    return 1;
  }
  publish_bundle(a);
  devagent_server_push(a->server);
  return 0;
}

static void serve(struct agent *a) {
  for (int end = 0; !end;) {
    int64_t next;
    devagent_server_lock(a->server);
    if (devagent_issuer_tick(a->issuer, &next)) {
      publish_bundle(a);
      devagent_server_push(a->server);
      devagent_issuer_tick(a->issuer, &next);
    }
    devagent_server_unlock(a->server);
    int64_t wait = next - devagent_now_ms();
    struct pollfd on[3] = {{.fd = a->listener, .events = POLLIN},
                           {.fd = a->signals, .events = POLLIN},
                           {.fd = a->wake, .events = POLLIN}};
    if (poll(on, 3, wait < 0 ? 0 : wait > 60000 ? 60000 : (int)wait + 1) < 0)
      continue;
    if (on[0].revents)
      accept_all(a);
    eventfd_t many;
    if (on[2].revents)
      eventfd_read(a->wake, &many);
    if (on[1].revents) {
      devagent_server_lock(a->server);
      end = on_signal(a);
      devagent_server_unlock(a->server);
    }
  }
}

static int start(struct agent *a) {
  char why[512];
  sigset_t set;
  struct rlimit fds;
  struct devagent_config *c = configure(a, why, sizeof why);
  if (!c) {
    say(why, NULL);
    return EX_CONFIG;
  }
  a->issuer = devagent_issuer_new(c, why, sizeof why);
  if (!a->issuer) {
    say(why, NULL);
    return EX_CONFIG;
  }
  int rc = listen_on(a);
  if (rc == 0)
    rc = mint_own(a);
  if (rc == 0 && publish_bundle(a) != 0)
    rc = EX_CANTCREAT;
  if (rc != 0)
    return rc;
  if (getrlimit(RLIMIT_NOFILE, &fds) == 0) {
    fds.rlim_cur = fds.rlim_max;
    setrlimit(RLIMIT_NOFILE, &fds);
  }
  /* Before gRPC's threads, which inherit the mask. */
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  grpccore_start(NULL);
  a->server = devagent_server_start(a->issuer, a->wake);
  if (a->signals < 0 || a->wake < 0 || !a->server) {
    say("start", strerror(errno));
    return EX_OSERR;
  }
  return 0;
}

static void finish(struct agent *a) {
  struct stat st;
  if (a->server) {
    devagent_server_stop(a->server);
    grpccore_stop();
  }
  if (a->made.st_ino && stat(a->socket_path, &st) == 0 && st.st_ino == a->made.st_ino && st.st_dev == a->made.st_dev)
    unlink(a->socket_path);
  if (a->listener >= 0)
    close(a->listener);
  if (a->signals >= 0)
    close(a->signals);
  if (a->wake >= 0)
    close(a->wake);
  devagent_issuer_free(a->issuer);
  free(a->bundle);
}

int devagent_main(int argc, char **argv) {
  struct agent a = {.listener = -1, .signals = -1, .wake = -1};
  struct sockaddr_un at;
  char why[512];
  int rc = options(&a, argc, argv);
  if (rc != 0)
    return rc < 0 ? EX_OK : rc;
  if (a.mint_count && address(a.socket_path, &at) == 0 && served(&at)) {
    for (size_t i = 0; i < a.mint_count && rc == 0; i++)
      if ((rc = devagent_mint_remote(a.socket_path, a.mints[i].id, a.mints[i].dir, why, sizeof why)) != 0)
        say("mint", why);
    return rc;
  }
  puts("svidwrap dev-agent: NOT FOR PRODUCTION. Its CA lives in memory and trusts whoever runs on this machine.");
  rc = start(&a);
  if (rc == 0) {
    printf("serving on unix:%s\n", a.socket_path);
    fflush(stdout);
    serve(&a);
  }
  finish(&a);
  return rc;
}
