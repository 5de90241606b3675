/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("What does connect() answer to wrong descriptors, lengths, families and addresses?") {
  struct sockaddr_in a = at_port(port);
  int c = client_socket(0), u = socket(AF_UNIX, SOCK_STREAM, 0);
  CALL(connect(c, (struct sockaddr *)&a, 3));
  CALL(connect(-1, (struct sockaddr *)&a, sizeof a));
  CALL(connect(u, (struct sockaddr *)&a, sizeof a));
  struct sockaddr *volatile nowhere = (struct sockaddr *)8;
  CALL(connect(c, nowhere, sizeof a));
  int d = socket(AF_INET, SOCK_DGRAM, 0);
  CALL(connect(d, (struct sockaddr *)&a, sizeof a));
  a.sin_family = AF_UNIX;
  CALL(connect(c, (struct sockaddr *)&a, sizeof a));
}
