# SPDX-License-Identifier: Apache-2.0
"""Does `svidwrap run` say what is wrong, become the program where nothing is, and leave nothing of its own in the
program's way? And does a bare preload without a valid configuration refuse, and only what it must?"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from apps import LONG_CLIENT, TRY, client, echo_server, exchange
from harness import NATIVE, PROGRAMS, PYTHON, SHIM, SVIDWRAP, TD, Failure, Skip, entry, need, until, which

ID = f"{TD}/app"


def wrapped_only():
    if NATIVE:
        raise Skip("about svidwrap itself")


def prepare(t, **settings):
    wrapped_only()
    t.agent([entry(ID)])
    port = t.port()
    return port, t.both(port, allow=[ID], **settings)


def write(t, text, name="hand-written.yaml"):
    path = os.path.join(t.dir, name)
    with open(path, "w") as f:
        f.write(text)
    return path


# ---- exit codes -------------------------------------------------------------------------------------------------

def test_an_invalid_configuration_is_named_by_line_and_column(t):
    wrapped_only()
    cases = [
        ("listen:\n  - port: 6379\n    mode: enforce\n", r":\d+:\d+: .*allow"),
        ("listen:\n  - port: 99999\n    mode: enforce\n    allow: [ spiffe://a.b/c ]\n", r":2:11: .*99999"),
        ("listen:\n  - port: 6379\n    mod: enforce\n", r":3:5: .*mod"),
        ("listen: [\n", r":\d+:\d+: "),
        ("listen:\n  - port: 6379\n    mode: enforce\n    allow: [ http://example.org/x ]\n", r":4:\d+: .*http://example.org/x"),
        ("connect:\n  - to: nonsense\n    mode: enforce\n    allow: [ spiffe://a.b/c ]\n", r":2:9: .*nonsense"),
    ]
    for text, pattern in cases:
        path = write(t, text)
        for argv in ([SVIDWRAP, "run", "--config", path, "--", "/bin/echo", "STARTED"], [SVIDWRAP, "config", "check", path]):
            p = t.spawn(argv)
            assert p.wait() == 78, (text, p.text())
            assert re.search(re.escape(path) + pattern, p.text()), (pattern, p.text())
            assert "STARTED" not in p.text()
    p = t.spawn([SVIDWRAP, "run", "--config", "/nonexistent.yaml", "--", "/bin/true"])
    assert p.wait() == 78 and "/nonexistent.yaml" in p.text(), p.text()


def test_hostile_configurations_are_bounded_and_named(t):
    wrapped_only()
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{c}: &{c} [{', '.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi"))
    rule = "listen:\n  - { port: 6379, allow: [ 'spiffe://a.b/c' ] }\n"
    cases = {
        "big": (b"# " + b"x" * 10_000_000 + b"\n", r":1:1: the file is larger than 1 MiB"),
        "laughs": (laughs.encode(), r":1:4: anchors \(&name\) are not accepted"),
        "merge": (b"log: {to: stderr}\naudit: {<<: {to: stderr}}\n", r":2:9: unknown key '<<' in the section 'audit'"),
        "deep": (b"[" * 500_000, r":1:17: nested too deeply"),
        "wide": (b"listen: [" + b"a," * 400_000 + b"]", r":1:\d+: .*(too many values|a listen rule)"),
        "latin": (rule.encode() + b"# caf\xe9\n", r":3:6: the file is not UTF-8"),
        "utf16": (rule.encode("utf-16"), r":1:1: the file is not UTF-8"),
        "nul": (rule.encode() + b"\0mode: off", r":3:1: control characters"),
        "twice": (b"io_uring: deny\nio_uring: deny\n", r":2:1: the key 'io_uring' stands twice"),
        "same": (b"listen:\n- {port: 1, mode: off}\n- {port: 1, mode: off}\n", r":3:10: 1 is named twice, here and in line 2"),
        "program": (open("/bin/true", "rb").read(), r":1:1: "),
    }
    for name, (content, pattern) in cases.items():
        path = os.path.join(t.dir, name + ".yaml")
        with open(path, "wb") as f:
            f.write(content)
        for argv in ([SVIDWRAP, "config", "check", path], [SVIDWRAP, "run", "-c", path, "--", "/bin/echo", "STARTED"]):
            p = t.spawn(argv)
            assert p.wait() == 78, (name, p.text()[-500:])
            assert re.match(re.escape(path) + pattern, p.text()), (name, pattern, p.text()[-500:])
            assert len(p.text()) < 2000
    os.mkfifo(os.path.join(t.dir, "fifo"))
    for path in ("/dev/zero", t.dir, os.path.join(t.dir, "fifo")):
        p = t.spawn([SVIDWRAP, "config", "check", path])
        assert p.wait() == 78 and path in p.text(), (path, p.text())


def test_config_check_prints_the_rules(t):
    wrapped_only()
    path = write(t, """
workload_api: { socket: "unix:///run/${NAME:-agent}.sock" }
listen:
  - { port: [6379, 7000-7010], mode: enforce, allow: [ spiffe://example.org/web, "spiffe://example.org/ns/prod/**" ],
      deny: [ spiffe://example.org/ns/prod/batch ] }
connect:
  - { to: 10.0.0.0/8:6379, mode: enforce, allow: [ spiffe://example.org/redis ] }
  - { to: "[::1]:1-65535", mode: off }
""")
    text = t.run([SVIDWRAP, "config", "check", path]).decode()
    for word in ("6379", "7000-7010", "spiffe://example.org/ns/prod/**", "10.0.0.0/8", "batch"):
        assert word in text, (word, text)
    parsed = json.loads(t.run([SVIDWRAP, "config", "check", path, "--json"]))
    assert "spiffe://example.org/redis" in json.dumps(parsed)


def test_programs_that_cannot_be_wrapped(t):
    port, config = prepare(t)
    assert port

    def refuses(program, pattern, code=65, **more):
        p = t.spawn([SVIDWRAP, "run", "--config", config, "--", program], **more)
        assert p.wait() == code and re.search(pattern, p.text()), (program, p.popen.returncode, p.text())
    refuses(os.path.join(PROGRAMS, "static"), "static")
    other = os.path.join(t.dir, "other-class")
    shutil.copy(os.path.join(PROGRAMS, "tiny"), other)
    with open(other, "r+b") as f:
        f.seek(18)
        f.write(b"\xb7\0")  # AArch64
    refuses(other, "architecture")
    if os.getuid() == 0:
        setuid = os.path.join(t.dir, "setuid")
        shutil.copy(os.path.join(PROGRAMS, "tiny"), setuid)
        os.chown(setuid, 65534, 65534)
        os.chmod(setuid, 0o4755)
        refuses(setuid, "setuid")
        capable = os.path.join(t.dir, "capable")
        shutil.copy(os.path.join(PROGRAMS, "tiny"), capable)
        subprocess.run([which("setcap"), "cap_net_bind_service+ep", capable], check=True)
        refuses(capable, "capabilities", user=65534)  # root gains nothing by them
    plain = write(t, "not a program", "plain")
    refuses(plain, "plain", 126)
    os.chmod(plain, 0o755)
    refuses("/nonexistent/program", "nonexistent", 127)
    refuses("no-such-program-anywhere", "no-such-program-anywhere", 127)


def test_usage(t):
    wrapped_only()
    for argv in ([], ["run"], ["nonsense"], ["run", "--nonsense", "--", "true"]):
        p = t.spawn([SVIDWRAP, *argv])
        assert p.wait() == 64 and "usage" in p.text().lower(), (argv, p.text())
    assert t.run([SVIDWRAP, "version"])


# ---- it is the program ------------------------------------------------------------------------------------------

def test_run_becomes_the_program(t):
    port, config = prepare(t)
    assert port
    p = t.spawn(t.wrap(config, ["/bin/sh", "-c", 'echo $$ "$1" "$#"; exit 41', "sh", "two  words", ""]))
    assert p.wait() == 41, p.text()
    assert p.out().decode() == f"{p.pid} two  words 2\n", p.out()
    p = t.spawn(t.wrap(config, ["/bin/sleep", "100"]))
    until("sleep", lambda: open(f"/proc/{p.pid}/comm").read() == "sleep\n")
    p.kill(signal.SIGTERM)
    assert p.wait() == -signal.SIGTERM
    script = write(t, "#!/bin/sh\necho from a script $1\n", "script")
    os.chmod(script, 0o755)
    assert t.run(t.wrap(config, [script, "x"])) == b"from a script x\n"
    assert t.run(t.wrap(config, ["cat", script])) == open(script, "rb").read()  # by PATH
    assert not t.spawn(t.wrap(config, ["/bin/true"])).wait()


def test_nothing_is_said_when_all_is_well(t):
    port, config = prepare(t)
    with t.watch(port):
        p = echo_server(t, config, port)
        exchange(t, config, port)
    assert p.err() == b"" and p.out() == b"", p.text()


# ---- the daemon is not in the way -------------------------------------------------------------------------------

def test_a_pipe_ends_with_the_program(t):
    """The daemon does not hold the program's stdout."""
    cli, server = which("redis-cli"), which("redis-server")
    wrapped_only()
    port, config = t.one_port(ID)
    proc = t.wrapped(config, [server, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], extra={
        "SVIDWRAP_INSTANCE": t.instance + ".s"})
    t.listening(port, proc=proc)
    command = " ".join(t.wrap(config, [cli, "-p", str(port), "set", "k", t.marker.decode()]))
    with t.watch(port):
        # Our own daemon (another instance than the server's) is started by this very command.
        out = t.run(["/bin/sh", "-c", f"{command} | cat"], timeout=20)
    assert out == b"OK\n", out


def test_the_daemon_holds_nothing_of_the_program(t):
    port, config = prepare(t)
    os.mkdir(os.path.join(t.dir, "cwd"))
    proc = echo_server(t, config, port, cwd=os.path.join(t.dir, "cwd"))
    exchange(t, config, port)
    for pid, _, command in t.daemons():
        assert os.readlink(f"/proc/{pid}/cwd") == "/", command
        assert os.getsid(pid) != os.getsid(proc.pid) and os.getpgid(pid) != os.getpgid(proc.pid), command
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
            except FileNotFoundError:
                continue
            assert target not in (proc.out_path, proc.err_path), (fd, target)
            if int(fd) <= 2:
                assert target == "/dev/null", (fd, target)


def test_ctrl_c_ends_the_program_and_not_the_daemon(t):
    port, config = prepare(t)
    with t.watch(port):
        server = echo_server(t, config, port)
        c = client(t, config, LONG_CLIENT, port, 30, 0.1)  # another process group
        c.line("exchange 2$")
        victim = t.wrapped(config, [PYTHON, "-c", "import socket,sys,time\ns=socket.create_connection(('127.0.0.1',"
                                    f"{port}))\nprint('there', flush=True)\ntime.sleep(100)"])
        victim.line("there")
        before = {d[0] for d in t.daemons()}
        os.killpg(victim.pid, signal.SIGINT)
        os.killpg(server.pid, signal.SIGWINCH)
        victim.wait(10)
        time.sleep(0.3)
        assert {d[0] for d in t.daemons()} == before
        assert c.ok(30).endswith(b"all well\n")


def test_the_daemon_leaves_when_nobody_needs_it(t):
    port, config = prepare(t, daemon={"linger": "1s"})
    p = echo_server(t, config, port)
    exchange(t, config, port)
    assert t.daemons()
    p.stop()
    t.daemons_gone()
    p = echo_server(t, config, port)  # and there is a new one when somebody does
    exchange(t, config, port)
    p.stop()


def test_an_explicit_daemon(t):
    port, config = prepare(t)
    d = t.spawn([SVIDWRAP, "daemon", "--config", config, "--foreground"], name="daemon")
    until("a worker", lambda: len(t.daemons()) >= 2)
    p = echo_server(t, config, port)
    exchange(t, config, port)
    assert all(pid == d.pid or parent == d.pid for pid, parent, _ in t.daemons()), t.daemons()
    second = t.spawn([SVIDWRAP, "daemon", "--config", config, "--foreground"], name="daemon")
    assert second.wait(10) == 0, second.text()
    p.stop()
    d.kill()
    assert d.wait(10) == 0


def test_programs_that_use_no_tcp_start_no_daemon(t):
    port, config = prepare(t)
    assert port
    code = "import socket\na,b=socket.socketpair()\na.send(b'x')\nprint(b.recv(1))\nsocket.socket(socket.AF_INET,socket.SOCK_DGRAM)"
    for argv in (["/bin/true"], ["/bin/ls", "/"], [PYTHON, "-c", code]):
        t.run(t.wrap(config, argv, how="preload"))
        assert not t.daemons(), argv


# ---- a bare preload fails closed --------------------------------------------------------------------------------

def test_a_bare_preload_without_a_valid_configuration_refuses(t):
    wrapped_only()
    need(SHIM)
    broken = write(t, "listen: [ { port: 6379, mode: enforce } ]\n")
    port = t.port()
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.setblocking(False)
        for config in (broken, "/nonexistent.yaml"):
            for host in ("127.0.0.1", "::ffff:127.0.0.1"):
                family = "socket.AF_INET6" if ":" in host else "socket.AF_INET"
                code = TRY.replace("socket.socket()", f"socket.socket({family})").replace('("127.0.0.1", 0)',
                                                                                         '("", 0)')
                p = t.spawn(["/usr/bin/env", f"LD_PRELOAD={SHIM}", f"SVIDWRAP_CONFIG={config}", PYTHON, "-c", code,
                             str(port), host])
                out = p.ok().decode().splitlines()
                assert re.fullmatch("connect E[A-Z]+", out[0]) and re.fullmatch("listen E[A-Z]+", out[1]), p.text()
                assert "svidwrap" in p.err().decode(), "nothing was said"
        try:
            s, _ = listener.accept()
            raise Failure(f"a connection came through: {s.recv(100)}")
        except BlockingIOError:
            pass
    # What is not TCP is none of our business.
    code = "import socket\na,b=socket.socketpair()\na.send(b'x')\nassert b.recv(1)==b'x'\n" \
           "u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nu.bind(('127.0.0.1',0))\nu.sendto(b'y',u.getsockname())\n" \
           "assert u.recv(1)==b'y'\nimport os\nl=socket.socket(socket.AF_UNIX)\nl.bind(os.environ['TMPDIR']+'/u')\nl.listen()"
    t.run(["/usr/bin/env", f"LD_PRELOAD={SHIM}", f"SVIDWRAP_CONFIG={broken}", PYTHON, "-c", code])


def test_unmanaged_ports_are_left_alone(t):
    port, config = prepare(t)
    other = t.port()
    assert port != other
    with t.watch(other) as watch:
        server = echo_server(t, config, other)
        exchange(t, config, other)
        s = socket.create_connection(("127.0.0.1", other))  # a plain client is served there
        s.sendall(t.marker)
        assert s.recv(1000) == t.marker
        s.close()
        assert watch.stop()["hits"][0]["count"] > 0
        watch.result["hits"] = []
    assert server.alive()


def test_a_log_or_audit_file_that_cannot_be_written_exits_78(t):
    wrapped_only()
    port, _ = prepare(t)
    missing = os.path.join(t.dir, "nowhere", "file.log")
    for key in ("log", "audit"):
        config = t.config(listen=[{"port": port, "allow": [f"{TD}/**"]}], **{key: {"to": missing}})
        p = t.spawn(t.wrap(config, ["/bin/echo", "STARTED"]))
        assert p.wait() == 78 and missing in p.text() and "STARTED" not in p.text(), p.text()
