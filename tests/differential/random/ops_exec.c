/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_exec.c - a process becomes another image of this program, with its sockets above 2, and goes on with its turns.
 *
 * Closed before: epoll sets, and sockets whose connect() failed (what was told of that is the image's own knowledge).
 * Not on 0 to 2: those are relayed, and then it is open when bytes arrive.
 */
#include "random.h"

#include <sys/mman.h>

bool exec_share(void) {
  int fd = memfd_create("random-world", 0);
  if (fd < 0 || ftruncate(fd, sizeof *W) != 0 || dup2(fd, WORLD_FD) != WORLD_FD)
    return false;
  close(fd);
  return exec_attach();
}

bool exec_attach(void) {
  void *p = mmap(NULL, sizeof *W, PROT_READ | PROT_WRITE, MAP_SHARED, WORLD_FD, 0);
  W = p == MAP_FAILED ? NULL : p;
  return W != NULL;
}

static void drop(bool (*which)(int index), bool closes) {
  for (int i = me->count - 1; i >= 0; i--) {
    if (!which(i))
      continue;
    if (closes)
      close(me->table[i].fd);
    number_drop(i);
  }
}

static bool not_carried(int index) { return object_of(index)->kind & (K_EPOLL | K_DEAD); }
static bool on_exec(int index) { return fcntl(me->table[index].fd, F_GETFD) & FD_CLOEXEC; }

static void op_exec(void) {
  char index[12];
  if (me->noise || me->job.active || flying_listener())
    return;
  for (int i = 0; i < me->count; i++)
    settle(i);
  drop(not_carried, true);
  drop(on_exec, false);
  for (int i = 0; i < me->count; i++)
    object_of(i)->shared |= object_of(i)->kind == K_FRESH; /* the image cannot know who else has it */
  say(" with %d numbers", me->count);
  snprintf(index, sizeof index, "%d", (int)(me - W->worker));
  execl("/proc/self/exe", "random", "--worker", index, NULL);
  give_up("exec");
}

/* The image's first call on a socket makes it known again; a listener is served from then on. */
void exec_arrived(void) {
  for (int i = 0; i < me->count; i++) {
    struct pollfd p = {.fd = me->table[i].fd};
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int flags = fcntl(p.fd, F_GETFD), status = fcntl(p.fd, F_GETFL);
    object_of(i)->inherited |= object_of(i)->kind == K_LISTENER;
    poll(&p, 1, 0);
    getsockname(p.fd, (struct sockaddr *)&a, &len);
    if (flags != 0 || status < 0)
      say("  %d: %d %x", p.fd, flags, (unsigned)status);
  }
}

const struct op ops_exec[] = {{"exec", op_exec, 14, F_PROC, false}, {0}};
