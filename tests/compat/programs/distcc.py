# SPDX-License-Identifier: Apache-2.0
# packages: distcc gcc make
TITLE = "distcc"
WHAT = "a parallel make of a small C project by two compile servers, compression, an error in a source, no server"
import os  # noqa: E402


def run(c):
    c.replace(r"distcc(d)?\[\d+\]", "distcc[PID]")
    source = c.directory("source")
    for i in range(16):
        c.write(f"source/f{i}.c", f'#include <stdio.h>\nconst char *f{i}(void) {{ return "{c.text} {i}"; }}\n'
                + "\n".join(f"static int g{k}(int x) {{ return x * {k} + {i}; }} int h{i}_{k}(int x) {{ return g{k}(x); }}" for k in range(60)))
    calls = "\n".join(f"  puts(f{i}());" for i in range(16))
    c.write("source/main.c", "#include <stdio.h>\n" + "".join(f"const char *f{i}(void);\n" for i in range(16)) + f"int main(void) {{\n{calls}\n  return 0;\n}}\n")
    c.write("source/bad.c", "int broken(void) { return nothing; }\n")
    c.write("source/Makefile", "objects = $(patsubst %.c,%.o,$(filter-out bad.c,$(wildcard *.c)))\nall: $(objects)\n\tgcc -o all $(objects)\n")
    os.chmod(c.directory("tmp"), 0o1777)
    c.environ.update(TMPDIR=f"{c.dir}/tmp", DISTCC_DIR=c.directory("state"), DISTCC_FALLBACK="0", DISTCC_SAVE_TEMPS="0", CCACHE_DISABLE="1")
    servers = [c.server(["distccd", "--no-detach", "--daemon", "--listen", "127.0.0.1", "-p", port, "--allow", "127.0.0.1", "--user", "nobody", "--jobs", 4,
                         "--log-stderr", "--log-level", "error", "--enable-tcp-insecure"], port) for port in (3632, 3633)]
    for hosts in ("127.0.0.1:3632,lzo 127.0.0.1:3633", "127.0.0.1:3633"):
        c.environ["DISTCC_HOSTS"] = hosts
        c.client(["make", "-s", "-j4", "-C", source, "CC=distcc gcc", "CFLAGS=-O1"], err=True, timeout=60)
        c.say(c.prepare([f"{source}/all"]).decode().splitlines()[-1])
        for f in os.listdir(source):
            if f.endswith(".o") or f == "all":
                os.unlink(os.path.join(source, f))
    c.client(["distcc", "gcc", "-c", "-o", f"{source}/bad.o", f"{source}/bad.c"], err=True)
    c.environ["DISTCC_HOSTS"] = "127.0.0.1:3999"
    c.client(["distcc", "gcc", "-c", "-o", f"{source}/f1.o", f"{source}/f1.c"], err=True)
    for s in servers:
        s.kill()
        s.wait(20)
