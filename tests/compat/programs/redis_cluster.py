# SPDX-License-Identifier: Apache-2.0
# packages: redis-server redis-tools
import signal

from compat import until

TITLE = "Redis Cluster"
WHAT = "three masters and a replica, their bus, redirections, moving slots, a master that dies and its replica that takes over"
PORTS = [7000, 7001, 7002, 7003]


def run(c):
    nodes = {port: c.server(["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", c.directory(f"node{port}"), "--save", "",
                             "--cluster-enabled", "yes", "--cluster-node-timeout", 2000, "--cluster-require-full-coverage", "no"],
                            port, port + 10000) for port in PORTS}

    def cli(*words, port=7000, **more):
        return c.client(["redis-cli", "-c", "-p", port, *words], timeout=60, **more)

    def state(port=7000):
        return cli("cluster", "info", port=port, show=False)

    cli("--cluster", "create", *[f"127.0.0.1:{p}" for p in PORTS[:3]], "--cluster-yes", show=False)
    cli("--cluster", "add-node", "127.0.0.1:7003", "127.0.0.1:7000", "--cluster-slave", show=False)
    for port in PORTS:
        until(f"{port} is part of it", lambda: "cluster_state:ok" in state(port) and "cluster_known_nodes:4" in state(port), 30)
    for i in range(12):
        cli("set", f"key{i}", f"{c.text}-{i}", port=PORTS[i % 3])
    for i in range(12):
        cli("get", f"key{i}", port=PORTS[(i + 1) % 3])
    c.client(["redis-cli", "-p", "7000", "get", "key0"])
    c.client(["redis-cli", "-p", "7001", "get", "key0"])
    ids = {line.split()[1].split("@")[0]: line.split()[0] for line in cli("cluster", "nodes", show=False).splitlines()}
    cli("--cluster", "reshard", "127.0.0.1:7000", "--cluster-from", ids["127.0.0.1:7001"], "--cluster-to", ids["127.0.0.1:7000"],
        "--cluster-slots", "1500", "--cluster-yes", show=False)
    until("all agree about the slots", lambda: not c.start(["redis-cli", "--cluster", "check", "127.0.0.1:7000"]).wait(), 30, 0.3)
    out = cli("--cluster", "check", "127.0.0.1:7000", show=False)
    c.say("\n".join(line for line in out.splitlines() if line.startswith(("[OK]", "[ERR]", "[WARN]"))))
    for i in range(12):
        cli("get", f"key{i}", port=PORTS[i % 3])
    # Whose replica 7003 is, is chosen by the names, which are random: it is made 7002's.
    cli("cluster", "replicate", ids["127.0.0.1:7002"], port=7003)
    until("the replica is up", lambda: "master_link_status:up" in cli("info", "replication", port=7003, show=False) and
            "master_port:7002" in cli("info", "replication", port=7003, show=False), 30)
    until("all know it", lambda: all(f"127.0.0.1:7003@17003 slave {ids['127.0.0.1:7002']}" in
                                       cli("cluster", "nodes", port=p, show=False).replace("myself,", "") for p in PORTS), 30)
    nodes[7002].kill(signal.SIGKILL)
    c.say("7002 ended:", nodes[7002].wait())
    until("7003 took over", lambda: "role:master" in cli("info", "replication", port=7003, show=False), 40)
    until("all slots are served", lambda: all("cluster_slots_fail:0" in state(p) and "cluster_state:ok" in state(p) and
                                                "cluster_slots_pfail:0" in state(p) for p in (7000, 7001, 7003)), 30)
    for i in range(12):
        cli("get", f"key{i}", port=7000)
    for port in (7000, 7001, 7003):
        c.stop(nodes[port])
