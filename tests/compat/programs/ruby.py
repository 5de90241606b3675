# SPDX-License-Identifier: Apache-2.0
# packages: ruby puma ruby-webrick curl
TITLE = "Ruby: Puma, WEBrick"
WHAT = "Puma in cluster mode with a phased restart and a restart in place, WEBrick, Net::HTTP, TCPServer, forks, dRuby"
TIMEOUT = 240
import signal  # noqa: E402

from compat import digest, sleep_until  # noqa: E402

SERVER = r'''
require "socket"; require "webrick"; require "drb"
text, blob = ARGV
Thread.new { l = TCPServer.new("127.0.0.1", 7001); loop { s = l.accept; Thread.new { while line = s.gets do s.puts line.reverse.strip end; s.close } } }
fork { l = TCPServer.new("127.0.0.1", 7002); loop { s = l.accept; fork { l.close; IO.copy_stream(File.open(blob), s); s.close }; s.close; begin Process.waitpid(-1, Process::WNOHANG) rescue nil end } }
fork { l = TCPServer.new("127.0.0.1", 7003); loop { s = l.accept; pid = spawn("tr a-z A-Z", in: s, out: s); s.close; Process.wait pid } }
class Front; def initialize(t) @t = t end; def add(a, b) a + b end; def text() @t * 1000 end; def fail() raise "no" end end
DRb.start_service("druby://127.0.0.1:7004", Front.new(text))
w = WEBrick::HTTPServer.new(Port: 7005, BindAddress: "127.0.0.1", DocumentRoot: File.dirname(blob), AccessLog: [], Logger: WEBrick::Log.new(File::NULL))
w.mount_proc("/echo") { |q, r| r.body = q.body.reverse }
pids = Process.clock_gettime(Process::CLOCK_MONOTONIC)
trap("TERM") { w.shutdown }
w.start
Process.kill("KILL", *`pgrep -P #{$$}`.split.map(&:to_i)) rescue nil
'''

CLIENT = r'''
require "socket"; require "net/http"; require "drb"; require "digest/sha2"
text, blob = ARGV
def digest(s) = "#{s.bytesize} #{Digest::SHA256.hexdigest(s)[0, 12]}"
TCPSocket.open("127.0.0.1", 7001) { |s| 20.times { |i| s.puts "#{text} #{i}"; puts s.gets if i % 7 == 0 || (s.gets; false) } }
puts 6.times.map { Thread.new { digest(TCPSocket.open("127.0.0.1", 7002, &:read)) } }.map(&:value).uniq
TCPSocket.open("127.0.0.1", 7003) { |s| s.write("#{text} lower\n" * 3); s.close_write; puts s.read }
DRb.start_service("druby://127.0.0.1:0")
d = DRbObject.new_with_uri("druby://127.0.0.1:7004")
puts d.add(1, 2), d.add("a", "b"), digest(d.text), (begin d.fail rescue $!.message end)
puts digest(Net::HTTP.get(URI("http://127.0.0.1:7005/blob")))
Net::HTTP.start("127.0.0.1", 7005) { |h| 3.times { |i| puts digest(h.post("/echo", text * (i * 10000 + 1)).body) } }
begin TCPSocket.new("127.0.0.1", 7999) rescue puts $!.class end
s = Socket.new(:INET, :STREAM); begin s.connect_nonblock(Addrinfo.tcp("127.0.0.1", 7001)) rescue IO::WaitWritable; end
IO.select(nil, [s], nil, 10)
begin s.connect_nonblock(Addrinfo.tcp("127.0.0.1", 7001)) rescue puts $!.class end
s.write_nonblock("x y\n"); IO.select([s], nil, nil, 10); puts s.read_nonblock(100)
begin s.read_nonblock(1) rescue puts $!.class end
s.close
'''

APP = r'''
TEXT = ENV.fetch("TEXT")
VERSION = File.read(File.join(__dir__, "version"))
run(lambda do |env|
  body = env["rack.input"].read
  case env["PATH_INFO"]
  when "/big" then [200, {}, [TEXT * 5000]]
  when "/pieces" then [200, {}, Enumerator.new { |y| 100.times { |i| y << TEXT + i.to_s } }]
  when "/version" then [200, {}, [VERSION]]
  else [200, {}, [body.reverse]]
  end
end)
'''


def run(c):
    import random
    c.environ["TEXT"] = c.text
    c.write("blob", random.Random(10).randbytes(1 << 20) + c.marker * 50)
    server = c.server(["ruby", c.write("server.rb", SERVER), c.text, f"{c.dir}/blob"], *range(7001, 7006))
    c.client(["ruby", c.write("client.rb", CLIENT), c.text, f"{c.dir}/blob"], err=True)
    c.stop(server)
    c.write("config.ru", APP)
    c.write("version", "one")
    config = c.write("puma.rb", f"workers 2\nthreads 1, 4\nbind 'tcp://127.0.0.1:8000'\npidfile '{c.dir}/pid'\nquiet\nworker_shutdown_timeout 5\n")
    post = c.write("post", f"{c.text}\n" * 20000)
    puma = c.server(["puma", "-C", config, "config.ru"], 8000, cwd=c.dir)
    base = "http://127.0.0.1:8000"

    def version():
        return c.client(["curl", "-sS", f"{base}/version"], show=False)

    def ask():
        for words in ([f"{base}/big"], [f"{base}/pieces"], ["--data-binary", f"@{post}", f"{base}/echo"], [f"{base}/big", f"{base}/version"]):
            c.say(words[-1], digest(c.client(["curl", "-sS", *words], show=False)))
        several = [c.start(["curl", "-sS", *[f"{base}/big"] * 10]) for _ in range(4)]
        c.say("at once:", {(p.wait(30), digest(p.out())) for p in several})

    sleep_until(lambda: c.spawn(c.program(["curl", "-sS", f"{base}/version"])).wait(20) == 0, "the first worker")
    ask()
    for text, sig in (("two", signal.SIGUSR1), ("three", signal.SIGUSR2)):
        c.write("version", text)
        puma.kill(sig)
        sleep_until(lambda t=text: {version() for _ in range(3)} == {t}, "the workers of version " + text)
        ask()
    c.stop(puma)
