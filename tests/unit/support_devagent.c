/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dev agent as a child process; see support_devagent.h.
 */
#include "support_devagent.h"

#include "agentclient/devagent/devagent.h"

#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 20000

static int dial(const char *path) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
    return fd;
  close(fd);
  return -1;
}

/* The dialer: connects as somebody and passes the connection out on descriptor 0. */
static int be_dialer(const char *path, unsigned uid) {
  char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec iov = {&byte, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (geteuid() == 0 && uid != 0 && (setgid(uid) != 0 || setuid(uid) != 0))
    return 1;
  int fd = dial(path);
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  if (fd < 0 || sendmsg(0, &m, 0) != 1)
    return 1;
  close(fd);
  return (int)read(0, &byte, 1); /* until the test lets go */
}

bool support_devagent_child(int argc, char **argv, int *rc) {
  if (argc > 1 && strcmp(argv[1], "dev-agent") == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    *rc = devagent_main(argc - 1, argv + 1);
    return true;
  }
  if (argc > 3 && strcmp(argv[1], "dialer") == 0) {
    *rc = be_dialer(argv[2], (unsigned)atoi(argv[3]));
    return true;
  }
  return false;
}

void agent_configure(const struct agent_process *a, const char *text) {
  FILE *f = fopen(a->config, "we");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

void agent_prepare(struct agent_process *a, const char *text) {
  memset(a, 0, sizeof *a);
  a->out = -1;
  strcpy(a->dir, "/tmp/svidwrap-test-agent-XXXXXX");
  assert_non_null(mkdtemp(a->dir));
  assert_int_equal(chmod(a->dir, 0755), 0);
  snprintf(a->socket, sizeof a->socket, "%s/agent.sock", a->dir);
  snprintf(a->endpoint, sizeof a->endpoint, "unix://%s", a->socket);
  snprintf(a->bundle, sizeof a->bundle, "%s/bundle.pem", a->dir);
  snprintf(a->config, sizeof a->config, "%s/dev-agent.yaml", a->dir);
  if (text)
    agent_configure(a, text);
}

static pid_t spawn(const char *const argv[], int in, int out) {
  posix_spawn_file_actions_t fa;
  pid_t pid;
  posix_spawn_file_actions_init(&fa);
  if (in >= 0)
    posix_spawn_file_actions_adddup2(&fa, in, 0);
  if (out >= 0) {
    posix_spawn_file_actions_adddup2(&fa, out, 1);
    posix_spawn_file_actions_adddup2(&fa, out, 2);
  }
  assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &fa, NULL, (char *const *)(uintptr_t)argv, environ), 0);
  posix_spawn_file_actions_destroy(&fa);
  return pid;
}

/* Reads lines until one begins like this. */
static void wait_line(int fd, const char *start) {
  char line[1024];
  size_t n = 0;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  for (;;) {
    if (poll(&p, 1, WAIT_MS) != 1 || read(fd, line + n, 1) != 1)
      fail_msg("the agent did not say \"%s\"; last: %.*s", start, (int)n, line);
    if (line[n] != '\n' && n + 1 < sizeof line) {
      n++;
      continue;
    }
    line[n] = 0;
    if (strncmp(line, start, strlen(start)) == 0)
      return;
    n = 0;
  }
}

void agent_start(struct agent_process *a, const char *const more[]) {
  const char *argv[16] = {"test", "dev-agent", "--socket", a->socket};
  size_t n = 4;
  int out[2];
  if (access(a->config, F_OK) == 0) {
    argv[n++] = "--config";
    argv[n++] = a->config;
  }
  for (; more && *more; more++)
    argv[n++] = *more;
  assert_int_equal(pipe2(out, O_CLOEXEC), 0);
  a->pid = spawn(argv, -1, out[1]);
  close(out[1]);
  a->out = out[0];
  wait_line(a->out, "svidwrap dev-agent: NOT FOR PRODUCTION");
  wait_line(a->out, "serving on unix:");
}

static int reap(pid_t pid) {
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int agent_run(const char *const args[], char *printed, size_t len) {
  const char *argv[16] = {"test", "dev-agent"};
  size_t n = 2, have = 0;
  int out[2];
  for (; *args; args++)
    argv[n++] = *args;
  assert_int_equal(pipe2(out, O_CLOEXEC), 0);
  pid_t pid = spawn(argv, -1, out[1]);
  close(out[1]);
  struct pollfd p = {.fd = out[0], .events = POLLIN};
  for (ssize_t got = 1; got > 0 && have < len - 1;) {
    if (poll(&p, 1, WAIT_MS) != 1)
      kill(pid, SIGKILL);
    got = read(out[0], printed + have, len - 1 - have);
    have += got > 0 ? (size_t)got : 0;
  }
  printed[have] = 0;
  close(out[0]);
  return reap(pid);
}

int agent_stop(struct agent_process *a) {
  if (!a->pid)
    return -1;
  kill(a->pid, SIGTERM);
  int rc = reap(a->pid);
  a->pid = 0;
  close(a->out);
  a->out = -1;
  return rc;
}

void agent_cleanup(struct agent_process *a) {
  char command[128];
  agent_stop(a);
  snprintf(command, sizeof command, "rm -rf %s", a->dir);
  assert_int_equal(system(command), 0);
}

size_t agent_fds(const struct agent_process *a) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd", (int)a->pid);
  DIR *d = opendir(path);
  size_t n = 0;
  assert_non_null(d);
  while (readdir(d))
    n++;
  closedir(d);
  return n;
}

int agent_dial(const struct agent_process *a) {
  int fd = dial(a->socket);
  assert_true(fd >= 0);
  return fd;
}

int agent_dial_as(const struct agent_process *a, uid_t uid, pid_t *helper) {
  char number[16], byte, control[CMSG_SPACE(sizeof(int))];
  const char *argv[] = {"test", "dialer", a->socket, number, NULL};
  struct iovec iov = {&byte, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int sv[2], fd = -1;
  snprintf(number, sizeof number, "%u", (unsigned)uid);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
  *helper = spawn(argv, sv[1], -1);
  close(sv[1]);
  assert_int_equal(recvmsg(sv[0], &m, MSG_CMSG_CLOEXEC), 1);
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  assert_non_null(c);
  memcpy(&fd, CMSG_DATA(c), sizeof fd);
  /* Our end stays open, and the helper with it, until it is killed. */
  return fd;
}

int agent_call(int fd, const char *method, bool with_header) {
  grpc_completion_queue *cq = grpc_completion_queue_create_for_pluck(NULL);
  grpc_channel_credentials *creds = grpc_insecure_credentials_create();
  grpc_channel *channel = grpc_channel_create_from_fd("agent", fd, creds, NULL);
  grpc_channel_credentials_release(creds);
  gpr_timespec until = gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(WAIT_MS, GPR_TIMESPAN));
  grpc_slice name = grpc_slice_from_copied_string(method);
  grpc_call *call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq, name, NULL, until, NULL);
  grpc_slice_unref(name);
  grpc_metadata header = {.key = grpc_slice_from_static_string("workload.spiffe.io"),
                          .value = grpc_slice_from_static_string("true")};
  grpc_byte_buffer *empty = grpc_raw_byte_buffer_create(NULL, 0);
  grpc_metadata_array initial, trailing;
  grpc_metadata_array_init(&initial);
  grpc_metadata_array_init(&trailing);
  grpc_status_code code = GRPC_STATUS_UNKNOWN;
  grpc_slice details = grpc_empty_slice();
  grpc_op ops[5];
  memset(ops, 0, sizeof ops);
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[0].data.send_initial_metadata.count = with_header;
  ops[0].data.send_initial_metadata.metadata = &header;
  ops[1].op = GRPC_OP_SEND_MESSAGE;
  ops[1].data.send_message.send_message = empty;
  ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
  ops[3].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
  ops[3].data.recv_status_on_client.trailing_metadata = &trailing;
  ops[3].data.recv_status_on_client.status = &code;
  ops[3].data.recv_status_on_client.status_details = &details;
  ops[4].op = GRPC_OP_RECV_INITIAL_METADATA; /* without it no status arrives */
  ops[4].data.recv_initial_metadata.recv_initial_metadata = &initial;
  assert_int_equal(grpc_call_start_batch(call, ops, 5, ops, NULL), GRPC_CALL_OK);
  grpc_completion_queue_pluck(cq, ops, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
  grpc_metadata_array_destroy(&initial);
  grpc_metadata_array_destroy(&trailing);
  grpc_slice_unref(details);
  grpc_byte_buffer_destroy(empty);
  grpc_call_unref(call);
  grpc_channel_destroy(channel);
  grpc_completion_queue_shutdown(cq);
  while (grpc_completion_queue_pluck(cq, NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type != GRPC_QUEUE_SHUTDOWN)
    ;
  grpc_completion_queue_destroy(cq);
  return (int)code;
}
