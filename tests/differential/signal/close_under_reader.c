/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.h"

SCENARIO("close() while another thread reads: does the reader end when the peer does, and nothing else break?") {
  int s, c, l;
  pair_keep(&l, &s, &c);
  pthread_t t = thread(reads_on, &s);
  until_asleep(newest_thread);
  CALL(close(s));
  send(c, "0123456789", 10, MSG_NOSIGNAL);
  close(c);
  pthread_join(t, NULL);
  c = client_socket(0);
  CALL(connect_to(c, port));
  s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
