/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulk.c - bytes a CPU second over loopback: the record engine (conn_writev and conn_readv) beside SSL_write and
 * SSL_read with the same cipher, and beside plain TCP. Sender and receiver are two processes; the figure is bytes
 * over the CPU time of both. Rounds are interleaved, so that noise meets all three, and the median counts.
 *
 * usage: bulk [MIB [ROUNDS]]    prints one JSON line a cipher
 */
#include "shim/conn.h"
#include "shim/record/record.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK      65536u
#define ROUNDS_MAX 15

enum how { PLAIN, SSL_CALLS, OURS, HOWS };

struct end {
  enum how how;
  uint16_t cipher;
  const char *suite;
  bool sender;
  int fd;
  SSL *ssl;
  struct conn conn;
};

static uint8_t buf[CHUNK];
static uint64_t total = 512u << 20;
static EVP_PKEY *key;
static X509 *cert;

static void must(bool ok, const char *what) {
  if (!ok) {
    perror(what);
    exit(1);
  }
}

static void make_cert(void) {
  must((key = EVP_EC_gen("P-256")) != NULL && (cert = X509_new()) != NULL, "certificate");
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  must(X509_sign(cert, key, EVP_sha256()) > 0, "sign");
}

static void tcp(int *a, int *b) {
  struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof sa;
  int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  must(bind(l, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(l, 1) == 0, "listen");
  must(getsockname(l, (struct sockaddr *)&sa, &len) == 0, "getsockname");
  *a = socket(AF_INET, SOCK_STREAM, 0);
  must(connect(*a, (struct sockaddr *)&sa, sizeof sa) == 0, "connect");
  *b = accept(l, NULL, NULL);
  setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* as programs with TLS of their own do */
  close(l);
}

static void start_ssl(struct end *e) {
  SSL_CTX *ctx = SSL_CTX_new(e->sender ? TLS_client_method() : TLS_server_method());
  must(ctx && SSL_CTX_set_ciphersuites(ctx, e->suite) && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION),
       "SSL_CTX");
  SSL_CTX_set_num_tickets(ctx, 0); /* the sender never reads: unread tickets would reset the connection */
  if (!e->sender)
    must(SSL_CTX_use_certificate(ctx, cert) && SSL_CTX_use_PrivateKey(ctx, key), "certificate");
  e->ssl = SSL_new(ctx);
  must(e->ssl && SSL_set_fd(e->ssl, e->fd), "SSL");
  must((e->sender ? SSL_connect(e->ssl) : SSL_accept(e->ssl)) == 1, "handshake");
}

static void start_engine(struct end *e) {
  struct arena_slot *slot = mmap(NULL, ARENA_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(slot != MAP_FAILED, "mmap");
  slot->magic = ARENA_SLOT_MAGIC;
  slot->use = 1;
  slot->cipher = e->cipher;
  slot->role = e->sender ? ARENA_CLIENT : ARENA_SERVER;
  memset(slot->rx.secret, e->sender ? 1 : 2, ARENA_SECRET_MAX);
  memset(slot->tx.secret, e->sender ? 2 : 1, ARENA_SECRET_MAX);
  slot->state = ARENA_READY;
  must(conn_take(&e->conn, slot, 1) == 0, "conn_take");
}

static ssize_t give(struct end *e, size_t n) {
  struct iovec iov = {buf, n};
  switch (e->how) {
  case PLAIN:
    return write(e->fd, buf, n);
  case SSL_CALLS:
    return SSL_write(e->ssl, buf, (int)n);
  default:
    return conn_writev(&e->conn, e->fd, &iov, 1, 0);
  }
}

static ssize_t take(struct end *e) {
  struct iovec iov = {buf, CHUNK};
  switch (e->how) {
  case PLAIN:
    return read(e->fd, buf, CHUNK);
  case SSL_CALLS:
    return SSL_read(e->ssl, buf, CHUNK);
  default:
    return conn_readv(&e->conn, e->fd, &iov, 1, 0);
  }
}

static double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* In a process of its own: moves the bytes, then says what it cost. */
static void run_end(struct end *e, int report) {
  uint64_t done = 0;
  if (e->how == SSL_CALLS)
    start_ssl(e);
  if (e->how == OURS)
    start_engine(e);
  double before = cpu_seconds();
  while (done < total) {
    ssize_t n = e->sender ? give(e, total - done < CHUNK ? (size_t)(total - done) : CHUNK) : take(e);
    must(n > 0, "transfer");
    done += (uint64_t)n;
  }
  double cost = cpu_seconds() - before;
  must(write(report, &cost, sizeof cost) == sizeof cost, "report");
  _exit(0);
}

/* GB a CPU second of both ends. */
static double round_of(enum how how, uint16_t cipher, const char *suite) {
  int fd[2], report[2];
  double cost[2] = {0, 0};
  tcp(&fd[0], &fd[1]);
  must(pipe(report) == 0, "pipe");
  pid_t child[2];
  for (int i = 0; i < 2; i++) {
    child[i] = fork();
    must(child[i] >= 0, "fork");
    if (child[i] == 0) {
      struct end e = {.how = how, .cipher = cipher, .suite = suite, .sender = i == 0, .fd = fd[i]};
      close(fd[1 - i]);
      run_end(&e, report[1]);
    }
  }
  close(fd[0]);
  close(fd[1]);
  close(report[1]);
  for (int i = 0; i < 2; i++) {
    int status = 1;
    must(read(report[0], &cost[i], sizeof cost[i]) == sizeof cost[i], "report");
    waitpid(child[i], &status, 0);
  }
  close(report[0]);
  return (double)total / 1e9 / (cost[0] + cost[1]);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(uint16_t cipher, const char *suite, int rounds) {
  double got[HOWS][ROUNDS_MAX], mid[HOWS];
  for (int r = 0; r < rounds; r++)
    for (int h = 0; h < HOWS; h++)
      got[h][r] = round_of((enum how)h, cipher, suite);
  for (int h = 0; h < HOWS; h++) {
    qsort(got[h], (size_t)rounds, sizeof(double), compare);
    mid[h] = got[h][rounds / 2];
  }
  printf("{\"cipher\":\"%s\",\"unit\":\"GB a CPU second, both ends\",\"plain\":%.2f,\"ssl_write_read\":%.2f,"
         "\"svidwrap\":%.2f,\"svidwrap_to_ssl\":%.2f,\"svidwrap_to_plain\":%.2f}\n",
         suite, mid[PLAIN], mid[SSL_CALLS], mid[OURS], mid[OURS] / mid[SSL_CALLS], mid[OURS] / mid[PLAIN]);
  fflush(stdout);
}

int main(int argc, char **argv) {
  int rounds = argc > 2 ? atoi(argv[2]) : 5;
  if (argc > 1)
    total = strtoull(argv[1], NULL, 10) << 20;
  if (total == 0 || rounds < 1 || rounds > ROUNDS_MAX) {
    fprintf(stderr, "usage: bulk [MIB [ROUNDS]]\n");
    return 64;
  }
  memset(buf, 'x', sizeof buf);
  make_cert();
  measure(ARENA_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", rounds);
  measure(ARENA_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", rounds);
  measure(ARENA_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256", rounds);
  return 0;
}
