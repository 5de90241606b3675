// SPDX-License-Identifier: Apache-2.0

// Where a TLS peer gets its SVID and bundle from: a Workload API, or PEM files as `svidwrap dev-agent --mint`
// writes them.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

type identityFlags struct {
	agent, dir, allow, version string
}

func (f *identityFlags) register(set *flag.FlagSet) {
	set.StringVar(&f.agent, "agent", "", "Workload API address (unix:///path)")
	set.StringVar(&f.dir, "dir", "", "instead: directory with svid.pem, key.pem, bundle.pem (own domain), bundle-DOMAIN.pem (others)")
	set.StringVar(&f.allow, "allow", "", "the only SPIFFE ID to talk to; empty: anyone whose SVID verifies")
	set.StringVar(&f.version, "tls", "", "1.2 or 1.3: nothing but this version")
}

type source interface {
	x509svid.Source
	x509bundle.Source
}

type fileSource struct {
	*x509svid.SVID
	*x509bundle.Set
}

func (f *identityFlags) open(ctx context.Context) (source, error) {
	if f.dir == "" {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(f.agent)))
	}
	svid, err := x509svid.Load(filepath.Join(f.dir, "svid.pem"), filepath.Join(f.dir, "key.pem"))
	if err != nil {
		return nil, err
	}
	bundle, err := x509bundle.Load(svid.ID.TrustDomain(), filepath.Join(f.dir, "bundle.pem"))
	if err != nil {
		return nil, err
	}
	bundles := x509bundle.NewSet(bundle)
	others, err := filepath.Glob(filepath.Join(f.dir, "bundle-*.pem"))
	if err != nil {
		return nil, err
	}
	for _, file := range others {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "bundle-"), ".pem")
		domain, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return nil, err
		}
		bundle, err := x509bundle.Load(domain, file)
		if err != nil {
			return nil, err
		}
		bundles.Add(bundle)
	}
	return &fileSource{svid, bundles}, nil
}

func (f *identityFlags) authorizer() (tlsconfig.Authorizer, error) {
	if f.allow == "" {
		return tlsconfig.AuthorizeAny(), nil
	}
	id, err := spiffeid.FromString(f.allow)
	if err != nil {
		return nil, err
	}
	return tlsconfig.AuthorizeID(id), nil
}

// config makes the TLS configuration of either side with go-spiffe's own functions.
func (f *identityFlags) config(ctx context.Context, server bool) (*tls.Config, error) {
	src, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	allowed, err := f.authorizer()
	if err != nil {
		return nil, err
	}
	var config *tls.Config
	if server {
		config = tlsconfig.MTLSServerConfig(src, src, allowed)
	} else {
		config = tlsconfig.MTLSClientConfig(src, src, allowed)
	}
	switch f.version {
	case "":
	case "1.2":
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	case "1.3":
		config.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("-tls %q: 1.2 or 1.3", f.version)
	}
	return config, nil
}

// describe is what the tests want to know of a finished handshake.
func describe(state tls.ConnectionState) map[string]any {
	peer, serial := "", ""
	if len(state.PeerCertificates) > 0 {
		serial = state.PeerCertificates[0].SerialNumber.String()
		if id, err := x509svid.IDFromCert(state.PeerCertificates[0]); err == nil {
			peer = id.String()
		}
	}
	return map[string]any{
		"peer": peer, "serial": serial, "version": tls.VersionName(state.Version), "cipher": tls.CipherSuiteName(state.CipherSuite),
	}
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return certs, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
}

func writePEM(path, kind string, ders ...[]byte) error {
	var text []byte
	for _, der := range ders {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	return os.WriteFile(path, text, 0o600)
}
