/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_print.c - the status document as tables; see status.h. The daemon has cleaned every string of control
 * characters.
 */
#include "status.h"
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SOON_S 60 /* an SVID that expires within a minute is worth a colour */

static const char *text(const json_t *o, const char *key) {
  const char *s = json_string_value(json_object_get(o, key));
  return s ? s : "";
}

static int64_t number(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }
static bool truth(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }

static void heading(FILE *to, const struct status_view *v, const char *name) {
  fputc('\n', to);
  table_text(to, v->coloured, TABLE_BOLD, name);
  fputc('\n', to);
}

/* -- the daemon -- */

static void print_totals(FILE *to, const struct status_view *v, const json_t *totals, const char *direction) {
  const json_t *d = json_object_get(totals, direction);
  const char *key;
  json_t *n;
  bool any = false;
  fprintf(to, "  %-9s", direction);
  json_object_foreach((json_t *)(uintptr_t)d, key, n) {
    char word[64];
    if (json_integer_value(n) == 0)
      continue;
    snprintf(word, sizeof word, "%s%" PRId64 " %s", any ? ", " : "", (int64_t)json_integer_value(n), key);
    bool bad = strcmp(key, "denied") == 0 || strcmp(key, "failed") == 0 || strcmp(key, "refused_by_peer") == 0;
    bool odd = strcmp(key, "plaintext") == 0 || strcmp(key, "would_deny") == 0;
    table_text(to, v->coloured, bad ? TABLE_RED : odd ? TABLE_YELLOW : TABLE_PLAIN, word);
    any = true;
  }
  fputs(any ? "\n" : "nothing yet\n", to);
}

static void print_daemon(FILE *to, const struct status_view *v, const json_t *root) {
  char up[32], line[512];
  table_text(to, v->coloured, TABLE_BOLD, "svidwrap ");
  table_text(to, v->coloured, TABLE_BOLD, text(root, "version"));
  fprintf(to, ": daemon pid %" PRId64 ", uid %" PRId64 ", up %s", number(root, "pid"), number(root, "uid"),
          table_duration(up, number(root, "uptime_ms")));
  if (text(root, "metrics")[0])
    fprintf(to, ", metrics at %s", text(root, "metrics"));
  fputc('\n', to);
  const json_t *totals = json_object_get(root, "totals");
  if (!totals) /* root's daemon tells us about our own uid only */
    return;
  print_totals(to, v, totals, "inbound");
  print_totals(to, v, totals, "outbound");
  size_t i;
  json_t *target;
  json_array_foreach(json_object_get(root, "audit"), i, target) {
    if (number(target, "lost") == 0)
      continue;
    snprintf(line, sizeof line, "  audit    %" PRId64 " lines to %.300s were lost\n", number(target, "lost"),
             text(target, "to"));
    table_text(to, v->coloured, TABLE_RED, line);
  }
}

/* -- sessions -- */

static void expiry(struct table *t, int64_t at) {
  int64_t left = at - (int64_t)time(NULL);
  char buf[32];
  if (left <= 0)
    table_cell(t, TABLE_RED, "expired");
  else
    table_cell(t, left < SOON_S ? TABLE_YELLOW : TABLE_PLAIN, "in %s", table_duration(buf, left * 1000));
}

static void session_cells(struct table *t, const json_t *s) {
  table_cell(t, TABLE_PLAIN, "%s", text(s, "program"));
  table_cell(t, TABLE_PLAIN, "%" PRId64, number(s, "pid"));
  table_cell(t, TABLE_PLAIN, "%" PRId64, number(s, "uid"));
}

static void agent_cell(struct table *t, const json_t *s) {
  bool connected = truth(s, "agent_connected");
  const char *says = text(s, "agent_says");
  table_cell(t, connected && !says[0] ? TABLE_GREEN : TABLE_YELLOW, "%s%s%s", connected ? "connected" : "away",
             says[0] ? ": " : "", says);
}

static char *joined(const json_t *list) {
  char *out = NULL;
  size_t len = 0, i;
  json_t *item;
  FILE *f = open_memstream(&out, &len);
  if (!f)
    return NULL;
  json_array_foreach((json_t *)(uintptr_t)list, i, item) {
    fprintf(f, "%s%s", i ? ", " : "", json_string_value(item));
  }
  fclose(f);
  return out;
}

/* What a session could send past svidwrap. */
static void print_rings(FILE *to, const json_t *sessions) {
  size_t i;
  json_t *s;
  json_array_foreach((json_t *)(uintptr_t)sessions, i, s) {
    const char *rings = text(s, "io_uring");
    if (strcmp(rings, "within reach") == 0)
      fprintf(to,
              "warning: %s (pid %" PRId64
              "): io_uring is within its reach, for a bare LD_PRELOAD has no right to filter it; "
              "only liburing and syscall() are covered; start it with svidwrap run\n",
              text(s, "program"), number(s, "pid"));
    else if (strcmp(rings, "allowed") == 0)
      fprintf(to,
              "warning: %s (pid %" PRId64
              "): what it sends by io_uring leaves in PLAINTEXT (io_uring: allow-unsafe)\n",
              text(s, "program"), number(s, "pid"));
  }
}

static void print_sessions(FILE *to, const struct status_view *v, const json_t *sessions) {
  static const char *const headers[] = {"PROGRAM", "PID",     "UID",   "SPIFFE ID", "HINT",
                                        "EXPIRES", "BUNDLES", "AGENT", NULL};
  struct table *t = table_new(headers);
  size_t i, k;
  json_t *s, *svid;
  json_array_foreach((json_t *)(uintptr_t)sessions, i, s) {
    const json_t *svids = json_object_get(s, "svids");
    char *domains = joined(json_object_get(s, "bundles"));
    json_array_foreach((json_t *)(uintptr_t)svids, k, svid) {
      session_cells(t, s);
      table_cell(t, TABLE_PLAIN, "%s", text(svid, "spiffe_id"));
      table_cell(t, TABLE_PLAIN, "%s", text(svid, "hint"));
      expiry(t, number(svid, "expires"));
      table_cell(t, TABLE_PLAIN, "%s", domains ? domains : "");
      agent_cell(t, s);
    }
    if (json_array_size(svids) == 0) {
      session_cells(t, s);
      table_cell(t, TABLE_RED, "(%s)", text(s, "identity"));
      for (int empty = 0; empty < 3; empty++)
        table_cell(t, TABLE_PLAIN, "%s", "");
      agent_cell(t, s);
    }
    free(domains);
  }
  heading(to, v, "Sessions");
  if (json_array_size(sessions) == 0)
    fputs("none: no program is wrapped, or none has made a TCP call yet\n", to);
  table_print(t, to, v->coloured);
  table_free(t);
  print_rings(to, sessions);
}

/* -- rules -- */

static void mode_cell(struct table *t, const json_t *r) {
  const char *mode = text(r, "mode");
  char more[96] = "";
  size_t at = 0;
  if (json_object_get(r, "percent"))
    at += (size_t)snprintf(more + at, sizeof more - at, " %" PRId64 "%%", number(r, "percent"));
  if (truth(r, "staged"))
    at += (size_t)snprintf(more + at, sizeof more - at, ", staged");
  if (truth(r, "suspended"))
    at += (size_t)snprintf(more + at, sizeof more - at, ", SUSPENDED");
  if (strcmp(text(r, "policy"), "audit") == 0)
    snprintf(more + at, sizeof more - at, ", policy: audit");
  enum table_colour c = truth(r, "suspended") ? TABLE_RED : strcmp(mode, "enforce") == 0 ? TABLE_GREEN : TABLE_YELLOW;
  table_cell(t, c, "%s%s", mode, more);
}

static void rule_counters(struct table *t, const json_t *r) {
  static const struct {
    const char *key;
    enum table_colour colour;
  } counters[] = {{"mtls", TABLE_PLAIN},
                  {"would_deny", TABLE_YELLOW},
                  {"plaintext", TABLE_YELLOW},
                  {"denied", TABLE_RED},
                  {"failed", TABLE_RED}};
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
    int64_t n = number(r, counters[i].key);
    if (json_object_get(r, counters[i].key))
      table_cell(t, n ? counters[i].colour : TABLE_PLAIN, "%" PRId64, n);
    else
      table_cell(t, TABLE_PLAIN, "%s", "");
  }
}

/* Host names in rules, and where the daemon finds them. */
static void print_hosts(FILE *to, const struct status_view *v, json_t *hosts) {
  const char *name;
  json_t *addresses, *a;
  size_t i;
  json_object_foreach(hosts, name, addresses) {
    fprintf(to, "%s:", name);
    json_array_foreach(addresses, i, a) { fprintf(to, " %s", json_string_value(a)); }
    if (json_array_size(addresses) == 0)
      table_text(to, v->coloured, TABLE_RED, " does not resolve; only programs that ask for this name are covered");
    fputc('\n', to);
  }
}

static void print_config(FILE *to, const struct status_view *v, const json_t *c) {
  static const char *const headers[] = {"RULE",       "MODE",    ">MTLS",   ">WOULD-DENY",
                                        ">PLAINTEXT", ">DENIED", ">FAILED", NULL};
  struct table *t = table_new(headers);
  char line[256];
  size_t i;
  json_t *r;
  heading(to, v, "Rules");
  fprintf(to, "%s, generation %" PRId64 "\n", text(c, "config"), number(c, "generation"));
  if (text(c, "failure")[0]) {
    table_text(to, v->coloured, TABLE_RED, "the file has changed and is refused; the old policy stays: ");
    fprintf(to, "%s\n", text(c, "failure"));
  }
  if (truth(json_object_get(c, "audit"), "lines_are_lost")) {
    snprintf(line, sizeof line, "audit lines are being lost%s\n",
             truth(json_object_get(c, "audit"), "required") ? ": new connections are refused (audit.required)" : "");
    table_text(to, v->coloured, TABLE_RED, line);
  }
  json_array_foreach(json_object_get(c, "rules"), i, r) {
    table_cell(t, TABLE_PLAIN, "%s", text(r, "name"));
    mode_cell(t, r);
    rule_counters(t, r);
  }
  table_print(t, to, v->coloured);
  table_free(t);
  print_hosts(to, v, json_object_get(c, "hosts"));
}

/* -- listeners -- */

static void print_listeners(FILE *to, const struct status_view *v, const json_t *listeners) {
  static const char *const headers[] = {"LOCAL",          "PROGRAM",  "PID",          "RULE",     "MODE", ">ACCEPTED",
                                        ">AUTHENTICATED", ">REFUSED", ">HANDSHAKING", ">WAITING", NULL};
  static const char *const counters[] = {"accepted", "authenticated", "refused", "handshaking", "waiting"};
  struct table *t = table_new(headers);
  size_t i;
  json_t *l;
  json_array_foreach((json_t *)(uintptr_t)listeners, i, l) {
    table_cell(t, TABLE_PLAIN, "%s", text(l, "local"));
    table_cell(t, TABLE_PLAIN, "%s", text(l, "program"));
    table_cell(t, TABLE_PLAIN, "%" PRId64, number(l, "pid"));
    table_cell(t, text(l, "rule")[0] ? TABLE_PLAIN : TABLE_RED, "%s", text(l, "rule"));
    table_cell(t, TABLE_PLAIN, "%s", text(l, "mode"));
    for (size_t k = 0; k < sizeof counters / sizeof *counters; k++)
      table_cell(t, TABLE_PLAIN, "%" PRId64, number(l, counters[k]));
  }
  if (json_array_size(listeners) > 0)
    heading(to, v, "Listeners");
  table_print(t, to, v->coloured);
  table_free(t);
}

/* -- connections -- */

struct row {
  const json_t *conn;
  double in, out; /* bytes a second */
};

static void key_of(const json_t *c, char key[256]) {
  snprintf(key, 256, "%" PRId64 "/%s/%s", number(c, "pid"), text(c, "direction"), text(c, "remote"));
}

/* The connections of the last refresh by process, direction and remote end. */
static json_t *remember(const json_t *before) {
  json_t *index = json_object(), *c;
  char key[256];
  size_t i;
  json_array_foreach(json_object_get(before, "connections"), i, c) {
    key_of(c, key);
    json_object_set(index, key, c);
  }
  return index;
}

static double rate(const json_t *now, const json_t *then, const char *key, double seconds) {
  int64_t moved = number(now, key) - number(then, key);
  return then && moved > 0 && seconds > 0 ? (double)moved / seconds : 0;
}

static int busier(const void *a, const void *b) {
  const struct row *x = a, *y = b;
  double d = (y->in + y->out) - (x->in + x->out);
  if (d > 0 || d < 0)
    return d > 0 ? 1 : -1;
  int64_t px = number(x->conn, "bytes_in") + number(x->conn, "bytes_out");
  int64_t py = number(y->conn, "bytes_in") + number(y->conn, "bytes_out");
  return px < py ? 1 : px > py ? -1 : 0;
}

static struct row *rows_of(const json_t *connections, const struct status_view *v) {
  size_t n = json_array_size(connections), i;
  struct row *rows = calloc(n + 1, sizeof *rows);
  json_t *index = remember(v->before), *c;
  char key[256];
  json_array_foreach((json_t *)(uintptr_t)connections, i, c) {
    if (!rows)
      break;
    key_of(c, key);
    const json_t *then = json_object_get(index, key);
    rows[i] = (struct row){c, rate(c, then, "bytes_in", v->seconds), rate(c, then, "bytes_out", v->seconds)};
  }
  json_decref(index);
  if (rows && v->top)
    qsort(rows, n, sizeof *rows, busier);
  return rows;
}

static void connection_cells(struct table *t, const struct row *row, const struct status_view *v) {
  const json_t *c = row->conn;
  char buf[32];
  table_cell(t, TABLE_PLAIN, "%s", strcmp(text(c, "direction"), "inbound") == 0 ? "in" : "out");
  table_cell(t, TABLE_PLAIN, "%s", text(c, "remote"));
  table_cell(t, TABLE_PLAIN, "%s", text(c, "peer_id"));
  bool plain = !json_object_get(c, "cipher");
  table_cell(t, plain ? TABLE_YELLOW : TABLE_PLAIN, "%s", plain ? "PLAINTEXT" : text(c, "engine"));
  table_cell(t, TABLE_PLAIN, "%s", text(c, "cipher"));
  table_cell(t, TABLE_PLAIN, "%s", plain ? "" : table_bytes(buf, (uint64_t)number(c, "bytes_in")));
  table_cell(t, TABLE_PLAIN, "%s", plain ? "" : table_bytes(buf, (uint64_t)number(c, "bytes_out")));
  if (v->top) {
    table_cell(t, TABLE_PLAIN, "%s", table_bytes(buf, (uint64_t)row->in));
    table_cell(t, TABLE_PLAIN, "%s", table_bytes(buf, (uint64_t)row->out));
  }
  table_cell(t, TABLE_PLAIN, "%s", table_duration(buf, number(c, "age_ms")));
  table_cell(t, TABLE_PLAIN, "%s", text(c, "program"));
  table_cell(t, TABLE_PLAIN, "%" PRId64, number(c, "pid"));
}

static void print_connections(FILE *to, const struct status_view *v, const json_t *root) {
  static const char *const plain[] = {"DIR",  "REMOTE", "PEER",    "ENGINE", "CIPHER", ">IN",
                                      ">OUT", ">AGE",   "PROGRAM", "PID",    NULL};
  static const char *const rates[] = {"DIR",   "REMOTE", "PEER", "ENGINE",  "CIPHER", ">IN", ">OUT",
                                      ">IN/S", ">OUT/S", ">AGE", "PROGRAM", "PID",    NULL};
  const json_t *connections = json_object_get(root, "connections");
  size_t n = json_array_size(connections);
  struct table *t = table_new(v->top ? rates : plain);
  struct row *rows = rows_of(connections, v);
  for (size_t i = 0; rows && i < n; i++)
    connection_cells(t, &rows[i], v);
  if (n > 0)
    heading(to, v, "Connections");
  table_print(t, to, v->coloured);
  int64_t left = number(root, "connections_left_out");
  if (left > 0)
    fprintf(to, "and %" PRId64 " more\n", left);
  free(rows);
  table_free(t);
}

void status_print(FILE *to, const json_t *root, const struct status_view *v) {
  size_t i;
  json_t *c;
  print_daemon(to, v, root);
  if (v->top)
    print_connections(to, v, root);
  print_sessions(to, v, json_object_get(root, "sessions"));
  json_array_foreach(json_object_get(root, "configs"), i, c) { print_config(to, v, c); }
  print_listeners(to, v, json_object_get(root, "listeners"));
  if (!v->top)
    print_connections(to, v, root);
}
