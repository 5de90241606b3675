# SPDX-License-Identifier: Apache-2.0
"""Is a changed configuration in force at once, as a whole or not at all, without a failed request?"""
import os
import re
import shutil
import signal
import time

from apps import MANY_CLIENT, client, echo_server
from harness import NATIVE, PYTHON, TD, Skip, entry, until, which

SERVER, WEB = f"{TD}/server", f"{TD}/web"
# Connects when it is told a line, and says what became of it.
ASKED = r"""
import errno, socket, sys
port, marker = int(sys.argv[1]), sys.argv[2].encode()
print("ready", flush=True)
for n, line in enumerate(sys.stdin):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(marker)
            got = s.recv(1000)
        print(n, "good" if got == marker else "ended", flush=True)
    except OSError as e:
        print(n, errno.errorcode.get(e.errno, e), flush=True)
"""


def wrapped_only():
    if NATIVE:
        raise Skip("natively there is no policy")


def replace(path, text):
    """As editors do."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)


def changed(path, old, new):
    with open(path) as f:
        text = f.read()
    assert old in text, (old, text)
    return text.replace(old, new)


def log(t):
    try:
        with open(os.path.join(t.log_dir, "daemon.log"), errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def in_force(t, path, times=1):
    until(f"{times} times in force: {path}", lambda: log(t).count(f"{path}: the new policy is in force") >= times)


def followed(t, path):
    """The daemon has looked at the file itself: what changes from now on is seen. It watches before it looks."""
    worker = t.worker()
    def look():
        with open(path, "rb") as f:
            want = os.stat(os.path.dirname(path)).st_ino
        for fd in os.listdir(f"/proc/{worker}/fdinfo"):
            with open(f"/proc/{worker}/fdinfo/{fd}") as f:
                if any(int(x, 16) == want for x in re.findall(r"^inotify .*ino:([0-9a-f]+)", f.read(), re.M)):
                    return True
        return False
    until("a watch on " + os.path.dirname(path), look)


def stage(t, allow=(WEB,)):
    """A server whose configuration is its own file, and that file."""
    t.agent([entry(WEB)])
    port = t.port()
    server = t.config(listen=[{"port": port, "allow": list(allow), "name": "the door"}])
    return port, server, t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [WEB]}])


class Asked:
    def __init__(self, t, config, port):
        read, self.write = os.pipe()
        self.proc = t.wrapped(config, [PYTHON, "-c", ASKED, str(port), t.marker.decode()], name="asked", stdin=read)
        os.close(read)
        t.cleanups.append(lambda: os.close(self.write))
        self.proc.line("^ready")
        self.n = -1

    def ask(self):
        self.n += 1
        os.write(self.write, b"go\n")
        return self.proc.line(rf"^{self.n} (.*)$").group(1)


def test_a_file_that_is_replaced_is_in_force(t):
    """Nobody is restarted: a peer is allowed, then it is not, then it is again."""
    wrapped_only()
    port, server, config = stage(t)
    echo_server(t, server, port)
    followed(t, server)
    c = Asked(t, config, port)
    with t.watch(port):
        assert c.ask() == "good"
        replace(server, changed(server, WEB, f"{TD}/other"))
        in_force(t, server)
        assert c.ask() != "good"
        t.audited(result="denied", direction="inbound", client_spiffe_id=WEB, rule="the door", reason="not in allow")
        replace(server, changed(server, f"{TD}/other", WEB))
        in_force(t, server, 2)
        assert c.ask() == "good"


def test_a_bad_file_keeps_the_old_policy(t):
    wrapped_only()
    port, server, config = stage(t)
    with open(server) as f:
        good = f.read()
    echo_server(t, server, port)
    followed(t, server)
    c = Asked(t, config, port)
    assert c.ask() == "good"
    line = len(good.splitlines()) + 1
    replace(server, good + "lisssten: []\n")
    until("an error with its place", lambda: f"{server}:{line}:1: " in log(t) and "the old policy stays" in log(t))
    assert c.ask() == "good"
    with open(server + ".other", "w"):
        pass  # looked at again, for something changed beside it, and not said again
    time.sleep(1.5)
    assert log(t).count(f"{server}:{line}:1: ") == 1
    os.kill(t.supervisor(), signal.SIGHUP)
    until("said again to who asks", lambda: log(t).count(f"{server}:{line}:1: ") == 2)
    replace(server, "\n")
    until("an empty file is an accident", lambda: "is empty" in log(t))
    assert c.ask() == "good"
    os.unlink(server)
    until("a file that is gone", lambda: f"{server}: No such file or directory" in log(t))
    assert c.ask() == "good"
    replace(server, good.replace(WEB, f"{TD}/other"))
    in_force(t, server)
    assert c.ask() != "good"


def test_sighup_reads_again(t):
    """A file behind a directory that inotify does not see into: reached by a symbolic link in the middle of the path."""
    wrapped_only()
    port, server, config = stage(t)
    for name, id_ in (("one", WEB), ("two", f"{TD}/other")):
        os.mkdir(os.path.join(t.dir, name))
        with open(os.path.join(t.dir, name, "svidwrap.yaml"), "w") as f:
            f.write(changed(server, WEB, id_))
    current = os.path.join(t.dir, "current")
    os.symlink("one", current)
    path = os.path.join(current, "svidwrap.yaml")
    echo_server(t, path, port)
    followed(t, os.path.join(t.dir, "one", "svidwrap.yaml"))
    c = Asked(t, config, port)
    assert c.ask() == "good"
    os.symlink("two", current + ".new")
    os.rename(current + ".new", current)
    os.kill(t.supervisor(), signal.SIGHUP)
    in_force(t, path)
    assert c.ask() != "good"


def test_a_swapped_symbolic_link_is_seen(t):
    """As Kubernetes does with a config map: FILE -> ..data/FILE, ..data -> ..1, then ..data -> ..2 by rename."""
    wrapped_only()
    port, server, config = stage(t)
    mount = os.path.join(t.dir, "mount")
    os.mkdir(mount)
    for name, id_ in (("..1", WEB), ("..2", f"{TD}/other")):
        os.mkdir(os.path.join(mount, name))
        with open(os.path.join(mount, name, "svidwrap.yaml"), "w") as f:
            f.write(changed(server, WEB, id_))
    os.symlink("..1", os.path.join(mount, "..data"))
    os.symlink("..data/svidwrap.yaml", os.path.join(mount, "svidwrap.yaml"))
    path = os.path.join(mount, "svidwrap.yaml")
    echo_server(t, path, port)
    followed(t, path)
    c = Asked(t, config, port)
    assert c.ask() == "good"
    os.symlink("..2", os.path.join(mount, "..data_tmp"))
    os.rename(os.path.join(mount, "..data_tmp"), os.path.join(mount, "..data"))
    shutil.rmtree(os.path.join(mount, "..1"))
    in_force(t, path)
    assert c.ask() != "good"


def test_a_destination_becomes_managed_under_a_running_client(t):
    """The rules are shared memory: the very next connect() is by the new ones."""
    wrapped_only()
    t.agent([entry(WEB)])
    port, elsewhere = t.port(), t.port()
    echo_server(t, t.config(listen=[{"port": port, "allow": [WEB]}]), port)
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [f"{TD}/other"]},
                               {"to": f"127.0.0.1:{elsewhere}", "allow": [WEB]}])
    c = Asked(t, config, port)
    assert c.ask() == "EACCES"
    followed(t, config)
    replace(config, changed(config, f"{TD}/other", WEB))
    in_force(t, config)
    assert c.ask() == "good"


def test_reloads_under_load_fail_no_request(t):
    """Each one moves the rules about, so that every index means another rule."""
    port, config = t.port(), None
    if not NATIVE:
        t.agent([entry(WEB)])
        more = [t.port() for _ in range(3)]
        config = t.both(port)
    with t.watch(port):
        echo_server(t, config, port)
        many = [client(t, config, MANY_CLIENT, port, 60, 0.02) for _ in range(3)]
        if not NATIVE:
            followed(t, config)
            with open(config) as f:
                text = f.read()
            for n in range(20):
                extra = "".join(f'  - {{port: {p}, mode: enforce, allow: ["{WEB}"]}}\n' for p in more[:n % 4])
                dials = "".join(f'  - {{to: "127.0.0.1:{p}", mode: enforce, allow: ["{WEB}"]}}\n' for p in more[:n % 3])
                replace(config, text.replace("listen:\n", "listen:\n" + extra).replace("connect:\n", "connect:\n" + dials)
                        + f"# {n}\n")
                time.sleep(0.1)
        for c in many:
            out = c.ok(40)
            assert out.endswith(b"good 60 bad 0\n"), out[-500:]
    assert NATIVE or log(t).count("the new policy is in force") >= 5


def test_reloads_end_no_connection_that_is_still_allowed(t):
    """Redis, with connections that stay and with one for every request."""
    wrapped_only()
    redis, bench = which("redis-server"), which("redis-benchmark")
    t.agent([entry(WEB)])
    port, extra = t.port(), t.port()
    config = t.both(port, allow=[WEB])
    proc = t.wrapped(config, [redis, "--port", str(port), "--save", "", "--appendonly", "no"], name="redis")
    t.listening(port, proc=proc)
    followed(t, config)
    with open(config) as f:
        text = f.read()
    loads = [t.wrapped(config, [bench, "-p", str(port), "-c", "8", "-n", n, "-k", keep, "-t", "get", "-q"], name="load")
             for keep, n in (("1", "40000"), ("0", "300"))]
    n = 0
    while any(p.alive() for p in loads):
        n += 1
        replace(config, text.replace("listen:\n", f'listen:\n  - {{port: {extra}, mode: enforce, allow: ["{WEB}"]}}\n' * (n % 2))
                + f"# {n}\n")
        time.sleep(0.1)
    for p in loads:
        assert b"requests per second" in p.ok(), p.text()
    # "failed" is what redis-benchmark leaves when it has had enough.
    bad = [a for a in t.audit() if a["event"] == "revocation" or a["result"] not in ("allowed", "failed")]
    assert not bad, bad
    assert log(t).count("the new policy is in force") > 1


def test_many_configurations_of_one_file_all_follow(t):
    """Each program's variables make it a configuration of its own."""
    wrapped_only()
    t.agent([entry(WEB)])
    port = t.port()
    config = t.config(listen=[{"port": port, "allow": [WEB], "name": "door of ${WHO:-nobody}"}])
    listen = "import socket, sys, time\ns = socket.socket()\ns.setsockopt(1, 15, 1)\n" \
             "s.bind(('127.0.0.1', int(sys.argv[1])))\ns.listen(5)\nprint('ready', flush=True)\ntime.sleep(100)"
    programs = [t.wrapped(config, [PYTHON, "-c", listen, str(port)], how="preload", extra={"WHO": f"n{n}"})
                for n in range(20)]
    for p in programs:
        p.line("^ready")
    followed(t, config)
    replace(config, changed(config, "door of", "gate of"))
    in_force(t, config, 20)


def test_a_listener_whose_rule_goes_refuses(t):
    wrapped_only()
    port, server, config = stage(t)
    echo_server(t, server, port)
    followed(t, server)
    c = Asked(t, config, port)
    assert c.ask() == "good"
    replace(server, changed(server, f'"port": {port}', f'"port": {t.port()}'))
    in_force(t, server)
    assert c.ask() != "good"
    t.audited(result="failed", direction="inbound", reason="no rule of the new policy covers this listener")


def test_a_user_cannot_have_root_read_what_is_not_his(t):
    """A file of another user's program is read again with that user's rights, and never anybody else's file."""
    from test_identity import NOBODY, NOBODY_ID, two_users  # they use this file
    from test_service import service
    wrapped_only()
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    two_users(t)
    port = t.port()
    home = os.path.join(t.dir, "home")
    os.mkdir(home, 0o755)
    os.chown(home, NOBODY, NOBODY)
    path = os.path.join(home, "svidwrap.yaml")
    with open(t.config(listen=[{"port": port, "allow": [NOBODY_ID]}], log=None, audit=None)) as f:
        good = f.read()

    def put(text):
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chown(path + ".new", NOBODY, NOBODY)
        os.rename(path + ".new", path)

    def point(to):
        os.symlink(to, path + ".link")
        os.rename(path + ".link", path)

    put(good)
    said = service(t, "--all-users", config=t.config()).text
    proc = t.wrapped(path, [PYTHON, "-c", "import sys, socket, time\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
                            "time.sleep(100)", str(port)], how="preload", user=NOBODY)
    t.listening(port, proc=proc)
    followed(t, path)
    secret = os.path.join(t.dir, "secret")
    with open(secret, "w") as f:
        f.write("hunter2: is the password\n")
    os.chmod(secret, 0o600)
    point(secret)
    until("no right to read", lambda: f"{path}: Permission denied" in said())
    os.chmod(secret, 0o644)
    point(secret)
    until("another's file", lambda: f"{path}: belongs to another user than before" in said())
    os.mkfifo(os.path.join(home, "fifo"))
    point("fifo")
    until("no file", lambda: f"{path}: not a regular file" in said())
    assert "hunter2" not in said()
    put(good + "# again\n")
    until("in force again", lambda: f"{path}: the new policy is in force" in said())
