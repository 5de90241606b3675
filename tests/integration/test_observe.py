# SPDX-License-Identifier: Apache-2.0
"""status, top and whoami: true, readable, and for whom they concern."""
import json
import os
import pty
import re
import signal
import subprocess
import termios
import time

from apps import echo_server
from harness import PYTHON, SVIDWRAP, Skip, TD, entry, until
from pki import CA
from observing import ID, TWO_USERS, cli, live, scrape, served, status, wrapped_only


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
