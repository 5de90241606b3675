# SPDX-License-Identifier: Apache-2.0
# packages: mariadb-server mariadb-client libdbd-mysql-perl python3-pymysql perl
import os
import signal

from compat import until

TITLE = "MariaDB"
WHAT = ("client, prepared statements of its binary protocol, LOAD DATA LOCAL, values of 5 MB, compression, cancelling, many clients, "
        "a thread pool, a replica, mysqldump into another server, privileges given up")
TIMEOUT = 240

PERL = r'''
use DBI;
my $d = DBI->connect("DBI:mysql:database=test;host=127.0.0.1;port=3306;mysql_server_prepare=1;mysql_local_infile=1" . ($ARGV[1] || ""),
                     "root", "", {RaiseError => 1, PrintError => 0});
$d->do("create or replace table p (i int primary key, v longtext, b longblob)");
my $s = $d->prepare("insert into p values (?, ?, ?)");
$s->execute($_, $ARGV[0] x $_, "\0\1\2\3" x (1000 * $_)) for 1 .. 80;
$s = $d->prepare("select i, length(v), length(b), md5(b) from p where i > ? and i < ? order by i");
for my $n (1 .. 20) { $s->execute($n, $n + 3); print join(" ", @$_), "\n" for @{$s->fetchall_arrayref}; }
my $big = join("", map { sprintf("%08d", $_) } 1 .. 600000);
$d->prepare("replace into p values (0, '', ?)")->execute($big);
my ($back, $md5) = $d->selectrow_array("select b, md5(b) from p where i = 0");
print length($back), " ", $back eq $big, " $md5\n";
eval { $d->do("select nothing") };
print $@ =~ /Unknown column/ ? "error\n" : "no error: $@\n";
print $d->ping ? "there\n" : "gone\n";
'''
MANY = r'''
import pymysql, sys, threading
def one(n):
    c = pymysql.connect(host="127.0.0.1", user="root", database="test", autocommit=True)
    k = c.cursor()
    for i in range(40):
        k.execute("insert into many values (%s, %s)", (n * 1000 + i, sys.argv[1] * 50))
    k.execute("select count(*) from many where i between %s and %s", (n * 1000, n * 1000 + 999))
    assert k.fetchone() == (40,)
    c.close()
threads = [threading.Thread(target=one, args=(n,)) for n in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
k = pymysql.connect(host="127.0.0.1", user="root", database="test").cursor(pymysql.cursors.SSCursor)
k.execute("select i, v from many order by i")
print(sum(len(row[1]) for row in k))
'''


def server(c, port, n, *more):
    data = c.dir + f"/data{n}"
    if not os.path.isdir(data):
        c.prepare(["cp", "-a", f"{c.dir}/fresh", data])
    return c.server(["mariadbd", "--no-defaults", "--user=mysql", f"--datadir={data}", f"--port={port}", f"--socket={data}/s",
                     "--bind-address=127.0.0.1", f"--server-id={n}", "--log-bin=log", "--max-allowed-packet=64M", "--local-infile=1",
                     "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=8M",
                     f"--pid-file={data}/pid", f"--tmpdir={data}", *more],
                    port, name=f"mariadbd{n}")


def run(c):
    fresh = c.directory("fresh", "mysql")
    c.prepare(["/usr/bin/mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={fresh}", "--skip-test-db",
               "--auth-root-authentication-method=normal", "--skip-name-resolve", "--innodb-log-file-size=8M", f"--tmpdir={fresh}"], timeout=200)
    one = server(c, 3306, 1)

    def sql(text, *words, port=3306, db="test", **more):
        return c.client(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", port, "-u", "root", "--local-infile=1",
                         "--max-allowed-packet=64M", *words, "-N", "-e", text, *([db] if db else [])], **more)

    sql("create database test", db=None)
    sql(f"create table x (i int primary key, v text); insert into x select seq, concat('{c.text}', seq) from seq_1_to_3000; "
        "select count(*), max(v) from x; prepare s from 'select v from x where i = ?'; set @a = 77; execute s using @a; select 1 from no")
    sql("select count(*), md5(sum(length(v))) from x", "--compress")
    file = c.write("rows.txt", "".join(f"{i}\t{c.text} {i}\n" for i in range(3000)))
    sql(f"create table l like x; load data local infile '{file}' into table l; select count(*), max(v) from l")
    c.client(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-u", "root", "test"],
             input="".join(f"insert into l values ({i}, 'line');\n" for i in range(3000, 3400)) + "select count(*) from l;\n")
    c.client(["/usr/bin/perl", "-e", PERL, c.text])
    c.client(["/usr/bin/perl", "-e", PERL, c.text, ";mysql_compression=1"])
    sql("create table many (i int primary key, v text)")
    c.client(["/usr/bin/python3", "-c", MANY, c.text])
    cancelling(c, sql)
    c.client(["mariadb-slap", "--no-defaults", "-h", "127.0.0.1", "-u", "root", "--auto-generate-sql", "--concurrency=10",
              "--number-of-queries=300", "--create-schema=slap"], show=False)
    c.client(["mariadb-admin", "--no-defaults", "-h", "127.0.0.1", "-u", "root", "ping"])
    replica(c, sql)
    sql("shutdown", db=None)
    c.say("ended:", one.wait(30))


def cancelling(c, sql):
    p = c.start(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-u", "root", "-e", "select sleep(601)"], name="cancelled")
    find = "select id from information_schema.processlist where info like '%sleep(60%' and info not like '%processlist%'"
    until("it sleeps", lambda: sql(find, show=False).strip())
    p.kill(signal.SIGINT)  # the client connects again and says KILL QUERY
    c.say("cancelled:", p.wait(), p.out().decode())
    p = c.start(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-u", "root", "-e", "select sleep(602)"], name="killed")
    victim = until("it sleeps", lambda: sql(find, show=False).strip())
    sql(f"kill {victim}")
    c.say("killed:", p.wait(), p.err().decode())


def replica(c, sql):
    two = server(c, 3307, 2, "--thread-handling=pool-of-threads", "--replicate-do-db=test")
    out = c.client(["mariadb-dump", "--no-defaults", "-h", "127.0.0.1", "-u", "root", "--max-allowed-packet=64M", "--master-data=1",
                    "--single-transaction", "--databases", "test"], show=False)
    c.client(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", 3307, "-u", "root", "--max-allowed-packet=64M"], input=out)
    # Positions in the log are those of the dump.
    sql("change master to master_host='127.0.0.1', master_port=3306, master_user='root'; start slave", port=3307)
    sql("insert into x select seq, 'replicated' from seq_3001_to_4000; update p set v = 'changed' where i = 3")
    until("the replica has it", lambda: sql("select count(*) from x", port=3307, show=False).strip() == "4000", 120, 0.2)
    until("the replica has it all", lambda: sql("select v from p where i = 3", port=3307, show=False).strip() == "changed", 120, 0.2)
    sql("select count(*), md5(sum(length(v))), md5(sum(length(b))) from p", port=3307)
    sql("select count(*), md5(sum(length(v))), md5(sum(length(b))) from p")
    sql("stop slave; change master to master_connect_retry = 1; start slave", port=3307)
    find = "select id from information_schema.processlist where command like 'Binlog%'"

    def cut():  # the one of before may be about to go, and is then known no more
        ids = sql(find, show=False).split()
        return ids and c.start(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-u", "root", "-e", f"kill {ids[-1]}"]).wait(60) == 0
    until("the replica's connection is cut", cut, 120, 0.2)
    sql("insert into x values (0, 'last')")
    until("the replica has the last", lambda: sql("select v from x where i = 0", port=3307, show=False).strip() == "last", 120, 0.2)
    c.client(["mariadb-admin", "--no-defaults", "-h", "127.0.0.1", "-P", 3307, "-u", "root", "shutdown"])
    c.say("the replica ended:", two.wait(30))
