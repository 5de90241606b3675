/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c - starts programs by vfork(), as compilers' drivers and shells do, and calls nothing that makes sockets by
 * name. Prints what it sees of its children; natively and wrapped that has to be the same.
 *
 * usage: driver              what parent and child know of each other
 *        driver PORT MARKER  child, grandchild and parent connect to 127.0.0.1:PORT and have MARKER echoed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t children, own;

static void child_ended(int sig) {
  (void)sig;
  children++;
}
static void to_oneself(int sig) {
  (void)sig;
  own++;
}

static void nap(void) {
  struct timespec t = {.tv_nsec = 20000000};
  nanosleep(&t, NULL);
}

static int ended(pid_t kid) {
  int status = -1;
  while (waitpid(kid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The parent waits, sees what the child wrote, and has the descriptors that the child closed. */
static void memory_and_descriptors(void) {
  volatile int told = 0;
  int p[2];
  if (pipe(p) != 0)
    exit(1);
  pid_t kid = vfork();
  if (kid == 0) {
    nap();
    told = 5;
    for (int fd = 3; fd < 40; fd++)
      close(fd);
    dup2(0, 30);
    _exit(3);
  }
  printf("told %d, ended %d, number 30: %d\n", told, ended(kid), fcntl(30, F_GETFD));
  printf("the pipe: %zd\n", write(p[1], "x", 1));
  close(p[0]);
  close(p[1]);
}

/* Why exec failed is told in a variable. */
static void exec_fails(const char *path) {
  volatile int why = 0;
  char *argv[] = {(char *)(uintptr_t) "child", NULL};
  pid_t kid = vfork();
  if (kid == 0) {
    execv(path, argv);
    why = errno;
    _exit(127);
  }
  printf("%s: errno %d, ended %d\n", path, why, ended(kid));
}

static void masks(void) {
  sigset_t mask, later;
  sigemptyset(&mask);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  sigaddset(&mask, SIGTERM);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  signal(SIGCHLD, child_ended);
  signal(SIGUSR1, to_oneself);
  for (volatile int i = 0; i < 20; i++) {
    pid_t kid = vfork();
    if (kid == 0) {
      sigprocmask(SIG_BLOCK, NULL, &mask);
      kill(getpid(), SIGUSR1);
      _exit(own);
    }
    int code = ended(kid);
    while (children == i)
      nap();
    if (i == 0 || i == 19)
      printf("child %d: USR1 %d TERM %d, ended %d\n", i, sigismember(&mask, SIGUSR1), sigismember(&mask, SIGTERM),
             code);
  }
  sigprocmask(SIG_BLOCK, NULL, &later);
  printf("parent: USR1 %d TERM %d, children %d, signals %d\n", sigismember(&later, SIGUSR1),
         sigismember(&later, SIGTERM), (int)children, (int)own);
}

/* A child's own children. */
static void nested(void) {
  volatile int by_vfork = -1, by_fork = -1;
  pid_t kid = vfork();
  if (kid == 0) {
    pid_t second = vfork();
    if (second == 0)
      _exit(4);
    by_vfork = ended(second);
    second = fork();
    if (second == 0)
      _exit(6);
    by_fork = ended(second);
    _exit(5);
  }
  printf("ended %d", ended(kid));
  printf(", within it %d and %d\n", by_vfork, by_fork);
}

/* By system calls, so that nothing names what makes sockets. Is the marker sent and echoed? 0, or an errno. */
static int exchange(const char *port, const char *marker) {
  char back[200];
  size_t got = 0, len = strlen(marker);
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int s = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
  if (s < 0 || syscall(SYS_connect, s, &to, sizeof to) != 0 || write(s, marker, len) < 0)
    return errno;
  while (got < len) {
    ssize_t n = read(s, back + got, sizeof back - got);
    if (n <= 0)
      return n < 0 ? errno : EPIPE;
    got += (size_t)n;
  }
  close(s);
  return memcmp(back, marker, len) == 0 ? 0 : EBADMSG;
}

/* A child of vfork(), a child of its own that has a memory of its own, and the parent after both. */
static void connects(const char *port, const char *marker) {
  volatile int why = -1, within = -1;
  pid_t kid = vfork();
  if (kid == 0) {
    pid_t second = fork();
    if (second == 0)
      _exit(exchange(port, marker));
    within = ended(second);
    why = exchange(port, marker);
    _exit(0);
  }
  printf("ended %d", ended(kid));
  printf(", child: %s", strerror(why));
  printf(", its child: %s", strerror(within));
  printf(", parent: %s\n", strerror(exchange(port, marker)));
}

/* A child in a jail of its own; then one that takes whatever number it likes, of a parent that is in one. */
static void jails(void) {
  pid_t kid = vfork();
  if (kid == 0)
    _exit(chroot("/") != 0);
  printf("jailed %d", ended(kid));
  printf(", number 1000: %d", dup2(0, 1000));
  printf(" %d, jailed %d", close(1000), chroot("/"));
  kid = vfork();
  if (kid == 0)
    _exit(dup2(0, 1000) != 1000);
  printf(", child's number %d", ended(kid));
  printf(", parent's %d %d\n", fcntl(1000, F_GETFD), dup2(0, 1001));
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc == 3) {
    connects(argv[1], argv[2]);
    return 0;
  }
  memory_and_descriptors();
  exec_fails("/nonexistent/child");
  exec_fails("/dev/null");
  exec_fails("/bin/true");
  masks();
  nested();
  memory_and_descriptors(); /* with handlers */
  jails();
  return 0;
}
