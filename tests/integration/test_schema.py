# SPDX-License-Identifier: Apache-2.0
"""Do docs/svidwrap.schema.json, by which editors judge a configuration, and the parser judge files alike?"""
import glob
import json
import os
import re

import jsonschema
import yaml

from harness import NATIVE, ROOT, SVIDWRAP, Skip, need

RULE = "allow: [ 'spiffe://d/a' ]"


class Loader(yaml.SafeLoader):
    """YAML 1.2's scalars, as editors read them: off is a word, 7000:80 is no number."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (("bool", r"(true|false)", "tf"), ("null", r"(~|null|)", ["~", "n", ""]),
                            ("int", r"-?[0-9]+", "-0123456789"), ("float", r"-?[0-9]+\.[0-9]+", "-0123456789")):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^{pattern}$"), list(first))

GOOD = [
    "", "# nothing\n", "listen: []", "io_uring: deny", "io_uring: ${X:-deny}",
    f"listen: [{{port: 1, {RULE}}}]", f"listen: [{{port: '1', {RULE}}}]", f"listen: [{{port: 65535, {RULE}}}]",
    f"listen: [{{port: 7000-7010, {RULE}}}]", f"listen: [{{port: '1, 3-4', {RULE}}}]",
    f"listen: [{{port: [1, 3-4, '7,9'], {RULE}}}]", f"listen: [{{port: '${{P:-1}}', {RULE}}}]",
    "listen: [{port: 1, mode: off}]", "listen: [{port: 1, mode: 'off'}]", "listen: [{port: 1, mode: '${M:-off}'}]",
    f"listen: [{{port: 1, mode: permissive, detect_timeout: 1s, plaintext_from: [10.0.0.0/8, 'fd00::/8', "
    f"'[::1]', 192.0.2.7], {RULE}}}]",
    f"listen: [{{port: 1, name: 6379, policy: audit, deny: ['spiffe://d/*/**'], {RULE}}}]",
    f"listen: [{{port: 1, identity: {{spiffe_id: spiffe://d/me}}, truncation: eof, {RULE}}}]",
    f"listen: [{{port: 1, identity: {{hint: x}}, on_revoke: keep, on_policy_change: keep, resumption: off, {RULE}}}]",
    f"listen: [{{port: 1, limits: {{connections: 5, rate: 5/s, burst: 7, connections_per_peer: 1, "
    f"rate_per_peer: 1/s, burst_per_peer: 2}}, {RULE}}}]",
    "listen: [{port: 1, allow: ['spiffe://{trust_domain}/a', 'spiffe://*/**', 'spiffe://a.b-c_d/e/*/f']}]",
    f"connect: [{{to: '*:1', {RULE}}}]", f"connect: [{{to: 10.0.0.0/8:6379, {RULE}}}]",
    f"connect: [{{to: '10.0.0.1:1,3-4', {RULE}}}]", f"connect: [{{to: '[fd00::]/8:80', {RULE}}}]",
    f"connect: [{{to: ['redis.example.org:6379', localhost:80], {RULE}}}]",
    f"connect: [{{to: '*:1', mode: canary, percent: 25, sticky: process, on_failure: suspend, suspend_for: 5m, {RULE}}}]",
    f"connect: [{{to: '*:1', percent: '25', deny_errno: EHOSTUNREACH, sni: x.y, alpn: [h2, http/1.1], {RULE}}}]",
    "workload_api: {socket: unix:///run/agent.sock}", "workload_api: {socket: 'tcp://127.0.0.1:8081'}",
    "identity: {spiffe_id: spiffe://d/a, scope: daemon}", "identity: {hint: internal}",
    "log: {to: /var/log/x, format: json, level: debug}", "log: {to: stderr}", "audit: {to: syslog, required: true}",
    "audit: {required: 'false'}", "metrics: {listen: '127.0.0.1:9464'}", "metrics: {listen: '[::1]:9464'}",
    "metrics: {listen: 'unix:/run/x.sock'}", "state_dir: /var/lib/svidwrap", "enforce_config: true",
    "handshake_timeout: 500ms", "identity_wait: 0", "daemon: {linger: 1h, threads: 4}",
]
BAD = [
    "[1]", "words", "listne: []", "listen: {port: 1}", "listen:", "listen: [1]", "listen: [{port: 1}]",
    f"listen: [{{{RULE}}}]", f"connect: [{{{RULE}}}]", f"connect: [{{port: 1, {RULE}}}]", f"listen: [{{to: '*:1', {RULE}}}]",
    "listen: [{port: 1, mode: enforce}]", "listen: [{port: 1, mode: permissive}]", "connect: [{to: '*:1', mode: canary}]",
    "listen: [{port: 1, allow: []}]", "listen: [{port: 1, allow: spiffe://d/a}]", "listen: [{port: 1, allow: [1]}]",
    "listen: [{port: 1, allow: ['**']}]", "listen: [{port: 1, allow: ['spiffe://d']}]",
    "listen: [{port: 1, allow: ['spiffe://d/']}]", "listen: [{port: 1, allow: ['spiffe://d/a*']}]",
    "listen: [{port: 1, allow: ['spiffe://d/../a']}]", "listen: [{port: 1, allow: ['spiffe://D/a']}]",
    "listen: [{port: 1, allow: ['spiffe://**/a']}]", "listen: [{port: 1, allow: ['spiffe://d/{trust_domain}']}]",
    f"listen: [{{port: 0, {RULE}}}]", f"listen: [{{port: 65536, {RULE}}}]", f"listen: [{{port: redis, {RULE}}}]",
    f"listen: [{{port: [], {RULE}}}]", f"listen: [{{port: 1-, {RULE}}}]", f"listen: [{{port: true, {RULE}}}]",
    f"listen: [{{port: 1, mode: canary, {RULE}}}]", f"connect: [{{to: '*:1', mode: permissive, {RULE}}}]",
    f"listen: [{{port: 1, policy: on, {RULE}}}]", f"listen: [{{port: 1, percent: 5, {RULE}}}]",
    f"listen: [{{port: 1, deny: [], {RULE}}}]", f"listen: [{{port: 1, dney: [], {RULE}}}]",
    f"listen: [{{port: 1, name: '', {RULE}}}]", f"listen: [{{port: 1, resumption: maybe, {RULE}}}]",
    f"listen: [{{port: 1, detect_timeout: 1, {RULE}}}]", f"listen: [{{port: 1, plaintext_from: 10.0.0.1, {RULE}}}]",
    f"listen: [{{port: 1, plaintext_from: [web.test], {RULE}}}]", f"listen: [{{port: 1, plaintext_from: ['*'], {RULE}}}]",
    f"listen: [{{port: 1, identity: {{spiffe_id: spiffe://d/a, hint: b}}, {RULE}}}]",
    f"listen: [{{port: 1, identity: {{spiffe_id: spiffe://d}}, {RULE}}}]",
    f"listen: [{{port: 1, identity: {{scope: daemon}}, {RULE}}}]",
    f"listen: [{{port: 1, limits: {{rate: 5}}, {RULE}}}]", f"listen: [{{port: 1, limits: {{rate: 5/m}}, {RULE}}}]",
    f"listen: [{{port: 1, limits: {{burst: 5}}, {RULE}}}]", f"listen: [{{port: 1, limits: {{connections: 0}}, {RULE}}}]",
    f"listen: [{{port: 1, limits: 5, {RULE}}}]", f"connect: [{{to: '10.0.0.1', {RULE}}}]",
    f"connect: [{{to: '*', {RULE}}}]", f"connect: [{{to: ':80', {RULE}}}]", f"connect: [{{to: '::1:80', {RULE}}}]",
    f"connect: [{{to: 'a b:80', {RULE}}}]", f"connect: [{{to: 'web.test/24:80', {RULE}}}]", f"connect: [{{to: [], {RULE}}}]",
    f"connect: [{{to: '*:1', percent: 101, {RULE}}}]", f"connect: [{{to: '*:1', percent: -1, {RULE}}}]",
    f"connect: [{{to: '*:1', deny_errno: EPERM, {RULE}}}]", f"connect: [{{to: '*:1', alpn: h2, {RULE}}}]",
    f"connect: [{{to: '*:1', alpn: [], {RULE}}}]", f"connect: [{{to: '*:1', sticky: thread, {RULE}}}]",
    f"connect: [{{to: '*:1', on_failure: plaintext, {RULE}}}]", f"connect: [{{to: '*:1', detect_timeout: 1s, {RULE}}}]",
    "workload_api: {socket: /run/agent.sock}", "workload_api: unix:/x", "identity: {spiffe_id: spiffe://d/a, hint: b}",
    "identity: {scope: host}", "log: stderr", "log: {to: here.log}", "log: {to: }", "log: {level: loud}",
    "log: {lvel: info}", "audit: {required: yes}", "metrics: {listen: 9464}", "metrics: {listen: 'localhost:9464'}",
    "metrics: {listen: unix:x.sock}", "state_dir: here", "enforce_config: 1", "handshake_timeout: 10",
    "handshake_timeout: 1d", "daemon: {threads: 257}", "daemon: {threads: many}", "io_uring: allow",
]


def judge(t, schema, text):
    path = os.path.join(t.dir, "judged.yaml")
    with open(path, "w") as f:
        f.write(text)
    p = t.spawn([SVIDWRAP, "config", "check", path])
    rc = p.wait()
    assert rc in (0, 78), (text, rc, p.text())
    return not list(schema.iter_errors(yaml.load(text, Loader))), rc == 0, p.text()


def example(path):
    """A file of examples/; those of the migration hold words that its rehearsal fills in."""
    with open(path) as f:
        text = f.read()
    for word, value in (("AGENT", "/run/agent.sock"), ("LOG", "/var/log/svidwrap"), ("APP", "8080"), ("REDIS", "6379")):
        text = re.sub(rf"\b{word}\b", value, text)
    return text


def test_the_schema_and_the_parser_judge_alike(t):
    if NATIVE:
        raise Skip("about svidwrap itself")
    need(SVIDWRAP)
    with open(os.path.join(ROOT, "docs", "svidwrap.schema.json")) as f:
        raw = json.load(f)
    jsonschema.Draft7Validator.check_schema(raw)
    schema = jsonschema.Draft7Validator(raw)
    files = [example(p) for p in sorted(glob.glob(os.path.join(ROOT, "examples", "**", "*.yaml"), recursive=True))]
    files = [text for text in files if "selectors:" not in text]  # the dev agent's
    assert files
    wrong = []
    for text, want in [(text, True) for text in files] + [(g, True) for g in GOOD] + [(b, False) for b in BAD]:
        by_schema, by_parser, said = judge(t, schema, text)
        if by_schema != want or by_parser != want:
            wrong.append(f"{text!r}: should be {want}; the schema says {by_schema}, the parser {by_parser}: {said[-200:]}")
    assert not wrong, "\n".join(wrong)
