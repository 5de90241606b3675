# SPDX-License-Identifier: Apache-2.0
# packages: rsync diffutils
TITLE = "rsync"
WHAT = "daemon: modules, push, pull, delta of a big file, compression, deletion, secrets, limits, a broken-off transfer"
import os  # noqa: E402
import random  # noqa: E402

from compat import sleep_until  # noqa: E402

URL = "rsync://127.0.0.1"


def tree(c, name, seed):
    """Files small and big, a link, a time: the same in both runs."""
    r = random.Random(seed)
    top = c.directory(name)
    for i in range(60):
        c.write(f"{name}/d{i % 7}/file{i}", f"{c.text} {i}\n" * r.randrange(1, 400))
    c.write(f"{name}/big", r.randbytes(3 << 20) + c.marker * 1000)
    os.symlink("big", os.path.join(top, "link"))
    for directory, _, files in os.walk(top):
        for file in files:
            os.utime(os.path.join(directory, file), (10**9, 10**9), follow_symlinks=False)
        os.utime(directory, (10**9, 10**9))
    return top


def run(c):
    c.replace(r"[\d,.]+ (bytes/sec|seconds)", "N")
    c.replace(r"(sent|sent:|received|received:|speedup is) [\d,.]+", r"\1 N")  # the framing depends on the time
    source = tree(c, "source", 1)
    for d in ("in", "locked"):
        c.directory(d, "nobody")
    c.write("secrets", "alice:wonder\n", 0o600)
    c.write("password", "wonder\n", 0o600)
    c.write("wrong", "wander\n", 0o600)
    config = c.write("rsyncd.conf", f"""
use chroot = yes
log file = {c.dir}/rsyncd.log
pid file = {c.dir}/rsyncd.pid
[source]
  path = {source}
  comment = to be read
[in]
  path = {c.dir}/in
  read only = no
  uid = nobody
  gid = nogroup
[locked]
  path = {c.dir}/locked
  read only = no
  auth users = alice
  secrets file = {c.dir}/secrets
  max connections = 2
""")
    server = c.server(["rsync", "--daemon", "--no-detach", "--config", config], 873)

    def rsync(*words, **more):
        return c.client(["rsync", *words], **more)

    rsync(f"{URL}/")
    rsync(f"{URL}/source/", err=True)
    rsync("-a", "--stats", f"{URL}/source/", f"{c.dir}/copy/")
    c.prepare(["diff", "-r", "--no-dereference", source, f"{c.dir}/copy"])
    with open(f"{source}/big", "r+b") as f:  # a delta
        f.seek(1 << 20)
        f.write(b"changed" * 99)
    os.utime(f"{source}/big", (10**9 + 5, 10**9 + 5))
    os.unlink(f"{source}/d1/file1")
    os.utime(f"{source}/d1", (10**9, 10**9))
    rsync("-a", "--itemize-changes", "--delete-before", "--stats", f"{URL}/source/", f"{c.dir}/copy/")
    c.prepare(["diff", "-r", "--no-dereference", source, f"{c.dir}/copy"])
    for mode in ("-z", "--whole-file", "--bwlimit=20m"):
        rsync("-a", "--delete", "--omit-dir-times", mode, f"{source}/", f"{URL}/in/")
        c.prepare(["diff", "-r", "--no-dereference", source, f"{c.dir}/in"])
        rsync("-a", "--delete", f"{c.directory('empty')}/", f"{URL}/in/", err=True)
    c.say(sorted(os.listdir(f"{c.dir}/in")), os.stat(f"{c.dir}/in").st_uid)
    rsync("-a", "--password-file", f"{c.dir}/wrong", f"{source}/d2", "rsync://alice@127.0.0.1/locked/", err=True)
    rsync("-a", "--password-file", f"{c.dir}/password", f"{source}/d2", "rsync://alice@127.0.0.1/locked/", err=True)
    c.prepare(["diff", "-r", f"{source}/d2", f"{c.dir}/locked/d2"])
    rsync(f"{URL}/nosuch/", err=True)
    rsync("-a", f"{source}/", f"{URL}/source/", err=True)
    broken = c.start(["rsync", "-a", "--bwlimit=200k", f"{URL}/source/", f"{c.dir}/broken/"])
    sleep_until(lambda: os.path.exists(f"{c.dir}/broken/d3"), "a transfer that is under way")
    c.stop(broken)
    c.say(broken.text())
    c.stop(server)
