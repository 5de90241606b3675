# SPDX-License-Identifier: Apache-2.0
# packages: redis-server redis-tools
TITLE = "Redis"
WHAT = "strings, pipelining, Lua, big values, a replica, saving in a child, shutdown"


def run(c):
    server = c.server(["redis-server", "--port", 6379, "--bind", "127.0.0.1", "--dir", c.dir, "--save", ""], 6379)

    def cli(*words, port=6379, **more):
        return c.client(["redis-cli", "-p", port, *words], **more)

    cli("set", "key", c.text * 3000)
    cli("strlen", "key")
    cli("get", "key")
    cli("-r", 20, "incr", "counter")
    cli("--pipe", input="".join(f"SET k{i} {c.text}{i}\r\n" for i in range(2000)))
    cli("dbsize")
    cli("eval", "return {KEYS[1], ARGV[1], redis.call('get', KEYS[1])}", 1, "k7", "x")
    replica = c.server(["redis-server", "--port", 6380, "--bind", "127.0.0.1", "--dir", c.directory("replica"), "--save", "",
                        "--replicaof", "127.0.0.1 6379"], 6380)
    cli("wait", 1, 20000)
    cli("get", "k1999", port=6380)
    cli("bgsave", show=False)
    cli("nosuchcommand")
    cli("shutdown", "nosave", port=6380)
    c.say("the replica ended:", replica.wait(20))
    c.stop(server)
