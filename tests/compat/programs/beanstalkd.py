# SPDX-License-Identifier: Apache-2.0
# packages: beanstalkd python3
TITLE = "beanstalkd"
WHAT = "put, reserve, a worker that waits, release, bury, kick, tubes, time to run, big jobs, the log kept over a restart, privileges given up"

TALK = r'''
import socket, sys, time
marker, part = sys.argv[1:]
s = socket.create_connection(("127.0.0.1", 11300))
f = s.makefile("rwb")
def ask(line, body=None, show=print):
    f.write(line.encode() + b"\r\n" + (body.encode() + b"\r\n" if body is not None else b"")); f.flush()
    a = f.readline().decode().strip()
    if a.startswith(("RESERVED", "OK", "FOUND")):
        n = int(a.split()[-1])
        data = f.read(n + 2)[:-2].decode()
        if line == "stats":
            a = "OK"  # how long the whole is hangs on the CPU time that stands in it
        if line.startswith(("stats", "list")):
            data = " ".join(x for x in data.split("\n") if x.startswith(("current-jobs", "total", "- ")))
        a += f" {data[:300]} {len(data)}"
    show(line, "->", a, flush=True)
    return a
if part == "work":
    ask("watch waiting")
    for _ in range(5):  # the last is the producer's last: until then the tube has somebody who watches it
        ask("delete " + ask("reserve").split()[1])
elif part == "first":
    ask("use waiting")
    for i in range(4):
        ask(f"put {i} 0 60 {len(marker)}", marker)
    while "ready: 0 current-jobs-reserved: 0" not in ask("stats-tube waiting", show=lambda *words, **how: None):
        time.sleep(0.05)  # what is read back from the log depends on the order
    ask("use queue")
    for i in range(4):
        ask(f"put {4 - i} 0 60 {len(marker)}", marker)
    ask("put 1 0 60 65535", (marker * 3000)[:65535])
    ask("put 1 0 60 65536", "x" * 65536)
    ask("watch queue")
    job = ask("reserve-with-timeout 1").split()[1]
    ask(f"release {job} 5 0"); ask("reserve-with-timeout 0"); ask(f"bury {job} 1"); ask("peek-buried"); ask("kick 10")
    ask("put 0 0 1 5", "short"); ask("reserve"); ask("reserve-with-timeout 5"); ask("list-tubes"); ask("stats-tube queue")
    ask("use t2"); ask("put 1 0 60 4", "kept"); ask("nonsense")
    ask("stats-job 9999"); ask("use waiting"); ask("put 9 0 60 3", "end")
else:
    ask("watch t2"); ask("list-tubes"); ask("stats-tube t2"); ask("reserve-with-timeout 2"); ask("stats")
'''


def run(c):
    argv = ["beanstalkd", "-l", "127.0.0.1", "-p", 11300, "-b", c.directory("log-dir", "nobody"), "-u", "nobody", "-f", "0"]
    server = c.server(argv, 11300)
    worker = c.start(["/usr/bin/python3", "-c", TALK, c.text, "work"], name="worker")
    worker.line("watch")
    producer = ["/usr/bin/python3", "-c", TALK, c.text]
    c.client([*producer, "first"])
    c.say("worker:", worker.wait(), worker.out().decode())
    c.stop(server)
    server = c.server(argv, 11300)
    c.client([*producer, "second"])
    c.stop(server)
