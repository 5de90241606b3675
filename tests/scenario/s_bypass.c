/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_bypass.c - ways to a socket that do not go through the common calls. Whether they work under svidwrap is
 * one question (the trace answers it); that none of them ever sends the payload in clear is another (the wire
 * watch answers that).
 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

static void by_sendmmsg(void) {
  int s, c;
  static char b[2][100];
  pair(&s, &c);
  fill(b, 200, 0);
  struct iovec v[2] = {{b[0], 100}, {b[1], 100}};
  struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
                         {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
  CALL(sendmmsg(c, m, 2, 0));
  say("read %zu", read_all(s, 200, 0, 200));
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  CALL(recvmmsg(c, m, 1, 0, NULL));
  say("same %d", same(b[0], 100, 0));
}

static void by_pwritev2(void) {
  int s, c;
  char b[100];
  struct iovec v = {b, 100};
  pair(&s, &c);
  fill(b, 100, 0);
  CALL(pwritev2(c, &v, 1, -1, 0));
  say("read %zu", read_all(s, 100, 0, 100));
  write_all(s, 100, 0, 100);
  memset(b, 0, sizeof b);
  wait_mask(c, POLLIN, POLLIN);
  CALL(preadv2(c, &v, 1, -1, 0));
  say("same %d", same(b, 100, 0));
}

static void by_splice(void) {
  int s, c, p[2];
  char b[100];
  pair(&s, &c);
  if (pipe(p) != 0)
    give_up("pipe");
  write_all(p[1], 100, 0, 100);
  CALL(splice(p[0], NULL, c, NULL, 100, 0));
  say("read %zu", read_all(s, 100, 0, 100));
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  CALL(splice(c, NULL, p[1], NULL, 100, 0));
  CALL(read(p[0], b, 100));
  say("same %d", same(b, 100, 0));
}

static void by_stdio(void) {
  int s, c;
  char b[101] = "";
  pair(&s, &c);
  errno = 0;
  FILE *out = fdopen(c, "w"), *in = fdopen(s, "r");
  if (out == NULL || in == NULL) {
    say("fdopen: %s", errno_name(errno));
    return;
  }
  fill(b, 100, 0);
  say("fwrite %zu", fwrite(b, 1, 100, out));
  say("fflush %d", fflush(out));
  memset(b, 0, sizeof b);
  say("fread %zu", fread(b, 1, 100, in));
  say("same %d", same(b, 100, 0));
  fclose(out);
  say("end: %d", fgetc(in) == EOF);
}

static void by_dprintf(void) {
  int s, c;
  char b[101] = "";
  pair(&s, &c);
  fill(b, 100, 0);
  say("dprintf %d", dprintf(c, "%.56s", b));
  char got[56];
  CALL(recv(s, got, 56, MSG_WAITALL));
  say("same %d", same(got, 56, 0));
}

static void by_syscall(void) {
  int s, c;
  char b[100];
  pair(&s, &c);
  fill(b, 100, 0);
  CALL(syscall(SYS_write, c, b, 100));
  say("read %zu", read_all(s, 100, 0, 100));
  write_all(s, 100, 0, 100);
  wait_mask(c, POLLIN, POLLIN);
  CALL(syscall(SYS_read, c, b, 100));
  CALL(syscall(SYS_sendto, c, b, 50, 0, NULL, 0));
  say("read %zu", read_all(s, 50, 0, 50));
  CALL(syscall(SYS_close, c));
  CALL(read(s, b, 1));
}

static void by_scm_rights(void) {
  int s, c, u[2];
  char b[100], control[CMSG_SPACE(sizeof(int))];
  pair(&s, &c);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, u) != 0)
    give_up("socketpair");
  struct iovec v = {b, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET;
  h->cmsg_type = SCM_RIGHTS;
  h->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(h), &c, sizeof c);
  b[0] = 'x';
  if (CALL(sendmsg(u[0], &m, 0)) < 0)
    return;
  memset(control, 0, sizeof control);
  CALL(recvmsg(u[1], &m, 0));
  int d = -1;
  if ((h = CMSG_FIRSTHDR(&m)) != NULL)
    memcpy(&d, CMSG_DATA(h), sizeof d);
  close(c);
  fill(b, 100, 0);
  CALL(write(d, b, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}

/* The child has the connection on its standard streams. */
static void by_stdio_of_a_child(void) {
  int s, c;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    dup2(s, 0);
    dup2(s, 1);
    close(s);
    close(c);
    execl("/bin/cat", "cat", (char *)NULL);
    _exit(127);
  }
  close(s);
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  shutdown(c, SHUT_WR);
  say("back %zu", read_all(c, 1000, 0, 1000));
  char b;
  CALL(read(c, &b, 1));
  child_status(kid);
}

static void by_fastopen(void) {
  int l = listen_on(0, 8), c = client_socket(0);
  char b[100];
  fill(b, 100, 0);
  struct sockaddr_in a = at_port(port);
  CALL(sendto(c, b, 100, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof a));
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 100, 0, 100));
}

static void by_fastopen_connect(void) {
  int l = listen_on(0, 8), c = client_socket(0), on = 1;
  setsockopt(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 100, 0, 100));
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 100, 0, 100));
}

/* dup before listen() leaves an alias of the TCP socket. */
static void by_dup_before_listen(void) {
  int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = at_port(port);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  int d = dup(l);
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(listen(l, 8));
  int c = client_socket(0);
  CALL(connect_to(c, port));
  int s = accept(d, NULL, NULL);
  say("accepted %d", s >= 0);
  if (s < 0)
    return;
  say("wrote %zu", write_all(s, 100, 0, 100));
  say("read %zu", read_all(c, 100, 0, 100));
}

static void by_dup_before_connect(void) {
  int l = listen_on(0, 8), c = client_socket(0), d = dup(c);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(d, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}

/* glibc's asynchronous I/O reads and writes inside, past every hook. */
static void by_aio(void) {
  int s, c;
  static char b[100];
  pair(&s, &c);
  fill(b, 100, 0);
  struct aiocb cb = {.aio_fildes = c, .aio_buf = b, .aio_nbytes = 100, .aio_sigevent.sigev_notify = SIGEV_NONE};
  if (CALL(aio_write(&cb)) == 0) {
    while (aio_error(&cb) == EINPROGRESS)
      nap(5);
    say("aio_write %zd", aio_return(&cb));
    say("read %zu", read_all(s, 100, 0, 100));
  }
  struct aiocb *list[1] = {&cb};
  cb.aio_lio_opcode = LIO_WRITE;
  if (CALL(lio_listio(LIO_WAIT, list, 1, NULL)) == 0)
    say("read %zu", read_all(s, 100, 0, 100));
}

static void by_fastopen_vector(void) {
  int l = listen_on(0, 8), c = client_socket(0);
  char b[100];
  fill(b, 100, 0);
  struct sockaddr_in a = at_port(port);
  struct iovec v = {b, 100};
  struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a}};
  CALL(sendmmsg(c, &m, 1, MSG_FASTOPEN));
  say("sent %u", m.msg_len);
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 100, 0, 100));
}

/* system() and popen() fork and execute inside: what is open is open in the shell too. */
static void by_shell(void) {
  int s, c;
  pair(&s, &c);
  int high = dup2(c, 40);
  say("high %d", high == 40);
  const char *command = "exec bash -c 'echo \"$SCENARIO_MARKER$SCENARIO_MARKER\" >&40' 2>/dev/null";
  CALL(system(command));
  FILE *f = popen(command, "r");
  CALL(pclose(f));
}

/* A standard stream is on descriptor 1 already when the connection comes there (bash does this). */
static void by_standard_stream(void) {
  int s, c, keep = dup(1);
  char b[101] = "";
  pair(&s, &c);
  fill(b, 100, 0);
  fflush(stdout);
  bool there = dup2(c, 1) == 1;
  if (there) {
    fwrite(b, 1, 100, stdout);
    fflush(stdout);
  }
  dup2(keep, 1);
  say("there %d", there);
  say("read %zu", there ? read_all(s, 100, 0, 100) : 0);
}

static void by_syscall_splice(void) {
  int s, c, p[2];
  char b[100];
  pair(&s, &c);
  if (pipe(p) != 0)
    give_up("pipe");
  write_all(p[1], 100, 0, 100);
  CALL(syscall(SYS_splice, p[0], NULL, c, NULL, 100, 0));
  say("read %zu", read_all(s, 100, 0, 100));
  fill(b, 100, 0);
  struct iovec v = {b, 100};
  CALL(syscall(SYS_pwritev2, c, &v, 1, -1L, -1L, 0));
  say("read %zu", read_all(s, 100, 0, 100));
}

/* dup3() that fails leaves the connection what it was. */
static void by_dup3_in_vain(void) {
  int s, c, d = dup(1);
  pair(&s, &c);
  CALL(dup3(d, c, O_NONBLOCK));
  CALL(dup2(999, c));
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}

/* One thread writes while another closes: whatever the write answers, nothing leaves in clear. */
static _Atomic int race_fd = -1;
static _Atomic bool race_over, race_idle;
static void *race_writer(void *arg) {
  char b[64];
  (void)arg;
  role("writer");
  fill(b, sizeof b, 0);
  while (!race_over) {
    int fd = race_fd;
    race_idle = fd < 0;
    if (fd >= 0)
      (void)!send(fd, b, sizeof b, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  return NULL;
}

static void by_close_in_between(void) {
  int l = listen_on(0, 64);
  pthread_t t = thread(race_writer, NULL);
  for (int i = 0; i < 300; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      give_up("connect");
    int s = accept(l, NULL, NULL);
    race_fd = c;
    usleep(200);
    char b[4096];
    (void)!recv(s, b, sizeof b, MSG_DONTWAIT);
    if (i % 2)
      close(c);
    else
      dup2(l, c), close(c);
    race_fd = -1;
    race_idle = false;
    while (!race_idle) /* the number is somebody else's from here */
      sched_yield();
    close(s);
  }
  race_over = true;
  pthread_join(t, NULL);
  say("over");
}

const struct scenario s_bypass[] = {{"by_sendmmsg", by_sendmmsg},
                                    {"by_pwritev2", by_pwritev2},
                                    {"by_splice", by_splice},
                                    {"by_stdio", by_stdio},
                                    {"by_dprintf", by_dprintf},
                                    {"by_syscall", by_syscall},
                                    {"by_scm_rights", by_scm_rights},
                                    {"by_stdio_of_a_child", by_stdio_of_a_child},
                                    {"by_fastopen", by_fastopen},
                                    {"by_fastopen_connect", by_fastopen_connect},
                                    {"by_dup_before_listen", by_dup_before_listen},
                                    {"by_dup_before_connect", by_dup_before_connect},
                                    {"by_aio", by_aio},
                                    {"by_fastopen_vector", by_fastopen_vector},
                                    {"by_shell", by_shell},
                                    {"by_standard_stream", by_standard_stream},
                                    {"by_syscall_splice", by_syscall_splice},
                                    {"by_dup3_in_vain", by_dup3_in_vain},
                                    {"by_close_in_between", by_close_in_between},
                                    {NULL, NULL}};
