# SPDX-License-Identifier: Apache-2.0
"""Does a wrapped program stand what the openssl command does on request: key updates in both directions, every
cipher and group of TLS 1.3 that we take?"""
import fcntl
import os
import re
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
from harness import PYTHON, Failure, entry, until, which  # noqa: E402
from peers import TD, talk_dial, talk_serve  # noqa: E402

PEER, PY = f"{TD}/openssl", f"{TD}/python"


def files(agent):
    d = agent.mint(PEER)
    return ["-cert", f"{d}/svid.pem", "-key", f"{d}/key.pem", "-CAfile", f"{d}/bundle.pem", "-verify", "3",
            "-verify_return_error"]


class Command:
    """openssl s_client or s_server with its terminal commands: a line of its input is data, or a letter a command."""

    def __init__(self, t, argv):
        self.out = os.path.join(t.dir, f"openssl-{len(t.cleanups)}.out")
        with open(self.out, "wb") as f:
            self.popen = subprocess.Popen([which("openssl"), *argv], stdin=subprocess.PIPE, stdout=f,
                                          stderr=subprocess.STDOUT)
        t.cleanups.append(self.close)

    def text(self):
        with open(self.out, errors="replace") as f:
            return f.read()

    def say(self, line):
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()
        # A command counts only at the start of what openssl reads at once: it has to have read this line.
        until("openssl reads its input", lambda: self.popen.poll() is not None or self.unread() == 0)

    def unread(self):
        return int.from_bytes(fcntl.ioctl(self.popen.stdin, termios.FIONREAD, b"\0" * 4), sys.byteorder)

    def hear(self, pattern):
        def look():
            found = re.search(pattern, self.text())
            if not found and self.popen.poll() is not None:
                raise Failure(f"openssl ended: {self.text()[-2000:]}")
            return found
        try:
            return until(f"/{pattern}/", look)
        except Failure:
            raise Failure(f"no /{pattern}/ from openssl: {self.text()[-2000:]}") from None

    def close(self):
        self.popen.stdin.close()
        try:
            self.popen.wait(3)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def agent(t):
    return t.agent([entry(PY, PYTHON)])


def client(t, a, port, *flags):
    c = Command(t, ["s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", *files(a), *flags])
    c.hear("Verify return code: 0")
    return c


def test_openssl_client_updates_its_keys(t):
    """K: KeyUpdate with update_requested (we must answer with ours), k: without. Data before, between and after."""
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port, allow=[PEER]), port)
    c = client(t, a, port)
    for i, command in enumerate("KkKKk"):
        c.say(f"line-{i}-{command}")
        c.hear(f"line-{i}-{command}\n")
        c.say(command)
        c.hear("KEYUPDATE")
        time.sleep(0.1)
    c.say("the-last-line")
    c.hear("the-last-line\n")


def test_openssl_client_updates_its_keys_in_a_flood(t):
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port, allow=[PEER]), port)
    c = client(t, a, port)
    for i in range(60):
        c.say(f"row-{i}")
        c.say("K" if i % 2 else "k")
    c.say("end-of-flood")
    c.hear("end-of-flood\n")
    echoed = re.findall(r"row-(\d+)\n", c.text())
    assert echoed == [str(i) for i in range(60)], echoed


def test_openssl_server_updates_its_keys(t):
    """The program sits in recv() while key updates arrive: it must see none of them."""
    a, port = agent(t), t.port()
    s = Command(t, ["s_server", "-accept", f"127.0.0.1:{port}", "-tls1_3", "-Verify", "3", *files(a)])
    s.hear("ACCEPT")
    config = t.both(port, allow=[PEER])
    proc = t.wrapped(config, [PYTHON, "-c", TERMINAL, str(port)])
    proc.line("^connected")
    for i, command in enumerate("KkKKk"):
        s.say(command)
        s.say(f"line-{i}")
        proc.line(f"^got line-{i}$")
        s.hear(f"echo line-{i}")
    s.say("Q")
    until("s_server ends", lambda: s.popen.poll() is not None)
    assert s.text().count("SSL_do_handshake -> 1") == 5, s.text()  # it says so late, for its output is a file


def test_the_rules_protocols_are_agreed_on_with_an_openssl_server(t):
    a, port = agent(t), t.port()
    s = Command(t, ["s_server", "-accept", f"127.0.0.1:{port}", "-tls1_3", "-alpn", "h2", "-Verify", "3", *files(a)])
    s.hear("ACCEPT")
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [PEER], "alpn": ["h2", "http/1.1"]}])
    proc = t.wrapped(config, [PYTHON, "-c", TERMINAL, str(port)])
    proc.line("^connected")
    s.say("line")
    proc.line("^got line$")
    s.say("Q")
    until("s_server ends", lambda: s.popen.poll() is not None)
    assert "advertised by the client: h2, http/1.1" in s.text() and "selected: h2" in s.text(), s.text()


def test_one_that_speaks_none_of_the_rules_protocols_refuses_us(t):
    a, port = agent(t), t.port()
    s = Command(t, ["s_server", "-accept", f"127.0.0.1:{port}", "-tls1_3", "-alpn", "spdy", "-Verify", "3", *files(a)])
    s.hear("ACCEPT")
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [PEER], "alpn": ["h2"]}])
    proc = t.wrapped(config, [PYTHON, "-c", TERMINAL, str(port)])
    assert proc.wait() != 0 and "Permission denied" in proc.text(), proc.text()
    t.audited(result="refused_by_peer", direction="outbound",
              reason="refused by the peer: alert no_application_protocol")


TERMINAL = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
f = s.makefile("rw", newline="\\n")
for line in f:
    print("got", line.strip(), flush=True)
    f.write("echo " + line)
    f.flush()
"""


def more():
    for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        def to_us(t, suite=suite):
            a, port = agent(t), t.port()
            talk_serve(t, t.both(port), port)
            c = client(t, a, port, "-ciphersuites", suite)
            c.say("hello-there")
            c.hear("hello-there\n")
            assert f"Cipher is {suite}" in c.text()

        def from_us(t, suite=suite):
            a, port = agent(t), t.port()
            s = Command(t, ["s_server", "-accept", f"127.0.0.1:{port}", "-tls1_3", "-rev", "-Verify", "3", "-ciphersuites",
                            suite, *files(a)])
            t.listening(port)
            got = talk_dial(t, t.both(port), port, "--text", "abcdef\n", "--until", "\n", "--no-half-close")
            assert got["tail"] == "fedcba\n", got
        yield f"client_with_{suite}", to_us
        yield f"server_with_{suite}", from_us
    for group in ("X25519", "P-256"):
        def test(t, group=group):
            a, port = agent(t), t.port()
            talk_serve(t, t.both(port), port)
            c = client(t, a, port, "-groups", group)
            c.say("hello-there")
            c.hear("hello-there\n")
        yield f"client_with_group_{group}", test


def test_openssl_client_sends_early_nothing_and_resumes_nothing(t):
    """A second handshake with the first one's session: we gave no ticket, so it is a full one."""
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port), port)
    out = os.path.join(t.dir, "session.pem")
    c = client(t, a, port, "-sess_out", out)
    c.say("hello-there")
    c.hear("hello-there\n")
    assert "Post-Handshake New Session Ticket" not in c.text(), c.text()
    assert not os.path.exists(out)
