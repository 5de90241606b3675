# SPDX-License-Identifier: Apache-2.0
"""Identities from a real SPIRE agent: who gets which, when they come, change and go. (t: an Env; spire: a Spire.)"""
import os
import re
import subprocess
import time

import harness
from harness import until, which
from spire import DOMAIN, SYNC

TD = f"spiffe://{DOMAIN}"


def exe(program):
    return "unix:path:" + os.path.realpath(which(program))


class Redis:
    """A wrapped redis-server and redis-cli with entries of their own, all of it gone with the test."""

    def __init__(self, t, spire, server_ttl=None, register=True):
        self.t, self.spire, self.port = t, spire, t.port()
        allow = [f"{TD}/redis", f"{TD}/cli"]
        self.config = t.both(self.port, allow=allow, workload_api={"socket": spire.address})
        self.entries = {}
        if register:
            self.register("redis", exe("redis-server"), ttl=server_ttl)
            self.register("cli", exe("redis-cli"))
        else:
            self.no_entries()

    def register(self, name, *selectors, ttl=None):
        entry = self.entries[name] = self.spire.entry(name, *selectors, ttl=ttl)
        self.t.cleanups.append(lambda: self.unregister(name) if self.entries.get(name) == entry else None)

    def unregister(self, name):
        self.spire.delete(self.entries.pop(name))

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]

    def serve(self, **more):
        proc = self.t.spawn(self.t.wrap(self.config, self.command(), wait="30s"), name="redis-server", **more)
        self.t.listening(self.port, proc=proc, timeout=40)
        return proc

    def no_entries(self):
        """Waits until the agent has forgotten the tests before this one."""
        def denied():
            proc = self.t.spawn(self.t.wrap(self.config, ["redis-cli", "--version"], wait="1s"))
            return proc.wait(20) == 69
        until("no entry for redis-cli", denied, timeout=SYNC, pause=0.5)

    def ping(self, config=None, **more):
        proc = self.t.spawn(self.t.wrap(config or self.config, ["redis-cli", "-p", str(self.port), "PING"], wait="30s"), **more)
        proc.wait(40)
        return proc.out() == b"PONG\n"

    def serial(self):
        """The serial number of the certificate that the wrapped server shows (to a stranger, whom it then refuses)."""
        run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-tls1_3"],
                             stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        found = re.search(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", run.stdout, re.S)
        if not found:
            return None
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=found.group(), capture_output=True,
                              check=True).stdout


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
    r = Redis(t, spire)
    r.serve()
    assert r.ping()
    r.unregister("redis")
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
