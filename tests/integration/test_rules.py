# SPDX-License-Identifier: Apache-2.0
"""Do rules cover exactly what they say: lists and ranges of ports, address blocks, both families, the first that
matches, and the identity that they ask for?"""
import os
import socket

from apps import ECHO_SERVER, MANY_CLIENT, TRY, client, echo_server, exchange
from harness import NATIVE, PROGRAMS, PYTHON, TD, Skip, entry, need, until
from test_differential import compare

ID, OTHER = f"{TD}/app", f"{TD}/other"


def prepare(t, *entries):
    if NATIVE:
        raise Skip("about svidwrap itself")
    t.agent(list(entries) or [entry(ID)])
    return t.port()


def served(t, config, port, host="127.0.0.1"):
    code = MANY_CLIENT.replace('"127.0.0.1"', repr(host))
    out = client(t, config, code, port).ok()
    return out.endswith(b"good 1 bad 0\n"), out


def test_every_port_in_both_directions_in_one_process(t):
    port = prepare(t)
    need(os.path.join(PROGRAMS, "scenario"))
    config = t.config(listen=[{"port": "1-65535", "allow": [ID]}], connect=[{"to": "0.0.0.0/0:1-65535", "allow": [ID]},
                                                                            {"to": "[::]/0:1-65535", "allow": [ID]}])
    for name in ("lca_blocking", "lca_nonblock", "any_family", "poll_echo", "duplex", "prefork"):
        argv = [os.path.join(PROGRAMS, "scenario"), name]
        marker = {"SCENARIO_MARKER": t.marker.decode()}
        native = t.run([*argv, str(t.port())], extra=marker).decode().splitlines()
        port = t.port()
        with t.watch(port):
            wrapped = t.run(t.wrap(config, [*argv, str(port)]), extra=marker).decode().splitlines()
        compare(native, wrapped)


def test_lists_and_ranges_of_ports(t):
    first = prepare(t)
    while True:
        ports = [first + i for i in range(6)]
        free = []
        for p in ports:
            try:
                with socket.create_server(("127.0.0.1", p)):
                    free.append(p)
            except OSError:
                pass
        if len(free) == 6:
            break
        first = t.port()
    inside, outside = [ports[0], ports[2], ports[3], ports[4]], [ports[1], ports[5]]
    config = t.config(listen=[{"port": [ports[0], f"{ports[2]}-{ports[4]}"], "allow": [ID]}],
                      connect=[{"to": f"127.0.0.1:{ports[0]},{ports[2]}-{ports[4]}", "allow": [ID]}])
    with t.watch(*inside):
        for p in inside:
            echo_server(t, config, p)
            exchange(t, config, p)
    for p in outside:
        echo_server(t, config, p)
        with t.watch(p) as watch:
            exchange(t, config, p)
            assert watch.stop()["hits"][0]["count"] > 0  # left alone: in clear
            watch.result["hits"] = []


def test_address_blocks(t):
    port = prepare(t)
    config = t.config(connect=[{"to": f"127.0.0.0/30:{port}", "allow": [ID]}], listen=[{"port": port, "allow": [ID]}])
    plain = t.config()
    echo_server(t, config, port)
    with t.watch(port):
        assert served(t, config, port)[0]
    out = t.wrapped(plain, [PYTHON, "-c", ECHO_SERVER, str(port), "127.0.0.9"])
    def there():
        try:
            with socket.create_connection(("127.0.0.9", port)):
                return True
        except OSError:
            return False
    until("the plain server", there)
    assert out.alive()
    with t.watch(port) as watch:
        assert served(t, config, port, "127.0.0.9")[0]  # outside of the block
        assert watch.stop()["hits"][0]["count"] > 0
        watch.result["hits"] = []


def test_the_first_rule_that_matches_wins(t):
    port = prepare(t)
    rules = [{"to": f"127.0.0.1:{port}", "mode": "off"}, {"to": f"127.0.0.0/8:{port}", "allow": [ID]}]
    off_first, on_first = t.config(connect=rules), t.config(connect=rules[::-1])
    serve = t.config(listen=[{"port": port, "allow": [ID]}])
    echo_server(t, serve, port)
    with t.watch(port):
        assert served(t, on_first, port)[0]
    good, out = served(t, off_first, port)  # plaintext to a server that wants TLS
    assert not good, out


def test_deny_beats_allow_and_patterns(t):
    port = prepare(t, entry(f"{TD}/ns/prod/batch", uid=os.getuid()))
    dial = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [f"{TD}/**"]}])
    cases = [([f"{TD}/ns/prod/**"], [], True), ([f"{TD}/ns/prod/**"], [f"{TD}/ns/prod/batch"], False),
             ([f"{TD}/ns/*"], [], False), ([f"{TD}/ns/*/batch"], [], True), ([f"{TD}/ns/prod"], [], False),
             ([f"{TD}/**"], [f"{TD}/ns/**"], False), ([f"{TD}/ns/prod/batch"], [], True)]
    for allow, deny, want in cases:
        rule = {"port": port, "allow": allow, **({"deny": deny} if deny else {})}
        proc = echo_server(t, t.config(listen=[rule]), port)
        with t.watch(port):
            good, out = served(t, dial, port)
        assert good == want, (allow, deny, out)
        proc.stop()
        t.gone(port)


def test_several_identities_chosen_by_id_and_by_hint(t):
    port = prepare(t, entry(ID), entry(OTHER, hint="internal"))
    serve = t.config(listen=[{"port": port, "allow": [f"{TD}/**"]}])
    echo_server(t, serve, port)
    with t.watch(port):
        for identity, want in (({}, ID), ({"spiffe_id": OTHER}, OTHER), ({"hint": "internal"}, OTHER), ({"spiffe_id": ID}, ID)):
            dial = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [f"{TD}/**"]}],
                            **({"identity": identity} if identity else {}))
            before = len(t.audit())
            assert served(t, dial, port)[0]

            def line(start=before):
                return next((a for a in t.audit()[start:] if a["direction"] == "inbound"), None)
            assert until("the audit line", line)["client_spiffe_id"] == want, identity


def test_ipv6_and_v4_mapped(t):
    port = prepare(t)
    config = t.both(port, allow=[ID])
    code = ECHO_SERVER.replace("class Server(socketserver.ThreadingTCPServer):",
                               "class Server(socketserver.ThreadingTCPServer):\n    address_family = 10")
    proc = t.wrapped(config, [PYTHON, "-c", code, str(port), "::"])
    t.listening(port, proc=proc)
    with t.watch(port):
        for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            good, out = served(t, config, port, host)
            assert good, (host, out)
    t.audited("IPv6", remote="[::1]:%d" % port, direction="outbound")
    assert not [a for a in t.audit() if "ffff" in a["local"] + a["remote"]], "v4-mapped addresses are IPv4 to people"


def test_variables_in_the_configuration(t):
    port = prepare(t)
    config = t.config(listen=[{"port": "${TEST_PORT}", "allow": ["${TEST_ID:-spiffe://example.org/nobody}"]}],
                      connect=[{"to": "127.0.0.1:${TEST_PORT}", "allow": [ID]}])
    extra = {"TEST_PORT": str(port), "TEST_ID": ID}
    with t.watch(port):
        proc = t.wrapped(config, [PYTHON, "-c", ECHO_SERVER, str(port)], extra=extra)
        t.listening(port, proc=proc)
        out = client(t, config, MANY_CLIENT, port, extra=extra).ok()
        assert out.endswith(b"good 1 bad 0\n"), out


def test_own_trust_domain_in_patterns(t):
    port = prepare(t)
    own, other = ["spiffe://{trust_domain}/app"], ["spiffe://*/elsewhere"]
    for serve, dial, want in ((own, own, True), (other, own, False), (own, other, False)):
        proc = echo_server(t, t.config(listen=[{"port": port, "allow": serve}]), port)
        with t.watch(port):
            good, out = served(t, t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": dial}]), port)
        assert good == want, (serve, dial, out)
        proc.stop()
        t.gone(port)


def test_a_variable_overrides_the_mode_of_one_rule(t):
    port = prepare(t)
    off = {"mode": "off", "allow": [ID]}
    config = t.config(listen=[{"port": port, **off}], connect=[{"name": "my-echo", "to": f"127.0.0.1:{port}", **off}])
    extra = {f"SVIDWRAP_LISTEN_{port}_MODE": "enforce", "SVIDWRAP_CONNECT_MY_ECHO_MODE": "canary",
             "SVIDWRAP_CONNECT_MY_ECHO_PERCENT": "100"}
    for how in ("run", "preload"):
        proc = echo_server(t, config, port, how=how, extra=extra)
        with t.watch(port):
            exchange(t, config, port, how=how, extra=extra)
        proc.stop()
        t.gone(port)
    with open(os.path.join(t.log_dir, "daemon.log")) as f:
        assert f"has mode enforce by the environment (SVIDWRAP_LISTEN_{port}_MODE)" in f.read()
    proc = echo_server(t, config, port)  # as the file says: plaintext
    with t.watch(port) as watch:
        exchange(t, t.config(), port)
        assert watch.stop()["hits"][0]["count"] > 0
        watch.result["hits"] = []
    proc.stop()
    t.gone(port)
    wrong = {f"SVIDWRAP_LISTEN_{port}_MODE": "enforced"}
    proc = t.wrapped(config, [PYTHON, "-c", ECHO_SERVER, str(port)], extra=wrong)
    assert proc.wait() == 78 and f"SVIDWRAP_LISTEN_{port}_MODE holds 'enforced'" in proc.text(), proc.text()


def test_a_wrong_variable_is_the_trouble_of_the_program_that_has_it(t):
    port = prepare(t)
    config = t.both(port, allow=[ID])
    argv = [PYTHON, "-c", TRY, str(port)]
    out = t.wrapped(config, argv, how="preload", extra={f"SVIDWRAP_LISTEN_{port}_MODE": "on"})  # starts the daemon
    assert out.ok().decode().splitlines()[0] == "connect EACCES", out.text()
    assert "a mode is off, permissive" in out.text(), out.text()
    with open(os.path.join(t.log_dir, "daemon.log")) as f:  # whose log is where the file says all the same
        assert "serves uid" in f.read()
    with t.watch(port):
        echo_server(t, config, port)
        exchange(t, config, port)
