/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_scrape.c - the metrics' HTTP listener answers what it should, and strangers cost it neither memory nor
 * descriptors, however they come and go.
 */
#include "agentclient/daemon/scrape.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct event_base *base;
static char dir[] = "/tmp/svidwrap-test-scrape-XXXXXX";
static char path[80], address[96];
static unsigned pages_made;

static char *page(void *arg) {
  pages_made++;
  return arg ? strdup(arg) : NULL;
}

static struct scrape *open_scrape(const char *at, void *text) {
  const struct scrape_pages pages = {.metrics = page, .front = page, .arg = text};
  char why[256] = "";
  struct scrape *s = scrape_open(base, at, &pages, why, sizeof why);
  if (!s)
    fail_msg("%s", why);
  return s;
}

static int dial(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  for (int i = 0; connect(fd, (struct sockaddr *)&un, sizeof un) != 0; i++) {
    assert_int_equal(errno, EAGAIN); /* the kernel's queue is full */
    assert_true(i < 1000);
    event_base_loop(base, EVLOOP_NONBLOCK);
    usleep(5000);
  }
  return fd;
}

/* Runs the loop until the end of the stream; the whole answer. */
static const char *answer(int fd) {
  static char buf[65536];
  size_t len = 0;
  for (int i = 0; i < 5000; i++) {
    event_base_loop(base, EVLOOP_NONBLOCK);
    ssize_t n = recv(fd, buf + len, sizeof buf - 1 - len, 0);
    if (n > 0)
      len += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
      break;
    else
      usleep(1000);
  }
  buf[len] = '\0';
  return buf;
}

static const char *ask(const char *request) {
  static char copy[65536];
  int fd = dial();
  (void)!send(fd, request, strlen(request), MSG_NOSIGNAL);
  snprintf(copy, sizeof copy, "%s", answer(fd));
  close(fd);
  return copy;
}

static unsigned open_fds(void) {
  unsigned n = 0;
  DIR *d = opendir("/proc/self/fd");
  while (readdir(d))
    n++;
  closedir(d);
  return n;
}

static void run_for(int ms) {
  for (int i = 0; i < ms; i += 5) {
    event_base_loop(base, EVLOOP_NONBLOCK);
    usleep(5000);
  }
}

/* libevent closes what it has let go of in the next turn of the loop. */
static unsigned settled_fds(void) {
  run_for(50);
  return open_fds();
}

static void two_pages_are_served_and_nothing_else(void **state) {
  (void)state;
  struct scrape *s = open_scrape(address, (char[]){"the page\n"});
  const char *a = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  assert_non_null(strstr(a, " 200 OK\r\n"));
  assert_non_null(strstr(a, "text/plain; version=0.0.4"));
  assert_non_null(strstr(a, "Connection: close\r\n"));
  assert_non_null(strstr(a, "\r\n\r\nthe page\n"));
  assert_non_null(strstr(ask("GET / HTTP/1.0\r\n\r\n"), "the page\n"));
  static const char *const refused[] = {"GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "POST /metrics HTTP/1.0\r\n\r\n",
                                        "PUT / HTTP/1.0\r\n\r\n", "HEAD /metrics HTTP/1.0\r\n\r\n",
                                        "nonsense\r\n\r\n"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    assert_null(strstr(ask(refused[i]), "the page"));
  assert_int_equal(pages_made, 2);
  scrape_close(s);
}

static void a_page_that_cannot_be_made_is_an_error(void **state) {
  (void)state;
  struct scrape *s = open_scrape(address, NULL);
  assert_non_null(strstr(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), " 503 "));
  scrape_close(s);
}

static void who_comes_and_goes_leaves_nothing_behind(void **state) {
  (void)state;
  struct scrape *s = open_scrape(address, (char[]){"the page\n"});
  unsigned before = settled_fds();
  for (int i = 0; i < 300; i++) {
    int fd = dial();
    if (i % 3)
      (void)!send(fd, "GET /metrics HTTP/1.1\r\n\r\n", i % 3 == 1 ? 25 : 9, MSG_NOSIGNAL);
    if (i % 2)
      event_base_loop(base, EVLOOP_NONBLOCK);
    close(fd);
  }
  run_for(400);
  assert_non_null(strstr(ask("GET / HTTP/1.0\r\n\r\n"), "the page\n"));
  run_for(400);
  assert_int_equal(settled_fds(), before);
  scrape_close(s);
}

static void more_than_are_served_at_a_time_wait_their_turn(void **state) {
  (void)state;
  int fd[SCRAPE_CONNECTIONS_MAX + 8];
  enum { N = sizeof fd / sizeof *fd };
  struct scrape *s = open_scrape(address, (char[]){"the page\n"});
  unsigned before = settled_fds();
  for (int i = 0; i < N; i++)
    fd[i] = dial();
  run_for(300);
  assert_true(open_fds() <= before + N + SCRAPE_CONNECTIONS_MAX);
  (void)!send(fd[N - 1], "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL);
  run_for(100);
  char byte;
  assert_int_equal(recv(fd[N - 1], &byte, 1, MSG_PEEK), -1); /* not yet */
  for (int i = 0; i < N - 1; i++)
    close(fd[i]);
  assert_non_null(strstr(answer(fd[N - 1]), "the page\n"));
  close(fd[N - 1]);
  scrape_close(s);
}

static void closing_ends_what_is_under_way(void **state) {
  (void)state;
  unsigned before = settled_fds();
  struct scrape *s = open_scrape(address, (char[]){"the page\n"});
  int fd[5];
  for (int i = 0; i < 5; i++) {
    fd[i] = dial();
    (void)!send(fd[i], "GET /metr", 9, MSG_NOSIGNAL);
  }
  run_for(50);
  scrape_close(s);
  run_for(50);
  for (int i = 0; i < 5; i++) {
    char byte;
    errno = 0;
    assert_true(recv(fd[i], &byte, 1, 0) <= 0 && errno != EAGAIN);
    close(fd[i]);
  }
  assert_int_equal(settled_fds(), before);
  assert_int_equal(access(path, F_OK), -1);
}

static void addresses_that_cannot_be_had_are_told_with_their_cause(void **state) {
  (void)state;
  const struct scrape_pages pages = {.metrics = page, .front = page};
  char why[256];
  struct scrape *s = open_scrape(address, NULL);
  assert_null(scrape_open(base, address, &pages, why, sizeof why)); /* somebody serves there: us */
  assert_non_null(strstr(why, "somebody else listens there"));
  assert_int_equal(access(path, F_OK), 0);
  scrape_close(s);
  FILE *f = fopen(path, "w");
  fclose(f);
  assert_null(scrape_open(base, address, &pages, why, sizeof why));
  assert_non_null(strstr(why, "a file that is no socket"));
  assert_int_equal(access(path, F_OK), 0);
  unlink(path);
  static const char *const bad[] = {"127.0.0.1",    "127.0.0.1:0",   "127.0.0.1:70000",        "[::1:80",
                                    "localhost:80", "unix:relative", "unix:/nonexistent/dir/x"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_null(scrape_open(base, bad[i], &pages, why, sizeof why));
    assert_memory_equal(why, bad[i], strlen(bad[i]));
  }
}

static int set_up(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  base = event_base_new();
  if (!mkdtemp(dir) || !base)
    return -1;
  snprintf(path, sizeof path, "%s/metrics.sock", dir);
  snprintf(address, sizeof address, "unix:%s", path);
  return 0;
}

static int take_down(void **state) {
  (void)state;
  event_base_free(base);
  libevent_global_shutdown();
  return rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_pages_are_served_and_nothing_else),
      cmocka_unit_test(a_page_that_cannot_be_made_is_an_error),
      cmocka_unit_test(who_comes_and_goes_leaves_nothing_behind),
      cmocka_unit_test(more_than_are_served_at_a_time_wait_their_turn),
      cmocka_unit_test(closing_ends_what_is_under_way),
      cmocka_unit_test(addresses_that_cannot_be_had_are_told_with_their_cause),
  };
  return cmocka_run_group_tests(tests, set_up, take_down);
}
