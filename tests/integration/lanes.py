# SPDX-License-Identifier: Apache-2.0
"""A wrapped program under a sanitizer's runtime or valgrind: how it is started, and what was found.

The shim of such a lane is built with the sanitizer, the program is not: the runtime is preloaded before the shim, so that
it sees the program's memory, too. Reports go to files, which a program cannot close or redirect."""
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
OPTIONS = {
    # No stack for signals: what is left of a cancelled thread's frames in the shadow of its stack is found by its removal.
    "asan": {"ASAN_OPTIONS": "detect_leaks=0:log_path={}:abort_on_error=0:handle_segv=0:allow_user_segv_handler=1"
             ":use_sigaltstack=0",
             "UBSAN_OPTIONS": "print_stacktrace=1:log_path={}"},
    "tsan": {"TSAN_OPTIONS": "log_path={}:exitcode=0:suppressions=" + os.path.join(os.path.dirname(HERE), "tsan.supp")
             + ":report_signal_unsafe=0:die_after_fork=0:report_thread_leaks=0:ignore_noninstrumented_modules=1"},
}


def runtime(shim, lane):
    """The sanitizer's library, as the shim names it."""
    out = subprocess.run(["ldd", shim], capture_output=True, text=True).stdout
    found = re.search(rf"(\S*lib{lane}\.so\S*) \(", out)
    if not found:
        raise AssertionError(f"{shim} is not built with SAN={lane}")
    return found.group(1)


def options(lane, directory):
    return [f"{k}={v.format(os.path.join(directory, 'report'))}" for k, v in OPTIONS.get(lane, {}).items()]


def valgrind(directory):
    return ["/usr/bin/valgrind", "--quiet", "--trace-children=no", "--run-libc-freeres=no", "--child-silent-after-fork=no",
            f"--log-file={os.path.join(directory, 'report')}.%p", "--error-limit=no", "--num-callers=25", "--fullpath-after=",
            f"--suppressions={os.path.join(os.path.dirname(HERE), 'valgrind.supp')}"]


def native(lane, env, argv):
    """What a wrapped program is compared with: valgrind has descriptors of its own, and does not know every call."""
    return [*valgrind(env.dir), *argv] if lane == "valgrind" else argv


def wrapped(lane, env, config, argv, svidwrap, shim):
    """An env(1) command: a bare preload of the runtime and the shim."""
    start = ["/usr/bin/env", f"SVIDWRAP_CONFIG={config}", f"SPIFFE_ENDPOINT_SOCKET={env.default_agent.address}",
             f"SVIDWRAP_BIN={svidwrap}", "SVIDWRAP_WAIT_MS=20000"]
    if lane == "valgrind":
        return [*start, f"LD_PRELOAD={shim}", *valgrind(env.dir), *argv]
    return [*start, *options(lane, env.dir), f"LD_PRELOAD={runtime(shim, lane)}:{shim}", *argv]


def of_the_shim(text):
    """valgrind's reports that have the shim's code in them: what a scenario's own code does is its affair."""
    reports = re.split(r"^==\d+== \n", text, flags=re.M)
    return "\n".join(r for r in reports if re.search(r"\(\S*\bshim/", r))


def findings(directory):
    """What the reports say: [] or one text each."""
    found = []
    for file in sorted(os.listdir(directory)):
        if file.startswith("report."):
            with open(os.path.join(directory, file), errors="replace") as f:
                text = f.read()
            text = of_the_shim(text) if re.match(r"(==|--)\d+(==|--)", text) else text.strip()
            if text:
                found.append(f"{file}:\n{text[:6000]}")
    return found


# Scenarios that cannot be told from others' noise in a lane, and why.
WILD = "the runtime itself looks at the bad addresses, and dies of them without svidwrap, too"
UNFIT = {
    "asan": {
        r"badinput\.bad_(accept|options|waits)": WILD,
        r"_clean_env|exec_client_execle|exec_listener_vfork|spawn_client|listen_fds$":
            "the image's environment has svidwrap's library alone, and the sanitizer's has to come before it",
    },
    "valgrind": {
        r"badinput\.|bad_memory|bad_arguments|short_addresses|set_and_get|siocoutq|wrong_calls_on_": "hands over bad addresses on purpose",
        r"by_io_submit": "valgrind itself looks at the bad addresses, and dies of them without svidwrap, too",
        r"by_pidfd_getfd": "valgrind keeps pidfds to itself",
        r"epoll_pwait2_masks|clone_on_shared_|clone_before_sockets|clone_shares": "valgrind knows neither epoll_pwait2() nor such a clone()",
        r"no_file_left_in_the_system": "valgrind installs no seccomp filter of the program's",
        r"in_threads": "hangs under valgrind natively, too",
        r"_descriptor_left$|connects_up_to_the_limit|without_memory|no_memory_left":
            "valgrind has descriptors and address space of its own, and fails without svidwrap, too",
        r"(eintr|restart)_write": "the signal may come before the write has begun, and hangs it without svidwrap, too",
        r"signal_in_mid_write": "asks what happens in a time that is another one here",
        r"handlers_among_calls": "its signals come faster than valgrind gets through the handler",
    },
    "tsan": {
        r"badinput\.bad_(accept|options|waits)": WILD,
        r"threads\.cancel_": "the runtime takes a thread that was cancelled within one of its calls for broken, without svidwrap, too",
        r"restart_read|handler_closes_its_own": "the sanitizer holds signals back until a call of its own ends",
        r"no_file_left_in_the_system": "the sanitizer opens files in between",
        r"clone_before_sockets|unshared_": "the sanitizer's own thread is there all the time",
        r"several_at_once": "the sanitizer does not survive threads that the C library makes inside",
    },
}


def unfit(lane, name):
    """Why this scenario is not run in this lane, or None."""
    return next((why for pattern, why in UNFIT.get(lane, {}).items() if re.search(pattern, name)), None)
