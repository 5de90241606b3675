# SPDX-License-Identifier: Apache-2.0
# packages: python3-aiohttp
import compat

TITLE = "aiohttp"
WHAT = "server and client: kept connections, streaming both ways, many requests at once, WebSockets, cancelled requests, graceful stop"

SERVER = """
import asyncio, hashlib
from aiohttp import web
async def hello(r):
    return web.Response(text=f"TEXT {r.method} {len(await r.read())}")
async def digest(r):
    h = hashlib.sha256()
    async for piece in r.content.iter_chunked(7001):
        h.update(piece)
    return web.Response(text=h.hexdigest())
async def stream(r):
    s = web.StreamResponse()
    await s.prepare(r)
    for i in range(3000):
        await s.write(b"%d TEXT\\n" % i * 10)
    return s
async def slow(r):
    await asyncio.sleep(3600)
async def ws(r):
    s = web.WebSocketResponse(compress=False)
    await s.prepare(r)
    async for m in s:
        await s.send_str("TEXT " + m.data)
    return s
app = web.Application(client_max_size=1 << 24)
app.add_routes([web.route("*", "/", hello), web.post("/digest", digest), web.get("/stream", stream), web.get("/slow", slow), web.get("/ws", ws)])
web.run_app(app, host="127.0.0.1", port=8080, print=None, shutdown_timeout=1)
"""
CLIENT = """
import asyncio, aiohttp, hashlib
base = "http://127.0.0.1:8080"
async def main():
    async with aiohttp.ClientSession() as s:
        async def get(i):
            async with s.post(base + "/", data=b"x" * i) as r:
                return await r.text()
        print(await get(3))
        print(len(set(await asyncio.gather(*[get(i) for i in range(300)]))))
        async def pieces():
            for i in range(300):
                yield b"%d TEXT" % i * 1000
        async with s.post(base + "/digest", data=pieces()) as r:
            print(await r.text())
        async with s.get(base + "/stream") as r:
            print(hashlib.sha256(await r.read()).hexdigest())
        for _ in range(5):
            try:
                async with s.get(base + "/slow", timeout=aiohttp.ClientTimeout(total=0.2)) as r:
                    print(r.status)
            except asyncio.TimeoutError:
                print("timeout")
        async with s.ws_connect(base + "/ws") as w:
            for i in range(100):
                await w.send_str(str(i))
                assert await w.receive_str() == f"TEXT {i}"
        try:
            await s.get("http://127.0.0.1:8099/")
        except aiohttp.ClientConnectorError as e:
            print(e.os_error.errno)
asyncio.run(main())
"""


def run(c):
    server = c.server([compat.PYTHON, c.write("server.py", SERVER.replace("TEXT", c.text))], 8080)
    for _ in range(2):
        c.client([compat.PYTHON, c.write("client.py", CLIENT.replace("TEXT", c.text))], timeout=60)
    c.stop(server)
