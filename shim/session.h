/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - this process's standing with the daemon: HELLO, the rules, arenas, the agent connection.
 *
 * Nothing happens before the first TCP listen() or connect(). Then the daemon is found (or started), the
 * configuration is handed over, and the rules table is mapped. Everything fails closed: a function here
 * that answers an error means that the program's call fails, never that it goes on in plaintext.
 */
#ifndef SHIM_SESSION_H
#define SHIM_SESSION_H

#include "svidwrap/arena.h"
#include "svidwrap/rules.h"
#include "svidwrap/wire.h"

#include <stdbool.h>
#include <sys/socket.h>

/* Is this address managed? 1: yes (*out is a copy of the rule's entry; its mode may be any, off where the rule is
 * staged), 0: no, -1 and errno: cannot tell (no daemon, bad configuration): refuse. Says HELLO when needed (where the
 * mode is one that never asks the daemon, a new daemon's rules are looked for, too), and dials the agent where the
 * mode is such that an identity is wanted in any case. */
int session_match(enum rules_kind kind, const struct sockaddr *sa, socklen_t len, struct rules_entry *out);

/* The same for a destination, with the names by which this program found the address: *hosts receives them, for the
 * daemon to judge by. */
int session_match_connect(const struct sockaddr *sa, socklen_t len, struct rules_hosts *hosts,
                          struct rules_entry *out);

/* The same by what is known already: no HELLO, no agent, errno as it was. -1: nothing is known. */
int session_lookup(enum rules_kind kind, const struct sockaddr *sa, socklen_t len, struct rules_entry *out);

/* A fresh SOCK_SEQPACKET connection to the daemon, its SO_PEERCRED checked, hidden number not yet
 * assigned (the caller keeps it short or fdtab_hide()s it), blocking, close-on-exec. Starts the daemon
 * when none answers. -1 and errno. */
int session_dial(void);

/* Fills in the header of a message. */
void session_header(struct wire_hdr *h, enum wire_type type, size_t length);
/* The token for requests; valid after a successful session_match() or session_ready(). */
struct wire_token session_token(void);

/* Dials the agent if this session has not yet. 0, or -1 and errno. */
int session_agent_once(void);

/* Says HELLO if this process has no session with the running daemon (again: drop the one we had, the
 * daemon did not know it). Dials the agent once. 0, or -1 and errno. */
int session_ready(bool again);
/* Dials the agent and passes the connection to the daemon. 0, or -1 and errno. wait_ms as in
 * wire_identity; *status and text (WIRE_TEXT_MAX) may be NULL. */
int session_agent(uint32_t wait_ms, int *status, char *text);

/* Sends msg with fd (or -1) over an open connection to the daemon without blocking, with retries for a
 * full queue or ETOOMANYREFS up to a deadline. 0, or -1 and errno. */
int session_send(int sock, const void *msg, size_t len, int fd);
/* Receives one message of at least sizeof(struct wire_hdr) that is well-formed and of this type; fds are
 * stored in fds (-1 where none came). Waits up to timeout_ms. Length, or -1 and errno. */
ssize_t session_recv(int sock, void *buf, size_t size, enum wire_type type, int fds[WIRE_FDS_MAX], int timeout_ms);

#define SESSION_ANSWER_MS 15000 /* how long a request waits for the daemon */

/* One request and its answer on a fresh connection; WIRE_UNKNOWN_SESSION is handled (HELLO again, once: the
 * token at token_offset in msg is renewed). *life, when not NULL, receives the connection, left open. fds
 * may be NULL. 0, or -1 and errno: transport failed. The answer's status is the caller's to judge. */
int session_request(void *msg, size_t len, size_t token_offset, int fd, struct wire_reply *reply,
                    int fds[WIRE_FDS_MAX], int *life);

/* As session_request(), for news that a daemon which does not know this session need not hear: starts no
 * daemon, says no HELLO, and waits for a second at most. 0: it answered WIRE_OK. */
int session_tell(void *msg, size_t len, size_t token_offset, int fd, struct wire_reply *reply, int fds[WIRE_FDS_MAX]);

/* As session_tell(), and does not wait for the answer. 0: it was sent. -1 and errno. */
int session_post(void *msg, size_t len, size_t token_offset);

/* The slot, mapped; asks the daemon for an arena that is not known yet. NULL and errno. */
struct arena_slot *session_slot(uint64_t arena_id, uint32_t slot);

/* A line for the operator: to stderr and syslog, rate-limited, when the daemon cannot be told. */
void session_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for an errno that says that something is used up (EMFILE, ENFILE, ENOMEM, ENOBUFS), with what to do about
 * it; any other is not worth a line. */
void session_complain_scarce(const char *what, int err);

/* The uid at whose daemon this process has its session: a ring may come from root's. */
void session_follow(unsigned uid);
/* The same, unless this process has had a daemon already. */
void session_prefer(unsigned uid);
/* From now on the session is with root's daemon. false: none runs, or it was there already, or was refused. */
bool session_turn_to_root(void);
/* Does this process have its session with the daemon of another user than this one? */
bool session_is_elsewhere(unsigned uid);
/* Has this process a session, or is about to? */
bool session_begun(void);
/* Does this process have its session with the worker of this pid? */
bool session_is_with(int pid);

/* In the child of fork(). */
void session_after_fork(void);
/* The uid or gid may have changed. Where that is for good the session is given up at once: the daemon has the
 * listeners registered anew, and the next managed call says HELLO as who we are now. */
void session_ids_changed(void);

#endif
