# SPDX-License-Identifier: Apache-2.0
# packages: gearman-job-server gearman-tools
from compat import until

TITLE = "Gearman"
WHAT = "workers that wait and fork, foreground and background jobs, big arguments, the administrator's text protocol"


def run(c):
    server = c.server(["gearmand", "-L", "127.0.0.1", "-p", 4730, "-t", 4, "-l", "stderr", "-u", "nobody"], 4730)
    host = ["-h", "127.0.0.1", "-p", "4730"]
    workers = [c.start(["gearman", *host, "-w", "-f", name, "--", *command], name=name)
               for name, command in (("count", ["wc", "-c"]), ("upper", ["tr", "a-z", "A-Z"]), ("upper", ["tr", "a-z", "A-Z"]))]

    def admin(*words, **more):
        return c.client(["gearadmin", *host, *words], **more)

    until("three workers", lambda: "upper\t0\t0\t2" in admin("--status", show=False) and "count\t0\t0\t1" in
          admin("--status", show=False))
    c.client(["gearman", *host, "-f", "upper", c.text])
    c.client(["gearman", *host, "-f", "count"], input=c.text * 50000)
    c.client(["gearman", *host, "-n", "-f", "upper"], input="".join(f"line {i}\n" for i in range(200)))
    for i in range(5):
        c.client(["gearman", *host, "-b", "-f", "count", c.text * i])
    until("all is done", lambda: "count\t0\t0\t1" in admin("--status", show=False))
    admin("--server-version")
    admin("--getpid", show=False)
    admin("--create-function=later")
    c.client(["gearman", *host, "-b", "-I", "-f", "later", "x"])
    admin("--status")
    admin("--drop-function=nothing")
    out = admin("--workers", show=False)
    c.say("workers:", out.count("upper"), out.count("count"))
    for w in workers:
        w.kill()
        c.say(w.name[3:], w.wait())
    c.stop(server)
