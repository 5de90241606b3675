# SPDX-License-Identifier: Apache-2.0
"""Does a wrapped program talk to go-spiffe on crypto/tls, in both directions, with identities from one agent?"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
from harness import PYTHON, entry, which  # noqa: E402
from peers import TD, event, go_dial, go_serve, gopeer, talk_dial, talk_serve  # noqa: E402

GO, PY = f"{TD}/gopeer", f"{TD}/python"


def agent(t, **more):
    return t.agent([entry(GO, gopeer()), entry(PY, PYTHON), entry(f"{TD}/redis", which("redis-server")),
                    entry(f"{TD}/redis-cli", which("redis-cli"))], **more)


def test_go_client_reaches_a_wrapped_server(t):
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port, allow=[GO]), port)
    with t.watch(port):
        got = go_dial(t, a, port, "-allow", PY, "-text", t.marker.decode())
    assert got["peer"] == PY and got["version"] == "TLS 1.3", got
    assert t.marker.decode() in got["tail"] and got["read_error"] == "", got
    t.audited(result="allowed", direction="inbound", client_spiffe_id=GO, server_spiffe_id=PY)


def test_go_client_sends_megabytes_and_half_closes(t):
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port), port)
    got = go_dial(t, a, port, "-size", "5000000")
    assert got["echo_sha256"] == got["sent_sha256"] and got["read_error"] == got["sent_error"] == "", got
    assert got["tail"].endswith(f"talk 5000000 {got['sent_sha256']}\n"), got


def test_go_client_writes_single_bytes(t):
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port), port)
    got = go_dial(t, a, port, "-size", "3000", "-write", "1")
    assert got["tail"].endswith(f"talk 3000 {got['sent_sha256']}\n"), got


def test_go_client_reads_to_the_end_of_a_wrapped_server(t):
    """The server closes with megabytes on their way: close_notify comes after them, and none is lost."""
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port), port, "blob:8000000")
    got = go_dial(t, a, port, "-half-close=false")
    assert got["received"] == 8000000 and got["read_error"] == "", got


def test_go_client_one_connection_after_the_other(t):
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port), port)
    go_dial(t, a, port, "-text", "again", "-count", "40")


def test_wrapped_client_reaches_a_go_server(t):
    """Session tickets are on: Go sends them after the handshake, and the program must not see them."""
    a, port = agent(t), t.port()
    server = go_serve(t, a, port, "-allow", PY)
    with t.watch(port):
        got = talk_dial(t, t.both(port, allow=[GO]), port, "--text", t.marker.decode())
    assert t.marker.decode() in got["tail"] and PY in got["tail"], got
    assert event(server, event="accepted")["peer"] == PY
    t.audited(result="allowed", direction="outbound", client_spiffe_id=PY, server_spiffe_id=GO)


def test_wrapped_client_sends_megabytes_and_half_closes(t):
    a, port = agent(t), t.port()
    server = go_serve(t, a, port)
    got = talk_dial(t, t.both(port), port, "--size", "5000000")
    assert got["echo_sha256"] == got["sent_sha256"], got
    assert got["tail"].endswith(f"gopeer 5000000 {got['sent_sha256']} {PY}\n"), got
    assert event(server, event="done")["error"] == ""


def test_wrapped_client_reads_a_go_server_to_its_end(t):
    a, port = agent(t), t.port()
    go_serve(t, a, port, "-mode", "blob", "-size", "8000000")
    got = talk_dial(t, t.both(port), port, "--no-half-close")
    assert got["received"] == 8000000, got


def test_a_server_that_speaks_first(t):
    a, port, other = agent(t), t.port(), t.port()
    config = t.both(port, other)
    go_serve(t, a, port, "-mode", "greet", "-marker", "hello")
    got = talk_dial(t, config, port, "--until", "\n", "--no-half-close")
    assert got["tail"] == "220 gopeer hello\r\n", got
    talk_serve(t, config, other, "greet:hi")
    got = go_dial(t, a, other, "-until", "\n", "-half-close=false")
    assert got["tail"] == "220 talk hi\r\n", got


def test_end_without_close_notify_is_a_reset(t):
    """Somebody cut TCP: the program must not take it for the end of the data."""
    a, port = agent(t), t.port()
    go_serve(t, a, port, "-mode", "abort")
    got = talk_dial(t, t.both(port), port, "--text", "xyz", "--no-half-close", fails=True)
    assert got == {"errno": "ECONNRESET"}, got


def test_a_go_server_that_refuses_us(t):
    """TLS 1.3 tells us after our connect() is done: EACCES from the first read or write, and an audit line."""
    a, port = agent(t), t.port()
    server = go_serve(t, a, port, "-allow", f"{TD}/somebody-else")
    got = talk_dial(t, t.both(port), port, "--text", "xyz", "--no-half-close", fails=True)
    assert got == {"errno": "EACCES"}, got
    assert "unexpected ID" in event(server, event="refused")["error"]
    t.audited(result="refused_by_peer", direction="outbound", server_spiffe_id=GO, reason=re.compile("bad.certificate"))


def test_a_go_server_that_our_rule_does_not_allow(t):
    a, port = agent(t), t.port()
    server = go_serve(t, a, port)
    got = talk_dial(t, t.both(port, allow=[f"{TD}/somebody-else"]), port, "--text", "xyz", fails=True)
    assert got == {"errno": "EACCES"}, got
    t.audited(result="denied", direction="outbound", server_spiffe_id=GO)
    assert "remote error" in event(server, event="refused")["error"]


def test_a_go_client_that_our_rule_does_not_allow(t):
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port, allow=[f"{TD}/somebody-else"]), port)
    got = go_dial(t, a, port, "-text", "xyz")
    assert got["received"] == 0 and "remote error: tls" in got["read_error"], got
    t.audited(result="denied", direction="inbound", client_spiffe_id=GO)


def test_a_go_server_that_speaks_tls_1_2(t):
    a, port = agent(t), t.port()
    go_serve(t, a, port, "-tls", "1.2")
    got = talk_dial(t, t.both(port), port, "--text", "xyz", fails=True)
    assert got == {"errno": "EPROTO"}, got
    t.audited(result=re.compile("failed|denied"), direction="outbound", reason=re.compile("(?i)protocol|version|no TLS 1.3"))


def test_a_go_client_that_speaks_tls_1_2(t):
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port), port)
    got = go_dial(t, a, port, "-tls", "1.2", fails=True)
    assert "protocol version" in got["error"], got
    t.audited(result=re.compile("failed|denied"), direction="inbound", reason=re.compile("(?i)protocol|version|no TLS 1.3"))
    assert go_dial(t, a, port, "-text", "fine")["read_error"] == ""


def test_wrapped_redis_cli_and_a_go_server(t):
    a, port = agent(t), t.port()
    go_serve(t, a, port, "-mode", "redis")
    out = t.wrapped(t.both(port), ["redis-cli", "-p", str(port), "PING"], how="preload").ok()
    assert out == b"PONG\n", out


def test_go_client_and_a_wrapped_redis(t):
    a, port = agent(t), t.port()
    server = t.wrapped(t.both(port), ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"])
    t.listening(port, proc=server)
    got = go_dial(t, a, port, "-text", r"PING\r\n", "-until", "PONG", "-half-close=false", "-count", "10")
    assert got["tail"] == "+PONG\r\n" and got["peer"] == f"{TD}/redis", got


def test_wrapped_redis_benchmark_and_a_go_server(t):
    """Fifty connections at once, ten thousand pings through Go's record layer."""
    a = t.agent([entry(GO, gopeer()), entry(f"{TD}/bench", which("redis-benchmark"))])
    port = t.port()
    go_serve(t, a, port, "-mode", "redis", "-allow", f"{TD}/bench")
    out = t.wrapped(t.both(port), ["redis-benchmark", "-p", str(port), "-t", "ping_mbulk", "-n", "10000", "-c", "50",
                                   "--csv"], how="preload").ok(50)
    assert b"PING" in out, out
