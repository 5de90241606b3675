# SPDX-License-Identifier: Apache-2.0
# packages: python3
TITLE = "Python: the standard library"
WHAT = ("asyncio, every kind of selector, forking and threading servers, http.server and clients, XML-RPC, "
        "multiprocessing over TCP, makefile(), sendfile(), subprocesses on a socket")

SERVERS = r'''
import asyncio, http.server, multiprocessing.connection, multiprocessing.managers, os, selectors, signal, socket, socketserver, subprocess, sys, threading
import xmlrpc.server
text, blob = sys.argv[1], sys.argv[2]

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
class Forking(socketserver.ForkingTCPServer):
    allow_reuse_address = True
class Threading(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True

def by_selector(kind, port):
    sel, l = kind(), socket.create_server(("127.0.0.1", port), reuse_port=False)
    l.setblocking(False)
    sel.register(l, selectors.EVENT_READ)
    waiting = {}
    while True:
        for key, mask in sel.select():
            s = key.fileobj
            if s is l:
                c, _ = l.accept()
                c.setblocking(False)
                waiting[c] = b""
                sel.register(c, selectors.EVENT_READ)
                continue
            if mask & selectors.EVENT_READ:
                try:
                    piece = s.recv(70000)
                except BlockingIOError:
                    piece = None
                if piece == b"" and not waiting[s]:
                    sel.unregister(s); s.close(); del waiting[s]
                    continue
                waiting[s] += piece or b""
            if waiting[s]:
                try:
                    waiting[s] = waiting[s][s.send(waiting[s]):]
                except BlockingIOError:
                    pass
            sel.modify(s, selectors.EVENT_READ | (selectors.EVENT_WRITE if waiting[s] else 0))

def on_stdio(port):
    l = socket.create_server(("127.0.0.1", port))
    while True:
        s, _ = l.accept()
        subprocess.Popen(["/bin/sh", "-c", "read a; echo \"sh got $a\"; cat"], stdin=s, stdout=s).wait()
        s.close()

async def in_asyncio():
    async def echo(r, w):
        while data := await r.read(10000):
            w.write(data)
            await w.drain()
        w.write(b"the end")
        w.write_eof()
        await w.wait_closed()
    class Protocol(asyncio.Protocol):
        def connection_made(self, t): self.t = t
        def data_received(self, d): self.t.write(d[::-1])
    async def file(r, w):
        await r.readline()
        with open(blob, "rb") as f:
            await asyncio.get_running_loop().sendfile(w.transport, f)
        w.close()
    loop = asyncio.get_running_loop()
    a = await asyncio.start_server(echo, "127.0.0.1", 7001)
    b = await loop.create_server(Protocol, "127.0.0.1", 7002)
    c = await asyncio.start_server(file, "127.0.0.1", 7003)
    await asyncio.gather(a.serve_forever(), b.serve_forever(), c.serve_forever())

class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])
    def log_message(self, *a): pass

def web():
    os.chdir(os.path.dirname(blob))
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 7020), Files)
    s.serve_forever()
def rpc():
    s = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 7021), logRequests=False, allow_none=True)
    s.register_function(lambda a, b: a + b, "add")
    s.register_function(lambda: text * 1000, "text")
    s.register_function(lambda: 1 // 0, "fail")
    s.register_multicall_functions()
    s.serve_forever()
def listener():
    with multiprocessing.connection.Listener(("127.0.0.1", 7022), authkey=b"key") as l:
        while True:
            with l.accept() as c:
                try:
                    while True:
                        c.send([c.recv(), text])
                except EOFError:
                    pass
class Manager(multiprocessing.managers.BaseManager): pass
def manager():
    d = {}
    Manager.register("shared", callable=lambda: d, proxytype=multiprocessing.managers.DictProxy)
    Manager(("127.0.0.1", 7023), b"key").get_server().serve_forever()

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
for kind, port in ((selectors.SelectSelector, 7010), (selectors.PollSelector, 7011), (selectors.EpollSelector, 7012)):
    threading.Thread(target=by_selector, args=(kind, port), daemon=True).start()
for server, port in ((Forking, 7013), (Threading, 7014)):
    threading.Thread(target=server(("127.0.0.1", port), Echo).serve_forever, daemon=True).start()
for fn, args in ((on_stdio, (7015,)), (web, ()), (rpc, ()), (listener, ()), (manager, ())):
    multiprocessing.get_context("fork").Process(target=fn, args=args, daemon=True).start()
asyncio.run(in_asyncio())
'''

CLIENTS = r'''
import asyncio, concurrent.futures, hashlib, http.client, multiprocessing.connection, multiprocessing.managers, random, selectors, socket, sys
import urllib.request, xmlrpc.client
text, blob = sys.argv[1], open(sys.argv[2], "rb").read()
def digest(b): return len(b), hashlib.sha256(b).hexdigest()[:12]
def to(port, **k): return socket.create_connection(("127.0.0.1", port), timeout=20, **k)
def whole(s):
    with s.makefile("rb") as f: return f.read()

def ask(port, data, end=True):
    with to(port) as s:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            got = pool.submit(whole, s)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            return got.result()
for port in (7001, 7010, 7011, 7012):
    print(port, digest(ask(port, blob)))
for port in (7013, 7014):
    print(port, digest(ask(port, f"{text}\n".encode() * 3000)))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print(port, set(pool.map(lambda i: digest(ask(port, f"{text} {i % 2}\n".encode() * 50)), range(24))) and "many")
print(ask(7015, f"one\n{text}\n".encode() * 3))
with to(7003) as s:
    s.sendall(b"go\n")
    print("sendfile", digest(whole(s)))
with to(7001) as s:
    f = s.makefile("rw", encoding="utf-8", newline="\n", buffering=1)
    for i in range(30):
        print(f"{text} {i} ü", file=f)
        assert f.readline() == f"{text} {i} ü\n"
    print("makefile")
    s.sendfile(open(sys.argv[2], "rb"))
    s.shutdown(socket.SHUT_WR)
    print("socket.sendfile", digest(f.buffer.read()))

async def streams():
    async def one(i):
        r, w = await asyncio.open_connection("127.0.0.1", 7001)
        for n in (1, 1000, 100000):
            w.write(bytes([i]) * n)
            await w.drain()
            assert await r.readexactly(n) == bytes([i]) * n
        w.write_eof()
        end = await r.read()
        w.close()
        return end
    print("asyncio", set(await asyncio.gather(*(one(i) for i in range(30)))))
    r, w = await asyncio.open_connection("127.0.0.1", 7002)
    w.write(text.encode())
    print(await asyncio.wait_for(r.readexactly(len(text)), 20))
    w.transport.abort()
    try:
        await asyncio.wait_for(asyncio.open_connection("127.0.0.1", 7999), 10)
    except ConnectionRefusedError as e:
        print("refused", e.errno)
    try:
        await asyncio.wait_for(r.read(), 0.2)
    except (asyncio.TimeoutError, ConnectionError) as e:
        print(type(e).__name__)
asyncio.run(streams())

with urllib.request.urlopen("http://127.0.0.1:7020/blob") as r:
    print(r.status, digest(r.read()))
h = http.client.HTTPConnection("127.0.0.1", 7020, timeout=20)
for n in (0, 10, 200000):
    h.request("POST", "/x", body=text.encode() * n)
    r = h.getresponse()
    print(r.status, digest(r.read()))
h.request("GET", "/nosuch")
r = h.getresponse(); r.read()
print(r.status)
h.request("GET", "/blob", headers={"Connection": "close"})
print(digest(h.getresponse().read()))
p = xmlrpc.client.ServerProxy("http://127.0.0.1:7021")
print(p.add(2, 3), p.add("a", "b"), digest(p.text().encode()))
m = xmlrpc.client.MultiCall(p)
m.add(1, 2); m.add(3, 4)
print(list(m()))
try: p.fail()
except xmlrpc.client.Fault as e: print(e.faultString)
with multiprocessing.connection.Client(("127.0.0.1", 7022), authkey=b"key") as c:
    for x in (1, "two", b"3" * 500000, {"k": [None]}):
        c.send(x)
        print(digest(repr(c.recv()).encode()))
try: multiprocessing.connection.Client(("127.0.0.1", 7022), authkey=b"wrong")
except multiprocessing.AuthenticationError as e: print(e)
class Manager(multiprocessing.managers.BaseManager): pass
Manager.register("shared", proxytype=multiprocessing.managers.DictProxy)
m = Manager(("127.0.0.1", 7023), b"key")
m.connect()
d = m.shared()
d.update(a=1, b=text)
print(sorted(d.items()), d.get("c"), len(d))
with to(7014) as s:
    s.settimeout(0.1)
    try: s.recv(1)
    except TimeoutError as e: print("timed out", e)
    s.setblocking(False)
    try: s.recv(1)
    except BlockingIOError as e: print(e.errno)
    sel = selectors.DefaultSelector()
    sel.register(s, selectors.EVENT_READ | selectors.EVENT_WRITE)
    print([m for _, m in sel.select(5)])
    s.send(b"x\n")
    sel.modify(s, selectors.EVENT_READ)
    print([m for _, m in sel.select(5)], s.recv(10), s.getpeername())
'''


def run(c):
    import random
    c.write("blob", random.Random(7).randbytes(2 << 20) + c.marker * 50)
    servers, clients = c.write("servers.py", SERVERS), c.write("clients.py", CLIENTS)
    server = c.server(["python3", servers, c.text, f"{c.dir}/blob"], 7001, 7002, 7003, *range(7010, 7016), *range(7020, 7024))
    c.client(["python3", clients, c.text, f"{c.dir}/blob"], err=True, timeout=80)
    c.stop(server)
