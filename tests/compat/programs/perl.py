# SPDX-License-Identifier: Apache-2.0
# packages: perl libwww-perl libhttp-daemon-perl libanyevent-perl libnet-server-perl
TITLE = "Perl"
WHAT = "IO::Socket, IO::Select, stdio on sockets, HTTP::Daemon and LWP, AnyEvent, Net::Server prefork and fork, Net::FTP's commands, exec on a socket"

SERVER = r'''
use strict; use warnings; use IO::Socket::INET; use IO::Select; use HTTP::Daemon; use AnyEvent; use AnyEvent::Socket; use AnyEvent::Handle;
my ($text, $blob) = @ARGV; my @kids;
sub kid { my ($fn) = @_; my $pid = fork; if (!$pid) { $SIG{TERM} = "DEFAULT"; $fn->(); exit 0 } push @kids, $pid }
sub l { IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $_[0], Listen => 20, ReuseAddr => 1) or die "$_[0]: $!" }
my ($line, $web, $sel, $run, $forking) = map { l($_) } 7001, 7003, 7004, 7005;
sub l_web { HTTP::Daemon->new(LocalAddr => "127.0.0.1", LocalPort => 7002, ReuseAddr => 1) or die }
my $http = l_web();
kid(sub { while (my $c = $line->accept) { my $p = fork; if (!$p) { while (my $s = <$c>) { chomp $s; print $c scalar(reverse $s), "\n" } exit 0 } close $c; wait } });
kid(sub { while (my $c = $http->accept) { while (my $r = $c->get_request) {
  if ($r->uri->path eq "/blob") { $c->send_file_response($blob) } else { $c->send_response(HTTP::Response->new(200, "OK", [], $text . $r->uri->path . length $r->content)) } } $c->close } });
kid(sub { my $s = IO::Select->new($web); my %out; while (1) { for my $h ($s->can_read) {
  if ($h == $web) { $s->add($web->accept); next } my $n = sysread $h, my $d, 65536; if (!$n) { $s->remove($h); close $h; next }
  while (length $d) { my $w = syswrite $h, $d; last unless defined $w; substr $d, 0, $w, "" } } } });
kid(sub { while (my $c = $sel->accept) { my $p = fork; if (!$p) { open STDIN, "<&", $c; open STDOUT, ">&", $c; exec "/bin/sh", "-c", "read a; echo \"sh: \$a\"; wc -c" } close $c; wait } });
kid(sub { while (my $c = $run->accept) { $c->autoflush(1); printf $c "%s %03d\n", $text, $_ for 1 .. 50; print {$c} "." x 100000, "\n"; close $c } });
$SIG{TERM} = sub { kill TERM => @kids; exit 0 };
tcp_server "127.0.0.1", 7006, sub { my ($fh) = @_; my $h; $h = AnyEvent::Handle->new(fh => $fh, on_error => sub { $h->destroy }, on_eof => sub { $h->destroy });
  $h->on_read(sub { $h->push_read(line => sub { $h->push_write(uc($_[1]) . "\n") }) }) };
my $w = AnyEvent->signal(signal => "TERM", cb => sub { kill TERM => @kids; exit 0 });
AnyEvent->condvar->recv;
'''

PREFORK = r'''
package Mine; use base qw(Net::Server::PreFork);
sub process_request { my $self = shift; while (my $line = <STDIN>) { $line =~ s/\r?\n$//; last if $line eq "quit"; print "you said $line\r\n" } print "bye\r\n" }
Mine->run(port => 7010, host => "127.0.0.1", ipv => 4, min_servers => 2, max_servers => 5, min_spare_servers => 1, max_spare_servers => 3, log_level => 0);
'''

CLIENT = r'''
use strict; use warnings; use IO::Socket::INET; use IO::Select; use LWP::UserAgent; use AnyEvent; use AnyEvent::Socket; use AnyEvent::Handle; use Digest::SHA qw(sha256_hex);
my ($text, $blob) = @ARGV; $| = 1;
sub to { IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $_[0], Timeout => 10) or die "$_[0]: $@" }
sub digest { length($_[0]) . " " . substr sha256_hex($_[0]), 0, 12 }
my $data = do { local (@ARGV, $/) = $blob; <> };
my $s = to(7001); for (1 .. 30) { print $s "$text $_\n"; $s->flush; my $r = <$s>; print $r if $_ % 10 == 0 } close $s;
my $ua = LWP::UserAgent->new(keep_alive => 1);
print digest($ua->get("http://127.0.0.1:7002/blob")->content), "\n"; print $ua->post("http://127.0.0.1:7002/p$_", Content => $data)->content, "\n" for 1 .. 3;
$ua = undef;
$s = to(7003); $s->blocking(0); my ($out, $in) = ($data, ""); my $sel = IO::Select->new($s);
while (length($in) < length $data) { if (length $out and $sel->can_write(0)) { my $n = syswrite $s, $out, 50000; substr $out, 0, $n, "" if $n }
  if ($sel->can_read(length $out ? 0 : 10)) { sysread $s, $in, 65536, length $in } } print digest($in), "\n"; close $s;
$s = to(7004); print $s "first\n$data"; shutdown $s, 1; print <$s>; close $s;
$s = to(7005); my @lines = <$s>; print scalar(@lines), " $lines[7]", digest(join "", @lines), "\n"; close $s;
my $cv = AnyEvent->condvar; my @h;
for my $i (1 .. 10) { $cv->begin; tcp_connect "127.0.0.1", 7006, sub { my ($fh) = @_ or die; my $h = AnyEvent::Handle->new(fh => $fh); push @h, $h;
  $h->push_write("$text $i\n"); $h->push_read(line => sub { print "anyevent: $_[1]\n" if $i == 5; $cv->end }) } }
$cv->recv; @h = ();
$s = to(7010); print $s "hello $text\r\nquit\r\n"; print <$s>; close $s;
my @pids = map { my $i = $_; my $p = fork; if (!$p) { my $s = to(7010); for (1 .. 20) { print $s "$i $_\r\n"; $s->flush; <$s> eq "you said $i $_\r\n" or exit 1 } exit 0 } $p } 1 .. 6;
my @codes = map { waitpid $_, 0; $? } @pids; print "@codes\n";
$s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => 7999); print "none: ", $!{ECONNREFUSED} ? 1 : 0, "\n";
$s = to(7001); eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; my $x = <$s>; }; print $@; print $s "after\n"; print scalar <$s>;
printf "%s:%s\n", $s->peerhost, $s->peerport; print $s->connected ? "connected\n" : "not\n"; print $s->sockopt(SO_TYPE) == SOCK_STREAM ? "stream\n" : "?\n";
'''


def run(c):
    import random
    c.write("blob", random.Random(11).randbytes(500000) + c.marker * 50)
    server = c.server(["perl", c.write("server.pl", SERVER), c.text, f"{c.dir}/blob"], *range(7001, 7007))
    prefork = c.server(["perl", c.write("prefork.pl", PREFORK)], 7010)
    c.client(["perl", c.write("client.pl", CLIENT), c.text, f"{c.dir}/blob"], err=True)
    c.stop(prefork)
    c.stop(server)
