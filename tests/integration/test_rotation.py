# SPDX-License-Identifier: Apache-2.0
"""Do SVIDs and roots change under live connections and under load without anybody noticing?"""
import os
import signal
import socket
import ssl
import time

from apps import LONG_CLIENT, MANY_CLIENT, client, echo_server, exchange
from harness import NATIVE, TD, WAIT, Skip, entry, until
from pki import CA, client_context

ID = f"{TD}/app"


def prepare(t, **agent):
    if NATIVE:
        return t.port(), ""
    t.agent([entry(ID)], **agent)
    port = t.port()
    return port, t.both(port, allow=[ID])


def presented(port):
    """The certificate that the server shows now (whoever asks is refused later, and is told apart in the audit)."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as raw:
        with client_context().wrap_socket(raw) as s:
            return s.getpeercert(binary_form=True)


def wrapped_only():
    if NATIVE:
        raise Skip("natively there is no SVID")


def test_new_svids_under_a_live_connection(t):
    port, config = prepare(t)
    with t.watch(port):
        echo_server(t, config, port)
        c = client(t, config, LONG_CLIENT, port, 80, 0.05)
        c.line("exchange 3$")
        for _ in range(3):
            if not NATIVE:
                before = presented(port)
                t.default_agent.signal(signal.SIGUSR1)
                until("another certificate", lambda b=before: presented(port) != b)
            exchange(t, config, port)
        assert c.ok(30).endswith(b"all well\n")


def test_a_new_ca_under_a_live_connection(t):
    port, config = prepare(t, svid_ttl="8s")
    with t.watch(port):
        echo_server(t, config, port)
        c = client(t, config, LONG_CLIENT, port, 200, 0.1)
        many = client(t, config, MANY_CLIENT, port, 100, 0.1)
        c.line("exchange 3$")
        if not NATIVE:
            for _ in range(2):
                before = presented(port)
                t.default_agent.signal(signal.SIGUSR2)
                until("another certificate", lambda b=before: presented(port) != b)
                exchange(t, config, port, 3)
        out = many.ok(40)
        assert out.endswith(b"good 100 bad 0\n"), out
        assert c.ok(40).endswith(b"all well\n")


def test_svids_of_two_seconds_under_load(t):
    """About twenty seconds, ten SVIDs a side, no error."""
    port, config = prepare(t, svid_ttl="2s")
    seen, end = set(), time.monotonic() + 20
    with t.watch(port):
        echo_server(t, config, port)
        live = client(t, config, LONG_CLIENT, port, 200, 0.1)
        many = [client(t, config, MANY_CLIENT, port, 150, 0.12) for _ in range(3)]
        while time.monotonic() < end:
            if not NATIVE:
                seen.add(presented(port))
            time.sleep(0.25)
        for c in many:
            out = c.ok(30)
            assert out.endswith(b"good 150 bad 0\n"), out[-500:]
        assert live.ok(30).endswith(b"all well\n")
    assert NATIVE or len(seen) >= 10, len(seen)


def test_a_peer_of_another_trust_domain_by_federation(t):
    """Two agents, each with the other's bundle: peers of both domains are judged by their own domain's roots."""
    wrapped_only()
    partner = os.path.join(t.dir, "partner.pem")
    home = os.path.join(t.dir, "home.pem")
    ours, theirs = CA(t, "example.org"), CA(t, "partner.test")
    for ca, path in ((ours, home), (theirs, partner)):
        with open(ca.cert, "rb") as src, open(path, "wb") as dst:
            dst.write(src.read())
    t.agent([entry(ID)], ca={"cert": ours.cert, "key": ours.key},
            federation=[{"trust_domain": "partner.test", "bundle": partner}])
    port = t.port()
    config = t.config(listen=[{"port": port, "allow": ["spiffe://partner.test/web"]}])
    echo_server(t, config, port)
    for pair, want in ((theirs.leaf("web", "spiffe://partner.test/web"), True),
                       (ours.leaf("web", "spiffe://partner.test/web"), False)):
        got = b""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as raw:
                with client_context(pair).wrap_socket(raw) as s:
                    s.sendall(t.marker)
                    got = s.recv(1000)
        except (ssl.SSLError, ConnectionError):
            pass
        assert (got == t.marker) == want, (pair, got)
