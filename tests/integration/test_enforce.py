# SPDX-License-Identifier: Apache-2.0
"""enforce_config: does every program of every user get root's policy, whatever it brings, or does not bring?"""
import os

from apps import ECHO_SERVER, MANY_CLIENT
from harness import PYTHON, SVIDWRAP, entry
from test_identity import NOBODY, NOBODY_ID, ROOT_ID, two_users
from test_reload import changed, followed, in_force, replace, wrapped_only
from test_service import only_this_daemon, service


def begin(t, **more):
    """Root's daemon, that lets root's identity and nobody's talk to each other on one port."""
    wrapped_only()
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID], enforce_config=True, **more)
    return port, config, service(t, config=config)


def bare(t, config, argv, **more):
    """A preload, with whatever configuration."""
    return t.wrapped(config, argv, how="preload", **more)


def ask(t, config, port, **more):
    c = bare(t, config, [PYTHON, "-c", MANY_CLIENT, str(port), t.marker.decode(), "1", "0"], **more)
    c.wait()
    return c.out().decode().splitlines()[-1]


def test_programs_need_no_configuration_of_their_own(t):
    port, _, proc = begin(t)
    none = "/nonexistent/svidwrap.yaml"
    with t.watch(port):
        server = bare(t, none, [PYTHON, "-c", ECHO_SERVER, str(port)], user=NOBODY)
        t.listening(port, proc=server)
        assert ask(t, none, port) == "good 1 bad 0"
        assert ask(t, none, port, user=NOBODY) == "good 1 bad 0"
        run = t.spawn([SVIDWRAP, "run", "--", PYTHON, "-c", MANY_CLIENT, str(port), t.marker.decode(), "1", "0"],
                      user=NOBODY)
        assert run.ok().endswith(b"good 1 bad 0\n")
    only_this_daemon(t, proc)
    t.audited(direction="inbound", server_spiffe_id=NOBODY_ID, client_spiffe_id=ROOT_ID)
    t.audited(direction="inbound", server_spiffe_id=NOBODY_ID, client_spiffe_id=NOBODY_ID)


def test_what_a_program_brings_is_not_followed(t):
    """A file that leaves the port alone, and variables that would change a mode: in clear goes nothing."""
    port, _, proc = begin(t)
    mine = t.config(connect=[{"to": f"127.0.0.1:{port}", "mode": "off"}], listen=[{"port": port, "mode": "off"}])
    os.chown(mine, NOBODY, NOBODY)
    variables = {f"SVIDWRAP_LISTEN_{port}_MODE": "off", "SPIFFE_ENDPOINT_SOCKET": "unix:///nonexistent/agent.sock"}
    with t.watch(port):
        server = bare(t, mine, [PYTHON, "-c", ECHO_SERVER, str(port)], user=NOBODY, extra=variables)
        t.listening(port, proc=server)
        assert ask(t, mine, port, user=NOBODY, extra=variables) == "good 1 bad 0"
    only_this_daemon(t, proc)
    t.audited(direction="inbound", result="allowed", server_spiffe_id=NOBODY_ID, client_spiffe_id=NOBODY_ID)


def test_run_says_that_its_configuration_is_ignored(t):
    port, config, _ = begin(t)
    broken = os.path.join(t.dir, "broken.yaml")
    with open(broken, "w") as f:
        f.write("no: such: thing\n")
    server = t.wrapped(broken, [PYTHON, "-c", ECHO_SERVER, str(port)])
    t.listening(port, proc=server)
    assert f"{broken} is ignored" in server.text() and config in server.text(), server.text()


def test_a_new_policy_holds_for_all(t):
    port, config, _ = begin(t)
    server = bare(t, "/nonexistent", [PYTHON, "-c", ECHO_SERVER, str(port)])
    t.listening(port, proc=server)
    assert ask(t, "/nonexistent", port, user=NOBODY) == "good 1 bad 0"
    followed(t, config)
    replace(config, changed(config, f', "{NOBODY_ID}"', ""))
    in_force(t, config)
    assert "bad 1" in ask(t, "/nonexistent", port, user=NOBODY)
    os.chmod(config, 0o666)
    replaced = changed(config, f'"{ROOT_ID}"', f'"{ROOT_ID}", "{NOBODY_ID}"')
    with open(config, "w") as f:
        f.write(replaced)
    from harness import until
    from test_reload import log
    until("a file that anybody may write is refused", lambda: "must not be able to write it" in log(t))
    assert "bad 1" in ask(t, "/nonexistent", port, user=NOBODY)


def test_a_file_that_others_may_write_is_not_enforced(t):
    wrapped_only()
    t.agent([entry(ROOT_ID)])
    config = t.both(t.port(), enforce_config=True)
    os.chmod(config, 0o666)
    proc = t.spawn([SVIDWRAP, "daemon", "--foreground", "--worker", "--config", config])
    assert proc.wait() == 78 and "chmod go-w" in proc.text(), proc.text()


def test_a_variable_of_a_program_changes_no_mode(t):
    port, config, _ = begin(t)
    off = {f"SVIDWRAP_LISTEN_{port}_MODE": "off", f"SVIDWRAP_CONNECT_{port}_MODE": "off"}
    with t.watch(port):
        server = bare(t, config, [PYTHON, "-c", ECHO_SERVER, str(port)], user=NOBODY, extra=off)
        t.listening(port, proc=server)
        assert ask(t, config, port, user=NOBODY, extra=off) == "good 1 bad 0"
        assert ask(t, config, port) == "good 1 bad 0"
    assert not [a for a in t.audit() if a["result"] == "plaintext"], t.audit()
