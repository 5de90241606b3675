# SPDX-License-Identifier: Apache-2.0
"""What the scripts of web servers and proxies share: pages, a client that asks like a browser, and load that must not
lose a request while a server reloads."""
import hashlib
import os

import compat

LOAD = """
import http.client, sys, threading
host, port, path, each = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
lock, good, bad = threading.Lock(), [0], {}

def once():
    try:
        c = http.client.HTTPConnection(host, port, timeout=20)
        c.request("GET", path)
        r = c.getresponse()
        body, word = r.read(), r.status
        c.close()
        return body, word
    except OSError as e:
        return b"", type(e).__name__ + " " + str(e)

def ask():
    for i in range(each):
        body, word = once()
        for again in range(4):  # natively, too: a proxy whose back end closes the kept connection that it just took
            if word != 502:
                break
            body, word = once()
        with lock:
            if word == 200 and body:
                good[0] += 1
                if good[0] == each:
                    print("under way", flush=True)
            else:
                bad[word] = bad.get(word, 0) + 1

threads = [threading.Thread(target=ask) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(good[0], "good", bad)
"""


def ended(pid):
    """Also when nobody has waited for it."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def pages(c, directory="www", owner=None):
    """index.html with the marker, a page of a few KiB and a file of 3 MiB; returns the directory."""
    top = c.directory(directory)
    c.write(f"{directory}/index.html", f"<h1>{c.text}</h1>\n")
    c.write(f"{directory}/page.txt", "".join(f"{i} {c.text}\n" for i in range(200)))
    c.write(f"{directory}/big.bin", big())
    if owner:
        for name in ("", "index.html", "page.txt", "big.bin"):
            compat.shutil.chown(os.path.join(top, name), owner)
    return top


def big(size=3 << 20):
    """Bytes that repeat nowhere, the same in every run."""
    out, n = b"", 0
    while len(out) < size:
        out += hashlib.sha512(n.to_bytes(8, "big")).digest() * 64
        n += 1
    return out[:size]


def digest(data):
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:16]}"


def get(c, url, *options, show=True, body=True, **more):
    """curl: the status, the type, what came (the text, or its digest where it is large; not if the body says when and
    where)."""
    path = os.path.join(c.dir, f"got-{len(c.procs)}")
    told = c.client(["curl", "-sS", "-m", 60, "-o", path, "-w", "%{http_code} %{content_type} %{num_connects}", *options, url],
                    show=False, **more)
    came = b""
    if os.path.exists(path):
        with open(path, "rb") as f:
            came = f.read()
    if show:
        c.say("GET", url, *options, "->", told)
        if body:
            c.say(came.decode() if len(came) < 2000 else digest(came))
    return came


def several(c, *urls):
    """One curl, one connection, several requests."""
    c.client(["curl", "-sS", "-m", 60, "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{num_connects}\n", *urls[:1]]
             + [word for u in urls[1:] for word in ("--next", "-sS", "-o", "/dev/null", "-w",
                                                    "%{http_code} %{size_download} %{num_connects}\n", u)])


def under_load(c, port, doing, path="/page.txt", each=100):
    """Runs doing() while four threads ask for a page, a connection a request: none of them may be lost."""
    script = c.write("load.py", LOAD)
    load = c.start([compat.PYTHON, script, "127.0.0.1", port, path, each], name="load")
    load.line("under way", 90)
    doing()
    code = load.wait(90)
    c.say("under load:", code, load.text().splitlines()[-1])
