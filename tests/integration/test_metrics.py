# SPDX-License-Identifier: Apache-2.0
"""Metrics for Prometheus: what happened is counted, strangers cost little, and the address follows the configuration."""
import os
import re
import signal
import socket
import subprocess
import time

from apps import LONG_CLIENT, MANY_CLIENT, client, echo_server, exchange
from harness import PYTHON, ROOT, SVIDWRAP, TD, until, which
from observing import ID, TWO_USERS, cli, http, scrape, served, wrapped_only


def lint(t, page):
    promtool = which("promtool")
    run = subprocess.run([promtool, "check", "metrics"], input=page.text.encode(), capture_output=True, timeout=30)
    assert run.returncode == 0 and not run.stdout + run.stderr, run


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


def test_the_alerts_of_the_example_are_about_metrics_that_there_are(t):
    wrapped_only()
    rules = os.path.join(ROOT, "examples", "prometheus", "svidwrap.rules.yml")
    t.run([which("promtool"), "check", "rules", rules])
    t.agent()
    port, at, config = served(t)
    echo_server(t, config, port)
    text = scrape(at).text
    with open(rules) as f:
        names = set(re.findall(r"\bsvidwrap_[a-z_]+", f.read()))
    assert len(names) >= 7
    for name in names:
        assert f"# TYPE {name.removesuffix('_bucket')} " in text, name


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
