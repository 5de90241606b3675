# SPDX-License-Identifier: Apache-2.0
# packages: stunnel4 redis-server redis-tools openssl
TITLE = "stunnel"
WHAT = "a client's and a server's stunnel around redis: TLS inside TLS, threads, libwrap, a back end that is down"

SERVER = """
foreground = yes
pid =
[redis]
accept = 127.0.0.1:7001
connect = 127.0.0.1:6379
cert = {dir}/both.pem
[down]
accept = 127.0.0.1:7002
connect = 127.0.0.1:6399
cert = {dir}/both.pem
"""
CLIENT = """
foreground = yes
pid =
client = yes
verifyChain = yes
CAfile = {dir}/cert.pem
[redis]
accept = 127.0.0.1:7000
connect = 127.0.0.1:7001
[down]
accept = 127.0.0.1:7003
connect = 127.0.0.1:7002
"""


def run(c):
    c.prepare(["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{c.dir}/key.pem", "-out",
               f"{c.dir}/cert.pem", "-days", 30, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
    with open(f"{c.dir}/key.pem") as key, open(f"{c.dir}/cert.pem") as cert:
        c.write("both.pem", key.read() + cert.read(), 0o600)
    redis = c.server(["redis-server", "--port", 6379, "--bind", "127.0.0.1", "--dir", c.dir, "--save", ""], 6379)
    server = c.server(["stunnel4", c.write("server.conf", SERVER.format(dir=c.dir))], 7001, 7002)
    client = c.server(["stunnel4", c.write("client.conf", CLIENT.format(dir=c.dir))], 7000, 7003)

    def cli(*words, port=7000, **more):
        c.client(["redis-cli", "-p", port, *words], **more)
    cli("set", "key", c.text * 3000)
    cli("get", "key")
    cli("--pipe", input="".join(f"SET k{i} {c.text}{i}\r\n" for i in range(5000)))
    cli("mget", "k1", "k4999")
    cli("ping", port=7003)
    for _ in range(10):
        cli("incr", "counter")
    c.stop(client)
    c.stop(server)
    c.stop(redis)
