# SPDX-License-Identifier: Apache-2.0
"""The PyPI package `spiffe` as a client of our dev agent: prints one JSON object. Run by its own venv's Python.

usage: spiffe_fetch.py unix:///path/agent.sock
"""
import json
import sys

from spiffe import WorkloadApiClient

with WorkloadApiClient(sys.argv[1]) as client:
    context = client.fetch_x509_context()
    bundles = client.fetch_x509_bundles()
    print(json.dumps({
        "ids": [str(s.spiffe_id) for s in context.x509_svids],
        "hints": [getattr(s, "hint", None) for s in context.x509_svids],
        "serials": [str(s.leaf.serial_number) for s in context.x509_svids],
        "domains": sorted(str(getattr(b.trust_domain, "name", b.trust_domain)) for b in bundles.bundles),
    }))
