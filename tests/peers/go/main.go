// SPDX-License-Identifier: Apache-2.0

// gopeer is the test suite's independent opposite number: TLS peers and a Workload API server on go-spiffe,
// crypto/tls and grpc-go, of which svidwrap uses nothing. It proves that what we speak is what others speak;
// it is never part of the product.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

var commands = map[string]func(args []string) error{
	"serve":           serve,
	"dial":            dial,
	"fetch":           fetch,
	"workload-server": workloadServer,
	"vectors":         vectors,
	"verify":          verify,
	"corpus":          corpus,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: gopeer serve|dial|fetch|workload-server|vectors|verify|corpus [flags]")
		os.Exit(64)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		say(map[string]any{"event": "error", "error": err.Error()})
		os.Exit(1)
	}
}

// say prints one JSON line on stdout: what the tests read.
func say(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(text, '\n'))
}
