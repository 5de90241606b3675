# SPDX-License-Identifier: Apache-2.0
# packages: wget nginx-light
import loaded

TITLE = "wget"
WHAT = "downloads, redirects, a resumed download, recursion, POST, a missing file, what is down"


def run(c):
    nginx = loaded.server(c)
    c.write("www/links.html", "<a href='page.txt'>one</a> <a href='big.bin'>two</a>")
    c.replace(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "{date}")

    def wget(*words):
        c.client(["wget", "-nv", "-T", 20, "-t", 2, *words], err=True)
    c.replace(r"\(\d+(\.\d+)? [KMG]B/s\)|in [\d.]+s", "")
    c.replace(r"wall clock time: [\d.]+s", "")
    c.replace(r"\s+", " ")
    wget("-O", f"{c.dir}/one", loaded.BASE + "/big.bin")
    loaded.told(c, f"{c.dir}/one")
    with open(f"{c.dir}/one", "rb") as f:
        c.write("part", f.read()[:1000000])
    wget("-c", "-O", f"{c.dir}/part", loaded.BASE + "/big.bin")
    loaded.told(c, f"{c.dir}/part")
    wget("-O", f"{c.dir}/moved", loaded.BASE + "/moved")
    loaded.told(c, f"{c.dir}/moved")
    wget("-O", f"{c.dir}/posted", "--post-data", c.text, loaded.BASE + "/post")
    loaded.told(c, f"{c.dir}/posted")
    wget("-r", "-nH", "-P", f"{c.dir}/tree", "-e", "robots=off", loaded.BASE + "/links.html")
    loaded.told(c, f"{c.dir}/tree/big.bin")
    wget("-O", "/dev/null", loaded.BASE + "/missing")
    wget("-O", "/dev/null", "http://127.0.0.1:8099/")
    c.stop(nginx)
