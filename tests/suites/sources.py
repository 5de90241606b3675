# SPDX-License-Identifier: Apache-2.0
"""Debian source packages: what a project tests itself with, and its binary package does not bring along.

They come from the mirrors that this machine installs from: its own apt sources, read as sources of source code, in an apt
configuration of our own below BUILD/suites. The machine's is not touched, and nobody has to be root.
"""
import glob
import os
import re
import shutil
import subprocess
import tarfile

from suite import Missing

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACE = os.path.join(ROOT, os.environ.get("BUILD", "build"), "suites")


def derived():
    """The machine's apt sources as deb-src: [(file name, text)]."""
    found = []
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if not os.path.isfile(path):
            continue
        with open(path) as f:
            text = f.read()
        if path.endswith(".sources"):
            found.append((os.path.basename(path), re.sub(r"(?m)^Types:.*", "Types: deb-src", text)))
        elif path.endswith(".list"):
            lines = re.findall(r"(?m)^deb\s.*", text)
            found.append((os.path.basename(path), "".join(re.sub(r"^deb\s", "deb-src ", x) + "\n" for x in lines)))
    return found


class Apt:
    def __init__(self):
        self.place = os.path.join(PLACE, "apt")
        for directory in ("parts", "lists/partial", "cache/archives/partial", "download"):
            os.makedirs(os.path.join(self.place, directory), exist_ok=True)
        for name, text in derived():
            with open(os.path.join(self.place, "parts", name), "w") as f:
                f.write(text)
        self.options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={self.place}/parts",
                        "-o", f"Dir::State::lists={self.place}/lists", "-o", f"Dir::Cache={self.place}/cache",
                        "-o", f"APT::Sandbox::User={os.environ.get('USER') or 'root'}", "-q"]
        self.updated = False

    def call(self, command, *argv, cwd=None):
        return subprocess.run([command, *self.options, *argv], cwd=cwd, capture_output=True, text=True, check=False,
                              env={**os.environ, "LC_ALL": "C"})

    def versions(self, package):
        """Those on offer, the newest first (a mirror may list what it does not have)."""
        if not self.updated and not glob.glob(os.path.join(self.place, "lists", "*Sources*")):
            self.call("apt-get", "update")
            self.updated = True
        answer = self.call("apt-cache", "showsrc", package).stdout
        stanzas = [dict(re.findall(r"(?m)^(Package|Version): (.*)", s)) for s in answer.split("\n\n")]
        found = {s["Version"] for s in stanzas if s.get("Package") == package}
        order = ["dpkg", "--compare-versions"]
        sorted_ = []
        for v in found:
            at = next((i for i, w in enumerate(sorted_) if subprocess.run([*order, v, "gt", w], check=False).returncode == 0),
                      len(sorted_))
            sorted_.insert(at, v)
        return sorted_

    def download(self, package):
        """(version, directory with the files)"""
        why = "apt-cache showsrc knows no such source package; is there a network?"
        for fresh in (False, True):
            for version in self.versions(package):
                directory = os.path.join(self.place, "download", f"{package}_{version.replace(':', '%3a')}")
                done = os.path.join(directory, "complete")
                if os.path.exists(done):
                    return version, directory
                os.makedirs(directory, exist_ok=True)
                run = self.call("apt-get", "source", "--download-only", f"{package}={version}", cwd=directory)
                if run.returncode == 0:
                    open(done, "w").close()
                    return version, directory
                why = (run.stderr.strip().splitlines() or ["?"])[-1]
            if not fresh and not self.updated:
                self.call("apt-get", "update")  # the lists are of another day
                self.updated = True
        raise Missing(f"the source package {package} could not be had: {why}")


APT = []


def unpack(package, wanted):
    """The files of the upstream tarball whose path below its top matches the pattern wanted, in a directory that stays for
    the next time. Returns (version, directory)."""
    if not APT:
        APT.append(Apt())
    version, files = APT[0].download(package)
    target = os.path.join(PLACE, f"{package}-{version.replace(':', '%3a')}")
    done = os.path.join(target, ".complete")
    if os.path.exists(done):
        with open(done) as f:
            if f.read() == wanted:
                return version, target
    shutil.rmtree(target, ignore_errors=True)
    tarballs = [f for f in os.listdir(files) if re.search(r"\.orig\.tar\.\w+$", f)]
    if len(tarballs) != 1:
        raise Missing(f"{files}: not one upstream tarball: {tarballs}")
    keep = re.compile(wanted)
    with tarfile.open(os.path.join(files, tarballs[0])) as tar:
        for member in tar:
            _, _, below = member.name.removeprefix("./").partition("/")
            # A file called *.d would be taken for a dependency file by the Makefile.
            if not below or not keep.match(below) or below.endswith(".d") or ".." in below.split("/"):
                continue
            member.name = below
            tar.extract(member, target, set_attrs=True)
    with open(done, "w") as f:
        f.write(wanted)
    return version, target
