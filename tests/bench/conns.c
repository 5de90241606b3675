/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conns.c - many connections: made one after the other, or held idle; and one with a lot to carry. A plain TCP
 * program that svidwrap may wrap; with --tls DIR the same program does its own mutual TLS 1.3 by OpenSSL, for
 * comparison. It measures and never judges.
 *
 * usage: conns [--tls DIR] serve PORT
 *        conns [--tls DIR] churn PORT THREADS MILLISECONDS   connect, one byte there and back, close; prints a rate
 *        conns [--tls DIR] hold PORT COUNT                    opens COUNT, says "holding", waits for end of stdin
 *        conns [--tls DIR] sink PORT
 *        conns drain PORT                                     a sink that reads from its standard input
 *        conns [--tls DIR] pour PORT MEGABYTES CHUNK          to a sink, CHUNK bytes a write; prints both ends' CPU
 *        conns print PORT MEGABYTES CHUNK                     the same, written to its standard input's descriptor
 *
 * CONNS_CONGESTION in the environment: the congestion control of the connections that are made.
 *
 * One thread a served connection would cost stacks and hide what is measured, so serve is one epoll loop.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static SSL_CTX *tls;
static const char *congestion; /* NULL: the machine's */

struct link {
  int fd;
  SSL *ssl; /* NULL without --tls */
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static SSL_CTX *tls_context(const char *dir, int server) {
  char path[3][4096];
  const char *names[] = {"svid.pem", "key.pem", "bundle.pem"};
  for (int i = 0; i < 3; i++)
    snprintf(path[i], sizeof path[i], "%s/%s", dir, names[i]);
  SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
      !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") ||
      SSL_CTX_use_certificate_chain_file(ctx, path[0]) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, path[1], SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(ctx, path[2], NULL) != 1) {
    fprintf(stderr, "conns: cannot use the files in %s\n", dir);
    exit(1);
  }
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  return ctx;
}

static int link_secure(struct link *l, int server) {
  int one = 1;
  /* Protected or not: Nagle's algorithm costs more CPU than a cipher does, and would be all that is measured. */
  setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (!tls)
    return 0;
  if (!(l->ssl = SSL_new(tls)) || !SSL_set_fd(l->ssl, l->fd))
    return -1;
  return (server ? SSL_accept(l->ssl) : SSL_connect(l->ssl)) == 1 ? 0 : -1;
}

static long link_read(struct link *l, void *buf, size_t len) {
  return l->ssl ? SSL_read(l->ssl, buf, (int)len) : read(l->fd, buf, len);
}

static long link_write(struct link *l, const void *buf, size_t len) {
  return l->ssl ? SSL_write(l->ssl, buf, (int)len) : write(l->fd, buf, len);
}

static void link_close(struct link *l) {
  if (l->ssl) {
    SSL_shutdown(l->ssl);
    SSL_free(l->ssl);
  }
  if (l->fd >= 0)
    close(l->fd);
  l->fd = -1;
  l->ssl = NULL;
}

static struct sockaddr_in address(const char *port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static int link_connect(struct link *l, const char *port) {
  struct sockaddr_in to = address(port);
  l->ssl = NULL;
  if ((l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
    return -1;
  if (congestion && setsockopt(l->fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)))
    die("conns: TCP_CONGESTION");
  if (connect(l->fd, (struct sockaddr *)&to, sizeof to) || link_secure(l, 0)) {
    link_close(l);
    return -1;
  }
  return 0;
}

static void serve_ready(int ep, struct link *links, int fd) {
  char buf[4096];
  long n = link_read(&links[fd], buf, sizeof buf);
  if (n > 0 && link_write(&links[fd], buf, (size_t)n) == n)
    return;
  epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
  link_close(&links[fd]);
}

/* A thread of its own for each handshake that the program does itself: one slow peer must not hold the rest. */
static int serve_ep;
static struct link *serve_links;

static void *serve_handshake(void *arg) {
  struct link *l = arg;
  struct epoll_event ev = {.events = EPOLLIN, .data.fd = l->fd};
  if (link_secure(l, 1) || epoll_ctl(serve_ep, EPOLL_CTL_ADD, l->fd, &ev))
    link_close(l);
  return NULL;
}

static void serve_accept(int listener, int limit) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0 || fd >= limit) {
    if (fd >= 0)
      close(fd);
    return;
  }
  serve_links[fd] = (struct link){.fd = fd};
  pthread_t t;
  if (!tls)
    serve_handshake(&serve_links[fd]);
  else if (pthread_create(&t, NULL, serve_handshake, &serve_links[fd]) == 0)
    pthread_detach(t);
}

static _Noreturn void serve(const char *port) {
  struct sockaddr_in at = address(port);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, limit = 65536;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1024))
    die("conns: listen");
  serve_ep = epoll_create1(EPOLL_CLOEXEC);
  serve_links = calloc((size_t)limit, sizeof *serve_links);
  struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener}, got[64];
  if (serve_ep < 0 || !serve_links || epoll_ctl(serve_ep, EPOLL_CTL_ADD, listener, &ev))
    die("conns: epoll");
  puts("serving");
  fflush(stdout);
  for (;;) {
    int n = epoll_wait(serve_ep, got, 64, -1);
    for (int i = 0; i < n; i++) {
      if (got[i].data.fd == listener)
        serve_accept(listener, limit);
      else
        serve_ready(serve_ep, serve_links, got[i].data.fd);
    }
  }
}

struct churn {
  const char *port;
  uint64_t until;
  _Atomic unsigned long done, failed;
};

static void *churn_thread(void *arg) {
  struct churn *c = arg;
  while (now_ms() < c->until) {
    struct link l;
    char byte = 'x';
    if (link_connect(&l, c->port)) {
      c->failed++;
      continue;
    }
    if (link_write(&l, &byte, 1) == 1 && link_read(&l, &byte, 1) == 1)
      c->done++;
    else
      c->failed++;
    link_close(&l);
  }
  return NULL;
}

static int churn(const char *port, int threads, int ms) {
  pthread_t t[64];
  uint64_t start = now_ms();
  struct churn c = {.port = port, .until = start + (uint64_t)ms};
  if (threads < 1 || threads > 64)
    return 64;
  for (int i = 0; i < threads; i++)
    if (pthread_create(&t[i], NULL, churn_thread, &c))
      die("conns: thread");
  for (int i = 0; i < threads; i++)
    pthread_join(t[i], NULL);
  double seconds = (double)(now_ms() - start) / 1000.0;
  printf("{\"per_second\": %.1f, \"failed\": %lu}\n", (double)c.done / seconds, c.failed);
  return c.done ? 0 : 1;
}

static int hold(const char *port, int count) {
  struct link *links = calloc((size_t)count, sizeof *links);
  if (!links)
    die("conns");
  for (int i = 0; i < count; i++) {
    char byte = 'x';
    if (link_connect(&links[i], port) || link_write(&links[i], &byte, 1) != 1 || link_read(&links[i], &byte, 1) != 1)
      die("conns: connect");
  }
  puts("holding");
  fflush(stdout);
  char end;
  while (read(0, &end, 1) > 0)
    ;
  for (int i = 0; i < count; i++)
    link_close(&links[i]);
  free(links);
  return 0;
}

static double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static char bulk[1 << 20];

/* A connection on descriptor 0 is the relay's, where svidwrap is in. */
static void become_standard(struct link *l) {
  if (dup2(l->fd, 0) != 0)
    die("conns: dup2");
  if (l->fd != 0) /* the one before was closed: accept() gives it again */
    close(l->fd);
  l->fd = 0;
}

static _Noreturn void sink(const char *port, int standard) {
  struct sockaddr_in at = address(port);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 16))
    die("conns: listen");
  for (;;) {
    struct link l = {.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)};
    if (l.fd < 0 || link_secure(&l, 1)) {
      link_close(&l);
      continue;
    }
    if (standard)
      become_standard(&l);
    double used = cpu_seconds();
    while (link_read(&l, bulk, 256 * 1024) > 0)
      ;
    used = cpu_seconds() - used;
    link_write(&l, &used, sizeof used);
    link_close(&l);
  }
}

static int pour(const char *port, long megabytes, size_t chunk, int standard) {
  struct link l;
  double theirs = 0;
  if (chunk < 1 || chunk > sizeof bulk || link_connect(&l, port))
    die("conns: connect");
  if (standard)
    become_standard(&l);
  double used = cpu_seconds();
  uint64_t start = now_ms();
  for (long left = megabytes << 20; left > 0; left -= (long)chunk)
    if (link_write(&l, bulk, chunk) != (long)chunk)
      die("conns: write");
  if (l.ssl)
    SSL_shutdown(l.ssl);
  shutdown(l.fd, SHUT_WR);
  used = cpu_seconds() - used;
  if (link_read(&l, &theirs, sizeof theirs) != sizeof theirs)
    die("conns: read");
  printf("{\"client_cpu\": %.6f, \"server_cpu\": %.6f, \"seconds\": %.3f}\n", used, theirs,
         (double)(now_ms() - start) / 1000.0);
  link_close(&l);
  return 0;
}

int main(int argc, char **argv) {
  congestion = getenv("CONNS_CONGESTION");
  signal(SIGPIPE, SIG_IGN);
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max < 16384 ? limit.rlim_max : 16384;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  const char *dir = NULL;
  if (argc > 2 && strcmp(argv[1], "--tls") == 0) {
    dir = argv[2];
    argc -= 2;
    argv += 2;
  }
  const char *what = argc > 2 ? argv[1] : "";
  if (dir)
    tls = tls_context(dir, strcmp(what, "serve") == 0 || strcmp(what, "sink") == 0);
  if (argc == 3 && strcmp(what, "serve") == 0)
    serve(argv[2]);
  if (argc == 5 && strcmp(what, "churn") == 0)
    return churn(argv[2], atoi(argv[3]), atoi(argv[4]));
  if (argc == 4 && strcmp(what, "hold") == 0)
    return hold(argv[2], atoi(argv[3]));
  if (argc == 3 && (strcmp(what, "sink") == 0 || strcmp(what, "drain") == 0))
    sink(argv[2], what[0] == 'd');
  if (argc == 5 && (strcmp(what, "pour") == 0 || strcmp(what, "print") == 0))
    return pour(argv[2], atol(argv[3]), (size_t)atol(argv[4]), what[1] == 'r');
  fprintf(stderr, "usage: conns [--tls DIR] serve|sink|drain PORT | churn PORT THREADS MS | hold PORT COUNT | "
                  "pour|print PORT MB CHUNK\n");
  return 64;
}
