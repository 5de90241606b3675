# SPDX-License-Identifier: Apache-2.0
"""java-spiffe on grpc-java as a client of our dev agent, and the JVM's TLS opposite wrapped programs."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
from harness import PYTHON, entry, which  # noqa: E402
from peers import TD, last, peer, talk_dial, talk_serve  # noqa: E402

JAVA, PY = f"{TD}/java", f"{TD}/python"


def command(*words):
    home = peer("java")
    peer("java", "java", ".complete")
    return [which("java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/lib/*:{home}", "JavaPeer", *words]


def agent(t):
    return t.agent([entry(JAVA, which("java")), entry(PY, PYTHON)])


def test_java_spiffe_takes_what_the_dev_agent_serves(t):
    proc = t.spawn(command("fetch", agent(t).address), name="java")
    assert proc.wait(40) == 0, proc.text()
    assert last(proc)["id"] == JAVA, proc.text()


def test_java_client_reaches_a_wrapped_server(t):
    a, port = agent(t), t.port()
    talk_serve(t, t.both(port, allow=[JAVA]), port)
    with t.watch(port):
        proc = t.spawn(command("dial", a.address, str(port), PY, t.marker.decode()), name="java")
        assert proc.wait(40) == 0, proc.text()
    assert proc.out().decode().splitlines()[-1] == f"TLSv1.3 {t.marker.decode()}", proc.text()
    t.audited(result="allowed", direction="inbound", client_spiffe_id=JAVA, server_spiffe_id=PY)


def test_wrapped_client_reaches_a_java_server(t):
    """JSSE sends session tickets and, at the end, waits for nobody: one-way close."""
    a, port = agent(t), t.port()
    server = t.spawn(command("serve", a.address, str(port), PY), name="java-serve")
    server.line("^serving", timeout=30)
    got = talk_dial(t, t.both(port, allow=[JAVA]), port, "--text", "hello\n", "--count", "3")
    assert got["tail"] == "hello\n", got


def test_a_java_server_refuses_another_id(t):
    a, port = agent(t), t.port()
    server = t.spawn(command("serve", a.address, str(port), f"{TD}/somebody-else"), name="java-serve")
    server.line("^serving", timeout=30)
    got = talk_dial(t, t.both(port), port, "--text", "hello\n", "--no-half-close", fails=True)
    assert got == {"errno": "EACCES"}, got
    t.audited(result="refused_by_peer", direction="outbound", server_spiffe_id=JAVA)
