# SPDX-License-Identifier: Apache-2.0
# packages: cvs xinetd
TITLE = "CVS (pserver)"
WHAT = "a server started by a superserver, its stdio on the socket: login, import, checkout, commit, a merge, log, a big file, a wrong password"
import ctypes  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402


def run(c):
    c.replace(r"\d{4}[-/]\d\d[-/]\d\d \d\d:\d\d:\d\d( [-+]\d{4})?|\d\d-[A-Z][a-z]{2}-\d\d|commitid: \w+", "TIME")
    root = c.directory("root")
    c.prepare(["cvs", "-d", root, "init"])
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    c.write("root/CVSROOT/passwd", f"alice:{crypt(b'wonder', b'ab').decode()}:nobody\n")
    c.prepare(["chown", "-R", "nobody:nogroup", root])
    config = c.write("xinetd.conf", f"""
service cvspserver
{{
  type = UNLISTED
  socket_type = stream
  protocol = tcp
  port = 2401
  wait = no
  flags = REUSE
  user = root
  passenv = PATH
  server = /usr/bin/cvs
  server_args = -f --allow-root={root} pserver
}}
""")
    server = c.server(["xinetd", "-dontfork", "-f", config], 2401)
    url = f":pserver:alice:wonder@127.0.0.1:2401{root}"
    source = c.directory("source")
    for i in range(20):
        c.write(f"source/d{i % 3}/f{i}", f"{c.text} {i}\n" * (i * 40 + 1))
    c.write("source/binary", random.Random(14).randbytes(600000))

    def cvs(*words, cwd=None, at=url):
        c.client(["cvs", "-f", "-Q", "-d", at, *words], cwd=cwd or c.dir, err=True)

    cvs("login")
    cvs("import", "-m", "first", "-I", "!", "-W", "binary -k 'b'", "project", "vendor", "start", cwd=source)
    cvs("checkout", "-d", "work", "project")
    cvs("checkout", "-d", "other", "project")
    c.prepare(["diff", "-r", "--exclude=CVS", source, f"{c.dir}/work"])
    for i in range(3):
        c.write("work/d1/f1", f"{c.text} changed {i}\n" * 50)
        cvs("commit", "-m", f"change {i}", cwd=f"{c.dir}/work")
    cvs("update", cwd=f"{c.dir}/other")
    c.prepare(["diff", "-r", "--exclude=CVS", f"{c.dir}/work", f"{c.dir}/other"])
    cvs("-z9", "checkout", "-d", "packed", "project")
    cvs("log", "d1/f1", cwd=f"{c.dir}/work")
    cvs("annotate", "d2/f2", cwd=f"{c.dir}/work")
    cvs("diff", "-r", "1.1", "-r", "1.2", "d1/f1", cwd=f"{c.dir}/work")
    cvs("rlog", "-h", "project/d0")
    cvs("checkout", "-d", "no", "project", at=f":pserver:alice:wander@127.0.0.1:2401{root}")
    cvs("checkout", "-d", "no", "nosuch")
    c.stop(server)
    c.say(sorted(os.listdir(f"{c.dir}/packed")))
