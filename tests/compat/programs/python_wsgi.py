# SPDX-License-Identifier: Apache-2.0
# packages: gunicorn python3-gevent python3-eventlet uvicorn python3-uvloop curl
TITLE = "Gunicorn and Uvicorn"
WHAT = "workers sync, gthread, gevent, eventlet, uvloop; reload by HUP, a second master by USR2, workers more and fewer by TTIN and TTOU"
TIMEOUT = 240
import os  # noqa: E402
import signal  # noqa: E402

from compat import digest, sleep_until  # noqa: E402

APP = r'''
import os
TEXT = os.environ["TEXT"]
VERSION = open(os.path.join(os.path.dirname(__file__), "version")).read()

def wsgi(environ, start):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    path = environ["PATH_INFO"]
    out = [TEXT.encode() * 5000] if path == "/big" else [(TEXT + str(i)).encode() for i in range(100)] if path == "/pieces" else \
        [VERSION.encode()] if path == "/version" else [body[::-1], environ["REMOTE_ADDR"].encode(), environ["SERVER_PORT"].encode()]
    headers = [("Content-Type", "text/plain")]
    if path != "/pieces":
        headers.append(("Content-Length", str(sum(map(len, out)))))
    start("200 OK", headers)
    return out

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            m = await receive()
            await send({"type": m["type"] + ".complete"})
            if m["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        m = await receive()
        body += m.get("body", b"")
        if not m.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] == "/big":
        await send({"type": "http.response.body", "body": TEXT.encode() * 5000})
    elif scope["path"] == "/pieces":
        for i in range(100):
            await send({"type": "http.response.body", "body": (TEXT + str(i)).encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif scope["path"] == "/version":
        await send({"type": "http.response.body", "body": VERSION.encode()})
    else:
        await send({"type": "http.response.body", "body": body[::-1] + scope["client"][0].encode()})
'''


PATIENT = ["--timeout", 140]  # a worker that is not up after 30 s (a busy machine: eventlet's start is 1.2 s of CPU) is killed


def workers(master):
    with open(f"/proc/{master}/task/{master}/children") as f:
        return set(f.read().split())


def run(c):
    c.environ["TEXT"] = c.text
    c.write("app.py", APP)
    c.write("version", "one")
    post = c.write("post", f"{c.text}\n" * 20000)

    def ask(port, crowd=True):
        base = f"http://127.0.0.1:{port}"
        for words in ([f"{base}/big"], [f"{base}/pieces"], ["--data-binary", f"@{post}", f"{base}/echo"], ["-0", f"{base}/pieces"],
                      [f"{base}/big", f"{base}/pieces", f"{base}/version"]):
            c.say(port, words[-1], digest(c.client(["curl", "-sS", *words], show=False)))
        if not crowd:  # workers of before that leave reset who comes to them
            return
        several = [c.start(["curl", "-sS", *[f"{base}/big"] * 10]) for _ in range(4)]
        c.say("at once:", {(p.wait(90), digest(p.out())) for p in several})

    def version(port):
        """Empty where the worker that took the connection is just leaving: natively, too, it resets it."""
        asked = c.start(["curl", "-sS", f"http://127.0.0.1:{port}/version"])
        asked.wait(90)
        return asked.out().decode()

    port = 8000
    for kind in ("sync", "gthread", "gevent", "eventlet"):
        port += 1
        server = c.server(["gunicorn", "-k", kind, "-w", 2, "--threads", 4 if kind == "gthread" else 1, "-b", f"127.0.0.1:{port}",
                           "-p", f"{c.dir}/{kind}.pid", "--graceful-timeout", 5, *PATIENT, "app:wsgi"], port, cwd=c.dir, name=kind)
        ask(port)
        if kind == "gthread":
            server.kill(signal.SIGTTIN)
            ask(port)
            server.kill(signal.SIGTTOU)
        c.write("version", "two")
        first = workers(server.pid)
        server.kill(signal.SIGHUP)
        sleep_until(lambda: not first & workers(server.pid), "the end of the first workers, which go on accepting", 90)
        sleep_until(lambda: version(port) == "two", "the workers of the second version", 90)
        ask(port, crowd=False)
        if kind == "sync":
            c.write("version", "three")
            server.kill(signal.SIGUSR2)
            sleep_until(lambda: os.path.exists(f"{c.dir}/sync.pid.2"), "the second master", 60)
            with open(f"{c.dir}/sync.pid.2") as f:
                second = int(f.read())
            sleep_until(lambda: "three" in {version(port) for _ in range(4)}, "answers of the second master", 90)
            c.stop(server)
            sleep_until(lambda: version(port) == "three", "the second master alone", 60)
            ask(port, crowd=False)
            os.kill(second, signal.SIGTERM)
            c.gone(port)
        else:
            c.stop(server)
        c.write("version", "one")
    for loop in ("asyncio", "uvloop"):
        port += 1
        server = c.server(["uvicorn", "--host", "127.0.0.1", "--port", port, "--loop", loop, "--workers", 2, "--log-level", "warning", "app:asgi"],
                          port, cwd=c.dir, name=loop)
        ask(port)
        c.stop(server)
    port += 1
    server = c.server(["gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-w", 2, "-b", f"127.0.0.1:{port}", *PATIENT, "app:asgi"], port, cwd=c.dir)
    ask(port)
    c.stop(server)
