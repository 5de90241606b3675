# SPDX-License-Identifier: Apache-2.0
"""A SPIRE server and agent of the user's, started on loopback with temporary data, for the tests beside this file.

The binaries come from SPIRE_BIN; nothing of SPIRE is part of this project.
"""
import json
import os
import socket
import subprocess
import time

DOMAIN = "example.org"
SYNC = 20  # seconds within which the agent must have noticed a change at the server


class Broken(Exception):
    pass


class Spire:
    """domain: its trust domain. ca_ttl: life of its CA, which the server renews by itself long before the end."""

    def __init__(self, binaries, directory, domain=DOMAIN, ca_ttl="24h"):
        self.domain, self.ca_ttl, self.binaries = domain, ca_ttl, binaries
        self.parent = f"spiffe://{domain}/host"
        self.server_bin = os.path.join(binaries, "spire-server")
        self.agent_bin = os.path.join(binaries, "spire-agent")
        for file in (self.server_bin, self.agent_bin):
            if not os.access(file, os.X_OK):
                raise Broken(f"{file} is not there")
        self.dir = directory
        self.admin = os.path.join(directory, "server.sock")
        self.socket = os.path.join(directory, "agent", "public", "agent.sock")
        self.address = "unix://" + self.socket
        self.server = self.agent = None
        for name in ("server", "agent"):
            os.mkdir(os.path.join(directory, name))
        os.makedirs(os.path.dirname(self.socket), exist_ok=True)
        for d in (directory, os.path.join(directory, "agent"), os.path.dirname(self.socket)):
            os.chmod(d, 0o755)  # workloads of other users dial the agent
        self.port = free_port()
        self.configure()

    def configure(self):
        with open(os.path.join(self.dir, "server.conf"), "w") as f:
            f.write(f'''server {{
  bind_address = "127.0.0.1"
  bind_port = "{self.port}"
  trust_domain = "{self.domain}"
  data_dir = "{self.dir}/server"
  socket_path = "{self.admin}"
  log_level = "INFO"
  ca_ttl = "{self.ca_ttl}"
  default_x509_svid_ttl = "1h"
}}
plugins {{
  DataStore "sql" {{ plugin_data {{ database_type = "sqlite3", connection_string = "{self.dir}/server/data.sqlite3" }} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  KeyManager "disk" {{ plugin_data {{ keys_path = "{self.dir}/server/keys.json" }} }}
}}
''')
        with open(os.path.join(self.dir, "agent.conf"), "w") as f:
            f.write(f'''agent {{
  data_dir = "{self.dir}/agent"
  log_level = "INFO"
  server_address = "127.0.0.1"
  server_port = "{self.port}"
  socket_path = "{self.socket}"
  trust_bundle_path = "{self.dir}/bootstrap.pem"
  trust_domain = "{self.domain}"
  experimental {{ sync_interval = "1s" }}
}}
plugins {{
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  KeyManager "disk" {{ plugin_data {{ directory = "{self.dir}/agent" }} }}
  WorkloadAttestor "unix" {{ plugin_data {{ discover_workload_path = true }} }}
}}
''')

    def launch(self, name, argv):
        with open(os.path.join(self.dir, f"{name}.log"), "ab") as log:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def ask(self, *words):
        """One spire-server command, answered in JSON."""
        run = subprocess.run([self.server_bin, *words, "-socketPath", self.admin, "-output", "json"],
                             capture_output=True, text=True, timeout=20)
        if run.returncode:
            raise Broken(f"spire-server {' '.join(words[:2])}: {(run.stderr or run.stdout).strip()[-400:]}")
        return json.loads(run.stdout) if run.stdout.startswith("{") else run.stdout

    def start_server(self):
        self.server = self.launch("server", [self.server_bin, "run", "-config", f"{self.dir}/server.conf"])
        self.wait("server", self.server, lambda: self.ask("entry", "show"))

    def start(self):
        self.start_server()
        run = subprocess.run([self.server_bin, "bundle", "show", "-socketPath", self.admin], capture_output=True,
                             check=True, timeout=20)
        with open(os.path.join(self.dir, "bootstrap.pem"), "wb") as f:
            f.write(run.stdout)
        token = self.ask("token", "generate", "-spiffeID", self.parent)["value"]
        self.start_agent("-joinToken", token)

    def start_agent(self, *more):
        self.agent = self.launch("agent", [self.agent_bin, "run", "-config", f"{self.dir}/agent.conf", *more])

        def there():
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.socket)
        self.wait("agent", self.agent, there)

    def wait(self, name, process, check, seconds=40):
        end = time.monotonic() + seconds
        while True:
            try:
                return check()
            except (Broken, OSError, ValueError, subprocess.SubprocessError) as why:
                if process.poll() is not None or time.monotonic() > end:
                    raise Broken(f"spire {name} does not come up: {why}\n{self.log(name)}") from None
            time.sleep(0.1)

    def log(self, name):
        with open(os.path.join(self.dir, f"{name}.log"), errors="replace") as f:
            return f.read()[-2000:]

    def stop_agent(self):
        stop(self.agent)

    def stop_server(self):
        stop(self.server)

    def stop(self):
        for process in (self.agent, self.server):
            if process is not None:
                stop(process)

    def entry(self, path, *selectors, ttl=None, hint=None, federates=()):
        """Registers spiffe://DOMAIN/PATH; returns the entry's id."""
        words = ["entry", "create", "-parentID", self.parent, "-spiffeID", f"spiffe://{self.domain}/{path}"]
        for selector in selectors:
            words += ["-selector", selector]
        for domain in federates:
            words += ["-federatesWith", f"spiffe://{domain}"]
        if ttl:
            words += ["-x509SVIDTTL", str(ttl)]
        if hint:
            words += ["-hint", hint]
        result = self.ask(*words)["results"][0]
        if result["status"]["code"] != 0:
            raise Broken(f"entry {path}: {result['status']}")
        return result["entry"]["id"]

    def delete(self, entry):
        self.ask("entry", "delete", "-entryID", entry)

    def bundle(self):
        """The trust bundle, in the format that federation speaks."""
        return subprocess.run([self.server_bin, "bundle", "show", "-format", "spiffe", "-socketPath", self.admin],
                              capture_output=True, check=True, timeout=20).stdout

    def federate(self, other):
        """Takes the other's bundle over, as it is now."""
        subprocess.run([self.server_bin, "bundle", "set", "-format", "spiffe", "-id", f"spiffe://{other.domain}",
                        "-socketPath", self.admin], input=other.bundle(), capture_output=True, check=True, timeout=20)

    def authority(self, verb, which=None):
        """`localauthority x509 VERB`, of the authority that the server calls active, prepared or old."""
        words = ["localauthority", "x509", verb]
        if which:
            words += ["-authorityID", self.ask("localauthority", "x509", "show")[which]["authority_id"]]
        return self.ask(*words)


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
