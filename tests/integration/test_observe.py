# SPDX-License-Identifier: Apache-2.0
"""What an operator can see: status, top, whoami, metrics and the audit log. It is true, it is bounded, and nobody who
looks can stop what works."""
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import subprocess
import termios
import time

import auditcheck
from apps import ECHO_SERVER, LONG_CLIENT, MANY_CLIENT, TRY, client, echo_server, exchange
from harness import NATIVE, PYTHON, ROOT, SHIM, SVIDWRAP, TD, Skip, entry, until, which
from pki import CA

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


# ---- status -------------------------------------------------------------------------------------------------------

def test_status_shows_what_is_going_on(t):
    wrapped_only()
    t.agent()
    port = t.port()
    config, c = live(t, port)
    doc = status(t)
    assert doc["uid"] == os.getuid() and doc["pid"] == t.worker() and doc["version"], doc
    sessions = {s["pid"]: s for s in doc["sessions"]}
    mine = sessions[c.pid]
    assert mine["program"] == os.path.basename(os.path.realpath(PYTHON)) or mine["program"].startswith("python"), mine
    assert mine["svids"][0]["spiffe_id"] == ID and mine["svids"][0]["expires"] > time.time()
    assert mine["bundles"] == ["example.org"] and mine["agent_connected"] is True
    assert mine["agent"] == t.default_agent.address and mine["config"] == config
    listener, = doc["listeners"]
    assert listener["local"] == f"127.0.0.1:{port}" and listener["mode"] == "enforce"
    assert listener["rule"] == f"listen {port}" and listener["authenticated"] == 1, listener
    both = {x["direction"]: x for x in doc["connections"]}
    assert set(both) == {"inbound", "outbound"}, doc["connections"]
    for x in both.values():
        assert x["peer_id"] == ID and x["local_id"] == ID and x["engine"] == "record"
        assert re.match("TLS_(AES|CHACHA)", x["cipher"]) and x["state"] == "live"
        assert x["bytes_in"] >= 4 * len(t.marker) and x["bytes_out"] >= 4 * len(t.marker)
        assert x["rule"] in (f"listen {port}", f"connect 127.0.0.0/8:{port}"), x
        assert f"127.0.0.1:{port}" in (x["local"], x["remote"]), x
        assert 0 < x["age_ms"] < doc["uptime_ms"]
    assert both["outbound"]["remote"] == f"127.0.0.1:{port}" and both["outbound"]["pid"] == c.pid
    rules = {r["name"]: r for r in doc["configs"][0]["rules"]}
    assert rules[f"listen {port}"]["mtls"] == 1 and rules[f"listen {port}"]["denied"] == 0, rules
    assert doc["totals"]["inbound"]["allowed"] == doc["totals"]["outbound"]["allowed"] == 1


RELAYED = r"""
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"x" * 1000)
got = 0
while got < 1000:
    got += len(s.recv(1000))
os.dup2(s.fileno(), 0)
os.execv("/bin/sh", ["sh", "-c", "read line; sleep 100"])
"""


def test_status_of_a_relayed_connection(t):
    """One that a shell has as its standard input: the engine is another, and the counters go on."""
    wrapped_only()
    t.agent()
    port, at, config = served(t)
    echo_server(t, config, port)
    c = t.wrapped(config, [PYTHON, "-c", RELAYED, str(port)])

    def relayed():
        assert c.alive(), c.text()
        return next((x for x in status(t)["connections"] if x["engine"] == "relay"), None)
    x = until("a relayed connection", relayed)
    assert x["direction"] == "outbound" and x["peer_id"] == ID and x["rule"].startswith("connect "), x
    assert x["bytes_in"] == x["bytes_out"] == 1000 and x["cipher"].startswith("TLS_"), x
    page = scrape(at)
    assert page.value("connections", engine="relay") == 1, page.text
    assert page.value("received_bytes_total") == page.value("sent_bytes_total") == 2000, page.text
    assert re.search(rf"^out +127\.0\.0\.1:{port} +{ID} +relay +TLS_", cli(t, "status").out().decode(), re.M)


def test_status_is_readable_and_plain_in_a_pipe(t):
    wrapped_only()
    t.agent()
    port = t.port()
    live(t, port)
    out = cli(t, "status").out().decode()
    assert "\033" not in out and all(len(line) < 400 for line in out.splitlines()), out
    for want in (r"^svidwrap \S+: daemon pid \d+", r"^Sessions$", r"^Rules$", r"^Listeners$", r"^Connections$",
                 rf"^listen {port} +enforce +1 +0 +0 +0 +0$", rf"^127\.0\.0\.1:{port} .*\benforce\b",
                 rf"^out +127\.0\.0\.1:{port} +{ID} +record +TLS_", rf"\b{ID} .*\bin (59m|1h)"):
        assert re.search(want, out, re.M), f"/{want}/ is not in\n{out}"


def test_status_without_a_daemon(t):
    wrapped_only()
    p = cli(t, "status", code=69)
    assert not p.out() and b"no daemon serves uid" in p.err() and b"svidwrap run" in p.err(), p.text()
    cli(t, "top", "-n", "1", code=69)
    cli(t, "status", "now", code=64)


def test_status_while_the_daemon_does_not_answer(t):
    wrapped_only()
    t.agent()
    port = t.port()
    config = t.both(port)
    echo_server(t, config, port)
    worker = t.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        p = cli(t, "status", code=69)
        assert b"does not answer" in p.err(), p.text()
    finally:
        os.kill(worker, signal.SIGCONT)


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


def test_roots_daemon_tells_another_user_about_that_user_alone(t):
    wrapped_only()
    if os.getuid() != 0:
        raise Skip("needs root")
    nobody = 65534
    t.agent([entry(f"{TD}/root", uid=0), entry(f"{TD}/nobody", uid=nobody)])
    os.chmod(t.default_agent.socket, 0o777)
    ours, theirs = t.port(), t.port()
    config = t.both(ours, theirs)
    for argv in ([ours], [theirs, nobody]):
        t.wrapped(config, [PYTHON, "-c", TWO_USERS, *map(str, argv)]).line("^listening")
    everything = until("both", lambda: (d := status(t)) and {s["uid"] for s in d["sessions"]} == {0, nobody} and d)
    assert len(everything["listeners"]) == 2 and "totals" in everything
    doc = status(t, user=nobody)
    assert {s["uid"] for s in doc["sessions"]} == {nobody}, doc["sessions"]
    assert [x["local"] for x in doc["listeners"]] == [f"127.0.0.1:{theirs}"], doc["listeners"]
    assert "totals" not in doc and "audit" not in doc and "control" not in doc
    assert all("mtls" not in r for c in doc["configs"] for r in c["rules"]), doc["configs"]
    assert f"{TD}/root" not in json.dumps(doc)


# ---- top ----------------------------------------------------------------------------------------------------------

def test_top_in_a_pipe_is_one_report_after_the_other(t):
    wrapped_only()
    t.agent()
    live(t, t.port())
    out = cli(t, "top", "-n", "3", "--interval", "100ms").out().decode()
    assert out.count(": daemon pid ") == 3 and "IN/S" in out and "\033" not in out, out


def test_top_gives_the_terminal_back(t):
    """On q, and when it is told to end: the screen, the cursor and the line discipline are as before."""
    wrapped_only()
    t.agent()
    live(t, t.port())
    for leave in ("q", signal.SIGTERM):
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        p = subprocess.Popen([SVIDWRAP, "top", "--interval", "100ms"], stdin=slave, stdout=slave, stderr=slave,
                             env={**t.environ, "TERM": "xterm"}, start_new_session=True)
        shown = b""
        os.set_blocking(master, False)

        def read():
            nonlocal shown
            try:
                shown += os.read(master, 65536)
            except BlockingIOError:
                pass
            return shown
        until("a report", lambda: b"Connections" in read() and b"\033[?1049h" in shown)
        assert termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO) == 0
        if leave == "q":
            os.write(master, b"q")
        else:
            p.send_signal(leave)
        assert until("its end", lambda: (read(), p.poll() is not None)[1])
        assert p.returncode == 0, p.returncode
        read()
        assert shown.endswith(b"\033[?7h\033[?25h\033[?1049l"), shown[-60:]
        assert termios.tcgetattr(slave) == before
        os.close(master)
        os.close(slave)


# ---- whoami -------------------------------------------------------------------------------------------------------

def test_whoami_shows_every_svid_and_bundle(t):
    wrapped_only()
    partner = CA(t, "partner.test")
    t.agent([entry(f"{TD}/first"), entry(f"{TD}/second", hint="internal")],
            federation=[{"trust_domain": "partner.test", "bundle": partner.cert}])
    out = cli(t, "whoami", "--agent", t.default_agent.socket).out().decode()
    assert re.search(rf"^{TD}/first\n  expires  \d{{4}}-\S+Z \(in (59m|1h)", out), out
    assert re.search(rf"^{TD}/second$", out, re.M) and "hint     internal" in out
    assert "\n  example.org\n" in out and "\n  partner.test\n" in out, out
    config = t.config()
    doc = json.loads(cli(t, "whoami", "--json", "--config", config).out())
    assert [s["spiffe_id"] for s in doc["svids"]] == [f"{TD}/first", f"{TD}/second"], doc
    assert [s["hint"] for s in doc["svids"]] == ["", "internal"]
    assert sorted(doc["bundles"]) == ["example.org", "partner.test"] and doc["agent"] == t.default_agent.address
    assert "PRIVATE" not in json.dumps(doc) and "key" not in doc["svids"][0]


def test_whoami_without_an_identity_says_why(t):
    wrapped_only()
    t.agent([entry(f"{TD}/somebody", uid=12345)])
    p = cli(t, "whoami", "--agent", t.default_agent.socket, code=69)
    err = p.err().decode()
    assert "PermissionDenied" in err and f"unix:uid:{os.getuid()}" in err and f"unix:gid:{os.getgid()}" in err, err
    assert re.search(r"unix:path:/\S*svidwrap\b", err), err
    doc = json.loads(cli(t, "whoami", "--json", "--agent", t.default_agent.socket, code=69).out())
    assert doc["svids"] == [] and doc["code"] == 7 and doc["error"], doc
    p = cli(t, "whoami", "--agent", os.path.join(t.dir, "nobody.sock"), code=69)
    assert b"Is it running" in p.err() and b"nobody.sock" in p.err(), p.text()
    p = cli(t, "whoami", code=78)
    assert b"SPIFFE_ENDPOINT_SOCKET" in p.err()
    cli(t, "whoami", "--agent", "unix://relative/path", code=78)
    cli(t, "whoami", "--wait", "soon", code=64)


def test_whoami_waits_for_an_entry(t):
    wrapped_only()
    a = t.agent([entry(f"{TD}/somebody", uid=12345)])
    p = t.spawn([SVIDWRAP, "whoami", "--agent", a.socket, "--wait", "20s"])
    time.sleep(0.5)
    a.reload(entries=[entry(f"{TD}/late")])
    assert f"{TD}/late".encode() in p.ok()


# ---- metrics ------------------------------------------------------------------------------------------------------

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


def lint(t, page):
    promtool = which("promtool")
    run = subprocess.run([promtool, "check", "metrics"], input=page.text.encode(), capture_output=True, timeout=30)
    assert run.returncode == 0 and not run.stdout + run.stderr, run


def served(t, *more, **settings):
    port, at = t.port(), t.port()
    config = t.both(port, metrics={"listen": f"127.0.0.1:{at}"}, **settings)
    return port, ("127.0.0.1", at), config


def test_metrics_count_what_happened(t):
    wrapped_only()
    t.agent()
    port, at, config = served(t)
    allowed = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [f"{TD}/other"]}])
    echo_server(t, config, port)
    exchange(t, config, port, 5)
    exchange(t, config, port, 1)
    denied = client(t, allowed, MANY_CLIENT, port, 2, 0)
    denied.wait()
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        s.settimeout(10)
        try:
            s.recv(100)
        except ConnectionError:
            pass
    page = until("all of it", lambda: (m := scrape(at)).value("handshakes_total", reason="not_tls") and
                 m.value("decisions_total", direction="outbound", result="denied") == 2 and m)
    lint(t, page)
    assert page.value("decisions_total", direction="inbound", result="allowed") >= 6, page.text
    assert page.value("handshakes_total", direction="inbound", result="denied", reason="not_tls") == 1
    assert page.value("handshakes_total", direction="outbound", result="denied", reason="denied") == 2
    assert page.value("denials_total", rule=f"listen {port}", peer="127.0.0.1") == 1
    assert page.value("denials_total", direction="outbound", peer=ID) == 2
    assert page.value("connections_total", direction="inbound") >= 6
    ended = page.value("handshake_duration_seconds_count", direction="outbound")
    assert page.value("handshake_duration_seconds_bucket", direction="outbound", le="+Inf") == ended >= 8, page.text
    assert page.value("handshake_duration_seconds_sum", direction="outbound") > 0
    assert page.value("received_bytes_total") >= 6 * len(t.marker) and page.value("sent_bytes_total") > 0
    assert page.value("svid_expiry_timestamp_seconds", spiffe_id=ID) > time.time()
    assert page.value("agent_up") >= 1 and page.value("svid_updates_total") >= 3
    assert page.value("policy_generation", config=config) == 1 and page.value("sessions") >= 1
    assert page.value("audit_lines_lost_total") == 0 and page.value("listeners") == 1


def test_metrics_of_live_connections_and_an_agent_that_goes_away(t):
    wrapped_only()
    t.agent()
    port, at, config = served(t)
    echo_server(t, config, port)
    c = client(t, config, LONG_CLIENT, port, 400, 0.05)
    c.line("^exchange 3$")
    first = scrape(at)
    assert first.value("connections") == 2, first.text
    t.default_agent.stop()
    page = until("agents that are away", lambda: (m := scrape(at)).value("agent_up") == 0 and m)
    assert page.value("svid_update_failures_total") > 0
    assert page.value("received_bytes_total") >= first.value("received_bytes_total")
    lint(t, page)
    c.kill(signal.SIGKILL)
    last = until("no connection", lambda: (m := scrape(at)).value("connections") == 0 and m)
    assert last.value("received_bytes_total") >= page.value("received_bytes_total") >= 8 * len(t.marker)


def test_metrics_with_names_that_programs_choose(t):
    wrapped_only()
    t.agent()
    port, at, config = served(t)
    evil = os.path.join(t.dir, 'e"v\\i\nl')
    os.symlink(os.path.realpath(PYTHON), evil)
    t.wrapped(config, [evil, "-c", TWO_USERS, str(port)], name="evil").line("^listening")
    page = until("the program", lambda: (m := scrape(at)).samples.get("svidwrap_agent_up") and m)
    lint(t, page)
    names = [have["program"] for have, _ in page.samples["svidwrap_agent_up"]]
    assert r'e\"v\\i\nl' in names, names
    out = cli(t, "status").out().decode()
    assert '\\nl' in out and 'e"v\\i\nl' not in out, out


def test_metrics_over_a_unix_socket_and_the_front_page(t):
    wrapped_only()
    t.agent()
    port, path = t.port(), os.path.join(t.dir, "metrics.sock")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()  # a name that nobody listens on: left over by a daemon that was killed
    config = t.both(port, metrics={"listen": f"unix:{path}"})
    echo_server(t, config, port)
    lint(t, scrape(path))
    assert os.stat(path).st_mode & 0o777 == 0o660, oct(os.stat(path).st_mode)
    front = http(path, b"GET / HTTP/1.0\r\n\r\n")
    assert b" 200 OK" in front and b"/metrics" in front and b"uid" in front, front
    assert t.stop_daemons()
    assert not os.path.exists(path)


def test_hostile_http_costs_little_and_stops_nothing(t):
    wrapped_only()
    t.agent()
    port, at, config = served(t)
    echo_server(t, config, port)
    page = b"# HELP svidwrap"
    for request, want in ((b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b" 501 "),
                          (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b" 501 "),
                          (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", b" 501 "),
                          (b"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b" 404 "),
                          (b"GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", b" 404 "),
                          (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200000 + b"\r\n\r\n", None),
                          (b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n", None),
                          (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", None),
                          (b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", None),
                          (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, None),
                          (b"\0" * 100000, None), (b"GET\r\n\r\n", None), (b"\r\n\r\n\r\n", None)):
        answer = http(at, request, timeout=30)
        assert page not in answer, (request[:60], answer[:300])
        assert want is None or want in answer[:40], (request[:60], answer[:300])
    assert page in http(at, b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    stalled = []
    for _ in range(100):  # more than are served at a time; they send half a request and wait
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(at)
        stalled.append(s)
    for s in stalled[:40]:
        try:
            s.send(b"GET /metrics HT")
        except OSError:
            pass
    exchange(t, config, port)  # and programs do not notice
    worker = t.worker()
    fds = len(os.listdir(f"/proc/{worker}/fd"))
    assert fds < 100, fds
    assert page in http(at, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", timeout=50)  # once the stalled are ended
    for s in stalled:
        s.close()


def test_a_metrics_address_that_is_taken(t):
    """At the start it is an error of the configuration; with a daemon that serves elsewhere already, and on a reload,
    what works goes on."""
    wrapped_only()
    t.agent()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", t.port()))
        taken.listen()
        busy = taken.getsockname()[1]
        port, at = t.port(), t.port()
        bad = t.both(port, metrics={"listen": f"127.0.0.1:{busy}"})
        p = t.wrapped(bad, [PYTHON, "-c", "print('started')"])
        assert p.wait() == 78 and b"started" not in p.out(), p.text()
        assert f"metrics.listen: 127.0.0.1:{busy}: somebody else listens there".encode() in p.err(), p.text()
        assert t.stop_daemons()
        p = t.spawn([SVIDWRAP, "daemon", "--foreground", "--worker", "--config", bad])
        assert p.wait() == 78, p.text()
        good = t.both(port, metrics={"listen": f"127.0.0.1:{at}"})
        echo_server(t, good, port)
        scrape(("127.0.0.1", at))
        exchange(t, bad, port)  # another configuration: its address is ignored, with a warning
        scrape(("127.0.0.1", at))
        with open(good) as f:
            text = f.read()
        rewrite(good, text.replace(f":{at}", f":{busy}"))
        log = os.path.join(t.log_dir, "daemon.log")
        until("the log line", lambda: f"they stay at 127.0.0.1:{at}" in open(log).read())
        scrape(("127.0.0.1", at))
        other = t.port()
        rewrite(good, text.replace(f":{at}", f":{other}"))
        until("the new address", lambda: answers(other))
        until("the old one closed", lambda: not answers(at))
        rewrite(good, "".join(line for line in text.splitlines(True) if "metrics" not in line))
        until("no listener", lambda: not answers(other))


def rewrite(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_metrics_come_back_with_the_worker(t):
    wrapped_only()
    t.agent()
    port, at, config = served(t)
    echo_server(t, config, port)
    scrape(at)
    os.kill(t.worker(), signal.SIGKILL)
    until("the successor's metrics", lambda: answers(at[1]))
    exchange(t, config, port)
    assert scrape(at).value("decisions_total", direction="inbound", result="allowed") >= 1


# ---- the audit log --------------------------------------------------------------------------------------------------

def test_the_audit_log_follows_logrotate(t):
    """Moved away, with and without SIGHUP: lines go on in a new file, and none is lost."""
    wrapped_only()
    t.agent()
    port = t.port()
    config = t.both(port)
    echo_server(t, config, port)
    exchange(t, config, port)
    log = os.path.join(t.log_dir, "audit.log")
    until("two lines", lambda: len(t.audit()) == 2)
    os.rename(log, log + ".1")
    exchange(t, config, port)
    until("a new file", lambda: os.path.exists(log) and len(open(log).readlines()) == 2)
    os.rename(log, log + ".2")
    os.kill(t.worker(), signal.SIGHUP)
    until("a new file at once", lambda: os.path.exists(log))
    exchange(t, config, port)
    until("six lines in all", lambda: len(t.audit()) == 6)
    os.rename(log, log + ".3")  # for the count at the end: as if there were one file
    with open(log, "w") as whole:
        for part in (".1", ".2", ".3"):
            whole.write(open(log + part).read())
            os.unlink(log + part)


def moved_away(t, required):
    """A server and a client whose audit log's directory is gone. -> (port, configuration, directory, where it is)"""
    t.agent()
    port = t.port()
    directory, away = os.path.join(t.dir, "audit"), os.path.join(t.dir, "away")
    os.mkdir(directory)
    config = t.both(port, audit={"to": os.path.join(directory, "audit.log"), "required": required})
    echo_server(t, config, port)
    exchange(t, config, port)
    os.rename(directory, away)
    os.unlink(os.path.join(away, "audit.log"))
    return port, config, directory, away


def test_lost_audit_lines_are_counted_and_told(t):
    wrapped_only()
    port, config, directory, away = moved_away(t, False)
    assert bare(t, config, port, 3) == b"good 3 bad 0\n"
    target, = status(t)["audit"]
    assert target["lost"] == 6 and target["lines"] == 2, target
    assert b"6 lines to " in cli(t, "status").out()
    log = open(os.path.join(t.log_dir, "daemon.log")).read()
    assert re.search(r"error: audit: lines are lost: \S+/audit/audit\.log: No such file or directory", log), log[-2000:]
    os.rename(away, directory)
    exchange(t, config, port)
    lines = [json.loads(line) for line in open(os.path.join(directory, "audit.log"))]
    assert lines[0]["event"] == "lines_lost" and lines[0]["lines"] == 6, lines
    assert [x["event"] for x in lines[1:]] == ["connection"] * 2, lines
    check_lines(os.path.join(directory, "audit.log"))


def check_lines(path, torn=False):
    problems = auditcheck.AuditLines(path).problems(auditcheck.schema(ROOT), torn)
    assert not problems, problems


def bare(t, config, port, times=1):
    """A client's verdict, without `svidwrap run`, which would look at the audit log first; the variables are the
    server's, so that they share a configuration."""
    p = t.spawn([PYTHON, "-c", MANY_CLIENT, port, t.marker.decode(), times, 0], name="bare",
                extra={"LD_PRELOAD": SHIM, "SVIDWRAP_CONFIG": config})
    return p.ok().splitlines(True)[-1]


def test_no_connection_goes_without_its_audit_line_where_that_is_required(t):
    wrapped_only()
    port, config, directory, away = moved_away(t, True)
    with t.watch(port, expect=False):
        for _ in range(2):
            assert bare(t, config, port) == b"good 0 bad 1 ECONNREFUSED\n"
    log = open(os.path.join(t.log_dir, "daemon.log")).read()
    assert "new connections are refused until they can be written again (audit.required)" in log, log[-2000:]
    assert b"new connections are refused (audit.required)" in cli(t, "status").out()
    os.rename(away, directory)
    exchange(t, config, port)  # by itself
    log = open(os.path.join(t.log_dir, "daemon.log")).read()
    assert "audit: lines can be written again" in log, log[-2000:]
    check_lines(os.path.join(directory, "audit.log"))


def test_nor_does_a_connect_in_plaintext_where_that_is_required(t):
    """canary and a staged off: the shim asks before, and the line is there before the connection is."""
    wrapped_only()
    t.agent()
    port, staged = t.port(), t.port()
    directory, away = os.path.join(t.dir, "audit"), os.path.join(t.dir, "away")
    os.mkdir(directory)
    allow = [f"{TD}/**"]
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "mode": "canary", "percent": 0, "allow": allow},
                               {"to": f"127.0.0.1:{staged}", "mode": "off", "allow": allow}],
                      audit={"to": os.path.join(directory, "audit.log"), "required": True})
    for p in (port, staged):
        t.spawn([PYTHON, "-c", ECHO_SERVER, p], name="plain-echo")
        t.listening(p)
    client(t, config, LONG_CLIENT, port, 400, 0.05).line("^exchange 1$")  # so that there is a session all the time
    for p in (port, staged):
        assert bare(t, config, p, 2) == b"good 2 bad 0\n"
    os.rename(directory, away)
    os.unlink(os.path.join(away, "audit.log"))
    for p in (port, staged):
        assert bare(t, config, p, 2) == b"good 0 bad 2 ECONNREFUSED ECONNREFUSED\n"
    os.rename(away, directory)
    for p in (port, staged):
        assert bare(t, config, p, 1) == b"good 1 bad 0\n"
    check_lines(os.path.join(directory, "audit.log"))


def test_a_full_disk(t):
    """RLIMIT_FSIZE stands for it: the daemon lives, whoever is let through has a line, and nobody else is."""
    wrapped_only()
    t.agent()
    port = t.port()
    log = os.path.join(t.log_dir, "audit.log")
    config = t.both(port, audit={"to": log, "required": True}, log={"to": "stderr"})
    t.torn_audit = True
    daemon = t.spawn([SVIDWRAP, "daemon", "--foreground", "--worker", "--config", config])
    daemon.line("serves uid")
    echo_server(t, config, port)
    c = client(t, config, MANY_CLIENT, port, 60, 0.03)
    c.line("^exchange 3$")
    full = os.path.getsize(log) + 5000
    unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (full, unlimited[1]))
    c.wait()
    good = int(re.search(rb"good (\d+)", c.out())[1])
    assert 3 < good < 60 and daemon.alive(), c.text()
    daemon.line("error: audit: lines are lost: .*File too large; new connections are refused")
    assert os.path.getsize(log) == full
    allowed = [x["direction"] for x in map(parsed, open(log)) if x and x["result"] == "allowed"]
    assert min(allowed.count("outbound"), allowed.count("inbound")) >= good, (good, allowed)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)
    exchange(t, config, port)
    daemon.line("audit: lines can be written again")


def parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def test_an_audit_fifo(t):
    """Nobody reads it at the start: an error. Its reader goes: lines are lost, and nobody waits."""
    wrapped_only()
    t.agent()
    port = t.port()
    fifo = os.path.join(t.dir, "audit.fifo")
    os.mkfifo(fifo)
    config = t.both(port, audit={"to": fifo})
    p = t.wrapped(config, [PYTHON, "-c", "print('started')"])
    assert p.wait() == 78 and b"nobody reads this FIFO" in p.err(), p.text()
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    echo_server(t, config, port)
    exchange(t, config, port)
    assert os.read(reader, 65536).count(b"\n") == 2
    exchange(t, config, port, 200)  # a reader that does not read: what fits goes in, the rest is counted
    os.close(reader)
    assert bare(t, config, port, 2) == b"good 2 bad 0\n"
    assert status(t)["audit"][0]["lost"] >= 4
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    while select.select([reader], [], [], 0)[0]:
        os.read(reader, 65536)  # from before
    exchange(t, config, port)
    lines = os.read(reader, 65536).splitlines()
    assert json.loads(lines[0])["event"] == "lines_lost", lines[:2]
    os.close(reader)


def test_an_audit_log_that_cannot_be_written_at_the_start(t):
    wrapped_only()
    t.agent()
    config = t.both(t.port(), audit={"to": os.path.join(t.dir, "missing", "audit.log")})
    p = t.wrapped(config, [PYTHON, "-c", "print('started')"])
    assert p.wait() == 78 and b"started" not in p.out(), p.text()
    assert re.search(rb"missing/audit\.log cannot be written: No such file or directory", p.err()), p.text()
    p = t.wrapped(config, [PYTHON, "-c", TRY, str(t.port())], how="preload")
    assert p.ok() == b"connect EACCES\nlisten EACCES\n", p.text()
    assert b"audit: " in p.err() and b"missing/audit.log: No such file or directory" in p.err(), p.text()
    assert t.stop_daemons()
    p = t.spawn([SVIDWRAP, "daemon", "--foreground", "--worker", "--config", config])
    assert p.wait() == 78 and b"audit: " in p.err() and b"missing/audit.log" in p.err(), p.text()


def test_the_check_at_the_end_of_every_test_finds_what_is_wrong(t):
    """A line that is missing, one too many, one that is not what the schema says."""
    wrapped_only()
    t.agent()
    port = t.port()
    config = t.both(port)
    echo_server(t, config, port)
    exchange(t, config, port, 3)
    log = os.path.join(t.log_dir, "audit.log")
    until("all lines", lambda: len(t.audit()) == 6)
    assert auditcheck.disagreement(SVIDWRAP, t.environ, log) is None
    text = open(log).read()
    first = text.splitlines(True)[0]
    for forged, finds in ((text[len(first):], "5 lines"), (text + first, "7 lines"),
                          (text.replace('"allowed"', '"denied"', 1), "decisions")):
        open(log, "w").write(forged)
        wrong = auditcheck.difference(SVIDWRAP, t.environ, log)
        assert wrong and finds in wrong, wrong
    validator, lines = auditcheck.schema(ROOT), os.path.join(t.dir, "lines")
    for old, new in (('"allowed"', '"perhaps"'), ('"inbound"', '"up"'), ('"pid":', '"pids":'), ('"reason":""', '"reason":"x"'),
                     ("spiffe://", "spoffe://"), ("{", "{{"), ('"event":"connection",', "")):
        open(lines, "w").write(first.replace(old, new) if old != '"inbound"' else first.replace("outbound", "inbound").replace(old, new))
        assert auditcheck.AuditLines(lines).problems(validator, False), new
    open(log, "w").write(text)
