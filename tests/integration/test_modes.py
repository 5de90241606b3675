# SPDX-License-Identifier: Apache-2.0
"""Staged migration: permissive listeners serve both kinds at the same time, canaries divide as they say, a rule that is
suspended comes back, and a mode that changes under load costs nobody a request. What is to be protected stays so: the
wire shows the markers of plaintext connections and none of the others."""
import contextlib
import json
import os
import re
import secrets
import signal
import socket
import time

from apps import ECHO_SERVER, LONG_CLIENT, MANY_CLIENT, client, echo_server
from harness import NATIVE, PROGRAMS, PYTHON, SVIDWRAP, TD, WAIT, Failure, Skip, WireWatch, entry, need, until, which
from test_differential import Hole, compare, names, trace
from test_programs import CLIENT, SERVER, Nginx, Postgres

ID = f"{TD}/app"


def only_wrapped():
    if NATIVE:
        raise Skip("about svidwrap itself")


@contextlib.contextmanager
def both_on_the_wire(t, port, plain, protected):
    """The watch has to see the one marker and must not see the other."""
    with t.watch(port, markers=[protected]):
        seen = WireWatch(t, [port], [plain])
        seen.__enter__()
        yield
        hits = seen.stop()["hits"]
        assert hits[0]["count"], f"the plaintext was not seen: is this the right port? {hits}"


class Rules:
    """A configuration whose rules change while programs run: the file is replaced, as an editor does it."""

    def __init__(self, t, **rules):
        self.t, self.rules = t, rules
        self.path = t.config(**rules)
        self.loads = 0

    def set(self, **rules):
        """Waits until the new rules are in force."""
        self.rules.update(rules)
        text = self.t.config(**self.rules)
        before = self.log().count("the new policy is in force")
        os.rename(text, self.path)
        until("the new policy", lambda: self.log().count("the new policy is in force") > before)

    def log(self):
        path = os.path.join(self.t.log_dir, "daemon.log")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as f:
            return f.read()


def plain_exchange(port, data, times=1):
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as s:
        for _ in range(times):
            s.sendall(data)
            got = b""
            while len(got) < len(data):
                piece = s.recv(65536)
                assert piece, "ended early"
                got += piece
            assert got == data


def lines(t, **fields):
    return [a for a in t.audit() if all(a.get(k) == v for k, v in fields.items())]


# ---- permissive -------------------------------------------------------------------------------------------------

def permissive(t, server, dialer, **more):
    t.agent([entry(SERVER, server), entry(CLIENT, dialer)])
    port = t.port()
    serve = t.config(listen=[{"name": "in", "port": port, "mode": "permissive", "allow": [CLIENT], **more}])
    dial = t.config(connect=[{"name": "out", "to": f"127.0.0.1:{port}", "allow": [SERVER]}])
    return port, serve, dial


def test_permissive_redis_serves_both_at_the_same_time(t):
    only_wrapped()
    server, cli = which("redis-server"), which("redis-cli")
    port, serve, dial = permissive(t, server, cli)
    proc = t.wrapped(serve, [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
    t.listening(port, proc=proc)
    secret = b"SECRET-" + secrets.token_hex(8).encode()
    with both_on_the_wire(t, port, t.marker, secret):
        several = []
        for i in range(5):
            several.append(t.spawn([cli, "-p", str(port), "set", f"plain{i}", t.marker.decode()]))
            several.append(t.spawn(t.wrap(dial, [cli, "-p", str(port), "set", f"tls{i}", secret.decode()])))
        assert all(p.ok() == b"OK\n" for p in several)
        assert t.run([cli, "-p", str(port), "get", "plain0"]) == t.marker + b"\n"
        assert t.run(t.wrap(dial, [cli, "-p", str(port), "get", "tls4"])) == secret + b"\n"
    line = t.audited(result="plaintext", direction="inbound", rule="in", event="connection")
    assert line["remote"].startswith("127.0.0.1:") and "plaintext" in line["reason"], line
    assert line["program"] == "redis-server" and not line["client_spiffe_id"], line
    until("a line for each", lambda: len(lines(t, result="plaintext", direction="inbound")) == 6 and
          len(lines(t, result="allowed", direction="inbound")) == 6)


def test_permissive_nginx_and_curl(t):
    only_wrapped()
    n = Nginx(t, rule={"mode": "permissive"})
    secret = secrets.token_hex(16)
    with open(os.path.join(n.root, "secret"), "w") as f:
        f.write(secret)
    with both_on_the_wire(t, n.port, t.marker, secret.encode()):
        for _ in range(5):
            assert t.run([n.curl, "-sS", "--fail", n.url()]) == t.marker + b"\n"
            assert n.get(n.url("secret")) == secret.encode()


def test_permissive_postgresql(t):
    """Its clients ask in clear whether the server speaks TLS, before anything else; in a svidwrap tunnel they ask inside."""
    only_wrapped()
    pg = Postgres(t, rule={"mode": "permissive"})
    secret = secrets.token_hex(16)
    with both_on_the_wire(t, pg.port, t.marker, secret.encode()):
        plain = t.run(pg.psql(f"select '{t.marker.decode()}'"))
        assert plain == t.marker + b"\n", plain
        assert pg.query(f"select '{secret}'") == secret + "\n"
    pg.stop()


SPEAKS_FIRST = r"""
import socketserver, sys
class Greeter(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mail.example.org ready\r\n")
        for line in self.rfile:
            self.wfile.write(b"250 " + line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Greeter).serve_forever()
"""
HEAR = r"""
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
f = s.makefile("rwb")
assert f.readline() == b"220 mail.example.org ready\r\n"
f.write(b"EHLO " + sys.argv[2].encode() + b"\r\n")
f.flush()
print(f.readline().decode().strip())
"""


def test_permissive_where_the_server_speaks_first(t):
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"port": port, "mode": "permissive", "detect_timeout": "200ms", "allow": [ID]}])
    dial = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [ID]}])
    proc = t.wrapped(serve, [PYTHON, "-c", SPEAKS_FIRST, str(port)], name="greeter")
    t.listening(port, proc=proc)
    secret = secrets.token_hex(8)
    with both_on_the_wire(t, port, t.marker, secret.encode()):
        out = t.run([PYTHON, "-c", HEAR, str(port), t.marker.decode()])
        assert out == b"250 EHLO " + t.marker + b"\n", out
        out = t.run(t.wrap(dial, [PYTHON, "-c", HEAR, str(port), secret]))
        assert out == f"250 EHLO {secret}\n".encode(), out
    t.audited(result="plaintext", reason=re.compile("detect_timeout"))


def test_peers_that_are_listed_are_plaintext_at_once(t):
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"port": port, "mode": "permissive", "detect_timeout": "60s", "plaintext_from": ["127.0.0.2"],
                              "allow": [ID]}])
    proc = t.wrapped(serve, [PYTHON, "-c", SPEAKS_FIRST, str(port)], name="greeter")
    t.listening(port, proc=proc)
    with socket.create_connection(("127.0.0.1", port), timeout=0.4) as waits, \
            socket.create_connection(("127.0.0.1", port), timeout=WAIT, source_address=("127.0.0.2", 0)) as listed:
        assert listed.recv(100).startswith(b"220")
        try:
            raise Failure(f"the other one need not wait: {waits.recv(100)}")
        except TimeoutError:
            pass
    t.audited(result="plaintext", reason=re.compile("plaintext_from"), remote=re.compile("^127.0.0.2:"))


def test_permissive_with_policy_audit_tells_who_would_be_denied(t):
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"port": port, "mode": "permissive", "policy": "audit", "allow": [f"{TD}/somebody-else"]}])
    dial = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [ID]}])
    echo_server(t, serve, port)
    assert client(t, dial, MANY_CLIENT, port).ok().endswith(b"good 1 bad 0\n")
    plain_exchange(port, t.marker)
    t.audited(result="would_deny", direction="inbound", client_spiffe_id=ID)
    t.audited(result="plaintext", direction="inbound")


def test_plaintext_goes_on_without_an_agent(t):
    only_wrapped()
    agent = t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"port": port, "mode": "permissive", "allow": [ID]}])
    agent.stop()
    echo_server(t, serve, port)
    plain_exchange(port, t.marker)
    agent.start()
    dial = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [ID]}])

    def by_tls():
        return client(t, dial, MANY_CLIENT, port).ok().endswith(b"good 1 bad 0\n")
    until("mTLS once the agent is there", by_tls, pause=0.3)
    plain_exchange(port, t.marker)


def test_permissive_listeners_live_through_a_daemons_death(t):
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"port": port, "mode": "permissive", "allow": [ID]}])
    echo_server(t, serve, port)
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as lasting:
        lasting.sendall(b"before")
        assert lasting.recv(100) == b"before"
        os.kill(t.worker(), signal.SIGKILL)
        for _ in range(5):
            plain_exchange(port, t.marker)  # waits in the kernel's backlog for the new worker
        lasting.sendall(b"after")
        assert lasting.recv(100) == b"after"


PREFORK = r'''
import os, select, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
l.setblocking(False)
for _ in range(2):
    if os.fork() == 0:
        print("worker", os.getpid(), flush=True)
        while True:
            select.select([l], [], [])
            try:
                c, _ = l.accept()
            except BlockingIOError:
                continue
            c.setblocking(True)
            c.sendall(c.recv(1000))
            c.close()
os.wait()
'''


def test_workers_that_heard_nothing_of_a_new_daemon_serve_by_its_rules(t):
    """Only one of the processes that share a listener answers the ring; the others have the dead daemon's rules, by which
    plaintext is forbidden."""
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"name": "in", "port": port, "mode": "permissive", "allow": [ID]}])
    p = t.wrapped(serve, [PYTHON, "-c", PREFORK, str(port)], name="prefork")
    t.listening(port, proc=p)
    until("both workers", lambda: p.out().count(b"worker") == 2)
    workers = [int(n) for n in re.findall(rb"worker (\d+)", p.out())]
    t.cleanups.append(lambda: [os.kill(pid, signal.SIGKILL) for pid in workers])
    plain_exchange(port, t.marker)
    t.run([SVIDWRAP, "mode", "in", "enforce"])
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as s:
        s.sendall(b"hello")
        try:
            assert b"hello" not in s.recv(100)
        except ConnectionResetError:
            pass
    os.kill(t.worker(), signal.SIGKILL)  # what was set at run time is forgotten
    plain_exchange(port, t.marker)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
        for _ in range(3):
            plain_exchange(port, t.marker)
        os.kill(pid, signal.SIGCONT)


# ---- canary -----------------------------------------------------------------------------------------------------

def canary(t, **rule):
    """A permissive echo server, and a client's configuration: (port, configuration)."""
    t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"name": "in", "port": port, "mode": "permissive", "allow": [ID]}])
    echo_server(t, serve, port)
    return port, t.config(connect=[{"name": "out", "to": f"127.0.0.1:{port}", "mode": "canary", "allow": [ID], **rule}])


def kinds(t):
    """(plaintext, mTLS) connects so far by the client's lines, which the server's must agree with."""
    def look():
        out = [len(lines(t, direction="outbound", result=r)) for r in ("plaintext", "allowed")]
        return out if out == [len(lines(t, direction="inbound", result=r)) for r in ("plaintext", "allowed")] else None
    return until("lines of both sides that agree", look)


def test_a_canary_of_half_is_some_of_both(t):
    only_wrapped()
    port, dial = canary(t, percent=50)
    out = client(t, dial, MANY_CLIENT, port, times=200).ok(50)
    assert out.endswith(b"good 200 bad 0\n"), out[-100:]
    until("a line for each connect", lambda: sum(kinds(t)) == 200)
    plain, tls = kinds(t)
    assert plain >= 40 and tls >= 40, (plain, tls)  # fewer: once in 10^17
    line = lines(t, direction="outbound", result="plaintext")[0]
    assert line["reason"] == "canary: not among the 50 percent" and line["rule"] == "out", line
    assert line["remote"] == f"127.0.0.1:{port}" and re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", line["local"]), line


def test_a_canary_of_0_and_of_100_percent_is_exact(t):
    only_wrapped()
    port, none = canary(t, percent=0)
    everybody = t.config(connect=[{"to": f"127.0.0.1:{port}", "mode": "canary", "percent": 100, "allow": [ID]}])
    with t.watch(port):
        assert client(t, everybody, MANY_CLIENT, port, times=30).ok(50).endswith(b"good 30 bad 0\n")
    assert kinds(t) == [0, 30]
    assert client(t, none, MANY_CLIENT, port, times=30).ok(50).endswith(b"good 30 bad 0\n")
    until("30 lines more", lambda: kinds(t) == [30, 30])


def test_a_sticky_process_is_of_one_kind(t):
    only_wrapped()
    port, dial = canary(t, percent=50, sticky="process")
    for i in range(1, 5):
        before = kinds(t)
        assert client(t, dial, MANY_CLIENT, port, times=12).ok(50).endswith(b"good 12 bad 0\n")
        until("the lines", lambda: sum(kinds(t)) == 12 * i)
        assert sorted(b - a for a, b in zip(before, kinds(t))) == [0, 12], (before, kinds(t))


# PORT MARKER TIMES PAUSE, as MANY_CLIENT; without waiting in connect().
ASYNC_CLIENT = r"""
import asyncio, sys
port, marker, times = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
async def one():
    r, w = await asyncio.open_connection("127.0.0.1", port)
    w.write(marker)
    await w.drain()
    assert await r.readexactly(len(marker)) == marker
    w.close()
async def main():
    for _ in range(times // 20):
        await asyncio.gather(*(one() for _ in range(20)))
    print("good", times, "bad", 0)
asyncio.run(main())
"""


def test_a_canary_that_does_not_block(t):
    only_wrapped()
    port, dial = canary(t, percent=50)
    assert client(t, dial, ASYNC_CLIENT, port, times=100).ok(50).endswith(b"good 100 bad 0\n")
    until("a line for each connect", lambda: sum(kinds(t)) == 100)
    assert min(kinds(t)) > 10, kinds(t)


def test_a_failing_canary_is_suspended_and_comes_back(t):
    """The server speaks no TLS: every mTLS connect fails."""
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    plain = t.spawn([PYTHON, "-c", ECHO_SERVER, str(port)], name="plain-echo")
    t.listening(port, proc=plain)
    dial = t.config(connect=[{"name": "out", "to": f"127.0.0.1:{port}", "mode": "canary", "percent": 100, "allow": [ID],
                              "on_failure": "suspend", "suspend_for": "2s"}], handshake_timeout="5s")
    p = client(t, dial, MANY_CLIENT, port, times=400, pause=0.02)
    t.audited(event="canary", result="suspended", rule="out", reason=re.compile("2 s"))
    rule = json.loads(t.run([SVIDWRAP, "status", "--json"]))["configs"][0]["rules"][0]
    assert rule["mode"] == "canary" and rule["suspended"] in (True, False), rule
    p.line("^exchange")
    t.audited(event="canary", result="resumed", rule="out")
    until("suspended again", lambda: len(lines(t, event="canary", result="suspended")) > 1)
    assert lines(t, result="plaintext", direction="outbound", reason="canary: suspended after a failure")
    p.stop()
    first = p.out().split(b"\n", 1)[0]
    assert first.startswith(b"error"), first  # that one was lost, and not silently let through


FORKS_CAT = r'''
import socket, subprocess, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    c, _ = l.accept()
    p = subprocess.Popen(["/bin/cat"], stdin=c, stdout=c)
    c.close()
'''


def test_a_plaintext_connection_may_be_inherited(t):
    """inetd's way: the number is an ordinary socket, and the image that gets it on its standard streams keeps it."""
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"port": port, "mode": "permissive", "allow": [ID]}])
    t.listening(port, proc=t.wrapped(serve, [PYTHON, "-c", FORKS_CAT, str(port)], name="inetd"))
    for _ in range(3):
        plain_exchange(port, t.marker, times=3)


# ---- off, and prepared for more -----------------------------------------------------------------------------------

def test_staged_off_is_plain_tcp_and_audited(t):
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    both = t.config(listen=[{"port": port, "mode": "off", "allow": [ID]}],
                    connect=[{"to": f"127.0.0.1:{port}", "mode": "off", "allow": [ID]}])
    echo_server(t, both, port)
    assert client(t, both, MANY_CLIENT, port, times=10).ok().endswith(b"good 10 bad 0\n")
    until("lines of both sides", lambda: len(lines(t, result="plaintext", reason="mode: off")) == 20)


def test_a_client_in_plaintext_hears_of_a_new_daemon(t):
    """It never asks the daemon, and has to notice that there is another one, with other rules."""
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    serve = t.config(listen=[{"port": port, "mode": "permissive", "allow": [ID]}])
    rules = Rules(t, connect=[{"to": f"127.0.0.1:{port}", "mode": "off", "allow": [ID]}])
    echo_server(t, serve, port)
    p = client(t, rules.path, MANY_CLIENT, port, times=100000, pause=0.02)
    p.line("^exchange 3$")
    for pid, _, _ in t.daemons():
        os.kill(pid, signal.SIGKILL)
    os.rename(t.config(connect=[{"to": f"127.0.0.1:{port}", "mode": "enforce", "allow": [ID]}]), rules.path)
    first = t.spawn(t.wrap(serve, [PYTHON, "-c", "import socket; socket.create_connection(('127.0.0.1', 9), 1)"]))
    first.wait()
    t.spawn(t.wrap(t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [ID]}]),
                   [PYTHON, "-c", MANY_CLIENT, str(port), t.marker.decode(), "1", "0"])).ok()  # starts a daemon
    t.audited(result="allowed", direction="outbound", pid=p.pid)
    p.stop()
    errors = [line for line in p.out().splitlines() if b"error" in line]
    # The one that the daemon was looking at when it was killed ends with it, at most.
    assert errors in ([], [b"error ECONNRESET"]), p.out()[-500:]


LATE_LISTENER = r'''
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):  # HELLO, and the rules
    print("ready", flush=True)
sys.stdin.read()
l = socket.create_server(("127.0.0.1", int(sys.argv[2])))
print("listens", flush=True)
while True:
    c, _ = l.accept()
    c.sendall(c.recv(1000))
    c.close()
'''
SQUATTER = r'''
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("\0" + sys.argv[1])
s.listen()
print("there", flush=True)
time.sleep(100)
'''


def test_staged_off_listens_natively_where_the_daemon_is_out_of_reach(t):
    """Somebody else has the daemon's name: nothing can be registered, and the rule lets plaintext through anyway."""
    only_wrapped()
    if os.getuid() != 0:
        raise Skip("needs root, to be two users")
    t.agent([entry(ID)])
    port, other = t.port(), t.port()
    echo = t.spawn([PYTHON, "-c", ECHO_SERVER, str(other)])
    t.listening(other, proc=echo)
    both = t.config(listen=[{"port": port, "mode": "off", "allow": [ID]}],
                    connect=[{"to": f"127.0.0.1:{other}", "mode": "off", "allow": [ID]}])
    r, w = os.pipe()
    p = t.wrapped(both, [PYTHON, "-c", LATE_LISTENER, str(other), str(port)], name="late", stdin=r)
    os.close(r)
    p.line("^ready$")
    assert t.stop_daemons()
    t.spawn([PYTHON, "-c", SQUATTER, f"svidwrap/daemon/0/{t.instance}"], user=65534, name="squatter").line("^there$")
    os.close(w)
    p.line("^listens$")
    plain_exchange(port, t.marker)
    assert "another mode will not reach it" in p.err().decode(), p.err()


# ---- the whole way, and back ----------------------------------------------------------------------------------------

class Load:
    """Requests without a pause, each over a connection of its own, by two programs."""

    def __init__(self, t, config, port):
        self.procs = [client(t, config, MANY_CLIENT, port, times=1000000, pause=0.001),
                      client(t, config, ASYNC_CLIENT.replace("times // 20", "10 ** 9").replace("range(20)", "range(3)"),
                             port)]

    def check(self):
        for p in self.procs:
            if not p.alive() or b"error" in p.out():
                raise Failure(f"{p.name}: {p.text()[-500:]}")

    def stop(self):
        self.check()
        for p in self.procs:
            p.stop()


def quiet(t):
    """No plaintext for a while: what `svidwrap report` calls safe to enforce."""
    def look():
        seen = len(lines(t, result="plaintext"))
        time.sleep(0.4)
        return len(lines(t, result="plaintext")) == seen
    until("no plaintext any more", look)


def test_the_way_to_enforce_and_back_costs_no_request(t):
    """off, permissive, canary 10, 50, 100, enforce, and back, in an operator's order, under load that never pauses."""
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()
    listen, dial = {"name": "in", "port": port, "allow": [ID]}, {"name": "out", "to": f"127.0.0.1:{port}", "allow": [ID]}
    server = Rules(t, listen=[{**listen, "mode": "off"}])
    out = Rules(t, connect=[{**dial, "mode": "off"}])
    echo_server(t, server.path, port)
    load = Load(t, out.path, port)
    until("load", lambda: len(lines(t, result="plaintext")) > 20)

    def step(where, kind, result, **rule):
        base = listen if kind == "listen" else dial
        where.set(**{kind: [{**base, **rule}]})
        since = len(t.audit())
        until(f"{result} after {rule}", lambda: sum(
            a["result"] == result and a["direction"] == "outbound" for a in t.audit()[since:]) > 5)
        load.check()

    step(server, "listen", "plaintext", mode="permissive")
    step(out, "connect", "allowed", mode="canary", percent=10)
    step(out, "connect", "allowed", mode="canary", percent=50)
    step(out, "connect", "allowed", mode="canary", percent=100)
    quiet(t)
    step(server, "listen", "allowed", mode="enforce")
    step(out, "connect", "allowed", mode="enforce")
    step(server, "listen", "allowed", mode="permissive")
    step(out, "connect", "plaintext", mode="canary", percent=50)
    step(out, "connect", "plaintext", mode="off")
    step(server, "listen", "plaintext", mode="off")
    load.stop()
    assert not [a for a in t.audit() if a["result"] in ("denied", "failed")], lines(t, result="failed")


def test_both_sides_at_once_and_back_cost_no_request(t):
    """One configuration for both sides: a change of it is a change of both in the same moment."""
    only_wrapped()
    t.agent([entry(ID)])
    port = t.port()

    def rules(server, out, percent=100):
        return {"listen": [{"port": port, "allow": [ID], "mode": server}],
                "connect": [{"to": f"127.0.0.1:{port}", "allow": [ID], "mode": out,
                             **({"percent": percent} if out == "canary" else {})}]}
    both = Rules(t, **rules("off", "off"))
    echo_server(t, both.path, port)
    load = Load(t, both.path, port)
    # Who began with another text has a configuration of its own, which is read again at a moment of its own.
    until("both programs at work", lambda: {a["pid"] for a in lines(t, direction="outbound")} == {
        p.pid for p in load.procs})
    for _ in range(3):
        for server, out, percent in (("permissive", "off", 0), ("permissive", "canary", 50), ("permissive", "canary", 100),
                                     ("enforce", "enforce", 0), ("off", "off", 0)):
            if server == "enforce":
                quiet(t)
            both.set(**rules(server, out, percent))
            seen = len(t.audit())
            until("requests under the new rules", lambda: len(t.audit()) > seen + 20)
            load.check()
    load.stop()
    assert not [a for a in t.audit() if a["result"] in ("denied", "failed")], lines(t, result="failed")


# ---- as plain TCP -----------------------------------------------------------------------------------------------------

def plain_tcp(mode, file):
    """Every scenario of a file with the listener in this mode and the client's rule staged off: the native trace."""
    def test(t):
        only_wrapped()
        program = os.path.join(PROGRAMS, "scenario")
        need(program)
        t.agent([entry(ID)])
        left_out = {"clone_on_shared_memory", "clone_on_shared_descriptors"}  # refused whatever the mode: the next reload may ask for protection
        if mode == "permissive":
            left_out |= {"clone_before_sockets", "clone_shares_before_sockets"}  # refused where a connection may be protected
        if mode == "off":
            left_out |= {"few_descriptors"}  # slow, and once is enough
        for name in [n for f, n in names() if f == file and n not in left_out]:
            native = trace(t, [program, name, str(t.port()), str(Hole(t, full=True).port)])
            port, hole = t.port(), Hole(t, full=True)
            config = t.config(
                listen=[{"port": [port, hole.port], "mode": mode, "detect_timeout": "20ms", "allow": [ID]}],
                connect=[{"to": f"{host}:{p}", "mode": "off", "allow": [ID]}
                         for host in ("127.0.0.0/8", "[::1]") for p in (port, hole.port)])
            wrapped = trace(t, t.wrap(config, [program, name, str(port), str(hole.port)]))
            try:
                compare(native, wrapped)
            except Failure as failure:
                raise Failure(f"{name}: {failure}") from None
    return test


def more():
    for mode in ("off", "permissive"):
        for file in ("basic", "connect", "epoll", "flags", "fork", "listen", "options", "wait"):
            yield f"{mode}_is_plain_tcp.{file}", plain_tcp(mode, file)
