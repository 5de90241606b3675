# SPDX-License-Identifier: Apache-2.0
# packages: postgresql postgresql-client python3-psycopg2
import os
import signal

from compat import Failure, until
from postgres import binary, instance, start

TITLE = "PostgreSQL"
WHAT = ("psql, COPY both ways, big values, LISTEN/NOTIFY, cancelling, a killed backend and the recovery after it, parallel queries, "
        "dblink, pgbench, pg_dump and pg_restore in parallel, pg_basebackup, streaming and logical replication, promotion")
TIMEOUT = 150


def run(c):
    server, data = instance(c, wal_level="logical", max_wal_senders="10")
    settings = {"wal_level": "logical", "max_wal_senders": "10"}

    def psql(*words, port=5432, db="postgres", host="localhost", **more):
        return c.client(["psql", "-h", host, "-p", port, "-U", "postgres", "-XAtq", "-d", db, *words], **more)

    def sql(*commands, **more):
        return psql(*[w for s in commands for w in ("-c", s)], **more)

    sql(f"create table x as select i, '{c.text}' || i as v from generate_series(1, 50000) i",
        "select count(*), min(v), max(v), md5(string_agg(v, ',' order by i)) from x", "select 1/0", "show port")
    sql("select 1", host="127.0.0.1")
    copying(c, sql, psql)
    listening(c, sql)
    cancelling(c, sql)
    crash(c, sql)
    sql("alter table x set (parallel_workers = 2)", "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; "
        "set min_parallel_table_scan_size = 0; select count(*), sum(length(v)) from x where v like '%7%'")
    sql("create extension dblink", "select * from dblink('host=127.0.0.1 user=postgres', 'select count(*), max(v) from x') "
        "as t(n int, v text)")
    bench(c, sql)
    dump(c, sql)
    replication(c, sql, psql)
    server.kill(signal.SIGINT)
    c.say("the server ended:", server.wait())
    server = start(c, data, **settings)
    sql("select count(*) from x")
    server.kill(signal.SIGTERM)
    c.say("the server ended:", server.wait())


def copying(c, sql, psql):
    path = os.path.join(c.dir, "copy.txt")
    sql(f"\\copy x to '{path}'")
    with open(path) as f:
        c.say("copied:", sum(1 for _ in f))
    sql("create table y (like x)", f"\\copy y from '{path}'", "select count(*), md5(string_agg(v, ',' order by i)) from y")
    psql("-c", "copy y from stdin", input="".join(f"{i}\tmore {c.text}\n" for i in range(20000)))
    c.say("out:", len(psql("-c", "copy (select * from y) to stdout (format binary)", show=False, err=False)[:100]))
    sql("create table blob (b bytea)", "insert into blob select convert_to(repeat(md5('x'), 1000000), 'UTF8')",
        "select length(b), md5(b) from blob")
    out = sql("select encode(b, 'escape') from blob", show=False)
    c.say("a value of", len(out), "bytes")
    psql("-c", "copy y from stdin", input="wrong\n", err=True)
    psql(input=f"begin;\ndeclare k cursor for select v from x order by i;\nfetch 3 from k;\nmove 1000 in k;\nfetch 2 from k;\ncommit;\n"
               "\\lo_import " + path + "\nselect count(*) from pg_largeobject_metadata;\n", show=False)


LISTENER = r"""
import select, psycopg2
c = psycopg2.connect("host=localhost user=postgres dbname=postgres")
c.autocommit = True
c.cursor().execute("listen news")
print("ready", flush=True)
while True:
    select.select([c], [], [])
    c.poll()
    for n in c.notifies:
        print(n.channel, n.payload, flush=True)
        if n.payload == "end":
            raise SystemExit(3)
    del c.notifies[:]
"""


def listening(c, sql):
    """Two sessions that sit in select() and in poll() until somebody else does something."""
    p = c.start(["/usr/bin/python3", "-c", LISTENER], name="listener")
    p.line("^ready$")
    sql(f"notify news, '{c.text}'", "begin; notify news, 'one'; notify news, 'two'; commit")
    p.line("two")
    sql("notify news, 'end'")
    c.say("listener:", p.wait(), p.out().decode())
    p = c.start(["psql", "-h", "localhost", "-U", "postgres", "-XAtq", "-c", "begin; lock x; select pg_sleep(1); commit"], name="holder")
    until("the lock", lambda: sql("select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation = 'x'::regclass "
                                  "and granted", show=False).strip() == "1")
    sql("select count(*) from x")
    c.say("holder:", p.wait())


def busy(c, sql, p, what):
    until(f"the backend of {p.name}", lambda: sql(f"select count(*) from pg_stat_activity where query like '%{what}%' and "
                                                  "pid <> pg_backend_pid() and state = 'active'", show=False).strip() != "0")


def cancelling(c, sql):
    """A cancel request is a second connection of libpq's, made out of a signal handler."""
    p = c.start(["psql", "-h", "localhost", "-U", "postgres", "-XAtq", "-c", "select pg_sleep(601)"], name="cancelled")
    busy(c, sql, p, "601")
    p.kill(signal.SIGINT)
    c.say("cancelled:", p.wait(), p.err().decode())
    p = c.start(["psql", "-h", "localhost", "-U", "postgres", "-XAtq", "-c", "select pg_sleep(602)"], name="terminated")
    busy(c, sql, p, "602")
    sql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%602%' and pid <> pg_backend_pid()")
    c.say("terminated:", p.wait(), p.err().decode())
    sql("set statement_timeout = 300; select pg_sleep(20)", err=True)


def crash(c, sql):
    p = c.start(["psql", "-h", "localhost", "-U", "postgres", "-XAtq", "-c", "select pg_sleep(603)"], name="bystander")
    busy(c, sql, p, "603")
    pid = int(sql("select pid from pg_stat_activity where query like '%603%' and pid <> pg_backend_pid()", show=False))
    os.kill(pid, signal.SIGKILL)
    c.say("its client:", p.wait(), p.err().decode())
    until("the recovery", lambda: c.start(["psql", "-h", "localhost", "-U", "postgres", "-XAtq", "-c", "select 1"]).wait() == 0, 30, 0.2)
    sql("select count(*) from x")


def bench(c, sql):
    def pgbench(*words):
        return c.client([binary("pgbench"), "-h", "localhost", "-U", "postgres", *words, "postgres"], show=False)
    pgbench("-i", "-q", "-s", 1)
    for mode in ("simple", "extended", "prepared"):
        out = pgbench("-c", 8, "-j", 2, "-t", 25, "-M", mode, "-n")
        c.say("\n".join(x for x in out.splitlines() if x.startswith(("number of tr", "query mode"))))
    pgbench("-C", "-c", 4, "-t", 10, "-S", "-n")
    sql("select count(*) from pgbench_history")


def dump(c, sql):
    common = ["-h", "localhost", "-U", "postgres"]
    c.client([binary("pg_dump"), *common, "-Fd", "-j", 3, "-f", c.dir + "/dump", "postgres"])
    c.client([binary("createdb"), *common, "copy"])
    c.client([binary("pg_restore"), *common, "-j", 3, "-d", "copy", c.dir + "/dump"])
    sql("select count(*), md5(string_agg(v, ',' order by i)) from x", "select length(b) from blob", db="copy")
    out = c.client([binary("pg_dumpall"), *common, "--globals-only"], show=False)
    c.say("globals:", "CREATE ROLE postgres" in out)


def replication(c, sql, psql):
    """A standby by pg_basebackup (its second connection streams the log meanwhile), and a subscriber of one table."""
    c.client([binary("pg_basebackup"), "-h", "localhost", "-U", "postgres", "-D", c.directory("standby", "postgres"), "-R", "-X",
              "stream", "--checkpoint=fast", "-C", "-S", "standby"], user="postgres")
    standby = start(c, c.dir + "/standby", 5433)
    sql("insert into x select i, 'replicated' from generate_series(50001, 60000) i")

    def caught_up(port, want, query="select count(*) from x"):
        until(f"{want} on {port}", lambda: sql(query, port=port, show=False).strip() == want, 40, 0.1)

    caught_up(5433, "60000")
    sql("insert into x values (1, 'x')", "select status, sender_host from pg_stat_wal_receiver", port=5433, err=True)
    sql("select application_name, state, sync_state, client_addr from pg_stat_replication")
    subscriber, _ = instance(c, "subscriber", 5434)
    sql("create table z (i int primary key, v text)", "create publication p for table z", "insert into z values (1, 'before')")
    sql("create table z (i int primary key, v text)", "create subscription s connection 'host=localhost user=postgres' publication p",
        port=5434, err=True)
    sql(f"insert into z select i, '{c.text}' from generate_series(2, 5000) i", "delete from z where i = 2")
    caught_up(5434, "4999", "select count(*) from z")
    sql("drop subscription s", port=5434, err=True)
    c.client([binary("pg_isready"), "-h", "localhost", "-p", 5433])
    sql("select pg_promote()", "insert into x values (0, 'mine')", "select count(*) from x", port=5433)
    for p in (subscriber, standby):
        p.kill(signal.SIGINT)
        c.say("ended:", p.wait())
    if "standby" not in sql("select slot_name from pg_replication_slots"):
        raise Failure("the standby did not use its slot")
