# SPDX-License-Identifier: Apache-2.0
# packages: redis-server redis-tools
import signal

from compat import until

TITLE = "Redis"
WHAT = ("TCP and a unix socket at once, strings, pipelining, Lua, big values, pub/sub, a blocked reader, MONITOR, a connection that is "
        "killed, MIGRATE, a replica, redis-benchmark, rewriting the log in a child, restart")


def run(c):
    sock = c.dir + "/redis.sock"
    argv = ["redis-server", "--port", 6379, "--bind", "127.0.0.1 ::1", "--dir", c.dir, "--save", "", "--appendonly", "yes",
            "--unixsocket", sock]
    server = c.server(argv, 6379)

    def cli(*words, port=6379, **more):
        return c.client(["redis-cli", "-p", port, *words], **more)

    cli("set", "key", c.text * 3000)
    cli("strlen", "key")
    cli("get", "key")
    c.client(["redis-cli", "-s", sock, "strlen", "key"])
    cli("-h", "::1", "strlen", "key")
    cli("-r", 20, "incr", "counter")
    cli("--pipe", input="".join(f"SET k{i} {c.text}{i}\r\n" for i in range(2000)))
    cli("dbsize")
    cli("eval", "return {KEYS[1], ARGV[1], redis.call('get', KEYS[1])}", 1, "k7", "x")
    waiting(c, cli)
    cli("--bigkeys", show=False)
    out = cli("-h", "127.0.0.1", "client", "list", show=False)
    c.say("clients:", len(out.splitlines()))
    benchmark(c)
    replica(c, cli)
    other = c.server(["redis-server", "--port", 6381, "--bind", "127.0.0.1", "--dir", c.directory("other"), "--save", ""], 6381)
    cli("migrate", "127.0.0.1", 6381, "key", 0, 5000)
    cli("exists", "key")
    cli("strlen", "key", port=6381)
    c.stop(other)
    cli("bgrewriteaof")
    until("the log rewritten", lambda: "aof_rewrite_in_progress:0" in cli("info", "persistence", show=False))
    cli("nosuchcommand")
    c.stop(server)
    server = c.server(argv, 6379)
    cli("get", "k1999")
    cli("shutdown", "nosave")
    c.say("ended:", server.wait(20))


def waiting(c, cli):
    """Connections that sit in a read until somebody else does something."""
    monitor = c.start(["redis-cli", "-p", 6379, "monitor"], name="monitor")
    monitor.line("^OK")
    subscriber = c.start(["redis-cli", "-p", 6379, "subscribe", "news", "sport"], name="subscriber")
    subscriber.line("^2$")
    popper = c.start(["redis-cli", "-p", 6379, "blpop", "queue", "0"], name="popper")
    until("three that wait", lambda: "blocked_clients:1" in cli("info", "clients", show=False))
    cli("publish", "news", c.text * 1000)
    cli("publish", "sport", "one")
    cli("rpush", "queue", "job")
    subscriber.line("^one$")
    c.say("popped:", popper.ok().decode())
    monitor.line("rpush")
    c.replace(r"\d{10}\.\d{6} \[0 127.0.0.1:\d+\]", "WHEN WHO")
    c.say("\n".join(sorted({line for line in monitor.out().decode().splitlines() if '"rpush"' in line or '"publish" "sport"' in line})))
    cli("client", "kill", "type", "pubsub")
    until("the end of the connection that was killed", lambda: b"closed" in subscriber.err().lower() + subscriber.out().lower())
    c.say("subscriber:", subscriber.out().decode())
    subscriber.kill(signal.SIGKILL)
    c.say("subscriber ended:", subscriber.wait())
    monitor.kill()
    c.say("monitor ended:", monitor.wait())


def benchmark(c):
    out = c.client(["redis-benchmark", "-n", 4000, "-c", 40, "-P", 4, "-t", "set,get,lpush,lrange_100,mset", "--csv", "--threads", 2,
                    "-e"], show=False)
    c.say("benchmark:", ", ".join(line.split('"')[1] for line in out.splitlines()))


def replica(c, cli):
    p = c.server(["redis-server", "--port", 6380, "--bind", "127.0.0.1", "--dir", c.directory("replica"), "--save", "",
                  "--replicaof", "127.0.0.1 6379"], 6380)
    cli("wait", 1, 20000)
    cli("get", "k1999", port=6380)
    cli("set", "x", "y", port=6380)
    cli("bgsave", show=False)
    # What it is sent goes to a child of its own (a fork over the connection).
    cli("config", "set", "repl-diskless-sync-delay", 0)
    cli("config", "set", "repl-diskless-sync", "yes")
    cli("replicaof", "no", "one", port=6380)
    cli("flushall", port=6380)
    cli("debug", "change-repl-id", show=False)
    cli("replicaof", "127.0.0.1", 6379, port=6380)
    until("the second copy", lambda: "master_link_status:up" in cli("info", "replication", port=6380, show=False))
    cli("dbsize", port=6380)
    cli("shutdown", "nosave", port=6380)
    c.say("the replica ended:", p.wait(20))
