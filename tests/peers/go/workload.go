// SPDX-License-Identifier: Apache-2.0

// A second Workload API server, on go-spiffe's published stubs and grpc-go, that misbehaves on command. It
// attests nobody: the socket that a caller chose is who it is. Commands come on stdin, one a line, and each
// is answered by one JSON line when it has taken effect:
//
//	normal | denied | unavailable | silent | MALFORMED    what streams answer (now, and those to come)
//	rotate                  new SVIDs to every open stream
//	disconnect [MS]         cut every connection, listen again after MS
//	goaway                  GOAWAY by GracefulStop, then a fresh server on the same socket
//	svids PATH=ID[#HINT]... who the callers of a socket are from now on
//	revoke FILE             the certificate in a PEM file goes onto the CRL (-crl)
//	mint ID DIR             an SVID of the ID's trust domain as PEM files, and every domain's bundle
//	quit
//
// MALFORMED is one of the keys of the table in malformed.go.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// svidSpec is "spiffe://..." or "spiffe://...#hint".
type svidSpec struct{ id, hint string }

type endpoint struct {
	path  string
	svids []svidSpec
}

type server struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	state *state
	at    *endpoint
}

// state is shared by all sockets.
type state struct {
	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every command
	mode      string
	federated map[string]*authority
	domain    string
	ca        *authority
	signer    *authority // ca, or an intermediate below it
	kind      string     // of SVIDs' keys
	ttl       time.Duration
	withCRL   bool
	maxAge    time.Duration
	servers   map[string]*grpc.Server
	streams   int
}

type endpoints []*endpoint

func (e *endpoints) String() string { return fmt.Sprint(*e) }
func (e *endpoints) Set(text string) error {
	at, err := parseEndpoint(text)
	*e = append(*e, at)
	return err
}

func parseEndpoint(text string) (*endpoint, error) {
	path, ids, found := strings.Cut(text, "=")
	if !found {
		return nil, fmt.Errorf("want PATH=ID[#HINT][,ID[#HINT]...]")
	}
	at := &endpoint{path: path}
	for _, id := range strings.Split(ids, ",") {
		id, hint, _ := strings.Cut(id, "#")
		at.svids = append(at.svids, svidSpec{id, hint})
	}
	return at, nil
}

// assign gives the callers of a socket other SVIDs.
func (e endpoints) assign(text string) error {
	want, err := parseEndpoint(text)
	if err != nil {
		return err
	}
	for _, at := range e {
		if at.path == want.path {
			at.svids = want.svids
			return nil
		}
	}
	return fmt.Errorf("no socket %s", want.path)
}

func workloadServer(args []string) error {
	set := flag.NewFlagSet("workload-server", flag.ExitOnError)
	var sockets endpoints
	set.Var(&sockets, "socket", "PATH=ID[#HINT][,ID...]: a socket and who its callers are (repeat)")
	s := &state{changed: make(chan struct{}), federated: map[string]*authority{}, servers: map[string]*grpc.Server{}}
	set.StringVar(&s.domain, "domain", "example.org", "trust domain")
	set.StringVar(&s.mode, "mode", "normal", "how to begin")
	set.DurationVar(&s.ttl, "ttl", time.Hour, "life of an SVID")
	set.BoolVar(&s.withCRL, "crl", false, "send a CRL")
	set.StringVar(&s.kind, "key", "p256", "kind of the SVIDs' keys: p256, p384, p521, rsa2048, rsa3072, rsa4096, ed25519")
	middle := set.Bool("intermediate", false, "SVIDs are signed by an intermediate, which comes with them")
	set.DurationVar(&s.maxAge, "max-age", 0, "MaxConnectionAge: GOAWAY by itself, again and again")
	rotate := set.Duration("rotate", 0, "new SVIDs this often")
	federate := set.String("federate", "", "trust domains, comma separated, that get a bundle each")
	set.Parse(args)
	s.ca = newAuthority(s.domain)
	s.signer = s.ca
	if *middle {
		s.signer = s.ca.intermediate(s.domain, nil)
	}
	if _, err := newKeyOf(s.kind); err != nil {
		return err
	}
	for _, name := range strings.FieldsFunc(*federate, func(r rune) bool { return r == ',' }) {
		s.federated[name] = newAuthority(name)
	}
	for _, at := range sockets {
		if err := s.listen(at); err != nil {
			return err
		}
	}
	say(map[string]any{"event": "ready"})
	if *rotate > 0 {
		go func() {
			for range time.Tick(*rotate) {
				s.change(func() {})
			}
		}()
	}
	return s.obey(sockets)
}

func (s *state) change(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *state) obey(sockets endpoints) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		var err error
		switch words[0] {
		case "quit":
			return nil
		case "rotate":
			s.change(func() {})
		case "mint":
			err = s.mint(words[1], words[2])
		case "svids":
			s.change(func() { err = sockets.assign(words[1]) })
		case "revoke":
			s.change(func() { err = s.ca.revoke(words[1]) })
		case "disconnect":
			err = s.restart(sockets, words[1:], (*grpc.Server).Stop)
		case "goaway":
			err = s.restart(sockets, nil, s.goaway)
		default:
			s.change(func() { s.mode = words[0] })
		}
		say(map[string]any{"event": "obeyed", "command": lines.Text(), "error": errorText(err)})
	}
	return lines.Err() // the test is gone: so are we
}

// goaway announces the end; the streams end a little after the GOAWAY frame, as an agent's do that shuts down.
func (s *state) goaway(g *grpc.Server) {
	before := s.mode
	end := time.AfterFunc(200*time.Millisecond, func() { s.change(func() { s.mode = "unavailable" }) })
	g.GracefulStop()
	end.Stop()
	s.change(func() { s.mode = before })
}

func (s *state) mint(id, dir string) error {
	parsed, err := spiffeid.FromString(id)
	if err != nil {
		return err
	}
	domains := maps.Clone(s.federated)
	domains[s.domain] = s.ca
	ca := domains[parsed.TrustDomain().Name()]
	if ca == nil {
		return fmt.Errorf("no CA for %s", parsed.TrustDomain())
	}
	if err := ca.mint(id, dir); err != nil {
		return err
	}
	for name, other := range domains {
		if other != ca {
			if err := other.writeBundle(filepath.Join(dir, "bundle-"+name+".pem")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *state) restart(sockets endpoints, words []string, stop func(*grpc.Server)) error {
	for _, at := range sockets {
		stop(s.servers[at.path])
	}
	if len(words) > 0 {
		ms, err := strconv.Atoi(words[0])
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	for _, at := range sockets {
		if err := s.listen(at); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) listen(at *endpoint) error {
	os.Remove(at.path)
	listener, err := net.Listen("unix", at.path)
	if err != nil {
		return err
	}
	options := []grpc.ServerOption{grpc.ForceServerCodec(codec{})}
	if s.maxAge > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: s.maxAge, MaxConnectionAgeGrace: 100 * time.Millisecond}))
	}
	g := grpc.NewServer(options...)
	workload.RegisterSpiffeWorkloadAPIServer(g, &server{state: s, at: at})
	s.servers[at.path] = g
	go g.Serve(listener)
	return nil
}

func (v *server) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	return v.serve("FetchX509SVID", stream, func(mode string) any { return v.reply(mode) })
}

func (v *server) FetchX509Bundles(_ *workload.X509BundlesRequest, stream grpc.ServerStreamingServer[workload.X509BundlesResponse]) error {
	return v.serve("FetchX509Bundles", stream, func(string) any { return v.bundles() })
}

// serve checks the header that the standard demands and answers after the state's mode until the end.
func (v *server) serve(method string, stream grpc.ServerStream, make func(mode string) any) error {
	header := "missing"
	if md, found := metadata.FromIncomingContext(stream.Context()); found {
		if values := md.Get("workload.spiffe.io"); len(values) == 1 {
			header = values[0]
		}
	}
	v.state.mu.Lock()
	v.state.streams++
	number := v.state.streams
	v.state.mu.Unlock()
	say(map[string]any{"event": "stream", "number": number, "method": method, "socket": v.at.path, "header": header})
	defer say(map[string]any{"event": "stream-end", "number": number})
	if header != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	for {
		v.state.mu.Lock()
		mode, changed := v.state.mode, v.state.changed
		v.state.mu.Unlock()
		switch mode {
		case "denied":
			return status.Error(codes.PermissionDenied, "no identity issued")
		case "unavailable":
			return status.Error(codes.Unavailable, "gopeer is not available")
		case "silent":
		default:
			if err := stream.SendMsg(make(mode)); err != nil {
				return err
			}
			say(map[string]any{"event": "sent", "number": number, "mode": mode})
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		}
	}
}
