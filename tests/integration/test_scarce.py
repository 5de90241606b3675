# SPDX-License-Identifier: Apache-2.0
"""Descriptors, memory or room in the daemon are used up: an error that TCP could give, a line that names cause and
cure, never plaintext, and all is well once there is some again. (tests/differential/limits has what must not be
noticed at all.)"""
import os
import re
import resource

from apps import client, echo_server, exchange
from harness import NATIVE, PROGRAMS, PYTHON, TD, Skip, until

ID = f"{TD}/app"
SCARCE = os.path.join(PROGRAMS, "scarce")


def first_connect(t, what):
    """What a client's three calls answer at first, and once there is enough again; and what it wrote to stderr."""
    if NATIVE:
        raise Skip("natively nothing is needed")
    port, config = t.one_port(ID)
    with t.watch(port, expect=False):
        server = echo_server(t, config, port)
        proc = t.spawn(t.wrap(config, [SCARCE, str(port), what], how="preload"),
                       extra={"SCENARIO_MARKER": t.marker.decode()})
        lines = proc.ok(60).decode().splitlines()
        assert server.alive()
    assert lines[3:] == ["connect fine", "write fine", "read fine"], lines
    return lines[:3], proc.err().decode()


def test_the_first_connect_with_enough_of_all(t):
    first, err = first_connect(t, "nothing")
    assert first == ["connect fine", "write fine", "read fine"], (first, err)


def test_the_first_connect_without_malloc(t):
    first, err = first_connect(t, "malloc")
    assert first == ["connect fine", "write fine", "read fine"], (first, err)


def test_the_first_connect_without_memory(t):
    first, err = first_connect(t, "memory")
    assert first == ["connect ENOMEM", "write EPIPE", "read ENOTCONN"], (first, err)
    assert re.search(r"svidwrap: .*memory.*;", err), err


def test_the_first_connect_without_descriptors(t):
    first, err = first_connect(t, "descriptors")
    assert first == ["connect EMFILE", "write EPIPE", "read ENOTCONN"], (first, err)
    assert re.search(r"svidwrap: .*descriptor.*ulimit", err), err


def test_the_first_connect_without_files(t):
    first, err = first_connect(t, "files")
    assert first == ["connect ENFILE", "write EPIPE", "read ENOTCONN"], (first, err)
    assert re.search(r"svidwrap: .*the system has no more open files.*fs.file-max", err), err


def test_every_refusal_without_files_has_its_line(t):
    """What the calls answer is in tests/differential/limits/no_file_left_in_the_system.c."""
    if NATIVE:
        raise Skip("natively nothing is needed")
    port, config = t.one_port(ID)
    with t.watch(port, expect=False):
        proc = t.spawn(t.wrap(config, [os.path.join(PROGRAMS, "scenario"), "no_file_left_in_the_system", str(port), "1"]),
                       extra={"SCENARIO_MARKER": t.marker.decode()})
        proc.ok(60)
    for what in ("listen", "connect"):
        line = f"svidwrap: {what}\\(\\) is refused: the system has no more open files to give; raise fs.file-max"
        assert re.search(line, proc.err().decode()), (what, proc.text())
    assert re.search("svidwrap: descriptor 0 cannot become a protected connection", proc.err().decode()), proc.text()


# PORT MARKER DIRECTORY: holds 62 connections, makes 8 more once there is DIRECTORY/little, and one once that is gone.
HOLDER = r"""
import errno, os, socket, sys, time
port, marker, little = int(sys.argv[1]), sys.argv[2].encode(), os.path.join(sys.argv[3], "little")
held, answers = [], []
def one():
    s = socket.socket()
    held.append(s)
    try:
        s.connect(("127.0.0.1", port))
        s.sendall(marker)
        return "fine" if s.recv(100) == marker else "?"
    except OSError as e:
        try:
            s.send(marker)
        except OSError:
            pass
        return errno.errorcode.get(e.errno, str(e))
for i in range(62):
    assert one() == "fine"
print("holds", flush=True)
while not os.path.exists(little):
    time.sleep(0.01)
print("little:", *[one() for i in range(8)], flush=True)
while os.path.exists(little):
    time.sleep(0.01)
print("enough:", one(), flush=True)
"""


def test_the_daemon_gets_no_more_memory(t):
    """A new chunk of slots is needed for the 65th connection. Those that are there go on, and so does the daemon."""
    if NATIVE:
        raise Skip("there is no daemon natively")
    port, config = t.one_port(ID)
    little = os.path.join(t.dir, "little")
    with t.watch(port, expect=False):
        echo_server(t, config, port)
        c = client(t, config, HOLDER, port, t.dir)
        c.line("holds")
        worker = t.worker()
        with open(f"/proc/{worker}/statm") as f:
            size = int(f.read().split()[0]) * resource.getpagesize()
        resource.prlimit(worker, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        with open(little, "w"):
            pass
        c.line("little:")
        resource.prlimit(worker, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.unlink(little)
        out = c.ok(60).decode()
        exchange(t, config, port)
    assert t.worker() == worker
    answers = re.search(r"little: (.*)", out).group(1).split()
    assert "fine" in answers and len(set(answers)) > 1, out
    assert set(answers) <= {"fine", "ENOBUFS", "ENOMEM", "ECONNREFUSED", "ECONNRESET"}, out
    assert out.endswith("enough: fine\n"), out
    t.audited(result="failed", reason=re.compile("no slot: the daemon gets no more memory; raise"))
