# SPDX-License-Identifier: Apache-2.0
# packages: python3-requests nginx-light
import compat
import loaded

TITLE = "Python requests (urllib3)"
WHAT = "sessions with kept connections, threads, streaming both ways, timeouts, redirects, retries after a server that closes"

SCRIPT = """
import hashlib, sys, concurrent.futures, socket, threading, requests
base, text, big = sys.argv[1:]
s = requests.Session()
for path in ("/", "/page.txt", "/missing", "/moved"):
    r = s.get(base + path, timeout=20)
    print(path, r.status_code, len(r.content), [h.status_code for h in r.history])
r = s.post(base + "/post", data=open(big, "rb"), timeout=20)
print(r.text)
with s.get(base + "/big.bin", stream=True, timeout=20) as r:
    print(hashlib.sha256(b"".join(r.iter_content(10007))).hexdigest())
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(x.ok for x in pool.map(lambda i: s.get(base + "/page.txt", timeout=20), range(200))))
silent = socket.create_server(("127.0.0.1", 7000))
try:
    requests.get("http://127.0.0.1:7000/", timeout=(5, 0.3))
except requests.ReadTimeout as e:
    print("timeout")
def hasty():
    for i in range(2):
        c = silent.accept()[0]
        c.recv(1000)
        if i:
            c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(text), text.encode()))
        c.close()
silent.accept()[0].close()
threading.Thread(target=hasty).start()
s.mount("http://127.0.0.1:7000", requests.adapters.HTTPAdapter(max_retries=3))
print(s.get("http://127.0.0.1:7000/", timeout=10).text)
try:
    s.get("http://127.0.0.1:8099/", timeout=5)
except requests.ConnectionError as e:
    print("refused:", "Connection refused" in str(e))
"""


def run(c):
    nginx = loaded.server(c)
    c.client([compat.PYTHON, c.write("script.py", SCRIPT), loaded.BASE, c.text, f"{c.dir}/www/big.bin"])
    c.stop(nginx)
