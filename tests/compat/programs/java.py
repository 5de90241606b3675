# SPDX-License-Identifier: Apache-2.0
# packages: default-jdk-headless curl
TITLE = "Java"
WHAT = ("HttpServer, HttpClient (HTTP/1.1 and HTTP/2's upgrade), a selector, blocking sockets with object streams, asynchronous channels, "
        "transferTo, connect timeouts, RMI")
TIMEOUT = 240

SERVER = r'''
import com.sun.net.httpserver.HttpServer;
import java.io.*; import java.net.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.rmi.*; import java.rmi.registry.*;
import java.rmi.server.*; import java.util.*; import java.util.concurrent.*;
public class Server {
  static String text; static Path blob;
  static InetSocketAddress at(int port) { return new InetSocketAddress("127.0.0.1", port); }
  public interface Adder extends Remote { String add(String a, int b) throws RemoteException; }
  static class Adding implements Adder { public String add(String a, int b) { return a + b + text; } }
  static void http() throws Exception {
    HttpServer s = HttpServer.create(at(7001), 100);
    s.setExecutor(Executors.newFixedThreadPool(8));
    s.createContext("/", x -> {
      byte[] body = x.getRequestBody().readAllBytes();
      byte[] out = x.getRequestURI().getPath().equals("/blob") ? Files.readAllBytes(blob) : (text + x.getRequestURI() + body.length).getBytes();
      x.sendResponseHeaders(200, x.getRequestURI().getPath().equals("/chunks") ? 0 : out.length);
      try (OutputStream o = x.getResponseBody()) { o.write(out); }
    });
    s.start();
  }
  static void selector() throws Exception {
    Selector sel = Selector.open();
    ServerSocketChannel l = ServerSocketChannel.open().bind(at(7002));
    l.configureBlocking(false); l.register(sel, SelectionKey.OP_ACCEPT);
    while (true) {
      sel.select();
      for (Iterator<SelectionKey> i = sel.selectedKeys().iterator(); i.hasNext();) {
        SelectionKey k = i.next(); i.remove();
        if (k.isAcceptable()) {
          SocketChannel c = l.accept(); c.configureBlocking(false);
          c.register(sel, SelectionKey.OP_READ, ByteBuffer.allocateDirect(50000));
          continue;
        }
        SocketChannel c = (SocketChannel) k.channel(); ByteBuffer b = (ByteBuffer) k.attachment();
        try {
          if (k.isReadable() && c.read(b) < 0 && b.position() == 0) { c.close(); continue; }
          b.flip(); c.write(b); b.compact();
          k.interestOps((b.hasRemaining() ? SelectionKey.OP_READ : 0) | (b.position() > 0 ? SelectionKey.OP_WRITE : 0));
        } catch (IOException e) { c.close(); }
      }
    }
  }
  static void blocking() throws Exception {
    ServerSocket l = new ServerSocket(7003, 50, InetAddress.getByName("127.0.0.1"));
    while (true) {
      Socket s = l.accept();
      new Thread(() -> {
        try (s; ObjectOutputStream out = new ObjectOutputStream(s.getOutputStream()); ObjectInputStream in = new ObjectInputStream(s.getInputStream())) {
          while (true) { out.writeObject(List.of(text, in.readObject())); out.flush(); out.reset(); }
        } catch (Exception e) { }
      }).start();
    }
  }
  static void asynchronous() throws Exception {
    AsynchronousServerSocketChannel l = AsynchronousServerSocketChannel.open().bind(at(7004));
    l.accept(null, new CompletionHandler<AsynchronousSocketChannel, Void>() {
      public void completed(AsynchronousSocketChannel c, Void v) {
        l.accept(null, this);
        ByteBuffer b = ByteBuffer.allocate(9999);
        c.read(b, b, new CompletionHandler<Integer, ByteBuffer>() {
          public void completed(Integer n, ByteBuffer b) {
            try {
              if (n < 0) { c.close(); return; }
              b.flip();
              while (b.hasRemaining()) c.write(b).get();
            } catch (Exception e) { return; }
            b.clear();
            c.read(b, b, this);
          }
          public void failed(Throwable t, ByteBuffer b) { }
        });
      }
      public void failed(Throwable t, Void v) { }
    });
  }
  static void files() throws Exception {
    ServerSocketChannel l = ServerSocketChannel.open().bind(at(7005));
    while (true) {
      try (SocketChannel c = l.accept(); FileChannel f = FileChannel.open(blob)) {
        for (long at = 0; at < f.size();) at += f.transferTo(at, f.size() - at, c);
      }
    }
  }
  interface Task { void run() throws Exception; }
  static void start(Task t) { new Thread(() -> { try { t.run(); } catch (Exception e) { e.printStackTrace(); } }).start(); }
  public static void main(String[] args) throws Exception {
    text = args[0]; blob = Path.of(args[1]);
    http(); asynchronous(); start(Server::selector); start(Server::blocking); start(Server::files);
    System.setProperty("java.rmi.server.hostname", "127.0.0.1");
    LocateRegistry.createRegistry(7006).rebind("adder", UnicastRemoteObject.exportObject(new Adding(), 7007));
  }
}
'''

CLIENT = r'''
import java.io.*; import java.net.*; import java.net.http.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.rmi.registry.*;
import java.security.*; import java.util.*; import java.util.concurrent.*; import java.util.stream.*;
public class Client {
  static String digest(byte[] b) throws Exception { return b.length + " " + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(b)).substring(0, 12); }
  static byte[] echo(int port, byte[] data) throws Exception {
    try (Socket s = new Socket("127.0.0.1", port)) {
      Future<byte[]> got = CompletableFuture.supplyAsync(() -> { try { return s.getInputStream().readNBytes(data.length); } catch (IOException e) { throw new RuntimeException(e); } });
      s.getOutputStream().write(data);
      byte[] back = got.get();
      s.shutdownOutput();
      if (s.getInputStream().read() != -1) throw new IOException("more");
      return back;
    }
  }
  public static void main(String[] args) throws Exception {
    String text = args[0]; byte[] blob = Files.readAllBytes(Path.of(args[1]));
    for (HttpClient.Version v : HttpClient.Version.values()) {
      HttpClient h = HttpClient.newBuilder().version(v).connectTimeout(java.time.Duration.ofSeconds(10)).build();
      for (String p : new String[] {"/a", "/chunks", "/blob"})
        System.out.println(p + " " + digest(h.send(HttpRequest.newBuilder(URI.create("http://127.0.0.1:7001" + p)).build(), HttpResponse.BodyHandlers.ofByteArray()).body()));
      System.out.println(h.send(HttpRequest.newBuilder(URI.create("http://127.0.0.1:7001/post")).POST(HttpRequest.BodyPublishers.ofByteArray(blob)).build(), HttpResponse.BodyHandlers.ofString()).body());
      System.out.println(IntStream.range(0, 40).mapToObj(i -> h.sendAsync(HttpRequest.newBuilder(URI.create("http://127.0.0.1:7001/many")).build(), HttpResponse.BodyHandlers.ofString()))
        .collect(Collectors.toList()).stream().map(f -> f.join().body()).collect(Collectors.toSet()));
    }
    System.out.println(digest(((HttpURLConnection) new URL("http://127.0.0.1:7001/blob").openConnection()).getInputStream().readAllBytes()));
    for (int port : new int[] {7002, 7004}) {
      System.out.println(port + " " + digest(echo(port, blob)));
      ExecutorService pool = Executors.newFixedThreadPool(10);
      List<Future<byte[]>> all = new ArrayList<>();
      for (int i = 0; i < 30; i++) all.add(pool.submit(() -> echo(port, (text.repeat(1000)).getBytes())));
      Set<String> seen = new TreeSet<>();
      for (Future<byte[]> f : all) seen.add(digest(f.get()));
      System.out.println(seen);
      pool.shutdown();
    }
    try (Socket s = new Socket("127.0.0.1", 7003); ObjectOutputStream out = new ObjectOutputStream(s.getOutputStream())) {
      ObjectInputStream in = new ObjectInputStream(s.getInputStream());
      for (Object o : new Object[] {1, "two", Map.of("k", text), new int[100000].length}) { out.writeObject(o); out.flush(); System.out.println(in.readObject()); }
    }
    try (SocketChannel c = SocketChannel.open()) {
      c.configureBlocking(false); c.connect(new InetSocketAddress("127.0.0.1", 7005));
      Selector sel = Selector.open(); c.register(sel, SelectionKey.OP_CONNECT);
      while (!c.finishConnect()) sel.select();
      c.keyFor(sel).interestOps(SelectionKey.OP_READ);
      ByteArrayOutputStream o = new ByteArrayOutputStream(); ByteBuffer b = ByteBuffer.allocate(100000);
      for (int n = 0; n >= 0; n = c.read(b)) { o.write(b.array(), 0, b.position()); b.clear(); if (n == 0) { sel.select(); sel.selectedKeys().clear(); } }
      System.out.println("transferTo " + digest(o.toByteArray()));
    }
    System.out.println(((Server.Adder) LocateRegistry.getRegistry("127.0.0.1", 7006).lookup("adder")).add("sum", 5));
    try { new Socket("127.0.0.1", 7999); } catch (IOException e) { System.out.println(e); }
    try { Socket s = new Socket(); s.connect(new InetSocketAddress("127.0.0.1", 7002), 5000); s.setSoTimeout(50); s.getInputStream().read(); } catch (IOException e) { System.out.println(e); }
    try { SocketChannel c = SocketChannel.open(new InetSocketAddress("127.0.0.1", 7002)); Thread t = Thread.currentThread();
      new Thread(() -> { try { Thread.sleep(100); } catch (Exception e) { } t.interrupt(); }).start(); c.read(ByteBuffer.allocate(1)); } catch (IOException e) { System.out.println(e); }
    Thread.interrupted();
    Socket s = new Socket("127.0.0.1", 7002);
    new Thread(() -> { try { Thread.sleep(100); s.close(); } catch (Exception e) { } }).start();
    try { s.getInputStream().read(); } catch (IOException e) { System.out.println(e); }
    AsynchronousSocketChannel a = AsynchronousSocketChannel.open();
    a.connect(new InetSocketAddress("127.0.0.1", 7004)).get();
    a.write(ByteBuffer.wrap(text.getBytes())).get();
    ByteBuffer b = ByteBuffer.allocate(1000);
    while (b.position() < text.length()) a.read(b).get();
    System.out.println(new String(b.array(), 0, b.position()));
    a.close();
    System.exit(0);
  }
}
'''


def run(c):
    import random
    c.write("blob", random.Random(9).randbytes(2 << 20) + c.marker * 50)
    c.prepare(["javac", "-d", c.dir, c.write("Server.java", SERVER), c.write("Client.java", CLIENT)])
    java = ["java", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-cp", c.dir]
    server = c.server([*java, "Server", c.text, f"{c.dir}/blob"], *range(7001, 7008))
    c.client([*java, "Client", c.text, f"{c.dir}/blob"], err=True, timeout=80)
    c.client(["curl", "-sS", "http://127.0.0.1:7001/by-curl"])
    c.stop(server)
