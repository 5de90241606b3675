# SPDX-License-Identifier: Apache-2.0
# packages: netcat-openbsd netcat-traditional ncat
TITLE = "netcat (OpenBSD's, the traditional one, Nmap's)"
WHAT = "nc -l, -k, -e and -c, half-close, timeouts, port scans, a proxy, a broker, many at once"
import random  # noqa: E402

from compat import digest, sleep_until  # noqa: E402


def run(c):
    c.replace(r"\[\d+\.\d+\]|in \d+\.\d+ seconds|[0-9.]+ seconds", "TIME")
    c.replace(r"127.0.0.1[: ]\d{5}\b", "127.0.0.1:PORT")
    c.replace(r"\b\d{5}\.", "PORT.")
    blob = random.Random(6).randbytes(2 << 20) + c.marker * 100
    path = c.write("blob", blob)

    def same(what, p):
        c.say(what, p.wait(30), p.out() == blob, digest(p.out()))

    # A file from one to the other, in both directions, with each pair.
    for i, (listen, dial) in enumerate((
            (["nc.openbsd", "-l", 6000], ["nc.openbsd", "-N", "127.0.0.1", 6000]),
            (["nc.openbsd", "-l", 6001], ["nc.traditional", "-q", "1", "127.0.0.1", 6001]),
            (["nc.traditional", "-l", "-p", 6002], ["ncat", "--send-only", "127.0.0.1", 6002]),
            (["ncat", "-l", "--recv-only", 6004], ["nc.openbsd", "-q", "0", "127.0.0.1", 6004]),
            # Without input the receiver ends its own side at once, and the sender closes before all of it is taken.
            (["ncat", "-l", 6005], ["ncat", "--send-only", "127.0.0.1", 6005]))):
        server = c.server(listen, listen[-1])
        c.client(dial, stdin=open(path, "rb"))
        same(f"pair {i}", server)
    for i, (listen, dial) in enumerate((
            (["nc.openbsd", "-l", "-N", 6010], ["nc.openbsd", "-d", "127.0.0.1", 6010]),
            (["nc.traditional", "-q", "1", "-l", "-p", 6011], ["ncat", "--recv-only", "127.0.0.1", 6011]),
            (["ncat", "-l", "--send-only", 6012], ["nc.traditional", "127.0.0.1", 6012]))):
        server = c.server(listen, listen[-1], stdin=open(path, "rb"))
        client = c.start(dial)
        same(f"pull {i}", client)
        c.say("server", server.wait(20))
    # A program on the connection.
    for argv, port in ((["nc.traditional", "-l", "-p", 6020, "-e", "/bin/cat"], 6020),
                       (["nc.traditional", "-l", "-p", 6021, "-c", "read a; echo \"got $a\"; cat"], 6021),
                       (["ncat", "-l", 6022, "-e", "/usr/bin/uname"], 6022),
                       (["ncat", "-l", 6023, "-c", "read a; read b; echo \"got $a and $b\""], 6023)):
        server = c.server(argv, port)
        half = ["-N"] if argv[0] == "nc.traditional" else []
        c.client(["nc.openbsd", *half, "127.0.0.1", port], input=f"first\n{c.text}\n" * (20 if half else 1))
        c.say("server", server.wait(20))
    server = c.server(["nc.openbsd", "-l", 6024], 6024)
    c.client(["nc.traditional", "127.0.0.1", 6024, "-e", "/bin/date +" + c.text.replace(" ", "")])
    c.say("the other way round:", server.wait(20), server.out().decode())
    # Servers for many.
    server = c.server(["ncat", "-l", "-k", 6030, "-c", f"echo hello; cat {path}"], 6030)
    clients = [c.start(["nc.openbsd", "-d", "127.0.0.1", 6030]) for _ in range(6)]
    c.say([(p.wait(20), digest(p.out())) for p in clients])
    c.stop(server)
    broker = c.server(["ncat", "-l", "--broker", 6031], 6031)
    listeners = [c.start(["ncat", "--recv-only", "127.0.0.1", 6031]) for _ in range(3)]
    sleep_until(lambda: sum(":6031" in line for line in established()) >= 6, "three listeners")
    c.client(["ncat", "--send-only", "127.0.0.1", 6031], input=f"{c.text} to everybody\n")
    for p in listeners:
        p.line("to everybody")
        p.kill()
        p.wait()
    c.say([p.out().decode() for p in listeners])
    c.stop(broker)
    proxy = c.server(["ncat", "-l", "-k", "--proxy-type", "http", 6032], 6032)
    server = c.server(["nc.openbsd", "-l", "-N", 6033], 6033, stdin=open(path, "rb"))
    client = c.start(["nc.openbsd", "-d", "-X", "connect", "-x", "127.0.0.1:6032", "127.0.0.1", 6033])
    same("through a proxy", client)
    c.say("server", server.wait(20))
    c.stop(proxy)
    # Nobody there, nobody speaks.
    c.client(["nc.openbsd", "-z", "-v", "127.0.0.1", 6099], err=True)
    c.client(["nc.traditional", "-v", "-n", "127.0.0.1", 6099], err=True)
    c.client(["ncat", "-v", "127.0.0.1", 6099], err=True)
    server = c.server(["nc.openbsd", "-l", "-k", 6040], 6040)
    c.client(["nc.openbsd", "-z", "-v", "127.0.0.1", 6040], err=True)
    c.client(["nc.openbsd", "-d", "-w", "1", "127.0.0.1", 6040], err=True)
    c.client(["ncat", "-i", "1s", "127.0.0.1", 6040], stdin=None, err=True)
    c.stop(server)


def established():
    with open("/proc/self/net/tcp") as f:
        for line in f.readlines()[1:]:
            parts = line.split()
            if parts[3] == "01":
                yield f":{int(parts[1].rpartition(':')[2], 16)}"
                yield f":{int(parts[2].rpartition(':')[2], 16)}"
