/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_resume.h - meetings of our client and our server at one TCP address, for tickets belong to a destination.
 */
#ifndef TESTS_SUPPORT_RESUME_H
#define TESTS_SUPPORT_RESUME_H

#include "agentclient/identity/ticket.h"
#include "support_handshake.h"

#include <netinet/in.h>
#include <sys/socket.h>

extern struct hs_world resume_world;
extern struct sockaddr_in resume_address;
int resume_setup(void **state);
int resume_teardown(void **state);

struct resume_spec {
  uint32_t in, out;      /* rules */
  struct policy *policy; /* of the server; NULL: the world's */
};
extern const struct resume_spec resume_plain;

struct resume_pair_of {
  struct hs_ours client, server;
};
void resume_pair(int fd[2]); /* a connected TCP pair, the client first */
void resume_begin(struct resume_pair_of *m, const struct resume_spec *spec);
void resume_meet(struct resume_pair_of *m, const struct resume_spec *spec); /* and waits */
void resume_part(struct resume_pair_of *m);
/* One meeting that comes about, with everything equal that has to be: was it resumed? */
bool resume_meeting(const struct resume_spec *spec);

void resume_renew(struct identity **id, const struct pki_svid *svid); /* a new generation */
void resume_fresh(void);                                              /* both of the world's */

#endif
