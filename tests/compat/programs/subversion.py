# SPDX-License-Identifier: Apache-2.0
# packages: subversion xinetd
TITLE = "Subversion (svnserve)"
WHAT = "daemon by processes, by threads, from a superserver; import, checkout, commit, a conflict, blame, locks, passwords"
import os  # noqa: E402


def run(c):
    c.replace(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^|<]*", "TIME")
    c.replace(r"token|opaquelocktoken:\S+", "TOKEN")
    repo, source = c.directory("repo"), c.directory("source")
    c.prepare(["svnadmin", "create", repo])
    c.write("repo/conf/svnserve.conf", "[general]\nanon-access = read\nauth-access = write\npassword-db = passwd\nrealm = here\n")
    c.write("repo/conf/passwd", "[users]\nalice = wonder\n", 0o600)
    for i in range(30):
        c.write(f"source/d{i % 4}/f{i}", f"{c.text} {i}\n" * (i * 30 + 1))
    c.write("source/binary", os.urandom(300000))
    xinetd = c.write("xinetd.conf", f"""
service svn
{{
  type = UNLISTED
  socket_type = stream
  protocol = tcp
  port = 3692
  wait = no
  flags = REUSE
  user = root
  server = /usr/bin/svnserve
  server_args = -i -r {c.dir}
}}
""")
    servers = [c.server(["svnserve", "-d", "--foreground", "-r", c.dir, "--listen-port", 3690, "--listen-host", "127.0.0.1"], 3690),
               c.server(["svnserve", "-d", "--foreground", "--threads", "-r", c.dir, "--listen-port", 3691, "--listen-host", "127.0.0.1"], 3691),
               c.server(["xinetd", "-dontfork", "-f", xinetd], 3692)]
    login = ["--non-interactive", "--no-auth-cache", "--config-dir", f"{c.dir}/config", "--username", "alice"]

    def svn(*words, password="wonder", **more):
        return c.client(["svn", *words, *login, "--password", password], err=True, **more)

    for port in (3690, 3691, 3692):
        url, work = f"svn://127.0.0.1:{port}/repo/p{port}", f"{c.dir}/work{port}"
        svn("import", "-q", "-m", "first", source, url)
        svn("checkout", "-q", url, work)
        c.prepare(["diff", "-r", "--exclude=.svn", source, work])
        svn("checkout", "-q", url, work + "b")
        for i in range(3):
            c.write(f"work{port}/d1/f1", f"{c.text} changed {i}\n" * 9)
            svn("commit", "-q", "-m", f"change {i}", work)
        c.write(f"work{port}b/d1/f1", "something else\n")
        svn("commit", "-q", "-m", "a conflict", work + "b")
        svn("update", "-q", "--accept", "theirs-full", work + "b")
        svn("blame", f"{url}/d1/f1")
        svn("diff", "-r", "PREV:HEAD", f"{url}/d1")
        svn("list", "-R", f"{url}/d2")
        svn("cat", f"{url}/d3/f3")
        svn("lock", "-m", "mine", f"{url}/d3/f7")
        svn("unlock", f"{url}/d3/f7")
        svn("mkdir", "-m", "no", f"{url}/no", password="wander")
        several = [c.start(["svn", "export", "-q", url, f"{c.dir}/export{port}{i}"]) for i in range(4)]
        c.say([p.wait(60) for p in several])
    for s in servers:
        c.stop(s)
