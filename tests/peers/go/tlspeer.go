// SPDX-License-Identifier: Apache-2.0

// The TLS server and the TLS client. Both are plain go-spiffe; what they send is scripted so that a test can
// compare bytes, half-closes and ends of stream.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const peerDeadline = 60 * time.Second

// serve modes:
//
//	echo    sends back what arrives; after the client's close_notify, the line "gopeer N SHA256 PEER-ID"
//	greet   speaks first: the line "220 gopeer MARKER", then echoes
//	blob    sends -size bytes (pattern) and closes
//	abort   cuts TCP without close_notify after the first bytes
//	redis   answers every PING as Redis would, closes on QUIT
func serve(args []string) error {
	set := flag.NewFlagSet("serve", flag.ExitOnError)
	var id identityFlags
	id.register(set)
	listen := set.String("listen", "127.0.0.1:0", "address")
	mode := set.String("mode", "echo", "echo, greet, blob, abort, redis")
	size := set.Int("size", 0, "bytes for blob")
	marker := set.String("marker", "gopeer", "word for greet")
	tickets := set.Bool("tickets", true, "send session tickets")
	set.Parse(args)
	config, err := id.config(context.Background(), true)
	if err != nil {
		return err
	}
	config.SessionTicketsDisabled = !*tickets
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	say(map[string]any{"event": "listening", "address": listener.Addr().String()})
	for {
		tcp, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer tcp.Close()
			tcp.SetDeadline(time.Now().Add(peerDeadline))
			conn := tls.Server(tcp, config)
			if err := conn.Handshake(); err != nil {
				say(map[string]any{"event": "refused", "error": err.Error()})
				return
			}
			line := describe(conn.ConnectionState())
			line["event"] = "accepted"
			say(line)
			err := serveOne(conn, tcp, *mode, *marker, line["peer"].(string), *size)
			say(map[string]any{"event": "done", "error": errorText(err)})
		}()
	}
}

func serveOne(conn *tls.Conn, tcp net.Conn, mode, marker, peer string, size int) error {
	switch mode {
	case "blob":
		if _, err := conn.Write(pattern(size)); err != nil {
			return err
		}
		return conn.Close()
	case "abort":
		buf := make([]byte, 4096)
		if _, err := conn.Read(buf); err != nil {
			return err
		}
		if _, err := conn.Write(buf[:1]); err != nil {
			return err
		}
		return tcp.Close()
	case "redis":
		return serveRedis(conn)
	case "greet":
		fmt.Fprintf(conn, "220 gopeer %s\r\n", marker)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(conn, sum), conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(conn, "gopeer %d %s %s\n", n, hex.EncodeToString(sum.Sum(nil)), peer)
	return conn.Close()
}

// serveRedis knows enough of RESP to answer redis-cli and redis-benchmark -t ping.
func serveRedis(conn *tls.Conn) error {
	buf := make([]byte, 65536)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		upper := bytes.ToUpper(buf[:n])
		if bytes.Contains(upper, []byte("COMMAND")) || bytes.Contains(upper, []byte("CONFIG")) {
			conn.Write([]byte("*0\r\n"))
			continue
		}
		if pings := bytes.Count(upper, []byte("PING")); pings > 0 {
			conn.Write([]byte(strings.Repeat("+PONG\r\n", pings)))
			continue
		}
		conn.Write([]byte("-ERR gopeer only pings\r\n"))
	}
}

// dial connects -count times, each time sends -text or -size bytes of pattern in writes of -write bytes, says
// close_notify (unless -half-close=false) and reads to the end.
func dial(args []string) error {
	set := flag.NewFlagSet("dial", flag.ExitOnError)
	var id identityFlags
	id.register(set)
	connect := set.String("connect", "", "address")
	text := set.String("text", "", "what to send (\\n and \\r are understood)")
	size := set.Int("size", 0, "instead: this many bytes of pattern")
	write := set.Int("write", 1<<20, "bytes a write")
	half := set.Bool("half-close", true, "close_notify after sending")
	until := set.String("until", "", "stop reading when this has been read")
	count := set.Int("count", 1, "connections, one after the other")
	pause := set.Duration("pause", 0, "wait between handshake and data")
	set.Parse(args)
	config, err := id.config(context.Background(), false)
	if err != nil {
		return err
	}
	payload := []byte(strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(*text))
	if *size > 0 {
		payload = pattern(*size)
	}
	for i := 0; i < *count; i++ {
		line, err := dialOne(config, *connect, payload, *write, *half, *until, *pause)
		if err != nil {
			return err
		}
		say(line)
	}
	return nil
}

func dialOne(config *tls.Config, address string, payload []byte, write int, half bool, until string, pause time.Duration) (map[string]any, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(peerDeadline))
	line := describe(conn.ConnectionState())
	time.Sleep(pause)
	var sendError error
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for rest := payload; len(rest) > 0 && sendError == nil; {
			n := min(write, len(rest))
			_, sendError = conn.Write(rest[:n])
			rest = rest[n:]
		}
		if half && sendError == nil {
			sendError = conn.CloseWrite()
		}
	}()
	received, readError := readUntil(conn, until)
	<-sent
	line["event"] = "dialed"
	line["sent"], line["sent_error"] = len(payload), errorText(sendError)
	line["sent_sha256"] = hexSum(payload)
	line["received"], line["read_error"] = len(received), errorText(readError)
	echo := received[:min(len(received), len(payload))]
	line["echo_sha256"] = hexSum(echo)
	line["received_sha256"] = hexSum(received)
	line["tail"] = string(received[max(0, len(received)-200):])
	return line, nil
}

func readUntil(r io.Reader, until string) ([]byte, error) {
	var all []byte
	buf := make([]byte, 65536)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if until != "" && bytes.Contains(all, []byte(until)) {
			return all, nil
		}
	}
}

// pattern is the same in Python: byte i is (i * 7 + i / 251) mod 256.
func pattern(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i*7 + i/251)
	}
	return out
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
