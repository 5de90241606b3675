// SPDX-License-Identifier: Apache-2.0

// Certificates with a verdict: go-spiffe's own test vectors, and a corpus of one certificate for every rule
// of X509-SVID.md and SPIFFE-ID.md. A Python test runs our verifier over the same files and compares.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// vectors says where the vectors in the go-spiffe module are.
func vectors(args []string) error {
	set := flag.NewFlagSet("vectors", flag.ExitOnError)
	module := set.String("module", ".", "directory of this module's go.mod")
	set.Parse(args)
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/spiffe/go-spiffe/v2")
	list.Dir, list.Stderr = *module, os.Stderr
	out, err := list.Output()
	if err != nil {
		return err
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "svid", "x509svid", "testdata")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		say(map[string]any{"event": "vector", "file": file})
	}
	return nil
}

// verify prints go-spiffe's verdicts for -svid (leaf first): may it be an SVID (what Parse checks, without the
// key), and does it verify against -bundle.
func verify(args []string) error {
	set := flag.NewFlagSet("verify", flag.ExitOnError)
	svid := set.String("svid", "", "PEM file")
	key := set.String("key", "", "PEM file: x509svid.Load's verdict too")
	bundle := set.String("bundle", "", "PEM file: the roots of the SVID's own trust domain")
	set.Parse(args)
	line := map[string]any{"event": "verdict"}
	if *key != "" {
		loaded, err := x509svid.Load(*svid, *key)
		line["load"] = errorText(err)
		if err == nil {
			line["id"] = loaded.ID.String()
		}
	}
	if *bundle != "" {
		line["verify"] = errorText(verifyFiles(*svid, *bundle))
	}
	say(line)
	return nil
}

func verifyFiles(svid, bundle string) error {
	text, err := os.ReadFile(svid)
	if err != nil {
		return err
	}
	var chain [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			chain = append(chain, block.Bytes)
		}
	}
	if len(chain) == 0 {
		return fmt.Errorf("no certificate")
	}
	roots, err := readCertificates(bundle)
	if err != nil {
		return err
	}
	return goVerdict(chain, roots)
}

// goVerdict verifies against a bundle that is taken to be the leaf's own trust domain's.
func goVerdict(chain [][]byte, roots []*x509.Certificate) error {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	id, err := x509svid.IDFromCert(leaf)
	if err != nil {
		return err
	}
	_, _, err = x509svid.ParseAndVerify(chain, x509bundle.FromX509Authorities(id.TrustDomain(), roots))
	return err
}

// corpus writes CASE.pem (chain, leaf first) and bundle.pem to a directory and one line for each case: what
// the standard says (good) and what go-spiffe says.
func corpus(args []string) error {
	set := flag.NewFlagSet("corpus", flag.ExitOnError)
	dir := set.String("dir", "", "where to write")
	set.Parse(args)
	ca := newAuthority("example.org")
	if err := writePEM(filepath.Join(*dir, "bundle.pem"), "CERTIFICATE", ca.cert.Raw); err != nil {
		return err
	}
	for i, c := range append(ruleCases(ca), idCases(ca)...) {
		file := filepath.Join(*dir, fmt.Sprintf("case-%03d.pem", i))
		var ders [][]byte
		for _, cert := range c.chain {
			ders = append(ders, cert.Raw)
		}
		if err := writePEM(file, "CERTIFICATE", ders...); err != nil {
			return err
		}
		verdict := goVerdict(ders, []*x509.Certificate{ca.cert})
		line := map[string]any{"event": "case", "name": c.name, "file": file, "good": c.good,
			"go": verdict == nil, "go_error": errorText(verdict)}
		if c.id != "" {
			_, err := spiffeid.FromString(c.id)
			line["go_id"] = err == nil
		}
		say(line)
	}
	return nil
}
