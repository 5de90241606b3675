# SPDX-License-Identifier: Apache-2.0
"""Does our Workload API client stand another server (grpc-go, go-spiffe's stubs) and everything it may answer?

The proof is always a connection: a wrapped server and a wrapped client, each with its identity from that server,
and a Go client with files of the same CA that tells which certificate it was shown.
"""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
from harness import Failure, until  # noqa: E402
from peers import TD, TALK, WorkloadServer, go_dial, talk_dial, talk_serve  # noqa: E402

SERVER, CLIENT, GO = f"{TD}/server", f"{TD}/client", f"{TD}/go"


class Pair:
    """A wrapped echo server and what its clients need."""

    def __init__(self, t, *flags, server=SERVER, client=CLIENT, **settings):
        self.t, self.port = t, t.port()
        self.workload = WorkloadServer(t, {"server": server, "client": client}, *flags)
        self.files = self.workload.mint(GO)
        self.config = {name: t.both(self.port, workload_api={"socket": self.workload.at[name]}, **settings)
                       for name in ("server", "client")}

    def serve(self):
        return talk_serve(self.t, self.config["server"], self.port)

    def dial(self, **more):
        return talk_dial(self.t, self.config["client"], self.port, "--text", "hello", **more)

    def serial(self):
        """The certificate that the wrapped server shows to a Go client."""
        got = go_dial(self.t, self.files, self.port, "-text", "hello")
        assert got["read_error"] == "" and got["received"] > 5, got
        return got["serial"]

    def served(self):
        got = self.dial()
        assert got["received"] > 5, got
        return True

    def new_serial(self, old):
        return until("a new certificate", lambda: self.serial() != old, pause=0.2)


def logged(t, pattern, timeout=15):
    path = os.path.join(t.log_dir, "daemon.log")

    def look():
        with open(path, errors="replace") as f:
            return re.search(pattern, f.read())
    return until(f"/{pattern}/ in the log", look, timeout)


def test_identities_from_another_server(t):
    p = Pair(t)
    p.serve()
    with t.watch(p.port):
        got = talk_dial(t, p.config["client"], p.port, "--text", t.marker.decode())
    assert t.marker.decode() in got["tail"], got
    t.audited(result="allowed", direction="inbound", client_spiffe_id=CLIENT, server_spiffe_id=SERVER)
    streams = p.workload.events(event="stream", method="FetchX509SVID")
    assert streams and all(s["header"] == "true" for s in streams), streams


def test_rotation_reaches_the_next_connection(t):
    p = Pair(t)
    p.serve()
    old = p.serial()
    p.workload.tell("rotate")
    p.new_serial(old)
    assert p.served()


def test_rotation_without_end(t):
    """New SVIDs twenty times a second, and no connection fails for it."""
    p = Pair(t, "-rotate", "50ms")
    p.serve()
    serials = {p.serial() for _ in range(15)}
    assert len(serials) > 1, serials
    got = talk_dial(t, p.config["client"], p.port, "--text", "hello", "--count", "50")
    assert got["received"] > 5


def test_run_says_what_the_agent_answered(t):
    p = Pair(t, "-mode", "denied")
    proc = t.spawn(t.wrap(p.config["client"], [*TALK, "dial", str(p.port)], wait="2s"))
    assert proc.wait() == 69, proc.text()
    assert "no identity issued" in proc.text(), proc.text()


def test_run_waits_until_the_agent_grants(t):
    """A program may start before its registration entry reaches the agent."""
    p = Pair(t, "-mode", "denied")
    proc = t.spawn(t.wrap(p.config["server"], [*TALK, "serve", str(p.port)], wait="20s"), name="talk-serve")
    p.workload.wait("the first answer", lambda: p.workload.events(event="stream"))
    time.sleep(0.5)
    assert proc.alive(), proc.text()
    p.workload.tell("normal")
    t.listening(p.port, proc=proc)


def test_denied_without_run_is_a_refused_connection(t):
    p = Pair(t)
    p.serve()
    p.workload.tell("denied")
    got = talk_dial(t, t.both(p.port, workload_api={"socket": p.workload.at["client"]}, identity_wait="1s"), p.port,
                    how="preload", fails=True)
    assert got == {"errno": "ECONNREFUSED"}, got
    logged(t, "no identity issued")


def test_permission_denied_takes_the_identity_away(t):
    """At once, and until the agent changes its mind; then it comes back by itself."""
    p = Pair(t)
    p.serve()
    p.serial()
    p.workload.tell("denied")
    logged(t, "no identity issued")
    go = go_dial(t, p.files, p.port, "-text", "hello", fails=True)
    assert go["event"] == "error", go
    p.workload.tell("normal")

    def back():
        try:
            return p.serial()
        except (Failure, AssertionError):
            return None
    until("the identity is back", back, pause=0.3)


def test_unavailable_keeps_what_there_is(t):
    p = Pair(t)
    p.serve()
    old = p.serial()
    p.workload.tell("unavailable")
    time.sleep(1)
    assert p.serial() == old
    p.workload.tell("normal")
    p.new_serial(old)


def test_unavailable_until_the_svid_expires(t):
    """An SVID that nobody renews ends with its last second: no handshake after that."""
    p = Pair(t, "-ttl", "4s")
    p.serve()
    p.serial()
    p.workload.tell("unavailable")
    time.sleep(5)
    go = go_dial(t, p.files, p.port, "-text", "hello", fails=True)
    assert go["event"] == "error", go
    p.workload.tell("normal")

    def back():
        try:
            return p.serial()
        except (Failure, AssertionError):
            return None
    until("served again", back, pause=0.3)


def reconnects(t, command, *flags):
    """The agent goes and comes back. The wrapped server sits idle in accept(): it must find back by itself."""
    p = Pair(t, *flags)
    p.serve()
    old = p.serial()
    streams = len(p.workload.events(event="stream", socket=p.workload.at["server"][7:]))
    p.workload.tell(*command)
    assert p.served()
    p.workload.wait("a fresh stream of the server", lambda: len(
        p.workload.events(event="stream", socket=p.workload.at["server"][7:])) > streams)
    p.new_serial(old)


def test_disconnect(t):
    reconnects(t, ["disconnect"])


def test_disconnect_and_a_second_of_silence(t):
    reconnects(t, ["disconnect", "1000"])


def test_goaway(t):
    reconnects(t, ["goaway"])


def test_goaway_every_second(t):
    """MaxConnectionAge, as an agent behind a proxy has it: connections keep working right through."""
    p = Pair(t, "-max-age", "1s")
    p.serve()
    end = time.monotonic() + 4
    while time.monotonic() < end:
        p.serial()
        p.served()


MALFORMED = ["no-svids", "bad-der", "trailing-garbage", "empty-svid", "empty-key", "bad-key", "key-mismatch", "bad-bundle",
             "wrong-id", "bad-id", "bad-federated", "bad-protobuf", "huge"]


def more():
    """A malformed reply changes nothing but the log; the next good one is taken."""
    for mode in MALFORMED:
        def test(t, mode=mode):
            p = Pair(t)
            p.serve()
            old = p.serial()
            sent = len(p.workload.events(event="sent", mode=mode))
            p.workload.tell(mode)
            p.workload.wait("the malformed reply", lambda: len(p.workload.events(event="sent", mode=mode)) > sent)
            logged(t, r"(?im)^.*(error|warning).*(reply|svid|bundle|agent|message|malformed).*$")
            assert p.serial() == old
            p.workload.tell("normal")
            p.new_serial(old)
            assert p.served()
        yield "malformed_" + mode.replace("-", "_") + "_keeps_the_old", test


def test_malformed_from_the_start_is_no_identity(t):
    p = Pair(t, "-mode", "key-mismatch")
    proc = t.spawn(t.wrap(p.config["client"], [*TALK, "dial", str(p.port)], wait="2s"))
    assert proc.wait() == 69, proc.text()
    assert re.search("(?i)key", proc.text()), proc.text()


def test_silent_agent(t):
    """It takes the connection and never answers."""
    p = Pair(t, "-mode", "silent")
    proc = t.spawn(t.wrap(p.config["client"], [*TALK, "dial", str(p.port)], wait="1s"))
    assert proc.wait() == 69, proc.text()


def test_an_empty_bundle_trusts_nobody(t):
    p = Pair(t, "-mode", "empty-bundle")
    p.serve()
    go = go_dial(t, p.files, p.port, "-text", "hello")
    assert go["received"] == 0 and "unknown certificate authority" in go["read_error"], go
    t.audited(result="denied", direction="inbound", client_spiffe_id=GO, reason=re.compile("trust bundle"))


def test_several_svids_the_first_is_the_default(t):
    p = Pair(t, server=f"{SERVER},{TD}/second#internal,{TD}/third#external")
    p.serve()
    assert go_dial(t, p.files, p.port, "-text", "x")["peer"] == SERVER


def test_several_svids_by_hint(t):
    p = Pair(t, server=f"{SERVER},{TD}/second#internal,{TD}/third#external", identity={"hint": "internal"},
             client=f"{CLIENT}#internal")
    p.serve()
    assert go_dial(t, p.files, p.port, "-text", "x")["peer"] == f"{TD}/second"


def test_several_svids_by_id(t):
    p = Pair(t, server=f"{SERVER},{TD}/second#internal,{TD}/third#external", identity={"spiffe_id": f"{TD}/third"})
    p.serve()
    assert go_dial(t, p.files, p.port, "-text", "x")["peer"] == f"{TD}/third"


def test_federated_bundle(t):
    """A peer of a federated domain verifies by that domain's bundle and by no other."""
    p = Pair(t, "-federate", "partner.test")
    allow = [f"{TD}/**", "spiffe://partner.test/**"]
    config = t.both(p.port, allow=allow, workload_api={"socket": p.workload.at["server"]})
    talk_serve(t, config, p.port)
    partner = p.workload.mint("spiffe://partner.test/peer", "partner")
    got = go_dial(t, partner, p.port, "-text", "x")
    assert got["peer"] == SERVER and got["read_error"] == "", got
    t.audited(result="allowed", client_spiffe_id="spiffe://partner.test/peer")


def test_a_domain_that_is_not_federated(t):
    """The peer knows us, we do not know it: refused although the rule would allow it."""
    p = Pair(t)
    config = t.both(p.port, allow=["spiffe://example.org/**", "spiffe://stranger.test/**"],
                    workload_api={"socket": p.workload.at["server"]})
    talk_serve(t, config, p.port)
    other = WorkloadServer(t, {"x": "spiffe://stranger.test/x"}, "-domain", "stranger.test", name="stranger")
    stranger = other.mint("spiffe://stranger.test/x")
    os.link(os.path.join(p.files, "bundle.pem"), os.path.join(stranger, "bundle-example.org.pem"))
    got = go_dial(t, stranger, p.port, "-text", "x")
    assert got["received"] == 0 and "remote error" in got["read_error"], got
    t.audited(result=re.compile("denied|failed"), client_spiffe_id="spiffe://stranger.test/x")


def test_crl_field(t):
    p = Pair(t, "-crl")
    p.serve()
    assert p.served()


def test_a_certificate_on_the_crl_is_refused(t):
    """From the reply on that lists it; another SVID of the same ID is not meant."""
    p = Pair(t, "-crl")
    p.serve()
    other = p.workload.mint(GO, "another")
    old = p.serial()
    p.workload.tell("revoke", os.path.join(p.files, "svid.pem"))

    def refused():
        return go_dial(t, p.files, p.port, "-text", "hello")["received"] == 0
    until("the revoked one is refused", refused, pause=0.2)
    t.audited(result="denied", direction="inbound", client_spiffe_id=GO, reason=re.compile("(?i)revoked"))
    got = go_dial(t, other, p.port, "-text", "hello")
    assert got["received"] > 5 and got["serial"] != old, got
    assert p.served()


def test_svids_that_come_and_go_in_mid_life(t):
    """A rule's SVID is taken away while the others stay: refused from then on, by name; and it comes back."""
    second = f"{TD}/second"
    both, one = f"{SERVER},{second}#internal", SERVER
    p = Pair(t, server=both)
    other = t.port()
    p.config["server"] = t.config(
        listen=[{"port": p.port, "allow": [f"{TD}/**"]}, {"port": other, "allow": [f"{TD}/**"], "identity": {"hint": "internal"}}],
        workload_api={"socket": p.workload.at["server"]}, identity_wait="1s")
    p.serve()
    talk_serve(t, p.config["server"], other)

    def shown(port):
        try:
            return go_dial(t, p.files, port, "-text", "x")["peer"]
        except Failure:
            return None
    assert (shown(p.port), shown(other)) == (SERVER, second)
    path = p.workload.at["server"][7:]
    p.workload.tell("svids", f"{path}={one}")
    until("the second is gone", lambda: shown(other) is None, pause=0.2)
    t.audited(result="failed", direction="inbound", reason=re.compile("hint internal; it serves " + SERVER))
    assert shown(p.port) == SERVER
    p.workload.tell("svids", f"{path}={TD}/third#internal,{one}")
    until("another one has the hint", lambda: shown(other) == f"{TD}/third", pause=0.2)
    assert shown(p.port) == f"{TD}/third", "the default is the first that the agent sends"


def test_denied_in_mid_life_with_several_svids(t):
    p = Pair(t, server=f"{SERVER},{TD}/second#internal", identity={"hint": "internal"}, client=f"{CLIENT}#internal")
    p.serve()
    assert p.served()
    p.workload.tell("denied")
    logged(t, "no identity issued")
    until("nobody is served", lambda: go_dial(t, p.files, p.port, "-text", "x", fails=True)["event"] == "error")
    p.workload.tell("normal")

    def back():
        try:
            return p.served()
        except (Failure, AssertionError):
            return None
    until("served again", back, pause=0.3)


KINDS = ["p384", "p521", "rsa2048", "rsa3072", "rsa4096", "ed25519"]


def test_kinds_of_keys(t):
    """The SVIDs that we get, on both sides; a Go client beside them sees them, too."""
    for kind in KINDS:
        workload = WorkloadServer(t, {"server": SERVER, "client": CLIENT}, "-key", kind, name=f"workload-{kind}")
        port = t.port()
        config = {name: t.both(port, workload_api={"socket": workload.at[name]}) for name in ("server", "client")}
        server = talk_serve(t, config["server"], port)
        with t.watch(port):
            got = talk_dial(t, config["client"], port, "--text", t.marker.decode())
            assert t.marker.decode() in got["tail"], (kind, got)
            assert go_dial(t, workload.mint(GO), port, "-text", "x")["peer"] == SERVER, kind
        server.stop()


def test_chains_with_intermediates(t):
    """An agent below another authority sends its own certificate along, and so do we."""
    p = Pair(t, "-intermediate", "-rotate", "500ms")
    p.serve()
    assert p.served()
    assert p.serial()
    t.audited(result="allowed", direction="inbound", client_spiffe_id=CLIENT, server_spiffe_id=SERVER)


def test_scope_daemon(t):
    """identity.scope: daemon: the daemon's own stream, one for both programs, reconnected by gRPC itself."""
    p = Pair(t, identity={"scope": "daemon"})
    p.config["client"] = p.config["server"]
    p.serve()
    old = p.serial()
    assert p.served()
    p.workload.tell("disconnect", "300")
    p.new_serial(old)
