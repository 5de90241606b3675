# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL instances for the scripts that need one. The server refuses to run as root, so it runs as postgres."""
import os

from compat import Skip

BASE = "/usr/lib/postgresql"


def binary(name):
    for version in sorted(os.listdir(BASE) if os.path.isdir(BASE) else [], reverse=True):
        path = os.path.join(BASE, version, "bin", name)
        if os.path.exists(path):
            return path
    raise Skip("PostgreSQL is not installed")


def instance(c, name="pgdata", port=5432, **settings):
    """A new cluster that trusts everybody, and its server: (Proc, directory)."""
    data = c.directory(name, "postgres")
    c.prepare([binary("initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
              user="postgres")
    with open(os.path.join(data, "pg_hba.conf"), "a") as f:
        f.write("host replication all all trust\n")
    return start(c, data, port, **settings), data


def start(c, data, port=5432, **settings):
    os.chmod(data, 0o700)
    settings = {"fsync": "off", "listen_addresses": "localhost", "unix_socket_directories": data, "log_statement": "none", **settings}
    return c.server([binary("postgres"), "-D", data, "-p", port, *[w for k, v in settings.items() for w in ("-c", f"{k}={v}")]],
                    port, user="postgres", name=os.path.basename(data))
