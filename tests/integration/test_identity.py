# SPDX-License-Identifier: Apache-2.0
"""Is every program, and every user that it becomes, the workload that the agent attests, and no other?"""
import os
import socket
import ssl
import time

from apps import LONG_CLIENT, MANY_CLIENT, client, echo_server, exchange
from harness import NATIVE, PYTHON, TD, WAIT, Skip, entry, until
from pki import CA, client_context

NOBODY = 65534
ROOT_ID, NOBODY_ID, PEER = f"{TD}/of-root", f"{TD}/of-nobody", f"{TD}/peer"


def wrapped_only():
    if NATIVE:
        raise Skip("natively there is no SVID")


def two_users(t, **more):
    """Two entries that differ by uid and nothing else; a CA whose leafs a stranger can have."""
    wrapped_only()
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    ca = CA(t)
    agent = t.agent([entry(ROOT_ID, uid=0), entry(NOBODY_ID, uid=NOBODY)], ca={"cert": ca.cert, "key": ca.key}, **more)
    os.chmod(agent.socket, 0o777)
    return ca


def certificate(port, pair=None):
    """The certificate that the server shows now, as OpenSSL's text; with a pair, after it answered an exchange."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as raw:
        with client_context(pair).wrap_socket(raw) as s:
            if pair:
                s.sendall(b"hello")
                assert s.recv(100) == b"hello"
            return s.getpeercert(binary_form=True)


def identity(port, pair=None):
    """The SPIFFE ID in it. None: none is shown."""
    try:
        der = certificate(port, pair)
    except (OSError, ssl.SSLError, AssertionError):
        return None
    at = der.find(b"spiffe://")
    return der[at:at + der[at - 1]].decode() if at >= 0 else None


# PORT: an echo server that becomes nobody, for good, when it is told to (SIGUSR1); it makes no other call.
DROPPER = r"""
import os, signal, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
l.setblocking(True)
def drop(*_):
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    print("dropped", flush=True)
signal.signal(signal.SIGUSR1, drop)
while True:
    s, _ = l.accept()
    try:
        while data := s.recv(1000):
            s.sendall(data)
    except ConnectionError:
        pass  # the peer closed without close_notify
    s.close()
"""

# PORT MARKER: a connection as root, one as nobody by a child, one as root again, with an answer on each.
CHILD = r"""
import os, socket, sys
def talk(who):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as s:
        s.sendall(sys.argv[2].encode())
        assert s.recv(1000) == sys.argv[2].encode()
    print(who, flush=True)
talk("parent")
pid = os.fork()
if pid == 0:
    talk("child")
    os.setgid(65534)
    os.setuid(65534)
    talk("nobody")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
talk("parent again")
"""


def inbound(t, port):
    return [a["client_spiffe_id"] for a in t.audit() if a["direction"] == "inbound" and a["result"] == "allowed"
            and a["local"].endswith(f":{port}")]


def test_a_child_that_changes_uid_is_somebody_else(t):
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    echo_server(t, config, port)
    with t.watch(port):
        t.wrapped(config, [PYTHON, "-c", CHILD, str(port), t.marker.decode()]).ok()
    until("four connections", lambda: inbound(t, port) == [ROOT_ID, ROOT_ID, NOBODY_ID, ROOT_ID])


def test_a_child_that_changes_uid_is_not_let_in_as_its_parent(t):
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID])
    echo_server(t, config, port)
    out = t.wrapped(config, [PYTHON, "-c", CHILD, str(port), t.marker.decode()])
    assert out.wait() != 0 and out.out() == b"parent\nchild\n", out.text()
    t.audited(direction="inbound", result="denied", client_spiffe_id=NOBODY_ID)


def test_a_server_that_drops_root_is_attested_anew(t):
    """It sits in accept() and makes no call of its own; its listener speaks as whom it has become."""
    ca = two_users(t)
    pair = ca.leaf("peer", PEER)
    port = t.port()
    config = t.both(port, allow=[PEER])
    server = t.wrapped(config, [PYTHON, "-c", DROPPER, str(port)], name="dropper")
    t.listening(port, proc=server)
    assert identity(port, pair) == ROOT_ID
    server.kill(10)
    server.line("^dropped$")
    until("the SVID of nobody", lambda: identity(port, pair) == NOBODY_ID, pause=0.1)
    t.audited(direction="inbound", result="allowed", server_spiffe_id=NOBODY_ID, client_spiffe_id=PEER)


# PORT: listens as root, becomes nobody, listens on the same socket again (beanstalkd does) and then greets everybody.
AGAIN = r"""
import os, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(5)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
s.listen(1024)
print("again", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(c.recv(100))
    c.close()
"""


def test_a_server_that_listens_again_when_it_has_dropped_root(t):
    """A listening unix socket tells who called listen() last: the stand-in is the new user's from then on."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    server = t.wrapped(config, [PYTHON, "-c", AGAIN, str(port)], name="again")
    server.line("^again$")
    for _ in range(3):
        assert t.wrapped(config, [PYTHON, "-c", SEVERAL, str(port)]).ok() == f"{port} hello\n".encode()
    t.audited(direction="inbound", result="allowed", server_spiffe_id=NOBODY_ID, client_spiffe_id=ROOT_ID)


# PORT: listens as root, becomes nobody, and has one worker after the other accept; SIGUSR1 replaces the worker.
WORKERS = r"""
import os, signal, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
def worker():
    pid = os.fork()
    if pid:
        return pid
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
    while True:
        with l.accept()[0] as c:
            c.sendall(c.recv(100))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
while True:
    pid = worker()
    print("worker", flush=True)
    sig = signal.sigwait({signal.SIGUSR1, signal.SIGTERM})
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if sig == signal.SIGTERM:
        break
"""


def test_workers_of_a_server_that_has_dropped_root_come_and_go(t):
    """The worker who said who they are now is gone: the next one is asked, although the listener has holders still."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    server = t.wrapped(config, [PYTHON, "-c", WORKERS, str(port)], name="workers")
    for n in range(3):
        server.line("(?s)" + "worker.*" * (n + 1))
        for _ in range(2):
            assert t.wrapped(config, [PYTHON, "-c", SEVERAL, str(port)]).ok() == f"{port} hello\n".encode()
        server.kill(10)


# PORT DIRECTORY CODE: listens as root, and an image that it executes locks itself up in the directory before it accepts.
JAILER = r"""
import os, signal, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
pid = os.fork()
if pid == 0:
    os.dup2(l.fileno(), 9)
    os.set_inheritable(9, True)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[3], sys.argv[2]])
def stop(*_):
    os.kill(pid, 9)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
os.wait()
"""
JAILED = r"""
import os, socket, sys
l = socket.socket(fileno=9)
os.chroot(sys.argv[1])
os.chdir("/")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print("locked up", os.listdir("/"), flush=True)
while True:
    with l.accept()[0] as s:
        s.sendall(s.recv(100))
"""


def test_an_image_that_goes_into_a_jail_serves_the_listener_it_inherited(t):
    """Dovecot's login processes: no configuration and no agent can be reached from in there. A file of the
    configuration's name is not asked: it would leave every port alone."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID])
    jail = os.path.join(t.dir, "jail")
    os.makedirs(jail + os.path.dirname(config))
    with open(jail + config, "w") as f:
        f.write("listen: []\n")
    server = t.wrapped(config, [PYTHON, "-c", JAILER, str(port), jail, JAILED], name="jailer")
    server.line("^locked up")
    with t.watch(port, expect=False):
        for _ in range(3):
            assert t.wrapped(config, [PYTHON, "-c", SEVERAL, str(port)]).ok() == f"{port} hello\n".encode()
    t.audited(direction="inbound", result="allowed", server_spiffe_id=ROOT_ID, client_spiffe_id=ROOT_ID)


def test_a_program_that_exec_starts_as_another_user_is_somebody_else(t):
    """setpriv becomes another user and starts the client: identity is the image's own."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    echo_server(t, config, port)
    argv = ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", PYTHON, "-c", MANY_CLIENT, str(port),
            t.marker.decode(), "1", "0"]
    # That user's daemon cannot write where root's does.
    theirs = t.both(port, allow=[ROOT_ID], log={"to": os.path.join(t.log_dir, "nobody.log")},
                    audit={"to": os.path.join(t.log_dir, "nobody-audit.log")})
    with t.watch(port):
        t.run(t.wrap(theirs, argv, how="preload"))
    until("the connection", lambda: inbound(t, port) == [NOBODY_ID])


def test_a_live_connection_goes_on_when_the_server_drops_root(t):
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    server = t.wrapped(config, [PYTHON, "-c", DROPPER, str(port)], name="dropper")
    t.listening(port, proc=server)
    with t.watch(port):
        c = client(t, config, LONG_CLIENT, port, 40, 0.1)
        c.line("exchange 3$")
        server.kill(10)
        server.line("^dropped$")
        assert c.ok().endswith(b"all well\n"), c.text()
        until("the SVID of nobody", lambda: identity(port) == NOBODY_ID, pause=0.1)


# PORT: a superserver: its child becomes nobody, for good, and executes a program on the connection.
SUPERSERVER = r"""
import os, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    s = l.accept()[0]
    if os.fork() == 0:
        l.close()
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        for fd in (0, 1, 2):
            os.dup2(s.fileno(), fd)
        os.execv("/bin/cat", ["cat"])
    s.close()
"""


def test_a_connection_is_executed_on_by_whom_its_server_has_become(t):
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID])
    server = t.wrapped(config, [PYTHON, "-c", SUPERSERVER, str(port)], name="superserver")
    t.listening(port, proc=server)
    with t.watch(port):
        exchange(t, config, port, 3)


def test_a_server_that_drops_root_beyond_its_configuration_serves_nobody(t):
    """Whom it has become cannot read the file: it is not served as root on, and the log says why."""
    ca = two_users(t)
    pair = ca.leaf("peer", PEER)
    port = t.port()
    config = t.both(port, allow=[PEER], identity_wait="300ms")
    os.chmod(config, 0o600)
    server = t.wrapped(config, [PYTHON, "-c", DROPPER, str(port)], name="dropper")
    t.listening(port, proc=server)
    assert identity(port, pair) == ROOT_ID
    server.kill(10)
    server.line("^dropped$")
    server.line(f"{config}: Permission denied; every TCP connect and listen is refused")
    with open(os.path.join(t.log_dir, "daemon.log")) as f:
        assert "cannot read its configuration" in f.read(), "whoever has no standard error any more says nothing himself"

    def shown():
        with socket.create_connection(("127.0.0.1", port), timeout=1) as raw:
            raw.settimeout(1)
            try:
                with client_context(pair).wrap_socket(raw) as s:
                    return s.getpeercert(binary_form=True)
            except (OSError, ssl.SSLError):
                return None
    assert shown() is None


# PORT: listens as root, and hands the listener to a server that runs as nobody, as inetd does ("wait", with a user).
INETD = r"""
import os, signal, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
pid = os.fork()
if pid == 0:
    os.dup2(l.fileno(), 9)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.set_inheritable(9, True)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
def stop(*_):
    os.kill(pid, 9)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
os.wait()
"""
SERVE_9 = r"""
import os, socket
l = socket.socket(fileno=9)
while True:
    s, _ = l.accept()
    print("uid", os.getuid(), flush=True)
    with s:
        try:
            while data := s.recv(1000):
                s.sendall(data)
        except ConnectionError:
            pass
"""


def test_a_listener_goes_over_to_a_program_of_another_user(t):
    """It is registered with root's daemon, and that is where the new image finds it. It speaks as who listens."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    proc = t.wrapped(config, [PYTHON, "-c", INETD, str(port), SERVE_9], name="inetd")
    t.listening(port, proc=proc)
    with t.watch(port):
        exchange(t, config, port, 3)
    assert proc.out().count(b"uid 65534") == 3, proc.text()
    t.audited(direction="inbound", result="allowed", server_spiffe_id=ROOT_ID)


# PORT: listens as root, once more as nobody, and starts itself anew as nobody (uWSGI's reload).
RELOAD = r"""
import os, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
l.listen(10)
os.dup2(l.fileno(), 9)
os.set_inheritable(9, True)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
"""


def test_a_new_image_of_another_user_finds_the_listener_at_roots_daemon(t):
    """Who called listen() last is nobody, whose own daemon does not know the listener."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    proc = t.wrapped(config, [PYTHON, "-c", RELOAD, str(port), SERVE_9], name="reload")
    t.listening(port, proc=proc)
    with t.watch(port):
        exchange(t, config, port, 3)
    assert proc.out().count(b"uid 65534") == 3, proc.text()


def test_effective_ids_that_change_and_change_back(t):
    """seteuid() and back: each connection is made by whom the kernel says it is."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    echo_server(t, config, port)
    code = CHILD.split("talk(\"parent\")")[0] + r"""
for uid in (0, 65534, 0, 65534, 0):
    os.seteuid(uid)
    talk(uid)
"""
    with t.watch(port):
        t.wrapped(config, [PYTHON, "-c", code, str(port), t.marker.decode()]).ok()
    until("five connections", lambda: inbound(t, port) == [ROOT_ID, NOBODY_ID, ROOT_ID, NOBODY_ID, ROOT_ID])


# ---- the agent goes and comes back --------------------------------------------------------------------------------

SOON = 8  # the fresh SVID is there within 5 s of the agent's return; the rest is for a busy machine


def agent_with_ca(t, **more):
    """An agent that has the same roots when it is started again."""
    wrapped_only()
    ca = CA(t)
    t.agent([entry(ROOT_ID)], ca={"cert": ca.cert, "key": ca.key}, **more)
    return ca


def away_and_back(t, port, pair, seconds):
    """The agent goes, stays away until the SVID is long expired, and comes back: the server, idle all the while, has
    a fresh one."""
    old = certificate(port, pair)
    t.default_agent.stop()
    time.sleep(seconds)
    assert identity(port, pair) is None, "an expired SVID was used"
    t.default_agent.start()
    started = time.monotonic()
    until("a fresh SVID", lambda: identity(port, pair) == ROOT_ID, SOON, pause=0.1)
    print(f"fresh after {time.monotonic() - started:.1f} s")
    assert certificate(port, pair) != old


def test_an_agent_away_for_longer_than_the_svid_lives_and_an_idle_server(t):
    """So long that a backoff without a bound would have grown past what anybody waits."""
    ca = agent_with_ca(t, svid_ttl="4s")
    port = t.port()
    config = t.both(port, allow=[PEER], identity_wait="500ms")
    echo_server(t, config, port)
    away_and_back(t, port, ca.leaf("peer", PEER), 18)


def test_an_agent_away_for_longer_than_the_svid_lives_and_the_daemons_identity(t):
    """The same where the daemon asks for itself (identity.scope: daemon)."""
    ca = agent_with_ca(t, svid_ttl="4s")
    port = t.port()
    config = t.both(port, allow=[PEER], identity={"scope": "daemon"}, identity_wait="500ms")
    echo_server(t, config, port)
    away_and_back(t, port, ca.leaf("peer", PEER), 18)


def test_an_agent_restarts_under_a_client(t):
    """A program that only dials has nothing that could be rung: it finds the agent at its next connect(), and no
    connection fails for it."""
    ca = agent_with_ca(t, svid_ttl="6s")
    port = t.port()
    config = t.both(port, allow=[ROOT_ID])
    server = t.both(port, allow=[ROOT_ID])
    echo_server(t, server, port)
    with t.watch(port):
        c = client(t, config, MANY_CLIENT, port, 70, 0.15)
        c.line("exchange 3$")
        t.default_agent.stop()
        time.sleep(1)
        t.default_agent.start()
        out = c.ok(40)
    assert out.endswith(b"good 70 bad 0\n"), out[-300:]
    assert ca


def test_an_agent_away_for_longer_than_the_svid_lives_and_a_client(t):
    """Refused while there is no SVID, and served again by the client's own next connects."""
    agent_with_ca(t, svid_ttl="3s")
    port = t.port()
    config = t.both(port, allow=[ROOT_ID], identity_wait="200ms")
    echo_server(t, t.both(port, allow=[ROOT_ID], identity_wait="200ms"), port)
    with t.watch(port):
        c = client(t, config, MANY_CLIENT, port, 1000, 0.1)
        c.line("exchange 3$")
        t.default_agent.stop()
        c.line("^error ECONNREFUSED$")
        t.default_agent.start()
        failed = len(c.out())
        until("served again", lambda: b"exchange" in c.out()[failed:], SOON)
        c.kill()


# ---- several identities of one process ------------------------------------------------------------------------------

# PORT...: what a connect() to each answers, and an exchange over it.
SEVERAL = r"""
import errno, socket, sys
for port in map(int, sys.argv[1:]):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(b"hello")
            print(port, s.recv(100).decode(), flush=True)
    except OSError as e:
        print(port, errno.errorcode.get(e.errno, e), flush=True)
"""


def logged(t, text):
    def look():
        with open(os.path.join(t.log_dir, "daemon.log"), errors="replace") as f:
            return text in f.read()
    until(f"{text!r} in the log", look)


def test_rules_choose_among_the_identities_of_one_process(t):
    """By ID, by hint, or the first; one that is not served is an error with its name, for that rule alone."""
    wrapped_only()
    a, b, c, absent = (f"{TD}/{x}" for x in ("a", "b", "c", "absent"))
    t.agent([entry(a), entry(b), entry(c, hint="internal")])
    ports = [t.port() for _ in range(4)]
    serve = t.config(listen=[{"port": p, "allow": [f"{TD}/**"]} for p in ports])
    for p in ports:
        echo_server(t, serve, p)
    wants = [None, {"spiffe_id": b}, {"hint": "internal"}, {"spiffe_id": absent}]
    dial = t.config(connect=[{"to": f"127.0.0.1:{p}", "allow": [f"{TD}/**"], "name": f"rule-{i}", **({"identity": w} if w else {})}
                             for i, (p, w) in enumerate(zip(ports, wants))])
    with t.watch(*ports[:3]):
        out = t.wrapped(dial, [PYTHON, "-c", SEVERAL, *map(str, ports)]).ok().decode().split("\n")
    assert out[:4] == [f"{p} hello" for p in ports[:3]] + [f"{ports[3]} ECONNREFUSED"], out
    for p, who in zip(ports, (a, b, c)):
        t.audited(direction="inbound", result="allowed", local=f"127.0.0.1:{p}", client_spiffe_id=who)
    line = t.audited(direction="outbound", result="failed", rule="rule-3")
    assert f"no SVID with the ID {absent}; it serves {a}, {b}, {c} (hint internal)" in line["reason"], line
    logged(t, f'rule "rule-3": the agent serves no SVID with the ID {absent}')
    t.default_agent.reload(entries=[entry(a), entry(absent)])
    until("its entry is there", lambda: b"hello" in t.wrapped(dial, [PYTHON, "-c", SEVERAL, str(ports[3])]).ok(), pause=0.2)


def test_a_listener_whose_identity_is_not_served_serves_nobody(t):
    """Not with another one either; and it is served once there is the entry."""
    wrapped_only()
    ca = CA(t)
    t.agent([entry(ROOT_ID)], ca={"cert": ca.cert, "key": ca.key})
    pair = ca.leaf("peer", PEER)
    port, other = t.port(), t.port()
    config = t.config(listen=[{"port": port, "allow": [PEER], "identity": {"hint": "blue"}, "name": "blue-port"},
                              {"port": other, "allow": [PEER]}])
    server = r"""
import selectors, socket, sys
sel = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    sel.register(socket.create_server(("127.0.0.1", port)), selectors.EVENT_READ)
while True:
    for key, _ in sel.select():
        s, _ = key.fileobj.accept()
        with s:
            try:
                s.sendall(s.recv(100))
            except OSError:
                pass
"""
    proc = t.wrapped(config, [PYTHON, "-c", server, str(port), str(other)])
    for p in (port, other):
        t.listening(p, proc=proc)
    assert identity(other, pair) == ROOT_ID and identity(port, pair) is None
    line = t.audited(direction="inbound", result="failed", rule="blue-port")
    assert "no SVID with the hint blue" in line["reason"], line
    logged(t, 'rule "blue-port": the agent serves no SVID with the hint blue')
    t.default_agent.reload(entries=[entry(ROOT_ID), entry(f"{TD}/blue", hint="blue")])
    until("served as blue", lambda: identity(port, pair) == f"{TD}/blue", pause=0.1)
    assert identity(other, pair) == ROOT_ID
