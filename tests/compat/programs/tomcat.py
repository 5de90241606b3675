# SPDX-License-Identifier: Apache-2.0
# packages: tomcat10 default-jdk-headless curl
TITLE = "Tomcat"
WHAT = "connectors NIO and NIO2: JSP, uploads, a file by sendfile, chunks, keep-alive, a session, HTTP/2 without TLS, shutdown by its port"
TIMEOUT = 240
import os  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402

from compat import digest, sleep_until  # noqa: E402

JSP = """<%@ page import="java.util.*" %><%
  byte[] body = request.getInputStream().readAllBytes();
  Integer n = (Integer) session.getAttribute("n");
  session.setAttribute("n", n == null ? 1 : n + 1);
  out.print("TEXT " + request.getMethod() + " " + body.length + " " + Arrays.hashCode(body) + " " + session.getAttribute("n") + " " + request.getRemoteAddr());
  if (request.getParameter("many") != null) for (int i = 0; i < 3000; i++) { out.print("TEXT " + i); if (i % 500 == 0) out.flush(); }
%>"""


def run(c):
    home = "/usr/share/tomcat10"
    for d in ("conf", "logs", "temp", "work", "webapps/ROOT"):
        c.directory(f"base/{d}")
    for f in os.listdir("/etc/tomcat10"):
        if os.path.isfile(f"/etc/tomcat10/{f}"):
            shutil.copy(f"/etc/tomcat10/{f}", f"{c.dir}/base/conf/{f}")
    c.write("base/conf/server.xml", """<Server port="8005" shutdown="SHUTDOWN"><Service name="Catalina">
      <Connector port="8080" address="127.0.0.1" protocol="org.apache.coyote.http11.Http11NioProtocol" connectionTimeout="20000">
        <UpgradeProtocol className="org.apache.coyote.http2.Http2Protocol"/></Connector>
      <Connector port="8081" address="127.0.0.1" protocol="org.apache.coyote.http11.Http11Nio2Protocol" connectionTimeout="20000"/>
      <Engine name="Catalina" defaultHost="localhost"><Host name="localhost" appBase="webapps"/></Engine></Service></Server>""")
    c.write("base/webapps/ROOT/index.jsp", JSP.replace("TEXT", c.text))
    c.write("base/webapps/ROOT/blob", random.Random(15).randbytes(3 << 20) + c.marker * 50)
    post = c.write("post", f"{c.text}\n" * 20000)
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dtomcat.util.scan.StandardJarScanFilter.jarsToSkip=*.jar",
            "-Djava.security.egd=file:/dev/urandom", f"-Dcatalina.home={home}", f"-Dcatalina.base={c.dir}/base", f"-Djava.io.tmpdir={c.dir}/base/temp", "-cp", f"{home}/bin/bootstrap.jar:{home}/bin/tomcat-juli.jar", "org.apache.catalina.startup.Bootstrap"]
    server = c.server([*java, "start"], 8080, 8081, 8005, name="tomcat", timeout=60)
    sleep_until(lambda: c.spawn(c.program(["curl", "-sSf", "http://127.0.0.1:8080/"])).wait(30) == 0, "the application")

    def curl(*words):
        c.say(words[-1], digest(c.client(["curl", "-sS", *words], show=False)))

    for port in (8080, 8081):
        base = f"http://127.0.0.1:{port}"
        curl(f"{base}/")
        curl(f"{base}/?many=1")
        curl(f"{base}/blob")
        curl("-r", "1000000-1000999", f"{base}/blob")
        curl("-H", "Accept-Encoding: gzip", f"{base}/?many=1")
        curl("--data-binary", f"@{post}", f"{base}/")
        curl("-T", post, "-H", "Transfer-Encoding: chunked", f"{base}/index.jsp")
        c.client(["curl", "-sS", "-c", f"{c.dir}/jar{port}", "-b", f"{c.dir}/jar{port}", f"{base}/", f"{base}/", f"{base}/"])
        c.client(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}\n", f"{base}/nosuch"])
        several = [c.start(["curl", "-sS", *[f"{base}/blob", f"{base}/?many=1"] * 3]) for _ in range(5)]
        c.say("at once:", {(p.wait(40), digest(p.out())) for p in several})
    curl("--http2-prior-knowledge", "http://127.0.0.1:8080/blob")
    # Not the large upload: natively, too, this Tomcat loses or mixes up 1 in 60 of those on a busy machine.
    curl("--http2-prior-knowledge", "--data-binary", c.text, "http://127.0.0.1:8080/")
    c.client(["bash", "-c", "echo SHUTDOWN >/dev/tcp/127.0.0.1/8005"])
    c.say("ended:", server.wait(30))
