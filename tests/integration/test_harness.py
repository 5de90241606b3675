# SPDX-License-Identifier: Apache-2.0
"""Can the tests see what they claim to see? The wire watch finds a marker on an unmanaged port, whole or split over
segments, and misses nothing of a big transfer; and nothing that a test starts outlives it."""
import os
import secrets
import socket
import subprocess
import threading
import time

from harness import NATIVE, PYTHON, ROOT, Failure, Proc, WireWatch, descendants


def exchange(port, pieces, family=socket.AF_INET):
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, port), family=family) as listener:
        client = socket.create_connection((host, port))
        server, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        total = sum(len(p) for p in pieces)
        seen = []

        def read():
            n = 0
            while n < total:
                n += len(server.recv(1 << 20))
            seen.append(n)
        reader = threading.Thread(target=read)
        reader.start()
        for piece in pieces:
            client.sendall(piece)
            if len(pieces) < 10:
                time.sleep(0.01)
        reader.join()
        client.close()
        server.close()


def watched(t, port, pieces, **more):
    watch = WireWatch(t, [port])
    watch.__enter__()
    exchange(port, pieces, **more)
    return watch.stop()


def test_watch_sees_a_marker_on_an_unmanaged_port(t):
    t.port_used = t.port()
    r = watched(t, t.port_used, [b"x" * 100 + t.marker + b"y" * 100])
    assert r["hits"][0]["count"] > 0 and not r["drops"], r


def test_watch_sees_a_marker_split_over_segments(t):
    for cut in (1, 7, len(t.marker) - 1):
        r = watched(t, t.port(), [b"x" * 5000 + t.marker[:cut], t.marker[cut:] + b"y"])
        assert r["hits"][0]["count"] > 0, (cut, r)
    r = watched(t, t.port(), [t.marker[i:i + 1] for i in range(len(t.marker))])
    assert r["hits"][0]["count"] > 0, r


def test_watch_sees_a_marker_over_ipv6(t):
    r = watched(t, t.port(), [t.marker], family=socket.AF_INET6)
    assert r["hits"][0]["count"] > 0, r


def test_watch_misses_nothing_of_100_megabytes(t):
    blob = secrets.token_bytes(1 << 20)
    r = watched(t, t.port(), [blob] * 100 + [t.marker])
    assert not r["drops"] and r["payload"] >= 100 << 20 and r["hits"][0]["count"] > 0, r


def test_watch_reports_a_leak_as_a_failure(t):
    port = t.port()
    if NATIVE:
        return
    try:
        with t.watch(port):
            exchange(port, [t.marker])
    except Failure as f:
        assert "PLAINTEXT ON THE WIRE" in str(f), f
        return
    raise Failure("a marker in clear was not reported")


def test_a_process_that_hides_is_found_and_ended(t):
    """A grandchild in a session of its own is still below the test."""
    code = "import os,time\nif os.fork()==0:\n os.setsid()\n if os.fork()==0:\n  time.sleep(300)\n os._exit(0)\nos.wait()"
    p = Proc(t, [PYTHON, "-c", code])
    p.wait()
    below = [pid for pid, (_, _, command) in descendants(os.getpid()).items() if "time.sleep(300)" in command]
    assert len(below) == 1, below
    os.kill(below[0], 9)
    subprocess.run(["true"], check=True)


REPORT = ["WARNING: ThreadSanitizer: data race (pid=1)", "  Write of size 4 at 0x1 by thread T1:"]


def fake_test(t, name, lines, code):
    path = os.path.join(t.dir, name)
    with open(path, "w") as f:
        f.write("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + f"\nEND\nexit {code}\n")
    os.chmod(path, 0o755)
    return path


def test_what_failed_is_told_at_the_end(t):
    """A log that is cut in its middle still tells why: the report, not what was said before it, and no more than fits."""
    noise = [f"noise {i}" for i in range(500)]
    programs = [fake_test(t, "test_races", ["[ RUN      ] both", *noise, *REPORT, *noise, "[       OK ] both"], 66),
                *(fake_test(t, f"test_asserts_{i}", [*noise, "[  ERROR   ] --- 1 != 2", *noise, "[  FAILED  ] one"], 1)
                  for i in range(5))]
    environment = {k: v for k, v in os.environ.items() if k != "FAILED_NOTES"}
    r = subprocess.run([os.path.join(ROOT, "scripts", "run-unit"), *programs], capture_output=True, text=True, env=environment)
    assert r.returncode == 1 and r.stdout.splitlines()[-1] == "1 passed, 6 failed", r.stdout[-2000:]
    end = r.stdout.splitlines()[-101:-1]
    assert any("test_races, exit 66 (in both)" in line for line in end), end
    assert all(any(part in line for line in end) for part in REPORT), end
    assert sum("[  ERROR   ] --- 1 != 2" in line for line in end) == 5, end
    assert any(line.startswith("== what failed") for line in end), end
