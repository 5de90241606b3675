# SPDX-License-Identifier: Apache-2.0
"""Do Workload API clients that others wrote accept our dev agent? go-spiffe on grpc-go, the
PyPI package `spiffe` on grpcio, the crate `spiffe` on tonic (java-spiffe: test_peer_java.py)."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))
from harness import PYTHON, entry  # noqa: E402
from peers import HERE, TD, event, gopeer, last, lines, peer  # noqa: E402


def fetch(t, a, *flags, code=0):
    proc = t.spawn([gopeer(), "fetch", "-agent", a.address, *flags], name="gopeer-fetch")
    assert proc.wait() == code, proc.text()
    return proc


def go_agent(t, **more):
    """go-spiffe gets two SVIDs, one with a hint; Python another."""
    return t.agent([entry(f"{TD}/go", gopeer(), hint="external"), entry(f"{TD}/go2", gopeer()),
                    entry(f"{TD}/python", PYTHON)], **more)


def partner(t):
    """A bundle of another trust domain, from a dev agent of its own."""
    other = t.agent(trust_domain="partner.test", name="partner")
    return {"trust_domain": "partner.test", "bundle": os.path.join(other.mint("spiffe://partner.test/x"), "bundle.pem")}


def test_go_spiffe_takes_what_the_dev_agent_serves(t):
    a = go_agent(t, federation=[partner(t)])
    got = last(fetch(t, a))
    assert {(s["id"], s["hint"]) for s in got["svids"]} == {(f"{TD}/go", "external"), (f"{TD}/go2", "")}, got
    assert all(s["verify"] == "" for s in got["svids"]), got
    assert got["domains"] == {"example.org": 1, "partner.test": 1}, got


def test_go_spiffe_fetches_bundles(t):
    a = go_agent(t, federation=[partner(t)])
    assert last(fetch(t, a, "-bundles"))["domains"] == {"example.org": 1, "partner.test": 1}


def test_go_spiffe_sees_rotation(t):
    """Short-lived SVIDs are renewed down the open stream: each update has new serials."""
    got = lines(fetch(t, go_agent(t, svid_ttl="2s"), "-updates", "4"))
    serials = [s["serial"] for update in got for s in update["svids"]]
    assert len(got) == 4 and len(set(serials)) == len(serials), got


def test_go_spiffe_sees_new_svids_on_sigusr1(t):
    a = go_agent(t)
    proc = t.spawn([gopeer(), "fetch", "-agent", a.address, "-updates", "2"], name="gopeer-fetch")
    first = event(proc, event="update")
    a.signal(signal.SIGUSR1)
    assert proc.wait() == 0, proc.text()
    assert first["svids"] != last(proc)["svids"]


def test_go_spiffe_sees_the_ca_rotate(t):
    """Old and new root are in the bundle together, and the new SVIDs verify."""
    a = go_agent(t)
    proc = t.spawn([gopeer(), "fetch", "-agent", a.address, "-updates", "2"], name="gopeer-fetch")
    event(proc, event="update")
    a.signal(signal.SIGUSR2)
    assert proc.wait() == 0, proc.text()
    got = last(proc)
    assert got["domains"]["example.org"] == 2 and all(s["verify"] == "" for s in got["svids"]), got


def test_go_spiffe_without_an_entry_is_denied(t):
    a = t.agent([entry(f"{TD}/nobody", "/bin/true")])
    assert "PermissionDenied" in last(fetch(t, a, "-once", code=1))["error"]


def test_go_spiffe_sees_an_entry_go(t):
    a = go_agent(t)
    proc = t.spawn([gopeer(), "fetch", "-agent", a.address, "-updates", "2", "-timeout", "4s"], name="gopeer-fetch")
    event(proc, event="update")
    a.reload(entries=[entry(f"{TD}/nobody", "/bin/true")])
    assert proc.wait() == 1 and "PermissionDenied" in last(proc)["error"], proc.text()


def test_python_spiffe_takes_what_the_dev_agent_serves(t):
    python = peer("spiffe", "spiffe", "bin", "python")
    a = go_agent(t, federation=[partner(t)])
    proc = t.spawn([python, os.path.join(HERE, "spiffe_fetch.py"), a.address], name="python-spiffe")
    assert proc.wait() == 0, proc.text()
    got = last(proc)
    assert got["ids"] == [f"{TD}/python"] and got["domains"] == ["example.org", "partner.test"], got


def test_rust_spiffe_takes_what_the_dev_agent_serves(t):
    binary = peer("rustpeer")
    a = t.agent([entry(f"{TD}/rust", binary), entry(f"{TD}/rust2", binary, hint="x")], federation=[partner(t)])
    proc = t.spawn([binary, a.address], name="rustpeer")
    assert proc.wait() == 0, proc.text()
    assert last(proc) == {"ids": [f"{TD}/rust", f"{TD}/rust2"], "bundles": 2}, proc.text()
