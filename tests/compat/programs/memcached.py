# SPDX-License-Identifier: Apache-2.0
# packages: memcached libmemcached-tools perl python3
TITLE = "memcached"
WHAT = ("threads, text, meta and binary protocol, big values, memcat and friends of libmemcached, memslap, memcached-tool, watch, "
        "privileges given up")

TALK = r'''
import socket, sys
marker = sys.argv[1]
s = socket.create_connection(("127.0.0.1", 11211))
f = s.makefile("rwb")
def ask(text, lines=1):
    f.write(text.encode()); f.flush()
    for _ in range(lines):
        print(f.readline().decode().strip()[:120])
big = (marker * 40000)[:1000000]
ask(f"set big 0 0 {len(big)}\r\n{big}\r\n")
f.write(b"get big\r\n"); f.flush()
head = f.readline(); body = f.read(len(big)); tail = f.readline() + f.readline()
print(head, body == big.encode(), tail)
ask("set n 5 0 2\r\n41\r\n")
ask("incr n 1\r\n")
ask("gets n\r\n", 3)
ask("append n 0 0 3\r\nabc\r\n")
ask("mg n v t f\r\n", 2)
ask("ms m 3\r\nxyz\r\n")
ask("mn\r\n")
ask("touch n 100\r\n")
ask("set toobig 0 0 2000000\r\n" + "x" * 2000000 + "\r\n")
ask("nonsense\r\n")
# many pipelined at once, answered in order
f.write(b"".join(b"set p%d 0 0 5\r\nvalue\r\n" % i for i in range(3000)) + b"".join(b"get p%d\r\n" % i for i in range(3000)))
f.flush()
answers = [f.readline() for _ in range(3000)] + [f.readline() for _ in range(9000)]
print(len(answers), sorted(set(a for a in answers if not a.startswith(b"VALUE"))))
ask("quit\r\n", 0)
print("end:", f.read())
'''


def run(c):
    server = c.server(["memcached", "-l", "127.0.0.1,::1", "-p", 11211, "-U", 0, "-t", 4, "-u", "nobody", "-c", 200], 11211)
    c.client(["/usr/bin/python3", "-c", TALK, c.text])
    file = c.write("mem-file", c.text * 10000)
    host = "--servers=127.0.0.1:11211"
    for binary in ((), ("--binary",)):
        c.client(["memccp", host, *binary, file])
        out = c.client(["memccat", host, *binary, "mem-file"], show=False)
        c.say("memcat:", out.strip() == c.text * 10000)
        c.client(["memcexist", host, *binary, "mem-file"])
        c.client(["memctouch", host, *binary, "--expire=100", "mem-file"])
        c.client(["memcrm", host, *binary, "mem-file"])
        c.client(["memcexist", host, *binary, "mem-file"])
    c.client(["memcping", "--servers=127.0.0.1:11211,[::1]:11211"])
    for test in ("set", "get", "mget"):
        c.client(["memcslap", host, "--concurrency=8", "--execute-number=200", f"--test={test}"], show=False)
    c.client(["memccp", "--servers=127.0.0.1:11211", "--buffer", file])
    watcher = c.start(["/usr/bin/python3", "-c", "import socket\ns = socket.create_connection(('127.0.0.1', 11211))\n"
                       "s.sendall(b'watch evictions mutations\\n')\nf = s.makefile('rb')\nprint(f.readline().strip(), flush=True)\n"
                       "while True:\n line = f.readline()\n print(line.split()[2:5], flush=True)\n if b'key=last' in line: break"],
                      name="watcher")
    watcher.line("OK")
    c.client(["/usr/bin/python3", "-c", "import socket\ns = socket.create_connection(('127.0.0.1', 11211))\n"
              "s.sendall(b'set last 0 0 1\\r\\nx\\r\\n')\nprint(s.recv(100))"])
    c.say("watcher:", watcher.ok().decode())
    out = c.client(["/usr/share/memcached/scripts/memcached-tool", "127.0.0.1:11211", "stats"], show=False)
    stats = dict(line.split() for line in out.splitlines() if len(line.split()) == 2)
    c.say("stats:", *[f"{k}={stats[k]}" for k in ("total_items", "cmd_touch", "auth_errors", "max_connections", "threads")])
    c.client(["memcflush", host])
    c.stop(server)
