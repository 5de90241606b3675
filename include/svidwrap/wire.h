/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - the messages between the shim and the daemon.
 *
 * Transport: a SOCK_SEQPACKET unix socket with an abstract name (one daemon per uid and network
 * namespace). Every request travels on a connection of its own: one message there, one message
 * back, so that no lock is needed and a fork in between does no harm. Descriptors travel with
 * SCM_RIGHTS. All integers are in host byte order: both ends are on one machine and of one build.
 *
 * There is no message that can ask for a private key, and none carries one. Traffic secrets are
 * never in a message either: the daemon writes them into a slot of the session's arena (arena.h).
 *
 * Both ends check SO_PEERCRED before they believe a byte: the daemon serves its own uid (a
 * root-run daemon may serve all), the shim accepts a daemon of its own effective uid or root.
 */
#ifndef SVIDWRAP_WIRE_H
#define SVIDWRAP_WIRE_H

#include "rules.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#define WIRE_MAGIC    0x31575653u /* "SVW1" in memory on a little-endian machine */
#define WIRE_VERSION  2
#define WIRE_MAX      65536 /* no message is longer than this */
#define WIRE_FDS_MAX  2     /* and none carries more descriptors */
#define WIRE_TEXT_MAX 512   /* NUL-terminated, UTF-8, for a log line */
#define WIRE_NAME_LEN 42    /* "svidwrap/" + 32 hex digits + NUL, without the leading NUL of the address */
#define WIRE_PATH_MAX 4096
#define WIRE_VARS_MAX 32768

/* Address of the daemon: "\0svidwrap/daemon/<euid>" or "\0svidwrap/daemon/<euid>/<instance>" where
 * SVIDWRAP_INSTANCE ([A-Za-z0-9._-], 1 to 32 characters) is set. The length passed to bind() and
 * connect() covers exactly the characters (no trailing NUL). */
#define WIRE_DAEMON_PREFIX "svidwrap/daemon/"
/* Address of a stand-in listener: "\0" followed by a name of WIRE_NAME_LEN - 1 characters. */
#define WIRE_STANDIN_PREFIX "svidwrap/"
/* The first WIRE_TAG_LEN hex digits of a stand-in's name tell the instance it belongs to (so that a new
 * daemon rings its own only); the others are 96 random bits. FNV-1a, 32 bits, of SVIDWRAP_INSTANCE. */
#define WIRE_TAG_LEN 8
static inline uint32_t wire_instance_tag(const char *instance) {
  uint32_t h = 2166136261u;
  for (; instance && *instance; instance++)
    h = (h ^ (uint8_t)*instance) * 16777619u;
  return h;
}

enum wire_type {
  /* shim -> daemon */
  WIRE_HELLO = 1,    /* struct wire_hello + path + vars; fds: [config file] or none. Answer: wire_welcome.
                        The connection stays open as the session's control socket. */
  WIRE_IDENTITY = 2, /* struct wire_identity; fds: [connection to the agent] or none. Answer: wire_reply,
                        at once if wait_ms is 0, else when an identity is there or the wait is over. */
  WIRE_LISTEN = 3,   /* struct wire_listen; fds: [TCP listener]. Answer: wire_reply. The connection stays
                        open as the listener's life socket. */
  WIRE_ADOPT = 4,    /* struct wire_listen (name only); fds: [the stand-in itself, for a proof]. Answer:
                        wire_reply, fds: [TCP listener]; life socket as for WIRE_LISTEN. Sent by an image that
                        inherited a stand-in. */
  WIRE_UNLISTEN = 5, /* struct wire_listen (name only): no process holds this stand-in any more.
                        Answer: wire_reply once the daemon has closed its copy of the TCP listener. */
  WIRE_SYNC = 6,     /* struct wire_listen (address in local): look now whether listeners on that address are
                        orphans and close those. Answer: wire_reply. Sent by bind() after EADDRINUSE. */
  WIRE_CONNECT = 7,  /* struct wire_connect; fds: [TCP socket]. Answer: wire_connected. */
  WIRE_ARENA = 8,    /* struct wire_arena: Answer: wire_reply, fds: [arena memfd]. */
  WIRE_STATUS = 9,   /* struct wire_hdr alone, from the CLI. Answer: wire_reply, fds: [memfd with JSON]. */

  WIRE_ALERT = 10, /* struct wire_alert: an alert ended a connection after the handshake; for the audit log.
                      Answer: wire_reply. */

  WIRE_PLAIN = 11, /* struct wire_plain: a managed connect() goes out in plaintext, as its rule says (off and staged,
                      canary). Nobody waits for the answer (wire_reply), but where
                      the rule has RULES_AUDITED: then it is asked before, and goes if the answer is WIRE_OK. */
  WIRE_ADMIN = 12, /* struct wire_hdr and JSON behind it ({"verb": ...}), or fds: [sealed memfd with the JSON], from
                      the CLI, of the daemon's own uid or root's. Answer: wire_reply, fds: [memfd with the JSON
                      answer] or none. */
  WIRE_RELAY = 13, /* struct wire_relay; fds: [TCP socket]: the connection goes where hooks cannot follow. The sender
                      holds both locks of the slot. Answer: wire_reply, fds: [the program's end of a stream pair]; the
                      slot is then ARENA_MOVED. Asked again by another holder, who then has no locks to hold: the
                      same end. */

  /* daemon -> shim */
  WIRE_WELCOME = 64,   /* struct wire_welcome; fds: [arena memfd, rules memfd] */
  WIRE_REPLY = 65,     /* struct wire_reply */
  WIRE_CONNECTED = 66, /* struct wire_connected */

  /* daemon -> shim over a connection to a stand-in listener (SOCK_STREAM) */
  WIRE_HANDOVER = 96, /* struct wire_handover; fds: [TCP socket] when kind is HANDOVER_CONN or _PLAIN */
};

struct wire_hdr {
  uint32_t magic;
  uint16_t version;
  uint16_t type;     /* enum wire_type */
  uint32_t length;   /* of the whole message, this header included; must equal what was received */
  uint32_t reserved; /* 0 */
};

/* 128 random bits that name a session. All its requests carry them; forked children share them.
 * A daemon that does not know the token (it was restarted) answers WIRE_UNKNOWN_SESSION, and the
 * shim says HELLO again and repeats the request once. */
struct wire_token {
  uint8_t bytes[16];
};

enum wire_status {
  WIRE_OK = 0,
  WIRE_UNKNOWN_SESSION = 1, /* say HELLO again */
  WIRE_NEED_AGENT = 2,      /* send WIRE_IDENTITY with a fresh agent connection, then repeat */
  WIRE_BAD_REQUEST = 3,     /* malformed: a bug */
  WIRE_BAD_CONFIG = 4,      /* text says file:line:col: message */
  WIRE_NO_IDENTITY = 5,     /* text carries the agent's answer */
  WIRE_REFUSED = 6,         /* policy or peer: err says what the program sees */
  WIRE_NOT_FOUND = 7,       /* no such listener or arena */
  WIRE_BUSY = 8,            /* limits of the daemon; try again */
  WIRE_TCP_FAILED = 9,      /* connect: TCP itself failed; the kernel tells the program (SO_ERROR) */
  WIRE_VERSION_MISMATCH = 10,
};

/* HELLO. Followed by path_len bytes of path (absolute, no NUL), then vars_len bytes of
 * "NAME=value\0" for every ${NAME} that the file mentions, then program_len bytes: the base name
 * of the program. */
struct wire_hello {
  struct wire_hdr hdr;
  uint32_t pid;   /* informative; SO_PEERCRED decides */
  uint32_t flags; /* WIRE_HELLO_* */
  uint32_t path_len;
  uint32_t vars_len;
  uint32_t program_len;
  uint32_t config_errno; /* not 0: the shim could not open the file; the daemon answers BAD_CONFIG */
};
#define WIRE_HELLO_CONTAINER 1u /* the program is pid 1 */
/* To root's daemon, from another user's program that may as well have its own: WIRE_NOT_FOUND unless that daemon
 * serves all users. */
#define WIRE_HELLO_GUEST 2u
/* io_uring is within the process's reach: no seccomp filter, only hooks stand before it; and there is a ring already.
 */
#define WIRE_HELLO_RINGS     4u
#define WIRE_HELLO_RING_OPEN 8u

/* Answer to HELLO. endpoint is the Workload API address that the *program's process* has to dial
 * ("unix:///run/...", "tcp://127.0.0.1:8081"), empty where the daemon speaks for itself
 * (identity.scope: daemon). It is dialed at the first managed call, or at WIRE_NEED_AGENT. */
struct wire_welcome {
  struct wire_hdr hdr;
  int32_t status; /* enum wire_status */
  int32_t err;    /* errno for the program when status is not WIRE_OK */
  struct wire_token token;
  uint64_t arena_id;
  uint32_t daemon_pid;
  uint32_t identity_wait_ms; /* how long the first managed call may wait for an identity */
  uint32_t guard;            /* WIRE_GUARD_*: io_uring */
  uint32_t endpoint_len;     /* of endpoint */
  uint32_t flags;            /* WIRE_WELCOME_* */
  uint32_t pad;
  char endpoint[1024]; /* NUL-terminated */
  char text[WIRE_TEXT_MAX];
};

#define WIRE_WELCOME_ALL_USERS 1u /* this daemon is the machine's: there is no other one to go to */

struct wire_identity {
  struct wire_hdr hdr;
  struct wire_token token;
  uint32_t wait_ms;    /* answer no later than this; 0: at once */
  int32_t agent_errno; /* not 0: the shim could not dial the agent; no fd comes along */
};

struct wire_reply {
  struct wire_hdr hdr;
  int32_t status;    /* enum wire_status */
  int32_t err;       /* errno for the program, 0 if status is WIRE_OK */
  uint64_t arena_id; /* of the listener or arena asked for */
  char text[WIRE_TEXT_MAX];
};

struct wire_listen {
  struct wire_hdr hdr;
  struct wire_token token;
  char name[WIRE_NAME_LEN]; /* of the stand-in, without the leading NUL, NUL-terminated */
  uint16_t pad;
  int32_t backlog;
  uint32_t rule;                 /* rules_entry.rule */
  uint32_t local_len;            /* of local */
  struct sockaddr_storage local; /* for WIRE_SYNC */
};

struct wire_connect {
  struct wire_hdr hdr;
  struct wire_token token;
  uint32_t rule;    /* rules_entry.rule */
  uint32_t flags;   /* WIRE_CONNECT_* */
  uint32_t wait_ms; /* 0: the daemon's handshake_timeout */
  uint32_t dest_len;
  struct sockaddr_storage dest; /* as the program gave it */
  struct rules_hosts hosts;     /* what it had resolved to that address, the newest first */
};
#define WIRE_CONNECT_IN_PROGRESS 1u /* TCP connect() answered EINPROGRESS: wait for it first */

struct wire_connected {
  struct wire_hdr hdr;
  int32_t status;    /* WIRE_OK, WIRE_REFUSED, WIRE_TCP_FAILED, WIRE_NO_IDENTITY, ... */
  int32_t err;       /* errno for the program */
  uint64_t arena_id; /* where the slot is */
  uint32_t slot;     /* valid when status is WIRE_OK */
  uint32_t slot_use; /* arena_slot.use, so that a stale reply cannot name a reused slot */
  char text[WIRE_TEXT_MAX];
};

struct wire_plain {
  struct wire_hdr hdr;
  struct wire_token token;
  uint32_t rule; /* rules_entry.rule */
  uint32_t why;  /* enum wire_plain_why */
  uint32_t local_len, dest_len;
  uint32_t about; /* enum wire_plain_about */
  uint32_t pad;
  uint64_t cookie;                     /* SO_COOKIE */
  struct sockaddr_storage local, dest; /* local_len 0: not known yet */
  struct rules_hosts hosts;            /* as in wire_connect */
};
enum wire_plain_about {
  WIRE_PLAIN_DONE = 0,  /* it is out: audit line, and it ends with its rule */
  WIRE_PLAIN_ASKS = 1,  /* may it go? audit line */
  WIRE_PLAIN_ASKED = 2, /* it is out, and had asked: it ends with its rule */
};
enum wire_plain_why {
  WIRE_PLAIN_OFF = 1,       /* mode off of a staged rule */
  WIRE_PLAIN_PERCENT = 2,   /* canary: not among the percent */
  WIRE_PLAIN_SUSPENDED = 3, /* canary: suspended after failures */
};

struct wire_relay {
  struct wire_hdr hdr;
  struct wire_token token;
  uint64_t arena_id;
  uint32_t slot;
  uint32_t slot_use;
};

struct wire_arena {
  struct wire_hdr hdr;
  struct wire_token token;
  uint64_t arena_id;
};

/* What the program's process saw on a connection of its own: believed as such, for the audit line only. */
struct wire_alert {
  struct wire_hdr hdr;
  struct wire_token token;
  uint32_t rule;    /* arena_slot.rule */
  uint8_t inbound;  /* 1: accepted, 0: dialed */
  uint8_t received; /* 1: the peer sent it, 0: we did, for what the peer had sent */
  uint8_t alert;    /* RFC 8446 section 6 */
  uint8_t pad;
  uint32_t local_len, remote_len, peer_id_len;
  uint32_t pad2;
  struct sockaddr_storage local, remote;
  char peer_id[2048]; /* not NUL-terminated */
};

/* What a connection to a stand-in listener carries: exactly one such message. The receiver reads
 * it with MSG_PEEK first: at its descriptor limit a truncated SCM_RIGHTS would destroy the peer's
 * connection. When it cannot take the socket it writes HANDOVER_PARK and closes; the daemon offers
 * the connection again. Closing after reading the message means "taken"; closing with the message
 * unread (ECONNRESET at the daemon) means "never accepted", and the TCP peer is reset. */
enum wire_handover_kind {
  HANDOVER_CONN = 1,     /* an authenticated connection */
  HANDOVER_REGISTER = 2, /* the daemon is new: say HELLO, register the listener, dial the agent */
  HANDOVER_AGENT = 3,    /* dial the agent again (WIRE_IDENTITY) */
  HANDOVER_WAKE = 4,     /* nothing to do: a parked connection comes again */
  HANDOVER_PLAIN = 5,    /* a TCP socket in it, as HANDOVER_CONN, but in plaintext as the rule says: no slot */
  HANDOVER_SWEEP = 6,    /* connections were revoked (arena_slot.revoked): shut yours down */
};
#define HANDOVER_PARK 'P'

struct wire_handover {
  struct wire_hdr hdr;
  uint32_t kind; /* enum wire_handover_kind */
  uint32_t slot;
  uint32_t slot_use;
  uint32_t peer_len; /* of peer: what accept() and getpeername() answer */
  uint64_t arena_id;
  struct sockaddr_storage peer;
};

/* Guard against io_uring, decided by the configuration (io_uring: deny | allow-unsafe). */
#define WIRE_GUARD_DENY         0u
#define WIRE_GUARD_ALLOW_UNSAFE 1u

#endif
