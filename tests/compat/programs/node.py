# SPDX-License-Identifier: Apache-2.0
# packages: nodejs curl
TITLE = "Node.js"
WHAT = "http with keep-alive, cluster, a socket handed to a child, worker threads, http2, streams with back-pressure, net"

SERVER = r'''
const cluster = require("cluster"), http = require("http"), http2 = require("http2"), net = require("net"), fs = require("fs");
const { fork } = require("child_process"), { Worker, isMainThread } = require("worker_threads"), { pipeline, Transform } = require("stream");
const [text, blob] = process.argv.slice(2);
function web(req, res) {
  if (req.method === "POST") return pipeline(req, new Transform({ transform(d, _, done) { done(null, Buffer.from(d).map(b => b ^ 1)); } }), res, () => {});
  if (req.url === "/blob") return fs.createReadStream(blob).pipe(res);
  if (req.url === "/slow") { let n = 0; const t = setInterval(() => { res.write(text + n); if (++n === 20) { clearInterval(t); res.end(); } }, 3); return; }
  res.end(text + req.url);
}
if (!isMainThread) {
  net.createServer(s => s.pipe(s)).listen(7005, "127.0.0.1");
} else if (process.env.CHILD) {
  process.on("message", (m, s) => { if (m === "socket") { s.write("child has it\n"); s.on("data", d => s.end(String(d).toUpperCase())); s.resume(); } });
} else if (cluster.isPrimary) {
  cluster.setupPrimary({ args: [text, blob] });
  for (let i = 0; i < 3; i++) cluster.fork();
  http.createServer(web).listen(7001, "127.0.0.1");
  http2.createServer().on("stream", (s, h) => { s.respond({ ":status": 200 }); if (h[":path"] === "/blob") fs.createReadStream(blob).pipe(s); else s.end(text + h[":path"]); })
    .listen(7002, "127.0.0.1");
  net.createServer({ allowHalfOpen: true }, s => { let n = 0; s.on("data", d => n += d.length); s.on("end", () => s.end("got " + n)); }).listen(7003, "127.0.0.1");
  const child = fork(__filename, [text, blob], { env: { ...process.env, CHILD: "1" } });
  net.createServer({ pauseOnConnect: true }, s => child.send("socket", s)).listen(7004, "127.0.0.1");
  new Worker(__filename, { argv: [text, blob] });
  process.on("SIGTERM", () => { child.kill(); cluster.disconnect(() => process.exit(0)); });
} else {
  http.createServer(web).listen(7000, "127.0.0.1");
}
'''

CLIENT = r'''
const http = require("http"), http2 = require("http2"), net = require("net"), fs = require("fs"), crypto = require("crypto");
const [text, blobPath] = process.argv.slice(2), blob = fs.readFileSync(blobPath);
const digest = b => b.length + " " + crypto.createHash("sha256").update(b).digest("hex").slice(0, 12);
const all = s => new Promise((ok, no) => { const p = []; s.on("data", d => p.push(d)); s.on("end", () => ok(Buffer.concat(p))); s.on("error", no); });
const ask = (port, path, body, agent) => new Promise((ok, no) => {
  const r = http.request({ host: "127.0.0.1", port, path, method: body ? "POST" : "GET", agent }, async res => ok(await all(res)));
  r.on("error", no); r.end(body);
});
(async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  for (const port of [7000, 7001]) {
    console.log(port, String(await ask(port, "/a")), digest(await ask(port, "/blob")), digest(await ask(port, "/slow")));
    console.log(port, digest(await ask(port, "/x", blob, agent)));
    console.log(port, new Set((await Promise.all([...Array(60).keys()].map(() => ask(port, "/k", null, agent)))).map(String)));
    console.log(port, new Set((await Promise.all([...Array(20).keys()].map(() => ask(port, "/blob")))).map(digest)));
  }
  agent.destroy();
  const h2 = http2.connect("http://127.0.0.1:7002");
  console.log("h2", (await Promise.all(["/a", "/b", "/blob", "/blob"].map(p => all(h2.request({ ":path": p }))))).map(digest));
  h2.close();
  const half = net.connect({ port: 7003, host: "127.0.0.1", allowHalfOpen: true });
  let waits = 0;
  for (let i = 0; i < 8; i++) if (!half.write(blob)) { waits++; await new Promise(ok => half.once("drain", ok)); }
  half.end();
  console.log("half-closed", String(await all(half)), waits > 0);
  const child = net.connect(7004, "127.0.0.1");
  child.write("to the child: " + text);
  console.log(String(await all(child)));
  const worker = net.connect({ port: 7005, host: "127.0.0.1", allowHalfOpen: true });
  worker.end(blob);
  console.log("worker", digest(await all(worker)));
  for (const port of [7999]) await new Promise(ok => net.connect(port, "127.0.0.1").on("error", e => { console.log(e.code, e.syscall); ok(); }));
  const idle = net.connect(7003, "127.0.0.1").setTimeout(100, () => { console.log("idle"); idle.destroy(); });
  await new Promise(ok => idle.on("close", e => { console.log("closed", e); ok(); }));
})();
'''


def run(c):
    import random
    c.write("blob", random.Random(8).randbytes(1 << 20) + c.marker * 50)
    argv = [c.write("server.js", SERVER), c.text, f"{c.dir}/blob"]
    server = c.server(["node", *argv], *range(7000, 7006))
    c.client(["node", c.write("client.js", CLIENT), c.text, f"{c.dir}/blob"])
    c.client(["curl", "-sS", "http://127.0.0.1:7000/by-curl", "http://127.0.0.1:7001/by-curl"])
    c.client(["curl", "-sS", "--http2-prior-knowledge", "http://127.0.0.1:7002/by-curl"])
    c.stop(server)
