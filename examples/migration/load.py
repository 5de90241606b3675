#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Constant load, and not one request may fail: half of the clients keep their connection, half make a new one for
every request.

usage: load.py PORT CLIENTS PAUSE

Every answer is checked. Prints a line for each failure and, once a second and at the end (SIGTERM), a line
"requests N failed N".
"""
import http.client
import itertools
import secrets
import signal
import sys
import threading
import time

TIMEOUT = 20
port, clients, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
lock = threading.Lock()
done = threading.Event()
count = {"requests": 0, "failed": 0}


def ask(connection):
    word = secrets.token_hex(8)
    connection.request("GET", f"/say/{word}")
    answer = connection.getresponse()
    body = answer.read().decode(errors="replace")
    if answer.status != 200 or body != word:
        raise OSError(f"{answer.status} {body[:200]}")


def client(keeps):
    connection = None
    while not done.is_set():
        failure = None
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
            ask(connection)
        except (OSError, http.client.HTTPException) as e:
            failure = e
        if failure or not keeps:
            connection.close()
            connection = None
        with lock:
            count["requests"] += 1
            if failure:
                count["failed"] += 1
                print(f"{time.time():.3f} failed: {failure!r}", flush=True)
        done.wait(pause)


def tell():
    with lock:
        print("requests {requests} failed {failed}".format(**count), flush=True)


signal.signal(signal.SIGTERM, lambda *_: done.set())
threads = [threading.Thread(target=client, args=(keeps,)) for keeps, _ in zip(itertools.cycle((True, False)),
                                                                             range(clients))]
for t in threads:
    t.start()
while not done.wait(1):
    tell()
for t in threads:
    t.join()
tell()
