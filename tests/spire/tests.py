# SPDX-License-Identifier: Apache-2.0
"""Identities from a real SPIRE agent: who gets which, when they come, change and go. (t: an Env; spire: a Spire.)"""
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import time

import harness
from apps import ECHO_SERVER, MANY_CLIENT, client, echo_server
from harness import PYTHON, until, which
from spire import DOMAIN, SYNC, Spire
from test_identity import CHILD, inbound

TD = f"spiffe://{DOMAIN}"
PARTNER = "partner.test"
SOON = 8  # a fresh SVID within 5 s of an agent's return; the rest is for a busy machine


def exe(program):
    return "unix:path:" + os.path.realpath(which(program))


class Redis:
    """A wrapped redis-server and redis-cli with entries of their own, all of it gone with the test."""

    def __init__(self, t, spire, server_ttl=None, register=True, **more):
        self.t, self.spire, self.port = t, spire, t.port()
        allow = [f"{TD}/redis", f"{TD}/cli"]
        self.config = t.both(self.port, allow=allow, workload_api={"socket": spire.address}, **more)
        self.entries = {}
        self.synchronise()
        if register:
            self.register("redis", exe("redis-server"), ttl=server_ttl)
            self.register("cli", exe("redis-cli"))

    def register(self, name, *selectors, **more):
        entry = self.entries[name] = self.spire.entry(name, *selectors, **more)
        self.t.cleanups.append(lambda: self.unregister(name) if self.entries.get(name) == entry else None)

    def unregister(self, name):
        self.spire.delete(self.entries.pop(name))

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]

    def serve(self, **more):
        proc = self.t.spawn(self.t.wrap(self.config, self.command(), wait="30s"), name="redis-server", **more)
        self.t.listening(self.port, proc=proc, timeout=40)
        return proc

    def synchronise(self):
        """Waits until the agent knows what the server knows now: an entry that is new is served."""
        name = "sentinel-" + secrets.token_hex(4)
        entry = self.spire.entry(name, exe("true"))
        config = self.t.both(self.port, workload_api={"socket": self.spire.address}, identity={"spiffe_id": f"{TD}/{name}"})
        try:
            self.t.spawn(self.t.wrap(config, ["true"], wait=f"{SYNC}s")).ok(SYNC + 10)
        finally:
            self.spire.delete(entry)

    def ping(self, config=None, **more):
        proc = self.t.spawn(self.t.wrap(config or self.config, ["redis-cli", "-p", str(self.port), "PING"], wait="30s"), **more)
        proc.wait(40)
        return proc.out() == b"PONG\n"

    def serial(self):
        """The serial number of the certificate that the wrapped server shows (to a stranger, whom it then refuses).
        None: it shows none."""
        run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-tls1_3"],
                             stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        found = re.search(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", run.stdout, re.S)
        if not found:
            return None
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=found.group(),
                              capture_output=True, check=True).stdout


def test_each_program_has_its_own_identity(t, spire):
    """The agent attests the programs, although it is the daemon that speaks to it: the daemon has a decoy entry."""
    r = Redis(t, spire)
    decoy = spire.entry("daemon", exe(harness.SVIDWRAP))
    t.cleanups.append(lambda: spire.delete(decoy))
    r.serve()
    with t.watch(r.port):
        assert r.ping()
    t.audited(result="allowed", direction="inbound", client_spiffe_id=f"{TD}/cli", server_spiffe_id=f"{TD}/redis")
    t.audited(result="allowed", direction="outbound", client_spiffe_id=f"{TD}/cli", server_spiffe_id=f"{TD}/redis")


def test_a_client_without_an_identity_gets_nothing(t, spire):
    r = Redis(t, spire)
    r.serve()
    plain = t.spawn(["redis-cli", "-p", str(r.port), "PING"])
    plain.wait()
    assert b"PONG" not in plain.out(), plain.text()
    assert r.ping()


def test_another_user_is_somebody_else(t, spire):
    if os.getuid() != 0:
        raise harness.Skip("needs root to become another user")
    r = Redis(t, spire, register=False)
    r.register("redis", exe("redis-server"), "unix:uid:0")
    r.register("cli", exe("redis-cli"), "unix:uid:0")
    r.register("guest", exe("redis-cli"), "unix:uid:65534")
    r.serve()
    assert r.ping()
    # Its daemon is another one, of that user: it cannot write to root's log.
    config = t.both(r.port, allow=[f"{TD}/redis"], workload_api={"socket": spire.address},
                    log={"to": os.path.join(t.log_dir, "guest.log")}, audit={"to": os.path.join(t.log_dir, "audit-guest.log")})
    assert not r.ping(config=config, user=65534)
    t.audited(result="denied", direction="inbound", client_spiffe_id=f"{TD}/guest")


def test_a_child_that_changes_uid_has_its_own_identity(t, spire):
    """Two entries that differ by uid: the parent is one, its child the same, and what the child becomes the other."""
    user = nobody()
    r = Redis(t, spire, register=False)
    r.register("of-root", exe("python3"), "unix:uid:0")
    r.register("of-nobody", exe("python3"), f"unix:uid:{user}")
    config = t.both(r.port, allow=[f"{TD}/of-root", f"{TD}/of-nobody"], workload_api={"socket": spire.address})
    proc = t.spawn(t.wrap(config, [PYTHON, "-c", ECHO_SERVER, str(r.port)], wait="30s"), name="echo")
    t.listening(r.port, proc=proc, timeout=40)
    t.spawn(t.wrap(config, [PYTHON, "-c", CHILD, str(r.port), "hello"], wait="30s")).ok(40)
    until("four connections", lambda: inbound(t, r.port) == [f"{TD}/of-{who}" for who in ("root", "root", "nobody", "root")])


def test_a_deleted_entry_refuses_connects_at_once(t, spire):
    """A program that dials: its connections fail with ECONNREFUSED, and work again with a new entry."""
    r = Redis(t, spire, register=False)
    r.register("server", exe("python3"), "unix:uid:0")
    config = t.both(r.port, allow=[f"{TD}/server", f"{TD}/cli"], workload_api={"socket": spire.address}, identity_wait="300ms")
    proc = t.spawn(t.wrap(config, [PYTHON, "-c", ECHO_SERVER, str(r.port)], wait="30s"), name="echo")
    t.listening(r.port, proc=proc, timeout=40)
    c = client(t, config, MANY_CLIENT, r.port, 10000, 0.1)
    c.line("exchange 3$")
    r.unregister("server")
    until("refused", lambda: b"error ECONNREFUSED" in c.out(), timeout=SYNC)
    r.register("server", exe("python3"), "unix:uid:0")
    at = len(c.out())
    until("served again", lambda: b"exchange" in c.out()[at:], timeout=SYNC + 10)
    c.stop()


def test_run_says_that_there_is_no_entry(t, spire):
    r = Redis(t, spire, register=False)
    proc = t.spawn(t.wrap(r.config, r.command(), wait="2s"))
    assert proc.wait(30) == 69, proc.text()
    assert "no identity issued" in proc.text(), proc.text()


def test_run_waits_for_the_entry(t, spire):
    r = Redis(t, spire, register=False)
    r.register("cli", exe("redis-cli"))
    proc = t.spawn(t.wrap(r.config, r.command(), wait="40s"), name="redis-server")
    time.sleep(2)
    assert proc.alive(), proc.text()
    r.register("redis", exe("redis-server"))
    t.listening(r.port, proc=proc, timeout=SYNC + 10)
    assert r.ping()


def test_a_deleted_entry_ends_the_identity(t, spire):
    """And the live connections with it."""
    r = Redis(t, spire)
    r.serve()
    assert r.ping()
    live = t.spawn(t.wrap(r.config, ["redis-cli", "-p", str(r.port), "-r", "10000", "-i", "0.1", "PING"], wait="30s"))
    live.line("PONG")
    r.unregister("redis")
    until("the live connection ends", lambda: re.search("(?i)reset|closed|error|refused|could not", live.text()), timeout=SYNC)
    until("the server shows no certificate any more", lambda: r.serial() is None, timeout=SYNC, pause=0.5)
    assert not r.ping()
    r.register("redis", exe("redis-server"))
    until("served again", r.ping, timeout=SYNC + 10, pause=0.5)


def test_rotation_under_a_live_connection(t, spire):
    r = Redis(t, spire, server_ttl=10)
    r.serve()
    old = r.serial()
    live = t.spawn(t.wrap(r.config, ["redis-cli", "-p", str(r.port), "-r", "30", "-i", "1", "PING"], wait="30s"))
    until("a new certificate", lambda: r.serial() not in (None, old), timeout=SYNC, pause=0.5)
    answered = live.out().count(b"PONG")
    until("the live connection goes on", lambda: live.out().count(b"PONG") > answered + 1)
    assert live.alive() and b"rror" not in live.out() + live.err(), live.text()
    live.stop()


def test_the_agent_restarts(t, spire):
    """An idle server finds back to the agent by itself: its certificate is renewed afterwards."""
    r = Redis(t, spire, server_ttl=20)
    r.serve()
    old = r.serial()
    spire.stop_agent()
    assert r.serial() == old
    spire.start_agent()
    until("a certificate from the new agent", lambda: r.serial() not in (None, old), timeout=SYNC + 10, pause=0.5)
    assert r.ping()


def test_an_agent_away_for_longer_than_the_svid_lives(t, spire):
    """The server sits idle all the while; nobody asks for anything but us, who look."""
    r = Redis(t, spire, server_ttl=10, identity_wait="500ms")
    r.serve()
    old = r.serial()
    spire.stop_agent()
    until("the SVID has expired", lambda: r.serial() is None, pause=0.5)
    time.sleep(3)
    spire.start_agent()
    started = time.monotonic()
    until("a fresh SVID", lambda: r.serial() not in (None, old), timeout=SOON, pause=0.1)
    print(f"fresh after {time.monotonic() - started:.1f} s")
    assert r.ping()


def test_the_agent_restarts_under_a_client(t, spire):
    """A program that only dials finds the agent again at its next connect(); no connection fails for it."""
    r = Redis(t, spire)
    r.register("python", exe("python3"), ttl=10)
    port = t.port()
    config = t.both(port, allow=[f"{TD}/python"], workload_api={"socket": spire.address})
    echo_server(t, config, port)
    c = client(t, config, MANY_CLIENT, port, 80, 0.2)
    c.line("exchange 3$")
    spire.stop_agent()
    spire.start_agent()
    out = c.ok(60)
    assert out.endswith(b"good 80 bad 0\n"), out[-300:]


def test_the_server_is_away(t, spire):
    """The agent goes on with what it has: until the SVID expires, and again when the server is back."""
    r = Redis(t, spire, server_ttl=20)
    r.serve()
    spire.stop_server()
    time.sleep(2)
    assert r.ping()
    until("the SVID has expired", lambda: r.serial() is None, timeout=30, pause=0.5)
    spire.start_server()
    until("served again", r.ping, timeout=SYNC + 10, pause=0.5)


def nobody():
    if os.getuid() != 0:
        raise harness.Skip("needs root to become another user")
    return 65534


def test_selectors(t, spire):
    """uid, gid, path and sha256, one at a time: whom they match and whom they do not."""
    user = nobody()
    r = Redis(t, spire)
    r.serve()
    cli = os.path.join(t.dir, "redis-cli")
    other = os.path.join(t.dir, "redis-cli-other")
    for copy in (cli, other):
        shutil.copy(which("redis-cli"), copy)
    with open(other, "ab") as f:
        f.write(b"\n")
    with open(cli, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    r.unregister("cli")
    r.synchronise()
    theirs = dict(log={"to": os.path.join(t.log_dir, "guest.log")}, audit={"to": os.path.join(t.log_dir, "audit-guest.log")})
    config = {0: r.config, user: t.both(r.port, allow=[f"{TD}/redis"], workload_api={"socket": spire.address}, **theirs)}

    def run(program, uid, wait):
        # Root's daemon and the other user's may both be there: each is asked by its own.
        return t.spawn(t.wrap(config[uid], [program, "-p", str(r.port), "PING"], wait=wait), user=uid or None)
    for selector, yes, no in ((f"unix:uid:{user}", (cli, user), (cli, 0)), (f"unix:gid:{user}", (cli, user), (cli, 0)),
                              (f"unix:path:{cli}", (cli, 0), (other, 0)), (f"unix:sha256:{digest}", (cli, 0), (other, 0))):
        r.register("cli", selector)
        served = run(*yes, "20s")
        served.wait(30)
        assert served.out() == b"PONG\n", (selector, served.text())
        refused = run(*no, "1s")
        assert refused.wait(20) == 69 and "no identity issued" in refused.text(), (selector, refused.text())
        r.unregister("cli")
        r.synchronise()


def test_several_entries_and_hints(t, spire):
    """Two SVIDs for one program: the configuration chooses by ID or by hint, for all or for a rule."""
    r = Redis(t, spire)
    r.register("blue", exe("redis-server"), hint="internal")
    r.register("green", exe("redis-server"), hint="external")
    second, third = t.port(), t.port()
    allow = [f"{TD}/cli"]
    config = t.config(listen=[{"port": r.port, "allow": allow}, {"port": second, "allow": allow, "identity": {"hint": "external"}},
                              {"port": third, "allow": allow, "identity": {"hint": "nobody-has-it"}, "name": "third"}],
                      workload_api={"socket": spire.address}, identity={"hint": "internal"})
    for port in (r.port, second, third):
        proc = t.spawn(t.wrap(config, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""], wait="30s"))
        t.listening(port, proc=proc, timeout=40)
    for port, want in ((r.port, "blue"), (second, "green")):
        dial = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [f"{TD}/{want}"]}], workload_api={"socket": spire.address})
        proc = t.spawn(t.wrap(dial, ["redis-cli", "-p", str(port), "PING"], wait="30s"))
        assert proc.wait(40) == 0 and proc.out() == b"PONG\n", (want, proc.text())
    dial = t.config(connect=[{"to": f"127.0.0.1:{third}", "allow": [f"{TD}/**"]}], workload_api={"socket": spire.address})
    proc = t.spawn(t.wrap(dial, ["redis-cli", "-p", str(third), "PING"], wait="30s"))
    proc.wait(40)
    assert b"PONG" not in proc.out(), proc.text()
    t.audited(direction="inbound", rule="third", reason=re.compile("nobody-has-it"))


def test_svids_of_ten_seconds_under_load(t, spire):
    """Many SVIDs on both sides, no connection fails."""
    r = Redis(t, spire, register=False)
    r.register("redis", exe("redis-server"), ttl=10)
    r.register("cli", exe("redis-cli"), ttl=10)
    r.serve()
    seen, end = set(), time.monotonic() + 25
    live = t.spawn(t.wrap(r.config, ["redis-cli", "-p", str(r.port), "-r", "240", "-i", "0.1", "PING"], wait="30s"))
    while time.monotonic() < end:
        assert r.ping()
        seen.add(r.serial())
    live.wait(30)
    assert live.out() == b"PONG\n" * 240, live.text()[-500:]
    assert None not in seen and len(seen) >= 4, seen


def test_the_ca_rotates(t, spire):
    """A new authority is prepared, signs, and the old one is tainted and revoked: nobody is refused at any step, and
    what the old one signed is no longer trusted at the end."""
    r = Redis(t, spire)
    r.serve()
    live = t.spawn(t.wrap(r.config, ["redis-cli", "-p", str(r.port), "-r", "2000", "-i", "0.1", "PING"], wait="30s"))
    first = r.serial()
    old = os.path.join(t.dir, "old")
    os.mkdir(old)
    spire.ask("x509", "mint", "-spiffeID", f"{TD}/cli", "-write", old)

    def stranger():
        """openssl with an SVID that the old authority signed."""
        run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{r.port}", "-tls1_3", "-quiet", "-no_ign_eof", "-cert",
                              f"{old}/svid.pem", "-key", f"{old}/key.pem"], input=b"PING\r\nQUIT\r\n", capture_output=True,
                             timeout=20)
        return b"+PONG" in run.stdout

    def through(what, check=lambda: True):
        """Pings all the while until it is so."""
        def look():
            assert r.ping(), what
            return check()
        until(what, look, timeout=SYNC + 10, pause=0.2)
    through("served", stranger)
    spire.authority("prepare")
    through("two roots")
    time.sleep(3)  # every agent is to have the new root before it signs
    spire.authority("activate", "prepared")
    through("two roots, the new one signs", stranger)
    spire.authority("taint", "old")
    through("the new root's SVID", lambda: r.serial() not in (None, first))
    spire.authority("revoke", "old")
    through("the old root is forgotten", lambda: not stranger())
    assert live.alive() and b"rror" not in live.out() + live.err(), live.text()[-500:]
    live.stop()


def test_two_federated_trust_domains(t, spire):
    """A SPIRE server each: peers are judged by the roots of their own domain, both ways, and by the other's name."""
    r = Redis(t, spire, register=False)
    directory = os.path.join(t.dir, PARTNER)
    os.mkdir(directory)
    partner = Spire(spire.binaries, directory, PARTNER)
    t.cleanups.append(partner.stop)
    partner.start()
    spire.federate(partner)
    partner.federate(spire)
    r.register("redis", exe("redis-server"), federates=[PARTNER])
    partner.entry("web", exe("redis-cli"), federates=[DOMAIN])
    partner.entry("web", exe("python3"))
    r.config = t.config(listen=[{"port": r.port, "allow": [f"spiffe://{PARTNER}/web"]}], workload_api={"socket": spire.address})
    r.serve()
    dial = t.config(connect=[{"to": f"127.0.0.1:{r.port}", "allow": [f"{TD}/redis"]}], workload_api={"socket": partner.address})
    assert r.ping(config=dial)
    t.audited(result="allowed", direction="inbound", client_spiffe_id=f"spiffe://{PARTNER}/web", server_spiffe_id=f"{TD}/redis")
    # An entry that does not federate gets no bundle of ours, and trusts nobody of us.
    proc = t.spawn(t.wrap(dial, [PYTHON, "-c", MANY_CLIENT, str(r.port), "PING", "1", "0"], wait="30s"))
    proc.wait(40)
    assert b"good 0 bad 1 EACCES" in proc.out(), proc.text()
    t.audited(result="denied", direction="outbound", server_spiffe_id=f"{TD}/redis", reason=re.compile(DOMAIN))
    # The partner's CA rotates: its new root has to come over before anybody of it is served again.
    partner.authority("prepare")
    spire.federate(partner)
    time.sleep(3)  # the agents are to have both roots
    partner.authority("activate", "prepared")
    partner.authority("taint", "old")
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert r.ping(config=dial)
    partner.authority("revoke", "old")
    spire.federate(partner)
    time.sleep(3)
    assert r.ping(config=dial)


def test_the_daemons_own_identity(t, spire):
    """identity.scope: daemon: the agent attests svidwrap itself, for programs that have no entry; and again after a
    restart of the agent, while everybody sits idle."""
    r = Redis(t, spire, register=False, identity={"scope": "daemon"})
    r.register("redis", exe(harness.SVIDWRAP), ttl=10)
    r.serve()
    assert r.ping()
    t.audited(direction="inbound", result="allowed", client_spiffe_id=f"{TD}/redis", server_spiffe_id=f"{TD}/redis")
    old = r.serial()
    spire.stop_agent()
    until("the SVID has expired", lambda: r.serial() is None, pause=0.5)
    spire.start_agent()
    until("a fresh SVID", lambda: r.serial() not in (None, old), timeout=SOON, pause=0.1)
    assert r.ping()
