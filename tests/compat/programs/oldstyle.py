# SPDX-License-Identifier: Apache-2.0
TITLE = "A C program of 1988's style"
WHAT = "definitions after Kernighan and Ritchie, select(), stdio and dup2() on sockets, popen() and system() beside them, alarm(), a telnet session"
import os  # noqa: E402

from compat import harness  # noqa: E402

PROGRAM = os.path.join(harness.PROGRAMS, "oldstyle")


def versions(_):
    return {"tests/programs/oldstyle.c": "gnu89"}


def run(c):
    server = c.server([PROGRAM, "server", 7000], 7000, 7001)
    for _ in range(2):
        c.client([PROGRAM, "client", 7000, c.text], err=True)
    c.client(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7000; read -r a <&3; echo \"$a\"; printf 'ECHO %s\\r\\nQUIT\\r\\n' \"$1\" >&3; cat <&3", "x",
              c.text], err=True)
    c.client([PROGRAM, "client", 7777, c.text], err=True)
    c.stop(server)
