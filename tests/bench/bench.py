#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of svidwrap beside plaintext, the program's own mTLS and a pair of stunnels, as ratios of one run.

Variants take turns in rounds and the median counts, for machines are noisy. It reports; it never fails for
being slow. Run by scripts/bench, which builds what it needs.
"""
import argparse
import csv
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import programs  # noqa: E402
import stage as stages  # noqa: E402

# name, redis-benchmark arguments, test, most requests a run
REDIS_CASES = [
    ("GET, 1 client", ["-c", "1", "-d", "3"], "get", 400000),
    ("GET, 50 clients", ["-c", "50", "-d", "3"], "get", 800000),
    ("GET, 50 clients, pipeline 16", ["-c", "50", "-d", "3", "-P", "16"], "get", 6000000),
    ("GET 64 KiB, 8 clients", ["-c", "8", "-d", "65536"], "get", 200000),
    ("SET 64 KiB, 8 clients", ["-c", "8", "-d", "65536"], "set", 200000),
    ("a connection per PING, 4 clients", ["-c", "4", "-k", "0"], "ping_mbulk", 60000),
]


FULL = stages.SvidwrapFull.name  # has something to say where connections are new, and only there


class Redis:
    """redis-benchmark against the server of each variant."""

    def __init__(self, variants, seconds):
        self.seconds, self.at, self.rate, self.keyed = seconds, {}, {}, {}
        self.problems = []
        self.pids, self.cpu = {}, {}
        for variant in list(variants):
            before = len(variant.stage.processes)
            try:
                self.at[variant.name] = (variant, variant.redis())
            except stages.Unavailable as why:
                self.problems.append(f"{variant.name}: {why}")
            self.pids[variant.name] = [p.pid for p in variant.stage.processes[before:]] + \
                getattr(variant, "daemon_pids", list)()

    def once(self, name, args, test, requests):
        """One redis-benchmark: (seconds by its own clock, CPU seconds of client, server and helpers)."""
        variant, where = self.at[name]
        argv = ["redis-benchmark", "-h", "127.0.0.1", *where, *args, "-t", test, "-n", str(requests), "--csv"]
        helpers = cpu_seconds(self.pids[name])
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            run = subprocess.run(argv, env=variant.client_env(), capture_output=True, text=True,
                                 timeout=40 + 10 * self.seconds)
        except subprocess.TimeoutExpired:
            raise RuntimeError("redis-benchmark does not end")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        client = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
        rows = [row for row in csv.reader(run.stdout.splitlines()) if len(row) > 1 and row[0] != "test"]
        if run.returncode or not rows:
            raise RuntimeError(f"redis-benchmark: exit {run.returncode}: {(run.stderr or run.stdout).strip()[-300:]}")
        return max(requests / float(rows[0][1]), 0.001), client + cpu_seconds(self.pids[name]) - helpers

    def measure(self, name, case):
        """A run of about self.seconds, less one of as good as no requests: what it takes to start and to connect
        (handshakes) has a table of its own and would swamp the rest in a short run."""
        label, args, test, most = case
        key, least = (name, label), int(args[args.index("-c") + 1])
        if key not in self.rate:
            if test == "get":
                self.once(name, ["-c", "1", "-d", args[args.index("-d") + 1]], "set", 4)
            self.rate[key] = 300 / self.once(name, args, test, 300)[0]
            for seconds in (0.1, 0.3):
                self.rate[key] = self.steady(name, case, least, int(max(300, min(most, self.rate[key] * seconds))))[0]
        figure, cpu = self.steady(name, case, least, int(max(300, min(most, self.rate[key] * self.seconds))))
        self.rate[key] = figure
        self.cpu.setdefault(key, []).append(cpu)
        return figure

    def steady(self, name, case, least, requests):
        """(requests a second, CPU seconds a request)"""
        _, args, test, _ = case
        long_time, long_cpu = self.once(name, args, test, requests)
        if "-k" in args:  # connecting is what this one is about
            return requests / long_time, long_cpu / requests
        short_time, short_cpu = self.once(name, args, test, least)
        more = requests - least
        return more / max(long_time - short_time, long_time / 50), max(long_cpu - short_cpu, 0) / more


def cpu_seconds(pids):
    """User and system time of whole processes, threads that have ended included. Unlike a rate it means something
    on a busy machine too."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / os.sysconf("SC_CLK_TCK")


def rounds(names, count, measure, problems, where):
    """{name: [figure, ...]}, variants taking turns, the first of a round changing."""
    figures = {name: [] for name in names}
    for turn in range(count):
        for name in [*names[turn % len(names):], *names[:turn % len(names)]]:
            if figures[name] is None:
                continue
            try:
                figures[name].append(measure(name))
            except RuntimeError as why:
                problems.append(f"{name}, {where}: {why}")
                figures[name] = None
    return {name: got for name, got in figures.items() if got}


def redis_table(variants, options, report):
    redis = Redis(variants, options.seconds)
    for case in REDIS_CASES:
        if options.only and options.only not in case[0]:
            continue
        names = [name for name in redis.at if "-k" in case[1] or name != FULL]
        got = rounds(names, options.rounds, lambda name: redis.measure(name, case), redis.problems, case[0])
        report.add("Redis, thousand requests a second, connections being there (ratio to plain)", case[0], got, scale=1e-3)
        spent = {name: redis.cpu[name, case[0]] for name in got}
        report.add("Redis, microseconds of CPU a request, both ends and helpers (ratio to plain)", case[0], spent,
                   scale=1e6)
    report.problems += redis.problems


def churn_table(variants, options, report):
    """New connections: connect, one byte there and back, close; by one C program for every variant."""
    at = {}
    for variant in variants:
        try:
            at[variant.name] = (variant, *variant.conns_server())
        except stages.Unavailable as why:
            report.problems.append(f"{variant.name}: {why}")
    tool = variants[0].stage.path("conns")
    for threads in (1, 4):
        def measure(name):
            variant, _, port, args = at[name]
            run = subprocess.run([tool, *args, "churn", str(port), str(threads), str(int(options.seconds * 1000))],
                                 env=variant.client_env(), capture_output=True, text=True, timeout=60)
            if run.returncode:
                raise RuntimeError(f"conns: exit {run.returncode}: {(run.stderr or run.stdout)[-300:]}")
            return json.loads(run.stdout)["per_second"]
        label = f"new connections, {threads} thread{'s' if threads > 1 else ''}"
        got = rounds(list(at), options.rounds, measure, report.problems, label)
        report.add("Connections a second (own mTLS: OpenSSL in the program, no resumption)", label, got)
    for _, process, _, _ in at.values():
        variants[0].stage.stop(process)


def memory(pids):
    """Kilobytes over some processes: resident, proportional."""
    rss = pss = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            fields = dict(line.split()[:2] for line in f.read().splitlines()[1:])
        rss, pss = rss + int(fields["Rss:"]), pss + int(fields["Pss:"])
    return rss, pss


def memory_table(variants, options, report):
    """What each idle connection adds to the server's process, the client's and the daemon's."""
    count = 200 if options.quick else 1000
    for variant in variants:
        try:
            server, port, args = variant.conns_server()
        except stages.Unavailable as why:
            report.problems.append(f"{variant.name}: {why}")
            continue
        tool, daemons = variant.stage.path("conns"), getattr(variant, "daemon_pids", list)()

        def hold(number):
            client = variant.stage.start([tool, *args, "hold", str(port), str(number)], env=variant.client_env(),
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if client.stdout.readline() != b"holding\n":
                raise RuntimeError(f"conns hold: {stages.tail(client.log)}")
            time.sleep(1)
            sizes = [memory([server.pid]), memory([client.pid]), memory(daemons)]
            client.stdin.close()
            client.wait(30)
            return sizes
        try:
            few, many = hold(20), hold(20 + count)
        except (RuntimeError, OSError) as why:
            report.problems.append(f"{variant.name}, memory: {why}")
            continue
        finally:
            variant.stage.stop(server)
        for who, before, after in zip(("server", "client", "daemon"), few, many):
            if who == "daemon" and not daemons:
                continue
            for kind, a, b in zip(("RSS", "PSS"), before, after):
                report.add(f"KiB an idle connection ({count} of them, one message each way before)",
                           f"{who}, {kind}", {variant.name: [(b - a) / count]}, ratio=False)
        if daemons:
            report.notes.append(f"daemon with {count + 20} connections: {many[2][0]} KiB resident, "
                                f"{many[2][1]} KiB proportional (supervisor and worker)")


def hook_table(variants, options, report):
    """Calls on descriptors that no rule covers: the same program plain and under the shim."""
    wrapped = [v for v in variants if v.name == "svidwrap"]
    if not wrapped:
        return
    st = wrapped[0].stage
    server, port, _ = stages.Plain(st).conns_server()
    # The kernel runs the filter that puts io_uring out of reach before every system call, hooked or not.
    ways = {"plain": None, "hooks alone": dict(wrapped[0].env(), SVIDWRAP_IO_URING="allow-unsafe"),
            "hooks and filter": wrapped[0].env()}
    got = {name: {} for name in ways}
    for _ in range(2 if options.quick else 6):
        for name, env in ways.items():
            run = subprocess.run([st.path("hookcost"), str(port)], env=env, capture_output=True, text=True, timeout=60)
            if run.returncode:
                report.problems.append(f"{name}, hookcost: exit {run.returncode}: {run.stderr[-300:]}")
                return
            for call, ns in json.loads(run.stdout).items():
                got[name].setdefault(call, []).append(ns)
    st.stop(server)
    table = "An unmanaged call, nanoseconds, and what is added to it (beside libc's own in one process; the filter: to every call)"
    for call, plain in got["plain"].items():
        least = {name: min(ns["libc"] for ns in calls[call]) for name, calls in got.items()}
        report.add(table, call, {"libc's own": [least["plain"]],
                                 "no hooks (error)": [ns["added"] for ns in plain],
                                 "hooks": [ns["added"] for ns in got["hooks alone"][call]],
                                 "filter": [least["hooks and filter"] - least["hooks alone"]]}, ratio=False)
    report.notes.append("goal: hooks alone add 3 ns at most to read, write and poll, 5 ns to epoll_wait")


def bulk_table(variants, options, report):
    """Megabytes a CPU second over one connection, both ends counted: write() and read() of a wrapped program beside
    SSL_write() and SSL_read() of the same program."""
    at = {}
    for variant in variants:
        try:
            at[variant.name] = (variant, *variant.conns_server("sink"))
        except stages.Unavailable as why:
            report.problems.append(f"{variant.name}: {why}")
    tool, megabytes = variants[0].stage.path("conns"), 256 if options.quick else 1024
    for chunk in (16384, 262144):
        def measure(name):
            variant, _, port, args = at[name]
            run = subprocess.run([tool, *args, "pour", str(port), str(megabytes), str(chunk)], env=variant.client_env(),
                                 capture_output=True, text=True, timeout=60)
            if run.returncode:
                raise RuntimeError(f"conns: exit {run.returncode}: {(run.stderr or run.stdout)[-300:]}")
            got = json.loads(run.stdout)
            return megabytes / (got["client_cpu"] + got["server_cpu"])
        label = f"{chunk // 1024} KiB a write, 256 KiB a read"
        got = rounds(list(at), options.rounds, measure, report.problems, label)
        report.add("Bulk, megabytes a CPU second of both ends (ratio to plain)", label, got)
        if "svidwrap" in got and "own mTLS" in got:
            ratio = statistics.median(got["svidwrap"]) / statistics.median(got["own mTLS"])
            report.notes.append(f"bulk, {label}: svidwrap is {ratio:.2f} times SSL_write and SSL_read")
    for _, process, _, _ in at.values():
        variants[0].stage.stop(process)


def relay_table(variants, options, report):
    """A connection whose one end is on a standard stream, and so relayed by the daemon, beside one that is not."""
    variant = next((v for v in variants if v.name == stages.Svidwrap.name), None)
    if variant is None:
        return
    tool, megabytes = variant.stage.path("conns"), 512
    servers = {what: variant.conns_server(what) for what in ("sink", "drain")}
    ways = {"record": ("pour", "sink"), "received by the relay": ("pour", "drain"), "sent by the relay": ("print", "sink"),
            "both": ("print", "drain")}
    cpu, chosen = {}, {"CONNS_CONGESTION": options.congestion} if options.congestion else {}
    for chunk in (16384, 262144):
        def measure(name):
            client, server = ways[name]
            helpers = cpu_seconds(variant.daemon_pids())
            run = subprocess.run([tool, client, str(servers[server][1]), str(megabytes), str(chunk)],
                                 env=dict(variant.client_env(), **chosen), capture_output=True, text=True, timeout=60)
            if run.returncode:
                raise RuntimeError(f"conns: exit {run.returncode}: {(run.stderr or run.stdout)[-300:]}")
            got = json.loads(run.stdout)
            spent = got["client_cpu"] + got["server_cpu"] + cpu_seconds(variant.daemon_pids()) - helpers
            cpu.setdefault(name, []).append(megabytes / spent)
            return megabytes / got["seconds"]
        label = f"{chunk // 1024} KiB a write"
        rounds(list(ways), 1, measure, report.problems, label)  # threads, buffers and windows have their size now
        cpu.clear()
        # Many short ones: which of the three processes share a core is anew for each, and decides as much as the code.
        got = rounds(list(ways), 4 if options.quick else options.rounds * 5, measure, report.problems, label)
        report.add("Relay beside the record engine, megabytes a second", label, got, ratio=False)
        report.add("Relay beside the record engine, megabytes a CPU second, the daemon counted", label, dict(cpu), ratio=False)
        for name in [n for n in got if n != "record" and "record" in got]:
            # Round by round, for what disturbs a round disturbs all of it.
            rate, spent = (statistics.median(a / b for a, b in zip(t[name], t["record"])) for t in (got, cpu))
            report.notes.append(f"{name}, {label}: {rate:.0%} of the record engine's rate, {spent:.0%} of its bytes a CPU "
                                f"second")
    report.notes.append(f"congestion control of what the relay carried: {options.congestion or 'the default of this machine'}")
    for process, _, _ in servers.values():
        variant.stage.stop(process)


def record_text(_, options, report):
    """The record layer alone, where tests/bench/bulk is built."""
    tool = os.path.join(options.bench_build, "bulk")
    if os.path.exists(tool):
        run = subprocess.run([tool, *(["64", "3"] if options.quick else ["256", "5"])], capture_output=True, text=True,
                             timeout=120)
        report.texts["The record engine alone, JSON (tests/bench/bulk)"] = run.stdout.rstrip()


class Report:
    def __init__(self):
        self.tables, self.problems, self.notes, self.texts = {}, [], [], {}

    def add(self, table, row, figures, scale=1.0, ratio=True):
        rows = self.tables.setdefault(table, {"scale": scale, "ratio": ratio, "rows": {}})["rows"]
        for name, got in figures.items():
            rows.setdefault(row, {})[name] = {"median": statistics.median(got), "least": min(got), "most": max(got),
                                              "runs": len(got)}

    def print(self):
        for title, table in self.tables.items():
            self.print_table(title, **table)
        for title, text in self.texts.items():
            print(f"\n{title}\n\n{text}")
        for line in self.notes:
            print(f"\nnote: {line}")
        for line in self.problems:
            print(f"\nnot measured: {line}")

    @staticmethod
    def print_table(title, scale, ratio, rows):
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        print(f"\n{title}\n\n| {'':34} |" + "".join(f" {name:>16} |" for name in names))
        print(f"|{'-' * 36}|" + "".join("-" * 17 + ":|" for _ in names))
        for label, row in rows.items():
            cells = []
            for name in names:
                text = ""
                if name in row:
                    value = row[name]["median"] * scale
                    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
                    if ratio and name != "plain" and "plain" in row:
                        text += f" ({row[name]['median'] / row['plain']['median']:.2f})"
                cells.append(f" {text:>16} |")
            print(f"| {label:34} |" + "".join(cells), flush=True)


TABLES = {"redis": redis_table, "connections": churn_table, "memory": memory_table, "hooks": hook_table,
          "bulk": bulk_table, "relay": relay_table, "record": record_text,
          "startup": programs.startup_table, "build": programs.build_table}


def congestion_default():
    try:
        with socket.socket() as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        return "cubic"
    except OSError:
        return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", help="where libsvidwrap.so and svidwrap are")
    parser.add_argument("--bench-build", help="where conns, hookcost and bulk are (default BUILD/bench)")
    parser.add_argument("--quick", action="store_true", help="about a minute: fewer and shorter runs")
    parser.add_argument("--rounds", type=int, help="runs of each figure (default 5, quick 3)")
    parser.add_argument("--seconds", type=float, help="length of a run (default 0.8, quick 0.3)")
    parser.add_argument("--variants", help="comma separated: " + ", ".join(v.name for v in stages.VARIANTS))
    parser.add_argument("--tables", help="comma separated: " + ", ".join(TABLES))
    parser.add_argument("--only", help="only Redis figures whose name contains this")
    parser.add_argument("--json", metavar="FILE", help="the figures as JSON, too")
    parser.add_argument("--congestion", default=congestion_default(), metavar="NAME",
                        help="congestion control for the relay's table (default: Debian's, cubic, where it may be had: a sender that is "
                             "faster than its receiver sets a timer a segment with bbr, which is costly in a virtual machine); '' "
                             "for the machine's")
    parser.add_argument("--ports", type=int, default=24100 + os.getpid() % 8 * 100, help="first of about 60 ports")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (0.3 if options.quick else 0.8)
    options.bench_build = options.bench_build or os.path.join(options.build, "bench")

    directory = tempfile.mkdtemp(prefix="svidwrap-bench-")
    stage, report = stages.Stage(options.build, directory, options.ports), Report()
    started = time.monotonic()
    try:
        for tool in ("conns", "hookcost"):
            shutil.copy(os.path.join(options.bench_build, tool), directory)
        wanted = options.variants.split(",") if options.variants else [v.name for v in stages.VARIANTS]
        variants = []
        for make in stages.VARIANTS:
            if make.name in wanted:
                try:
                    variants.append(make(stage))
                except stages.Unavailable as why:
                    report.problems.append(f"{make.name}: {why}")
        for name in options.tables.split(",") if options.tables else TABLES:
            direct = name in ("connections", "memory", "bulk")  # proxies have no place in a program's own figures
            left_out = ("stunnel", "Envoy") if direct else ()
            left_out += (FULL,) if name in ("memory", "bulk") else ()
            TABLES[name]([v for v in variants if v.name not in left_out], options, report)
    finally:
        stage.close()
        if options.keep:
            print(f"logs: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    report.print()
    print(f"\n{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, medians of {options.rounds} runs of "
          f"{options.seconds} s, {time.monotonic() - started:.0f} s in all")
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"tables": report.tables, "notes": report.notes, "problems": report.problems,
                       "texts": report.texts}, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
