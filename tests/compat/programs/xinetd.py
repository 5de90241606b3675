# SPDX-License-Identifier: Apache-2.0
# packages: xinetd netcat-openbsd inetutils-telnet expect
TITLE = "xinetd"
WHAT = "internal services, handlers that know nothing of it (nowait, in shell, as another user), wait services, limits, a redirection, reload"
import signal  # noqa: E402

from compat import digest, sleep_until  # noqa: E402
from waiter import WAITER  # noqa: E402


def service(name, port, **settings):
    settings = {"type": "UNLISTED", "socket_type": "stream", "protocol": "tcp", "port": port, "wait": "no", "user": "root",
                "flags": "REUSE", **settings}
    return f"service {name}\n{{\n" + "".join(f"  {k} = {v}\n" for k, v in settings.items()) + "}\n"


def run(c):
    c.replace(r"\d\d [A-Z]{3} \d{4} \d\d:\d\d:\d\d", "TIME")
    c.write("greet", f"#!/bin/sh\necho {c.text}\nid -un\nread line\necho \"got: $line\"\nwc -c\n", 0o755)
    c.write("waiter", WAITER)
    c.write("motd", f"message of the day: {c.text}\n")
    services = [
        service("echo", 7007, id="echo-stream", type="INTERNAL UNLISTED"),
        service("daytime", 7013, id="daytime-stream", type="INTERNAL UNLISTED"),
        service("chargen", 7019, id="chargen-stream", type="INTERNAL UNLISTED"),
        service("cat", 7100, server="/bin/cat"),
        service("greet", 7101, server=f"{c.dir}/greet", user="nobody"),
        service("shell", 7102, server="/bin/sh", server_args="-i"),
        service("waiter", 7103, server="/usr/bin/python3", server_args=f"{c.dir}/waiter", wait="yes"),
        service("forward", 7104, redirect="127.0.0.1 7108"),
        service("motd", 7108, server="/bin/cat", server_args=f"{c.dir}/motd"),
        service("few", 7105, server="/bin/cat", instances="1"),
        service("closed", 7106, server="/bin/cat", no_access="127.0.0.1"),
    ]
    config = c.write("xinetd.conf", "".join(services))
    server = c.server(["xinetd", "-dontfork", "-f", config, "-pidfile", f"{c.dir}/pid"], *range(7100, 7107), 7108, 7007)

    def nc(port, text, *more):
        return c.client(["nc.openbsd", "-N", *more, "127.0.0.1", port], input=text)

    def many(port):
        out = c.client(["nc.openbsd", "-N", "127.0.0.1", port], input=f"{c.text}\n" * 9000, show=False)
        c.say(port, digest(out))

    for _ in range(2):
        many(7007)
        nc(7013, "")
        many(7100)
        nc(7101, f"hello\n{c.text}\n" + "x" * 100000)
        c.client(["nc.openbsd", "127.0.0.1", 7104])
    nc(7102, f"echo {c.text}\nkill -l | head -1; seq 3\nexit 3\n")
    for i in range(6):
        nc(7103, f"{c.text} {i}" * 100)
    nc(7106, "nobody gets this\n")
    holder = c.start(["nc.openbsd", "127.0.0.1", 7105], stdin=open("/dev/zero", "rb"))
    sleep_until(lambda: len(holder.out()) > 100000, "the one instance")
    nc(7105, "one too many\n")
    holder.kill()
    holder.wait()
    c.write("talk", """
set timeout 20
spawn -noecho telnet 127.0.0.1 7101
expect "nobody"
send "one line\\r"
expect -re {got: one line}
send "\\x1d"
expect "telnet> "
send "quit\\r"
expect eof
puts "seen all"
""")
    c.say(c.client(["expect", "-f", f"{c.dir}/talk"], show=False).splitlines()[-1])
    c.write("xinetd.conf", "".join(services[:-1] + [service("more", 7109, server="/usr/bin/tac")]))
    server.kill(signal.SIGHUP)
    c.listening(7109, 20, server)
    c.gone(7106)
    nc(7109, f"1\n2\n{c.text}\n")
    c.stop(server)
