/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_exec.c - new images: inherited listeners, cleaned environments, vfork, posix_spawn, system, popen.
 */
#include "scenario.h"

#include <spawn.h>

extern char **environ;

/* The new image: accepts on descriptor 3 and echoes; what it saw goes to its own stdout. */
static void image_accept(void) {
  role("image");
  int on = -1;
  socklen_t len = sizeof on;
  CALL(getsockopt(3, SOL_SOCKET, SO_ACCEPTCONN, &on, &len));
  say("accepts: %d", on);
  struct sockaddr_in a;
  len = sizeof a;
  CALL(getsockname(3, (struct sockaddr *)&a, &len));
  say("the port: %d", a.sin_port == htons(port));
  int s = accept(3, NULL, NULL);
  size_t n = read_all(s, 1000, 0, 1000);
  say("read %zu, wrote %zu", n, write_all(s, n, 0, 100));
  char b;
  CALL(read(s, &b, 1));
}

static void image_connect(void) {
  role("image");
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(c, 1000, 0, 1000));
}

enum how { EXECVE, EXECVE_EMPTY, EXECL, EXECLP, EXECLE, EXECVP, SPAWN, VFORK, SYSTEM };

static void start_image(const char *what, enum how how) {
  char p[8], marker[128];
  snprintf(p, sizeof p, "%u", port);
  snprintf(marker, sizeof marker, "SCENARIO_MARKER=%s", getenv("SCENARIO_MARKER") ? getenv("SCENARIO_MARKER") : "");
  char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t)what, p, NULL};
  char *empty[] = {marker, NULL};
  switch (how) {
  case EXECVE:
    execve(self, argv, environ);
    break;
  case VFORK:
  case EXECVE_EMPTY:
    execve(self, argv, empty);
    break;
  case EXECL:
    execl(self, "scenario", what, p, (char *)NULL);
    break;
  case EXECLP:
    execlp(self, "scenario", what, p, (char *)NULL);
    break;
  case EXECLE:
    execle(self, "scenario", what, p, (char *)NULL, empty);
    break;
  case EXECVP:
    execvp(self, argv);
    break;
  case SPAWN:
  case SYSTEM:
    break;
  }
  _exit(127);
}

static void serve_image(enum how how) {
  int l = listen_on(0, 8);
  dup2(l, 3);
  if (l != 3)
    close(l);
  fcntl(3, F_SETFD, 0);
  pid_t kid;
  if (how == VFORK)
    kid = vfork();
  else
    kid = fork();
  if (kid == 0)
    start_image("image_accept", how);
  close(3);
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 300));
  say("read %zu", read_all(c, 1000, 0, 1000));
  CALL(close(c));
  child_status(kid);
}
static void exec_listener(void) { serve_image(EXECVE); }
static void exec_listener_clean_env(void) { serve_image(EXECVE_EMPTY); }
static void exec_listener_execl(void) { serve_image(EXECL); }
static void exec_listener_vfork(void) { serve_image(VFORK); }

static void client_image(enum how how) {
  int l = listen_on(SOCK_CLOEXEC, 8);
  pid_t kid = fork();
  if (kid == 0)
    start_image("image_connect", how);
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 1000, 0, 1000));
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  child_status(kid);
  char b;
  CALL(read(s, &b, 1));
}
static void exec_client_clean_env(void) { client_image(EXECVE_EMPTY); }
static void exec_client_execlp(void) { client_image(EXECLP); }
static void exec_client_execle(void) { client_image(EXECLE); }
static void exec_client_execvp(void) { client_image(EXECVP); }

static void spawn_client(void) {
  char p[8];
  snprintf(p, sizeof p, "%u", port);
  int l = listen_on(SOCK_CLOEXEC, 8);
  char marker[128];
  snprintf(marker, sizeof marker, "SCENARIO_MARKER=%s", getenv("SCENARIO_MARKER") ? getenv("SCENARIO_MARKER") : "");
  char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t) "image_connect", p, NULL},
       *empty[] = {marker, NULL};
  pid_t kid;
  CALL(posix_spawn(&kid, self, NULL, NULL, argv, empty));
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 1000, 0, 1000));
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  child_status(kid);
}

/* Children of every kind come and go; the parent's connection is untouched. */
static void children_around(void) {
  int s, c, l;
  pair_keep(&l, &s, &c);
  char *argv[] = {(char *)(uintptr_t) "true", NULL};
  pid_t kid = vfork();
  if (kid == 0) {
    for (int i = 3; i < 30; i++)
      close(i);
    execv("/bin/true", argv);
    _exit(1);
  }
  child_status(kid);
  CALL(posix_spawn(&kid, "/bin/true", NULL, NULL, argv, environ));
  child_status(kid);
  CALL(posix_spawnp(&kid, "true", NULL, NULL, argv, environ));
  child_status(kid);
  CALL(system("exit 3"));
  FILE *f = popen("echo from the shell", "r");
  char line[64] = "";
  say("popen: %s", fgets(line, sizeof line, f) ? "a line" : "nothing");
  CALL(pclose(f));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(s, 1000, 0, 1000));
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  say("read %zu", read_all(c, 1000, 0, 1000));
  struct pollfd p = {.fd = c, .events = POLLIN};
  CALL(poll(&p, 1, 50));
}

/* A connection marked close-on-exec ends with its last holder's exec. */
static void cloexec_connection(void) {
  int s, c;
  char b;
  pair(&s, &c);
  fcntl(s, F_SETFD, FD_CLOEXEC);
  pid_t kid = fork();
  if (kid == 0) {
    close(c);
    write_all(s, 100, 0, 100);
    execl("/bin/sleep", "sleep", "1", (char *)NULL);
    _exit(1);
  }
  close(s);
  say("read %zu", read_all(c, 100, 0, 100));
  CALL(read(c, &b, 1));
  child_status(kid);
}

/* Programs of no concern to us behave under a cleaned environment as ever; wait() sees no strangers. */
static void no_strange_children(void) {
  int s, c;
  pair(&s, &c);
  CALL(waitpid(-1, NULL, WNOHANG));
  CALL(wait(NULL));
}

const struct scenario s_exec[] = {{"exec_listener", exec_listener},
                                  {"exec_listener_clean_env", exec_listener_clean_env},
                                  {"exec_listener_execl", exec_listener_execl},
                                  {"exec_listener_vfork", exec_listener_vfork},
                                  {"exec_client_clean_env", exec_client_clean_env},
                                  {"exec_client_execlp", exec_client_execlp},
                                  {"exec_client_execle", exec_client_execle},
                                  {"exec_client_execvp", exec_client_execvp},
                                  {"spawn_client", spawn_client},
                                  {"children_around", children_around},
                                  {"cloexec_connection", cloexec_connection},
                                  {"no_strange_children", no_strange_children},
                                  {"image_accept", image_accept},
                                  {"image_connect", image_connect},
                                  {NULL, NULL}};
