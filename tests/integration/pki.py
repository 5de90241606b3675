# SPDX-License-Identifier: Apache-2.0
"""A CA outside of svidwrap: signs well-made SVIDs and every kind of bad one, with the openssl command."""
import os
import ssl
import subprocess

from harness import which

CA_TEMPLATE = """[ca]
default_ca = c
[c]
dir = {dir}
database = {dir}/index.txt
new_certs_dir = {dir}
serial = {dir}/serial
certificate = {dir}/ca.pem
private_key = {dir}/ca.key
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = optional
"""


class CA:
    def __init__(self, t, domain="example.org"):
        self.openssl = which("openssl")
        self.domain = domain
        self.dir = os.path.join(t.dir, "ca-" + domain)
        os.mkdir(self.dir)
        self.cert, self.key = self.path("ca.pem"), self.path("ca.key")
        with open(self.path("ca.cnf"), "w") as f:
            f.write(CA_TEMPLATE.format(dir=self.dir))
        open(self.path("index.txt"), "w").close()
        with open(self.path("serial"), "w") as f:
            f.write("1000\n")
        self.new_key(self.key)
        self.call("req", "-x509", "-key", self.key, "-out", self.cert, "-subj", f"/CN=CA of {domain}", "-days", "2",
                  "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                  "-addext", f"subjectAltName=URI:spiffe://{domain}")

    def path(self, name):
        return os.path.join(self.dir, name)

    def call(self, *args):
        run = subprocess.run([self.openssl, *args], capture_output=True, text=True, timeout=20)
        assert run.returncode == 0, (args, run.stderr)

    def new_key(self, path):
        self.call("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)

    def leaf(self, name, *uris, ca=False, key_usage="digitalSignature", eku="serverAuth,clientAuth", start=None, end=None):
        """Returns (certificate, key). start and end as YYYYMMDDHHMMSSZ."""
        cert, key, csr, ext = (self.path(f"leaf-{name}.{e}") for e in ("pem", "key", "csr", "ext"))
        self.new_key(key)
        self.call("req", "-new", "-key", key, "-out", csr, "-subj", f"/CN={name}")
        with open(ext, "w") as f:
            f.write(f"basicConstraints=critical,CA:{'TRUE' if ca else 'FALSE'}\n")
            if key_usage:
                f.write(f"keyUsage=critical,{key_usage}\n")
            if eku:
                f.write(f"extendedKeyUsage={eku}\n")
            if uris:
                f.write("subjectAltName=" + ",".join("URI:" + u for u in uris) + "\n")
        dates = ["-startdate", start or "20200101000000Z", "-enddate", end or "20990101000000Z"]
        self.call("ca", "-batch", "-notext", "-config", self.path("ca.cnf"), "-in", csr, "-out", cert, "-extfile", ext, *dates)
        return cert, key

    def self_signed(self, name, uri):
        cert, key = self.path(name + ".pem"), self.path(name + ".key")
        self.new_key(key)
        self.call("req", "-x509", "-key", key, "-out", cert, "-subj", f"/CN={name}", "-days", "2",
                  "-addext", "keyUsage=critical,digitalSignature", "-addext", f"subjectAltName=URI:{uri}",
                  "-addext", "basicConstraints=critical,CA:FALSE")
        return cert, key


def client_context(pair=None, version=None):
    """Trusts anybody: it is the other side that is tested."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if version is not None:
        c.minimum_version = c.maximum_version = version
    if pair:
        c.load_cert_chain(*pair)
    return c


def server_context(pair, client_ca=None, version=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*pair)
    if version is not None:
        c.minimum_version = c.maximum_version = version
    if client_ca:
        c.load_verify_locations(client_ca)
        c.verify_mode = ssl.CERT_REQUIRED
    return c
