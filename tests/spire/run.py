#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of tests.py against one SPIRE server and agent. Started by scripts/test-spire.

usage: tests/spire/run.py SPIRE_BIN [FILTER...]
"""
import inspect
import os
import shutil
import socket
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import harness  # noqa: E402
import spire as spires  # noqa: E402
import tests  # noqa: E402

SKIPPED = 77
LIMIT = 150


class Orders:
    """A test runs in a process of its own, SPIRE below this one: stopping and starting it is ordered."""

    WORDS = ("stop_agent", "start_agent", "stop_server", "start_server")

    def __init__(self, spire):
        self.spire, (self.mine, self.theirs) = spire, socket.socketpair()

    def in_test(self):
        self.mine.close()

        def order(number):
            self.theirs.sendall(bytes([number]))
            if self.theirs.recv(1) != b".":
                raise harness.Failure(f"SPIRE: {self.WORDS[number]} did not work")
        for number, word in enumerate(self.WORDS):
            setattr(self.spire, word, lambda n=number: order(n))

    def obey(self):
        """Until the test has ended."""
        self.theirs.close()
        while word := self.mine.recv(1):
            try:
                getattr(self.spire, self.WORDS[word[0]])()
                self.mine.sendall(b".")
            except spires.Broken as why:
                print(why)
                self.mine.sendall(b"!")
        self.mine.close()


def one(name, test, spire):
    """A process of its own, as tests/run does it; its output is shown only when it fails."""
    directory = tempfile.mkdtemp(prefix="svidwrap-spire-test-")
    orders = Orders(spire)
    with tempfile.TemporaryFile() as out:
        pid = os.fork()
        if pid == 0:
            orders.in_test()
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            harness.become_subreaper()
            env, result = harness.Env(name, directory, (24700, 24899)), 0
            harness.signal.alarm(LIMIT)
            try:
                test(env, spire)
            except harness.Skip as skip:
                result, why = SKIPPED, skip
            except BaseException:  # noqa: BLE001
                result = 1
                harness.print_failure()
            result = env.finish(result)
            if result == SKIPPED:
                print(why)
            sys.stdout.flush()
            os._exit(result)
        orders.obey()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        text = out.read().decode(errors="replace")
    shutil.rmtree(directory, ignore_errors=True)
    word = {0: "ok  ", SKIPPED: "SKIP"}.get(code, "FAIL")
    print(f"{word} spire::{name}" + (f": {text.strip().splitlines()[-1]}" if code == SKIPPED else ""), flush=True)
    if code not in (0, SKIPPED):
        print("".join(f"    | {line}\n" for line in text.splitlines()), end="", flush=True)
    return code


def main():
    binaries, filters = sys.argv[1], sys.argv[2:]
    found = [(n[5:], f) for n, f in vars(tests).items() if n.startswith("test_") and inspect.isfunction(f)]
    counts = {0: 0, 1: 0, SKIPPED: 0}
    directory = tempfile.mkdtemp(prefix="svidwrap-spire-")
    spire = None
    try:
        spire = spires.Spire(binaries, directory)
        spire.start()
        for name, test in found:
            if not filters or any(f in name for f in filters):
                if spire.server.poll() is not None:
                    spire.start_server()
                if spire.agent.poll() is not None:
                    spire.start_agent()
                code = one(name, test, spire)
                counts[code if code in counts else 1] += 1
    except spires.Broken as why:
        print(f"FAIL spire: {why}")
        counts[1] += 1
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        counts[1] += 1
    finally:
        if spire is not None:
            spire.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{counts[0]} passed, {counts[1]} failed, {counts[SKIPPED]} skipped")
    return 1 if counts[1] else 0


if __name__ == "__main__":
    sys.exit(main())
