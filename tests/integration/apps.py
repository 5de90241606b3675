# SPDX-License-Identifier: Apache-2.0
"""Small Python programs that several tests wrap, and how to start them."""
from harness import PYTHON

ECHO_SERVER = r"""
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
    def handle_error(self, request, address):
        print("error", sys.exc_info()[1], file=sys.stderr, flush=True)
Server((sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""

# PORT MARKER TIMES PAUSE: exchanges over one connection, a line of output for each.
LONG_CLIENT = r"""
import socket, sys, time
port, marker, times, pause = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3]), float(sys.argv[4])
s = socket.create_connection(("127.0.0.1", port), timeout=20)
for i in range(times):
    s.sendall(marker)
    got = b""
    while len(got) < len(marker):
        piece = s.recv(1000)
        if not piece:
            sys.exit("ended early")
        got += piece
    assert got == marker
    print("exchange", i, flush=True)
    time.sleep(pause)
print("all well", flush=True)
"""

# PORT MARKER TIMES PAUSE: a connection for every exchange; errors are counted, not fatal.
MANY_CLIENT = r"""
import errno, socket, sys, time
port, marker, times, pause = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3]), float(sys.argv[4])
good, bad = 0, []
for i in range(times):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(marker)
            got = b""
            while len(got) < len(marker):
                piece = s.recv(1000)
                if not piece:
                    raise OSError("ended early")
                got += piece
            assert got == marker
        good += 1
        print("exchange", i, flush=True)
    except OSError as e:
        bad.append(errno.errorcode.get(e.errno, str(e)))
        print("error", bad[-1], flush=True)
    time.sleep(pause)
print("good", good, "bad", len(bad), *bad, flush=True)
"""

# PORT [HOST]: what one connect() and one listen() answer.
TRY = r"""
import errno, socket, sys
def name(e):
    return errno.errorcode.get(e, e)
port, host = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
s = socket.socket()
s.settimeout(30)
try:
    s.connect((host, port))
    print("connect 0")
except OSError as e:
    print("connect", name(e.errno))
l = socket.socket()
l.bind(("127.0.0.1", 0))
try:
    l.listen(5)
    print("listen 0")
except OSError as e:
    print("listen", name(e.errno))
"""


def echo_server(t, config, port, how="run", **more):
    proc = t.wrapped(config, [PYTHON, "-c", ECHO_SERVER, str(port)], how=how, name="echo", **more)
    t.listening(port, proc=proc)
    return proc


def client(t, config, code, port, times=1, pause=0, how="run", **more):
    return t.wrapped(config, [PYTHON, "-c", code, str(port), t.marker.decode(), str(times), str(pause)], how=how,
                     name="client", **more)


def exchange(t, config, port, times=1, **more):
    """One client, or several in a row, that must all be served."""
    out = client(t, config, MANY_CLIENT, port, times, **more).ok(40).decode()
    assert out.endswith(f"good {times} bad 0\n"), out
