# SPDX-License-Identifier: Apache-2.0
# packages: iperf3
TITLE = "iperf3"
WHAT = "one stream, eight, the other way round, both ways at once, small writes, zero copy, a limited rate, socket options, IPv6"
ENCRYPTED = True  # it sends no text of ours
import json  # noqa: E402


def run(c):
    server = c.server(["iperf3", "-s", "--forceflush"], 5201)

    def iperf(*words):
        out = c.client(["iperf3", "-c", "127.0.0.1", "-J", "-i", "0", *words], show=False)
        j = json.loads(out)
        s = j["start"]["test_start"]
        c.say(words, "streams", len(j["end"]["streams"]), s["protocol"], s["reverse"], s["blksize"])
        if "-n" in words or "-k" in words:
            c.say("  sent", j["end"]["sum_sent"]["bytes"])
        if "-R" in words:
            c.say("  received", j["end"]["sum_received"]["bytes"])
        if not j["end"]["sum_received"]["bytes"]:
            c.say("  nothing was received")

    iperf("-n", "60M")
    iperf("-n", "60M", "-R")
    iperf("-n", "40M", "-P", "8")
    iperf("-n", "40M", "-P", "8", "-R")
    iperf("-t", "1", "--bidir", "-P", "2")
    iperf("-k", "20000", "-l", "100")
    iperf("-n", "30M", "-Z")
    iperf("-n", "1M", "-b", "40M", "-N")
    iperf("-n", "10M", "-w", "64K", "-M", "1000")
    iperf("-n", "10M", "-6", "-c", "::1")
    c.say("the server said:", server.text().count("Server listening"))
    c.stop(server)
