# SPDX-License-Identifier: Apache-2.0
"""Is io_uring, whose operations pass every hook, out of reach in every corner: liburing linked in statically, rings that
were made before svidwrap was there, sandboxes, a bare preload without privileges? And is what remains said?"""
import json
import os
import shutil
import socket
import subprocess
import threading

from apps import exchange
from harness import NATIVE, PROGRAMS, PYTHON, SVIDWRAP, TD, Skip, entry, until, which

ID = f"{TD}/app"
NOBODY = 65534


def ring_available():
    p = subprocess.run([os.path.join(PROGRAMS, "uring"), "1", "x", "raw"], capture_output=True, text=True)
    if p.returncode != 0:
        raise Skip(f"no io_uring on this machine: {p.stdout.strip()}")


class Listener:
    """Keeps what arrives on a port, outside of svidwrap."""

    def __init__(self, port):
        self.socket = socket.create_server(("127.0.0.1", port))
        self.heard = b""
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            s, _ = self.socket.accept()
            with s:
                s.settimeout(5)
                try:
                    self.heard += s.recv(1000)
                except OSError:
                    pass


def uring(t, how, way, config, program="uring", **more):
    path = os.path.join(PROGRAMS, program)
    if "user" in more:  # who may have no way into the build's directory
        path = shutil.copy(path, os.path.join(t.dir, f"{program}-as-{more['user']}"))
    argv = [path, str(t.uring_port), t.marker.decode(), way]
    p = t.spawn(t.wrap(config, argv, how=how), **more)
    return p.wait(20), p.text()


def prepare_uring(t, **settings):
    ring_available()
    if NATIVE:
        raise Skip("about svidwrap itself")
    t.agent([entry(ID)])
    t.uring_port = t.port()
    t.listener = Listener(t.uring_port)
    return t.both(t.uring_port, allow=[ID], **settings)


def test_is_out_of_reach_under_run(t):
    config = prepare_uring(t)
    with t.watch(t.uring_port, expect=False):
        for program in ("uring", "uring-static"):
            for way in ("raw", "lib"):
                code, text = uring(t, "run", way, config, program)
                assert code == 2 and "ENOSYS" in text, (program, way, code, text)
    assert t.marker not in t.listener.heard, t.listener.heard


def test_sends_no_plaintext_under_a_bare_preload(t):
    config = prepare_uring(t)
    with t.watch(t.uring_port, expect=False):
        code, text = uring(t, "preload", "lib", config)
        assert code in (1, 2), (code, text)
    assert t.marker not in t.listener.heard, t.listener.heard


def test_may_be_allowed(t):
    """The proof that the guard, and nothing else, is what stops it: without, the payload goes out in clear."""
    config = prepare_uring(t, io_uring="allow-unsafe")
    code, text = uring(t, "run", "lib", config)
    assert code == 0, text
    until("the payload in clear", lambda: t.marker in t.listener.heard)


def test_guard_holds_in_children(t):
    config = prepare_uring(t)
    p = t.spawn(t.wrap(config, ["/usr/bin/env", "-i", "/bin/sh", "-c", f"exec {PROGRAMS}/uring 1 x raw"]))
    assert p.wait() == 2 and "ENOSYS" in p.text(), p.text()


def test_in_node(t):
    """libuv takes epoll when there is no ring."""
    node = which("node")
    if NATIVE:
        raise Skip("about svidwrap itself")
    port, config = t.one_port(ID)
    code = "require('net').createServer(c => c.pipe(c)).listen(Number(process.argv[1]), '127.0.0.1')"
    with t.watch(port):
        proc = t.wrapped(config, [node, "-e", code, str(port)], extra={"UV_USE_IO_URING": "1"})
        t.listening(port, proc=proc)
        exchange(t, config, port, 3)


# ---- corners ----------------------------------------------------------------------------------------------------

def sessions(t):
    return json.loads(t.run([SVIDWRAP, "status", "--json"]))["sessions"]


def wait_client(t, config, how, user=None):
    """A wrapped program that has made a managed call and stays: (process, its session's line in status)."""
    code = f"import socket,time\ns = socket.socket()\ntry:\n  s.connect(('127.0.0.1', {t.uring_port}))\n" \
           "except OSError as e: print(e)\nprint('tried', flush=True)\ntime.sleep(100)"
    p = t.spawn(t.wrap(config, [PYTHON, "-c", code], how=how), user=user)
    p.line("tried")
    return p


def as_nobody(t):
    if os.getuid() != 0:
        raise Skip("needs root: a program of another user")
    for directory in (t.dir, os.path.dirname(t.default_agent.socket)):
        os.chmod(directory, 0o777)
    os.chmod(t.default_agent.socket, 0o777)


def test_a_ring_that_is_inherited(t):
    """Made by a launcher without svidwrap; first natively, to see that it does get through."""
    config = prepare_uring(t)
    use = [os.path.join(PROGRAMS, "uring-static"), str(t.uring_port), t.marker.decode()]
    start = [*use, "inherit"]
    p = t.spawn([*start, *use])
    assert p.wait() == 0, p.text()
    until("the payload in clear", lambda: t.marker in t.listener.heard)
    t.listener.heard = b""
    with t.watch(t.uring_port, expect=False):
        p = t.spawn([*start, *t.wrap(config, use)])
        assert p.wait() == 2 and "ENOSYS" in p.text(), p.text()
        p = t.spawn([*start, *t.wrap(config, use, how="preload")])
        assert p.wait() == 2 and "ENOSYS" in p.text(), p.text()
    assert t.marker not in t.listener.heard, t.listener.heard


def test_a_sandbox_that_lets_nobody_filter(t):
    """run cannot install its filter there, and does not start the program."""
    config = prepare_uring(t)
    tool = os.path.join(PROGRAMS, "uring-static")
    jail = [tool, "-", "-", "jail"]
    p = t.spawn([*jail, *t.wrap(config, [tool, str(t.uring_port), t.marker.decode(), "lib"])])
    assert p.wait() == 71 and "io_uring cannot be put out" in p.text() and "sent" not in p.text(), p.text()
    p = t.spawn([*jail, SVIDWRAP, "check", "--", "/bin/true"])
    assert p.wait() == 65 and "cannot   io_uring" in p.text(), p.text()
    allowed = t.both(t.uring_port, allow=[ID], io_uring="allow-unsafe")
    p = t.spawn([*jail, *t.wrap(allowed, ["/bin/true"])])
    assert p.wait() == 0, p.text()


def test_status_says_where_it_is_within_reach(t):
    """A bare preload without privileges has hooks, and no filter."""
    config = prepare_uring(t)
    as_nobody(t)
    t.default_agent.reload(entries=[entry(ID, uid=0), entry(ID, uid=NOBODY)])
    bare = wait_client(t, config, "preload", user=NOBODY)
    p = t.spawn([SVIDWRAP, "status"], user=NOBODY)
    assert p.wait() == 0 and f"(pid {bare.pid}): io_uring is within its reach" in p.text(), p.text()
    run = wait_client(t, config, "run", user=NOBODY)
    p = t.spawn([SVIDWRAP, "status", "--json"], user=NOBODY)
    assert p.wait() == 0, p.text()
    states = {s["pid"]: s["io_uring"] for s in json.loads(p.out())["sessions"]}
    assert states[bare.pid] == "within reach" and states[run.pid] == "out of reach", states


def test_a_ring_that_is_there_already_is_refused(t):
    """Nothing could keep it from sending: so the program's managed calls fail, and the log says why."""
    config = prepare_uring(t)
    as_nobody(t)
    t.default_agent.reload(entries=[entry(ID, uid=0), entry(ID, uid=NOBODY)])
    with t.watch(t.uring_port, expect=False):
        code, text = uring(t, "preload", "open", config, "uring-static", user=NOBODY)
    assert code == 1 and "ring: 0" in text and "EACCES" in text and "it has an io_uring ring" in text, (code, text)
    assert t.marker not in t.listener.heard, t.listener.heard
    code, text = uring(t, "preload", "open", config, "uring", user=NOBODY)  # a hook answers: no ring, and no obstacle
    assert code == 1 and "ring: -38" in text and "it has an io_uring ring" not in text, (code, text)


def test_status_says_where_it_is_allowed(t):
    config = prepare_uring(t, io_uring="allow-unsafe")
    p = wait_client(t, config, "run")
    text = t.run([SVIDWRAP, "status"]).decode()
    assert f"(pid {p.pid}): what it sends by io_uring leaves in PLAINTEXT" in text, text
    assert [s["io_uring"] for s in sessions(t)] == ["allowed"]
