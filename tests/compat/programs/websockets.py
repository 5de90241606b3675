# SPDX-License-Identifier: Apache-2.0
# packages: python3-websockets nginx-light
import compat

TITLE = "WebSockets (Python websockets behind nginx)"
WHAT = "upgrade through nginx and directly, text and binary messages of all sizes, pings, fragments, who closes first, a server that dies"

NGINX = """
user www-data; worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5;
  server {{ listen 127.0.0.1:8080; location / {{ proxy_pass http://127.0.0.1:8765; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}
}}
"""
SERVER = """
import asyncio, signal, websockets
async def handle(ws):
    async for m in ws:
        if m == "close":
            await ws.close(4000, "as asked")
        elif m == "flood":
            for i in range(2000):
                await ws.send(f"{i} TEXT")
        else:
            await ws.send(m)
async def main():
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    async with websockets.serve(handle, "127.0.0.1", 8765, max_size=None, ping_interval=None, compression=None):
        await stop
asyncio.run(main())
"""
CLIENT = """
import asyncio, hashlib, sys, websockets
async def one(ws, message):
    await ws.send(message)
    return await ws.recv()
async def main():
    url = sys.argv[1]
    async with websockets.connect(url, max_size=None, ping_interval=None) as ws:
        for n in (0, 1, 125, 126, 65535, 65536, 1000000, 3000000):
            data = bytes(i * 7 & 255 for i in range(min(n, 70000))) * (n // 70000 + 1)
            print(n, hashlib.sha256(await one(ws, data)).hexdigest()[:16])
        print(await one(ws, "TEXT"))
        await ws.send(x for x in ["in ", "three ", "pieces"])
        print(await ws.recv())
        await (await ws.ping())
        await ws.send("flood")
        print(len([await ws.recv() for _ in range(2000)]))
        await ws.send("close")
        try:
            await ws.recv()
        except websockets.ConnectionClosed as e:
            print("closed", e.code, e.reason)
    many = await asyncio.gather(*[websockets.connect(url, ping_interval=None) for _ in range(20)])
    print(sum([await one(ws, "TEXT") == "TEXT" for ws in many]))
    await asyncio.gather(*[ws.close() for ws in many])
asyncio.run(main())
"""


def run(c):
    c.write("nginx.conf", NGINX.format(dir=c.dir))
    server = c.server([compat.PYTHON, c.write("server.py", SERVER.replace("TEXT", c.text))], 8765)
    nginx = c.server(["nginx", "-c", f"{c.dir}/nginx.conf", "-e", f"{c.dir}/error.log"], 8080)
    client = c.write("client.py", CLIENT.replace("TEXT", c.text))
    for port in (8765, 8080):
        c.client([compat.PYTHON, client, f"ws://127.0.0.1:{port}/"], timeout=60)
    c.stop(server)
    c.client([compat.PYTHON, client, "ws://127.0.0.1:8080/"])
    c.stop(nginx)
