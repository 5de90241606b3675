/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

SCENARIO("How many connects that do not block can be under way at a time: nearly as many as descriptors?") {
  enum { LIMIT = 128 };
  int c[LIMIT], count = 0, odd = 0;
  limit_descriptors(LIMIT, false);
  while (count < LIMIT && (c[count] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) >= 0) {
    if (connect_to(c[count], dead_port) != -1 || errno != EINPROGRESS)
      odd = errno;
    count++;
  }
  say("socket() says %s", errno_name(errno));
  say("other answers than EINPROGRESS: %s", odd ? errno_name(odd) : "none");
  say("more than %d: %d", LIMIT - 40, count > LIMIT - 40);
  struct rlimit lim;
  getrlimit(RLIMIT_NOFILE, &lim);
  say("the limit is %d", (int)lim.rlim_cur);
  int wrong = 0;
  for (int i = 0; i < count; i++)
    wrong += poll_for(c[i], POLLIN | POLLOUT, 0) != 0;
  say("not under way: %d", wrong);
  for (int i = 0; i < count; i++)
    close(c[i]);
  int l = listen_on(0, 8), again = client_socket(0);
  CALL(connect_to(again, port));
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(again, 1000, 0, 1000));
  say("read %zu", read_all(s, 1000, 0, 1000));
}
