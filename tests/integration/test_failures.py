# SPDX-License-Identifier: Apache-2.0
"""What breaks around the program does not break the program, and never turns into plaintext: the daemon's worker and
supervisor killed, the agent gone or saying no, descriptors used up."""
import os
import re
import signal
import socket
import threading
import time

from apps import LONG_CLIENT, MANY_CLIENT, TRY, client, echo_server, exchange
from harness import NATIVE, PYTHON, TD, WAIT, Skip, entry, port_listens, until
from pki import CA, client_context

ID = f"{TD}/app"


def prepare(t, agent=None, **settings):
    if NATIVE and agent != "none":
        return t.port(), ""
    t.agent([entry(ID)], **(agent or {}))
    port = t.port()
    return port, t.both(port, allow=[ID], **settings)


def kill_worker(t):
    """SIGKILL to the worker; waits until another one is there."""
    if NATIVE:
        return
    old = t.worker()
    os.kill(old, signal.SIGKILL)
    until("another worker", lambda: any(pid != old and parent in {d[0] for d in t.daemons()}
                                        for pid, parent, _ in t.daemons()))


def test_worker_killed_under_a_live_connection(t):
    port, config = prepare(t)
    with t.watch(port):
        echo_server(t, config, port)
        c = client(t, config, LONG_CLIENT, port, 40, 0.05)
        c.line("exchange 5$")
        kill_worker(t)
        kill_worker(t)
        out = c.ok(40)
    assert out.endswith(b"all well\n"), out


def test_worker_killed_and_an_idle_server_serves_the_next_client(t):
    port, config = prepare(t)
    with t.watch(port):
        echo_server(t, config, port)
        exchange(t, config, port)
        for _ in range(3):
            kill_worker(t)
            exchange(t, config, port)


def test_worker_killed_before_the_first_client(t):
    port, config = prepare(t)
    with t.watch(port):
        echo_server(t, config, port)
        if not NATIVE:
            os.kill(t.worker(), signal.SIGKILL)  # and no waiting: the client comes meanwhile
        exchange(t, config, port)


def test_worker_killed_and_prefork_workers_serve(t):
    code = r"""
import os, signal, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
kids = []
for i in range(3):
    pid = os.fork()
    if pid == 0:
        while True:
            s, _ = l.accept()
            with s:
                while data := s.recv(65536):
                    s.sendall(data)
    kids.append(pid)
def stop(*_):
    [os.kill(k, 9) for k in kids]
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
while True:
    signal.pause()
"""
    port, config = prepare(t)
    with t.watch(port):
        proc = t.wrapped(config, [PYTHON, "-c", code, str(port)])
        t.listening(port, proc=proc)
        exchange(t, config, port, 3)
        kill_worker(t)
        exchange(t, config, port, 6)


def test_worker_killed_and_an_epoll_server_serves(t):
    """Waits in epoll_wait on a non-blocking listener, as most servers do."""
    code = r"""
import asyncio, sys
async def echo(r, w):
    while data := await r.read(65536):
        w.write(data)
        await w.drain()
    w.close()
async def main():
    await (await asyncio.start_server(echo, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
"""
    port, config = prepare(t)
    with t.watch(port):
        proc = t.wrapped(config, [PYTHON, "-c", code, str(port)])
        t.listening(port, proc=proc)
        c = client(t, config, LONG_CLIENT, port, 40, 0.05)
        c.line("exchange 3$")
        for _ in range(3):
            kill_worker(t)
            exchange(t, config, port)
        assert c.ok().endswith(b"all well\n")


def test_worker_killed_under_a_busy_server(t):
    """Clients come all the while; one whose connect was under way may see an error, none sees plaintext, and those
    that come later are served."""
    port, config = prepare(t)
    with t.watch(port):
        echo_server(t, config, port)
        clients = [client(t, config, MANY_CLIENT, port, 60, 0.01) for _ in range(3)]
        for c in clients:
            c.line("exchange 5$")
        for _ in range(3):
            kill_worker(t)
            time.sleep(0.2)
        for c in clients:
            good, bad = re.search(rb"good (\d+) bad (\d+)", c.ok(50)).groups()
            # A kill can cost each client the connects under way, and those while no daemon is there.
            assert int(good) + int(bad) == 60 and int(good) >= 40, c.out()[-500:]
        exchange(t, config, port, 5)


class Silent:
    """A TCP server that never answers."""

    def __init__(self, t):
        self.listener = socket.create_server(("127.0.0.1", t.port()))
        self.port = self.listener.getsockname()[1]
        self.heard = b""
        self.accepted = 0
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            s, _ = self.listener.accept()
            self.accepted += 1
            threading.Thread(target=self.listen, args=(s,), daemon=True).start()

    def listen(self, s):
        try:
            while piece := s.recv(4096):
                self.heard += piece
        except OSError:
            pass


PENDING = r"""
import errno, select, socket, sys
port, how, marker = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
s = socket.socket()
def name(e):
    return errno.errorcode.get(e, e)
if how == "block":
    e = s.connect_ex(("127.0.0.1", port))
    print("connect failed" if e else "CONNECTED", name(e))
else:
    s.setblocking(False)
    assert s.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
    p = select.epoll() if how == "epoll" else select.poll()
    p.register(s, select.POLLOUT)
    got = p.poll(30 if how == "epoll" else 30000)
    e = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    print("connect failed" if e else "CONNECTED", name(e), got[0][1] & select.POLLERR)
try:
    s.send(marker)
    print("SENT")
except OSError as e:
    print("send failed")
"""


def pending(t, how):
    if NATIVE:
        raise Skip("natively there is no handshake to be interrupted")
    silent = Silent(t)
    t.agent([entry(ID)])
    config = t.both(silent.port, allow=[ID], handshake_timeout="30s")
    with t.watch(silent.port):
        c = t.wrapped(config, [PYTHON, "-c", PENDING, str(silent.port), how, t.marker.decode()])
        until("the client in its handshake", lambda: silent.heard)
        os.kill(t.worker(), signal.SIGKILL)
        out = c.ok(40)
    assert b"connect failed" in out and b"send failed" in out, out
    assert silent.heard[:1] == b"\x16", silent.heard[:20]


def test_pending_blocking_connect_fails_when_the_worker_dies(t):
    pending(t, "block")


def test_pending_connect_in_poll_fails_when_the_worker_dies(t):
    pending(t, "poll")


def test_pending_connect_in_epoll_fails_when_the_worker_dies(t):
    pending(t, "epoll")


def test_supervisor_and_worker_killed(t):
    """Nobody is left who would start a worker: the next managed call of any program does."""
    port, config = prepare(t)
    with t.watch(port):
        echo_server(t, config, port)
        c = client(t, config, LONG_CLIENT, port, 60, 0.05)
        c.line("exchange 5$")
        for _ in range(2):
            if not NATIVE:
                both = t.supervisor(), t.worker()
                for sig in (signal.SIGSTOP, signal.SIGKILL):  # at once: the one would start the other again
                    for pid in both:
                        os.kill(pid, sig)
                t.daemons_gone()
            exchange(t, config, port)
        assert c.ok(40).endswith(b"all well\n")


def test_supervisor_killed_alone(t):
    port, config = prepare(t)
    with t.watch(port):
        echo_server(t, config, port)
        exchange(t, config, port)
        if not NATIVE:
            os.kill(t.supervisor(), signal.SIGKILL)
        exchange(t, config, port, 3)


def test_openssl_conf_of_a_program_is_not_the_daemons(t):
    """The first program's environment starts the daemon that serves all: here one without any algorithm."""
    if NATIVE:
        raise Skip("there is no daemon natively")
    port, config = prepare(t)
    conf = os.path.join(t.dir, "null.cnf")
    with open(conf, "w") as f:
        f.write("openssl_conf = init\n[init]\nproviders = all\n[all]\nnull = none\n[none]\nactivate = 1\n")
    echo_server(t, config, port, extra={"OPENSSL_CONF": conf})
    exchange(t, config, port)


def forty_descriptors_and_thirty_clients(t, limits):
    """All are served in the end, as natively."""
    port, config = prepare(t)
    with t.watch(port):
        if not NATIVE:  # the daemon shall not inherit the limit
            t.run(t.wrap(config, ["/bin/true"]))
        proc = echo_server(t, config, port, limits={"RLIMIT_NOFILE": limits})
        clients = [client(t, config, MANY_CLIENT, port, 2, 0) for _ in range(30)]
        for c in clients:
            out = c.ok(50)
            assert out.endswith(b"good 2 bad 0\n"), out
        assert proc.alive()


def test_forty_descriptors_and_thirty_clients(t):
    forty_descriptors_and_thirty_clients(t, (40, 40))


def test_forty_descriptors_that_could_be_more_and_thirty_clients(t):
    forty_descriptors_and_thirty_clients(t, (40, 1000))


# ---- the agent --------------------------------------------------------------------------------------------------

def test_no_agent(t):
    if NATIVE:
        raise Skip("natively nobody needs an agent")
    agent = t.agent([entry(ID)])
    agent.stop()
    port = t.port()
    config = t.both(port, allow=[ID], identity_wait="1s")
    listener = socket.create_server(("127.0.0.1", port))
    p = t.spawn(t.wrap(config, ["/bin/true"], wait="1s"))
    assert p.wait() == 69, p.text()
    assert agent.socket in p.text(), p.text()
    out = t.run(t.wrap(config, [PYTHON, "-c", TRY, str(port)], how="preload")).decode()
    assert out.splitlines()[0] == "connect ECONNREFUSED", out
    listener.setblocking(False)
    try:  # TCP may have been connected before the identity was missed; not a byte of the program's may come
        s, _ = listener.accept()
        s.settimeout(WAIT)
        assert s.recv(100) == b""
    except (BlockingIOError, ConnectionError):
        pass


def test_permission_denied(t):
    if NATIVE:
        raise Skip("natively nobody needs an agent")
    t.agent([entry(f"{TD}/somebody-else", "/bin/ls")])
    port = t.port()
    config = t.both(port, allow=[ID], identity_wait="1s")
    p = t.spawn(t.wrap(config, ["/bin/true"], wait="1s"))
    assert p.wait() == 69, p.text()
    assert re.search("(?i)permission.?denied|no identity", p.text()), p.text()
    with socket.create_server(("127.0.0.1", port)):
        out = t.run(t.wrap(config, [PYTHON, "-c", TRY, str(port)], how="preload")).decode()
    assert out.splitlines()[0] == "connect ECONNREFUSED", out


def test_a_managed_listen_without_an_identity_serves_nobody(t):
    """listen() may work or fail; a peer never gets a byte."""
    if NATIVE:
        raise Skip("natively nobody needs an agent")
    t.agent([entry(f"{TD}/somebody-else", "/bin/ls")])
    port = t.port()
    config = t.both(port, allow=[ID], identity_wait="1s")
    code = "import socket,sys\nl=socket.create_server(('127.0.0.1',int(sys.argv[1])))\ns,_=l.accept()\ns.sendall(b'secret')"
    proc = t.wrapped(config, [PYTHON, "-c", code, str(port)], how="preload")

    def settled():
        return port_listens(port) or not proc.alive()
    until("listen or its error", settled)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as s:
            got = s.recv(100)
    except ConnectionError:
        got = b""
    assert b"secret" not in got, got


def test_identity_taken_away_and_given_back(t):
    if NATIVE:
        raise Skip("natively nobody needs an agent")
    ca = CA(t)
    port, config = prepare(t, agent={"ca": {"cert": ca.cert, "key": ca.key}}, identity_wait="1s")
    with t.watch(port):
        echo_server(t, config, port)
        exchange(t, config, port)
        t.default_agent.reload(entries=[entry(f"{TD}/somebody-else", "/bin/ls")])

        def refused():
            c = client(t, config, MANY_CLIENT, port, how="preload")
            c.wait(40)
            return b"good 0 bad 1" in c.out()
        until("clients are refused", refused, pause=0.2)
        t.default_agent.reload(entries=[entry(ID)])

        def served():
            c = client(t, config, MANY_CLIENT, port, how="preload")
            c.wait(40)
            return b"good 1 bad 0" in c.out()
        until("clients are served", served, timeout=25, pause=0.2)


def test_agent_restarted(t):
    """Its connection cannot be dialed again by the daemon; the program is asked to, and goes on serving."""
    if NATIVE:
        raise Skip("natively nobody needs an agent")
    ca = CA(t)
    port, config = prepare(t, agent={"ca": {"cert": ca.cert, "key": ca.key}, "svid_ttl": "16s"})
    pair = ca.leaf("peer", ID)

    def served():
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as raw:
            with client_context(pair).wrap_socket(raw) as s:
                s.sendall(t.marker)
                assert s.recv(1000) == t.marker
    with t.watch(port):
        echo_server(t, config, port)
        c = client(t, config, LONG_CLIENT, port, 300, 0.1)
        c.line("exchange 3$")
        t.default_agent.stop()
        served()  # what is known is good until it expires
        t.default_agent.start()
        for _ in range(5):
            served()
            exchange(t, config, port)
        time.sleep(17)  # the old SVIDs have expired: only a connection dialed again can have brought new ones
        served()
        exchange(t, config, port)
        assert c.ok(30).endswith(b"all well\n")
