// SPDX-License-Identifier: Apache-2.0

// go-spiffe as a client of a Workload API: what it accepts from our dev agent, any other client may.
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// fetch prints one line an update: -updates of them, within -timeout.
func fetch(args []string) error {
	set := flag.NewFlagSet("fetch", flag.ExitOnError)
	agent := set.String("agent", "", "Workload API address")
	updates := set.Int("updates", 1, "stop after this many")
	timeout := set.Duration("timeout", 20*time.Second, "give up")
	bundles := set.Bool("bundles", false, "FetchX509Bundles instead")
	once := set.Bool("once", false, "no retry: fail with the agent's answer")
	set.Parse(args)
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(*agent))
	if err != nil {
		return err
	}
	defer client.Close()
	if *bundles {
		return fetchBundles(ctx, client)
	}
	if *once {
		if _, err := client.FetchX509SVIDs(ctx); err != nil {
			return err
		}
	}
	watcher := &contextWatcher{left: *updates, done: cancel}
	err = client.WatchX509Context(ctx, watcher)
	if watcher.left > 0 {
		return fmt.Errorf("%d updates missing: %w (last: %v)", watcher.left, err, watcher.last)
	}
	return nil
}

func fetchBundles(ctx context.Context, client *workloadapi.Client) error {
	set, err := client.FetchX509Bundles(ctx)
	if err != nil {
		return err
	}
	domains := map[string]int{}
	for _, b := range set.Bundles() {
		domains[b.TrustDomain().Name()] = len(b.X509Authorities())
	}
	say(map[string]any{"event": "bundles", "domains": domains})
	return nil
}

type contextWatcher struct {
	left int
	done func()
	last error
}

func (w *contextWatcher) OnX509ContextUpdate(c *workloadapi.X509Context) {
	if w.left <= 0 {
		return
	}
	svids := []map[string]any{}
	for _, svid := range c.SVIDs {
		_, _, err := x509svid.Verify(svid.Certificates, c.Bundles)
		svids = append(svids, map[string]any{
			"id": svid.ID.String(), "hint": svid.Hint, "serial": svid.Certificates[0].SerialNumber.String(),
			"not_after": svid.Certificates[0].NotAfter.Unix(), "chain": len(svid.Certificates),
			"verify": errorText(err),
		})
	}
	domains := map[string]int{}
	for _, b := range c.Bundles.Bundles() {
		domains[b.TrustDomain().Name()] = len(b.X509Authorities())
	}
	say(map[string]any{"event": "update", "svids": svids, "domains": domains})
	if w.left--; w.left == 0 {
		w.done()
	}
}

func (w *contextWatcher) OnX509ContextWatchError(err error) { w.last = err }
