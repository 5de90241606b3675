# SPDX-License-Identifier: Apache-2.0
"""Do later connections between svidwrap peers resume the first one's session, and only while they would be let in?"""
import json
import signal
import socket

from apps import MANY_CLIENT, client, echo_server
from harness import NATIVE, SVIDWRAP, TD, WAIT, Agent, Skip, entry, until
from pki import CA, client_context
from test_reload import Asked, changed, followed, in_force, replace

ID, OTHER = f"{TD}/app", f"{TD}/other"


def wrapped_only():
    if NATIVE:
        raise Skip("natively there is nothing to resume")


def resumed(t):
    """(handshakes that were resumed, all that were let through), which both ends count alike."""
    def look():
        totals = json.loads(t.run([SVIDWRAP, "status", "--json"]))["totals"]
        both = [(totals["resumed"][d], totals[d]["allowed"]) for d in ("inbound", "outbound")]
        return both[0] if both[0] == both[1] else None
    return until("both ends have counted", look)


def many(t, config, port, times):
    out = client(t, config, MANY_CLIENT, port, times).ok(40)
    assert out.endswith(f"good {times} bad 0\n".encode()), out


def test_later_connections_are_resumed(t):
    wrapped_only()
    port, config = t.one_port(ID)
    with t.watch(port):
        echo_server(t, config, port)
        many(t, config, port, 40)
    before, count = resumed(t)
    assert before >= 30 and count == 40, before  # 37: 4 tickets, then 16, then 64
    many(t, config, port, 1)
    assert resumed(t) == (before, 41)  # another process is another workload


def test_each_rule_can_do_without(t):
    wrapped_only()
    t.agent([entry(ID)])
    port = t.port()
    both, listen, connect = t.both(port), {"port": port, "allow": [ID]}, {"to": f"127.0.0.1:{port}", "allow": [ID]}
    for config in (t.both(port, rule={"resumption": "off"}),
                   t.config(listen=[listen], connect=[{**connect, "resumption": "off"}]),
                   t.config(listen=[{**listen, "resumption": "off"}], connect=[connect])):
        before = resumed_or_none(t)
        server = echo_server(t, config, port)
        many(t, config, port, 5)
        assert resumed(t) == (before[0], before[1] + 5)
        server.stop()
        t.gone(port)
    server = echo_server(t, both, port)
    many(t, both, port, 5)
    assert resumed(t)[0] == 4


def resumed_or_none(t):
    return resumed(t) if t.daemons() else (0, 0)


def stage(t):
    """A server and a client with a configuration each, and tickets there."""
    t.agent([entry(ID)])
    port = t.port()
    server = t.config(listen=[{"port": port, "allow": [ID]}])
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [ID]}])
    echo_server(t, server, port)
    asked = Asked(t, config, port)
    assert asked.ask() == asked.ask() == "good"
    assert resumed(t) == (1, 2)
    return port, server, config, asked


def test_a_client_denied_since_is_refused(t):
    wrapped_only()
    port, server, _, asked = stage(t)
    followed(t, server)
    with open(server) as f:
        before = f.read()
    replace(server, changed(server, ID, OTHER))
    in_force(t, server)
    assert asked.ask() in ("EACCES", "ECONNRESET", "ended")
    t.audited(result="denied", direction="inbound", client_spiffe_id=ID, reason="not in allow")
    replace(server, before)
    in_force(t, server, 2)
    assert asked.ask() == "good"


def test_a_server_denied_since_is_refused(t):
    wrapped_only()
    port, _, config, asked = stage(t)
    followed(t, config)
    replace(config, changed(config, ID, OTHER))
    in_force(t, config)
    assert asked.ask() == "EACCES"
    t.audited(result="denied", direction="outbound", server_spiffe_id=ID, reason="not in allow")


def test_new_svids_end_tickets(t):
    wrapped_only()
    port, _, _, asked = stage(t)
    def shown():
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as raw, client_context().wrap_socket(raw) as s:
            return s.getpeercert(binary_form=True)
    before = shown()
    t.default_agent.signal(signal.SIGUSR1)
    until("another certificate", lambda: shown() != before)
    assert asked.ask() == "good"
    assert resumed(t) == (1, 3)
    until("resumed again", lambda: asked.ask() == "good" and resumed(t)[0] == 2)


def test_a_trust_bundle_that_was_withdrawn_ends_them(t):
    """The server's agent forgets the client's trust domain: no ticket outlives that."""
    wrapped_only()
    web, port, sides = "spiffe://partner.test/web", t.port(), {}
    authorities = {domain: CA(t, domain) for domain in ("example.org", "partner.test")}
    for domain, other, name in (("example.org", "partner.test", ID), ("partner.test", "example.org", web)):
        ca = authorities[domain]
        sides[domain] = Agent(t, [entry(name)], trust_domain=domain, ca={"cert": ca.cert, "key": ca.key},
                              name="agent-" + domain,
                              federation=[{"trust_domain": other, "bundle": authorities[other].cert}])
    server = t.config(listen=[{"port": port, "allow": [web]}], workload_api={"socket": sides["example.org"].address})
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [ID]}],
                      workload_api={"socket": sides["partner.test"].address})
    echo_server(t, server, port)
    asked = Asked(t, config, port)
    assert asked.ask() == asked.ask() == "good"
    assert resumed(t) == (1, 2)
    sides["example.org"].reload(federation=[])
    until("refused", lambda: asked.ask() != "good")
    t.audited(result="denied", direction="inbound", client_spiffe_id=web,
              reason="no trust bundle for trust domain partner.test")
    assert asked.ask() != "good"
