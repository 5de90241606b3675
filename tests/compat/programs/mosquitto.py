# SPDX-License-Identifier: Apache-2.0
# packages: mosquitto mosquitto-clients
import signal

from compat import sleep_until

TITLE = "Mosquitto"
WHAT = ("publish and subscribe with QoS 0 to 2, MQTT 3.1.1 and 5, retained messages, wills, a persistent session, request and answer, a "
        "bridge of two brokers, persistence over a restart, a reload")

CONF = """
listener {port} localhost
allow_anonymous true
persistence true
persistence_location {dir}/
log_dest stderr
log_type all
max_queued_messages 100000
"""


def run(c):
    def broker(port, more=""):
        d = c.directory(f"data{port}", "mosquitto")
        return c.server(["mosquitto", "-c", c.write(f"m{port}.conf", CONF.format(port=port, dir=d) + more)], port, name=f"broker{port}")

    def sub(name, *words, port=1883, ready=True):
        p = c.start(["stdbuf", "-oL", "mosquitto_sub", "-p", port, "-i", name, *words, "-d"], name=name)
        if ready:
            p.line("received SUBACK")
        return p

    def told(p):
        c.say(p.name[3:], "ended:", p.wait())
        c.say("\n".join(x for x in p.out().decode().splitlines() if not x.startswith(("Client ", "Subscribed"))))

    def pub(*words, port=1883, **more):
        c.client(["mosquitto_pub", "-p", port, *words], **more)

    one = broker(1883)
    readers = [sub(f"qos{q}", "-t", "news/#", "-q", q, "-C", 5, "-V", v, "-F", "%t %q %m") for q, v in ((0, "311"), (1, "5"), (2, "5"))]
    will = sub("willing", "-t", "x", "--will-topic", "news/will", "--will-payload", "gone", "--will-qos", 2)
    for q in range(3):
        pub("-t", f"news/{q}", "-q", q, "-m", f"{c.text} {q}")
    pub("-t", "news/many", "-q", 2, "-l", input="last line but one\n")
    will.kill(signal.SIGKILL)
    will.wait()
    for p in readers:
        told(p)
    pub("-t", "kept", "-r", "-q", 1, "-f", c.write("big", c.text * 20000))
    p = sub("late", "-t", "kept", "-C", 1, "-N")
    told(p)
    flood = sub("flood", "-t", "flood", "-q", 2, "-C", 2000)
    pub("-t", "flood", "-q", 2, "-l", input="".join(f"line {i}\n" for i in range(2000)))
    told(flood)
    p = sub("asleep", "-t", "for/me", "-q", 1, "-c", "-C", 1)
    pub("-t", "for/me", "-m", "first", "-q", 1)
    told(p)
    pub("-t", "for/me", "-m", "while you were away", "-q", 1)
    p = c.start(["stdbuf", "-oL", "mosquitto_sub", "-p", 1883, "-h", "localhost", "-i", "asleep", "-t", "for/me", "-q", 1, "-c", "-C", 1], name="awake")
    told(p)
    answerer = c.start(["sh", "-c", "mosquitto_sub -t question -C 1 | sed s/^/answer:/ | mosquitto_pub -t answer -l -q 1"], name="answerer")
    sleep_until(lambda: "question (QoS 0)" in one.text(), "the answerer")
    c.client(["mosquitto_rr", "-V", 5, "-q", 1, "-t", "question", "-e", "answer", "-m", c.text])
    c.say("answerer ended:", answerer.wait())
    two = broker(1884, "connection other\naddress localhost:1883\ntopic # both 2\n")
    far = sub("far", "-t", "over/bridge", "-q", 2, "-C", 1, port=1884)
    near = sub("near", "-t", "back/bridge", "-q", 2, "-C", 1)
    pub("-t", "over/bridge", "-r", "-q", 2, "-f", c.dir + "/big")
    told(far)
    pub("-t", "back/bridge", "-q", 2, "-m", "and back", port=1884)
    told(near)
    one.kill(signal.SIGHUP)
    c.stop(two)
    c.stop(one)
    one = broker(1883)
    p = sub("after", "-t", "kept", "-C", 1, "-N")
    told(p)
    c.stop(one)
