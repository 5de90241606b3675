# SPDX-License-Identifier: Apache-2.0
"""Does a trust domain's root vouch for IDs of that domain and no other? Two domains that federate, real peers of either
(go-spiffe, OpenSSL), and each root signing IDs of the other's domain: in both directions of a connection."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
from apps import MANY_CLIENT, client, echo_server  # noqa: E402
from harness import NATIVE, TD, Skip, entry, until, which  # noqa: E402
from peers import TALK, go_dial, go_serve, last  # noqa: E402
from pki import CA  # noqa: E402

HOME, PARTNER = "example.org", "partner.test"
OURS, WEB, FRIEND = f"{TD}/app", f"{TD}/web", f"spiffe://{PARTNER}/web"


class Federation:
    """A dev agent of example.org that federates with partner.test; both CAs are the test's, so that it can forge."""

    def __init__(self, t):
        if NATIVE:
            raise Skip("natively there is no SVID")
        self.t, self.home, self.partner = t, CA(t, HOME), CA(t, PARTNER)
        t.agent([entry(OURS)], ca={"cert": self.home.cert, "key": self.home.key},
                federation=[{"trust_domain": PARTNER, "bundle": self.partner.cert}])
        self.port = t.port()
        allow = [f"{TD}/**", f"spiffe://{PARTNER}/**"]
        self.config = t.both(self.port, allow=allow)
        # Every ID under every root; the third and the fourth are the attack.
        self.peers = [("friend", self.partner, FRIEND, True), ("neighbour", self.home, WEB, True),
                      ("our root, their ID", self.home, FRIEND, False), ("their root, our ID", self.partner, WEB, False)]

    def files(self, name, ca, uri, chain=()):
        """An SVID as go-spiffe wants it: svid.pem, key.pem, both bundles."""
        out = os.path.join(self.t.dir, name.replace(" ", "-").replace(",", ""))
        os.mkdir(out)
        cert, key = ca.leaf(os.path.basename(out), uri)
        with open(os.path.join(out, "svid.pem"), "wb") as f:
            for part in (cert, *chain):
                with open(part, "rb") as p:
                    f.write(p.read())
        shutil.copy(key, os.path.join(out, "key.pem"))
        own = self.home if uri.startswith(TD) else self.partner
        other = self.partner if own is self.home else self.home
        shutil.copy(own.cert, os.path.join(out, "bundle.pem"))
        shutil.copy(other.cert, os.path.join(out, f"bundle-{other.domain}.pem"))
        return out

    def forged_middle(self, name, ca, domain):
        """An intermediate of ca's that calls itself the signer of another domain: (CA-like object, its certificate)."""
        cert, key = ca.leaf(name, f"spiffe://{domain}", ca=True, key_usage="keyCertSign,cRLSign", eku=None)
        middle = CA(self.t, f"{domain}.{name}")
        middle.domain = domain
        shutil.copy(cert, middle.cert)
        shutil.copy(key, middle.key)
        return middle

    def refused(self, direction, uri):
        line = self.t.audited(direction=direction, result="denied",
                              **{("client" if direction == "inbound" else "server") + "_spiffe_id": uri})
        assert re.search("(?i)trust bundle|root|issuer|signed|path", line["reason"]), line


def test_go_clients_of_two_domains(t):
    f = Federation(t)
    echo_server(t, f.config, f.port)
    for name, ca, uri, good in f.peers:
        got = go_dial(t, f.files(name, ca, uri), f.port, "-text", "hello")
        assert got["peer"] == OURS, got
        assert (got["received"] > 0 and got["read_error"] == "") == good, (name, got)
        if good:
            t.audited(direction="inbound", result="allowed", client_spiffe_id=uri)
        else:
            f.refused("inbound", uri)


def test_go_servers_of_two_domains(t):
    f = Federation(t)
    for name, ca, uri, good in f.peers:
        server = go_serve(t, f.files(name, ca, uri), f.port)
        out = client(t, f.config, MANY_CLIENT, f.port).ok()
        assert (b"good 1 bad 0" in out) == good and (good or b"bad 1 EACCES" in out), (name, out)
        if good:
            t.audited(direction="outbound", result="allowed", server_spiffe_id=uri)
        else:
            f.refused("outbound", uri)
        server.stop()
        t.gone(f.port)


def test_openssl_clients_of_two_domains(t):
    """OpenSSL's client sends whatever it is given, with every certificate that might mislead."""
    f = Federation(t)
    echo_server(t, f.config, f.port)
    roots = [f.home.cert, f.partner.cert]
    forged = [(f"{name} with both roots", f.files(f"{name} with both roots", ca, uri, roots), uri, good)
              for name, ca, uri, good in f.peers]
    for name, signer, domain, uri in (("ours as theirs", f.home, PARTNER, FRIEND), ("theirs as ours", f.partner, HOME, WEB)):
        middle = f.forged_middle(name.replace(" ", "-"), signer, domain)
        forged.append((name, f.files(f"through {name}", middle, uri, [middle.cert, *roots]), uri, False))
    for name, files, uri, good in forged:
        before = len(t.audit())
        t.spawn([which("openssl"), "s_client", "-connect", f"127.0.0.1:{f.port}", "-tls1_3", "-cert", f"{files}/svid.pem",
                 "-cert_chain", f"{files}/svid.pem", "-key", f"{files}/key.pem"], name="s_client").wait()

        def decision(b=before):
            return next((a for a in t.audit()[b:] if a["direction"] == "inbound"), None)
        line = until("the audit line", decision)
        assert line["result"] == ("allowed" if good else "denied") and line["client_spiffe_id"] == uri, (name, line)


def test_openssl_servers_of_two_domains(t):
    f = Federation(t)
    roots = [f.home.cert, f.partner.cert]
    for name, ca, uri, good in f.peers:
        files = f.files(name, ca, uri, roots)
        server = t.spawn([which("openssl"), "s_server", "-accept", f"127.0.0.1:{f.port}", "-tls1_3", "-rev", "-cert", f"{files}/svid.pem",
                          "-cert_chain", f"{files}/svid.pem", "-key", f"{files}/key.pem", "-Verify", "3", "-num_tickets", "0"],
                         name="s_server")
        t.listening(f.port, proc=server)
        c = t.wrapped(f.config, [*TALK, "dial", str(f.port), "--text", "olleh\n"], name="talk-dial")
        c.wait()
        got = last(c)
        assert ("hello" in got.get("tail", "")) == good and (good or got == {"errno": "EACCES"}), (name, got)
        if good:
            t.audited(direction="outbound", result="allowed", server_spiffe_id=uri)
        else:
            f.refused("outbound", uri)
        server.stop()
        t.gone(f.port)


def test_a_bundle_that_goes_takes_its_domain_along(t):
    """The agent no longer federates: who is of that domain is refused from then on, and nobody else."""
    f = Federation(t)
    echo_server(t, f.config, f.port)
    friend, neighbour = f.files("friend", f.partner, FRIEND), f.files("neighbour", f.home, WEB)
    assert go_dial(t, friend, f.port, "-text", "hello")["received"] > 0
    t.default_agent.reload(federation=[])
    t.default_agent.signal(10)  # SIGUSR1: new SVIDs now

    def refused():
        return go_dial(t, friend, f.port, "-text", "hello")["received"] == 0
    until("the partner is refused", refused, pause=0.2)
    assert go_dial(t, neighbour, f.port, "-text", "hello")["received"] > 0
    t.default_agent.reload(federation=[{"trust_domain": PARTNER, "bundle": f.partner.cert}])
    t.default_agent.signal(10)
    until("the partner is back", lambda: not refused(), pause=0.2)
