# SPDX-License-Identifier: Apache-2.0
# packages: libnetty-java default-jdk-headless curl
TITLE = "Netty"
WHAT = "event loops: an echo with back-pressure, an HTTP server and client with pipelining and file regions, timeouts, half-closed channels"
TIMEOUT = 240
JARS = ":".join(f"/usr/share/java/netty-{x}.jar" for x in ("all", "buffer", "codec", "codec-http", "common", "handler", "resolver", "transport"))

PROGRAM = r'''
import io.netty.bootstrap.*; import io.netty.buffer.*; import io.netty.channel.*; import io.netty.channel.nio.*; import io.netty.channel.socket.*;
import io.netty.channel.socket.nio.*; import io.netty.handler.codec.http.*; import io.netty.handler.timeout.*; import java.io.*; import java.net.*; import java.nio.file.*;
import java.security.*; import java.util.*; import java.util.concurrent.*; import java.util.concurrent.atomic.*;
public class Nettying {
  static String digest(byte[] b) throws Exception { return b.length + " " + new java.math.BigInteger(1, MessageDigest.getInstance("SHA-256").digest(b)).toString(16).substring(0, 12); }
  interface Setup { void into(ChannelPipeline p) throws Exception; }
  static ChannelInitializer<SocketChannel> with(Setup s) { return new ChannelInitializer<>() { protected void initChannel(SocketChannel c) throws Exception { s.into(c.pipeline()); } }; }
  static void serve(EventLoopGroup g, int port, Setup s) throws Exception {
    new ServerBootstrap().group(g).channel(NioServerSocketChannel.class).option(ChannelOption.SO_BACKLOG, 100).childOption(ChannelOption.TCP_NODELAY, true)
      .childOption(ChannelOption.ALLOW_HALF_CLOSURE, true).childHandler(with(s)).bind("127.0.0.1", port).sync();
  }
  static class Echo extends ChannelInboundHandlerAdapter {
    public void channelRead(ChannelHandlerContext c, Object m) { c.write(m); if (!c.channel().isWritable()) { c.flush(); c.channel().config().setAutoRead(false); } }
    public void channelReadComplete(ChannelHandlerContext c) { c.flush(); }
    public void channelWritabilityChanged(ChannelHandlerContext c) { if (c.channel().isWritable()) c.channel().config().setAutoRead(true); }
    public void userEventTriggered(ChannelHandlerContext c, Object e) { if (e instanceof ChannelInputShutdownEvent) c.writeAndFlush(Unpooled.copiedBuffer("the end".getBytes())).addListener(ChannelFutureListener.CLOSE); else if (e instanceof IdleStateEvent) c.writeAndFlush(Unpooled.copiedBuffer("idle".getBytes())); }
    public void exceptionCaught(ChannelHandlerContext c, Throwable t) { c.close(); }
  }
  static void server(String text, String blob) throws Exception {
    EventLoopGroup g = new NioEventLoopGroup(3);
    serve(g, 7001, p -> p.addLast(new Echo()));
    serve(g, 7002, p -> p.addLast(new HttpServerCodec(), new HttpObjectAggregator(10 << 20), new SimpleChannelInboundHandler<FullHttpRequest>() {
      protected void channelRead0(ChannelHandlerContext c, FullHttpRequest r) throws Exception {
        if (r.uri().equals("/blob")) {
          File f = new File(blob);
          HttpResponse h = new DefaultHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK);
          h.headers().set("Content-Length", f.length());
          c.write(h); c.write(new DefaultFileRegion(f, 0, f.length())); c.writeAndFlush(LastHttpContent.EMPTY_LAST_CONTENT);
          return;
        }
        FullHttpResponse h = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK, Unpooled.copiedBuffer((text + r.uri() + r.content().readableBytes()).getBytes()));
        h.headers().set("Content-Length", h.content().readableBytes());
        c.writeAndFlush(h);
      } }));
    serve(g, 7003, p -> p.addLast(new IdleStateHandler(0, 0, 200, TimeUnit.MILLISECONDS), new Echo()));
  }
  static byte[] exchange(EventLoopGroup g, int port, byte[] data, boolean half) throws Exception {
    ByteArrayOutputStream got = new ByteArrayOutputStream();
    Channel c = new Bootstrap().group(g).channel(NioSocketChannel.class).option(ChannelOption.CONNECT_TIMEOUT_MILLIS, 10000).option(ChannelOption.ALLOW_HALF_CLOSURE, false)
      .handler(with(p -> p.addLast(new SimpleChannelInboundHandler<ByteBuf>() { protected void channelRead0(ChannelHandlerContext x, ByteBuf b) throws Exception { b.readBytes(got, b.readableBytes()); if (!half) x.close(); } })))
      .connect("127.0.0.1", port).sync().channel();
    if (data.length > 0) c.writeAndFlush(Unpooled.wrappedBuffer(data)).sync();
    if (half) ((SocketChannel) c).shutdownOutput().sync();
    c.closeFuture().await(20000);
    return got.toByteArray();
  }
  static void client(String text, String file) throws Exception {
    EventLoopGroup g = new NioEventLoopGroup(2);
    byte[] blob = Files.readAllBytes(Path.of(file));
    System.out.println(digest(exchange(g, 7001, blob, true)));
    ExecutorService pool = Executors.newFixedThreadPool(10);
    Set<String> seen = new TreeSet<>();
    List<Future<byte[]>> all = new ArrayList<>();
    for (int i = 0; i < 60; i++) all.add(pool.submit(() -> exchange(g, 7001, text.repeat(500).getBytes(), true)));
    for (Future<byte[]> f : all) seen.add(digest(f.get()));
    System.out.println(seen);
    pool.shutdown();
    System.out.println(new String(exchange(g, 7003, new byte[0], false)));
    BlockingQueue<String> answers = new LinkedBlockingQueue<>();
    Channel h = new Bootstrap().group(g).channel(NioSocketChannel.class).handler(with(p -> p.addLast(new HttpClientCodec(), new HttpObjectAggregator(10 << 20), new SimpleChannelInboundHandler<FullHttpResponse>() {
      protected void channelRead0(ChannelHandlerContext c, FullHttpResponse r) throws Exception { byte[] b = new byte[r.content().readableBytes()]; r.content().readBytes(b); answers.add(b.length < 100 ? new String(b) : digest(b)); } })))
      .connect("127.0.0.1", 7002).sync().channel();
    for (String uri : new String[] {"/a", "/b", "/blob", "/c"}) h.write(new DefaultFullHttpRequest(HttpVersion.HTTP_1_1, HttpMethod.GET, uri));
    h.flush();
    for (int i = 0; i < 4; i++) System.out.println(answers.poll(20, TimeUnit.SECONDS));
    FullHttpRequest post = new DefaultFullHttpRequest(HttpVersion.HTTP_1_1, HttpMethod.POST, "/p", Unpooled.wrappedBuffer(blob));
    post.headers().set("Content-Length", blob.length);
    h.writeAndFlush(post);
    System.out.println(answers.poll(20, TimeUnit.SECONDS));
    h.close().sync();
    try { exchange(g, 7999, blob, true); } catch (Exception e) { System.out.println(e.getMessage()); }
    System.exit(0);
  }
  public static void main(String[] a) throws Exception { if (a[0].equals("server")) server(a[1], a[2]); else client(a[1], a[2]); }
}
'''


def run(c):
    import random
    c.write("blob", random.Random(16).randbytes(2 << 20) + c.marker * 50)
    c.prepare(["javac", "-nowarn", "-cp", JARS, "-d", c.dir, c.write("Nettying.java", PROGRAM)])
    java = ["java", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-cp", f"{c.dir}:{JARS}", "Nettying"]
    server = c.server([*java, "server", c.text, f"{c.dir}/blob"], 7001, 7002, 7003)
    c.client([*java, "client", c.text, f"{c.dir}/blob"], timeout=80)
    c.client(["curl", "-sS", "http://127.0.0.1:7002/by-curl", "http://127.0.0.1:7002/again"])
    c.stop(server)
