/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - what a policy is made of; shared by the files of this directory and by nobody else.
 */
#ifndef POLICY_INTERNAL_H
#define POLICY_INTERNAL_H

#include "policy.h"
#include "pool.h"
#include "yaml.h"

#include <stdatomic.h>

/* One port range at one address range, as in struct rules_entry. */
struct policy_entry {
  struct policy_entry *next;
  uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
  uint8_t prefix;   /* 0: any address of either family */
  uint16_t lo, hi;
  unsigned line, col;
  const struct policy_host *host; /* by name; addr and prefix say nothing then */
};

/* A host name of connect rules: once, however many rules name it. */
struct policy_host {
  struct policy_host *next;
  const char *name; /* lower case, no dot at the end */
  uint32_t offset;  /* in rules_table.names */
};
/* Where a rule names a host. */
struct policy_mention {
  struct policy_mention *next;
  const struct policy_host *host;
  uint32_t rule;
};

/* An address range: plaintext_from */
struct policy_network {
  uint8_t addr[16];
  uint8_t prefix;
};
struct policy_networks {
  struct policy_network *items;
  size_t count;
};

/* A pattern of an allow or deny list, cut into path segments. */
enum policy_token_kind { TOKEN_EXACT, TOKEN_ONE, TOKEN_ANY }; /* "**" is ONE ANY: at least one segment */
struct policy_token {
  enum policy_token_kind kind;
  const char *text;
  size_t len;
};
enum policy_domain_kind { DOMAIN_SPELLED, DOMAIN_OWN, DOMAIN_ANY };
struct policy_pattern {
  const char *text; /* as written */
  enum policy_domain_kind domain_kind;
  const char *domain; /* DOMAIN_SPELLED */
  size_t domain_len;
  struct policy_token *tokens;
  size_t token_count;
};
struct policy_patterns {
  struct policy_pattern *items;
  size_t count;
};

struct policy_item {
  struct policy_rule rule;
  unsigned col;
  bool named;        /* by the file, not by us */
  const char *where; /* "6379, 7000-7010" or "10.0.0.0/8:6379", as written */
  struct policy_entry *entries, **entries_tail;
  struct policy_patterns allow, deny;
  struct policy_networks plaintext_from;
};

struct policy {
  _Atomic unsigned refs;
  struct policy *base; /* a copy with another mode: whose memory the rest is in */
  struct pool pool;
  const char *path;
  struct policy_settings settings;
  struct policy_item *items;
  size_t item_count;
  uint32_t entry_count;
  struct policy_host *hosts, **hosts_tail;
  struct policy_mention *mentions, **mentions_tail;
  uint32_t mention_count;
  uint32_t names_len; /* of all hosts' names in a table */
};

/* While a file is read. Every reader below returns 0, or -1 after reader_fail(). */
struct reader {
  struct policy *policy;
  const char *path;
  policy_lookup lookup;
  void *arg;
  bool as_written; /* no overrides by the environment */
  size_t expanded; /* bytes that variables brought in so far */
  char *why;
  size_t why_len;
};
int reader_fail(struct reader *r, const struct ynode *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A key of a map: what it is called, who reads its value into target + offset. */
struct reader_key {
  const char *name;
  int (*read)(struct reader *r, const struct ynode *value, const struct reader_key *key, void *target);
  size_t offset;
  const void *more; /* choices, or the bounds of a number */
};
struct reader_choice {
  const char *name;
  int value;
};
struct reader_bounds {
  uint32_t min, max;
};
/* Reads a map by its table of keys (ends with a NULL name; at most 32). Unknown and repeated keys are
 * errors. *seen receives a bit for each key that was there. what: "a listen rule". */
int reader_map(struct reader *r, const struct ynode *map, const char *what, const struct reader_key *keys,
               void *target, uint32_t *seen);

/* A scalar's text with ${NAME} and ${NAME:-default} replaced. NULL after reader_fail(). what: for the message,
 * "a port". */
const char *reader_text(struct reader *r, const struct ynode *n, const char *what);

/* For tables of keys. */
int reader_string(struct reader *, const struct ynode *, const struct reader_key *, void *); /* const char * */
int reader_pick(struct reader *, const struct ynode *, const struct reader_key *, void *);   /* int; choices */
int reader_duration(struct reader *, const struct ynode *, const struct reader_key *,
                    void *);                                                                 /* uint32_t ms; bounds */
int reader_number(struct reader *, const struct ynode *, const struct reader_key *, void *); /* uint32_t; bounds */
int reader_rate(struct reader *, const struct ynode *, const struct reader_key *, void *);   /* uint32_t; bounds */
int reader_bool(struct reader *, const struct ynode *, const struct reader_key *, void *);   /* bool */
int reader_spiffe_id(struct reader *, const struct ynode *, const struct reader_key *, void *); /* const char * */
int reader_target(struct reader *, const struct ynode *, const struct reader_key *, void *); /* const char *: a log */
int reader_patterns(struct reader *, const struct ynode *, const struct reader_key *,
                    void *); /* struct policy_patterns */
int reader_alpn(struct reader *, const struct ynode *, const struct reader_key *, void *);    /* struct policy_alpn */
int reader_path(struct reader *, const struct ynode *, const struct reader_key *, void *);    /* const char * */
int reader_metrics(struct reader *, const struct ynode *, const struct reader_key *, void *); /* const char * */
int reader_endpoint(struct reader *, const struct ynode *, const struct reader_key *, void *); /* const char * */

/* Names of protocols in wire format (RFC 7301). */
struct policy_alpn {
  const uint8_t *list;
  size_t len;
};

/* address.c: ports ("6379", "7000-7010", "6379,7000-7010") and destinations ("10.0.0.0/8:6379") into entries. */
int reader_ports(struct reader *r, const struct ynode *value, struct policy_item *item);
int reader_destinations(struct reader *r, const struct ynode *value, struct policy_item *item);
int reader_networks(struct reader *, const struct ynode *, const struct reader_key *, void *); /* policy_networks */
/* "10.0.0.0/8:6379", "[fd00::]/8:80-90", "*:443" of one entry. */
void address_network_text(const struct policy_network *n, char *buf, size_t len); /* "10.0.0.0/8", "fd00::/8" */
#define ADDRESS_TEXT 300                                                          /* room for any of them */
void address_text(const struct policy_entry *e, bool listen, char *buf, size_t len);

/* "*" is not one: a name of a host as rules may hold it, into lower case and without a dot at its end. -1: none. */
int address_host_name(const char *text, char lower[256]);

/* pattern.c. self: our own ID, or NULL where it is not known: {trust_domain} is nobody's then, unless unknown_matches
 * (a deny list, which must not get shorter by what is not known). */
int pattern_compile(struct pool *pool, const char *text, struct policy_pattern *out, const char **why);
const struct policy_pattern *patterns_match(const struct policy_patterns *list, const struct spiffeid *self,
                                            const struct spiffeid *id, bool unknown_matches);

/* modes.c: the index of the rule with this name; -1 and a message that tells which there are. */
int policy_find(const struct policy *p, const char *rule, char *why, size_t why_len);

/* modes.c: why an item cannot have this mode and percentage (UINT32_MAX: as it is); NULL: it can. */
const char *policy_mode_wrong(const struct policy_item *item, enum rules_mode mode, uint32_t percent);

/* What a file may say: of the whole, of a rule. Behind `more` of a key that is a map stands the table of its keys. */
extern const struct reader_key policy_keys[], policy_listen_keys[], policy_connect_keys[];

/* rule.c: the listen: and connect: lists. */
int reader_rules(struct reader *r, const struct ynode *listen, const struct ynode *connect);

/* overrides.c: modes and percentages by the environment. */
int reader_overrides(struct reader *r);

/* policy.c: policy_parse() without overrides. */
struct policy *policy_parse_as_written(const char *path, const char *text, size_t len, policy_lookup lookup,
                                       void *arg, char *why, size_t why_len);

/* expand.c */
const char *expand_variables(struct reader *r, const struct ynode *n);

#endif
