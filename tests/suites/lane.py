# SPDX-License-Identifier: Apache-2.0
"""One lane of a suite: all its units, as they are ("native") or wrapped ("wrapped").

Each lane is a process in a network namespace of its own, with nothing but a loopback: the two sides cannot meet, and rules
for every port are nobody else's business. In the wrapped lane every rule enforces, on all ports of the loopback in both
directions, both sides are one SPIFFE ID from the embedded agent, and the wire watch follows every TCP connection from its
first byte: what is not TLS fails the lane.

usage: lane.py SUITE native|wrapped DIRECTORY ANSWER UNIT...     (started by run, in the namespace)
"""
import fcntl
import importlib
import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import harness  # noqa: E402

ID = "spiffe://example.org/suite"
PORTS = "1-65535"


def loopback_up():
    with socket.socket() as s:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(s, 0x8913, request)[:18])[1]  # SIOCGIFFLAGS
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))        # SIOCSIFFLAGS, IFF_UP


class Lane:
    def __init__(self, env, wrapped, rule):
        self.env, self.is_wrapped, self.dir = env, wrapped, env.dir
        self.config = None
        if wrapped:
            env.agent([harness.entry(ID, uid=u.pw_uid) for u in pwd.getpwall()])  # servers change their user
            self.config = env.both(PORTS, allow=[ID], rule=rule,
                                   log={"to": os.path.join(env.log_dir, "daemon.log"), "level": "info"})
            # The session of the harness, so that `status` has a daemon to ask from the first to the last unit.
            env.run(env.wrap(self.config, ["/bin/true"]))

    def command(self, argv):
        """argv as it has to be started in this lane."""
        return self.env.wrap(self.config, argv) if self.is_wrapped else list(argv)

    def run(self, argv, limit, out=None, **more):
        """Runs to the end, or for limit seconds. Returns (exit code or None, standard output, standard error)."""
        proc = self.env.spawn(self.command(argv), **more)
        try:
            code = proc.popen.wait(limit)
        except subprocess.TimeoutExpired:
            harness.kill_tree(proc.pid)
            proc.popen.wait()
            code = None
        self.sweep(proc.pid)
        return code, proc.out().decode(errors="replace"), proc.err().decode(errors="replace")

    def sweep(self, session):
        """Ends what a unit left running (each runs in a session of its own), but not our agent and daemon."""
        for pid in harness.descendants(os.getpid()):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if int(f.read().rpartition(")")[2].split()[3]) == session:
                        os.kill(pid, signal.SIGKILL)
            except (OSError, ValueError):
                pass


def handshakes(env):
    """Connections that the daemon made, by its counters."""
    total = 0
    for line in env.audit():
        total += line.get("event") == "connection" and line.get("result") == "allowed"
    return total


def work(suite, lane, units, answer):
    for unit in units:
        started = time.monotonic()
        try:
            results = suite.run(lane, unit)
        except harness.Failure as f:
            results = {unit: f"error: {f}"}
        answer["units"][unit] = {"results": results, "seconds": round(time.monotonic() - started, 1)}
        print(f"  {unit}: {len(results)} results in {answer['units'][unit]['seconds']} s", file=sys.stderr, flush=True)


def main(name, side, directory, path, *units):
    if os.environ.get("SUITES_NAMESPACE"):
        loopback_up()
    harness.become_subreaper()
    suite = importlib.import_module(name).SUITE
    env = harness.Env(f"{name}-{side}", directory, (25000, 26000))
    answer = {"units": {}, "wire": None, "connections": 0, "problems": []}
    try:
        lane = Lane(env, side == "wrapped", suite.rule)
        suite.prepare()
        watch = None
        if side == "wrapped" and os.environ.get("SUITES_NAMESPACE"):
            watch = env.watch("all")
            watch.__enter__()
        work(suite, lane, units, answer)
        if watch is not None:
            answer["wire"] = wire = watch.stop()
            # Machines that are busy miss some; flows with a gap are not followed. More than that is no watch.
            if wire["drops"] * 50 > wire["packets"]:
                answer["problems"].append(f"the watch missed {wire['drops']} of {wire['packets']} packets")
        if side == "wrapped":
            answer["connections"] = handshakes(env)
    except (harness.Failure, harness.Skip) as f:
        answer["problems"].append(str(f))
    code = env.finish(0)
    if code:
        answer["problems"].append("at the end: see the lane's output")
    with open(path + ".new", "w") as f:
        json.dump(answer, f)
    os.rename(path + ".new", path)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
