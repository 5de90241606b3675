# SPDX-License-Identifier: Apache-2.0
# packages: libwrap0 libtirpc3 libevent-2.1-7 libbsd0 tcpd netcat-openbsd python3
# unpacked: openbsd-inetd
from compat import digest

TITLE = "OpenBSD inetd"
WHAT = "internal services, nowait in shell and as another user, wait, by tcpd, a service that is asked for too often, reload, IPv6"
import os  # noqa: E402
import signal  # noqa: E402

from compat import sleep_until  # noqa: E402
from waiter import WAITER  # noqa: E402


def run(c):
    c.replace(r"\w{3} \w{3} +\d+ [\d:]{8} \d{4}", "TIME")
    c.write("greet", f"#!/bin/sh\necho {c.text}\nid -un\nread line\necho \"got: $line\"\nwc -c\n", 0o755)
    c.write("waiter", WAITER)
    services = [f"127.0.0.1:{line}" for line in (
        "echo stream tcp nowait root internal", "daytime stream tcp nowait root internal", "discard stream tcp nowait root internal",
        "chargen stream tcp nowait root internal", "7100 stream tcp nowait root /bin/cat cat",
        f"7101 stream tcp nowait nobody {c.dir}/greet greet", "7102 stream tcp nowait root /bin/sh sh -i",
        f"7103 stream tcp wait root /usr/bin/python3 python3 {c.dir}/waiter", "7104 stream tcp nowait root /usr/sbin/tcpd /bin/cat",
        "7105 stream tcp nowait.3 root /bin/cat cat")] + ["[::1]:7106 stream tcp6 nowait root /bin/cat cat"]
    config = c.write("inetd.conf", "\n".join(services) + "\n")
    server = c.server([c.unpacked("openbsd-inetd", "usr/sbin/inetd"), "-i", config], 7, 9, 13, 19, *range(7100, 7107))

    def nc(port, text, *more, host="127.0.0.1"):
        return c.client(["nc.openbsd", "-N", *more, host, port], input=text)

    def many(port, host="127.0.0.1"):
        out = c.client(["nc.openbsd", "-N", host, port], input=f"{c.text}\n" * 9000, show=False)
        c.say(port, digest(out))

    for _ in range(2):
        many(7)
        nc(9, c.text)
        nc(13, "")
        many(7100)
        nc(7101, f"hello\n{c.text}\n" + "x" * 100000)
        many(7104)
        many(7106, "::1")
    endless = c.start(["nc.openbsd", "127.0.0.1", 19], name="chargen")
    sleep_until(lambda: len(endless.out()) > 100000, "many characters")
    endless.kill()
    endless.wait()
    c.say(digest(endless.out()[:100000]))
    nc(7102, f"echo {c.text}\nseq 3\nexit 3\n")
    for i in range(6):
        nc(7103, f"{c.text} {i}" * 100)
    three = c.write("three", f"{c.text}\n" * 3)
    several = [c.start(["nc.openbsd", "-N", "127.0.0.1", 7101], stdin=open(three, "rb")) for _ in range(10)]
    c.say("at once:", {(p.wait(30), p.out().decode()) for p in several})
    for _ in range(2):
        many(7105)
    nc(7105, "")  # once too often: it is closed
    c.write("inetd.conf", "\n".join([*services[:5], "127.0.0.1:7109 stream tcp nowait root /usr/bin/tac tac"]) + "\n")
    os.kill(server.pid, signal.SIGHUP)
    c.listening(7109, 20, server)
    c.gone(7103)
    nc(7109, f"1\n2\n{c.text}\n")
    many(7100)
    c.stop(server)
