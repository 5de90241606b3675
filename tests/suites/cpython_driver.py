# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of one module of CPython's own suite and writes a line for each, as it ends: "ID<TAB>RESULT".

Started by cpython.py with the interpreter whose suite it is. A test that hangs ends the process (its line is missing,
its traceback is on stderr); the caller starts again with what is left. Nothing of svidwrap is known here.

usage: cpython_driver.py MODULE RESULTS SECONDS DONE-FILE [RESOURCE...]
"""
import faulthandler
import sys
import unittest

from test import support


class Lines(unittest.TestResult):
    """A result a test, the worst of its subtests; written when the test begins ("-") and when it has ended."""

    def __init__(self, out, seconds):
        super().__init__()
        self.out, self.seconds, self.worst = out, seconds, None

    def say(self, test, result):
        print(test.id(), result, sep="\t", file=self.out, flush=True)

    def note(self, result, error=None):
        self.worst = "fail" if "fail" in (result, self.worst) else result
        if error is not None:
            sys.stderr.write(error)
            sys.stderr.flush()

    def startTest(self, test):
        super().startTest(test)
        self.worst = None
        faulthandler.dump_traceback_later(self.seconds, exit=True)
        self.say(test, "-")
        print("====", test.id(), file=sys.stderr, flush=True)

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        self.say(test, self.worst or "ok")
        support.reap_children()
        super().stopTest(test)

    def failed(self, test, err):
        self.note("fail", self._exc_info_to_string(err, test))
        if not hasattr(test, "_testMethodName"):  # setUpClass or setUpModule: its tests do not run
            self.say(test, "fail")

    addError = addFailure = failed

    def addSkip(self, test, reason):
        self.note("skip")
        print("skipped:", reason, file=sys.stderr)
        if not hasattr(test, "_testMethodName"):
            self.say(test, "skip")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.note("fail", self._exc_info_to_string(err, test))

    def addExpectedFailure(self, test, err):
        self.note("expected failure")

    def addUnexpectedSuccess(self, test):
        self.note("unexpected success")


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


def without(suite, done):
    """The suite, in its order and with its classes' fixtures, without what has been run."""
    return unittest.TestSuite(test for test in each(suite) if test.id() not in done)


def main(module, results, seconds, done, *resources):
    support.verbose = 0
    support.use_resources = resources  # none: as regrtest without -u, nothing that leaves the machine
    with open(done) as f:
        ran = {line.strip() for line in f}
    with open(results, "a") as out:
        loaded = unittest.defaultTestLoader.loadTestsFromName(module)
        without(loaded, ran).run(Lines(out, float(seconds)))
        print("end", "ok", sep="\t", file=out, flush=True)


main(*sys.argv[1:])
