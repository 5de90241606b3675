# SPDX-License-Identifier: Apache-2.0
# packages: git
TITLE = "git daemon"
WHAT = "clone, shallow clone, fetch, push, ls-remote, archive, refused repositories; upload-pack runs on the socket as its stdio"
import os  # noqa: E402


def run(c):
    c.replace(r"\d+\.\d+ [KM]iB( \| [\d.]+ [KM]iB/s)?", "SIZE")
    c.environ.update(GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.org", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.org",
                     GIT_AUTHOR_DATE="2001-01-01T00:00:00Z", GIT_COMMITTER_DATE="2001-01-01T00:00:00Z", GIT_CONFIG_NOSYSTEM="1")
    source, bare = c.directory("source"), f"{c.dir}/srv/project.git"
    os.makedirs(f"{c.dir}/srv")

    def prepare(*words, cwd=source):
        c.prepare(["git", "-c", "init.defaultBranch=main", "-c", "core.compression=0", *words], cwd=cwd)

    prepare("init", "-q")
    for i in range(40):
        c.write(f"source/dir{i % 5}/file{i}", f"{c.text} {i}\n" * (i * 20 + 1))
        prepare("add", ".")
        prepare("commit", "-q", "-m", f"{c.text} {i}")
    prepare("tag", "-a", "-m", "a tag", "v1")
    prepare("clone", "-q", "--bare", source, bare, cwd=c.dir)
    prepare("clone", "-q", "--bare", source, f"{c.dir}/srv/secret.git", cwd=c.dir)
    prepare("config", "core.compression", "0", cwd=bare)
    c.write("srv/project.git/git-daemon-export-ok", "")
    server = c.server(["git", "daemon", f"--base-path={c.dir}/srv", "--reuseaddr", "--enable=receive-pack", "--enable=upload-archive",
                       "--informative-errors", "--log-destination=none", f"{c.dir}/srv"], 9418)
    url = "git://127.0.0.1/project.git"

    def git(*words, cwd=None, **more):
        return c.client(["git", *words], cwd=cwd or c.dir, err=True, **more)

    git("ls-remote", url)
    git("clone", "-q", url, "copy")
    git("log", "--format=%H", "-n", "3", cwd=f"{c.dir}/copy")
    c.prepare(["diff", "-r", "--exclude=.git", source, f"{c.dir}/copy"])
    git("clone", "-q", "--depth=3", url, "shallow")
    git("fetch", "-q", "--unshallow", cwd=f"{c.dir}/shallow")
    git("-c", "protocol.version=0", "clone", "-q", "--mirror", url, "old")
    c.say(c.client(["git", "archive", f"--remote={url}", "HEAD", "dir1/file1"], show=False).count(c.text))
    for i in range(3):
        c.write(f"copy/new{i}", os.urandom(700000) + c.marker)
        prepare("add", ".", cwd=f"{c.dir}/copy")
        prepare("commit", "-q", "-m", f"new {i}", cwd=f"{c.dir}/copy")
        git("push", "-q", url, "HEAD:main", cwd=f"{c.dir}/copy")
    git("fetch", "-q", "origin", cwd=f"{c.dir}/shallow")
    git("merge", "-q", "--ff-only", "FETCH_HEAD", cwd=f"{c.dir}/shallow")
    c.prepare(["diff", "-r", "--exclude=.git", f"{c.dir}/copy", f"{c.dir}/shallow"])
    several = [c.start(["git", "clone", "-q", url, f"{c.dir}/at-once{i}"]) for i in range(4)]
    c.say([p.wait(60) for p in several])
    git("clone", "-q", "git://127.0.0.1/secret.git")
    git("clone", "-q", "git://127.0.0.1/nosuch.git")
    c.stop(server)
