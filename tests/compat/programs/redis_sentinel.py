# SPDX-License-Identifier: Apache-2.0
# packages: redis-server redis-sentinel redis-tools
import signal

from compat import until

TITLE = "Redis Sentinel"
WHAT = "three sentinels, a master that dies, a replica that takes over, the old master that comes back as a replica"


def run(c):
    def node(port, *more):
        return c.server(["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", c.directory(f"node{port}"), "--save", "",
                         "--repl-diskless-sync-delay", "0", *more], port)

    def cli(*words, port=6379, **more):
        return c.client(["redis-cli", "-p", port, *words], **more)

    def role(port):
        return cli("role", port=port, show=False).splitlines()[0]

    master, replica = node(6379), node(6380, "--replicaof", "127.0.0.1 6379")
    cli("set", "before", c.text)
    cli("wait", 1, 20000)
    sentinels = []
    for port in (26379, 26380, 26381):
        path = c.write(f"s{port}/sentinel.conf", f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 6379 2\n"
                       "sentinel down-after-milliseconds main 1500\nsentinel failover-timeout main 10000\n")
        sentinels.append(c.server(["redis-sentinel", path], port))
    for port in (26379, 26380, 26381):
        until(f"sentinel {port} sees all", lambda: "status=ok,address=127.0.0.1:6379,slaves=1,sentinels=3" in
                cli("info", "sentinel", port=port, show=False), 40)
    cli("sentinel", "ckquorum", "main", port=26379)
    listener = c.start(["redis-cli", "-p", "26380", "subscribe", "+switch-master"], name="listener")
    listener.line("^1$")
    master.kill(signal.SIGKILL)
    c.say("the master ended:", master.wait())
    listener.line("127.0.0.1 6379 127.0.0.1 6380", 40)
    for port in (26379, 26380, 26381):
        until(f"sentinel {port} knows", lambda: "6380" in
                cli("sentinel", "get-master-addr-by-name", "main", port=port, show=False), 20)
    until("the replica is the master", lambda: role(6380) == "master", 20)
    cli("get", "before", port=6380)
    cli("set", "after", c.text, port=6380)
    master = node(6379)
    until("the old master is a replica", lambda: role(6379) == "slave", 40)
    cli("wait", 1, 20000, port=6380)
    cli("get", "after", port=6379)
    listener.kill()
    for p in (*sentinels, master, replica):
        c.stop(p)
