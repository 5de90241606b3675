# SPDX-License-Identifier: Apache-2.0
"""What the scripts of the compatibility matrix lean on: one real program, run natively and then under svidwrap.

Each run has a network namespace of its own, so a program keeps its usual ports, and a wrapped one enforces mutual
TLS on every port: no byte of TCP in it may be anything but TLS. What a script says is compared line by line."""
import ctypes
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness  # noqa: E402
from harness import NATIVE, PYTHON, SVIDWRAP, TD, Failure, Skip, entry, until, which  # noqa: E402,F401

CLONE_NEWNET = 0x40000000
PORTS = "1-65535"
UNPACKED = "/var/lib/svidwrap-compat"  # scripts/deps unpacks there what "# unpacked:" lines name


def own_network():
    """A network namespace with a loopback and nothing else."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise Skip(f"a network namespace needs root: {os.strerror(ctypes.get_errno())}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING


class Compat(harness.Env):
    """One run of one program. Its directory and its ports are the same natively and wrapped."""

    def __init__(self, name, directory):
        super().__init__(name, directory, (20000, 29999))
        self.marker = b"SVIDWRAP-MARKER-compatibility"  # no secret: it stands in what both runs say
        self.text = self.marker.decode()
        self.lines, self.replacements = [], []
        self.managed = self.wire = None

    def begin(self):
        """Before the script: identities for every user that a program may run as, rules for every port, the watch."""
        self.agent([entry(f"{TD}/compat/{u.pw_name}", uid=u.pw_uid) for u in pwd.getpwall()])
        if not NATIVE:
            os.chmod(self.default_agent.socket, 0o777)
        for file in ("daemon.log", "audit.log"):  # a program that gives up its privileges has a daemon of its new user's
            open(os.path.join(self.log_dir, file), "w").close()
            os.chmod(os.path.join(self.log_dir, file), 0o666)
        if not NATIVE:
            self.managed = self.config(listen=[{"port": PORTS, "allow": [f"{TD}/compat/*"]}],
                                       connect=[{"to": f"{net}:{PORTS}", "allow": [f"{TD}/compat/*"]}
                                                for net in ("0.0.0.0/0", "[::]/0")])
        self.wire = self.watch("all")
        self.wire.__enter__()

    def end(self, encrypted):
        """After it: what went over the wire, and what somebody without svidwrap gets out of its ports."""
        seen = self.wire.stop()
        found = NATIVE and seen["hits"][0]["count"]  # the marker: what was missed says nothing more then
        if seen["drops"] and not found:
            raise Failure(f"the watch missed {seen['drops']} packets")
        if NATIVE:
            if not encrypted and not found:
                raise Failure("the marker is nowhere in what the native program sends: c.text has to be in its payload")
            return {"flows": seen["flows"]}
        if seen["hits"][0]["count"]:
            raise Failure(f"PLAINTEXT ON THE WIRE: {seen['hits']}")
        if seen["other"]:
            raise Failure(f"{seen['other']} of {seen['flows']} flows began with something that is not TLS")
        if not seen["tls"]:
            raise Failure("no TLS went over the wire: was the program wrapped at all?")
        ports = self.listening_ports()
        for port in ports:
            self.stranger(port)
        return {"flows": seen["flows"], "strangers": len(ports), "relayed": self.relayed()}

    def audit_counted(self):
        """The daemons of several users write to one file: then nobody can tell whose line is whose."""
        uids = {os.stat(f"/proc/{pid}").st_uid for pid, _, _ in self.daemons()}
        return [] if len(uids) > 1 else super().audit_counted()

    # -- what a script uses -----------------------------------------------------------------------------------
    def say(self, *words):
        """A line of the trace that native and wrapped runs have in common."""
        for line in " ".join(str(w) for w in words).splitlines() or [""]:
            self.lines.append(self.normal(line))

    def replace(self, pattern, by):
        """What differs from run to run natively, too (dates, pids), is replaced in every line."""
        self.replacements.append((re.compile(pattern), by))

    def normal(self, line):
        line = line.replace(self.dir, "{dir}")
        for pattern, by in self.replacements:
            line = pattern.sub(by, line)
        return line.rstrip()

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w" if isinstance(text, str) else "wb") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def directory(self, name, user=None):
        """A directory of this run, owned by that user."""
        path = os.path.join(self.dir, name)
        os.makedirs(path, exist_ok=True)
        if user:
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        return path

    def within(self, root):
        """What svidwrap needs below the new root of a program that changes user or dials in there: its configuration and
        the agent's socket (svidwrap-daemon(8), Identity)."""
        os.makedirs(f"{root}{self.dir}/agent", exist_ok=True)
        if not NATIVE:
            for path in (self.managed, self.default_agent.socket):
                os.link(path, root + path)

    def jail(self, directory):
        """A program that connects from inside a chroot needs the agent's socket in there, as it needs resolv.conf."""
        if not NATIVE:
            os.makedirs(directory + os.path.dirname(self.default_agent.socket))
            os.link(self.default_agent.socket, directory + self.default_agent.socket)

    def machine_daemon(self):
        """Root's daemon for every user's programs, as its unit starts it. A program in a chroot cannot start one."""
        if NATIVE:
            return
        p = self.spawn([SVIDWRAP, "daemon", "--all-users", "--foreground", "--config", self.managed], name="daemon")

        def answers():
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                return s.connect_ex(f"\0svidwrap/daemon/0/{self.instance}") == 0 or not p.alive()
        until("the daemon", answers, 20)

    def prepare(self, argv, timeout=60, **more):
        """A step that is not wrapped (initdb, a certificate): has to succeed, says nothing."""
        return self.run(argv, timeout=timeout, **more)

    @staticmethod
    def unpacked(package, file):
        """The path of a file of a package that cannot be installed beside another one."""
        path = f"{UNPACKED}/{package}/{file}"
        if not os.path.exists(path):
            raise Skip(f"{path} is not there: scripts/deps compat unpacks it")
        return path

    def program(self, argv, wait="20s"):
        """argv as both runs start it: as it is, or under `svidwrap run`."""
        argv = [which(argv[0]) if "/" not in argv[0] else argv[0], *map(str, argv[1:])]
        return self.wrap(self.managed, argv, wait=wait)

    def server(self, argv, *ports, timeout=60, **more):
        """Starts a wrapped server and waits until it listens on these ports."""
        p = self.spawn(self.program(argv), name=more.pop("name", os.path.basename(argv[0])), **more)
        for port in ports:
            self.listening(port, timeout, p)
        return p

    def start(self, argv, **more):
        """Starts a wrapped program that is not waited for."""
        return self.spawn(self.program(argv), name=more.pop("name", os.path.basename(argv[0])), **more)

    def client(self, argv, input=None, timeout=90, show=True, err=False, **more):
        """Runs a wrapped client to its end, says its exit code and its output (err: what it complained, too), and
        returns its stdout as text."""
        stdin = more.pop("stdin", None)
        if input is not None:
            stdin = open(self.write(f"stdin-{len(self.procs)}", input), "rb")
        p = self.spawn(self.program(argv), name=os.path.basename(argv[0]), stdin=stdin, **more)
        code = p.wait(timeout)
        out = p.out().decode(errors="replace")
        if show:
            self.say(f"$ {os.path.basename(argv[0])}: exit {code}")
            self.say(out + (p.err().decode(errors="replace") if err else ""))
        elif code:
            raise Failure(f"{p.name}: exit {code}\n{p.text()[-3000:]}")
        return out

    def stop(self, proc, sig=None, timeout=60):
        """Ends a server as its operator would, and says how it ended."""
        proc.kill(sig) if sig else proc.kill()
        self.say(f"{proc.name.partition('-')[2]} ended: {proc.wait(timeout)}")

    def refused(self, argv, reason):
        """svidwrap has to say beforehand that this program cannot be wrapped; natively it runs."""
        if NATIVE:
            return
        p = self.spawn(self.program(argv), name="refused")
        code = p.wait(30)
        if code != 65 or not re.search(reason, p.text()):
            raise Failure(f"exit {code}, {p.text()[-1000:]!r}; wanted is 65 and /{reason}/")

    # -- the wrapped run's own questions ------------------------------------------------------------------------
    @staticmethod
    def listening_ports():
        ports = set()
        for file in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
            with open(file) as f:
                for line in f.readlines()[1:]:
                    parts = line.split()
                    if parts[3] == "0A":
                        ports.add(int(parts[1].rpartition(":")[2], 16))
        return sorted(ports)

    @staticmethod
    def stranger(port):
        """Somebody without an SVID gets no byte but a TLS alert out of this port."""
        with socket.socket() as s:
            s.settimeout(3)
            got = b""
            try:
                s.connect(("127.0.0.1", port))
                s.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while piece := s.recv(4096):
                    got += piece
            except OSError:
                pass
            if got and (got[0] != 21 or len(got) > 7):
                raise Failure(f"port {port} answers a stranger: {got[:200]!r}")

    def relayed(self):
        """How many connections the relay engine took over."""
        n = 0
        for file in os.listdir(self.log_dir):
            with open(os.path.join(self.log_dir, file), errors="replace") as f:
                n += sum("goes through the relay from now on" in line for line in f)
        return n


def versions(packages):
    """{package: upstream version} of Debian packages."""
    found = {}
    for p in packages:
        if os.path.exists(f"{UNPACKED}/{p}.version"):
            with open(f"{UNPACKED}/{p}.version") as f:
                out = f.read().strip()
        else:
            out = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", p], capture_output=True, text=True).stdout
        found[p] = re.sub(r"^\d+:|[-+~].*$", "", out)
    return found


def digest(data):
    """What a script says of a lot of data."""
    data = data.encode() if isinstance(data, str) else data
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:16]}"


def file_digest(path):
    with open(path, "rb") as f:
        return digest(f.read())


def sleep_until(check, what, timeout=60):
    """For scripts that have to wait for a program's own doing."""
    end = time.monotonic() + timeout
    while not check():
        if time.monotonic() > end:
            raise Failure(f"not within {timeout} s: {what}")
        time.sleep(0.1)
