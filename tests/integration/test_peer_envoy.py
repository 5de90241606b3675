# SPDX-License-Identifier: Apache-2.0
"""Does a wrapped program talk to a real Envoy, as its TLS server and as its TLS client, both with SVIDs?"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
from harness import PYTHON, entry  # noqa: E402
from peers import TALK, TD, go_dial, go_serve, last, peer, talk_dial, talk_serve  # noqa: E402

ENVOY, PY = f"{TD}/envoy", f"{TD}/python"


def secure(files, peer_id, version):
    """The TLS half of either direction: our files, the peer's URI SAN, one TLS version."""
    return {
        "tls_params": {"tls_minimum_protocol_version": version, "tls_maximum_protocol_version": version},
        "tls_certificates": [{"certificate_chain": {"filename": f"{files}/svid.pem"},
                              "private_key": {"filename": f"{files}/key.pem"}}],
        "validation_context": {
            "trusted_ca": {"filename": f"{files}/bundle.pem"},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer_id}}]},
    }


def socket(which, context):
    kind = f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{which}TlsContext"
    return {"name": "tls", "typed_config": {"@type": kind, **context}}


def proxy(t, listen, connect, listen_tls=None, connect_tls=None):
    """An Envoy that forwards TCP from one port to another, with TLS on one side."""
    chain = {"filters": [{"name": "tcp", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "t", "cluster": "to"}}]}
    cluster = {"name": "to", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
        "cluster_name": "to", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "socket_address": {"address": "127.0.0.1", "port_value": connect}}}}]}]}}
    if listen_tls:
        chain["transport_socket"] = socket("Downstream", {
            "require_client_certificate": True, "common_tls_context": listen_tls})
    if connect_tls:
        cluster["transport_socket"] = socket("Upstream", {"common_tls_context": connect_tls})
    config = {"static_resources": {
        "listeners": [{"name": "from", "address": {"socket_address": {"address": "127.0.0.1", "port_value": listen}},
                       "filter_chains": [chain]}], "clusters": [cluster]}}
    path = os.path.join(t.dir, f"envoy-{listen}.json")
    with open(path, "w") as f:
        json.dump(config, f)
    binary = peer("envoy", "envoy", "bin", "envoy")
    proc = t.spawn([binary, "-c", path, "--disable-hot-restart", "--concurrency", "1", "-l", "info",
                    "--component-log-level", "connection:debug"], name="envoy")
    t.listening(listen, timeout=30, proc=proc)
    return proc


def agent(t):
    return t.agent([entry(PY, PYTHON)])


def before_a_plain_server(t, a, peer_id=PY, version="TLSv1_3"):
    """Envoy ends TLS in front of a plain echo server; returns its port."""
    plain, front = t.port(), t.port()
    t.spawn([*TALK, "serve", str(plain)], name="plain-echo")
    t.listening(plain)
    proxy(t, front, plain, listen_tls=secure(a.mint(ENVOY), peer_id, version))
    return front


def test_wrapped_client_through_envoy(t):
    """Envoy sends session tickets after the handshake: the program must not see them."""
    a = agent(t)
    port = before_a_plain_server(t, a)
    with t.watch(port):
        got = talk_dial(t, t.both(port, allow=[ENVOY]), port, "--text", t.marker.decode())
    assert t.marker.decode() in got["tail"], got
    t.audited(result="allowed", direction="outbound", client_spiffe_id=PY, server_spiffe_id=ENVOY)


def test_wrapped_client_sends_megabytes_through_envoy(t):
    a = agent(t)
    port = before_a_plain_server(t, a)
    got = talk_dial(t, t.both(port), port, "--size", "5000000", "--count", "3")
    assert got["tail"].endswith(f"talk 5000000 {got['sent_sha256']}\n"), got


def test_envoy_wants_somebody_else(t):
    a = agent(t)
    port = before_a_plain_server(t, a, peer_id=f"{TD}/somebody-else")
    got = talk_dial(t, t.both(port), port, "--text", "x", "--no-half-close", fails=True)
    assert got == {"errno": "EACCES"}, got
    t.audited(result="refused_by_peer", direction="outbound", server_spiffe_id=ENVOY)


def test_envoy_is_not_allowed(t):
    a = agent(t)
    port = before_a_plain_server(t, a)
    got = talk_dial(t, t.both(port, allow=[f"{TD}/somebody-else"]), port, "--text", "x", fails=True)
    assert got == {"errno": "EACCES"}, got
    t.audited(result="denied", direction="outbound", server_spiffe_id=ENVOY)


def test_envoy_that_speaks_tls_1_2(t):
    a = agent(t)
    port = before_a_plain_server(t, a, version="TLSv1_2")
    got = talk_dial(t, t.both(port), port, "--text", "x", fails=True)
    assert got == {"errno": "EPROTO"}, got
    t.audited(result=re.compile("failed|denied"), direction="outbound", reason=re.compile("(?i)protocol|version|no TLS 1.3"))


def to_a_wrapped_server(t, a, peer_id=PY, allow=None, version="TLSv1_3"):
    """Envoy begins TLS on the way to a wrapped echo server; returns (Envoy's plain port, the managed port)."""
    managed, front = t.port(), t.port()
    talk_serve(t, t.both(managed, allow=allow or [ENVOY]), managed)
    proxy(t, front, managed, connect_tls=secure(a.mint(ENVOY), peer_id, version))
    return front, managed


def plain_dial(t, port, *flags):
    proc = t.spawn([*TALK, "dial", str(port), *flags], name="plain-dial")
    code = proc.wait(40)
    return code, last(proc)


def test_envoy_reaches_a_wrapped_server(t):
    front, managed = to_a_wrapped_server(t, agent(t))
    with t.watch(managed):
        code, got = plain_dial(t, front, "--text", t.marker.decode())
    assert code == 0 and t.marker.decode() in got["tail"], got
    t.audited(result="allowed", direction="inbound", client_spiffe_id=ENVOY, server_spiffe_id=PY)


def test_envoy_sends_megabytes_to_a_wrapped_server(t):
    front, _ = to_a_wrapped_server(t, agent(t))
    code, got = plain_dial(t, front, "--size", "5000000", "--count", "3")
    assert code == 0 and got["tail"].endswith(f"talk 5000000 {got['sent_sha256']}\n"), got


def test_envoy_refuses_a_wrapped_server_with_another_id(t):
    front, _ = to_a_wrapped_server(t, agent(t), peer_id=f"{TD}/somebody-else")
    code, got = plain_dial(t, front, "--text", "x")
    assert got.get("received", 0) == 0, (code, got)


def test_a_wrapped_server_refuses_envoy(t):
    front, _ = to_a_wrapped_server(t, agent(t), allow=[f"{TD}/somebody-else"])
    code, got = plain_dial(t, front, "--text", "x")
    assert got.get("received", 0) == 0, (code, got)
    t.audited(result="denied", direction="inbound", client_spiffe_id=ENVOY)


def test_the_peers_without_us(t):
    """Go and Envoy with SVIDs of the dev agent and nothing of svidwrap between them: the peers are sound."""
    a = agent(t)
    port = before_a_plain_server(t, a, peer_id=f"{TD}/gopeer")
    got = go_dial(t, a.mint(f"{TD}/gopeer", "go"), port, "-allow", ENVOY, "-size", "100000")
    assert got["tail"].endswith(f"talk 100000 {got['sent_sha256']}\n"), got
    behind, front = t.port(), t.port()
    go_serve(t, a.mint(f"{TD}/gopeer", "go2"), behind, "-allow", ENVOY)
    proxy(t, front, behind, connect_tls=secure(a.mint(ENVOY, "envoy2"), f"{TD}/gopeer", "TLSv1_3"))
    code, got = plain_dial(t, front, "--size", "100000")
    assert code == 0 and got["tail"].endswith(f"gopeer 100000 {got['sent_sha256']} {ENVOY}\n"), got
