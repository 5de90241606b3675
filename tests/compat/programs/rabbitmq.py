# SPDX-License-Identifier: Apache-2.0
# packages: rabbitmq-server erlang-base python3-pika mosquitto-clients curl
TITLE = "RabbitMQ"
WHAT = ("AMQP with confirms, topics, get, requeue, a transaction, 2 MB messages, many connections; two nodes clustered over epmd and Erlang's "
        "distribution, a quorum queue, rabbitmqctl, MQTT, the management API")
TIMEOUT = 240
import os  # noqa: E402

CLIENT = r'''
import hashlib, pika, sys, threading
text = sys.argv[1]
def to(port):
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=600, blocked_connection_timeout=60, socket_timeout=60, stack_timeout=90))
def digest(b):
    return f"{len(b)} {hashlib.sha256(b).hexdigest()[:12]}"
def drain(ch, queue, n):
    got = []
    for m, p, body in ch.consume(queue, inactivity_timeout=60):
        if m is None:
            break
        ch.basic_ack(m.delivery_tag)
        got.append(body)
        if len(got) == n:
            break
    ch.cancel()
    return got
one, two = to(5672), to(5673)
print("versions agree:", one._impl.server_properties["version"] == two._impl.server_properties["version"])
ch, other = one.channel(), two.channel()
ch.confirm_delivery()
ch.exchange_declare("logs", "topic")
for q, key in (("all", "#"), ("errors", "*.error"), ("disk", "disk.*")):
    ch.queue_declare(q)
    ch.queue_bind(q, "logs", key)
for i in range(300):
    ch.basic_publish("logs", ("disk.error", "net.error", "disk.info")[i % 3], f"{text} {i}".encode(), mandatory=True)
try:
    ch.basic_publish("", "nowhere", b"x", mandatory=True)
except pika.exceptions.UnroutableError as e:
    print("unroutable", len(e.messages))
for q, n in (("all", 300), ("errors", 200), ("disk", 200)):  # the queues are on the first node, the consumer is on the second
    got = drain(other, q, n)
    print(q, len(got), digest(b"".join(got)))
for size in (0, 1, 131072, 131073, 2 << 20):
    body = (text.encode() * (size // len(text) + 1))[:size]
    ch.basic_publish("", "all", body, pika.BasicProperties(delivery_mode=2, headers={"size": size}))
    (back,) = drain(other, "all", 1)
    print(size, back == body)
ch.basic_publish("", "all", b"again")
m, p, body = other.basic_get("all")
other.basic_nack(m.delivery_tag, requeue=True)
m, p, body = other.basic_get("all")
print("requeued", m.redelivered, body); other.basic_ack(m.delivery_tag)
t = two.channel(); t.tx_select()
t.basic_publish("", "all", b"taken back"); t.tx_rollback(); t.basic_publish("", "all", b"kept"); t.tx_commit()
print(drain(ch, "all", 1))
ch.queue_declare("quorum", durable=True, arguments={"x-queue-type": "quorum"})
for i in range(100):
    ch.basic_publish("", "quorum", f"{text} quorum {i}".encode())
got = drain(other, "quorum", 100)
print("quorum", len(got), digest(b"".join(got)))
def worker(n, out):
    c = to(5672 + n % 2); w = c.channel(); w.confirm_delivery()
    q = w.queue_declare("", exclusive=True).method.queue
    for i in range(20):
        w.basic_publish("", q, f"{text} {n} {i}".encode() * 50)
    out[n] = len(b"".join(drain(w, q, 20)))
    c.close()
out = {}
threads = [threading.Thread(target=worker, args=(n, out)) for n in range(12)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(out.items()))
try:
    ch.queue_declare("all", durable=True)
except pika.exceptions.ChannelClosedByBroker as e:
    print("closed", e.reply_code)
try:
    pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 5672, credentials=pika.PlainCredentials("guest", "wrong")))
except pika.exceptions.AMQPConnectionError as e:
    print(type(e).__name__)
one.close(); two.close()
'''
HOME = "/usr/lib/rabbitmq/lib"


def node(c, name, n, more=""):
    """Starts one node; n tells its ports apart."""
    c.environ.update(RABBITMQ_NODENAME=f"{name}@127.0.0.1", RABBITMQ_DIST_PORT=str(25672 + n), RABBITMQ_PID_FILE=f"{c.dir}/{name}.pid",
                     RABBITMQ_CONFIG_FILE=c.write(f"{name}.conf", f"""
listeners.tcp.1 = 127.0.0.1:{5672 + n}
mqtt.listeners.tcp.1 = 127.0.0.1:{1883 + n}
management.tcp.ip = 127.0.0.1
management.tcp.port = {15672 + n}
log.console = true
log.console.level = warning
""" + more))
    return c.server([server("rabbitmq-server")], 5672 + n, 1883 + n, 15672 + n, 25672 + n, name=name, timeout=120)


def server(program):
    (version,) = [d for d in os.listdir(HOME) if d.startswith("rabbitmq_server-")]
    return f"{HOME}/{version}/sbin/{program}"


def run(c):
    c.environ.update(
        HOME=c.directory("home"), RABBITMQ_USE_LONGNAME="true", RABBITMQ_MNESIA_BASE=c.directory("mnesia"), RABBITMQ_LOGS="-",
        RABBITMQ_LOG_BASE=c.directory("log"), RABBITMQ_CONF_ENV_FILE="/dev/null", ERL_EPMD_ADDRESS="127.0.0.1",
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
        RABBITMQ_ENABLED_PLUGINS_FILE=c.write("plugins", "[rabbitmq_mqtt,rabbitmq_management]."))
    c.write("home/.erlang.cookie", "cookie", 0o400)
    c.server(["epmd"], 4369)
    one = node(c, "one", 0)
    two = node(c, "two", 1, "cluster_formation.peer_discovery_backend = classic_config\n"
               "cluster_formation.classic_config.nodes.1 = one@127.0.0.1\n")
    c.client(["/usr/bin/python3", "-c", CLIENT, c.text], err=True)
    listener = c.start(["stdbuf", "-oL", "mosquitto_sub", "-p", 1884, "-t", "a/#", "-q", 1, "-i", "listener", "-C", 2, "-v", "-d"], name="listener")
    listener.line("SUBACK", 30)
    for i in range(2):
        c.client(["mosquitto_pub", "-p", 1883, "-t", f"a/{i}", "-q", 1, "-m", f"{c.text} {i}"])
    c.say("MQTT:", listener.wait(30), *sorted(line for line in listener.out().decode().splitlines() if line.startswith("a/")))
    api = "http://guest:guest@127.0.0.1:15673/api"
    c.client(["curl", "-sS", f"{api}/nodes?columns=name,running&sort=name"])
    c.client(["curl", "-sS", "-H", "content-type: application/json", "-d", '{"properties":{},"routing_key":"all","payload":"by HTTP","payload_encoding":"string"}',
              f"{api}/exchanges/%2f/amq.default/publish"])
    c.client([server("rabbitmqctl"), "-q", "-l", "-n", "two@127.0.0.1", "list_queues", "--no-table-headers", "name", "type", "messages"])
    c.stop(two)
    c.stop(one)
