# SPDX-License-Identifier: Apache-2.0
"""Does `svidwrap check` say of real programs, before they run, what cannot be wrapped and what will be different; and does
`svidwrap run` refuse exactly those?"""
import json
import os
import shutil
import struct
import subprocess

import jsonschema

from harness import NATIVE, PROGRAMS, PYTHON, ROOT, SHIM, SVIDWRAP, TD, Skip, entry, need, which

PROGRAM = "#include <unistd.h>\nint main(void) { return write(1, \"ran\\n\", 4) != 4; }\n"


def tool(name, package=None):
    if NATIVE:
        raise Skip("about svidwrap itself")
    try:
        return which(name)
    except Skip:
        raise Skip(f"{package or name} is not installed") from None


def go():
    if NATIVE:
        raise Skip("about svidwrap itself")
    for path in ("/usr/local/go/bin/go", "/usr/bin/go"):
        if os.path.exists(path):
            return path
    raise Skip("Go is not installed")


def build(t, compiler, *options, source=PROGRAM, name="program", suffix=".c", env=None):
    """Compiles into the test's directory; the path. What the compiler says is the reason of a failure."""
    text = os.path.join(t.dir, name + suffix)
    out = os.path.join(t.dir, name)
    with open(text, "w") as f:
        f.write(source)
    run = subprocess.run([compiler, "-o", out, text, *options], capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    return out


def check(t, program, *options, before=(), user=None, extra=None):
    """(exit code, document); the text says the same."""
    need(SVIDWRAP, SHIM)
    p = t.spawn([SVIDWRAP, "check", "--json", *options, "--", program, *before], user=user, extra=extra)
    code = p.wait()
    assert code in (0, 1, 65), (code, p.text())
    assert not p.err() or p.err().startswith(b"ERROR: ld.so"), p.text()  # check's own loader complains, too
    doc = json.loads(p.out())
    with open(os.path.join(ROOT, "docs", "check.schema.json")) as f:
        jsonschema.validate(doc, json.load(f))
    assert doc["exit"] == code and {0: "ok", 1: "cost", 65: "cannot"}[code] == doc["verdict"], (code, doc)
    text = t.spawn([SVIDWRAP, "check", *options, "--", program, *before], user=user, extra=extra)
    assert text.wait() == code, text.text()
    assert len(text.out().splitlines()) == len(doc["findings"]) + 1, text.text()
    return code, doc


def finding(doc, name, status=None):
    found = [f for f in doc["findings"] if f["id"] == name and status in (None, f["status"])]
    assert found, (name, status, doc["findings"])
    return found[0]


def refused(t, program, name, says, user=None):
    """check says why, and run refuses with the same words."""
    code, doc = check(t, program, user=user)
    assert code == 65, doc
    f = finding(doc, name, "cannot")
    assert says in f["what"] and (f.get("cure") or f["exit"] != 65), f
    path = os.path.join(t.dir, "refused.yaml")
    if not os.path.exists(path):
        with open(path, "w") as out:
            out.write("workload_api: {socket: 'unix:///nonexistent.sock'}\n"
                      "listen: [{port: 1, allow: ['spiffe://d/a']}]\nlog: {to: stderr}\n")
    p = t.spawn([SVIDWRAP, "run", "--config", path, "--", program], user=user)
    assert p.wait() == f["exit"] and f["what"] in p.text() and b"ran" not in p.out(), p.text()
    return f


# ---- what cannot be wrapped -------------------------------------------------------------------------------------

def test_static_programs(t):
    cc = tool("gcc")
    refused(t, build(t, cc, "-static", name="static"), "static", "it is statically linked")
    f = refused(t, build(t, cc, "-static-pie", name="static-pie"), "static", "its C library included (static-pie)")
    assert "dynamically linked build" in f["cure"], f


def test_busybox(t):
    refused(t, tool("busybox", "busybox-static"), "static", "it is statically linked")


def test_musl_programs(t):
    cc = tool("musl-gcc", "musl-tools")
    f = refused(t, build(t, cc, name="musl"), "musl", "built for the musl C library")
    assert "glibc build" in f["cure"], f
    refused(t, build(t, cc, "-static", name="musl-static"), "static", "it is statically linked")


GO_PLAIN = 'package main\nimport "os"\nfunc main() { os.Stdout.WriteString("ran\\n") }\n'
GO_C = 'package main\n// #include <unistd.h>\nimport "C"\nimport "os"\n' \
       'func main() { C.getpid(); os.Stdout.WriteString("ran\\n") }\n'


def go_build(t, source, name, *options, cgo):
    directory = os.path.join(t.dir, name + ".d")
    os.mkdir(directory)
    with open(os.path.join(directory, "main.go"), "w") as f:
        f.write(source)
    env = {**t.environ, "CGO_ENABLED": "1" if cgo else "0", "GOFLAGS": "-mod=mod", "GO111MODULE": "off",
           "GOCACHE": os.environ.get("GOCACHE", os.path.expanduser("~/.cache/go-build")), "GOTOOLCHAIN": "local"}
    out = os.path.join(t.dir, name)
    run = subprocess.run([go(), "build", *options, "-o", out, "main.go"], cwd=directory, env=env, capture_output=True,
                         text=True)
    assert run.returncode == 0, run.stderr
    return out


def test_go_programs(t):
    f = refused(t, go_build(t, GO_PLAIN, "go-static", cgo=False), "go", "a Go program, statically linked")
    assert "go-spiffe" in f["cure"], f
    refused(t, go_build(t, GO_PLAIN, "go-stripped", "-ldflags", "-s -w", cgo=False), "go", "statically linked")
    refused(t, go_build(t, GO_C, "go-cgo", cgo=True), "go", "a Go program with cgo")
    refused(t, go_build(t, GO_C, "go-cgo-stripped", "-ldflags", "-s -w", cgo=True), "go", "a Go program")


def test_a_library_that_is_written_in_go(t):
    source = 'package main\nimport "C"\n//export Answer\nfunc Answer() int { return 42 }\nfunc main() {}\n'
    library = go_build(t, source, "libanswer.so", "-buildmode=c-shared", cgo=True)
    main = "#include <stdio.h>\nint Answer(void);\nint main(void) { puts(\"ran\"); return Answer() != 42; }\n"
    program = build(t, tool("gcc"), library, f"-Wl,-rpath,{t.dir}", source=main)
    refused(t, program, "go", "it loads a library that is written in Go")


def test_other_machines(t):
    tool("true")
    path = os.path.join(t.dir, "bits32")
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    with open(path, "wb") as f:
        f.write(head + struct.pack("<IIIIIIII", 1, 0, 0x8048000, 0x8048000, 84, 84, 5, 4096))
    os.chmod(path, 0o755)
    refused(t, path, "architecture", "another architecture or word size than svidwrap (32-bit, x86)")
    shutil.copy(os.path.join(PROGRAMS, "tiny"), path)
    with open(path, "r+b") as f:
        f.seek(18)
        f.write(b"\xb7\0" if os.uname().machine == "x86_64" else b"\x3e\0")
    refused(t, path, "architecture", "64-bit, AArch64" if os.uname().machine == "x86_64" else "64-bit, x86-64")


def test_setuid_and_capabilities(t):
    tool("true")
    if os.getuid() != 0:
        raise Skip("needs root: files of other users")
    path = build(t, tool("gcc"), name="helper")
    os.chmod(path, 0o4755)
    assert check(t, path)[0] == 0  # root's, run by root: nothing changes
    refused(t, path, "setuid", "it is setuid to another user", user=65534)
    os.chmod(path, 0o755)
    os.chown(path, 0, 65534)
    os.chmod(path, 0o2755)
    refused(t, path, "setgid", "it is setgid to another group")
    os.chmod(path, 0o755)
    subprocess.run([tool("setcap", "libcap2-bin"), "cap_net_raw+ep", path], check=True)
    assert check(t, path)[0] == 0
    f = refused(t, path, "capabilities", "it has file capabilities", user=65534)
    assert "setcap -r" in f["cure"], f


def test_files_that_cannot_be_executed(t):
    tool("true")
    refused(t, "svidwrap-no-such-program", "missing", "not found in PATH")
    plain = os.path.join(t.dir, "plain")
    with open(plain, "w") as f:
        f.write("words\n")
    refused(t, plain, "not-executable", "x bit")
    os.chmod(plain, 0o755)
    refused(t, plain, "format", "neither an ELF program nor a script")
    refused(t, t.dir, "not-executable", "Is a directory")
    if os.getuid() == 0:
        os.chmod(plain, 0o711)
        refused(t, plain, "unreadable", "cannot be read", user=65534)


def test_a_file_system_that_is_mounted_noexec(t):
    tool("true")
    here = os.path.join(t.dir, "noexec")
    os.mkdir(here)
    mount = ["unshare", "-m", "/bin/sh", "-c",
             f"mount -t tmpfs -o noexec none {here} && cp /bin/true {here} && exec \"$@\"", "sh"]
    if subprocess.run([*mount, "/bin/true"], capture_output=True).returncode:
        raise Skip("needs the right to mount")
    p = t.spawn([*mount, SVIDWRAP, "check", "--", f"{here}/true"])
    assert p.wait() == 65 and "mounted noexec" in p.text(), p.text()


def test_a_program_that_brings_the_calls_itself(t):
    """An executable's own symbols come before those of a preloaded library."""
    source = PROGRAM + "\n".join(f"long {name}(int a) {{ return a; }}" for name in ("connect", "listen", "recv", "send"))
    refused(t, build(t, tool("gcc"), source=source), "own-calls", "brings the calls of the C library itself")
    parser = PROGRAM + "int accept(int token) { return token; }\n"
    code, doc = check(t, build(t, tool("gcc"), source=parser))
    assert code == 0 and "accept() of its own" in finding(doc, "own-calls", "unknown")["what"], doc


def test_a_glibc_that_is_too_old(t):
    """A library that calls itself libc.so.6 and offers less than svidwrap's library needs."""
    cc = tool("gcc")
    script = os.path.join(t.dir, "map")
    with open(script, "w") as f:
        f.write("GLIBC_2.2.5 { global: old; };\nGLIBC_2.17 { global: new; } GLIBC_2.2.5;\n")
    build(t, cc, "-shared", "-fPIC", "-nostdlib", f"-Wl,--version-script={script}", "-Wl,-soname,libc.so.6",
          source="int old(void) { return 1; }\nint new(void) { return 2; }\n", name="libc.so.6")
    program = build(t, cc, f"-Wl,-rpath,{t.dir}")
    code, doc = check(t, program)
    f = finding(doc, "glibc", "cannot")
    assert code == 65 and "2.17" in f["what"] and f["subject"].startswith(t.dir), doc


# ---- what works, at a cost or not -------------------------------------------------------------------------------

def test_ordinary_programs(t):
    tool("true")
    for program in ("/bin/true", PYTHON, "redis-server", "nginx", "java"):
        try:
            which(os.path.basename(program))
        except Skip:
            continue
        code, doc = check(t, program)
        assert code == 0 and finding(doc, "program", "ok") and finding(doc, "glibc", "ok"), doc


def test_scripts(t):
    tool("true")
    script = os.path.join(t.dir, "script")
    for line, interpreter in (("#!/bin/sh -e", "/bin/sh"), ("#!/usr/bin/env -S python3 -u", "/usr/bin/python3")):
        with open(script, "w") as f:
            f.write(line + "\n")
        os.chmod(script, 0o755)
        code, doc = check(t, script)
        assert code == 0 and interpreter in finding(doc, "script", "ok")["what"], doc
        assert finding(doc, "program", "ok")["subject"] == interpreter, doc
        shells = [f for f in doc["findings"] if f["id"] == "children"]
        assert bool(shells) == ("sh" in interpreter), doc
    with open(script, "w") as f:
        f.write(f"#!{os.path.join(PROGRAMS, 'static')}\n")
    refused(t, script, "static", "it is statically linked")


def test_liburing(t):
    cc = tool("gcc")
    source = "#include <liburing.h>\nint main(void) { struct io_uring r; return io_uring_queue_init(1, &r, 0) < 0; }\n"
    dynamic = build(t, cc, "-luring", source=source, name="dynamic")
    static = build(t, cc, "-Wl,-Bstatic", "-luring", "-Wl,-Bdynamic", source=source, name="inside")
    stripped = shutil.copy(static, os.path.join(t.dir, "stripped"))
    subprocess.run([which("strip"), stripped], check=True)
    for program in (dynamic, static, stripped):
        code, doc = check(t, program)
        assert code == 1 and "out of reach" in finding(doc, "io_uring", "cost")["what"], (program, doc)
    path = t.config(listen=[{"port": 1, "allow": [f"{TD}/**"]}], io_uring="allow-unsafe",
                    workload_api={"socket": "unix:///nonexistent.sock"})
    code, doc = check(t, static, "--config", path)
    assert code == 1 and any("PLAINTEXT" in f.get("why", "") for f in doc["findings"]), doc


def test_node(t):
    code, doc = check(t, tool("node"))
    assert code in (0, 1) and finding(doc, "plugins", "unknown"), doc


def test_libraries_that_matter(t):
    cc = tool("gcc")
    for header, package in (("libaio.h", "libaio-dev"), ("seccomp.h", "libseccomp-dev")):
        if not os.path.exists("/usr/include/" + header):
            raise Skip(f"{package} is not installed")
    aio = "#include <libaio.h>\nint main(void) { io_context_t c = 0; return io_submit(c, 0, 0); }\n"
    code, doc = check(t, build(t, cc, "-laio", source=aio, name="aio"))
    assert code == 0 and "relay" in finding(doc, "aio", "unknown")["why"], doc
    seccomp = "#include <seccomp.h>\nint main(void) { return seccomp_load(seccomp_init(SCMP_ACT_ALLOW)); }\n"
    code, doc = check(t, build(t, cc, "-lseccomp", source=seccomp, name="sandboxed"))
    assert code == 1 and "memfd_create" in finding(doc, "seccomp", "cost")["why"], doc


def test_libraries_are_found_as_the_loader_finds_them(t):
    cc = tool("gcc")
    for name in ("one", "two"):
        os.mkdir(os.path.join(t.dir, name))
    library = "int answer(void) { return 42; }\nint io_uring_setup(void) { return 0; }\n"
    inner = build(t, cc, "-shared", "-fPIC", source=library, name="one/libinner.so")
    outer = build(t, cc, "-shared", "-fPIC", inner, "-Wl,-rpath,$ORIGIN/../one", "-Wl,--enable-new-dtags",
                  source="int answer(void);\nint more(void) { return answer(); }\n", name="two/libouter.so")
    program = build(t, cc, outer, f"-Wl,-rpath-link,{t.dir}/one", source="int more(void);\nint main(void) { return more(); }\n")

    def linked():
        code, doc = check(t, program, extra={"LD_LIBRARY_PATH": os.path.join(t.dir, "two")})
        f = finding(doc, "io_uring", "cost")
        assert code == 1 and os.path.realpath(f["subject"]) == inner, doc
    subprocess.run([cc, "-o", program, program + ".c", "-L" + os.path.join(t.dir, "two"), "-louter",
                    f"-Wl,-rpath-link,{t.dir}/one"], check=True)
    linked()
    code, doc = check(t, program)
    f = finding(doc, "library", "unknown")
    assert code == 0 and "libouter.so" in f["what"] and f["cure"], doc


def test_the_environment(t):
    cc = tool("gcc")
    library = build(t, cc, "-shared", "-fPIC", source="int x;\n", name="libother.so")
    clash = build(t, cc, "-shared", "-fPIC", source="int connect(int a) { return a; }\n", name="libclash.so")
    code, doc = check(t, "/bin/true", extra={"LD_PRELOAD": f"{library}:{SHIM}"})
    assert code == 0 and finding(doc, "preload", "ok")["subject"] == library, doc
    code, doc = check(t, "/bin/true", extra={"LD_PRELOAD": f"{library} {clash}"})
    assert code == 1 and "(connect)" in finding(doc, "preload", "cost")["what"], doc
    code, doc = check(t, "/bin/true", extra={"LD_PRELOAD": "/nonexistent/lib.so"})
    assert code == 0 and finding(doc, "preload", "unknown"), doc
    code, doc = check(t, "/bin/true", extra={"LD_AUDIT": library})
    assert code == 1 and finding(doc, "audit", "cost")["subject"] == library, doc


# ---- with a configuration ---------------------------------------------------------------------------------------

def test_a_configuration_and_what_it_needs(t):
    tool("true")
    port = t.port()
    path = t.config(listen=[{"port": port, "allow": [f"{TD}/**"]}, {"port": port + 1, "mode": "off"}],
                    workload_api={"socket": f"unix://{t.dir}/agent/agent.sock"})
    code, doc = check(t, "/bin/true", "--config", path)
    assert code == 1 and "cannot be reached" in finding(doc, "agent", "cost")["what"], doc
    rules = [f["what"] for f in doc["findings"] if f["id"] == "rule"]
    assert len(rules) == 2 and "mode: enforce" in rules[0] and "plaintext (mode: off)" in rules[1], rules
    assert "will start one" in finding(doc, "daemon", "ok")["what"], doc
    t.agent([entry(f"{TD}/app")])
    code, doc = check(t, "/bin/true", "--config", path)
    assert code == 0 and finding(doc, "agent", "ok"), doc
    with open(path, "a") as f:
        f.write("nonsense: 1\n")
    code, doc = check(t, "/bin/true", "--config", path)
    f = finding(doc, "config", "cannot")
    assert code == 65 and f["exit"] == 78 and f"{path}:" in f["what"] and "nonsense" in f["what"], doc
    assert finding(doc, "program", "ok"), doc  # it goes on looking
    off = t.config(listen=[{"port": port, "mode": "off"}])
    code, doc = check(t, "/bin/true", "--config", off)
    assert code == 1 and "nothing will be protected" in finding(doc, "config", "cost")["why"], doc
    gone = t.config(listen=[{"port": port, "allow": [f"{TD}/**"]}], audit={"to": os.path.join(t.dir, "none", "a")})
    assert "none/a cannot be written" in finding(check(t, "/bin/true", "-c", gone)[1], "config", "cannot")["what"]


def test_ports_below_1024(t):
    tool("true")
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as f:
        if int(f.read()) < 444:
            raise Skip("every user may bind ports below 1024 here")
    if os.getuid() != 0:
        raise Skip("needs root: a process with other rights")
    path = t.config(listen=[{"port": 443, "allow": [f"{TD}/**"]}], log={"to": "stderr"}, audit={"to": "stderr"},
                    workload_api={"socket": "unix:///nonexistent.sock"})
    code, doc = check(t, "/bin/true", "--config", path, user=65534)
    assert code == 1 and "port 443" in finding(doc, "port", "cost")["what"], doc
    assert not [f for f in check(t, "/bin/true", "--config", path)[1]["findings"] if f["id"] == "port"]


def test_run_tells_of_a_cost_and_goes_on(t):
    cc = tool("gcc")
    source = PROGRAM.replace("int main", "int io_uring_queue_init(void);\nint io_uring_queue_init(void) { return 1; }\nint main")
    program = build(t, cc, source=source)
    t.agent([entry(f"{TD}/app")])
    p = t.spawn(t.wrap(t.both(t.port()), [program]))
    assert p.wait() == 0 and p.out() == b"ran\n", p.text()
    assert p.err().decode().startswith(f"svidwrap: note: {program}: it uses io_uring"), p.text()


def test_a_full_disk_is_an_error(t):
    tool("true")
    with open("/dev/full", "wb") as full:
        run = subprocess.run([SVIDWRAP, "check", "--", "/bin/true"], stdout=full, stderr=subprocess.PIPE, env=t.environ)
    assert run.returncode == 74 and b"cannot write" in run.stderr, run
