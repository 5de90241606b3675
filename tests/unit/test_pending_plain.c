/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects that their rule leaves in plaintext: which ones, does the program see plain TCP, and what happens when the
 * rule changes while a connect is under way?
 */
#include "pending_fakes.h"

#include "plain.h"
#include "support_sanitizer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const struct fake_api *const api = &fake_wrapped;

static int dial(int fd, const struct sockaddr_in *where) {
  return api->connect(fd, (const struct sockaddr *)where, sizeof *where);
}

static void rule(enum rules_mode mode, uint8_t percent, uint32_t flags) {
  fake_rule.mode = (uint8_t)mode;
  fake_rule.percent = percent;
  fake_rule.flags = flags;
}

/* A blocking connect under the present rule: in plaintext? */
static bool goes_plain(void) {
  int fd = fake_socket(api, false);
  assert_int_equal(dial(fd, &fake_net.open), 0);
  enum sock_kind kind = fake_kind(fd);
  assert_true(kind == SOCK_CONN || fdtab_plain(fd));
  fake_close(api, fd);
  int peer = libc_real()->accept4(fake_net.open_fd, NULL, NULL, SOCK_CLOEXEC);
  libc_real()->close(peer);
  return kind != SOCK_CONN;
}

static void drain(void) {
  int flags = fcntl(fake_net.open_fd, F_GETFL);
  fcntl(fake_net.open_fd, F_SETFL, flags | O_NONBLOCK);
  for (int fd; (fd = libc_real()->accept4(fake_net.open_fd, NULL, NULL, 0)) >= 0;)
    libc_real()->close(fd);
  fcntl(fake_net.open_fd, F_SETFL, flags);
}

static int setup(void **state) {
  (void)state;
  fake_reset(FAKE_OK);
  drain();
  return 0;
}

/* -- who -- */

static int smc_option, smc_value; /* SO_DOMAIN or SO_PROTOCOL, and what it says */

static int as_smc(int fd, int level, int name, void *value, socklen_t *len) {
  int rc = getsockopt(fd, level, name, value, len);
  if (rc == 0 && level == SOL_SOCKET && name == smc_option)
    memcpy(value, &smc_value, sizeof smc_value);
  return rc;
}

/* SMC falls back to TCP on its own socket, past ours: by its family, and by a protocol of the TCP families. Told by
 * the kernel's answers, for few kernels have it. */
static void smc_is_refused_where_tcp_would_be_protected(void **state) {
  const int forms[][2] = {{SO_DOMAIN, 43}, {SO_PROTOCOL, 256}};
  (void)state;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    int fd = fake_socket(api, false);
    smc_option = forms[i][0];
    smc_value = forms[i][1];
    libc_table.getsockopt = as_smc;
    int rc = dial(fd, &fake_net.open), err = errno;
    libc_table.getsockopt = getsockopt;
    assert_int_equal(rc, -1);
    assert_int_equal(err, EACCES);
    assert_int_equal(fake_asked, 0);
    assert_int_equal(getpeername(fd, &(struct sockaddr){0}, &(socklen_t){sizeof(struct sockaddr)}), -1);
    fake_close(api, fd);
  }
}

static void off_and_staged_is_told_and_never_asked(void **state) {
  (void)state;
  rule(RULES_OFF, 100, RULES_STAGED);
  assert_true(goes_plain());
  assert_int_equal(fake_asked, 0);
  assert_int_equal(fake_told->count, 1);
  assert_int_equal(fake_told->last.why, WIRE_PLAIN_OFF);
  assert_int_equal(fake_told->last.rule, 3);
  struct sockaddr_in dest, local;
  memcpy(&dest, &fake_told->last.dest, sizeof dest);
  memcpy(&local, &fake_told->last.local, sizeof local);
  assert_int_equal(dest.sin_port, fake_net.open.sin_port);
  assert_true(fake_told->last.local_len > 0 && local.sin_port != 0);
  rule(RULES_OFF, 100, 0);
  int fd = fake_socket(api, false);
  assert_int_equal(dial(fd, &fake_net.open), 0);
  assert_int_equal(fake_told->count, 1); /* not staged: none of ours */
  fake_close(api, fd);
}

static void a_percentage_of_0_and_of_100_is_exact(void **state) {
  (void)state;
  rule(RULES_CANARY, 0, 0);
  for (int i = 0; i < 100; i++)
    assert_true(goes_plain());
  assert_int_equal(fake_asked, 0);
  assert_int_equal(fake_told->count, 100);
  assert_int_equal(fake_told->last.why, WIRE_PLAIN_PERCENT);
  rule(RULES_CANARY, 100, 0);
  for (int i = 0; i < 100; i++)
    assert_false(goes_plain());
  assert_int_equal(fake_told->count, 100);
}

static void half_of_them_is_some_of_both(void **state) {
  (void)state;
  int plain = 0;
  rule(RULES_CANARY, 50, 0);
  for (int i = 0; i < 200; i++)
    plain += goes_plain();
  assert_in_range(plain, 40, 160); /* 1 in 10^17 */
  assert_int_equal(fake_told->count, plain);
  assert_int_equal(fake_asked, 200 - plain);
}

static void a_sticky_process_does_not_waver_nor_do_its_children(void **state) {
  (void)state;
  rule(RULES_CANARY, 50, RULES_STICKY);
  bool plain = goes_plain();
  for (int i = 0; i < 60; i++)
    assert_int_equal(plain_why(&fake_rule) != 0, plain);
  pid_t pid = fake_fork();
  if (pid == 0) {
    for (int i = 0; i < 60; i++)
      if ((plain_why(&fake_rule) != 0) != plain)
        _exit(1);
    _exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  assert_int_equal(status, 0);
  /* A rising percentage takes none of those away that were among it. */
  if (!plain)
    for (int p = 50; p <= 100; p++) {
      fake_rule.percent = (uint8_t)p;
      assert_int_equal(plain_why(&fake_rule), 0);
    }
}

static void suspended_is_plaintext_whatever_the_percentage(void **state) {
  (void)state;
  rule(RULES_CANARY, 100, RULES_SUSPENDED);
  assert_true(goes_plain());
  assert_int_equal(fake_told->last.why, WIRE_PLAIN_SUSPENDED);
  rule(RULES_ENFORCE, 100, RULES_SUSPENDED); /* means nothing there */
  assert_false(goes_plain());
  rule(RULES_ENFORCE, 0, RULES_STAGED | RULES_STICKY);
  assert_false(goes_plain());
}

static void among_the_percent_failures_are_those_of_enforce(void **state) {
  (void)state;
  rule(RULES_CANARY, 100, 0);
  atomic_store(&fake_answer, FAKE_REFUSE);
  atomic_store(&fake_errno, EACCES);
  int fd = fake_socket(api, false);
  assert_int_equal(dial(fd, &fake_net.open), -1);
  assert_int_equal(errno, EACCES);
  fake_close(api, fd);
  assert_int_equal(fake_told->count, 0);
}

static void what_was_never_connected_is_not_told(void **state) {
  (void)state;
  rule(RULES_OFF, 100, RULES_STAGED);
  int fd = fake_socket(api, false);
  assert_int_equal(dial(fd, &fake_net.closed), -1);
  assert_int_equal(errno, ECONNREFUSED);
  fake_close(api, fd);
  assert_int_equal(fake_told->count, 0);
}

static void fast_open_is_told_too(void **state) {
  (void)state;
  rule(RULES_OFF, 100, RULES_STAGED);
  int fd = fake_socket(api, false);
  assert_int_equal(pending_fastopen(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open), 0);
  assert_int_equal(fake_told->count, 1);
  fake_close(api, fd);
}

/* -- the rule changes -- */

static void a_mode_that_comes_later_leaves_a_plain_connect_alone(void **state) {
  (void)state;
  rule(RULES_OFF, 100, RULES_STAGED);
  int fd = fake_socket(api, true);
  assert_int_equal(dial(fd, &fake_net.open), -1);
  assert_int_equal(errno, EINPROGRESS);
  rule(RULES_ENFORCE, 100, 0);
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  assert_int_equal(api->poll(&p, 1, 5000), 1);
  assert_int_equal(dial(fd, &fake_net.open), 0);
  assert_int_equal(dial(fd, &fake_net.open), -1);
  assert_int_equal(errno, EISCONN);
  assert_int_equal(fake_asked, 0);
  /* Disconnected it is as fresh, and the rule of today is its rule. */
  const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  assert_int_equal(api->connect(fd, &nobody, sizeof nobody), 0);
  assert_int_equal(dial(fd, &fake_net.open), -1);
  assert_int_equal(fake_kind(fd), SOCK_PENDING);
  fake_close(api, fd);
}

/* What the kernel says natively, and what we say when a managed connect becomes a plain one. */
static char traces[2][2048];
static size_t at;
static char *trace;
static void note(const char *what, long rc) {
  int err = errno;
  at += (size_t)snprintf(trace + at, sizeof traces[0] - at, "%s=%ld %s\n", what, rc,
                         rc < 0 ? strerrorname_np(err) : "");
}
#define T(call) note(#call, (long)(call))

static long mask(const struct fake_api *a, int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
  a->poll(&p, 1, 5000);
  return p.revents;
}

static void talk(const struct fake_api *a, int fd) {
  char b[4] = "";
  int peer = libc_real()->accept4(fake_net.open_fd, NULL, NULL, SOCK_CLOEXEC);
  T(fake_so_error(a, fd));
  T(fake_getpeername(a, fd));
  T(fake_write(a, fd, "ping", 4));
  T(recv(peer, b, 4, MSG_WAITALL));
  T(memcmp(b, "ping", 4));
  T(send(peer, "pong", 4, 0));
  T(mask(a, fd));
  T(fake_read(a, fd, b, 4));
  T(memcmp(b, "pong", 4));
  T(fake_shutdown(a, fd, SHUT_WR));
  T(recv(peer, b, 1, 0));
  libc_real()->close(peer);
  T(mask(a, fd));
}

static void without_blocking(const struct fake_api *a) {
  int fd = fake_socket(a, true);
  T(a->connect(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open));
  T(mask(a, fd));
  T(a->connect(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open));
  T(a->connect(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open));
  talk(a, fd);
  fake_close(a, fd);
}

static void blocking(const struct fake_api *a) {
  int fd = fake_socket(a, false);
  T(a->connect(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open));
  T(a->connect(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open));
  talk(a, fd);
  fake_close(a, fd);
}

static void by_epoll(const struct fake_api *a) {
  int ep = epoll_create1(EPOLL_CLOEXEC), fd = fake_socket(a, true);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = 77}, got = {0};
  fdtab_fresh(ep);
  atomic_store(&fdtab_flags[ep], FDF_EPOLL);
  a->connect(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open);
  T(a->epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
  T(a->epoll_wait(ep, &got, 1, 5000));
  T((long)got.data.u64);
  T((got.events & EPOLLOUT) != 0);
  talk(a, fd);
  fake_close(a, fd);
  libc_real()->close(ep);
}

static void compare(void (*run)(const struct fake_api *a), bool staged) {
  for (int wrapped = 0; wrapped < 2; wrapped++) {
    trace = traces[wrapped];
    at = 0;
    drain();
    fake_reset(FAKE_CONTRARY);
    if (wrapped && staged)
      rule(RULES_CANARY, 100, 0);
    if (wrapped) {
      fake_late = (struct rules_entry){
          .kind = RULES_CONNECT, .mode = RULES_OFF, .percent = 100, .rule = 5, .flags = staged ? RULES_STAGED : 0};
      fake_late_at = 1;
    }
    run(wrapped ? &fake_wrapped : &fake_native);
    if (wrapped) {
      assert_int_equal(fake_asked, 1);
      assert_int_equal(fake_told->count, staged ? 1 : 0);
    }
  }
  assert_string_equal(traces[1], traces[0]);
}

static void turned_off_while_under_way_it_becomes_plain_TCP(void **state) {
  (void)state;
  compare(without_blocking, true);
  compare(blocking, true);
  compare(by_epoll, true);
}

static void left_alone_while_under_way_it_becomes_plain_TCP(void **state) {
  (void)state;
  compare(without_blocking, false);
  compare(blocking, false);
  compare(by_epoll, false);
}

static void a_rule_that_has_moved_is_asked_about_again_once(void **state) {
  (void)state;
  fake_reset(FAKE_LOOK_AGAIN);
  assert_false(goes_plain());
  assert_int_equal(fake_asked, 2);
  fake_reset(FAKE_CONTRARY);
  int fd = fake_socket(api, false);
  assert_int_equal(dial(fd, &fake_net.open), -1);
  assert_int_equal(errno, EACCES);
  assert_int_equal(fake_asked, 2);
  fake_close(api, fd);
}

static void a_lot_that_was_drawn_is_not_drawn_again(void **state) {
  (void)state;
  for (int i = 0; i < 30; i++) {
    fake_reset(FAKE_LOOK_AGAIN);
    rule(RULES_CANARY, 100, 0);
    fake_late = fake_rule;
    fake_late.percent = 1; /* lowered while it was under way: it was among the percent */
    fake_late_at = 1;
    assert_false(goes_plain());
  }
}

static void processes_that_share_the_connect_agree(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int fd = fake_socket(api, true), to_child[2];
  assert_int_equal(pipe(to_child), 0);
  assert_int_equal(dial(fd, &fake_net.open), -1);
  pid_t pid = fake_fork();
  if (pid == 0) {
    char byte;
    ssize_t n = libc_real()->read(to_child[0], &byte, 1);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    _exit(n == 1 && api->poll(&p, 1, 5000) == 1 && p.revents == POLLOUT && fdtab_plain(fd) &&
                  fake_write(api, fd, "child", 5) == 5
              ? 0
              : 1);
  }
  rule(RULES_OFF, 100, RULES_STAGED);
  fake_release(FAKE_CONTRARY);
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  assert_int_equal(api->poll(&p, 1, 5000), 1);
  assert_int_equal(p.revents, POLLOUT);
  assert_true(fdtab_plain(fd));
  assert_int_equal(libc_real()->write(to_child[1], "x", 1), 1);
  int status;
  waitpid(pid, &status, 0);
  assert_int_equal(status, 0);
  assert_int_equal(fake_told->count, 1);
  int peer = libc_real()->accept4(fake_net.open_fd, NULL, NULL, SOCK_CLOEXEC);
  char got[6] = "";
  assert_int_equal(recv(peer, got, 5, MSG_WAITALL), 5);
  assert_string_equal(got, "child");
  libc_real()->close(peer);
  fake_close(api, fd);
  libc_real()->close(to_child[0]);
  libc_real()->close(to_child[1]);
}

struct reader {
  int fd;
  char got[5];
  ssize_t n;
};
static void *read_in_thread(void *arg) {
  struct reader *r = arg;
  r->n = fake_read(api, r->fd, r->got, 4);
  return NULL;
}

static void a_thread_that_waits_to_read_reads(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int fd = fake_socket(api, true);
  struct reader r = {.fd = fd};
  pthread_t t;
  assert_int_equal(dial(fd, &fake_net.open), -1);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  fake_late = (struct rules_entry){.kind = RULES_CONNECT, .mode = RULES_OFF, .flags = RULES_STAGED};
  fake_late_at = 1;
  pthread_create(&t, NULL, read_in_thread, &r);
  usleep(20000);
  fake_release(FAKE_CONTRARY);
  int peer = libc_real()->accept4(fake_net.open_fd, NULL, NULL, SOCK_CLOEXEC);
  assert_int_equal(send(peer, "pong", 4, 0), 4);
  pthread_join(t, NULL);
  assert_int_equal(r.n, 4);
  assert_string_equal(r.got, "pong");
  libc_real()->close(peer);
  fake_close(api, fd);
}

static void where_a_line_is_required_the_daemon_is_asked_first(void **state) {
  (void)state;
  rule(RULES_CANARY, 0, RULES_AUDITED);
  assert_true(goes_plain());
  assert_int_equal(atomic_load(&fake_told->count), 2);
  assert_int_equal(fake_told->last.about, WIRE_PLAIN_ASKED); /* no second line for it */
  fake_refuses_plain = true;
  rule(RULES_OFF, 0, RULES_STAGED | RULES_AUDITED);
  int fd = fake_socket(api, false);
  assert_int_equal(dial(fd, &fake_net.open), -1);
  assert_int_equal(errno, ECONNREFUSED);
  struct sockaddr_in peer;
  socklen_t len = sizeof peer;
  assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), -1); /* not a packet of it went out */
  fake_close(api, fd);
  rule(RULES_OFF, 0, RULES_STAGED);
  assert_true(goes_plain());
}

static void nothing_is_left_behind(void **state) {
  (void)state;
  int before = libc_real()->dup(0);
  libc_real()->close(before);
  for (int i = 0; i < 300; i++) {
    fake_reset(i & 1 ? FAKE_CONTRARY : FAKE_OK);
    if (i & 1) {
      fake_late = (struct rules_entry){.kind = RULES_CONNECT, .mode = RULES_OFF, .flags = RULES_STAGED};
      fake_late_at = 1;
    } else {
      rule(RULES_OFF, 0, RULES_STAGED);
    }
    assert_true(goes_plain());
  }
  assert_int_equal(pending_count, 0);
  int after = libc_real()->dup(0);
  libc_real()->close(after);
  assert_int_equal(before, after);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(smc_is_refused_where_tcp_would_be_protected),
      TEST(off_and_staged_is_told_and_never_asked),
      TEST(a_percentage_of_0_and_of_100_is_exact),
      TEST(half_of_them_is_some_of_both),
      TEST(a_sticky_process_does_not_waver_nor_do_its_children),
      TEST(suspended_is_plaintext_whatever_the_percentage),
      TEST(among_the_percent_failures_are_those_of_enforce),
      TEST(what_was_never_connected_is_not_told),
      TEST(fast_open_is_told_too),
      TEST(a_mode_that_comes_later_leaves_a_plain_connect_alone),
      TEST(turned_off_while_under_way_it_becomes_plain_TCP),
      TEST(left_alone_while_under_way_it_becomes_plain_TCP),
      TEST(a_rule_that_has_moved_is_asked_about_again_once),
      TEST(a_lot_that_was_drawn_is_not_drawn_again),
      TEST(processes_that_share_the_connect_agree),
      TEST(a_thread_that_waits_to_read_reads),
      TEST(where_a_line_is_required_the_daemon_is_asked_first),
      TEST(nothing_is_left_behind),
  };
  signal(SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests(tests, fake_setup, NULL);
}
