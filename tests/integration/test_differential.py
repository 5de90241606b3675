# SPDX-License-Identifier: Apache-2.0
"""Does a program see under svidwrap what it sees without? One C program with many scenarios (tests/differential) is run both ways; its
traces (results, errno, poll masks, hashes of bytes) must be the same line by line, and no payload may cross in
clear. A scenario that is known to differ is listed here with the reason and what it says instead."""
import difflib
import os
import re
import socket

import lanes
from harness import HERE, LANE, PROGRAMS, Failure, Skip, TD, entry

SOURCES = os.path.join(os.path.dirname(HERE), "differential")
# What a rule must say for the comparison to be fair.
RULES = {"peer_killed": {"truncation": "eof"}}  # natively a killed peer is an end of file
# Where svidwrap answers otherwise than plain TCP, why, and exactly what it answers instead.
DIFFERENT = {
    # The keys are where it was connected; the others are refused.
    "by_fork_before_connect": {"writes: write(c, b, 100) = 100": ["writes: write(c, b, 100) = -1 EACCES"],
                               "writes too: write(c, b, 100) = 100": ["writes too: write(c, b, 100) = -1 EACCES"]},
    "by_passed_before_connect": {"main: write(d, b, 100) = 100": ["main: write(d, b, 100) = -1 EACCES"]},
    "by_exec_before_connect": {"image: write(5, b, 100) = 100": ["image: write(5, b, 100) = -1 EACCES"]},
    "by_aio_before_connect": {"main: aio_write(&cb) = 0": ["main: aio_write(&cb) = -1 EOPNOTSUPP"]},
    "by_pidfd_getfd": {"main: send(d, b, 100, MSG_NOSIGNAL) = 100": ["main: send(d, b, 100, MSG_NOSIGNAL) = -1 EPIPE"]},
    # The handshake is data, too: a connection is there once that is over.
    "defer_accept": {"main: poll no data for IN: 0": ["main: poll no data for IN: IN"]},
    # Two tables of descriptors cannot have one table of connections.
    "clone_on_shared_memory": {"main: child exited 3": ["main: clone: EPERM"]},
    "clone_on_shared_descriptors": {"main: child exited 3": ["main: clone: EPERM"], "main: child exited 5": ["main: SYS_clone: EPERM"]},
    "unshared_descriptors": {f"thread: {call} = 0": [f"thread: {call} = -1 EPERM"] for call in (
        "unshare(CLONE_FILES)", "syscall(SYS_unshare, CLONE_FILES | CLONE_SYSVSEM)",
        "close_range((unsigned)fd[0], (unsigned)fd[0], CLOSE_RANGE_UNSHARE)")},
    "clone_before_sockets": {"main: listen(l, 5) = 0": ["main: listen(l, 5) = -1 ENOMEM"]},
    "clone_shares_before_sockets": {"main: listen(l, 5) = 0": ["main: listen(l, 5) = -1 ENOMEM"]},
    "unshared_before_sockets": {"main: listen(l, 5) = 0": ["main: listen(l, 5) = -1 ENOMEM"]},
    # What svidwrap does there takes a file of its own.
    "no_file_left_in_the_system": {
        "listens: listen(l, 5) = 0": ["listens: listen(l, 5) = -1 ENFILE"],
        "in want: dup2(c, STDIN_FILENO) = 0": ["in want: dup2(c, STDIN_FILENO) = -1 EPERM"],
        "in want: connect_to(first, port) = 0": ["in want: connect_to(first, port) = -1 ENFILE"],
        "in want: send(first, b, sizeof b, MSG_NOSIGNAL) = 200":
            ["in want: send(first, b, sizeof b, MSG_NOSIGNAL) = -1 EPIPE"],
        "in want: connect_to(second, port) = -1 EINPROGRESS": ["in want: connect_to(second, port) = -1 ENFILE"]},
    # A record has no place for urgent data.
    "urgent_is_refused": {'main: send(c, "!", 1, MSG_OOB | MSG_NOSIGNAL) = 1':
                          ['main: send(c, "!", 1, MSG_OOB | MSG_NOSIGNAL) = -1 EOPNOTSUPP']},
    "by_shell": {"main: system(command) = 0": ["main: system(command) = 256"],
                 "main: pclose(f) = 0": ["main: pclose(f) = 256"]},
}


def names():
    """(family, name) of every scenario: those whose file asks a question."""
    found = []
    for family in sorted(os.listdir(SOURCES)):
        directory = os.path.join(SOURCES, family)
        for file in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
            if file.endswith(".c"):
                with open(os.path.join(directory, file)) as f:
                    found += [(family, file[:-2])] if re.search(r'^SCENARIO\(', f.read(), re.M) else []
    return found


class Hole:
    """A TCP port that leaves a connect() in progress: natively by a backlog that is full; for a wrapped program,
    whose TCP connect() succeeds, by a server that never answers the handshake."""

    def __init__(self, t, full):
        self.port = t.port()
        self.sockets = [socket.socket()]
        self.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sockets[0].bind(("127.0.0.1", self.port))
        self.sockets[0].listen(0 if full else 64)
        for _ in range(3 if full else 0):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.sockets.append(s)
        t.cleanups.append(lambda: [s.close() for s in self.sockets])


def trace(t, argv):
    extra = {"SCENARIO_MARKER": t.marker.decode(), **({"SCENARIO_SLOW": "1"} if LANE else {})}
    if LANE == "valgrind":
        extra["SCENARIO_SELF"] = os.path.join(PROGRAMS, "scenario")
    proc = t.spawn(argv, name=argv[-3] + ("-wrapped" if "run" in argv or "env" in argv[0] else "-native"), extra=extra)
    code = proc.wait(150)
    return proc.out().decode().splitlines() + ([f"(exit {code})"] if code else [])


def run_both(t, name):
    """Returns the native trace and the wrapped one."""
    program = os.path.join(PROGRAMS, "scenario")
    argv = [program, name, str(t.port()), str(Hole(t, full=True).port)]
    native = trace(t, lanes.native(LANE, t, argv))
    agent_id = f"{TD}/scenario"
    t.agent([entry(agent_id), entry(agent_id, uid=65534)])  # some give up root
    port, hole = t.port(), Hole(t, full=False)
    config = t.both(port, hole.port, allow=[agent_id], rule=RULES.get(name))
    with t.watch(port, hole.port, expect=False):
        wrapped = trace(t, t.wrap(config, [program, name, str(port), str(hole.port)]))
    return native, wrapped


def compare(native, wrapped):
    if native != wrapped:
        lines = difflib.unified_diff(native, wrapped, "native", "wrapped", lineterm="", n=2)
        raise Failure("the traces differ\n" + "\n".join(lines))


def one(family, name):
    def test(t):
        reason = LANE and lanes.unfit(LANE, f"{family}.{name}")
        if reason:
            raise Skip(f"under {LANE}: {reason}")
        native, wrapped = run_both(t, name)
        if any("GAVE UP" in line or "HANG" in line.replace("WNOHANG", "") for line in native):
            raise Failure("the native run itself failed:\n" + "\n".join(native))
        other = DIFFERENT.get(name, {})
        assert all(line in native for line in other), other
        compare([instead for line in native for instead in other.get(line, [line])], wrapped)
    return test


def more():
    for file, name in names():
        yield f"{file}.{name}", one(file, name)
