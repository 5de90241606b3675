/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_stress.c - many threads, forks and signals at once: nothing is lost, mixed up or locked up.
 */
#include "scenario.h"

#include <spawn.h>

extern char **environ;

static volatile sig_atomic_t over;

/* Echoes until 'over'; a connection at a time, several threads. */
static void *echo_thread(void *arg) {
  int l = *(int *)arg;
  char b[4096];
  while (!over) {
    int s = accept(l, NULL, NULL);
    if (s < 0)
      continue;
    ssize_t n;
    while ((n = read(s, b, sizeof b)) > 0) {
      if (write(s, b, (size_t)n) != n)
        break;
    }
    close(s);
  }
  return NULL;
}

static bool failed(const char *step, int fd) {
  say("failed: %s: %s", step, errno_name(errno));
  close(fd);
  return false;
}

static bool one_exchange(uint64_t at) {
  int c = client_socket(0);
  char b;
  errno = 0;
  if (connect_to(c, port) != 0)
    return failed("connect", c);
  if (write_all(c, 3000, at, 1000) != 3000)
    return failed("write", c);
  if (shutdown(c, SHUT_WR) != 0)
    return failed("shutdown", c);
  if (read_all(c, 3000, at, 777) != 3000)
    return failed("read", c);
  if (read(c, &b, 1) != 0)
    return failed("end", c);
  close(c);
  return true;
}

static void *client_thread(void *arg) {
  uint64_t base = (uint64_t)(uintptr_t)arg;
  size_t good = 0;
  role("client");
  for (unsigned i = 0; i < 30; i++)
    good += one_exchange(base * 100000 + i);
  return (void *)(uintptr_t)good;
}

static size_t with_threads(void (*meanwhile)(void)) {
  static int l;
  enum { THREADS = 6 };
  pthread_t t[THREADS];
  size_t good = 0;
  l = listen_on(SOCK_CLOEXEC, 64);
  for (int i = 0; i < 4; i++)
    thread(echo_thread, &l);
  for (unsigned i = 0; i < THREADS; i++)
    t[i] = thread(client_thread, (void *)(uintptr_t)i);
  if (meanwhile)
    meanwhile();
  for (int i = 0; i < THREADS; i++) {
    void *n;
    pthread_join(t[i], &n);
    good += (size_t)(uintptr_t)n;
  }
  over = 1;
  return good;
}

static void threads_connect(void) { say("good %zu", with_threads(NULL)); }

/* A child of a program with threads may find locks taken by threads that it does not have. */
static void forks(void) {
  size_t fine = 0;
  for (int i = 0; i < 40; i++) {
    pid_t kid = fork();
    if (kid == 0) {
      int p[2];
      if (pipe(p) != 0 || write(p[1], "x", 1) != 1 || close(p[0]) != 0)
        _exit(1);
      _exit(i % 2 ? 0 : one_exchange(77) ? 0 : 2);
    }
    int st = -1;
    waitpid(kid, &st, 0);
    fine += WIFEXITED(st) && WEXITSTATUS(st) == 0;
  }
  say("children that did well: %zu", fine);
}
static void threads_fork(void) { say("good %zu", with_threads(forks)); }

static void spawns(void) {
  volatile size_t fine = 0;
  char *argv[] = {(char *)(uintptr_t) "true", NULL};
  for (volatile int i = 0; i < 30; i++) {
    pid_t kid = -1;
    int st = -1;
    if (i % 3 == 0) {
      fine += system("true") == 0;
      continue;
    }
    if (i % 3 == 1)
      posix_spawn(&kid, "/bin/true", NULL, NULL, argv, environ);
    else if ((kid = vfork()) == 0) {
      execv("/bin/true", argv);
      _exit(1);
    }
    waitpid(kid, &st, 0);
    fine += WIFEXITED(st) && WEXITSTATUS(st) == 0;
  }
  say("children that did well: %zu", fine);
}
static void threads_spawn(void) { say("good %zu", with_threads(spawns)); }

static void nothing(int sig) { (void)sig; }

/* A flood of signals with SA_RESTART: no call of ours may answer EINTR. */
static void signal_flood(void) {
  struct sigaction sa = {.sa_handler = nothing, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &sa, NULL);
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    while (kill(me, SIGUSR1) == 0 && getppid() == me)
      usleep(500);
    _exit(0);
  }
  say("good %zu", with_threads(NULL));
  kill(kid, SIGKILL);
  waitpid(kid, NULL, 0);
}

/* Servers that fork for each of many clients at once. */
static void fork_storm(void) {
  int l = listen_on(0, 64);
  pid_t server = fork();
  if (server == 0) {
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
      int s = accept(l, NULL, NULL);
      if (fork() == 0) {
        char b[4096];
        ssize_t n;
        close(l);
        while ((n = read(s, b, sizeof b)) > 0) {
          if (write(s, b, (size_t)n) != n)
            break;
        }
        _exit(0);
      }
      close(s);
    }
  }
  close(l);
  pid_t kid[6];
  for (unsigned i = 0; i < 6; i++) {
    if ((kid[i] = fork()) == 0) {
      role("client");
      int good = 0;
      for (unsigned k = 0; k < 15; k++)
        good += one_exchange(i * 1000 + k);
      _exit(good);
    }
  }
  for (int i = 0; i < 6; i++)
    child_status(kid[i]);
  kill(server, SIGKILL);
  child_status(server);
}

/* A burst: all connect before any is accepted; an edge-triggered listener sees them all. */
static void burst(void) {
  int l = listen_on(SOCK_NONBLOCK, 128), ep = epoll_create1(0), c[60], got = 0;
  struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
  epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
  for (int i = 0; i < 60; i++) {
    c[i] = client_socket(SOCK_NONBLOCK);
    if (connect_to(c[i], port) != 0 && errno != EINPROGRESS)
      say("connect: %s", errno_name(errno));
  }
  while (got < 60 && epoll_wait(ep, &ev, 1, 8000) == 1) {
    while (accept(l, NULL, NULL) >= 0)
      got++;
  }
  int up = 0;
  for (int i = 0; i < 60; i++)
    up += (poll_for(c[i], POLLOUT, 5000) & (POLLOUT | POLLERR)) == POLLOUT;
  say("accepted %d, connected %d", got, up);
}

const struct scenario s_stress[] = {{"threads_connect", threads_connect},
                                    {"threads_fork", threads_fork},
                                    {"threads_spawn", threads_spawn},
                                    {"signal_flood", signal_flood},
                                    {"fork_storm", fork_storm},
                                    {"burst", burst},
                                    {NULL, NULL}};
