// SPDX-License-Identifier: Apache-2.0

// What the Workload API server answers: the good reply, and the table of bad ones.
package main

import (
	"bytes"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/protobuf/proto"
)

func (v *server) good() *workload.X509SVIDResponse {
	s := v.state
	reply := &workload.X509SVIDResponse{FederatedBundles: map[string][]byte{}}
	s.mu.Lock()
	svids := v.at.svids
	s.mu.Unlock()
	for _, spec := range svids {
		chain, key, err := s.signer.svidOf(s.kind, spec.id, s.ttl)
		if err != nil {
			panic(err)
		}
		reply.Svids = append(reply.Svids, &workload.X509SVID{
			SpiffeId: spec.id, X509Svid: chain, X509SvidKey: pkcs8(key), Bundle: s.ca.cert.Raw, Hint: spec.hint,
		})
	}
	for name, ca := range s.federated {
		reply.FederatedBundles["spiffe://"+name] = ca.cert.Raw
	}
	if s.withCRL {
		reply.Crl = [][]byte{s.ca.crl()}
	}
	return reply
}

func (v *server) bundles() *workload.X509BundlesResponse {
	reply := &workload.X509BundlesResponse{Bundles: map[string][]byte{"spiffe://" + v.state.domain: v.state.ca.cert.Raw}}
	for name, ca := range v.state.federated {
		reply.Bundles["spiffe://"+name] = ca.cert.Raw
	}
	return reply
}

var malformed = map[string]func(*workload.X509SVIDResponse){
	"no-svids": func(r *workload.X509SVIDResponse) { r.Svids = nil },
	"bad-der": func(r *workload.X509SVIDResponse) {
		r.Svids[0].X509Svid = append([]byte{0x30, 0x82, 0xff, 0xff}, r.Svids[0].X509Svid[4:]...)
	},
	"trailing-garbage": func(r *workload.X509SVIDResponse) {
		r.Svids[0].X509Svid = append(bytes.Clone(r.Svids[0].X509Svid), "garbage"...)
	},
	"empty-svid":   func(r *workload.X509SVIDResponse) { r.Svids[0].X509Svid = nil },
	"empty-key":    func(r *workload.X509SVIDResponse) { r.Svids[0].X509SvidKey = nil },
	"bad-key":      func(r *workload.X509SVIDResponse) { r.Svids[0].X509SvidKey = []byte("not a key") },
	"key-mismatch": func(r *workload.X509SVIDResponse) { r.Svids[0].X509SvidKey = pkcs8(newKey()) },
	"bad-bundle":   func(r *workload.X509SVIDResponse) { r.Svids[0].Bundle = []byte("not a bundle") },
	"empty-bundle": func(r *workload.X509SVIDResponse) { r.Svids[0].Bundle = nil },
	"wrong-id":     func(r *workload.X509SVIDResponse) { r.Svids[0].SpiffeId = "spiffe://example.org/somebody-else" },
	"bad-id":       func(r *workload.X509SVIDResponse) { r.Svids[0].SpiffeId = "https://example.org/" },
	"bad-federated": func(r *workload.X509SVIDResponse) {
		r.FederatedBundles["spiffe://partner.test"] = []byte("not a bundle")
	},
	"huge": func(r *workload.X509SVIDResponse) { // one byte field alone is above the client's 16 MiB
		r.Crl = [][]byte{bytes.Repeat([]byte{0}, 17<<20)}
	},
}

// reply makes the answer to FetchX509SVID; "bad-protobuf" is bytes that no protobuf parser accepts.
func (v *server) reply(mode string) any {
	if mode == "bad-protobuf" {
		return raw{0x0a, 0xff, 0xff, 0xff, 0xff}
	}
	reply := v.good()
	if change := malformed[mode]; change != nil {
		change(reply)
	}
	return reply
}

// codec is protobuf, except that raw goes out as it is.
type codec struct{}
type raw []byte

func (codec) Name() string { return "proto" }
func (codec) Marshal(message any) ([]byte, error) {
	switch message := message.(type) {
	case raw:
		return message, nil
	case proto.Message:
		return proto.Marshal(message)
	}
	return nil, fmt.Errorf("cannot marshal %T", message)
}
func (codec) Unmarshal(data []byte, message any) error {
	return proto.Unmarshal(data, message.(proto.Message))
}
