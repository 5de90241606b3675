# SPDX-License-Identifier: Apache-2.0
# packages: zookeeper default-jdk-headless python3-kazoo
from compat import until

TITLE = "ZooKeeper"
WHAT = ("an ensemble of three (elections, quorum ports), kazoo: nodes, transactions, watches, ephemerals, locks; "
        "a leader that goes and comes back, four-letter words, zkCli")
TIMEOUT = 240

CLIENT = r'''
import sys, threading, logging
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
logging.disable(logging.CRITICAL)
text, part = sys.argv[1:]
def to(ports):
    c = KazooClient(",".join(f"127.0.0.1:{p}" for p in ports), timeout=20, connection_retry={"max_tries": 40, "delay": 0.2, "max_delay": 1})
    c.start(40)
    return c
a, b = to([2181]), to([2183])
if part == "first":
    a.create("/top", text.encode())
    for size in (0, 1, 100000, 1000000):
        a.set("/top", (text.encode() * (size // len(text) + 1))[:size])
        b.sync("/top")
        print(size, len(b.get("/top")[0]))
    t = a.transaction(); t.create("/top/x", b"1"); t.set_data("/top/x", b"2"); print([type(r).__name__ for r in t.commit()])
    t = a.transaction(); t.create("/top/y", b"1"); t.delete("/none"); print([type(r).__name__ for r in t.commit()])
    seen, there = [], threading.Event()
    @b.ChildrenWatch("/top")
    def children(names):
        if len(names) == 22:
            there.set()
    for i in range(20):
        a.create("/top/s-", f"{text} {i}".encode(), sequence=True)
    a.create("/top/mine", b"", ephemeral=True)
    print("watch:", there.wait(40)); print(sorted(b.get_children("/top")))
    order, lock = [], threading.Lock()
    def worker(n):
        c = to([2181 + n % 3])
        with c.Lock("/lock", str(n)):
            with lock:
                order.append(n)
        c.stop(); c.close()
    threads = [threading.Thread(target=worker, args=(n,)) for n in range(6)]
    [t.start() for t in threads]; [t.join() for t in threads]
    print("locked:", sorted(order))
    c = a.Counter("/counter"); d = b.Counter("/counter")
    for i in range(20):
        c += 1; d += 2
    print(a.Counter("/counter").value)
    pending = [a.create_async(f"/top/many{i}", text.encode()) for i in range(500)]
    print(len({p.get(40) for p in pending}))
    try:
        a.create("/top", b"")
    except KazooException as e:
        print(type(e).__name__)
else:
    b.sync("/top")
    print(sorted(x for x in b.get_children("/top") if not x.startswith("many")), b.get("/top/x")[0])
    b.set("/top", f"{text} {part}".encode()); a.sync("/top"); print(a.get("/top")[0])
a.stop(); b.stop(); a.close(); b.close()
'''
CONFIG = """
tickTime=1000
initLimit=20
syncLimit=10
dataDir={dir}/data{n}
clientPortAddress=127.0.0.1
clientPort={port}
4lw.commands.whitelist=*
admin.enableServer=true
admin.serverAddress=127.0.0.1
admin.serverPort={admin}
server.1=127.0.0.1:2881:3881
server.2=127.0.0.1:2882:3882
server.3=127.0.0.1:2883:3883
"""
JAVA = ["/usr/bin/java", "-Xmx96m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp", "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"]


def member(c, n):
    c.write(f"data{n}/myid", f"{n}\n")
    config = c.write(f"zoo{n}.cfg", CONFIG.format(dir=c.dir, n=n, port=2180 + n, admin=8080 + n))
    return c.start([*JAVA, "org.apache.zookeeper.server.quorum.QuorumPeerMain", config], name=f"member{n}")


def run(c):
    members = {n: member(c, n) for n in (1, 2, 3)}

    def word(n, text):
        talk = c.start(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{2180 + n}; echo -n {text} >&3; cat <&3"])
        talk.wait(30)
        return talk.out().decode()

    def roles():
        found = {n: line.split()[1] for n in members for line in word(n, "srvr").splitlines() if line.startswith("Mode:")}
        return found if len(found) == len(members) and "leader" in found.values() else None

    def kazoo(part):
        c.client(["/usr/bin/python3", "-c", CLIENT, c.text, part], err=True)

    for n in members:
        c.listening(2180 + n, 90, members[n])
    until("a leader", roles, 90, 0.5)
    c.say(sorted(roles().values()))
    kazoo("first")
    c.say([word(n, "ruok") for n in members])
    leader = next(n for n, role in roles().items() if role == "leader")
    members.pop(leader).kill()
    until("another leader", roles, 90, 0.5)
    members[leader] = member(c, leader)
    c.listening(2180 + leader, 90, members[leader])
    until("all three", roles, 90, 0.5)
    c.say(sorted(roles().values()))
    kazoo("second")
    out = c.client([*JAVA, "org.apache.zookeeper.ZooKeeperMain", "-server", "127.0.0.1:2182", "get", "/top"], show=False)
    c.say([line for line in out.splitlines() if c.text in line])
    for n in sorted(members):
        c.stop(members[n])
