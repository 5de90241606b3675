/* SPDX-License-Identifier: Apache-2.0 */
#include "../exec/exec.h"

/* Programs that start themselves again when a signal says so (nginx's and sendmail's kind) do it right from the
 * handler: while a read, a write, an accept or a connect of theirs is under way. */
static void starts_again(int sig) {
  (void)sig;
  char p[8];
  snprintf(p, sizeof p, "%u", port);
  char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t) "image_connect", p, NULL};
  execve(self, argv, environ);
  _exit(127);
}

static void in_read(int s, int l) {
  char b[10];
  (void)l;
  (void)!read(s, b, sizeof b);
}
static void in_write(int s, int l) {
  static char b[8u << 20];
  (void)l;
  (void)!write(s, b, sizeof b);
}
static void in_accept(int s, int l) {
  (void)s;
  accept(l, NULL, NULL);
}
static void in_poll(int s, int l) {
  struct pollfd p[2] = {{.fd = s, .events = POLLIN}, {.fd = l, .events = POLLIN}};
  poll(p, 2, -1);
}
static void in_connect(int s, int l) {
  (void)s;
  (void)l;
  connect_to(client_socket(SOCK_CLOEXEC), dead_port);
}

SCENARIO("May a handler execute another image while a call on a connection or a listener is under way?") {
  static void (*const under_way[])(int, int) = {in_read, in_write, in_accept, in_poll, in_connect};
  static const char *const names[] = {"read", "write", "accept", "poll", "connect"};
  for (size_t i = 0; i < sizeof under_way / sizeof *under_way; i++) {
    int l, s, c;
    char b;
    say("-- in %s()", names[i]);
    struct step ready;
    step_init(&ready);
    pair_keep(&l, &s, &c);
    fcntl(l, F_SETFD, FD_CLOEXEC);
    fcntl(s, F_SETFD, FD_CLOEXEC);
    fcntl(c, F_SETFD, FD_CLOEXEC);
    pid_t kid = fork();
    if (kid == 0) {
      struct sigaction a = {.sa_handler = starts_again};
      close(c);
      sigaction(SIGUSR1, &a, NULL);
      step_go(&ready);
      under_way[i](s, l);
      _exit(126);
    }
    close(s);
    step_wait(&ready);
    until_asleep(kid);
    kill(kid, SIGUSR1);
    int n = accept(l, NULL, NULL);
    say("read %zu", read_all(n, 1000, 0, 1000));
    say("wrote %zu", write_all(n, 1000, 0, 1000));
    child_status(kid);
    close(n);
    if (i != 1) /* where it had written nothing before */
      CALL(read(c, &b, 1));
    close(c);
    close(l);
  }
}
