// SPDX-License-Identifier: Apache-2.0

// The corpus: one certificate a rule, kept and broken. `good` is what the standard says, by hand; go-spiffe's
// verdict is computed beside it.
package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"
)

type certCase struct {
	name  string
	good  bool
	id    string
	chain []*x509.Certificate
}

const goodID = "spiffe://example.org/workload"

func ruleCases(ca *authority) []certCase {
	leaf := func(name string, good bool, change func(*x509.Certificate)) certCase {
		template := leafTemplate(time.Hour, goodID)
		if change != nil {
			change(template)
		}
		return certCase{name: name, good: good, chain: []*x509.Certificate{issue(template, ca.cert, newKey().Public(), ca.key)}}
	}
	below := func(name string, good bool, change func(*x509.Certificate)) certCase {
		middle := ca.intermediate("example.org", change)
		cert, _ := middle.svid(goodID, time.Hour)
		return certCase{name: name, good: good, chain: []*x509.Certificate{cert, middle.cert}}
	}
	usage := func(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(t *x509.Certificate) { t.ExtKeyUsage = usages }
	}
	san := func(extension pkix.Extension) func(*x509.Certificate) {
		return func(t *x509.Certificate) { t.ExtraExtensions = []pkix.Extension{extension} }
	}
	stranger, _ := newAuthority("example.org").svid(goodID, time.Hour)
	selfKey := newKey()
	self := issue(leafTemplate(time.Hour, goodID), nil, selfKey.Public(), selfKey)
	return []certCase{
		leaf("plain leaf", true, nil),
		leaf("no extended key usage", true, usage()),
		leaf("server and client and another usage", true, usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageOCSPSigning)),
		leaf("serverAuth alone", false, usage(x509.ExtKeyUsageServerAuth)),
		leaf("clientAuth alone", false, usage(x509.ExtKeyUsageClientAuth)),
		leaf("key encipherment beside digitalSignature", true, func(t *x509.Certificate) { t.KeyUsage |= x509.KeyUsageKeyEncipherment }),
		leaf("no digitalSignature", false, func(t *x509.Certificate) { t.KeyUsage = x509.KeyUsageKeyEncipherment }),
		leaf("no key usage at all", false, func(t *x509.Certificate) { t.KeyUsage = 0 }),
		leaf("keyCertSign", false, func(t *x509.Certificate) { t.KeyUsage |= x509.KeyUsageCertSign }),
		leaf("cRLSign", false, func(t *x509.Certificate) { t.KeyUsage |= x509.KeyUsageCRLSign }),
		leaf("leaf is a CA", false, func(t *x509.Certificate) { t.IsCA = true }),
		leaf("no basic constraints", true, func(t *x509.Certificate) { t.BasicConstraintsValid = false }),
		leaf("expired", false, func(t *x509.Certificate) {
			t.NotBefore, t.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}),
		leaf("not yet valid", false, func(t *x509.Certificate) { t.NotBefore = time.Now().Add(30 * time.Minute) }),
		leaf("two URI SANs", false, san(uriSANs(goodID, "spiffe://example.org/other"))),
		leaf("the same URI SAN twice", false, san(uriSANs(goodID, goodID))),
		leaf("a SPIFFE ID and an https URI", false, san(uriSANs(goodID, "https://example.org/"))),
		leaf("no SAN", false, func(t *x509.Certificate) { t.ExtraExtensions = nil; t.Subject.CommonName = goodID }),
		leaf("a DNS SAN only", false, func(t *x509.Certificate) { t.ExtraExtensions = nil; t.DNSNames = []string{"example.org"} }),
		leaf("a DNS SAN beside the ID", true, san(mixedSAN(goodID, "db.example.org"))),
		leaf("an unknown critical extension", false, func(t *x509.Certificate) {
			t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5}, Critical: true, Value: []byte{5, 0}})
		}),
		leaf("an unknown extension, not critical", true, func(t *x509.Certificate) {
			t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5}, Value: []byte{5, 0}})
		}),
		below("through an intermediate", true, nil),
		below("intermediate is no CA", false, func(t *x509.Certificate) { t.IsCA = false; t.KeyUsage = x509.KeyUsageDigitalSignature }),
		below("intermediate without keyCertSign", false, func(t *x509.Certificate) { t.KeyUsage = x509.KeyUsageDigitalSignature }),
		below("intermediate expired", false, func(t *x509.Certificate) {
			t.NotBefore, t.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}),
		withoutIntermediate(ca),
		{name: "another CA of the same name", chain: []*x509.Certificate{stranger}},
		{name: "self-signed", chain: []*x509.Certificate{self}},
		{name: "the CA itself", chain: []*x509.Certificate{ca.cert}},
	}
}

func withoutIntermediate(ca *authority) certCase {
	cert, _ := ca.intermediate("example.org", nil).svid(goodID, time.Hour)
	return certCase{name: "intermediate left out", chain: []*x509.Certificate{cert}}
}

func mixedSAN(uri, dns string) pkix.Extension {
	value, err := asn1.Marshal([]asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)},
		{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(dns)},
	})
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: sanOID, Value: value}
}

// idCases puts an ID into an otherwise good leaf. The trust domain stays example.org where it can, so that
// the path to the root is never the reason.
func idCases(ca *authority) []certCase {
	var cases []certCase
	add := func(id string, good bool) {
		cert := issue(leafTemplate(time.Hour, id), ca.cert, newKey().Public(), ca.key)
		cases = append(cases, certCase{name: fmt.Sprintf("id %.80q", id), good: good, id: id, chain: []*x509.Certificate{cert}})
	}
	pad := func(n int) string {
		return "spiffe://example.org/" + strings.Repeat("a", n-len("spiffe://example.org/"))
	}
	for _, id := range []string{"spiffe://example.org/a", "spiffe://example.org/A/b-C_d.e/0", "spiffe://example.org/.a",
		"spiffe://example.org/...", "spiffe://example.org/..a/b", pad(2048)} {
		add(id, true)
	}
	for _, id := range []string{"", "spiffe:", "spiffe://", "spiffe:///a", "spiffe://example.org", "spiffe://example.org/",
		"spiffe://example.org//a", "spiffe://example.org/a/", "spiffe://example.org/a//b", "spiffe://example.org/.",
		"spiffe://example.org/..", "spiffe://example.org/./a", "spiffe://example.org/a/../b", "spiffe://example.org/a/..",
		"spiffe://Example.org/a", "spiffe://example.org:8080/a", "spiffe://user@example.org/a", "spiffe://user:x@example.org/a",
		"spiffe://example.org/a?b=c", "spiffe://example.org/a#b", "spiffe://example.org/%61", "spiffe://%65xample.org/a",
		"spiffe://example.org/a b", "spiffe://example.org/\u00e9", "https://example.org/a", "Spiffe://example.org/a",
		"SPIFFE://example.org/a", "spiffe:/example.org/a", "//example.org/a", "example.org/a", " spiffe://example.org/a",
		"spiffe://example.org/a ", "spiffe://example.org/a\x00", "spiffe://example.org\x00.evil.test/a",
		"spiffe://example.org/a\x00b", "spiffe://example.org/a\n", "spiffe://[::1]/a", "spiffe://example,org/a",
		"spiffe://" + strings.Repeat("a", 256) + "/a", pad(2049)} {
		add(id, false)
	}
	for c := 1; c < 128; c++ { // every ASCII character in a path segment and in a trust domain
		char := string(rune(c))
		letters := "abcdefghijklmnopqrstuvwxyz0123456789.-_"
		if char != "/" {
			add("spiffe://example.org/x"+char+"y", strings.Contains(letters+"ABCDEFGHIJKLMNOPQRSTUVWXYZ", char))
		}
		if !strings.Contains(letters+"/", char) {
			add("spiffe://example"+char+"org/x", false)
		}
	}
	return cases
}
