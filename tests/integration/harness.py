# SPDX-License-Identifier: Apache-2.0
"""What every integration test leans on: an environment of its own, and nothing left behind.

A test is a function test_*(t) with t an Env: a fresh directory, a daemon of its own (SVIDWRAP_INSTANCE), free
ports, a dev agent where it asks for one, and marker bytes for its payload. All processes are ended by pid at the
end; one that is still there afterwards fails the test. Nothing here asserts how long something took.
"""
import ctypes
import importlib.util
import inspect
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback

import auditcheck
import lanes

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
# Where other users' programs can read it, too: the runner makes a copy where BUILD is in somebody's closed home.
REACHED = os.environ.get("SVIDWRAP_TEST_REACHED", BUILD)
SVIDWRAP = os.path.join(REACHED, "svidwrap")
SHIM = os.path.join(REACHED, "libsvidwrap.so")
PROGRAMS = os.path.join(BUILD, "tests")
PYTHON = "/usr/bin/python3"
TD = "spiffe://example.org"
# Set to run the programs as they are: proves that a test asks for what plain TCP gives (and that its marker is
# really in the payload: then the watch has to see it).
NATIVE = bool(os.environ.get("SVIDWRAP_TEST_NATIVE"))
# asan, tsan or valgrind: what `make differential-LANE` has the wrapped programs of the scenarios run under.
LANE = os.environ.get("SVIDWRAP_TEST_LANE")
WAIT = 30  # seconds that a test waits for something that must happen


class Skip(Exception):
    """The test cannot run here; the text says why."""


class Failure(AssertionError):
    pass


def discover():
    """All tests as (name, function), in the order of files and lines. A file may define more(), which yields
    further (name, function) pairs."""
    found = []
    for file in sorted(os.listdir(HERE)):
        if not re.fullmatch(r"test_\w+\.py", file):
            continue
        spec = importlib.util.spec_from_file_location(file[:-3], os.path.join(HERE, file))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        tests = [(n, f) for n, f in vars(module).items()
                 if n.startswith("test_") and inspect.isfunction(f) and f.__module__ == file[:-3]]
        tests.sort(key=lambda pair: pair[1].__code__.co_firstlineno)
        found += [(f"{file[5:-3]}::{n[5:]}", f) for n, f in tests]
        if hasattr(module, "more"):
            found += [(f"{file[5:-3]}::{n}", f) for n, f in module.more()]
    return found


# ---- processes ------------------------------------------------------------------------------------------------

def become_subreaper():
    """Orphans below this process become its children: nothing that a test started can hide."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


def process_table():
    """{pid: (parent, state, command line)}"""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                rest = f.read().rpartition(")")[2].split()
            with open(f"/proc/{entry}/cmdline", "rb") as f:
                command = f.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        table[int(entry)] = (int(rest[1]), rest[0], command)
    return table


def descendants(root):
    table = process_table()
    found, grown = {root}, True
    while grown:
        grown = False
        for pid, (parent, _, _) in table.items():
            if parent in found and pid not in found:
                found.add(pid)
                grown = True
    found.discard(root)
    return {pid: table[pid] for pid in found if table[pid][1] != "Z"}


def kill_tree(root):
    """SIGKILL to everything below root, and root last, until nothing is left."""
    for _ in range(50):
        below = descendants(root)
        if not below:
            break
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    try:
        os.kill(root, signal.SIGKILL)
    except ProcessLookupError:
        pass


def print_failure():
    kind, value, tb = sys.exc_info()
    if issubclass(kind, AssertionError):
        frames = [f for f in traceback.extract_tb(tb) if os.path.basename(f.filename) != "run"]
        for f in frames:
            print(f"{os.path.basename(f.filename)}:{f.lineno}: {f.line}")
        print(f"{kind.__name__}: {value}")
    else:
        traceback.print_exc()
    sys.stdout.flush()


def until(what, check, timeout=WAIT, pause=0.02):
    """Waits for check() to be true and returns its answer."""
    end = time.monotonic() + timeout
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"not within {timeout} s: {what}")
        time.sleep(pause)


class Proc:
    """A program that the test started. Its output goes to files in the test's directory."""

    def __init__(self, env, argv, name=None, extra=None, user=None, cwd=None, stdin=None, clean=False, limits=None,
                 group=True):
        self.env, self.argv = env, [str(a) for a in argv]
        self.elsewhere = user is not None or "SVIDWRAP_INSTANCE" in (extra or {})  # perhaps with a daemon of its own
        if user is not None:
            self.argv[0] = env.for_others(self.argv[0])
        self.name = f"{len(env.procs):02d}-{name or os.path.basename(self.argv[0])}"
        self.out_path = os.path.join(env.dir, self.name + ".out")
        self.err_path = os.path.join(env.dir, self.name + ".err")
        variables = {} if clean else dict(env.environ)
        variables.update(extra or {})

        def prepare():
            for which, value in (limits or {}).items():
                import resource
                resource.setrlimit(getattr(resource, which), value)

        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(self.argv, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=err,
                                          env=variables, cwd=cwd or env.dir, user=user,
                                          group=user, extra_groups=[] if user else None,
                                          start_new_session=group, preexec_fn=prepare if limits else None)
        env.procs.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def out(self):
        with open(self.out_path, "rb") as f:
            return f.read()

    def err(self):
        with open(self.err_path, "rb") as f:
            return f.read()

    def text(self):
        return (self.out() + self.err()).decode(errors="replace")

    def alive(self):
        return self.popen.poll() is None

    def wait(self, timeout=60):
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} still runs after {timeout} s\n{self.text()[-2000:]}") from None

    def ok(self, timeout=60):
        """Waits for the end and insists on exit code 0."""
        code = self.wait(timeout)
        if code != 0:
            raise Failure(f"{self.name}: exit {code}\n{self.text()[-3000:]}")
        return self.out()

    def line(self, pattern, timeout=WAIT):
        """Waits until the output has a match."""
        def look():
            if self.popen.poll() is not None and not re.search(pattern, self.text(), re.M):
                raise Failure(f"{self.name} ended ({self.popen.returncode}) without /{pattern}/:\n{self.text()[-3000:]}")
            return re.search(pattern, self.text(), re.M)
        return until(f"{self.name}: /{pattern}/ in {self.text()[-1000:]!r}", look, timeout)

    def kill(self, sig=signal.SIGTERM):
        if self.alive():
            os.kill(self.pid, sig)

    def stop(self, timeout=8):
        """SIGTERM, and SIGKILL to it and what is below it when that is not enough."""
        if not self.alive():
            return
        self.kill()
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            kill_tree(self.pid)
            self.popen.wait(5)


# ---- the wire ---------------------------------------------------------------------------------------------------

class WireWatch:
    """Looks at the loopback while the with-block runs. At its end: traffic went by, none was missed, and no marker
    crossed in clear."""

    def __init__(self, env, ports, markers=None, expect=True):
        self.env, self.ports, self.expect = env, ports, expect
        self.markers = markers or [env.marker]
        self.proc = self.result = None

    def __enter__(self):
        with socket_or_skip():
            pass
        self.proc = self.env.spawn([os.path.join(PROGRAMS, "wirewatch"), ",".join(map(str, self.ports)),
                                    *[m.hex() for m in self.markers]], name="wirewatch")
        self.proc.line("^ready")
        return self

    def stop(self):
        if self.result is None:
            self.proc.kill()
            self.proc.ok()
            self.result = json.loads(self.proc.out().decode().splitlines()[-1])
        return self.result

    def __exit__(self, kind, value, tb):
        r = self.stop()
        if kind is not None:
            return
        if r["drops"]:
            raise Failure(f"the watch missed {r['drops']} packets")
        if self.expect and not r["payload"]:
            raise Failure("the watch saw no payload on the managed ports: is this the right port?")
        if NATIVE:
            if self.expect and not all(h["count"] for h in r["hits"]):
                raise Failure(f"native, and the watch saw no marker: {r}")
            return
        if any(h["count"] for h in r["hits"]):
            raise Failure(f"PLAINTEXT ON THE WIRE: {r['hits']}")


def socket_or_skip():
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    except PermissionError:
        raise Skip("the wire watch needs CAP_NET_RAW") from None


# ---- the environment of one test --------------------------------------------------------------------------------

class Agent:
    """A dev agent. entries: list of {spiffe_id, selectors, ...}; the default names this uid."""

    def __init__(self, env, entries=None, trust_domain="example.org", svid_ttl="1h", binary=SVIDWRAP, name="agent",
                 **more):
        self.env = env
        self.dir = os.path.join(env.dir, name)
        os.mkdir(self.dir, 0o755)
        self.socket = os.path.join(self.dir, "agent.sock")
        self.address = "unix://" + self.socket
        self.config_path = os.path.join(self.dir, "dev-agent.yaml")
        self.binary = binary
        self.settings = {"trust_domain": trust_domain, "svid_ttl": svid_ttl,
                         "entries": entries if entries is not None else [entry(f"spiffe://{trust_domain}/test")],
                         **more}
        self.write()
        self.proc = None
        if not NATIVE:
            self.start()

    def write(self):
        with open(self.config_path + ".new", "w") as f:
            f.write(yaml(self.settings))
        os.rename(self.config_path + ".new", self.config_path)

    def start(self):
        need(self.binary)
        self.proc = self.env.spawn([self.binary, "dev-agent", "--socket", self.socket, "--config", self.config_path],
                                   name="dev-agent", unwrapped=True)

        def there():
            if not self.proc.alive():
                raise Failure(f"the dev agent ended:\n{self.proc.text()}")
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(self.socket)
                return True
            except OSError:
                return False
        until("the dev agent's socket", there)

    def stop(self):
        if self.proc is not None:
            self.proc.stop()

    def signal(self, sig):
        os.kill(self.proc.pid, sig)

    def reload(self, **settings):
        self.settings.update(settings)
        self.write()
        self.signal(signal.SIGHUP)

    def mint(self, spiffe_id, name="minted"):
        """An SVID of this agent's CA as files: (certificate, key, bundle) paths."""
        out = os.path.join(self.dir, name)
        run = subprocess.run([self.binary, "dev-agent", "--socket", self.socket, "--config", self.config_path,
                              "--mint", spiffe_id, "--out", out], capture_output=True, timeout=WAIT)
        if run.returncode:
            raise Failure(f"--mint: {run}")
        return out


def entry(spiffe_id, path=None, uid=None, **more):
    selectors = [f"unix:path:{os.path.realpath(path)}"] if path else []
    if uid is not None or not path:
        selectors.append(f"unix:uid:{os.getuid() if uid is None else uid}")
    return {"spiffe_id": spiffe_id, "selectors": selectors, **more}


def yaml(value):
    """Block YAML with JSON leaves, so that a failing line:col points somewhere a person can read."""
    lines = []
    for key, v in value.items():
        if isinstance(v, list) and v:
            lines.append(f"{key}:")
            lines += [f"  - {json.dumps(item)}" for item in v]
        else:
            lines.append(f"{key}: {json.dumps(v)}")
    return "\n".join(lines) + "\n"


def need(*files):
    for file in files:
        if not os.path.exists(file):
            raise Skip(f"{file} is not there")


def which(name):
    for directory in ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"):
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK):
            return path
    raise Skip(f"{name} is not installed")


class Env:
    def __init__(self, name, directory, ports):
        self.name, self.dir, self.range = name, directory, ports
        os.chmod(directory, 0o755)
        self.log_dir = os.path.join(directory, "log")
        os.mkdir(self.log_dir)
        os.chmod(self.log_dir, 0o777)
        self.instance = "test." + secrets.token_hex(8)
        self.marker = b"SVIDWRAP-MARKER-" + secrets.token_hex(8).encode()
        self.procs, self.cleanups, self.claims = [], [], []
        self.environ = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                        "HOME": directory, "SVIDWRAP_INSTANCE": self.instance, "TMPDIR": directory}
        self.next_port = secrets.randbelow(ports[1] - ports[0] - 50) + ports[0]
        self.default_agent = None
        self.configs = 0
        self.torn_audit = False  # a test that fills the disk says so
        signal.signal(signal.SIGALRM, self._too_long)

    @staticmethod
    def _too_long(_sig, _frame):
        raise Failure("out of time")

    # -- ports ------------------------------------------------------------------------------------------------
    def port(self):
        """A port of the test range that nobody has bound."""
        for _ in range(500):
            self.next_port += 1
            if self.next_port > self.range[1]:
                self.next_port = self.range[0]
            claim = socket.socket(socket.AF_UNIX)  # so that tests that run beside this one take others
            try:
                claim.bind(f"\0svidwrap-test-port/{self.next_port}")
                with socket.socket(socket.AF_INET6) as s:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    s.bind(("::", self.next_port))
            except OSError:
                claim.close()
                continue
            self.claims.append(claim)
            return self.next_port
        raise Failure("no free port")

    def listening(self, port, timeout=WAIT, proc=None):
        """Waits for a listener without connecting to it."""
        def look():
            if proc is not None and not proc.alive():
                raise Failure(f"{proc.name} ended ({proc.popen.returncode}):\n{proc.text()[-3000:]}")
            return port_listens(port)
        until(f"a listener on port {port}" + (f"; {proc.text()[-1500:]}" if proc else ""), look, timeout)

    def gone(self, port, timeout=WAIT):
        until(f"port {port} free", lambda: not port_listens(port), timeout)

    # -- programs ---------------------------------------------------------------------------------------------
    def spawn(self, argv, **more):
        more.pop("unwrapped", None)
        return Proc(self, argv, **more)

    def run(self, argv, timeout=60, **more):
        """Runs to its end, insists on exit 0, returns stdout."""
        return self.spawn(argv, **more).ok(timeout)

    def agent(self, entries=None, **more):
        a = Agent(self, entries, **more)
        if self.default_agent is None:
            self.default_agent = a
        return a

    def config(self, listen=(), connect=(), **more):
        """Writes a configuration and returns its path. A rule without mode gets enforce."""
        self.configs += 1
        path = os.path.join(self.dir, f"svidwrap-{self.configs}.yaml")
        settings = {}
        if self.default_agent is not None:
            settings["workload_api"] = {"socket": self.default_agent.address}
        settings["log"] = {"to": os.path.join(self.log_dir, "daemon.log"), "level": "debug"}
        settings["audit"] = {"to": os.path.join(self.log_dir, "audit.log")}
        settings["listen"] = [{"mode": "enforce", **r} for r in listen]
        settings["connect"] = [{"mode": "enforce", **r} for r in connect]
        settings.update(more)
        with open(path, "w") as f:
            f.write(yaml({k: v for k, v in settings.items() if v not in ([], None)}))
        return path

    def both(self, *ports, allow=None, rule=None, **more):
        """A configuration that manages ports in both directions."""
        allow = allow or [f"{TD}/**"]
        extra = rule or {}
        return self.config(listen=[{"port": list(ports), "allow": allow, **extra}],
                           connect=[{"to": f"{host}:{port}", "allow": allow, **extra}
                                    for host in ("127.0.0.0/8", "[::1]") for port in ports], **more)

    def one_port(self, identity):
        """An agent that knows this identity alone, and a port that it alone may use: (port, configuration)."""
        self.agent([entry(identity)])
        port = self.port()
        return port, self.both(port, allow=[identity])

    def for_others(self, program):
        """svidwrap where another user may execute it: a build below root's home, say, is out of his reach."""
        parents = [os.path.dirname(program)]
        while parents[-1] != "/":
            parents.append(os.path.dirname(parents[-1]))
        if program != SVIDWRAP or all(os.stat(d).st_mode & 1 for d in parents):
            return program
        directory = os.path.join(self.dir, "bin")
        if not os.path.isdir(directory):
            os.mkdir(directory)
            os.chmod(directory, 0o755)
            for file in (SVIDWRAP, SHIM):
                shutil.copy(file, directory)
        return os.path.join(directory, os.path.basename(program))

    def wrap(self, config, argv, how="run", wait="10s"):
        """argv under svidwrap: by `svidwrap run`, or by a bare preload (as an env(1) command)."""
        if NATIVE:
            return list(argv)
        need(SVIDWRAP, SHIM)
        if LANE:
            return lanes.wrapped(LANE, self, config, argv, SVIDWRAP, os.environ.get("SVIDWRAP_TEST_SHIM", SHIM))
        if how == "run":
            return [SVIDWRAP, "run", "--config", config, "--wait", wait, "--", *argv]
        extra = []
        if self.default_agent is not None:
            extra = [f"SPIFFE_ENDPOINT_SOCKET={self.default_agent.address}"]
        return ["/usr/bin/env", f"LD_PRELOAD={SHIM}", f"SVIDWRAP_CONFIG={config}", *extra, *argv]

    def wrapped(self, config, argv, how="run", **more):
        return self.spawn(self.wrap(config, argv, how), name=more.pop("name", None) or os.path.basename(argv[0]), **more)

    def watch(self, *ports, **more):
        return WireWatch(self, ports, **more)

    # -- the daemon -------------------------------------------------------------------------------------------
    def audit(self):
        """The audit lines so far."""
        lines = []
        for file in sorted(os.listdir(self.log_dir)):
            if file.startswith("audit"):
                with open(os.path.join(self.log_dir, file), errors="replace") as f:
                    lines += [json.loads(line) for line in f if line.endswith("\n")]
        return lines

    def audited(self, what=None, timeout=WAIT, **fields):
        """Waits for an audit line with these fields (a compiled pattern is searched for)."""
        def same(want, have):
            return want.search(str(have)) is not None if hasattr(want, "search") else want == have

        def look():
            return next((line for line in self.audit()
                         if all(same(v, line.get(k)) for k, v in fields.items())), None)
        try:
            return until(f"audit line {fields}", look, timeout)
        except Failure as f:
            raise Failure(f"{what or ''} {f}; there are: {[compact(a) for a in self.audit()[-8:]]}") from None

    def daemons(self):
        """Live daemon processes below this test: [(pid, parent, command)], the supervisor before its worker."""
        found = [(pid, parent, command) for pid, (parent, _, command) in descendants(os.getpid()).items()
                 if re.search(r"svidwrap\S* daemon\b", command) or command.startswith("svidwrap: ")]
        return sorted(found, key=lambda d: d[1] in {x[0] for x in found})

    def worker(self):
        """The worker's pid: the daemon process whose parent is one too."""
        def look():
            d = self.daemons()
            pids = {x[0] for x in d}
            return next((pid for pid, parent, _ in d if parent in pids), None)
        return until("a daemon worker", look)

    def supervisor(self):
        def look():
            d = self.daemons()
            pids = {x[0] for x in d}
            return next((pid for pid, parent, _ in d if parent not in pids), None)
        return until("a daemon supervisor", look)

    def daemons_gone(self, timeout=WAIT):
        try:
            until("the daemon's end", lambda: not self.daemons(), timeout)
        except Failure as f:
            raise Failure(f"{f}; there are {self.daemons()}") from None

    def stop_daemons(self):
        """SIGTERM to every supervisor; false when one does not go."""
        def gone():
            return not self.daemons()
        for _ in range(2):
            for pid, _, _ in self.daemons():
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
            try:
                until("the daemon's end", gone, 15)
                return True
            except Failure:
                continue
        return False

    # -- the end ----------------------------------------------------------------------------------------------
    def finish(self, result):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        if result == 1:
            self.tell()
        for c in reversed(self.cleanups):
            try:
                c()
            except Exception:  # noqa: BLE001
                traceback.print_exc()
        agents = [p for p in self.procs if p.name.endswith("-dev-agent")]
        for p in reversed(self.procs):
            if p not in agents:
                p.stop()
        left = self.audit_counted()
        if not self.stop_daemons():
            left += [f"left behind: {pid} {command} (does not end on SIGTERM)" for pid, _, command in self.daemons()]
        for p in agents:
            p.stop()
        deadline = time.monotonic() + 15
        while (below := descendants(os.getpid())) and time.monotonic() < deadline:
            time.sleep(0.05)
        left += [f"left behind: {pid} {command}" for pid, (_, _, command) in below.items()]
        left += self.audit_valid()
        left += lanes.findings(self.dir) if LANE else []
        if left:
            print("at the end: " + "; ".join(left))
            for pid in below:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if result != 1:
                self.tell()
            result = 1
        return result

    def audit_counted(self):
        """Every decision is exactly one line; where several daemons write to one file, nobody can tell."""
        if NATIVE or not os.path.exists(SVIDWRAP) or any(p.elsewhere for p in self.procs):
            return []
        wrong = auditcheck.disagreement(SVIDWRAP, self.environ, os.path.join(self.log_dir, "audit.log"))
        return [f"audit: {wrong}"] if wrong else []

    def audit_valid(self):
        files = [os.path.join(self.log_dir, f) for f in sorted(os.listdir(self.log_dir)) if "audit" in f]
        files = [f for f in files if os.path.isfile(f)]
        validator = auditcheck.schema(ROOT) if files else None
        return [p for f in files for p in auditcheck.AuditLines(f).problems(validator, self.torn_audit)][:5]

    def tell(self):
        for p in self.procs:
            print(f"---- {p.name} (exit {p.popen.poll()}): {' '.join(p.argv)[:300]}")
            print_end(p.text(), 2500)
        for file in sorted(os.listdir(self.log_dir)):
            with open(os.path.join(self.log_dir, file), errors="replace") as f:
                print(f"---- {file}")
                print_end(f.read(), 5000)


def print_end(text, limit):
    for line in text[-limit:].splitlines():
        print(line if len(line) <= 400 else line[:400] + "...")


def compact(line):
    return {k: v for k, v in line.items() if k not in ("timestamp", "event", "pid", "program") and v}


def port_listens(port):
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(file) as f:
                for line in f.readlines()[1:]:
                    parts = line.split()
                    if parts[3] == "0A" and int(parts[1].rpartition(":")[2], 16) == port:
                        return True
        except OSError:
            pass
    return False
