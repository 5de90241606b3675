# SPDX-License-Identifier: Apache-2.0
# packages: nutcracker redis-server redis-tools memcached libmemcached-tools
TITLE = "twemproxy"
WHAT = "two pools over two redis servers and a memcached, many clients over one connection each, a server that goes and comes back"

CONF = """
cache:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  distribution: ketama
  redis: true
  auto_eject_hosts: false
  server_retry_timeout: 200
  servers:
   - 127.0.0.1:6379:1 one
   - 127.0.0.1:6380:1 two
mem:
  listen: 127.0.0.1:22122
  distribution: modula
  preconnect: true
  servers:
   - 127.0.0.1:11211:1
"""


def run(c):
    redis = {port: c.server(["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", c.directory(f"r{port}"), "--save", ""], port)
             for port in (6379, 6380)}
    memcached = c.server(["memcached", "-l", "127.0.0.1", "-p", 11211, "-U", 0, "-u", "nobody"], 11211)
    proxy = c.server(["nutcracker", "-c", c.write("nutcracker.yml", CONF), "-s", 22222], 22121, 22122, 22222)

    def cli(*words, port=22121, **more):
        return c.client(["redis-cli", "-p", port, *words], **more)

    for i in range(10):
        cli("set", f"key{i}", f"{c.text} {i}")
    cli("mget", *[f"key{i}" for i in range(10)])
    cli("-x", "set", "big", input=c.text * 10000)
    out = cli("get", "big", show=False)
    c.say("big:", len(out))
    cli("dbsize", port=6379)
    cli("dbsize", port=6380)
    cli("ping")
    c.client(["redis-benchmark", "-p", 22121, "-n", 3000, "-c", 50, "-P", 8, "-t", "set,get,mset", "-q"], show=False)
    file = c.write("thing", c.text * 1000)
    c.client(["memccp", "--servers=127.0.0.1:22122", file])
    out = c.client(["memccat", "--servers=127.0.0.1:22122", "thing"], show=False)
    c.say("thing:", out.strip() == c.text * 1000)
    c.stop(redis[6380])
    for i in range(10):
        cli("get", f"key{i}")
    redis[6380] = c.server(["redis-server", "--port", 6380, "--bind", "127.0.0.1", "--dir", c.dir + "/r6380", "--save", ""], 6380)
    for i in range(10):
        cli("set", f"key{i}", "again", show=False)
    cli("mget", *[f"key{i}" for i in range(10)])
    for p in (proxy, memcached, *redis.values()):
        c.stop(p)
