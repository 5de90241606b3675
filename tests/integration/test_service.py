# SPDX-License-Identifier: Apache-2.0
"""One daemon of root's for the whole machine: does it serve every user's programs, each as itself, and does nobody
get past it?"""
import os
import re
import signal
import socket

from apps import MANY_CLIENT, client, echo_server, exchange
from harness import NATIVE, PYTHON, ROOT, SVIDWRAP, Skip, descendants, until
from test_identity import NOBODY, NOBODY_ID, ROOT_ID, certificate, identity, inbound, two_users

OTHER = 65533  # a user like nobody, without an entry


def answers(t, proc):
    def there():
        assert proc.alive(), proc.text()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            return s.connect_ex(f"\0svidwrap/daemon/0/{t.instance}") == 0
    until("the daemon", there)


def service(t, *flags, config):
    """`svidwrap daemon` as a service manager starts it; its supervisor stands for the manager's restarts."""
    proc = t.spawn([SVIDWRAP, "daemon", "--foreground", "--config", config, *flags], name="service")
    answers(t, proc)
    return proc


def begin(t, *flags, **more):
    """An agent with an entry for each of two users, and the machine's daemon."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID], **more)
    return port, config, service(t, *flags, config=config)


def only_this_daemon(t, proc):
    ours = {proc.pid} | set(descendants(proc.pid))
    others = [d for d in t.daemons() if d[0] not in ours]
    assert not others, others


def test_programs_of_all_users_go_to_it(t):
    port, config, proc = begin(t, "--all-users")
    echo_server(t, config, port, user=NOBODY)
    with t.watch(port):
        exchange(t, config, port)
        exchange(t, config, port, user=NOBODY)
    only_this_daemon(t, proc)
    until("two connections", lambda: inbound(t, port) == [ROOT_ID, NOBODY_ID])
    t.audited(direction="inbound", server_spiffe_id=NOBODY_ID, client_spiffe_id=ROOT_ID)


def test_without_the_option_it_is_for_root(t):
    """A daemon that a program of root's has started is no business of others: they have their own."""
    port, config, proc = begin(t)
    echo_server(t, config, port)
    theirs = t.both(port, allow=[ROOT_ID], log={"to": os.path.join(t.log_dir, "nobody.log")},
                    audit={"to": os.path.join(t.log_dir, "nobody-audit.log")})
    exchange(t, theirs, port, user=NOBODY)
    assert any(os.stat(f"/proc/{pid}").st_uid == NOBODY for pid, _, _ in t.daemons()), t.daemons()
    assert proc.alive()


def test_it_restarts_and_finds_idle_programs_of_every_user(t):
    """They sit in accept() and make no call: the new worker rings them all."""
    port, config, proc = begin(t, "--all-users")
    echo_server(t, config, port, user=NOBODY)
    other = t.port()
    second = t.both(other, allow=[ROOT_ID, NOBODY_ID])
    echo_server(t, second, other)
    for _ in range(2):
        before = t.worker()
        os.kill(before, signal.SIGKILL)
        until("another worker", lambda b=before: t.worker() != b)
        exchange(t, config, port)
        exchange(t, second, other)
    assert identity(port) == NOBODY_ID and identity(other) == ROOT_ID
    only_this_daemon(t, proc)


def test_who_has_his_own_daemon_keeps_it_when_roots_is_new(t):
    """A ring of root's is no order to leave the daemon that one has."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID], log={"to": os.path.join(t.log_dir, "nobody.log"), "level": "debug"},
                    audit={"to": os.path.join(t.log_dir, "nobody-audit.log")})
    os.chmod(t.log_dir, 0o777)
    echo_server(t, config, port, user=NOBODY)
    theirs = {pid for pid, _, _ in t.daemons()}
    assert theirs and all(os.stat(f"/proc/{pid}").st_uid == NOBODY for pid in theirs)
    service(t, "--all-users", config=t.both(port, allow=[ROOT_ID]))
    assert identity(port) == NOBODY_ID
    with open(os.path.join(t.log_dir, "nobody.log")) as f:
        assert len(re.findall("session of .* begins", f.read())) == 1
    assert theirs <= {pid for pid, _, _ in t.daemons()}


def test_only_root_can(t):
    if NATIVE:
        raise Skip("about svidwrap itself")
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    proc = t.spawn([SVIDWRAP, "daemon", "--all-users", "--foreground"], user=NOBODY)
    assert proc.wait() == 77 and "only root" in proc.text(), proc.text()


SQUAT = """import signal, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("\\0" + sys.argv[1])
s.listen(5)
print("bound", flush=True)
signal.pause()
"""


def test_another_user_with_its_name_is_not_taken_for_it(t):
    """Abstract names are anybody's to bind: what root's daemon says is believed of root alone."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    squatter = t.spawn([PYTHON, "-c", SQUAT, f"svidwrap/daemon/0/{t.instance}"], user=OTHER)
    squatter.line("^bound$")
    with socket.create_server(("127.0.0.1", port)):
        c = client(t, config, MANY_CLIENT, port, how="preload", user=NOBODY)
        c.wait()
    assert b"good 0 bad 1 EACCES" in c.out(), c.text()
    assert b"belongs to another user" in c.err(), c.text()


def test_its_own_identity_for_programs_of_all_users(t):
    """identity.scope: daemon, in a file of root's: the agent attests the daemon, once, whoever asks."""
    port, config, proc = begin(t, "--all-users", identity={"scope": "daemon"})
    echo_server(t, config, port, user=NOBODY)
    with t.watch(port):
        exchange(t, config, port, user=OTHER)
    only_this_daemon(t, proc)
    t.audited(direction="inbound", result="allowed", server_spiffe_id=ROOT_ID, client_spiffe_id=ROOT_ID)


def test_its_own_identity_is_not_for_who_asks_in_a_file_of_his_own(t):
    two_users(t)
    port = t.port()
    service(t, "--all-users", config=t.both(port, allow=[ROOT_ID]))
    config = t.both(port, allow=[ROOT_ID], identity={"scope": "daemon"})
    os.chown(config, NOBODY, NOBODY)
    with socket.create_server(("127.0.0.1", port)):
        c = client(t, config, MANY_CLIENT, port, how="preload", user=NOBODY)
        c.wait()
    assert b"good 0 bad 1" in c.out() and b"identity.scope: daemon needs a file" in c.err(), c.text()


def test_the_agent_restarts_and_every_user_is_attested_anew(t):
    port, config, proc = begin(t, "--all-users", identity_wait="500ms")
    echo_server(t, config, port, user=NOBODY)
    old = certificate(port)
    t.default_agent.stop()
    t.default_agent.start()
    os.chmod(t.default_agent.socket, 0o777)
    t.default_agent.signal(signal.SIGUSR1)
    until("a fresh SVID", lambda: identity(port) == NOBODY_ID and certificate(port) != old, pause=0.1)
    only_this_daemon(t, proc)


def test_the_unit_in_the_examples_starts_it(t):
    """With the paths of this build in place of the installed ones, and no more privileges than it leaves."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    with open(os.path.join(ROOT, "examples", "systemd", "svidwrap.service")) as f:
        unit = f.read()
    command = re.search("^ExecStart=(.*)$", unit, re.M).group(1)
    argv = command.replace("/usr/local/bin/svidwrap", SVIDWRAP).replace("/etc/svidwrap/svidwrap.yaml", config).split()
    kept = re.search("^CapabilityBoundingSet=(.*)$", unit, re.M).group(1).lower().replace("cap_", "+").split()
    proc = t.spawn(["/usr/bin/setpriv", "--bounding-set=" + ",".join(["-all", *kept]), "--no-new-privs", *argv], name="service")
    answers(t, proc)
    echo_server(t, config, port, user=NOBODY)
    exchange(t, config, port)
    only_this_daemon(t, proc)
    with open(f"/proc/{proc.pid}/status") as f:
        assert int(re.search(r"CapBnd:\s*(\w+)", f.read()).group(1), 16).bit_count() == len(kept)


# ADDRESS PAUSE COMMAND...: holds the daemon's name and starts it again and again, as systemd does; PAUSE seconds between.
HOLDER = r"""
import os, signal, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("\0" + sys.argv[1])
s.listen(100)
child = 0
def stop(*_):
    if child:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
print("held", flush=True)
while True:
    child = os.fork()
    if child == 0:
        os.dup2(s.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
        os.execv(sys.argv[3], sys.argv[3:])
    print("started", child, flush=True)
    os.waitpid(child, 0)
    child = 0
    time.sleep(float(sys.argv[2]))
"""


def test_programs_that_begin_while_it_restarts_wait_for_it(t):
    """Its name is held by the service manager: nobody goes to a daemon of his own in between."""
    two_users(t)
    port = t.port()
    config = t.both(port, allow=[ROOT_ID, NOBODY_ID])
    holder = t.spawn([PYTHON, "-c", HOLDER, f"svidwrap/daemon/0/{t.instance}", "1.5", SVIDWRAP, "daemon", "--all-users", "--foreground",
                      "--worker", "--config", config], name="holder")
    first = int(holder.line(r"^started (\d+)$").group(1))
    echo_server(t, config, port, user=NOBODY)
    exchange(t, config, port, user=NOBODY)
    os.kill(first, signal.SIGKILL)
    clients = [client(t, config, MANY_CLIENT, port, user=user) for user in (NOBODY, None)]
    for c in clients:
        assert c.ok(30).endswith(b"good 1 bad 0\n"), c.text()
    assert holder.out().count(b"started") == 2, holder.text()
    only_this_daemon(t, holder)


def test_a_socket_of_another_name_is_not_served(t):
    two_users(t)
    config = t.both(t.port(), allow=[ROOT_ID])
    holder = t.spawn([PYTHON, "-c", HOLDER, f"svidwrap/daemon/7/{t.instance}", "60", SVIDWRAP, "daemon", "--foreground", "--worker",
                      "--config", config], name="holder")
    until("it says what is wrong", lambda: f"ListenSequentialPacket=@svidwrap/daemon/0/{t.instance}" in log(t) + holder.text())


def log(t):
    path = os.path.join(t.log_dir, "daemon.log")
    if not os.path.exists(path):
        return ""
    with open(path, errors="replace") as f:
        return f.read()
