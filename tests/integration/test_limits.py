# SPDX-License-Identifier: Apache-2.0
"""Are limits of a rule kept, and is room there again when a connection ends?"""
import contextlib
import socket
import ssl

from apps import MANY_CLIENT, client, echo_server
from harness import TD, WAIT, entry, until
from pki import CA, client_context
from test_reload import wrapped_only

SERVER, WEB, OTHER = f"{TD}/server", f"{TD}/web", f"{TD}/other"


def stage(t, **limits):
    """A server with limits, and a way to be peers of its trust domain by hand."""
    wrapped_only()
    ca = CA(t, "example.org")
    t.agent([entry(SERVER)], ca={"cert": ca.cert, "key": ca.key})
    port = t.port()
    config = t.config(listen=[{"port": port, "allow": [WEB, OTHER], "name": "door", "limits": limits}])
    echo_server(t, config, port)
    return port, {id_: ca.leaf(id_.rpartition("/")[2], id_) for id_ in (WEB, OTHER)}


def peer(t, port, pair):
    """A TLS connection that was served, or None."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
    try:
        s = client_context(pair).wrap_socket(raw)
        s.sendall(t.marker)
        return s if s.recv(1000) == t.marker else None
    except (ssl.SSLError, ConnectionError):
        raw.close()
        return None


def over(t, what, **more):
    t.audited(result="denied", rule="door", reason=f"over the limit: {what}", **more)


def test_connections_of_a_rule_and_of_a_peer(t):
    port, pairs = stage(t, connections=3, connections_per_peer=2)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(peer(t, port, pairs[WEB])) for _ in range(2)]
        assert peer(t, port, pairs[WEB]) is None
        over(t, "connections_per_peer: 2", client_spiffe_id=WEB, direction="inbound")
        stack.enter_context(peer(t, port, pairs[OTHER]))
        assert peer(t, port, pairs[OTHER]) is None
        over(t, "connections: 3", client_spiffe_id=OTHER)
        held[0].close()

        def again():
            s = peer(t, port, pairs[WEB])
            return s and stack.enter_context(s)
        until("room again", again)


def test_new_connections_a_second(t):
    port, pairs = stage(t, rate_per_peer="1/s", burst_per_peer=3)
    served = []
    for _ in range(15):
        s = peer(t, port, pairs[WEB])
        served.append(s is not None)
        if s:
            s.close()
    assert all(served[:3]) and not all(served), served
    over(t, "rate_per_peer: 1", client_spiffe_id=WEB)
    with peer(t, port, pairs[OTHER]):
        pass  # another peer has a bucket of its own


def test_limits_of_outbound_connections(t):
    wrapped_only()
    t.agent([entry(WEB)])
    port = t.port()
    echo_server(t, t.config(listen=[{"port": port, "allow": [WEB]}]), port)
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [WEB], "name": "door", "deny_errno": "EHOSTUNREACH",
                                "limits": {"rate": "1/s", "burst": 2}}])
    c = client(t, config, MANY_CLIENT, port, 20)
    c.wait()
    lines = c.out().decode().splitlines()
    assert lines[:2] == ["exchange 0", "exchange 1"] and "error EHOSTUNREACH" in lines, lines
    over(t, "rate: 1", direction="outbound", server_spiffe_id=WEB)
