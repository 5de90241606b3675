# SPDX-License-Identifier: Apache-2.0
"""Perl's own tests of Socket, IO::Socket and IO::Socket::IP (the Debian source package perl), by the packaged Perl."""
# packages: perl
import os
import re

import sources
from suite import Suite, package_version, tap

PLACES = {"cpan/Socket": r"\.t$", "cpan/IO-Socket-IP": r"\.t$",
          "dist/IO": r"^(io_(dup|getline|linenum|multihomed|pipe|poll|sel|sock|sock_errstr|udp|unix|xs)|cachepropagate-\w+|IO)\.t$"}
NOT_RUN = {"cpan/IO-Socket-IP/t/99pod.t", "cpan/IO-Socket-IP/t/31nonblocking-connect-internet.t"}


class Perl(Suite):
    name = "perl"
    title = "Perl's tests of Socket, IO::Socket and IO::Socket::IP"
    left_out = "dist/IO's tests of files and directories, and one that connects to the internet"

    def prepare(self):
        _, self.root = sources.unpack("perl", r"(cpan/(Socket|IO-Socket-IP)|dist/IO)/t/|t/(test|charset_tools|loc_tools)\.pl$")

    def version(self):
        return package_version("perl")

    def units(self):
        self.prepare()
        found = [f"{place}/t/{f}" for place, wanted in PLACES.items()
                 for f in os.listdir(os.path.join(self.root, place, "t")) if re.search(wanted, f)]
        return sorted(set(found) - NOT_RUN)

    def run(self, lane, unit):
        place, _, test = unit.partition("/t/")
        code, out, _ = lane.run(["/usr/bin/perl", f"t/{test}"], 60, cwd=os.path.join(self.root, place))
        return tap(unit, out, code)


SUITE = Perl()
