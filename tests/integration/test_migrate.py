# SPDX-License-Identifier: Apache-2.0
"""Staged migration as its operator sees it: counts that survive the daemon, the report's verdict, modes that change at
run time and come back.
"""
import html.parser
import json
import os
import signal
import subprocess
import time

from apps import client, echo_server
from harness import NATIVE, SVIDWRAP, TD, Skip, entry, until

ID = f"{TD}/app"


def prepare(t):
    if NATIVE:
        raise Skip("about svidwrap itself")
    t.agent([entry(ID)])
    return t.port()


def svidwrap(t, *argv, user=None, code=0):
    """A command of the tool in the test's environment: its stdout, or what it wrote to stderr when code is not 0."""
    binary = t.for_others(SVIDWRAP) if user is not None else SVIDWRAP
    run = subprocess.run([binary, *argv], env=t.environ, capture_output=True, text=True, timeout=30, user=user,
                         group=user, extra_groups=[] if user is not None else None)
    assert run.returncode == code, (argv, run)
    return run.stdout if code == 0 else run.stderr


def survey(t, *argv):
    return json.loads(svidwrap(t, "report", "--json", *argv))


def rules(t, *argv):
    return {r["rule"]: r for r in survey(t, *argv)["rules"]}


def rules_or_none(t):
    run = subprocess.run([SVIDWRAP, "report", "--json"], env=t.environ, capture_output=True, text=True, timeout=30)
    return {r["rule"]: r for r in json.loads(run.stdout)["rules"]} if run.returncode == 0 else None


def talk(t, config, port, times=1):
    for _ in range(times):
        assert client(t, config, CONNECT, port).ok() == b"echo: hello\n"


CONNECT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
    s.sendall(b"hello")
    print("echo:", s.recv(100).decode())
    s.shutdown(socket.SHUT_WR)
    s.recv(1)
"""


def test_report_tells_what_passed_and_whether_it_is_safe(t):
    port = prepare(t)
    config = t.config(listen=[{"port": port, "name": "the server", "allow": [ID]},
                              {"port": t.port(), "name": "nobody comes", "allow": [ID]}],
                      connect=[{"to": f"127.0.0.1:{port}", "name": "to the <server>", "allow": [ID]}])
    assert "no daemon" in svidwrap(t, "report", code=69)
    echo_server(t, config, port)
    talk(t, config, port, 3)
    seen = rules(t)
    for name, direction in (("the server", "listen"), ("to the <server>", "connect")):
        rule = seen[name]
        assert rule["counts"] == {"mtls": 3, "would_deny": 0, "plaintext": 0, "denied": 0, "failed": 0}, rule
        assert rule["direction"] == direction and rule["mode"] == "enforce" and rule["config"] == config, rule
        assert rule["verdict"] == {"safe": True, "text": "safe to enforce", "against": []}, rule
        assert [p["peer"] for p in rule["peers"]] == [ID], rule
    quiet = seen["nobody comes"]
    assert not quiet["verdict"]["safe"] and "no traffic seen" in quiet["verdict"]["text"], quiet
    assert len(t.audit()) == 6  # every line is one count
    text = svidwrap(t, "report", "--since", "1h")
    assert "safe to enforce" in text and "no traffic seen in the window" in text and ID in text, text
    page = svidwrap(t, "report", "--html")
    assert "to the &lt;server&gt;" in page and "<server>" not in page, page
    Balanced().feed(page)
    assert "RFC 3339" in svidwrap(t, "report", "--since", "yesterday", code=64)


class Balanced(html.parser.HTMLParser):
    """Every element that is opened is closed, in order."""
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "img", "link"), tag
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def test_report_is_for_the_daemons_user_and_root(t):
    port = prepare(t)
    if os.getuid() != 0:
        raise Skip("needs a second user")
    config = t.config(listen=[{"port": port, "allow": [ID]}])
    echo_server(t, config, port)
    assert "takes orders from root and from uid 0" in svidwrap(t, "report", user=65534, code=65)
    svidwrap(t, "report")


def test_counts_survive_a_daemon_that_is_killed(t):
    port = prepare(t)
    state = os.path.join(t.dir, "state")
    config = t.config(listen=[{"port": port, "name": "server", "allow": [ID]}],
                      connect=[{"to": f"127.0.0.1:{port}", "name": "client", "allow": [ID]}], state_dir=state)
    echo_server(t, config, port)
    for round in range(3):
        talk(t, config, port, 2)
        want = 2 * (round + 1)
        assert rules(t)["server"]["counts"]["mtls"] == want
        time.sleep(2.5)  # what is older than a second is on disk
        worker = t.worker()
        os.kill(worker, signal.SIGKILL)
        until("another worker", lambda: t.worker() != worker)
        after = until("a daemon that answers", lambda: rules_or_none(t), pause=0.1)
        assert after["server"]["counts"]["mtls"] == want, after
        assert after["client"]["counts"]["mtls"] == want, after
    assert os.stat(os.path.join(state, "counters")).st_mode & 0o777 == 0o600
    assert survey(t)["state_dir"] == state and survey(t)["state_trouble"] == ""
