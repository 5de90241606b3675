# SPDX-License-Identifier: Apache-2.0
"""What the tests with independent peers share: where the peers are, how they are started and asked."""
import json
import os
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
import harness  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(harness.BUILD, "peers")
TALK = [harness.PYTHON, os.path.join(HERE, "talk.py")]
TD = harness.TD


def peer(name, *path):
    """The file of a prepared peer; skips with the reason that tests/peers/prepare left."""
    why = os.path.join(PEERS, name + ".skip")
    if os.path.exists(why):
        with open(why) as f:
            raise harness.Skip(f.read().strip())
    file = os.path.join(PEERS, *path) if path else os.path.join(PEERS, name)
    if not os.path.exists(file):
        raise harness.Skip(f"{file} is not there: run tests/peers/prepare {harness.BUILD}")
    return file


def gopeer():
    return peer("gopeer")


def lines(proc):
    """The JSON lines that a peer has printed so far."""
    found = []
    for line in proc.out().decode(errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return found


def last(proc):
    found = lines(proc)
    if not found:
        raise harness.Failure(f"{proc.name} printed nothing: {proc.text()[-1000:]}")
    return found[-1]


def event(proc, timeout=harness.WAIT, **fields):
    """Waits for a JSON line with these fields."""
    def look():
        return next((x for x in lines(proc) if all(x.get(k) == v for k, v in fields.items())), None)
    return harness.until(f"{proc.name}: {fields} in {proc.text()[-1500:]}", look, timeout)


def go_serve(t, identity, port, *flags):
    """gopeer serve on a port; identity is an Agent, a WorkloadServer socket or a directory with PEM files."""
    proc = t.spawn([gopeer(), "serve", *source(identity), "-listen", f"127.0.0.1:{port}", *flags], name="gopeer-serve")
    event(proc, event="listening")
    return proc


def go_dial(t, identity, port, *flags, fails=False):
    """gopeer dial: what it printed, as a dictionary."""
    proc = t.spawn([gopeer(), "dial", *source(identity), "-connect", f"127.0.0.1:{port}", *flags], name="gopeer-dial")
    code = proc.wait(40)
    if (code != 0) != fails:
        raise harness.Failure(f"gopeer dial: exit {code}: {proc.text()[-1500:]}")
    return last(proc)


def source(identity):
    if hasattr(identity, "address"):
        return ["-agent", identity.address]
    return ["-agent", identity] if identity.startswith("unix:") else ["-dir", identity]


def talk_serve(t, config, port, mode="echo", **more):
    proc = t.wrapped(config, [*TALK, "serve", str(port), mode], name="talk-serve", **more)
    t.listening(port, proc=proc)
    return proc


def talk_dial(t, config, port, *flags, fails=False, **more):
    proc = t.wrapped(config, [*TALK, "dial", str(port), *flags], name="talk-dial", **more)
    code = proc.wait(40)
    if (code != 0) != fails:
        raise harness.Failure(f"talk dial: exit {code}: {proc.text()[-1500:]}")
    return last(proc)


class WorkloadServer:
    """gopeer workload-server. sockets: {name: "ID[#HINT][,ID...]"}."""

    def __init__(self, t, sockets, *flags, name="workload-server"):
        self.t, self.dir = t, os.path.join(t.dir, name)
        os.mkdir(self.dir, 0o755)
        self.out = os.path.join(self.dir, "out")
        self.at = {name: f"unix://{self.dir}/{name}.sock" for name in sockets}
        argv = [gopeer(), "workload-server", *flags]
        for name, ids in sockets.items():
            argv += ["-socket", f"{self.dir}/{name}.sock={ids}"]
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        t.cleanups.append(self.close)
        self.seen, self.buffer = [], b""
        self.wait("ready", lambda: any(x.get("event") == "ready" for x in self.seen))

    def close(self):
        self.popen.stdin.close()
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def read(self, seconds):
        if select.select([self.popen.stdout], [], [], seconds)[0]:
            data = os.read(self.popen.stdout.fileno(), 65536)
            if not data:
                raise harness.Failure(f"the workload server is gone: {self.seen[-5:]}")
            self.buffer += data
            *whole, self.buffer = self.buffer.split(b"\n")
            for line in whole:
                try:
                    self.seen.append(json.loads(line))
                except ValueError:
                    self.seen.append({"event": "text", "text": line.decode(errors="replace")})

    def wait(self, what, check, timeout=harness.WAIT):
        end = time.monotonic() + timeout
        while not check():
            if time.monotonic() > end:
                raise harness.Failure(f"workload server: no {what}; {self.seen[-12:]}")
            self.read(0.1)

    def tell(self, *command):
        """One command, and its acknowledgement."""
        text, before = " ".join(command), len(self.seen)
        self.popen.stdin.write(text.encode() + b"\n")
        self.popen.stdin.flush()
        self.wait(text, lambda: any(x.get("command") == text for x in self.seen[before:]))
        answer = next(x for x in self.seen[before:] if x.get("command") == text)
        if answer["error"]:
            raise harness.Failure(f"workload server: {text}: {answer['error']}")

    def events(self, **fields):
        self.read(0)
        return [x for x in self.seen if all(x.get(k) == v for k, v in fields.items())]

    def mint(self, spiffe_id, name="minted"):
        out = os.path.join(self.dir, name)
        self.tell("mint", spiffe_id, out)
        return out
