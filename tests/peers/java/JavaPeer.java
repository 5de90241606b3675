// SPDX-License-Identifier: Apache-2.0

// java-spiffe on grpc-java, and JSSE: a third Workload API client and a third TLS stack. Test peer only.
//
// usage: JavaPeer fetch AGENT                       one JSON line: SPIFFE ID and serial
//        JavaPeer dial AGENT PORT ALLOWED TEXT      TLS client: sends a line, prints the line that comes back
//        JavaPeer serve AGENT PORT ALLOWED          TLS server: echoes lines

import io.spiffe.exception.BundleNotFoundException;
import io.spiffe.spiffeid.SpiffeId;
import io.spiffe.svid.x509svid.X509Svid;
import io.spiffe.svid.x509svid.X509SvidValidator;
import io.spiffe.workloadapi.DefaultX509Source;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

public final class JavaPeer {
  public static void main(String[] args) throws Exception {
    DefaultX509Source source = DefaultX509Source.newSource(DefaultX509Source.X509SourceOptions.builder()
        .spiffeSocketPath(args[1]).initTimeout(Duration.ofSeconds(20)).build());
    if (args[0].equals("fetch")) {
      X509Svid svid = source.getX509Svid();
      System.out.println("{\"id\": \"" + svid.getSpiffeId() + "\", \"serial\": \"" + svid.getLeaf().getSerialNumber()
          + "\"}");
      System.exit(0);
    }
    SSLContext context = context(source, SpiffeId.parse(args[3]));
    if (args[0].equals("dial")) {
      dial(context, Integer.parseInt(args[2]), args[4]);
    } else {
      serve(context, Integer.parseInt(args[2]));
    }
    System.exit(0);
  }

  private static SSLContext context(DefaultX509Source source, SpiffeId allowed) throws Exception {
    X509Svid svid = source.getX509Svid();
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    store.setKeyEntry("svid", svid.getPrivateKey(), new char[0], svid.getChainArray());
    KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    keys.init(store, new char[0]);
    SSLContext context = SSLContext.getInstance("TLSv1.3");
    context.init(keys.getKeyManagers(), new TrustManager[] {new Judge(source, allowed)}, null);
    return context;
  }

  /** java-spiffe's own verification, both directions. */
  private static final class Judge extends X509ExtendedTrustManager {
    private final DefaultX509Source source;
    private final SpiffeId allowed;

    Judge(DefaultX509Source source, SpiffeId allowed) {
      this.source = source;
      this.allowed = allowed;
    }

    private void judge(X509Certificate[] chain) throws CertificateException {
      try {
        X509SvidValidator.verifyChain(List.of(chain), source);
      } catch (BundleNotFoundException e) {
        throw new CertificateException(e);
      }
      X509SvidValidator.verifySpiffeId(chain[0], () -> Set.of(allowed));
    }

    @Override public void checkClientTrusted(X509Certificate[] c, String a, Socket s) throws CertificateException {
      judge(c);
    }

    @Override public void checkServerTrusted(X509Certificate[] c, String a, Socket s) throws CertificateException {
      judge(c);
    }

    @Override public void checkClientTrusted(X509Certificate[] c, String a, SSLEngine e) throws CertificateException {
      judge(c);
    }

    @Override public void checkServerTrusted(X509Certificate[] c, String a, SSLEngine e) throws CertificateException {
      judge(c);
    }

    @Override public void checkClientTrusted(X509Certificate[] c, String a) throws CertificateException {
      judge(c);
    }

    @Override public void checkServerTrusted(X509Certificate[] c, String a) throws CertificateException {
      judge(c);
    }

    @Override public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }

  private static void dial(SSLContext context, int port, String text) throws IOException {
    try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("127.0.0.1", port)) {
      socket.setSoTimeout(30000);
      socket.startHandshake();
      new PrintStream(socket.getOutputStream(), true).println(text);
      String line = new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine();
      System.out.println(socket.getSession().getProtocol() + " " + line);
    }
  }

  private static void serve(SSLContext context, int port) throws IOException {
    SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory()
        .createServerSocket(port, 16, InetAddress.getLoopbackAddress());
    listener.setNeedClientAuth(true);
    System.out.println("serving");
    while (true) {
      try (SSLSocket socket = (SSLSocket) listener.accept()) {
        socket.setSoTimeout(30000);
        BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
        PrintStream out = new PrintStream(socket.getOutputStream(), true);
        for (String line; (line = in.readLine()) != null;) {
          out.println(line);
        }
        System.out.println("served");
      } catch (IOException e) {
        System.out.println("refused: " + e.getMessage());
      }
    }
  }
}
