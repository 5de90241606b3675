# SPDX-License-Identifier: Apache-2.0
# packages: socat openssl
TITLE = "socat"
WHAT = "TCP to TCP, fork, EXEC, SYSTEM, a pseudo-terminal, half-close, its own TLS inside, SOCKS, proxies, retries, port reuse"
import random  # noqa: E402

from compat import digest  # noqa: E402


def run(c):
    c.replace(r"^\S+ \S+ socat\[\d+\]", "TIME")
    blob = random.Random(5).randbytes(3 << 20) + c.marker * 100
    c.write("blob", blob)
    c.write("page", f"<p>{c.text}</p>\n" * 500)
    c.prepare(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{c.dir}/key",
               "-out", f"{c.dir}/cert", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
    servers = []

    def serve(port, target, options="fork,reuseaddr,bind=127.0.0.1", kind="TCP-LISTEN", more=()):
        servers.append(c.server(["socat", *more, f"{kind}:{port},{options}", target], port))

    def ask(*words, input=None, show=True, **more):
        out = c.client(["socat", *words], input=input, show=show, **more)
        if not show:
            c.say("socat:", digest(out))

    serve(9001, "EXEC:/bin/cat")
    serve(9002, "SYSTEM:'read line; echo \"got $line\"; wc -c'")
    serve(9003, "TCP:127.0.0.1:9001")
    serve(9004, "EXEC:/bin/sh -i,pty,setsid,stderr,echo=0")
    serve(9005, f"OPEN:{c.dir}/page,rdonly", more=("-U",))
    serve(9006, "EXEC:/bin/cat", options=f"fork,reuseaddr,cert={c.dir}/cert,key={c.dir}/key,verify=0", kind="OPENSSL-LISTEN")
    serve(9007, "EXEC:/bin/cat", options="fork,reuseaddr,nodelay,so-keepalive,sndbuf=100000,rcvbuf=100000")
    serve(9008, "EXEC:/bin/cat,nofork", options="reuseaddr,fork")
    serve(9010, "EXEC:/bin/cat", options="fork,reuseaddr,ipv6only=0", kind="TCP6-LISTEN")
    for i in range(2):
        for port in (9001, 9003, 9007, 9008):
            ask("-t", "20", f"FILE:{c.dir}/blob!!CREATE:{c.dir}/back", f"TCP:127.0.0.1:{port}", show=False)
            with open(f"{c.dir}/back", "rb") as f:
                c.say(port, f.read() == blob)
    ask("-t", "20", "-", "TCP:127.0.0.1:9002", input=f"a line\n{c.text}" + "y" * 200000)
    ask("-u", "TCP:127.0.0.1:9005", "-", show=False)
    ask("-t", "5", "-", "TCP:127.0.0.1:9004", input=f"stty size >/dev/null && echo a terminal\necho {c.text}\nexit\n")
    ask("-t", "20", "-", f"OPENSSL:127.0.0.1:9006,cafile={c.dir}/cert", input=f"{c.text} twice encrypted\n" * 3000, show=False)
    ask("-t", "20", "-", "TCP6:[::1]:9010", input=f"{c.text} by IPv6\n")
    ask("-t", "20", "-,ignoreeof!!-", "TCP:127.0.0.1:9005,shut-none", show=False)
    ask("-t", "20", "-", "TCP:127.0.0.1:9001,connect-timeout=5,nodelay,sourceport=23456,reuseaddr", input="from a port of its own\n")
    ask("-", "TCP:127.0.0.1:9999,retry=2,interval=0.1", input="nobody there", err=True)
    for s in servers:
        s.kill()
    c.say("ended:", [s.wait(20) for s in servers])
