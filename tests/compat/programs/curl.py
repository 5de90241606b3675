# SPDX-License-Identifier: Apache-2.0
# packages: curl nginx-light
import loaded
import web

TITLE = "curl"
WHAT = ("downloads at once (-Z), resumed, limited and by range; redirects, uploads with Expect, form data, retries, a slow reader, HTTP/0.9, "
        "what is missing and what is down")


def run(c):
    nginx = loaded.server(c)
    base = loaded.BASE
    for path in ("/", "/page.txt", "/big.bin", "/missing"):
        web.get(c, base + path)
    c.client(["curl", "-sS", "-Z", "--parallel-max", 8, "-o", f"{c.dir}/many-#1", base + "/{page.txt,big.bin,index.html}?[1-4]"])
    for name in ("page.txt", "big.bin", "index.html"):
        loaded.told(c, f"{c.dir}/many-{name}")
    web.get(c, base + "/moved", "-L")
    web.get(c, base + "/big.bin", "-r", "0-9,1000000-1000009", body=False)
    web.get(c, base + "/big.bin", "--limit-rate", "5M")
    with open(f"{c.dir}/www/big.bin", "rb") as f:
        c.write("part", f.read()[:2000000])
    c.client(["curl", "-sS", "-C", "-", "-o", f"{c.dir}/part", base + "/big.bin"])
    loaded.told(c, f"{c.dir}/part")
    web.get(c, base + "/post", "-T", f"{c.dir}/www/big.bin")
    web.get(c, base + "/post", "--data-binary", f"@{c.dir}/www/big.bin", "-H", "Expect: 100-continue")
    web.get(c, base + "/post", "-d", f"word={c.text}")
    web.get(c, base + "/post", "-X", "DELETE")
    web.several(c, *[base + p for p in ("/", "/page.txt", "/big.bin", "/missing", "/")])
    c.client(["curl", "-sS", "--retry", 2, "--retry-delay", 0, "--retry-connrefused", "http://127.0.0.1:8099/"])
    c.client(["curl", "-sS", "http://localhost:8099/"])
    c.client(["curl", "-sS", "-m", 1, "telnet://127.0.0.1:8080"], input="")
    c.stop(nginx)
