# SPDX-License-Identifier: Apache-2.0
# packages: pgbouncer postgresql postgresql-client python3-psycopg2
import os
import signal

from compat import NATIVE, until
from postgres import binary, instance

TITLE = "PgBouncer"
WHAT = ("session and transaction pools, pgbench, its console, pause and resume, cancelling, reload, a new version that takes over every "
        "socket (restart with -R) while a client is in the middle of its session")

CONF = """
[databases]
postgres = host=127.0.0.1 port=5432 user=postgres pool_size={size}
short = host=127.0.0.1 port=5432 user=postgres dbname=postgres pool_mode=transaction pool_size=2
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
unix_socket_dir = {dir}
auth_type = any
pool_mode = session
pidfile = {dir}/pid
ignore_startup_parameters = extra_float_digits
"""
# It is asked for the next step by a line on its standard input.
CLIENT = r"""
import sys, psycopg2
c = psycopg2.connect("host=127.0.0.1 port=6432 user=postgres dbname=postgres")
c.autocommit = True
k = c.cursor()
k.execute("create temp table mine as select 42 as x; select pg_backend_pid()")
pid = k.fetchone()
for n in range(3):
    k.execute("select x, repeat('y', 100000) from mine")
    row = k.fetchone()
    k.execute("select pg_backend_pid()")
    print(n, row[0], len(row[1]), "the same backend:", k.fetchone() == pid, flush=True)
    sys.stdin.readline()
"""


def run(c):
    server, _ = instance(c)
    d = c.directory("bouncer", "postgres")
    conf = c.write("bouncer.ini", CONF.format(dir=d, size=5))
    bouncer = c.server(["pgbouncer", conf], 6432, user="postgres")

    def sql(*commands, db="postgres", **more):
        return c.client(["psql", "-h", "127.0.0.1", "-p", 6432, "-U", "postgres", "-XAtq", "-d", db,
                         *[w for s in commands for w in ("-c", s)]], **more)

    def pgbench(*words):
        out = c.client([binary("pgbench"), "-h", "127.0.0.1", "-p", 6432, "-U", "postgres", *words], show=False)
        c.say("\n".join(x for x in out.splitlines() if x.startswith("number of transactions")))

    sql(f"create table x as select i, '{c.text}' || i as v from generate_series(1, 20000) i", "select count(*), max(v) from x")
    pgbench("-i", "-q", "postgres")
    pgbench("-c", 8, "-t", 20, "-n", "short")
    pgbench("-C", "-c", 4, "-t", 10, "-S", "-n", "postgres")
    c.say("databases:", len(sql("show databases", db="pgbouncer", show=False).splitlines()))
    sql("pause", "resume", "reload", "show version", db="pgbouncer")
    sleeper = c.start(["psql", "-h", "127.0.0.1", "-p", "6432", "-U", "postgres", "-XAtq", "-c", "select pg_sleep(601)"], name="sleeper")
    until("the sleeper", lambda: sql("select count(*) from pg_stat_activity where query like '%601%' and state = 'active' and "
                                     "pid <> pg_backend_pid()", show=False).strip() == "1")
    sleeper.kill(signal.SIGINT)
    c.say("cancelled:", sleeper.wait(), sleeper.err().decode())
    bouncer = takeover(c, bouncer, conf)
    sql("select count(*) from x")
    bouncer.kill(signal.SIGINT)
    c.say("ended:", bouncer.wait(30))
    server.kill(signal.SIGINT)
    c.say("ended:", server.wait())


def takeover(c, old, conf):
    steps, step = os.pipe()
    client = c.start(["/usr/bin/python3", "-c", CLIENT], name="client", stdin=steps)
    client.line("^0 42")
    new = c.start(["pgbouncer", "-R", conf], user="postgres", name="new")
    c.say("the old one ended:", old.wait(30))
    os.write(step, b"\n")
    client.line("^1 42", 30)
    os.write(step, b"\n")
    client.line("^2 42", 30)
    os.write(step, b"\n")
    c.say("client:", client.wait(), client.out().decode())
    os.close(step)
    os.close(steps)
    if not NATIVE:
        new.line("process up", 30)
    return new
