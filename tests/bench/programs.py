# SPDX-License-Identifier: Apache-2.0
"""What the preload costs programs that make no connection: their start, and a build, which is many starts."""
import json
import os
import resource
import shutil
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def wrapped_of(variants):
    return next((v for v in variants if v.name == "svidwrap"), None)


def startup_table(variants, options, report):
    """Microseconds from posix_spawn() to the end, the library in turn in the environment and not."""
    wrapped = wrapped_of(variants)
    if not wrapped:
        return
    shim, times = wrapped.env()["LD_PRELOAD"], "200" if options.quick else "1000"
    ways = {"hooks alone": {"SVIDWRAP_IO_URING": "allow-unsafe"}, "hooks and filter": {}}
    for program in (["/bin/true"], ["/usr/bin/python3", "-c", "pass"]):
        if not os.path.exists(program[0]):
            continue
        row = {}
        for name, more in ways.items():
            run = subprocess.run([os.path.join(options.bench_build, "startup"), times if len(program) == 1 else "50", shim,
                                  *program], env={**os.environ, **more}, capture_output=True, text=True, timeout=120)
            if run.returncode:
                report.problems.append(f"start of {program[0]}: {run.stderr[-200:]}")
                return
            got = json.loads(run.stdout)
            row.setdefault("plain", [got["plain"]["least"]])
            row[name] = [got["preloaded"]["least"] - got["plain"]["least"]]
        report.add("Start and end of a program, microseconds (least), and what is added to it", " ".join(program), row,
                   ratio=False)
    report.notes.append("goal: LD_PRELOAD adds 300 us at most to the start of /bin/true")


def project(directory):
    """A small C project: svidwrap's own shim, a hundred files and a library, with its own Makefile and flags."""
    source = os.path.join(directory, "project")
    for name in ("shim", "include"):
        shutil.copytree(os.path.join(ROOT, name), os.path.join(source, name))
    shutil.copy(os.path.join(ROOT, "Makefile"), source)
    os.mkdir(os.path.join(source, "tests"))
    return source


# Files a make, which starts ten programs of its own. Two builds that are compared are a second apart: machines change.
GROUP = 22


def groups(source):
    """What make is asked for, a few files at a time and the library at last, below BUILD."""
    files = sorted(os.path.relpath(os.path.join(where, name), source)
                   for where, _, names in os.walk(os.path.join(source, "shim")) for name in names if name.endswith(".c"))
    objects = [f"pic/{file[:-2]}.o" for file in files]
    return [objects[i:i + GROUP] for i in range(0, len(objects), GROUP)] + [["libsvidwrap.so"]]


def build_group(source, out, group, env):
    """(seconds, CPU seconds) of make."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run = subprocess.run(["make", "-s", "-j2", "-C", source, f"BUILD={out}", *[f"{out}/{target}" for target in group]],
                         env=env, capture_output=True, text=True, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        raise RuntimeError(run.stderr[-300:])
    return (time.monotonic() - start,
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def build_round(source, parts, ways, first, took):
    """A build from scratch each way, group by group in turns."""
    for name in ways:
        shutil.rmtree(os.path.join(source, f"out-{name}"), ignore_errors=True)
    for i, group in enumerate(parts):
        for name in sorted(ways, reverse=bool((i + first) % 2)):
            took[name][i].append(build_group(source, f"out-{name}", group, ways[name]))


def build_table(variants, options, report):
    """make of a C project with the preload in the environment against without, in turns."""
    wrapped = wrapped_of(variants)
    if not wrapped:
        return
    source = project(wrapped.stage.path("build"))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "CFLAGS", "LDFLAGS"))}
    preloaded = {k: v for k, v in wrapped.env().items() if k in clean or k not in os.environ}
    ways = {"plain": clean, "svidwrap": preloaded}
    parts = groups(source)
    took = {name: [[] for _ in parts] for name in ways}
    try:
        build_round(source, parts, ways, 0, {name: [[] for _ in parts] for name in ways})  # fills the page cache
        for turn in range(2 if options.quick else options.rounds + 2):
            build_round(source, parts, ways, turn, took)
    except RuntimeError as why:
        report.problems.append(f"build: {why}")
        return
    whole = {name: [sum(statistics.median(run[i] for run in part) for part in groups_took) for i in (0, 1)]
             for name, groups_took in took.items()}
    for i, what in enumerate(("seconds", "CPU seconds")):
        report.add("Building a small C project with make -j2 (ratio to plain)", what,
                   {name: [seconds[i]] for name, seconds in whole.items()})
    more = [100 * (whole["svidwrap"][i] / whole["plain"][i] - 1) for i in (0, 1)]
    report.notes.append(f"build: {more[1]:+.1f} % CPU, {more[0]:+.1f} % time; sums of the medians of {len(parts)} groups of "
                        "files, each built in turns (goal: 2 % at most)")
