# SPDX-License-Identifier: Apache-2.0
"""A program ends while its peer has no room for all that it wrote: who holds the connection, and when nobody can."""
import os
import signal
import subprocess

from harness import PYTHON, until
from observing import scrape, served, status, wrapped_only

RECEIVER = r"""
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
c = s.accept()[0]
print("accepted", flush=True)
sys.stdin.readline()
if sys.argv[2] == "end":
    c.shutdown(socket.SHUT_WR)
got = 0
while b := c.recv(65536):
    got += len(b)
print("received", got, flush=True)
"""

SENDER = r"""
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.setblocking(False)
sent = 0
try:
    while True:
        sent += s.send(b"x" * 16000)
except BlockingIOError:
    pass
print("sent", sent, flush=True)
sys.stdin.readline()
s.close()
print("closed", flush=True)
"""


def go_on(proc):
    proc.popen.stdin.write(b"\n")
    proc.popen.stdin.flush()


def start(t, config, port, way):
    receiver = t.wrapped(config, [PYTHON, "-c", RECEIVER, str(port), way], stdin=subprocess.PIPE)
    receiver.line("^listening$")
    sender = t.wrapped(config, [PYTHON, "-c", SENDER, str(port)], stdin=subprocess.PIPE)
    sent = int(sender.line(r"^sent (\d+)$")[1])
    receiver.line("^accepted$")
    assert sent > 200000
    return receiver, sender, sent


def test_a_program_ends_and_what_it_wrote_arrives(t):
    wrapped_only()
    t.agent()
    port, at, config = served(t)
    receiver, sender, sent = start(t, config, port, "end")
    go_on(sender)
    assert sender.wait() == 0
    page = until("it lingers", lambda: (m := scrape(at)).value("lingering") == 1 and m)
    assert page.value("connections", engine="relay") == 1 and page.value("lingering_refused_total") == 0, page.text
    assert [x["engine"] for x in status(t)["connections"] if x["direction"] == "outbound"] == ["relay"]
    go_on(receiver)
    receiver.line(rf"^received {sent}$")
    assert receiver.wait() == 0
    until("nothing lingers", lambda: scrape(at).value("lingering") == 0)


def test_close_without_a_daemon_starts_none(t):
    wrapped_only()
    t.agent()
    port, _, config = served(t)
    receiver, sender, sent = start(t, config, port, "read")
    t.stop_daemons()
    go_on(sender)
    sender.line("^closed$")
    assert sender.wait() == 0
    assert not t.daemons()
    go_on(receiver)
    receiver.line(rf"^received {sent}$")  # who does not end its own side first gets all
    assert receiver.wait() == 0
    assert not t.daemons()


def test_close_while_the_daemon_hangs_does_not_hang(t):
    wrapped_only()
    t.agent()
    port, _, config = served(t)
    receiver, sender, sent = start(t, config, port, "read")
    worker = t.worker()
    os.kill(worker, signal.SIGSTOP)
    t.cleanups.append(lambda: os.kill(worker, signal.SIGCONT))
    go_on(sender)
    sender.line("^closed$")
    assert sender.wait() == 0
    go_on(receiver)
    receiver.line(rf"^received {sent}$")
    os.kill(worker, signal.SIGCONT)
    assert receiver.wait() == 0
