// SPDX-License-Identifier: Apache-2.0

// A CA in memory that issues good SVIDs and, on request, every kind of bad one. Keys are P-256 where nothing else is
// asked for, and never leave the process except as test files.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

type authority struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	above   []*x509.Certificate // intermediates from here up to the root, which is left out
	revoked []x509.RevocationListEntry
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// newKeyOf makes a key of a kind: p256, p384, p521, rsa2048, rsa3072, rsa4096 or ed25519.
func newKeyOf(kind string) (crypto.Signer, error) {
	switch kind {
	case "p256":
		return newKey(), nil
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "rsa2048", "rsa3072", "rsa4096":
		var bits int
		fmt.Sscanf(kind, "rsa%d", &bits)
		return rsa.GenerateKey(rand.Reader, bits)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("no such kind of key: %q", kind)
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err)
	}
	return n
}

var sanOID = asn1.ObjectIdentifier{2, 5, 29, 17}

// uriSANs is the raw extension: crypto/x509 itself refuses to issue some URIs that we want to see refused.
func uriSANs(uris ...string) pkix.Extension {
	var names []asn1.RawValue
	for _, uri := range uris {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)})
	}
	value, err := asn1.Marshal(names)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: sanOID, Value: value}
}

func caTemplate(domain string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"gopeer test CA"}},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtraExtensions: []pkix.Extension{uriSANs("spiffe://" + domain)},
	}
}

func newAuthority(domain string) *authority {
	key := newKey()
	return &authority{cert: issue(caTemplate(domain), nil, key.Public(), key), key: key}
}

// intermediate signs a CA below a; change may break it.
func (a *authority) intermediate(domain string, change func(*x509.Certificate)) *authority {
	key, template := newKey(), caTemplate(domain)
	template.Subject.Organization = []string{"gopeer test intermediate"}
	if change != nil {
		change(template)
	}
	cert := issue(template, a.cert, key.Public(), a.key)
	return &authority{cert: cert, key: key, above: append([]*x509.Certificate{cert}, a.above...)}
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		cert = &x509.Certificate{Raw: der} // Go will not even parse it: that too is a verdict
	}
	return cert
}

func leafTemplate(ttl time.Duration, uris ...string) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"gopeer"}},
		NotBefore: time.Now().Add(-5 * time.Second), NotAfter: time.Now().Add(ttl),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if len(uris) > 0 {
		template.ExtraExtensions = []pkix.Extension{uriSANs(uris...)}
	}
	return template
}

func (a *authority) svid(id string, ttl time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	key := newKey()
	return issue(leafTemplate(ttl, id), a.cert, key.Public(), a.key), key
}

// svidOf is svid() with a key of a kind, and the chain that goes with it, in DER.
func (a *authority) svidOf(kind, id string, ttl time.Duration) ([]byte, crypto.Signer, error) {
	key, err := newKeyOf(kind)
	if err != nil {
		return nil, nil, err
	}
	chain := issue(leafTemplate(ttl, id), a.cert, key.Public(), a.key).Raw
	for _, cert := range a.above {
		chain = append(chain, cert.Raw...)
	}
	return chain, key, nil
}

func pkcs8(key crypto.Signer) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return der
}

func (a *authority) crl() []byte {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(int64(1 + len(a.revoked))), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: a.revoked,
	}, a.cert, a.key)
	if err != nil {
		panic(err)
	}
	return der
}

// revoke puts the leaf of a PEM file on the list.
func (a *authority) revoke(file string) error {
	certs, err := readCertificates(file)
	if err == nil && len(certs) > 0 {
		a.revoked = append(a.revoked, x509.RevocationListEntry{SerialNumber: certs[0].SerialNumber, RevocationTime: time.Now()})
	}
	return err
}

// mint writes svid.pem, key.pem and bundle.pem for peers that read files.
func (a *authority) mint(id, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	leaf, key := a.svid(id, time.Hour)
	if err := writePEM(filepath.Join(dir, "svid.pem"), "CERTIFICATE", leaf.Raw); err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "key.pem"), "PRIVATE KEY", pkcs8(key)); err != nil {
		return err
	}
	return a.writeBundle(filepath.Join(dir, "bundle.pem"))
}

func (a *authority) writeBundle(file string) error {
	return writePEM(file, "CERTIFICATE", a.cert.Raw)
}
