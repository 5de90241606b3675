# SPDX-License-Identifier: Apache-2.0
import os
import subprocess

import compat

TITLE = "a static Go program"
WHAT = "a server, built here without cgo, started and checked"
REFUSED = "a static Go program: no loader, and it makes its system calls itself"
TIMEOUT = 300  # where Go's cache is empty yet
SOURCE = """package main

import "net"

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	for err == nil {
		c, _ := l.Accept()
		c.Write([]byte("%s"))
		c.Close()
	}
}
"""


def go():
    return compat.which("go") if os.path.exists("/usr/bin/go") else "/usr/local/go/bin/go"


def env(name):
    return subprocess.run([go(), "env", name], capture_output=True, text=True, check=True).stdout.strip()


def versions(_c):
    return {"go": env("GOVERSION")[2:]}


def run(c):
    if not os.path.exists(go()):
        raise compat.Skip("Go is not installed")
    source, program = c.write("server.go", SOURCE % c.text), f"{c.dir}/server"
    c.prepare(["/usr/bin/env", "CGO_ENABLED=0", "GO111MODULE=off", f"GOCACHE={env('GOCACHE')}", go(), "build", "-o", program,
               source], timeout=TIMEOUT)
    if compat.NATIVE:
        server = c.start([program])
        c.listening(8080)
        c.stop(server)
        c.lines.clear()
    c.refused([program], "Go")
