/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.c - the shim's constructor and its last act, and the functions it offers to programs.
 *
 * The constructor reads the environment, registers fork handlers and keeps io_uring out of reach. It talks
 * to nobody, unless `svidwrap run` asked it to wait for the identity (SVIDWRAP_WAIT_MS): then it does so
 * here, in the program's own process, so that the agent attests the program.
 */
#include "alert.h"
#include "environ.h"
#include "fdtab.h"
#include "guard.h"
#include "hello.h"
#include "image.h"
#include "libc.h"
#include "relay.h"
#include "session.h"
#include "stream.h"
#include "svidwrap/svidwrap.h"
#include "transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define ASK_AGAIN_MS 500
#define ANSWER_MS    300

static void keep_io_uring_out(void) {
  char why[128];
  const char *v = environ_get("SVIDWRAP_IO_URING");
  if (v && strcmp(v, "allow-unsafe") == 0)
    return;
  /* Not allowed without privileges: then uring.c and syscall.c stand in its way. */
  (void)guard_install(false, why, sizeof why);
}

/* What `svidwrap run` cannot find out by itself it leaves to the daemon to tell: a log or an audit file, for one,
 * that nothing can be written to. */
static void fail_wait(const char *text) {
  bool config = hello_config_refused();
  fprintf(stderr, "svidwrap: %s: %s\n", config ? "the configuration cannot be used" : "no identity", text);
  libc_real()->_exit(config ? EX_CONFIG : EX_UNAVAILABLE);
}

/* Asks until there is an identity or the time is over: an agent may start later than the program, and a new
 * entry takes its time to reach it. */
static void ask_until(uint64_t deadline) {
  char text[WIRE_TEXT_MAX] = "";
  for (;;) {
    uint64_t now = transport_now_ms();
    uint64_t left = deadline > now ? deadline - now : 0;
    int status = WIRE_OK;
    if (session_agent((uint32_t)left, &status, text) != 0)
      fail_wait(errno == ETIMEDOUT ? "the daemon did not answer in time" : strerror(errno));
    text[sizeof text - 1] = 0;
    if (status == WIRE_OK)
      return;
    now = transport_now_ms();
    if (now + ASK_AGAIN_MS + ANSWER_MS >= deadline) /* no time for another answer: this one is the reason */
      fail_wait(text[0] ? text : "the agent gave none");
    transport_sleep_ms(ASK_AGAIN_MS);
  }
}

static void wait_for_identity(const char *value) {
  char *end;
  unsigned long ms = strtoul(value, &end, 10);
  environ_drop("SVIDWRAP_WAIT_MS");
  unsetenv("SVIDWRAP_WAIT_MS");
  if (ms == 0 || *end || ms > 3600000)
    return;
  uint64_t deadline = transport_now_ms() + ms;
  if (session_ready(false) != 0) {
    if (hello_config_refused()) /* the daemon's words are printed already */
      libc_real()->_exit(EX_CONFIG);
    fail_wait("there is no session with the daemon (the line above says why)");
  }
  ask_until(deadline);
}

/* The last act of exit(): every destructor has run, and some of them write. */
static void at_the_end(void *arg) {
  (void)arg;
  stream_flush_all();
  image_exit();
}

int __cxa_atexit(void (*fn)(void *), void *arg, void *dso);

__attribute__((constructor)) static void init(int argc, char **argv, char **envp) {
  (void)argc;
  (void)argv;
  int keep = errno;
  libc_load();
  environ_save(envp);
  alert_init();
  relay_init();
  image_init();
  /* What is registered first runs last: this is before the C library registers the loader's own destructor, which
   * runs those of all libraries. atexit() would make it part of ours, which is one of the first. */
  __cxa_atexit(at_the_end, NULL, NULL);
  keep_io_uring_out();
  const char *wait = environ_get("SVIDWRAP_WAIT_MS");
  if (wait)
    wait_for_identity(wait);
  image_check_inherited();
  errno = keep;
}

HOOK int svidwrap_peer_id(int fd, char *buf, size_t len) {
  struct sock *s = fdtab_get(fd);
  int rc = -1, failed = ENOTCONN;
  if (s && atomic_load(&s->kind) == SOCK_CONN && s->conn.slot->peer_id_len <= ARENA_ID_MAX) {
    size_t n = s->conn.slot->peer_id_len;
    failed = ERANGE;
    if (n < len) {
      memcpy(buf, s->conn.slot->peer_id, n);
      buf[n] = 0;
      rc = (int)n;
    }
  }
  if (s)
    sock_put(s);
  if (rc < 0)
    errno = failed;
  return rc;
}

HOOK const char *svidwrap_version(void) { return SVIDWRAP_VERSION; }
