# SPDX-License-Identifier: Apache-2.0
"""Who speaks to the daemon or to a stand-in without being entitled to, or speaks nonsense, harms nobody but himself;
and what a program inherits from a launcher that knows nothing of svidwrap never becomes plaintext."""
import array
import os
import random
import re
import signal
import socket
import struct

from apps import LONG_CLIENT, client, echo_server, exchange
from harness import NATIVE, PROGRAMS, PYTHON, TD, WAIT, Skip, entry

ID = f"{TD}/app"
MAGIC = 0x31575653
HANDOVER = 96


def prepare(t):
    if NATIVE:
        raise Skip("about svidwrap itself")
    t.agent([entry(ID)])
    port = t.port()
    return port, t.both(port, allow=[ID])


def abstract_names(pattern):
    with open("/proc/net/unix") as f:
        return sorted({m.group(1) for m in re.finditer(r"@(svidwrap/\S+)", f.read()) if re.search(pattern, m.group(1))})


def header(kind, length, magic=MAGIC, version=1, reserved=0):
    return struct.pack("<IHHII", magic, version, kind, length, reserved)


def test_nonsense_to_the_daemon(t):
    port, config = prepare(t)
    rng = random.Random(t.instance)
    with t.watch(port):
        echo_server(t, config, port)
        live = client(t, config, LONG_CLIENT, port, 60, 0.05)
        live.line("exchange 3$")
        worker = t.worker()
        (name,) = abstract_names("daemon.*" + re.escape(t.instance) + "$")
        for i in range(400):
            kind = rng.choice([*range(0, 12), 64, 65, 66, 96, rng.randrange(65536)])
            size = rng.choice([0, 1, 15, 16, 17, 40, 100, 200, 600, 5000, 60000])
            body = rng.randbytes(size)
            said = rng.choice([16 + size, 16 + size, 16 + size, 0, 15, 0xffffffff, 1 << 20])
            message = header(kind, said, rng.choice([MAGIC] * 9 + [1]), rng.choice([1] * 9 + [2]), rng.choice([0] * 9 + [7]))
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(WAIT)
                s.connect("\0" + name)
                control = []
                if i % 3 == 0:
                    fds = array.array("i", [0] * rng.choice([1, 2, 3, 20]))
                    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
                try:
                    s.sendmsg([(message + body)[:rng.choice([16 + size, 16 + size, 8])]], control)
                except OSError:
                    pass
        # Connections that say nothing, and the daemon serves as before.
        idle = []
        for _ in range(50):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect("\0" + name)
            idle.append(s)
        exchange(t, config, port, 3)
        for s in idle:
            s.close()
        assert t.worker() == worker, "the worker died of nonsense"
        assert live.ok().endswith(b"all well\n")


INTRUDER = r"""
import array, socket, struct, sys
name, port = sys.argv[1], int(sys.argv[2])
a = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(a.getsockname())
x, _ = a.accept()
for payload in (b"", b"P", b"\0" * 16, struct.pack("<IHHII", 0x31575653, 1, 96, 168, 0) + struct.pack("<IIIIQ", 1, 0, 0, 16, 1)
                + b"\2\0" + b"\0" * 126):
    s = socket.socket(socket.AF_UNIX)
    s.connect("\0" + name)
    s.settimeout(3)
    try:
        if payload:
            s.sendmsg([payload], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [x.fileno()]))])
        s.recv(100)
    except OSError:
        pass
    s.close()
c.sendall(b"let me in")
x.close()
c.settimeout(3)
try:
    got = c.recv(100)
except OSError:
    got = b""
print("got", got)
"""


def test_a_stranger_at_the_stand_in(t):
    """Another user connects to the stand-in and hands over a socket of his own: the program never sees it."""
    port, config = prepare(t)
    if os.getuid() != 0:
        raise Skip("needs root, to be somebody else")
    code = r"""
import socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    s, peer = l.accept()
    print("a connection", flush=True)
    with s:
        while data := s.recv(1000):
            s.sendall(data)
"""
    before = set(abstract_names("^svidwrap/[0-9a-f.]"))
    with t.watch(port):
        proc = t.wrapped(config, [PYTHON, "-c", code, str(port)])
        t.listening(port, proc=proc)
        exchange(t, config, port)
        names = [n for n in abstract_names("^svidwrap/") if n not in before and "daemon" not in n]
        assert names, abstract_names("")
        tried = 0
        for name in names:
            p = t.spawn([PYTHON, "-c", INTRUDER, name, str(port)], user=65534, cwd="/")
            if p.wait() != 0 and "ConnectionRefusedError" in p.text() and name not in abstract_names("^svidwrap/"):
                continue  # of the client of before, which was about to end
            assert p.out() == b"got b''\n", p.text()
            tried += 1
        assert tried, names
        exchange(t, config, port, 2)
        assert proc.out().count(b"a connection") == 3 and proc.alive(), proc.text()


def test_a_listener_from_a_launcher_that_knows_nothing(t):
    """Socket activation from outside: the launcher listens, the wrapped program accepts. Who is served is served by
    TLS; nobody gets plaintext."""
    port, config = prepare(t)
    server = "import socket\nl=socket.socket(fileno=3)\nwhile True:\n s,_=l.accept()\n with s:\n" \
             "  while d:=s.recv(1000): s.sendall(d)"
    launcher = "import os,socket,sys\nl=socket.create_server(('127.0.0.1',int(sys.argv[1])))\nos.dup2(l.fileno(),3)\n" \
               "os.set_inheritable(3,True)\nos.execv(sys.argv[2],sys.argv[2:])"
    with t.watch(port, expect=False):
        proc = t.spawn([PYTHON, "-c", launcher, str(port), *t.wrap(config, [PYTHON, "-c", server])], name="launcher")
        t.listening(port, proc=proc)
        plain = b""
        with socket.create_connection(("127.0.0.1", port), timeout=3) as s:
            try:
                s.sendall(b"a plain word")
                plain = s.recv(100)
            except OSError:
                pass
        assert b"plain word" not in plain, plain
        exchange(t, config, port, 3)


def test_inetd_style(t):
    """A connection on stdin and stdout, from a launcher that knows nothing: no plaintext of the program's goes out."""
    port, config = prepare(t)
    launcher = "import os,socket,sys\nl=socket.create_server(('127.0.0.1',int(sys.argv[1])))\ns,_=l.accept()\n" \
               "os.dup2(s.fileno(),0)\nos.dup2(s.fileno(),1)\nos.execv(sys.argv[2],sys.argv[2:])"
    proc = t.spawn([PYTHON, "-c", launcher, str(port), *t.wrap(config, ["/bin/cat"])], name="launcher")
    got = spoke_plaintext(t, port, proc)
    assert b"plain word" not in got, "the wrapped program spoke plaintext on a managed port"


def spoke_plaintext(t, port, proc):
    """What a plain client got from it."""
    t.listening(port, proc=proc)
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        try:
            s.sendall(b"a plain word\n")
            s.shutdown(socket.SHUT_WR)
            got = s.recv(100)
        except OSError:
            pass
    return got


def test_a_connection_on_a_high_number(t):
    """As inetd's, but anywhere: every number that is open when the program starts is looked at."""
    port, config = prepare(t)
    for number in (16, 300):
        launcher = f"import os,socket,sys\nl=socket.create_server(('127.0.0.1',int(sys.argv[1])))\ns,_=l.accept()\n" \
                   f"os.dup2(s.fileno(),{number})\nos.set_inheritable({number},True)\nos.execv(sys.argv[2],sys.argv[2:])"
        echo = f"import os\nwhile d:=os.read({number},100): os.write({number},d)"
        proc = t.spawn([PYTHON, "-c", launcher, str(port), *t.wrap(config, [PYTHON, "-c", echo])], name="launcher")
        got = spoke_plaintext(t, port, proc)
        assert got == b"", f"descriptor {number}: the wrapped program spoke plaintext on a managed port"
        assert proc.wait(10) == 0 and f"descriptor {number}, which was open" in proc.text(), proc.text()


def test_a_connection_that_is_passed_on(t):
    """A broker without svidwrap accepts, and gives the connection to a wrapped program by SCM_RIGHTS."""
    port, config = prepare(t)
    path = os.path.join(t.dir, "broker")
    broker = "import socket,sys\nu=socket.socket(socket.AF_UNIX)\nu.bind(sys.argv[2])\nu.listen()\n" \
             "l=socket.create_server(('127.0.0.1',int(sys.argv[1])))\ns,_=l.accept()\nc,_=u.accept()\n" \
             "socket.send_fds(c,[b'x'],[s.fileno()])\ns.close()\nc.recv(1)"
    worker = "import os,socket,sys,time\nu=socket.socket(socket.AF_UNIX)\n" \
             "while u.connect_ex(sys.argv[1]): time.sleep(0.01)\n" \
             "_,f,_,_=socket.recv_fds(u,1,1)\nprint('got',len(f),flush=True)\nwhile d:=os.read(f[0],100): os.write(f[0],d)"
    proc = t.spawn([PYTHON, "-c", broker, str(port), path], name="broker")
    wrapped = t.spawn(t.wrap(config, [PYTHON, "-c", worker, path]), name="worker")
    got = spoke_plaintext(t, port, proc)
    assert got == b"", "the wrapped program spoke plaintext on a managed port"
    assert wrapped.wait(10) == 0 and "got 1" in wrapped.text(), wrapped.text()
    assert "that the rules cover" in wrapped.text(), wrapped.text()


def test_a_killed_peer_is_a_reset_and_not_an_end(t):
    """Without `truncation: eof` a connection that ends without close_notify is an error: nobody can cut a message."""
    port, config = prepare(t)
    with t.watch(port):
        out = t.run(t.wrap(config, [os.path.join(PROGRAMS, "scenario"), "peer_killed", str(port)]),
                    extra={"SCENARIO_MARKER": t.marker.decode()}).decode()
    assert "read(c, &b, 1) = -1 ECONNRESET" in out and "read(c, &b, 1) = 0" not in out, out


def test_a_stream_cut_on_the_wire(t):
    """Somebody between client and server closes the connection in the middle: an error at both ends."""
    port, config = prepare(t)
    front = t.port()
    config = t.config(listen=[{"port": port, "allow": [ID]}], connect=[{"to": f"127.0.0.1:{front}", "allow": [ID]}])
    code = "import socket,sys\nl=socket.create_server(('127.0.0.1',int(sys.argv[1])))\ns,_=l.accept()\ns.sendall(b'x'*1000)\n" \
           "try:\n print('server', s.recv(100))\nexcept OSError as e: print('server', e.errno)"
    dial = "import socket,sys\ns=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\nn=0\ntry:\n while True:\n" \
           "  d=s.recv(100)\n  if not d: break\n  n+=len(d)\n print('client: a clean end after',n)\n" \
           "except OSError as e: print('client', n, e.errno)"
    server = t.wrapped(config, [PYTHON, "-c", code, str(port)])
    t.listening(port, proc=server)
    listener = socket.create_server(("127.0.0.1", front))
    c = t.wrapped(config, [PYTHON, "-c", dial, str(front)])
    a, _ = listener.accept()
    b = socket.create_connection(("127.0.0.1", port))
    a.settimeout(0.5)
    b.settimeout(0.5)
    quiet = 0
    while quiet < 3:  # a relay, until nothing more comes
        quiet += 1
        for src, dst in ((a, b), (b, a)):
            try:
                if data := src.recv(65536):
                    dst.sendall(data)
                    quiet = 0
            except TimeoutError:
                pass
    a.close()
    b.close()
    assert c.ok().decode() == "client 1000 104\n", c.text()
    assert server.ok().decode() == "server 104\n", server.text()


def test_one_flipped_bit(t):
    """A byte that was changed on the way is a reset, an audit line, and not a byte for the program."""
    port, config = prepare(t)
    front = t.port()
    config = t.config(listen=[{"port": port, "allow": [ID]}], connect=[{"to": f"127.0.0.1:{front}", "allow": [ID]}])
    server = echo_server(t, config, port)
    listener = socket.create_server(("127.0.0.1", front))
    c = client(t, config, LONG_CLIENT, front, 2, 0)
    a, _ = listener.accept()
    b = socket.create_connection(("127.0.0.1", port))
    a.settimeout(0.5)
    b.settimeout(0.5)
    flipped = False
    for _ in range(40):
        for src, dst in ((a, b), (b, a)):
            try:
                data = bytearray(src.recv(65536))
            except (TimeoutError, ConnectionError):
                continue
            # The marker's echo: one record of 5 + 32 + 1 + 16 bytes.
            if src is b and len(data) == 5 + len(t.marker) + 17:
                data[20] ^= 1
                flipped = True
            try:
                dst.sendall(data)
            except OSError:
                pass
        if not c.alive():
            break
    assert flipped, "nothing was flipped"
    assert c.wait() != 0 and b"exchange" not in c.out(), c.text()
    assert "reset" in c.err().decode().lower(), c.text()
    assert server.alive()
    t.audited("the bad record", result="failed", reason=re.compile("(?i)record|mac|alert"))


def test_many_connections_at_once(t):
    port, config = prepare(t)
    code = r"""
import selectors, socket, sys
port, marker, n = int(sys.argv[1]), sys.argv[2].encode(), 300
cs = []
for i in range(n):
    s = socket.create_connection(("127.0.0.1", port), timeout=30)
    s.sendall(marker + b" %d" % i)
    cs.append(s)
for turn in range(3):
    for i, s in enumerate(cs):
        want = marker + b" %d" % i
        got = b""
        while len(got) < len(want):
            d = s.recv(1000)
            assert d, "ended"
            got += d
        assert got == want, (got, want)
        s.sendall(want)
print("all well")
"""
    server = "import asyncio,sys\nasync def e(r,w):\n while d:=await r.read(65536):\n  w.write(d)\n  await w.drain()\n w.close()\n" \
             "async def m():\n await (await asyncio.start_server(e,'127.0.0.1',int(sys.argv[1]),backlog=400)).serve_forever()\n" \
             "asyncio.run(m())"
    with t.watch(port):
        proc = t.wrapped(config, [PYTHON, "-c", server, str(port)])
        t.listening(port, proc=proc)
        p = t.spawn(t.wrap(config, [PYTHON, "-c", code, str(port), t.marker.decode()]))
        assert p.ok(50) == b"all well\n"


def test_a_stopped_program_holds_up_nobody(t):
    """A program that is stopped (SIGSTOP) and never accepts: others of the same daemon are served."""
    port, config = prepare(t)
    other = t.port()
    config = t.both(port, other, allow=[ID])
    stopped = echo_server(t, config, port)
    echo_server(t, config, other)
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        waiting = []
        for _ in range(30):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
            waiting.append(s)
        clients = [client(t, config, LONG_CLIENT, port, 1, 0) for _ in range(5)]
        with t.watch(other):
            exchange(t, config, other, 10)
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    for c in clients:
        assert c.ok(40).endswith(b"all well\n"), c.text()
    for s in waiting:
        s.close()
    assert stopped.alive()
