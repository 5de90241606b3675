# SPDX-License-Identifier: Apache-2.0
# packages: dnsmasq bind9-dnsutils
import signal

TITLE = "dnsmasq"
WHAT = "DNS over TCP (a child for each connection) and UDP, a second one that asks the first over TCP, reload, privileges given up"


def run(c):
    hosts = c.write("hosts", "".join(f"10.1.{i // 250}.{i % 250} host{i}.example.org\n" for i in range(500)))
    more = [w for i in range(60) for w in (f"--txt-record=big.example.org,{i:03d}-{c.text}",)]

    def dnsmasq(n, *words):
        p = c.server(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--pid-file={c.dir}/pid{n}",
                      f"--listen-address=127.0.0.{n}", "--bind-interfaces", "--user=nobody", "--log-facility=-", *words], 53, name=f"dnsmasq{n}")
        p.line("started")
        return p

    def dig(*words, server="127.0.0.1"):
        return c.client(["dig", "@" + server, *words])

    one = dnsmasq(1, f"--addn-hosts={hosts}", *more)
    dig("+tcp", "+short", "host7.example.org")
    dig("+notcp", "+short", "host7.example.org")
    dig("+notcp", "+short", "big.example.org", "txt")
    dig("+tcp", "+short", "-x", "10.1.0.9")
    dig("+tcp", "+keepopen", "+short", *[f"host{i}.example.org" for i in range(60)])
    several = [c.start(["dig", "@127.0.0.1", "+tcp", "+short", f"host{i}.example.org"], name=f"dig{i}") for i in range(20)]
    c.say("several:", *[p.ok().decode().strip() for p in several])
    two = dnsmasq(2, "--server=127.0.0.1", "--cache-size=0")
    dig("+tcp", "+short", "host8.example.org", server="127.0.0.2")
    dig("+tcp", "+short", "big.example.org", "txt", server="127.0.0.2")
    dig("+notcp", "+short", "host9.example.org", server="127.0.0.2")
    c.write("hosts", "10.9.9.9 new.example.org\n")
    one.kill(signal.SIGHUP)
    one.line("read .*hosts - 1 ")
    dig("+tcp", "+short", "new.example.org", server="127.0.0.2")
    dig("+tcp", "+short", "host7.example.org")
    c.stop(two)
    c.stop(one)
