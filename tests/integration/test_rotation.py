# SPDX-License-Identifier: Apache-2.0
"""Do SVIDs and roots change under live connections and under load without anybody noticing?"""
import os
import re
import signal
import socket
import ssl
import time

from apps import LONG_CLIENT, MANY_CLIENT, client, echo_server, exchange
from harness import NATIVE, TD, WAIT, Skip, entry, until, which
from pki import CA, client_context

ID = f"{TD}/app"


def prepare(t, **agent):
    if NATIVE:
        return t.port(), ""
    t.agent([entry(ID)], **agent)
    port = t.port()
    return port, t.both(port, allow=[ID])


def presented(port):
    """The certificate that the server shows now (whoever asks is refused later, and is told apart in the audit)."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as raw:
        with client_context().wrap_socket(raw) as s:
            return s.getpeercert(binary_form=True)


def wrapped_only():
    if NATIVE:
        raise Skip("natively there is no SVID")


def test_new_svids_under_a_live_connection(t):
    port, config = prepare(t)
    with t.watch(port):
        echo_server(t, config, port)
        c = client(t, config, LONG_CLIENT, port, 80, 0.05)
        c.line("exchange 3$")
        for _ in range(3):
            if not NATIVE:
                before = presented(port)
                t.default_agent.signal(signal.SIGUSR1)
                until("another certificate", lambda b=before: presented(port) != b)
            exchange(t, config, port)
        assert c.ok(30).endswith(b"all well\n")


def test_a_new_ca_under_a_live_connection(t):
    port, config = prepare(t, svid_ttl="8s")
    with t.watch(port):
        echo_server(t, config, port)
        c = client(t, config, LONG_CLIENT, port, 200, 0.1)
        many = client(t, config, MANY_CLIENT, port, 100, 0.1)
        c.line("exchange 3$")
        if not NATIVE:
            for _ in range(2):
                before = presented(port)
                t.default_agent.signal(signal.SIGUSR2)
                until("another certificate", lambda b=before: presented(port) != b)
                exchange(t, config, port, 3)
        out = many.ok(40)
        assert out.endswith(b"good 100 bad 0\n"), out
        assert c.ok(40).endswith(b"all well\n")


SECONDS = int(os.environ.get("SVIDWRAP_TEST_ROTATION_SECONDS", "20"))

NGINX = """user root; worker_processes 2; daemon off; pid {dir}/nginx.pid; error_log stderr error;
events {{ worker_connections 512; }}
http {{ access_log off; keepalive_requests 1000000; keepalive_timeout 600s; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{marker}"; }} }} }}
"""


class Load:
    """One command again and again until it is over; each time it must end well and say nothing of an error."""

    def __init__(self, t, config, name, argv, good):
        self.t, self.config, self.name, self.argv, self.good, self.rounds = t, config, name, argv, good, 0
        self.proc = None
        self.next()

    def next(self):
        self.proc = self.t.spawn(self.t.wrap(self.config, self.argv), name=f"{self.name}-{self.rounds}")
        self.rounds += 1

    def look(self):
        """True when a round is over, after checking it."""
        if self.proc.alive():
            return False
        assert self.proc.popen.returncode == 0 and self.good(self.proc.out()) and not re.search(b"(?i)error|could not", self.proc.err()), \
            f"{self.argv}: {self.proc.popen.returncode}\n{self.proc.text()[-1000:]}"
        for file in (self.proc.out_path, self.proc.err_path):
            os.truncate(file, 0)
        self.t.procs.remove(self.proc)
        return True


def test_svids_of_two_seconds_under_redis_and_nginx(t):
    """Connections that last and connections by the hundred, while the SVIDs of both sides change every second; 20 s,
    or SVIDWRAP_TEST_ROTATION_SECONDS."""
    redis, bench, nginx, curl, cli = (which(x) for x in ("redis-server", "redis-benchmark", "nginx", "curl", "redis-cli"))
    first, config = prepare(t, svid_ttl="2s")
    second = t.port()
    config = t.both(first, second, allow=[ID])
    with open(os.path.join(t.dir, "nginx.conf"), "w") as f:
        f.write(NGINX.format(dir=t.dir, port=second, marker=t.marker.decode()))
    for argv, port in (([redis, "--port", str(first), "--bind", "127.0.0.1", "--save", ""], first),
                       ([nginx, "-c", f"{t.dir}/nginx.conf", "-p", t.dir], second)):
        t.listening(port, proc=t.wrapped(config, argv))
    url, answered = f"http://127.0.0.1:{second}/[1-200]", re.compile(b'"[\\d.]+"|requests per second')
    loads = [Load(t, config, "many-redis", [bench, "-p", str(first), "-t", "ping_mbulk,set", "-c", "3", "-n", "150", "-k", "0", "-q"], answered.search),
             Load(t, config, "long-redis", [bench, "-p", str(first), "-t", "set,get", "-c", "2", "-n", "5000", "-d", "500", "-q"], answered.search),
             Load(t, config, "many-nginx", [curl, "-sS", "--fail-early", "--fail", "-H", "Connection: close", url],
                  lambda out: out.count(t.marker) == 200),
             Load(t, config, "long-nginx", [curl, "-sS", "--fail-early", "--fail", "--rate", "100/s", url], lambda out: out.count(t.marker) == 200)]
    live = t.spawn(t.wrap(config, [cli, "-p", str(first), "-r", str(SECONDS * 7), "-i", "0.1", "PING"]), name="live")
    seen, end = set(), time.monotonic() + SECONDS
    with t.watch(first, second, expect=not NATIVE):
        while time.monotonic() < end:
            if not NATIVE:
                seen |= {presented(first), presented(second)}
            for load in loads:
                if load.look():
                    load.next()
            time.sleep(0.25)
        for load in loads:
            load.proc.wait(30)
            assert load.look()
        out = live.ok(30)
    assert out == b"PONG\n" * (SECONDS * 7), out[-300:]
    assert NATIVE or len(seen) >= SECONDS // 2, len(seen)
    print("rounds", [load.rounds for load in loads], "SVIDs seen", len(seen))


def test_a_peer_of_another_trust_domain_by_federation(t):
    """Two agents, each with the other's bundle: peers of both domains are judged by their own domain's roots."""
    wrapped_only()
    partner = os.path.join(t.dir, "partner.pem")
    home = os.path.join(t.dir, "home.pem")
    ours, theirs = CA(t, "example.org"), CA(t, "partner.test")
    for ca, path in ((ours, home), (theirs, partner)):
        with open(ca.cert, "rb") as src, open(path, "wb") as dst:
            dst.write(src.read())
    t.agent([entry(ID)], ca={"cert": ours.cert, "key": ours.key},
            federation=[{"trust_domain": "partner.test", "bundle": partner}])
    port = t.port()
    config = t.config(listen=[{"port": port, "allow": ["spiffe://partner.test/web"]}])
    echo_server(t, config, port)
    for pair, want in ((theirs.leaf("web", "spiffe://partner.test/web"), True),
                       (ours.leaf("web", "spiffe://partner.test/web"), False)):
        got = b""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as raw:
                with client_context(pair).wrap_socket(raw) as s:
                    s.sendall(t.marker)
                    got = s.recv(1000)
        except (ssl.SSLError, ConnectionError):
            pass
        assert (got == t.marker) == want, (pair, got)
