# SPDX-License-Identifier: Apache-2.0
"""How the tests of status, metrics and the audit log look at a daemon."""
import json
import re
import socket

from apps import LONG_CLIENT, client, echo_server
from harness import NATIVE, SVIDWRAP, Skip, TD


ID = f"{TD}/test"


def wrapped_only():
    if NATIVE:
        raise Skip("there is nothing to see without svidwrap")


def cli(t, *argv, code=0, **more):
    p = t.spawn([SVIDWRAP, *argv], name=argv[0], **more)
    got = p.wait()
    assert got == code, f"{argv}: exit {got}\n{p.text()}"
    return p


def status(t, **more):
    return json.loads(cli(t, "status", "--json", **more).out())


def live(t, port):
    """A server and a client that stays connected; the configuration."""
    config = t.both(port)
    echo_server(t, config, port)
    c = client(t, config, LONG_CLIENT, port, 400, 0.05)
    c.line("^exchange 3$")
    return config, c


TWO_USERS = r"""
import os, socket, sys, time
if len(sys.argv) > 2:
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
print("listening", flush=True)
time.sleep(100)
"""


class Metrics:
    """A page, taken apart: samples[name] is a list of (labels, value)."""

    def __init__(self, text):
        self.text, self.samples = text, {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            m = re.fullmatch(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)', line)
            assert m, line
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or ""))
            self.samples.setdefault(m[1], []).append((labels, float(m[3])))

    def value(self, name, **labels):
        """The sum of the samples with these labels."""
        return sum(v for have, v in self.samples.get("svidwrap_" + name, [])
                   if all(have.get(k) == w for k, w in labels.items()))


def http(address, request, timeout=10):
    """The whole answer to raw bytes. address: (host, port) or a path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(timeout)
        s.connect(address)
        got = b""
        try:
            s.sendall(request)
            while piece := s.recv(65536):
                got += piece
        except ConnectionError:
            pass
        return got


def scrape(address):
    answer = http(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and b"version=0.0.4" in head, answer[:500]
    return Metrics(body.decode())


def served(t, *more, **settings):
    port, at = t.port(), t.port()
    config = t.both(port, metrics={"listen": f"127.0.0.1:{at}"}, **settings)
    return port, ("127.0.0.1", at), config
