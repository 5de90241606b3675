# SPDX-License-Identifier: Apache-2.0
"""Do real programs, with server and client wrapped, do their work as ever, with nothing of it in clear on the wire?
redis, nginx, curl, memcached, PostgreSQL, and curl with an OpenSSL of its own beside ours."""
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess

from harness import NATIVE, PYTHON, TD, WAIT, Failure, Skip, entry, until, which

SERVER, CLIENT = f"{TD}/server", f"{TD}/client"


def identities(t, server, client, rule=None, **more):
    """A dev agent that knows the two programs, and a configuration for each side of one port."""
    t.agent([entry(SERVER, server), entry(CLIENT, client)], **more)
    port = t.port()
    serve = t.config(listen=[{"port": port, "allow": [CLIENT], **(rule or {})}])
    dial = t.config(connect=[{"to": f"127.0.0.1:{port}", "allow": [SERVER]}])
    return port, serve, dial


# ---- redis ------------------------------------------------------------------------------------------------------

class Redis:
    def __init__(self, t, *args, how="run"):
        self.t, self.server, self.cli = t, which("redis-server"), which("redis-cli")
        self.port, serve, self.dial = identities(t, self.server, self.cli)
        self.proc = t.wrapped(serve, [self.server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                                      "--appendonly", "no", *args], how=how)
        t.listening(self.port, proc=self.proc)

    def command(self, *words, timeout=20):
        return self.t.run(self.t.wrap(self.dial, [self.cli, "-p", str(self.port), *words]), timeout=timeout).decode()


def test_redis_server_and_cli(t):
    r = Redis(t)
    with t.watch(r.port):
        value = t.marker.decode() * 1000
        assert r.command("set", "key", value) == "OK\n"
        assert r.command("get", "key") == value + "\n"
        assert r.command("ping") == "PONG\n"
        assert r.command("-r", "20", "incr", "n").split() == [str(i) for i in range(1, 21)]
    assert r.proc.alive()
    if not NATIVE:
        line = t.audited("redis-cli's connection", result="allowed", direction="inbound", client_spiffe_id=CLIENT)
        assert line["server_spiffe_id"] == SERVER and line["local"] == f"127.0.0.1:{r.port}", line
        assert line["program"] == "redis-server" and line["pid"] == r.proc.pid, line
        assert list(line) == ["timestamp", "event", "result", "direction", "client_spiffe_id", "server_spiffe_id", "rule",
                              "local", "remote", "reason", "pid", "program"], line
        t.audited("the client's own line", result="allowed", direction="outbound", server_spiffe_id=SERVER)


def test_redis_as_a_daemon(t):
    """It forks, leaves its terminal and saves in a child."""
    r = Redis(t)
    r.proc.stop()
    t.gone(r.port)
    pid_file = os.path.join(t.dir, "redis.pid")
    serve = t.config(listen=[{"port": r.port, "allow": [CLIENT]}])
    t.run(t.wrap(serve, [r.server, "--port", str(r.port), "--bind", "127.0.0.1", "--daemonize", "yes", "--dir", t.dir,
                         "--pidfile", pid_file, "--logfile", os.path.join(t.dir, "redis.log")]))
    t.listening(r.port)
    with t.watch(r.port):
        assert r.command("set", "k", t.marker.decode()) == "OK\n"
        assert "started" in r.command("bgsave")
        until("the save", lambda: os.path.exists(os.path.join(t.dir, "dump.rdb")))
        assert r.command("get", "k") == t.marker.decode() + "\n"
    with open(pid_file) as f:
        os.kill(int(f.read()), signal.SIGTERM)
    t.gone(r.port)


def test_redis_by_a_bare_preload(t):
    r = Redis(t, how="preload")
    with t.watch(r.port):
        out = t.run(t.wrap(r.dial, [r.cli, "-p", str(r.port), "set", "k", t.marker.decode()], how="preload"))
        assert out == b"OK\n", out
        out = t.run(t.wrap(r.dial, [r.cli, "-p", str(r.port), "get", "k"], how="preload"))
        assert out == t.marker + b"\n", out


def test_redis_cli_without_the_shim_gets_nothing(t):
    """redis-cli WITHOUT the shim cannot get a byte out of the wrapped server."""
    r = Redis(t)
    if NATIVE:
        return
    r.command("set", "secret", t.marker.decode())
    for words in (["get", "secret"], ["ping"], ["info"]):
        p = t.spawn([r.cli, "-p", str(r.port), *words])
        p.wait(15)
        assert t.marker not in p.out() and b"PONG" not in p.text().encode() and b"redis_version" not in p.out(), p.text()
        print(f"redis-cli {' '.join(words)} without the shim: exit {p.popen.returncode}, {p.text().strip()!r}")
    for request in (b"PING\r\n", b"*2\r\n$3\r\nGET\r\n$6\r\nsecret\r\n"):
        with socket.create_connection(("127.0.0.1", r.port), timeout=WAIT) as s:
            s.sendall(request)
            got = b""
            try:
                while piece := s.recv(4096):
                    got += piece
            except ConnectionResetError:
                pass
        # At most an alert record of TLS comes back: nothing that redis said.
        assert len(got) <= 7 and (not got or got[0] == 21), got
    t.audited("a plaintext client", result=re.compile("denied|failed"), direction="inbound", reason=re.compile("."))
    assert r.command("get", "secret") == t.marker.decode() + "\n"


def test_redis_benchmark_and_pipelines(t):
    r = Redis(t)
    bench = which("redis-benchmark")
    if not NATIVE:
        t.default_agent.reload(entries=[entry(SERVER, r.server), entry(CLIENT, uid=os.getuid())])
    with t.watch(r.port):
        for extra in (["-c", "1", "-n", "500"], ["-c", "20", "-n", "5000"], ["-c", "20", "-n", "20000", "-P", "16"],
                      ["-c", "4", "-n", "2000", "-d", "65536"], ["-k", "0", "-c", "4", "-n", "200"]):
            out = t.run(t.wrap(r.dial, [bench, "-p", str(r.port), "-q", "-t", "set,get", *extra]), timeout=40).decode()
            assert out.count("requests per second") == 2 and "rror" not in out, out
        assert r.command("set", "key:1", t.marker.decode()) == "OK\n"


def test_redis_publish_and_subscribe(t):
    r = Redis(t)
    with t.watch(r.port):
        listener = t.spawn(t.wrap(r.dial, [r.cli, "-p", str(r.port), "subscribe", "news"]))
        listener.line("subscribe")
        until("the subscriber", lambda: r.command("publish", "news", t.marker.decode()) == "1\n")
        listener.line(t.marker.decode())


def test_redis_replica_in_both_directions(t):
    """A replica listens under one rule and connects under another, in one process; its children save and sync."""
    server, cli = which("redis-server"), which("redis-cli")
    t.agent([entry(SERVER, server), entry(CLIENT, cli)])
    first, second = t.port(), t.port()
    config = t.both(first, second, allow=[SERVER, CLIENT])
    with t.watch(first, second):
        procs = []
        for port, extra in ((first, []), (second, ["--replicaof", "127.0.0.1", str(first)])):
            home = os.path.join(t.dir, str(port))
            os.mkdir(home)
            procs.append(t.wrapped(config, [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", home, *extra]))
            t.listening(port, proc=procs[-1])

        def ask(port, *words):
            return t.run(t.wrap(config, [cli, "-p", str(port), *words])).decode()
        until("the replica in sync", lambda: "master_link_status:up" in ask(second, "info", "replication"), pause=0.3)
        assert ask(first, "set", "k", t.marker.decode()) == "OK\n"
        until("the value at the replica", lambda: ask(second, "get", "k") == t.marker.decode() + "\n", pause=0.1)


# ---- nginx and curl ---------------------------------------------------------------------------------------------

class Nginx:
    def __init__(self, t, server_block="", http="", workers=2, how="run", rule=None):
        self.t, self.binary, self.curl = t, which("nginx"), which("curl")
        self.port, self.serve, self.dial = identities(t, self.binary, self.curl, rule)
        self.root = os.path.join(t.dir, "www")
        os.mkdir(self.root)
        self.conf = os.path.join(t.dir, "nginx.conf")
        with open(os.path.join(self.root, "hello"), "wb") as f:
            f.write(t.marker + b"\n")
        with open(self.conf, "w") as f:
            f.write(f"""user root; worker_processes {workers}; daemon off; pid {t.dir}/nginx.pid; error_log stderr info;
events {{ worker_connections 256; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000; client_body_temp_path {t.dir}/b;
  proxy_temp_path {t.dir}/p; fastcgi_temp_path {t.dir}/f; uwsgi_temp_path {t.dir}/u; scgi_temp_path {t.dir}/s; {http}
  server {{ listen 127.0.0.1:{self.port}; root {self.root}; {server_block} }} }}
""")
        self.proc = t.wrapped(self.serve, [self.binary, "-c", self.conf, "-p", t.dir], how=how)
        t.listening(self.port, proc=self.proc)

    def url(self, path="hello"):
        return f"http://127.0.0.1:{self.port}/{path}"

    def get(self, *args, timeout=40):
        return self.t.run(self.t.wrap(self.dial, [self.curl, "-sS", "--fail", "-m", str(timeout), *args]),
                          timeout=timeout + 5)


def big_file(t, path, megabytes):
    """Writes a file with markers in it and returns its hash."""
    block = hashlib.shake_256(t.marker).digest((1 << 20) - len(t.marker)) + t.marker
    h = hashlib.sha256()
    with open(path, "wb") as f:
        for _ in range(megabytes):
            f.write(block)
            h.update(block)
    return h.hexdigest()


def file_hash(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def test_nginx_and_curl(t):
    n = Nginx(t)
    with t.watch(n.port):
        for _ in range(10):
            assert n.get(n.url()) == t.marker + b"\n"
        p = t.spawn(t.wrap(n.dial, [n.curl, "-sS", n.url("missing"), "-o", "/dev/null", "-w", "%{http_code}"]))
        assert p.ok() == b"404"


def test_nginx_keep_alive(t):
    n = Nginx(t)
    with t.watch(n.port):
        out = n.get(*[n.url()] * 50, "-w", "connects %{num_connects}\\n").decode()
        assert out.count(t.marker.decode()) == 50, out
        assert re.findall(r"connects (\d)", out).count("1") == 1, out


def test_nginx_100_megabytes(t):
    n = Nginx(t)
    want = big_file(t, os.path.join(n.root, "big"), 100)
    out = os.path.join(t.dir, "downloaded")
    with t.watch(n.port):
        n.get(n.url("big"), "-o", out)
    assert file_hash(out) == want


def test_nginx_many_at_once(t):
    n = Nginx(t)
    want = big_file(t, os.path.join(n.root, "some"), 2)
    with t.watch(n.port):
        procs = [t.spawn(t.wrap(n.dial, [n.curl, "-sS", "--fail", "-m", "40", n.url("some"), "-o", f"{t.dir}/some.{i}"]))
                 for i in range(20)]
        for p in procs:
            p.ok(45)
    assert all(file_hash(f"{t.dir}/some.{i}") == want for i in range(20))


def test_nginx_reload(t):
    n = Nginx(t)
    if not NATIVE:
        t.default_agent.reload(entries=[entry(SERVER, n.binary), entry(CLIENT, n.curl), entry(CLIENT, "/bin/sh")])
    script = os.path.join(t.dir, "loop.sh")
    with open(script, "w") as f:
        f.write(f"i=0; while [ $i -lt 60 ]; do {n.curl} -sS --fail -m 20 {n.url()} || exit 1; i=$((i+1)); done\n")
    with t.watch(n.port):
        loop = t.spawn(t.wrap(n.dial, ["/bin/sh", script]))
        for _ in range(3):
            before = workers(n)
            os.kill(n.proc.pid, signal.SIGHUP)
            until("new workers", lambda b=before: len(workers(n) - b) >= 2)
        out = loop.ok(50)
        assert out.count(t.marker) == 60, out
        assert n.get(n.url()) == t.marker + b"\n"


def workers(n):
    with open(f"/proc/{n.proc.pid}/task/{n.proc.pid}/children") as f:
        return set(f.read().split())


def test_nginx_new_binary(t):
    """USR2 starts a new master on the inherited listener, QUIT ends the old one; clients never notice."""
    new_binary(t, "root")


def test_nginx_new_binary_with_unprivileged_workers(t):
    """The new master's workers accept what comes for a listener of the old master's, another user's."""
    if os.getuid() != 0:
        raise Skip("needs root, to give it up")
    new_binary(t, "nobody nogroup")


def new_binary(t, user):
    n = Nginx(t)
    n.proc.stop()
    t.gone(n.port)
    with open(n.conf) as f:
        text = f.read()
    with open(n.conf, "w") as f: # a daemon: otherwise nginx ignores USR2
        f.write(text.replace("daemon off", "daemon on").replace("user root;", f"user {user};"))
    t.run(t.wrap(n.serve, [n.binary, "-c", n.conf, "-p", t.dir]))
    pid_file, old_file = f"{t.dir}/nginx.pid", f"{t.dir}/nginx.pid.oldbin"

    def pid():
        try:
            with open(pid_file) as f:
                return int(f.read() or 0)
        except FileNotFoundError:
            return 0
    old = until("the pid file", pid)
    with t.watch(n.port):
        assert n.get(n.url()) == t.marker + b"\n"
        os.kill(old, signal.SIGUSR2)
        new = until("the new pid file", lambda: os.path.exists(old_file) and pid())
        t.cleanups.append(lambda: os.kill(new, signal.SIGTERM))
        assert new != old
        for _ in range(5):
            assert n.get(n.url()) == t.marker + b"\n"
        os.kill(old, signal.SIGQUIT)
        until("the end of the old master", lambda: not os.path.exists(old_file))
        for _ in range(5):
            assert n.get(n.url()) == t.marker + b"\n"


def test_nginx_with_unprivileged_workers(t):
    """The master is root, the workers are not: they accept, and one that becomes another user is still served."""
    if os.getuid() != 0:
        raise Skip("needs root, to give it up")
    n = Nginx(t)
    n.proc.stop()
    t.gone(n.port)
    with open(n.conf) as f:
        text = f.read()
    with open(n.conf, "w") as f:
        f.write(text.replace("user root;", "user nobody nogroup;"))
    n.proc = t.wrapped(n.serve, [n.binary, "-c", n.conf, "-p", t.dir])
    t.listening(n.port, proc=n.proc)
    until("two workers that are not root", lambda: [os.stat(f"/proc/{w}").st_uid for w in workers(n)] == [65534] * 2)
    want = big_file(t, os.path.join(n.root, "some"), 5)
    out = os.path.join(t.dir, "downloaded")
    with t.watch(n.port):
        for _ in range(5):
            assert n.get(n.url()) == t.marker + b"\n"
        n.get(n.url("some"), "-o", out)
        os.kill(n.proc.pid, signal.SIGHUP)
        for _ in range(5):
            assert n.get(n.url()) == t.marker + b"\n"
    assert file_hash(out) == want


def test_a_download_while_the_worker_is_killed(t):
    n = Nginx(t)
    want = big_file(t, os.path.join(n.root, "big"), 30)
    out = os.path.join(t.dir, "downloaded")
    with t.watch(n.port):
        p = t.spawn(t.wrap(n.dial, [n.curl, "-sS", "--fail", "--limit-rate", "15M", n.url("big"), "-o", out]))
        until("a part", lambda: os.path.exists(out) and os.path.getsize(out) > 1 << 20)
        for _ in range(3 if not NATIVE else 0):
            os.kill(t.worker(), signal.SIGKILL)
            assert n.get(n.url()) == t.marker + b"\n"
        p.ok(40)
    assert file_hash(out) == want


def test_nginx_reuseport(t):
    n = Nginx(t, http="")
    n.proc.stop()
    with open(n.conf) as f:
        text = f.read()
    with open(n.conf, "w") as f:
        f.write(text.replace(f"listen 127.0.0.1:{n.port};", f"listen 127.0.0.1:{n.port} reuseport;"))
    t.gone(n.port)
    n.proc = t.wrapped(n.serve, [n.binary, "-c", n.conf, "-p", t.dir])
    t.listening(n.port, proc=n.proc)
    with t.watch(n.port):
        for _ in range(10):
            assert n.get(n.url()) == t.marker + b"\n"


def test_nginx_proxy_in_both_directions(t):
    """curl -> nginx -> nginx, all wrapped: the one in the middle listens and connects, non-blocking."""
    n = Nginx(t)
    want = big_file(t, os.path.join(n.root, "big"), 10)
    middle = t.port()
    conf = os.path.join(t.dir, "proxy.conf")
    with open(n.conf) as f:
        text = f.read()
    with open(conf, "w") as f:
        f.write(text.replace(f"listen 127.0.0.1:{n.port}; root {n.root};",
                             f"listen 127.0.0.1:{middle}; location / {{ proxy_pass http://127.0.0.1:{n.port}; }}")
                .replace("nginx.pid", "proxy.pid"))
    if not NATIVE:
        t.default_agent.reload(entries=[entry(SERVER, n.binary), entry(CLIENT, n.curl)])
    n.proc.stop()
    t.gone(n.port)
    config = t.both(n.port, middle, allow=[SERVER, CLIENT])
    back = t.wrapped(config, [n.binary, "-c", n.conf, "-p", t.dir])
    front = t.wrapped(config, [n.binary, "-c", conf, "-p", t.dir])
    t.listening(n.port, proc=back)
    t.listening(middle, proc=front)
    out = os.path.join(t.dir, "downloaded")
    with t.watch(n.port, middle):
        t.run(t.wrap(config, [n.curl, "-sS", "--fail", f"http://127.0.0.1:{middle}/big", "-o", out]), timeout=40)
        for _ in range(5):
            got = t.run(t.wrap(config, [n.curl, "-sS", "--fail", f"http://127.0.0.1:{middle}/hello"]))
            assert got == t.marker + b"\n", got
    assert file_hash(out) == want


def test_curl_with_its_own_tls_on_another_port(t):
    """The program's libssl beside ours: https on a port that no rule names, in one process with a managed one."""
    openssl = which("openssl")
    n = Nginx(t)
    other = t.port()
    cert, key = os.path.join(t.dir, "c.pem"), os.path.join(t.dir, "k.pem")
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"],
                   check=True, capture_output=True)
    server = t.spawn([openssl, "s_server", "-accept", f"127.0.0.1:{other}", "-cert", cert, "-key", key, "-www"])
    t.listening(other, proc=server)
    with t.watch(n.port):
        out = n.get("--cacert", cert, "--resolve", f"localhost:{other}:127.0.0.1", f"https://localhost:{other}/", n.url())
    assert b"s_server" in out and t.marker in out, out[-500:]


# ---- memcached --------------------------------------------------------------------------------------------------

MEMCACHED_CLIENT = r"""
import socket, sys
port, marker = int(sys.argv[1]), sys.argv[2].encode()
conns = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(20)]
files = [c.makefile("rb") for c in conns]
for i, (c, f) in enumerate(zip(conns, files)):
    value = marker * (i * 150 + 1)
    c.sendall(b"set k%d 0 0 %d\r\n" % (i, len(value)) + value + b"\r\n")
    assert f.readline() == b"STORED\r\n"
for i, (c, f) in enumerate(zip(conns, files)):
    c.sendall(b"".join(b"get k%d\r\n" % k for k in range(20)))
    for k in range(20):
        head = f.readline().split()
        assert head[:2] == [b"VALUE", b"k%d" % k], head
        assert f.read(int(head[3])) == marker * (k * 150 + 1) and f.readline() == b"\r\n" and f.readline() == b"END\r\n"
print("all there")
"""


def test_memcached(t):
    memcached = which("memcached")
    port, serve, dial = identities(t, memcached, PYTHON)
    proc = t.wrapped(serve, [memcached, "-u", "root", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "4"])
    t.listening(port, proc=proc)
    with t.watch(port):
        for _ in range(2):
            out = t.run(t.wrap(dial, [PYTHON, "-c", MEMCACHED_CLIENT, str(port), t.marker.decode()]), timeout=40)
            assert out == b"all there\n"


# ---- PostgreSQL -------------------------------------------------------------------------------------------------

def postgres_binaries():
    base = "/usr/lib/postgresql"
    for version in sorted(os.listdir(base) if os.path.isdir(base) else [], reverse=True):
        directory = os.path.join(base, version, "bin")
        if os.path.exists(os.path.join(directory, "initdb")):
            return directory
    raise Skip("PostgreSQL is not installed")


class Postgres:
    """The server runs as another user, forks for every connection and runs its own select loops."""

    def __init__(self, t, rule=None):
        pg = postgres_binaries()
        if os.getuid() != 0:
            raise Skip("needs root: initdb runs as the user postgres")
        self.t, self.binary = t, os.path.join(pg, "psql")
        server = os.path.join(pg, "postgres")
        self.port, serve, self.dial = identities(t, server, self.binary, rule)
        if not NATIVE:
            os.chmod(t.default_agent.socket, 0o777)
        data = os.path.join(t.dir, "pgdata")
        os.mkdir(data)
        shutil.chown(data, "postgres", "postgres")
        t.run([os.path.join(pg, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8",
               "--locale=C.UTF-8"], user="postgres", timeout=40)
        argv = [server, "-D", data, "-p", str(self.port), "-k", data, "-c", "listen_addresses=127.0.0.1", "-c",
                "fsync=off"]
        self.proc = t.spawn(t.wrap(serve, argv), user="postgres", name="postgres")
        t.listening(self.port, proc=self.proc)

    def psql(self, sql):
        return [self.binary, "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", "postgres", "-XAtq", "-v",
                "ON_ERROR_STOP=1", "-c", sql]

    def query(self, sql, timeout=30):
        return self.t.run(self.t.wrap(self.dial, self.psql(sql)), timeout=timeout).decode()

    def stop(self):
        if not self.proc.alive():
            raise Failure("the server ended by itself")
        self.proc.kill(signal.SIGINT)
        self.proc.wait(20)


def test_postgresql(t):
    pg = Postgres(t)
    with t.watch(pg.port):
        assert pg.query(f"select '{t.marker.decode()}'") == t.marker.decode() + "\n"
        pg.query(f"create table x as select i, '{t.marker.decode()}' || i as v from generate_series(1, 50000) i")
        rows = pg.query("select v from x order by i").split()
        assert rows == [t.marker.decode() + str(i) for i in range(1, 50001)]
        several = [t.spawn(t.wrap(pg.dial, pg.psql("select count(*), pg_sleep(0.1) from x"))) for _ in range(8)]
        assert all(p.ok(30) == b"50000|\n" for p in several)
        copied = os.path.join(t.dir, "copy.txt")
        pg.query(f"\\copy x to '{copied}'")
        assert sum(1 for _ in open(copied, encoding="utf-8")) == 50000
    pg.stop()
