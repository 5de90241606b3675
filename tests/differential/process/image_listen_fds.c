/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

/* As sd_listen_fds(3) and programs that do without it look. */
IMAGE {
  role("image");
  int n = getenv("LISTEN_FDS") ? atoi(getenv("LISTEN_FDS")) : 0;
  say("for us %d, number %d", atoi(getenv("LISTEN_PID")) == getpid(), n);
  for (int fd = 3; fd < 3 + n; fd++) {
    struct stat st;
    int value = -1;
    socklen_t len = sizeof value;
    say("socket %d", fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode));
    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    say("stream %d", value == SOCK_STREAM);
    CALL(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len));
    say("listens %d", value);
    struct sockaddr_in a;
    len = sizeof a;
    CALL(getsockname(fd, (struct sockaddr *)&a, &len));
    say("inet %d, the port %d", a.sin_family == AF_INET, a.sin_port == htons(port));
    CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
    serve(fd, 1);
  }
}
