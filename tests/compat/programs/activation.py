# SPDX-License-Identifier: Apache-2.0
# packages: systemd netcat-openbsd
TITLE = "systemd's socket activation"
WHAT = "a listener made by systemd-socket-activate (LISTEN_FDS, --fdname), one connection each (-a), inetd's way (--inetd), handlers that know nothing of it"
import random  # noqa: E402

from compat import digest  # noqa: E402

SERVER = r'''
import os, socket, sys
assert os.environ["LISTEN_FDS"] == "2" and int(os.environ["LISTEN_PID"]) == os.getpid()
print(os.environ.get("LISTEN_FDNAMES"), flush=True)
a, b = socket.socket(fileno=3), socket.socket(fileno=4)
print(a.getsockname(), b.getsockname(), a.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), flush=True)
for l in (a, b, a, b):
    s, _ = l.accept()
    with s:
        data = b""
        while piece := s.recv(65536):
            data += piece
        s.sendall(data[::-1])
'''


def run(c):
    c.replace(r"with PID \d+|\(\d+\)|PID \d+", "PID")
    blob = random.Random(17).randbytes(500000) + c.marker * 50
    path = c.write("blob", blob)

    def nc(port):
        out = c.spawn(c.program(["nc.openbsd", "-N", "127.0.0.1", port]), stdin=open(path, "rb"))
        c.say(port, out.wait(30), digest(out.out()))

    activate = ["systemd-socket-activate", "-E", "PATH"]
    server = c.server([*activate, "-l", "127.0.0.1:7001", "-l", "127.0.0.1:7002", "--fdname", "one:two", "/usr/bin/python3", c.write("server.py", SERVER)], 7001, 7002)
    for port in (7001, 7002, 7001, 7002):
        nc(port)
    c.say("the listener's program:", server.wait(20), server.out().decode())
    for port, words in ((7003, ["-a", "--inetd"]), (7004, ["--inetd", "-a", "-E", "TEXT=x"])):
        server = c.server([*activate, *words, "-l", f"127.0.0.1:{port}", "/bin/cat"], port)
        for _ in range(3):
            nc(port)
        c.stop(server)
    server = c.server([*activate, "-a", "--inetd", "-l", "127.0.0.1:7005", "/bin/sh", "-c", "read a; echo \"got $a\"; wc -c"], 7005)
    c.client(["nc.openbsd", "-N", "127.0.0.1", 7005], input=f"{c.text}\n" * 1000)
    c.stop(server)
