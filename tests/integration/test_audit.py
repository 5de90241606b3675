# SPDX-License-Identifier: Apache-2.0
"""The audit log's life: moved, deleted, full, unread; every decision is exactly one line, and where that is required
nothing goes without."""
import json
import os
import re
import resource
import select
import signal

import auditcheck
from apps import ECHO_SERVER, LONG_CLIENT, MANY_CLIENT, TRY, client, echo_server, exchange
from harness import PYTHON, ROOT, SHIM, SVIDWRAP, TD, until
from observing import cli, status, wrapped_only


def test_the_audit_log_follows_logrotate(t):
    """Moved away, with and without SIGHUP: lines go on in a new file, and none is lost."""
    wrapped_only()
    t.agent()
    port = t.port()
    config = t.both(port)
    echo_server(t, config, port)
    exchange(t, config, port)
    log = os.path.join(t.log_dir, "audit.log")
    until("two lines", lambda: len(t.audit()) == 2)
    os.rename(log, log + ".1")
    exchange(t, config, port)
    until("a new file", lambda: os.path.exists(log) and len(open(log).readlines()) == 2)
    os.rename(log, log + ".2")
    os.kill(t.worker(), signal.SIGHUP)
    until("a new file at once", lambda: os.path.exists(log))
    exchange(t, config, port)
    until("six lines in all", lambda: len(t.audit()) == 6)
    os.rename(log, log + ".3")  # for the count at the end: as if there were one file
    with open(log, "w") as whole:
        for part in (".1", ".2", ".3"):
            whole.write(open(log + part).read())
            os.unlink(log + part)


def moved_away(t, required):
    """A server and a client whose audit log's directory is gone. -> (port, configuration, directory, where it is)"""
    t.agent()
    port = t.port()
    directory, away = os.path.join(t.dir, "audit"), os.path.join(t.dir, "away")
    os.mkdir(directory)
    config = t.both(port, audit={"to": os.path.join(directory, "audit.log"), "required": required})
    echo_server(t, config, port)
    exchange(t, config, port)
    os.rename(directory, away)
    os.unlink(os.path.join(away, "audit.log"))
    return port, config, directory, away


def test_lost_audit_lines_are_counted_and_told(t):
    wrapped_only()
    port, config, directory, away = moved_away(t, False)
    assert bare(t, config, port, 3) == b"good 3 bad 0\n"
    target, = status(t)["audit"]
    assert target["lost"] == 6 and target["lines"] == 2, target
    assert b"6 lines to " in cli(t, "status").out()
    log = open(os.path.join(t.log_dir, "daemon.log")).read()
    assert re.search(r"error: audit: lines are lost: \S+/audit/audit\.log: No such file or directory", log), log[-2000:]
    os.rename(away, directory)
    exchange(t, config, port)
    lines = [json.loads(line) for line in open(os.path.join(directory, "audit.log"))]
    assert lines[0]["event"] == "lines_lost" and lines[0]["lines"] == 6, lines
    assert [x["event"] for x in lines[1:]] == ["connection"] * 2, lines
    check_lines(os.path.join(directory, "audit.log"))


def check_lines(path, torn=False):
    problems = auditcheck.AuditLines(path).problems(auditcheck.schema(ROOT), torn)
    assert not problems, problems


def bare(t, config, port, times=1):
    """A client's verdict, without `svidwrap run`, which would look at the audit log first; the variables are the
    server's, so that they share a configuration."""
    p = t.spawn([PYTHON, "-c", MANY_CLIENT, port, t.marker.decode(), times, 0], name="bare",
                extra={"LD_PRELOAD": SHIM, "SVIDWRAP_CONFIG": config})
    return p.ok().splitlines(True)[-1]


def test_no_connection_goes_without_its_audit_line_where_that_is_required(t):
    wrapped_only()
    port, config, directory, away = moved_away(t, True)
    with t.watch(port, expect=False):
        for _ in range(2):
            assert bare(t, config, port) == b"good 0 bad 1 ECONNREFUSED\n"
    log = open(os.path.join(t.log_dir, "daemon.log")).read()
    assert "new connections are refused until they can be written again (audit.required)" in log, log[-2000:]
    assert b"new connections are refused (audit.required)" in cli(t, "status").out()
    os.rename(away, directory)
    exchange(t, config, port)  # by itself
    log = open(os.path.join(t.log_dir, "daemon.log")).read()
    assert "audit: lines can be written again" in log, log[-2000:]
    check_lines(os.path.join(directory, "audit.log"))


def test_nor_does_a_connect_in_plaintext_where_that_is_required(t):
    """canary and a staged off: the shim asks before, and the line is there before the connection is."""
    wrapped_only()
    t.agent()
    port, staged = t.port(), t.port()
    directory, away = os.path.join(t.dir, "audit"), os.path.join(t.dir, "away")
    os.mkdir(directory)
    allow = [f"{TD}/**"]
    config = t.config(connect=[{"to": f"127.0.0.1:{port}", "mode": "canary", "percent": 0, "allow": allow},
                               {"to": f"127.0.0.1:{staged}", "mode": "off", "allow": allow}],
                      audit={"to": os.path.join(directory, "audit.log"), "required": True})
    for p in (port, staged):
        t.spawn([PYTHON, "-c", ECHO_SERVER, p], name="plain-echo")
        t.listening(p)
    client(t, config, LONG_CLIENT, port, 400, 0.05).line("^exchange 1$")  # so that there is a session all the time
    for p in (port, staged):
        assert bare(t, config, p, 2) == b"good 2 bad 0\n"
    os.rename(directory, away)
    os.unlink(os.path.join(away, "audit.log"))
    for p in (port, staged):
        assert bare(t, config, p, 2) == b"good 0 bad 2 ECONNREFUSED ECONNREFUSED\n"
    os.rename(away, directory)
    for p in (port, staged):
        assert bare(t, config, p, 1) == b"good 1 bad 0\n"
    check_lines(os.path.join(directory, "audit.log"))


def test_a_full_disk(t):
    """RLIMIT_FSIZE stands for it: the daemon lives, whoever is let through has a line, and nobody else is."""
    wrapped_only()
    t.agent()
    port = t.port()
    log = os.path.join(t.log_dir, "audit.log")
    config = t.both(port, audit={"to": log, "required": True}, log={"to": "stderr"})
    t.torn_audit = True
    daemon = t.spawn([SVIDWRAP, "daemon", "--foreground", "--worker", "--config", config])
    daemon.line("serves uid")
    echo_server(t, config, port)
    c = client(t, config, MANY_CLIENT, port, 60, 0.03)
    c.line("^exchange 3$")
    full = os.path.getsize(log) + 5000
    unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (full, unlimited[1]))
    c.wait()
    good = int(re.search(rb"good (\d+)", c.out())[1])
    assert 3 < good < 60 and daemon.alive(), c.text()
    daemon.line("error: audit: lines are lost: .*File too large; new connections are refused")
    assert os.path.getsize(log) == full
    allowed = [x["direction"] for x in map(parsed, open(log)) if x and x["result"] == "allowed"]
    assert min(allowed.count("outbound"), allowed.count("inbound")) >= good, (good, allowed)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)
    exchange(t, config, port)
    daemon.line("audit: lines can be written again")


def parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def test_an_audit_fifo(t):
    """Nobody reads it at the start: an error. Its reader goes: lines are lost, and nobody waits."""
    wrapped_only()
    t.agent()
    port = t.port()
    fifo = os.path.join(t.dir, "audit.fifo")
    os.mkfifo(fifo)
    config = t.both(port, audit={"to": fifo})
    p = t.wrapped(config, [PYTHON, "-c", "print('started')"])
    assert p.wait() == 78 and b"nobody reads this FIFO" in p.err(), p.text()
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    echo_server(t, config, port)
    exchange(t, config, port)
    assert os.read(reader, 65536).count(b"\n") == 2
    exchange(t, config, port, 200)  # a reader that does not read: what fits goes in, the rest is counted
    os.close(reader)
    assert bare(t, config, port, 2) == b"good 2 bad 0\n"
    assert status(t)["audit"][0]["lost"] >= 4
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    while select.select([reader], [], [], 0)[0]:
        os.read(reader, 65536)  # from before
    exchange(t, config, port)
    lines = os.read(reader, 65536).splitlines()
    assert json.loads(lines[0])["event"] == "lines_lost", lines[:2]
    os.close(reader)


def test_an_audit_log_that_cannot_be_written_at_the_start(t):
    wrapped_only()
    t.agent()
    config = t.both(t.port(), audit={"to": os.path.join(t.dir, "missing", "audit.log")})
    p = t.wrapped(config, [PYTHON, "-c", "print('started')"])
    assert p.wait() == 78 and b"started" not in p.out(), p.text()
    assert re.search(rb"missing/audit\.log cannot be written: No such file or directory", p.err()), p.text()
    p = t.wrapped(config, [PYTHON, "-c", TRY, str(t.port())], how="preload")
    assert p.ok() == b"connect EACCES\nlisten EACCES\n", p.text()
    assert b"audit: " in p.err() and b"missing/audit.log: No such file or directory" in p.err(), p.text()
    assert t.stop_daemons()
    p = t.spawn([SVIDWRAP, "daemon", "--foreground", "--worker", "--config", config])
    assert p.wait() == 78 and b"audit: " in p.err() and b"missing/audit.log" in p.err(), p.text()


def test_the_check_at_the_end_of_every_test_finds_what_is_wrong(t):
    """A line that is missing, one too many, one that is not what the schema says."""
    wrapped_only()
    t.agent()
    port = t.port()
    config = t.both(port)
    echo_server(t, config, port)
    exchange(t, config, port, 3)
    log = os.path.join(t.log_dir, "audit.log")
    until("all lines", lambda: len(t.audit()) == 6)
    assert auditcheck.disagreement(SVIDWRAP, t.environ, log) is None
    text = open(log).read()
    first = text.splitlines(True)[0]
    for forged, finds in ((text[len(first):], "5 lines"), (text + first, "7 lines"),
                          (text.replace('"allowed"', '"denied"', 1), "decisions")):
        open(log, "w").write(forged)
        wrong = auditcheck.difference(SVIDWRAP, t.environ, log)
        assert wrong and finds in wrong, wrong
    validator, lines = auditcheck.schema(ROOT), os.path.join(t.dir, "lines")
    for old, new in (('"allowed"', '"perhaps"'), ('"inbound"', '"up"'), ('"pid":', '"pids":'), ('"reason":""', '"reason":"x"'),
                     ("spiffe://", "spoffe://"), ("{", "{{"), ('"event":"connection",', "")):
        open(lines, "w").write(first.replace(old, new) if old != '"inbound"' else first.replace("outbound", "inbound").replace(old, new))
        assert auditcheck.AuditLines(lines).problems(validator, False), new
    open(log, "w").write(text)
