# SPDX-License-Identifier: Apache-2.0
"""CPython's own tests of everything that leans on sockets, from Debian's libpython3.11-testsuite, by /usr/bin/python3."""
# packages: libpython3.11-testsuite python3
import os

from suite import HERE, Suite, need, package_version

PYTHON = "/usr/bin/python3"
TESTS = "/usr/lib/python3.11/test"
# Named by the project's promise, then what else of the library stands on sockets, descriptors and readiness.
MODULES = ["test_socket", "test_selectors", "test_poll", "test_epoll", "test_ftplib", "test_smtplib", "test_imaplib",
           "test_xmlrpc",
           "test_asynchat", "test_asyncore", "test_docxmlrpc", "test_httplib", "test_httpservers", "test_nntplib", "test_os",
           "test_poplib", "test_select", "test_smtpd", "test_socketserver", "test_ssl", "test_subprocess", "test_telnetlib",
           "test_urllib2_localnet", "test_wsgiref",
           "test_asyncio.test_base_events", "test_asyncio.test_buffered_proto", "test_asyncio.test_events",
           "test_asyncio.test_sendfile", "test_asyncio.test_server", "test_asyncio.test_sock_lowlevel",
           "test_asyncio.test_sslproto", "test_asyncio.test_streams"]
# Asks for the resource "network" and stays on the loopback.
NETWORK = {"test_socketserver"}
HANG = 40  # seconds a test may take
# Waits for ever, natively, where the machine has vsock without a hypervisor that answers; no TCP in it.
NOT_RUN = ["test.test_socket.ThreadedVSOCKSocketStreamTest.testStream"]


class CPython(Suite):
    name = "cpython"
    title = "CPython's test suite"
    left_out = "resources that regrtest leaves out without -u: the outer network, large files, minutes of CPU; test_socket's VSOCK, which hangs natively"

    def prepare(self):
        need(PYTHON, "python3")
        need(os.path.join(TESTS, "test_socket.py"), "libpython3.11-testsuite")

    def version(self):
        return package_version("libpython3.11-testsuite")

    def units(self):
        return MODULES

    def run(self, lane, unit):
        results, done = {}, os.path.join(lane.dir, f"{unit}.done")
        lines = os.path.join(lane.dir, f"{unit}.results")
        for _ in range(20):
            with open(done, "w") as f:
                f.write("".join(test + "\n" for test in [*NOT_RUN, *results]))
            resource = ["network"] if unit in NETWORK else []
            code, _, _ = lane.run([PYTHON, os.path.join(HERE, "cpython_driver.py"), f"test.{unit}", lines, str(HANG), done,
                                   *resource], 600)
            ended = self.read(lines, results)
            for test, result in results.items():
                if result == "-":
                    results[test] = f"ended the process ({code})" if code is not None else "hung"
            if ended:
                break
        else:
            results[unit] = "gave up after 20 starts"
        return results

    @staticmethod
    def read(path, results):
        """Adds the lines of the file to results; true where the driver came to its end."""
        ended = False
        if os.path.exists(path):
            with open(path) as f:
                for line in f:
                    test, _, result = line.rstrip("\n").rpartition("\t")
                    if test == "end":
                        ended = True
                    elif result != "-" or test not in results:
                        results[test] = result
        return ended


SUITE = CPython()
