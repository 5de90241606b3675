/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

/* A handler does everything that it may do (signal-safety(7)), while the same is being done outside. */
static int fds[2][2], ready_fd;
static volatile sig_atomic_t calls, wrong;

static void handler(int sig) {
  (void)sig;
  int keep = errno;
  char b[64];
  struct pollfd p = {.fd = fds[1][0], .events = POLLIN};
  if (send(fds[1][1], "0123456789", 10, 0) != 10)
    wrong++;
  if (poll(&p, 1, 5000) != 1)
    wrong++;
  if (read(fds[1][0], b, 10) != 10 || memcmp(b, "0123456789", 10) != 0)
    wrong++;
  if (dup2(fds[1][0], 60) != 60 || write(fds[1][1], "x", 1) != 1 || recv(60, b, 1, MSG_WAITALL) != 1 ||
      close(60) != 0)
    wrong++;
  int flags = fcntl(fds[0][0], F_GETFL), type;
  socklen_t len = sizeof type;
  if (flags < 0 || getsockopt(fds[0][0], SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
    wrong++;
  if (calls % 16 == 0) {
    pid_t pid = fork();
    if (pid == 0)
      _exit(write(ready_fd, "k", 1) == 1 ? 0 : 1);
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
      wrong++;
  }
  calls++;
  errno = keep;
}

static void *echo(void *arg) {
  char b[4096];
  for (ssize_t n; (n = read(fds[0][1], b, sizeof b)) > 0;)
    write_all(fds[0][1], 0, 0, 1), (void)!write(fds[0][1], b, (size_t)n);
  return arg;
}

SCENARIO("May a handler write, read, poll, dup, close and fork while the same calls are under way?") {
  int l, p[2];
  char b[3000];
  sigset_t set;
  pair_keep(&l, &fds[0][0], &fds[0][1]);
  fds[1][1] = client_socket(0);
  connect_to(fds[1][1], port);
  fds[1][0] = accept(l, NULL, NULL);
  CALL(pipe(p));
  ready_fd = p[1];
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &set, NULL); /* the other thread does not run the handler */
  pthread_t t = thread(echo, NULL);
  struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &a, NULL);
  struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  for (unsigned i = 0; i < 2000 || (calls < 100 && i < 100000); i++) {
    size_t n = 1 + (i * 37) % sizeof b;
    memset(b, 'a' + (int)(i % 26), n);
    if (send(fds[0][0], b, n, 0) != (ssize_t)n || recv(fds[0][0], b, n, MSG_WAITALL) != (ssize_t)n ||
        b[0] != 'a' + (char)(i % 26) || b[n - 1] != 'a' + (char)(i % 26)) {
      say("round %u went wrong: %s", i, errno_name(errno));
      break;
    }
  }
  setitimer(ITIMER_REAL, &never, NULL);
  say("handlers ran %d, wrong %d", calls >= 100, (int)wrong);
  shutdown(fds[0][0], SHUT_WR);
  pthread_join(t, NULL);
}
