# SPDX-License-Identifier: Apache-2.0
"""Do the runtimes of Python, Node and Java work wrapped on both sides, with their own event loops, threads and
address families?"""
import os

from harness import NATIVE, PYTHON, TD, entry, until, which

ID = f"{TD}/app"


def prepare(t):
    t.agent([entry(ID)])
    port = t.port()
    return port, t.both(port, allow=[ID])


def serve_and_dial(t, server, client, timeout=40, expect=b"all well\n"):
    """Each a function of the port that gives an argv."""
    port, config = prepare(t)
    proc = t.wrapped(config, server(port))
    t.listening(port, proc=proc, timeout=25)
    with t.watch(port):
        out = t.run(t.wrap(config, client(port)), timeout=timeout)
    assert out == expect, out
    assert proc.alive(), proc.text()
    if not NATIVE:
        t.audited("the server's line", direction="inbound", result="allowed", client_spiffe_id=ID)
    return proc


# ---- Python -----------------------------------------------------------------------------------------------------

THREADED_SERVER = r"""
import socketserver, sys
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64
Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""
BLOCKING_CLIENT = r"""
import socket, sys, threading
port, marker = int(sys.argv[1]), sys.argv[2].encode()
def one(i):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        f = s.makefile("rwb")
        for k in range(50):
            line = marker * (k * i + 1) + b"\n"
            f.write(line)
            f.flush()
            assert f.readline() == line
        s.shutdown(socket.SHUT_WR)
        assert f.read() == b""
    good.append(i)
good = []
threads = [threading.Thread(target=one, args=(i,)) for i in range(10)]
[x.start() for x in threads]
[x.join() for x in threads]
assert len(good) == 10
print("all well")
"""
ASYNC_SERVER = r"""
import asyncio, sys
async def echo(r, w):
    while data := await r.read(65536):
        w.write(data)
        await w.drain()
    w.close()
async def main():
    s = await asyncio.start_server(echo, "127.0.0.1", int(sys.argv[1]))
    await s.serve_forever()
asyncio.run(main())
"""
ASYNC_CLIENT = r"""
import asyncio, sys
port, marker = int(sys.argv[1]), sys.argv[2].encode()
async def one(i):
    r, w = await asyncio.open_connection("127.0.0.1", port)
    blob = marker * (i * 3000 + 1)
    async def send():
        for _ in range(5):
            w.write(blob)
            await w.drain()
        w.write_eof()
    task = asyncio.create_task(send())
    got = await r.read(-1)
    await task
    assert got == blob * 5, (len(got), len(blob) * 5)
    w.close()
async def main():
    await asyncio.wait_for(asyncio.gather(*(one(i) for i in range(20))), 40)
    try:
        await asyncio.open_connection("127.0.0.1", int(sys.argv[3]))
    except ConnectionRefusedError:
        print("all well")
asyncio.run(main())
"""


def python(code, t, *more):
    return lambda port: [PYTHON, "-c", code, str(port), t.marker.decode(), *more]


def test_python_threads(t):
    serve_and_dial(t, python(THREADED_SERVER, t), python(BLOCKING_CLIENT, t))


def test_python_asyncio(t):
    serve_and_dial(t, python(ASYNC_SERVER, t), python(ASYNC_CLIENT, t, str(t.port())))


def test_python_blocking_client_of_an_asyncio_server(t):
    serve_and_dial(t, python(ASYNC_SERVER, t), python(BLOCKING_CLIENT, t))


def test_python_by_a_bare_preload(t):
    port, config = prepare(t)
    proc = t.wrapped(config, python(ASYNC_SERVER, t)(port), how="preload")
    t.listening(port, proc=proc)
    with t.watch(port):
        assert t.run(t.wrap(config, python(BLOCKING_CLIENT, t)(port), how="preload")) == b"all well\n"


PREFORK_SERVER = r"""
import multiprocessing, signal, socket, sys
def work(l):
    while True:
        s, _ = l.accept()
        with s:
            while data := s.recv(65536):
                s.sendall(data)
l = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
multiprocessing.set_start_method("fork")
ps = [multiprocessing.Process(target=work, args=(l,), daemon=True) for _ in range(3)]
[p.start() for p in ps]
signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # which ends the workers
[p.join() for p in ps]
"""


def test_python_prefork_workers(t):
    serve_and_dial(t, python(PREFORK_SERVER, t), python(BLOCKING_CLIENT.replace("range(10)", "range(3)")
                                                        .replace("== 10", "== 3"), t))


# ---- Node -------------------------------------------------------------------------------------------------------

NODE_SERVER = r"""
const http = require('http');
http.createServer((req, res) => {
  const parts = [];
  req.on('data', d => parts.push(d));
  req.on('end', () => { const b = Buffer.concat(parts); res.setHeader('x-length', b.length); res.end(b); });
}).listen(Number(process.argv[1]), '127.0.0.1');
"""
NODE_CLIENT = r"""
const http = require('http');
const [port, marker] = [Number(process.argv[1]), process.argv[2]];
const agent = new http.Agent({keepAlive: true, maxSockets: 5});
const one = i => new Promise((ok, bad) => {
  const body = Buffer.from(marker.repeat(i * 2000 + 1));
  const req = http.request({host: '127.0.0.1', port, method: 'POST', agent}, res => {
    const parts = [];
    res.on('data', d => parts.push(d));
    res.on('end', () => Buffer.concat(parts).equals(body) ? ok() : bad(new Error('wrong bytes')));
  });
  req.on('error', bad);
  req.end(body);
});
Promise.all([...Array(25).keys()].map(one)).then(() => { console.log('all well'); agent.destroy(); },
                                                 e => { console.error(e); process.exit(1); });
"""


def test_node_http(t):
    node = which("node")
    serve_and_dial(t, lambda port: [node, "-e", NODE_SERVER, str(port)],
                   lambda port: [node, "-e", NODE_CLIENT, str(port), t.marker.decode()])


def test_node_cluster(t):
    """Workers get the listener, or the connections, from the parent over a unix socket."""
    node = which("node")
    cluster = "const cluster = require('cluster'); if (cluster.isPrimary) { cluster.fork(); cluster.fork(); } else {" + \
        NODE_SERVER + "}"
    path = os.path.join(t.dir, "cluster.js")
    with open(path, "w") as f:
        f.write(cluster.replace("process.argv[1]", "process.argv[2]"))
    extra = {"NODE_CLUSTER_SCHED_POLICY": "none"}  # workers accept for themselves
    port, config = prepare(t)
    proc = t.wrapped(config, [node, path, str(port)], extra=extra)
    t.listening(port, proc=proc)
    with t.watch(port):
        assert t.run(t.wrap(config, [node, "-e", NODE_CLIENT, str(port), t.marker.decode()])) == b"all well\n"


def test_node_cluster_that_passes_connections_leaks_nothing(t):
    """Node's default: the parent accepts and passes each connection on (SCM_RIGHTS). It may not work yet; it must not
    become plaintext."""
    node = which("node")
    path = os.path.join(t.dir, "cluster.js")
    with open(path, "w") as f:
        f.write("const cluster = require('cluster'); if (cluster.isPrimary) { cluster.fork(); cluster.fork(); } else {" +
                NODE_SERVER.replace("process.argv[1]", "process.argv[2]") + "}")
    port, config = prepare(t)
    proc = t.wrapped(config, [node, path, str(port)])
    t.listening(port, proc=proc)
    with t.watch(port):
        c = t.spawn(t.wrap(config, [node, "-e", NODE_CLIENT, str(port), t.marker.decode()]))
        t.cleanups.append(c.stop)
        until("an end", lambda: not c.alive() or t.audit())


# ---- Java -------------------------------------------------------------------------------------------------------

JAVA_SERVER = r"""
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.util.concurrent.Executors;
public class Server {
  public static void main(String[] a) throws Exception {
    HttpServer s = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(a[0])), 64);
    s.createContext("/", x -> {
      byte[] b = x.getRequestBody().readAllBytes();
      x.sendResponseHeaders(200, b.length == 0 ? -1 : b.length);
      x.getResponseBody().write(b);
      x.close();
    });
    s.setExecutor(Executors.newFixedThreadPool(4));
    s.start();
  }
}
"""
JAVA_CLIENT = r"""
import java.net.*;
import java.net.http.*;
import java.util.*;
import java.util.concurrent.*;
public class Client {
  public static void main(String[] a) throws Exception {
    HttpClient c = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    List<CompletableFuture<Boolean>> all = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      String body = a[1].repeat(i * 1500 + 1);
      HttpRequest r = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + a[0] + "/"))
          .POST(HttpRequest.BodyPublishers.ofString(body)).build();
      all.add(c.sendAsync(r, HttpResponse.BodyHandlers.ofString()).thenApply(x -> x.body().equals(body)));
    }
    for (CompletableFuture<Boolean> f : all)
      if (!f.get(30, TimeUnit.SECONDS)) throw new Exception("wrong bytes");
    System.out.println("all well");
    System.exit(0);
  }
}
"""
JAVA_BLOCKING_SERVER = r"""
import java.io.*;
import java.net.*;
public class Echo {
  public static void main(String[] a) throws Exception {
    ServerSocket l = new ServerSocket(Integer.parseInt(a[0]), 64);
    while (true) {
      Socket s = l.accept();
      new Thread(() -> {
        try (s) { s.getInputStream().transferTo(s.getOutputStream()); } catch (IOException e) { e.printStackTrace(); }
      }).start();
    }
  }
}
"""
JAVA_BLOCKING_CLIENT = r"""
import java.io.*;
import java.net.*;
import java.util.Arrays;
public class Talk {
  public static void main(String[] a) throws Exception {
    for (int i = 0; i < 10; i++) {
      Socket s = new Socket();
      s.connect(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), Integer.parseInt(a[0])), 10000);
      s.setSoTimeout(20000);
      byte[] out = a[1].repeat(i * 1000 + 1).getBytes();
      Thread w = new Thread(() -> {
        try { s.getOutputStream().write(out); s.shutdownOutput(); } catch (IOException e) { e.printStackTrace(); }
      });
      w.start();
      byte[] in = s.getInputStream().readAllBytes();
      w.join();
      if (!Arrays.equals(in, out)) throw new Exception("wrong bytes: " + in.length);
      s.close();
    }
    System.out.println("all well");
  }
}
"""


def java(t, name, source):
    path = os.path.join(t.dir, name + ".java")
    with open(path, "w") as f:
        f.write(source)
    return [which("java"), "-XX:TieredStopAtLevel=1", "-Xshare:auto", path]


def test_java_http(t):
    server, client = java(t, "Server", JAVA_SERVER), java(t, "Client", JAVA_CLIENT)
    serve_and_dial(t, lambda port: [*server, str(port)], lambda port: [*client, str(port), t.marker.decode()])


def test_java_blocking_sockets(t):
    """Java opens dual-stack sockets: addresses are v4-mapped throughout."""
    server, client = java(t, "Echo", JAVA_BLOCKING_SERVER), java(t, "Talk", JAVA_BLOCKING_CLIENT)
    serve_and_dial(t, lambda port: [*server, str(port)], lambda port: [*client, str(port), t.marker.decode()])
