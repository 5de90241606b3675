# SPDX-License-Identifier: Apache-2.0
"""Staged migration as its operator sees it: counts that survive the daemon, the report's verdict, modes that change at
run time and come back.
"""
import html.parser
import json
import os
import re
import signal
import subprocess
import time

from apps import client, echo_server
from harness import NATIVE, PYTHON, ROOT, SVIDWRAP, TD, Skip, entry, until, which

ID = f"{TD}/app"


def prepare(t):
    if NATIVE:
        raise Skip("about svidwrap itself")
    t.agent([entry(ID)])
    return t.port()


def svidwrap(t, *argv, user=None, code=0):
    """A command of the tool in the test's environment: its stdout, or what it wrote to stderr when code is not 0."""
    binary = t.for_others(SVIDWRAP) if user is not None else SVIDWRAP
    run = subprocess.run([binary, *argv], env=t.environ, capture_output=True, text=True, timeout=30, user=user,
                         group=user, extra_groups=[] if user is not None else None)
    assert run.returncode == code, (argv, run)
    return run.stdout if code == 0 else run.stderr


def survey(t, *argv):
    return json.loads(svidwrap(t, "report", "--json", *argv))


def rules(t, *argv):
    return {r["rule"]: r for r in survey(t, *argv)["rules"]}


def next_second():
    """A full second from now on, as --since takes it."""
    now = time.time()
    time.sleep(1 - now % 1 + 0.01)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def rules_or_none(t):
    run = subprocess.run([SVIDWRAP, "report", "--json"], env=t.environ, capture_output=True, text=True, timeout=30)
    return {r["rule"]: r for r in json.loads(run.stdout)["rules"]} if run.returncode == 0 else None


def talk(t, config, port, times=1):
    """One exchange of a wrapped client, or without a configuration, of one that is as it is."""
    for _ in range(times):
        argv = [PYTHON, "-c", CONNECT, str(port)]
        assert t.run(t.wrap(config, argv) if config else argv) == b"echo: hello\n"


CONNECT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
    s.sendall(b"hello")
    print("echo:", s.recv(100).decode())
    s.shutdown(socket.SHUT_WR)
    s.recv(1)
"""


def test_report_tells_what_passed_and_whether_it_is_safe(t):
    port = prepare(t)
    config = t.config(listen=[{"port": port, "name": "the server", "allow": [ID]},
                              {"port": t.port(), "name": "nobody comes", "allow": [ID]}],
                      connect=[{"to": f"127.0.0.1:{port}", "name": "to the <server>", "allow": [ID]}])
    assert "no daemon" in svidwrap(t, "report", code=69)
    echo_server(t, config, port)
    talk(t, config, port, 3)
    seen = rules(t)
    for name, direction in (("the server", "listen"), ("to the <server>", "connect")):
        rule = seen[name]
        assert rule["counts"] == {"mtls": 3, "would_deny": 0, "plaintext": 0, "denied": 0, "failed": 0}, rule
        assert rule["direction"] == direction and rule["mode"] == "enforce" and rule["config"] == config, rule
        assert rule["verdict"] == {"safe": True, "text": "safe to enforce", "against": []}, rule
        assert [p["peer"] for p in rule["peers"]] == [ID], rule
    quiet = seen["nobody comes"]
    assert not quiet["verdict"]["safe"] and "no traffic seen" in quiet["verdict"]["text"], quiet
    assert len(t.audit()) == 6  # every line is one count
    text = svidwrap(t, "report", "--since", "1h")
    assert "safe to enforce" in text and "no traffic seen in the window" in text and ID in text, text
    page = svidwrap(t, "report", "--html")
    assert "to the &lt;server&gt;" in page and "<server>" not in page, page
    Balanced().feed(page)
    assert "RFC 3339" in svidwrap(t, "report", "--since", "yesterday", code=64)


class Balanced(html.parser.HTMLParser):
    """Every element that is opened is closed, in order."""
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "img", "link"), tag
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def test_report_is_for_the_daemons_user_and_root(t):
    port = prepare(t)
    if os.getuid() != 0:
        raise Skip("needs a second user")
    config = t.config(listen=[{"port": port, "allow": [ID]}])
    echo_server(t, config, port)
    assert "takes orders from root and from uid 0" in svidwrap(t, "report", user=65534, code=65)
    svidwrap(t, "report")


def test_counts_survive_a_daemon_that_is_killed(t):
    port = prepare(t)
    state = os.path.join(t.dir, "state")
    config = t.config(listen=[{"port": port, "name": "server", "allow": [ID]}],
                      connect=[{"to": f"127.0.0.1:{port}", "name": "client", "allow": [ID]}], state_dir=state)
    echo_server(t, config, port)
    for round in range(3):
        talk(t, config, port, 2)
        want = 2 * (round + 1)
        assert rules(t)["server"]["counts"]["mtls"] == want
        time.sleep(2.5)  # what is older than a second is on disk
        worker = t.worker()
        os.kill(worker, signal.SIGKILL)
        until("another worker", lambda: t.worker() != worker)
        after = until("a daemon that answers", lambda: rules_or_none(t), pause=0.1)
        assert after["server"]["counts"]["mtls"] == want, after
        assert after["client"]["counts"]["mtls"] == want, after
    assert os.stat(os.path.join(state, "counters")).st_mode & 0o777 == 0o600
    assert survey(t)["state_dir"] == state and survey(t)["state_trouble"] == ""


# -- modes at run time -------------------------------------------------------------------------------------------

def staged(t, port, **more):
    """A server and a client whose rules are off, and prepared for more."""
    return t.config(listen=[{"name": "server", "port": port, "mode": "off", "allow": [ID]}],
                    connect=[{"name": "client", "to": f"127.0.0.1:{port}", "mode": "off", "allow": [ID]}], **more)


def orders(t):
    return [(a["event"], a["rule"], a["old"], a["new"]) for a in t.audit() if a["event"] in ("mode", "rollback")]


def modes(t):
    return {name: r["mode"] + (f" {r['percent']}" if "percent" in r else "") for name, r in rules(t).items()}


def results(t):
    return [(a["rule"], a["result"]) for a in t.audit() if a["event"] == "connection"]


def test_what_is_open_in_plaintext_stands_against_enforcing(t):
    port = prepare(t)
    config = t.config(listen=[{"name": "server", "port": port, "mode": "permissive", "allow": [ID]}],
                      connect=[{"name": "client", "to": f"127.0.0.1:{port}", "allow": [ID]}])
    echo_server(t, config, port)
    old = t.spawn([PYTHON, "-c", HOLD, str(port)])
    old.line("connected")
    until("its plaintext", lambda: rules(t)["server"]["counts"]["plaintext"] == 1, pause=0.1)
    assert "plaintext from 127.0.0.1 (1" in rules(t)["server"]["verdict"]["text"]
    since = next_second()  # it leaves the window, and is still there
    talk(t, config, port)
    verdict = rules(t, "--since", since)["server"]["verdict"]
    assert not verdict["safe"] and [a["what"] for a in verdict["against"]] == ["open_plaintext"], verdict
    svidwrap(t, "mode", "client", "canary", "--percent", "0")
    out = t.wrapped(config, [PYTHON, "-c", HOLD, str(port)])  # and one that goes out
    out.line("connected")
    svidwrap(t, "mode", "client", "canary", "--percent", "100")
    later = next_second()
    talk(t, config, port)
    verdict = rules(t, "--since", later)["client"]["verdict"]
    assert not verdict["safe"] and [a["what"] for a in verdict["against"]] == ["open_plaintext"], verdict
    out.stop()
    until("a safe rule", lambda: rules(t, "--since", later)["client"]["verdict"]["safe"], pause=0.1)
    old.stop()
    until("a safe rule", lambda: rules(t, "--since", later)["server"]["verdict"]["safe"], pause=0.1)


def test_a_variable_that_decides_about_a_mode_is_told(t):
    port = prepare(t)
    config = staged(t, port)
    name = f"SVIDWRAP_LISTEN_{port}_MODE"
    echo_server(t, config, port, extra={name: "enforce"})
    assert rules(t)["server"]["mode"] == "enforce"
    out = svidwrap(t, "mode", "server", "permissive")
    assert "enforce -> permissive" in out and f"note: {name} of the program decides about it again" in out, out
    talk(t, None, port)


def test_a_mode_that_cannot_be_is_refused_with_its_cure(t):
    port = prepare(t)
    config = t.config(listen=[{"name": "server", "port": port, "allow": [ID]},
                              {"name": "bare", "port": t.port(), "mode": "off"},
                              {"name": "low", "port": [7001, 7002], "address": "127.0.0.1", "allow": [ID]}]
                      [:2], connect=[{"name": "client", "to": f"127.0.0.1:{port}", "allow": [ID]}])
    echo_server(t, config, port)
    for argv, says, code in ((("server", "canary"), "canary is for connect rules", 65),
                             (("client", "permissive"), "permissive is for listen rules", 65),
                             (("bare", "enforce"), "allow", 65),
                             (("nothing", "enforce"), "the rules are: 'server', 'bare', 'client'", 65),
                             (("1", "enforce"), "no listen rule covers port 1", 65),
                             (("10.9.8.7:1", "enforce"), "no connect rule covers 10.9.8.7 port 1", 65),
                             (("server", "on"), "one of off, permissive, canary, enforce", 65),
                             (("client", "canary", "--percent", "101"), "from 0 to 100", 64),
                             (("client", "enforce", "--percent", "10"), "--percent is for canary", 64),
                             (("server", "off", "--config", "/no/such"), "/no/such", 65)):
        err = svidwrap(t, "mode", *argv, code=code)
        assert says in err, (argv, err)
    assert not orders(t)
    assert modes(t) == {"server": "enforce", "bare": "off", "client": "enforce"}


def test_persist_writes_the_file_and_rollback_takes_it_back(t):
    port = prepare(t)
    config = staged(t, port)
    with open(config) as f:
        text = "# what an operator wrote\n" + f.read() + "# and at its end\n"
    with open(config, "w") as f:
        f.write(text)
    os.chmod(config, 0o640)
    if os.getuid() == 0:
        os.chown(config, 0, 12345)
    before = os.stat(config)
    echo_server(t, config, port)
    talk(t, None, port)
    out = svidwrap(t, "mode", "server", "permissive", "--persist")
    assert f"{config}: written" in out and "off -> permissive" in out, out
    with open(config) as f:
        written = f.read()
    assert written != text and written.startswith("# what an operator wrote\n") and written.endswith(
        "# and at its end\n") and written.replace('"permissive"', '"off"').replace("permissive", "off") == text.replace(
        "permissive", "off"), written
    after = os.stat(config)
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.listdir(t.dir).count(os.path.basename(config)) == 1 and not [n for n in os.listdir(t.dir)
                                                                          if n.startswith(".svidwrap")]
    time.sleep(0.5)  # the watch has seen the new file, and it is no change
    svidwrap(t, "mode", "client", "enforce")
    time.sleep(0.3)
    assert modes(t) == {"server": "permissive", "client": "enforce"}
    assert reloads(t) == 0
    talk(t, None, port)
    talk(t, config, port)  # a program that starts now shares the policy
    assert len(survey(t)["rules"]) == 2
    svidwrap(t, "rollback")
    out = svidwrap(t, "rollback")
    assert f"{config}: written" in out, out
    with open(config) as f:
        assert f.read() == text
    time.sleep(0.5)
    assert modes(t) == {"server": "off", "client": "off"} and reloads(t) == 0
    assert [a["persisted"] for a in t.audit() if a["event"] == "mode"] == [True, False]


def reloads(t):
    return sum(c["reloads"] for c in json.loads(svidwrap(t, "status", "--json"))["configs"])


def test_a_changed_file_wins_and_can_be_rolled_back(t):
    port = prepare(t)
    config = staged(t, port)
    echo_server(t, config, port)
    talk(t, None, port)
    svidwrap(t, "mode", "server", "enforce")
    with open(config) as f:
        text = f.read()
    changed = text.replace('"mode": "off"', '"mode": "permissive"', 1)
    assert changed != text
    replace(config, changed)
    until("the file's mode", lambda: modes(t)["server"] == "permissive")
    out = svidwrap(t, "rollback")
    assert "undone: the changed file" in out and f"note: {config} is left as it is" in out, out
    assert modes(t)["server"] == "enforce"
    with open(config) as f:
        assert f.read() == changed
    svidwrap(t, "rollback")
    assert modes(t)["server"] == "off"
    # An order on a file that the daemon has not in force is not written to it.
    replace(config, changed + "nonsense: 1\n")
    time.sleep(0.3)
    err = svidwrap(t, "mode", "server", "enforce", "--persist", code=65)
    assert "not what the daemon has in force" in err, err
    assert modes(t)["server"] == "off"
    with open(config) as f:
        assert f.read() == changed + "nonsense: 1\n"


def replace(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)
def test_a_mode_changes_while_programs_run_and_comes_back(t):
    port = prepare(t)
    config = staged(t, port)
    echo_server(t, config, port)
    holder = client(t, config, HOLD, port)  # a session of the client's rule
    holder.line("connected")
    open_one = t.spawn([PYTHON, "-c", HOLD, str(port)])  # and one that is not wrapped
    open_one.line("connected")
    talk(t, config, port)
    assert "plaintext" in dict(results(t)).values(), results(t)
    out = svidwrap(t, "mode", str(port), "permissive")
    assert "rule 'server': off -> permissive" in out and "--persist" in out, out
    svidwrap(t, "mode", f"127.0.0.1:{port}", "canary", "--percent", "100")
    assert modes(t) == {"server": "permissive", "client": "canary 100"}, modes(t)
    talk(t, config, port)
    assert results(t)[-1][1] == "allowed", results(t)
    assert "already" in svidwrap(t, "mode", "client", "canary", "--percent", "100")
    os.kill(t.worker(), signal.SIGHUP)  # the files are what they were
    out = svidwrap(t, "mode", "server", "enforce")
    # The two that are held; the server may still be at closing the last one that was not.
    assert re.search("^[23] live connections that this policy does not let in are ended$", out, re.M), out
    svidwrap(t, "mode", "client", "enforce")
    talk(t, config, port)
    assert orders(t) == [("mode", "server", "off", "permissive"), ("mode", "client", "off", "canary 100"),
                         ("mode", "server", "permissive", "enforce"), ("mode", "client", "canary 100", "enforce")]
    assert all(a["uid"] == os.getuid() and a["pid"] > 0 and a["config"] == config and not a["persisted"]
               for a in t.audit() if a["event"] in ("mode", "rollback"))
    for want, more in (({"server": "enforce", "client": "canary 100"}, ()),
                       ({"server": "permissive", "client": "canary 100"}, ()),
                       ({"server": "off", "client": "off"}, ("--all",))):
        out = svidwrap(t, "rollback", *more)
        assert out.count("undone: the order") == (2 if more else 1), out
        assert modes(t) == want, (modes(t), want)
        talk(t, config, port)
    assert "nothing to undo" in svidwrap(t, "rollback", code=65)
    assert orders(t)[4:] == [("rollback", "client", "enforce", "canary 100"),
                             ("rollback", "server", "enforce", "permissive"),
                             ("rollback", "client", "canary 100", "off"), ("rollback", "server", "permissive", "off")]
    assert "plaintext" in results(t)[-1][1], results(t)


HOLD = r"""
import socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
while True:
    time.sleep(1)
"""




def test_who_would_be_denied_is_named(t):
    port = prepare(t)
    config = t.config(listen=[{"name": "server", "port": port, "mode": "permissive", "policy": "audit",
                               "allow": [f"{TD}/somebody-else"]}],
                      connect=[{"name": "client", "to": f"127.0.0.1:{port}", "mode": "canary", "percent": 100,
                                "allow": [ID]}])
    echo_server(t, config, port)
    talk(t, config, port, 2)
    rule = rules(t)["server"]
    assert rule["policy_audit"] and rule["counts"]["would_deny"] == 2 and rule["counts"]["mtls"] == 0, rule
    assert not rule["verdict"]["safe"] and f"policy would deny {ID} (2, last" in rule["verdict"]["text"], rule
    assert rules(t)["client"]["verdict"]["safe"], rules(t)["client"]


def test_an_enforced_configuration_is_the_one_that_changes(t):
    port = prepare(t)
    owner = t.config(listen=[{"name": "owner's", "port": port, "allow": [ID]}],
                     connect=[{"name": "out", "to": f"127.0.0.1:{port}", "allow": [ID]}], enforce_config=True)
    program = t.config(listen=[{"name": "program's", "port": port, "mode": "off"}])
    t.spawn([SVIDWRAP, "daemon", "--foreground", "--config", owner], name="daemon", unwrapped=True)
    until("the daemon", lambda: subprocess.run([SVIDWRAP, "status"], env=t.environ, capture_output=True).returncode == 0)
    echo_server(t, program, port)
    talk(t, program, port)
    assert set(modes(t)) == {"owner's", "out"}
    assert "there is no rule" in svidwrap(t, "mode", "program's", "off", code=65)
    svidwrap(t, "mode", "owner's", "permissive", "--persist")
    talk(t, None, port)
    with open(owner) as f:
        assert "permissive" in f.read()
    svidwrap(t, "rollback")
    assert modes(t)["owner's"] == "enforce"


# -- the rehearsal ------------------------------------------------------------------------------------------------

def test_three_services_go_all_the_way_and_back_without_a_failed_request(t):
    if NATIVE:
        raise Skip("about svidwrap itself")
    for program in ("nginx", "redis-server"):
        which(program)
    ports = [t.port() for _ in range(3)]
    script = os.path.join(ROOT, "examples", "migration", "rehearse")
    out = t.run([script, "--svidwrap", SVIDWRAP, "--stage", "2", "--dir", t.log_dir, "--ports", ",".join(map(str, ports))],
                timeout=55).decode()
    assert re.search(r"all the way and back: \d{3,} requests, 0 failed", out), out
    assert out.count("report: safe to enforce") == 2 and out.count("report: not safe: plaintext from") == 5, out
    lines = [a for a in t.audit() if a["event"] == "connection"]
    for rule in ("nginx-to-app", "app", "app-to-redis", "redis"):
        seen = {a["result"] for a in lines if a["rule"] == rule}
        assert seen == {"plaintext", "allowed"}, (rule, seen)
    orders_given = [a for a in t.audit() if a["event"] in ("mode", "rollback")]
    assert len(orders_given) == 24, len(orders_given)
