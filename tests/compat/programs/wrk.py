# SPDX-License-Identifier: Apache-2.0
# packages: wrk nginx-light
import re

import loaded

TITLE = "wrk"
WHAT = "two threads with 20 connections each for two seconds, small and large files, pipelining by a Lua script: no error"
NOTE = "compared are errors, not rates"

PIPELINE = """
init = function(args)
  local r = {}
  for i = 1, 8 do r[i] = wrk.format("GET", "/page.txt") end
  req = table.concat(r)
end
request = function() return req end
"""


def run(c):
    nginx = loaded.server(c)

    def wrk(*words):
        out = c.client(["wrk", "-t", 2, "-c", 40, "-d", "2s", *words], show=False, timeout=60)
        made = re.search(r"(\d+) requests in", out)
        c.say(words[-1], "requests:", int(made.group(1)) > 20, re.findall(r"Socket errors.*|Non-2xx.*", out))
    wrk(loaded.BASE + "/page.txt")
    wrk(loaded.BASE + "/big.bin")
    wrk("-s", c.write("pipeline.lua", PIPELINE), loaded.BASE)
    c.stop(nginx)
