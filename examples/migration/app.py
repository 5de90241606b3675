#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The service in the middle: HTTP in front, redis behind, and no idea of TLS.

usage: app.py LISTEN-PORT REDIS-PORT

GET /say/WORD stores the word in redis, reads it back and answers with it. Connections to redis are kept for a
second: a connection that was made in plaintext does not outlive a change for long.
"""
import http.server
import queue
import socket
import sys
import time

MAX_AGE = 1.0
TIMEOUT = 20


class Redis:
    """One connection, and just enough of the protocol."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.born = time.monotonic()

    def ask(self, *words):
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        line = self.file.readline()
        if line[:1] == b"+":
            return line[1:-2]
        if line[:1] == b"$":
            return self.file.read(int(line[1:]) + 2)[:-2]
        raise OSError(f"redis says {line!r}")

    def close(self):
        self.file.close()
        self.socket.close()


class Pool:
    def __init__(self, port):
        self.port, self.idle = port, queue.Queue()  # the oldest first: none is forgotten

    def ask_all(self, questions):
        redis = None
        while redis is None:
            try:
                redis = self.idle.get_nowait()
            except queue.Empty:
                redis = Redis(self.port)
            if time.monotonic() - redis.born > MAX_AGE:
                redis.close()
                redis = None
        answers = [redis.ask(*q) for q in questions]
        self.idle.put(redis)
        return answers


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    pool = None

    def do_GET(self):
        word = self.path.rpartition("/")[2].encode()
        try:
            status, body = 200, self.pool.ask_all([(b"SET", word, word, b"EX", b"60"), (b"GET", word)])[1]
        except OSError as e:
            status, body = 502, f"redis: {e}".encode()
            print(f"{time.time():.3f} {self.path}: {e!r}", file=sys.stderr, flush=True)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Handler.pool = Pool(int(sys.argv[2]))
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
