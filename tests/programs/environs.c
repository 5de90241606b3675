/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environs.c - a program that starts another one with an environment of its own making, in every way that there is,
 * and a client to be started so.
 *
 *   environs - PORT MARKER          the client: sends the marker, prints what comes back, and LD_PRELOAD
 *   environs WAY PORT MARKER [DIR]  starts the client in that way; exit code 9: it could not be started
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *nothing[] = {NULL};

static int client(char **argv) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
  char back[100] = "";
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0 || write(fd, argv[3], strlen(argv[3])) < 0 ||
      recv(fd, back, strlen(argv[3]), MSG_WAITALL) < 0) {
    printf("failed: %s\n", strerrorname_np(errno));
    return 1;
  }
  printf("%s %s\n", back, getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "");
  return 0;
}

/* setproctitle() and its like write over the strings themselves. */
static void overwrite(void) {
  extern char **environ;
  for (char **e = environ; e && *e; e++)
    memset(*e, 'x', strlen(*e));
}

static int spawned(int rc, pid_t pid) {
  int status = 0;
  if (rc != 0) {
    printf("spawn: %s\n", strerrorname_np(rc));
    return 9;
  }
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

static int start(const char *way, char *self, char **argv, const char *command) {
  pid_t pid = 0;
  char *const empty[] = {NULL};
#define WAY(name) (strcmp(way, name) == 0)
  if (WAY("clearenv-execv")) {
    clearenv();
    execv(self, argv);
  } else if (WAY("unsetenv-execvp")) {
    unsetenv("LD_PRELOAD");
    execvp(self, argv);
  } else if (WAY("overwrite-execv")) {
    overwrite();
    execv(self, argv);
  } else if (WAY("execve-empty")) {
    execve(self, argv, nothing);
  } else if (WAY("execve-null")) {
    execve(self, argv, NULL);
  } else if (WAY("execle")) {
    execle(self, self, argv[1], argv[2], argv[3], (char *)NULL, empty);
  } else if (WAY("execl")) {
    clearenv();
    execl(self, self, argv[1], argv[2], argv[3], (char *)NULL);
  } else if (WAY("execvpe")) {
    execvpe(self, argv, nothing);
  } else if (WAY("fexecve")) {
    fexecve(open(self, O_RDONLY | O_CLOEXEC), argv, nothing);
  } else if (WAY("execveat")) {
    execveat(AT_FDCWD, self, argv, nothing, 0);
  } else if (WAY("syscall")) {
    syscall(SYS_execve, self, argv, nothing);
  } else if (WAY("syscall-at")) {
    syscall(SYS_execveat, AT_FDCWD, self, argv, nothing, 0);
  } else if (WAY("vfork")) {
    if ((pid = vfork()) == 0) {
      execve(self, argv, nothing);
      _exit(9);
    }
    return spawned(0, pid);
  } else if (WAY("posix_spawn")) {
    return spawned(posix_spawn(&pid, self, NULL, NULL, argv, nothing), pid);
  } else if (WAY("posix_spawnp")) {
    return spawned(posix_spawnp(&pid, self, NULL, NULL, argv, nothing), pid);
  } else if (WAY("system")) {
    clearenv();
    int status = system(command);
    return status == -1 ? 9 : WEXITSTATUS(status);
  } else if (WAY("popen")) {
    clearenv();
    FILE *f = popen(command, "w");
    return f ? WEXITSTATUS(pclose(f)) : 9;
  } else if (WAY("own-preload")) {
    setenv("LD_PRELOAD", "libm.so.6", 1);
    execv(self, argv);
  }
  printf("%s: %s\n", way, strerrorname_np(errno));
  return 9;
}

int main(int argc, char **argv) {
  char self[4096], command[8192];
  if (argc < 4)
    return 64;
  if (strcmp(argv[1], "-") == 0)
    return client(argv);
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  self[n > 0 ? n : 0] = '\0';
  if (argc > 4 && (chroot(argv[4]) != 0 || chdir("/") != 0 || !strcpy(self, "/program")))
    return 9;
  char *args[] = {self, (char[]){"-"}, argv[2], argv[3], NULL};
  snprintf(command, sizeof command, "exec %s - %s %s", self, argv[2], argv[3]);
  return start(argv[1], self, args, command);
}
