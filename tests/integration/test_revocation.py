# SPDX-License-Identifier: Apache-2.0
"""Does a live connection end when what it rests on is taken away, however the program waits on it?"""
import json
import os
import re
import socket
import subprocess

from apps import LONG_CLIENT, client, echo_server
from harness import PYTHON, SVIDWRAP, TD, WAIT, Agent, Skip, entry, until, which
from pki import CA
from test_reload import changed, followed, in_force, replace, wrapped_only

NOBODY = 65534
SERVER, WEB = f"{TD}/server", f"{TD}/web"

# PORT HOW: holds every connection that comes, and says how it ends.
HOLDER = r"""
import ctypes, errno, os, select, socket, sys, threading
port, how = int(sys.argv[1]), sys.argv[2]
def say(*what):
    os.write(1, (" ".join(map(str, what)) + "\n").encode())
def end_of(c):
    try:
        while True:
            d = c.recv(1000)
            if not d:
                return "EOF"
            c.sendall(d)
    except OSError as e:
        return errno.errorcode.get(e.errno, e)
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(("127.0.0.1", port))
l.listen(64)
if how == "hidden":
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: nobody looks into this process
if how == "epoll":
    e, live = select.epoll(), {}
    l.setblocking(False)
    e.register(l, select.EPOLLIN)
    while True:
        for fd, what in e.poll():
            if fd == l.fileno():
                try:
                    c = l.accept()[0]
                except BlockingIOError:
                    continue
                c.setblocking(False)
                live[c.fileno()] = c
                e.register(c, select.EPOLLIN | select.EPOLLET)
                say("accepted")
                continue
            try:
                while d := live[fd].recv(1000):
                    live[fd].sendall(d)
                say("end EOF")
            except BlockingIOError:
                continue
            except OSError as x:
                say("end", errno.errorcode.get(x.errno, x))
            e.unregister(fd)
            live.pop(fd).close()
while True:
    c = l.accept()[0]
    say("accepted")
    if how == "relay":  # where no hook can follow it
        os.dup2(c.fileno(), 0)
        c.close()
        out = os.popen("head -c 16 >/dev/null; echo relayed; cat >/dev/null; echo over").read()
        say(*out.split(), "end")
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        continue
    if how == "fork":
        if os.fork() == 0:
            say("end", end_of(c))
            os._exit(0)
        c.close()
    else:
        threading.Thread(target=lambda c=c: say("end", end_of(c)), daemon=True).start()
"""

# PORT MARKER: one exchange, then waits for what never comes. No listener, no thread.
WAITER = r"""
import errno, socket, sys
port, marker = int(sys.argv[1]), sys.argv[2].encode()
s = socket.create_connection(("127.0.0.1", port))
s.sendall(marker)
assert s.recv(1000) == marker
print("waits", flush=True)
def one(what, *args):
    try:
        return repr(what(*args))
    except OSError as e:
        return errno.errorcode.get(e.errno, e)
print("read", one(s.recv, 1000), flush=True)
print("again", one(s.recv, 1000), "write", one(s.send, b"x"), flush=True)
try:
    s = socket.create_connection(("127.0.0.1", port))
    print("connect 0", flush=True)
except OSError as e:
    print("connect", errno.errorcode.get(e.errno, e), flush=True)
"""


def two_agents(t, user=None):
    """The server's and the client's, of one CA, so that an identity can be taken away from one alone."""
    ca = CA(t, "example.org")
    files = {"cert": ca.cert, "key": ca.key}
    agents = (Agent(t, [entry(SERVER, uid=user)], ca=files, name="agent-server"),
              Agent(t, [entry(WEB, uid=user)], ca=files, name="agent-client"))
    for agent in agents:
        os.chmod(agent.socket, 0o777)
    return agents


def stage(t, how=None, rule=None, user=None, **more):
    ours, theirs = two_agents(t, user)
    port = t.port()
    more.setdefault("identity_wait", "2s")
    server = t.config(listen=[{"port": port, "allow": [WEB], **(rule or {})}], workload_api={"socket": ours.address},
                      **more)
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [SERVER], **(rule or {})}],
                      workload_api={"socket": theirs.address}, identity_wait="2s")
    holder = None
    if how:
        holder = t.wrapped(server, [PYTHON, "-c", HOLDER, str(port), how], name="holder", user=user)
        t.listening(port, proc=holder)
    return port, server, config, ours, theirs, holder


def waiter(t, config, port, **more):
    c = t.wrapped(config, [PYTHON, "-c", WAITER, str(port), t.marker.decode()], name="waiter", **more)
    c.line("^waits")
    return c


def ended(c):
    """The other side of a connection that was cut: never a clean end."""
    assert c.line("^read (.*)$").group(1) in ("ECONNRESET", "EPIPE"), c.text()


def check_server(t, how, user=None):
    wrapped_only()
    port, _, config, ours, _, holder = stage(t, how, user=user)
    clients = [waiter(t, config, port, user=user) for _ in range(3)]
    ours.reload(entries=[])
    until("each connection's end", lambda: holder.text().count("end ") == 3)
    assert holder.text().count("end ECONNRESET\n") == 3, holder.text()
    for c in clients:
        ended(c)
        assert c.line("^connect (.*)$").group(1) != "0", c.text()
    t.audited(event="revocation", result="closed", direction="inbound", client_spiffe_id=WEB, server_spiffe_id=SERVER,
              reason="the agent took our identity away")


def test_an_identity_taken_away_ends_blocking_readers(t):
    check_server(t, "threads")


def test_an_identity_taken_away_ends_idle_connections_of_an_epoll_loop(t):
    check_server(t, "epoll")


def test_an_identity_taken_away_ends_what_a_forked_child_holds(t):
    check_server(t, "fork")


def test_a_daemon_without_privileges_can_do_it_too(t):
    """By a copy of the descriptor, out of the process that holds it."""
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    check_server(t, "threads", user=NOBODY)


def test_a_daemon_without_privileges_finds_a_forked_child(t):
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    check_server(t, "fork", user=NOBODY)


def test_where_nobody_may_look_the_program_is_rung(t):
    """No descriptor can be had out of this process: it sweeps its connections itself."""
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    check_server(t, "hidden", user=NOBODY)


def test_an_identity_taken_away_ends_a_client_without_a_listener(t):
    wrapped_only()
    port, _, config, _, theirs, holder = stage(t, "threads")
    c = waiter(t, config, port)
    theirs.reload(entries=[])
    assert c.line("^read (.*)$").group(1) == "ECONNRESET", c.text()
    assert c.line("^again (.*)$").group(1) == "ECONNRESET write ECONNRESET", c.text()
    assert c.line("^connect (.*)$").group(1) == "ECONNREFUSED", c.text()
    holder.line("^end ECONNRESET$")


def test_a_relayed_connection_ends_like_any_other(t):
    wrapped_only()
    port, server, config, _, _, holder = stage(t, "relay")
    c = t.wrapped(config, [PYTHON, "-c", f"""import socket
s = socket.create_connection(("127.0.0.1", {port}))
s.sendall(b"0123456789abcdef")
print("waits", flush=True)
try:
    print("read", s.recv(1000), flush=True)
except OSError as e:
    print("read", e.strerror, flush=True)
"""], name="client")
    c.line("^waits")
    followed(t, server)
    until("the relay has it", lambda: any(
        o["engine"] == "relay" for o in json.loads(t.run([SVIDWRAP, "status", "--json"]))["connections"]))
    replace(server, changed(server, WEB, f"{TD}/other"))
    assert c.line("^read (.*)$").group(1) == "Connection reset by peer", c.text()
    holder.line("^relayed over end$")
    t.audited(event="revocation", result="closed", direction="inbound", client_spiffe_id=WEB)


def test_on_revoke_keep_keeps_them(t):
    wrapped_only()
    port, _, config, _, theirs, _ = stage(t, "threads", rule={"on_revoke": "keep"})
    c = t.wrapped(config, [PYTHON, "-c", LONG_CLIENT, str(port), t.marker.decode(), "60", "0.05"], name="long")
    c.line("^exchange 3$")
    theirs.reload(entries=[])
    assert client(t, config, LONG_CLIENT, port, how="preload").wait() != 0
    assert c.ok(30).endswith(b"all well\n")


def test_one_of_several_identities_taken_away(t):
    """The agent serves another one still; what rests on the one that is gone ends, the rest stays."""
    wrapped_only()
    a, b = f"{TD}/a", f"{TD}/b"
    t.agent([entry(a, hint="a"), entry(b, hint="b")])
    one, two = t.port(), t.port()
    server = t.config(listen=[{"port": one, "allow": [a], "identity": {"hint": "a"}},
                              {"port": two, "allow": [a], "identity": {"hint": "a"}}])
    echo_server(t, server, one)
    echo_server(t, server, two)
    config = t.config(connect=[{"to": f"127.0.0.1:{one}", "allow": [a], "identity": {"hint": "a"}}])
    keeps = t.wrapped(config, [PYTHON, "-c", LONG_CLIENT, str(one), t.marker.decode(), "60", "0.05"], name="keeps")
    keeps.line("^exchange 3$")
    t.default_agent.reload(entries=[entry(a, hint="a")])
    assert keeps.ok(30).endswith(b"all well\n")
    c = waiter(t, config, one)
    t.default_agent.reload(entries=[entry(b, hint="b")])
    ended(c)


def test_a_new_policy_ends_what_it_does_not_allow(t):
    wrapped_only()
    port, server, config, _, _, holder = stage(t, "epoll")
    c = waiter(t, config, port)
    followed(t, server)
    replace(server, changed(server, WEB, f"{TD}/other"))
    holder.line("^end ECONNRESET$")
    ended(c)
    t.audited(event="revocation", result="closed", direction="inbound", client_spiffe_id=WEB,
              reason="the new policy does not allow it")


def test_a_new_policy_of_the_client_ends_its_connections(t):
    wrapped_only()
    port, _, config, _, _, holder = stage(t, "fork")
    c = waiter(t, config, port)
    followed(t, config)
    replace(config, changed(config, SERVER, f"{TD}/other"))
    assert c.line("^read (.*)$").group(1) == "ECONNRESET", c.text()
    holder.line("^end ECONNRESET$")


def test_on_policy_change_keep_keeps_them(t):
    wrapped_only()
    port, server, config, _, _, _ = stage(t, "threads", rule={"on_policy_change": "keep"})
    c = t.wrapped(config, [PYTHON, "-c", LONG_CLIENT, str(port), t.marker.decode(), "60", "0.05"], name="long")
    c.line("^exchange 3$")
    followed(t, server)
    replace(server, changed(server, WEB, f"{TD}/other"))
    in_force(t, server)
    assert client(t, config, LONG_CLIENT, port).wait() != 0
    assert c.ok(30).endswith(b"all well\n")


def test_plaintext_ends_when_the_rule_asks_for_more(t):
    """permissive -> enforce: what came in clear is cut, what is authenticated stays."""
    wrapped_only()
    port, server, config, _, _, holder = stage(t, "epoll", rule={"mode": "permissive"})
    replace(config, changed(config, "permissive", "enforce"))
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as plain:
        plain.sendall(b"GET /" + t.marker)
        assert plain.recv(1000)
        c = t.wrapped(config, [PYTHON, "-c", LONG_CLIENT, str(port), t.marker.decode(), "60", "0.05"], name="long")
        c.line("^exchange 3$")
        followed(t, server)
        replace(server, changed(server, "permissive", "enforce"))
        in_force(t, server)
        try:
            assert plain.recv(1000) == b""
        except ConnectionResetError:
            pass
    holder.line("^end ")
    t.audited(event="revocation", result="closed", direction="inbound", client_spiffe_id="",
              reason="the new policy asks for mutual TLS here")
    assert c.ok(30).endswith(b"all well\n")


def test_a_client_in_plaintext_ends_when_its_rule_asks_for_more(t):
    """canary -> enforce: what the program dialed in clear is cut."""
    wrapped_only()
    port, server, config, _, _, holder = stage(t, "epoll", rule={"mode": "permissive"})
    replace(config, changed(config, '"mode": "permissive"', '"mode": "canary", "percent": 0'))
    c = waiter(t, config, port)
    t.audited(result="plaintext", direction="outbound")
    followed(t, config)
    replace(config, changed(config, '"mode": "canary", "percent": 0', '"mode": "enforce"'))
    c.line("^read (.*)$")
    c.line("^connect 0$")
    t.audited(event="revocation", result="closed", direction="outbound", reason="the new policy asks for mutual TLS here")
    t.audited(event="connection", result="allowed", direction="outbound")
    holder.line("^end ")


def test_revocation_under_load(t):
    """Redis with clients at full speed: all of them end, nobody comes back, and the server lives."""
    wrapped_only()
    redis, bench = which("redis-server"), which("redis-benchmark")
    port, server, config, ours, _, _ = stage(t)
    proc = t.wrapped(server, [redis, "--port", str(port), "--save", "", "--appendonly", "no"], name="redis")
    t.listening(port, proc=proc)
    load = t.wrapped(config, [bench, "-p", str(port), "-c", "20", "-n", "100000000", "-t", "get"], name="load")
    until("load", lambda: len([a for a in t.audit() if a["result"] == "allowed" and a["direction"] == "inbound"]) >= 20)
    ours.reload(entries=[])
    until("20 connections ended", lambda: len([a for a in t.audit() if a["event"] == "revocation"]) >= 20)
    assert proc.alive(), proc.text()
    ours.reload(entries=[entry(SERVER)])
    load.kill()  # a write error has redis-benchmark write for ever

    def alone():
        cli = t.wrapped(config, [which("redis-cli"), "-p", str(port), "info", "clients"], name="cli")
        cli.wait()
        return b"connected_clients:1\r" in cli.out()
    until("service again, and none of the old ones", alone)


def test_the_slot_of_a_killed_child_is_free_again(t):
    """Nobody released it; the kernel says that nobody holds the socket."""
    wrapped_only()
    port, _, config, _, _, holder = stage(t, "fork")
    c = waiter(t, config, port)
    child = until("the child", lambda: [int(p) for p in re.findall(r"\d+", open(
        f"/proc/{holder.pid}/task/{holder.pid}/children").read())])
    def live():
        out = subprocess.run([SVIDWRAP, "status", "--json"], env=t.environ, capture_output=True, check=True).stdout
        return sum(s["connections"]["live"] for s in json.loads(out)["sessions"] if s["pid"] == holder.pid)
    before = live()
    for pid in child:
        os.kill(pid, 9)
    ended(c)
    c.wait()
    until("a free slot", lambda: live() < before, pause=0.2)
