/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wirewatch.c - looks at every byte that crosses the loopback on the given TCP ports and says whether one of
 * the markers went by in clear, in one segment or across several of one flow.
 *
 * It also follows every flow from its first byte by the headers of TLS records, and tells which did not keep to them
 * ("other", the first few by name): where every port is managed, that is plaintext whatever it says.
 *
 * It never stores a packet: segments are searched where the kernel put them (a mapped ring big enough for a
 * 100 MB download). A lost packet is reported, for a watch that looked away proves nothing.
 *
 *   wirewatch PORT[,PORT...]|all HEXMARKER...     prints "ready", then on SIGTERM one line of JSON
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS_MAX   40
#define MARKERS_MAX 8
#define MARKER_MAX  64
#define BLOCK_SIZE  (1u << 20)
#define BLOCKS      96u
#define FLOWS       (1u << 18)
#define OTHERS_MAX  8
#define RECORD_HEAD 5
#define RECORD_MAX  (16384 + 256)
#define ETH         14u

struct flow {
  uint8_t key[36]; /* source, destination (16 each), ports */
  bool used, started;
  uint32_t next;
  uint64_t bytes;
  bool begun;       /* its SYN was seen */
  bool astray;      /* no TLS, or a segment is missing: not followed any more */
  uint8_t head_len; /* of a record's header, as far as it is here */
  uint8_t head[RECORD_HEAD];
  uint32_t body; /* of the record's body, still to come */
  uint8_t tail[MARKER_MAX];
  size_t tail_len;
};

struct marker {
  uint8_t bytes[MARKER_MAX];
  size_t len;
  uint64_t hits;
  char where[128];
};

static struct flow *flows;
static struct marker markers[MARKERS_MAX];
static size_t marker_count;
static uint64_t packets, payload_bytes, flow_count, tls_flows, other_flows;
static char others[OTHERS_MAX][192];
static volatile sig_atomic_t stopping;

static void on_stop(int sig) {
  (void)sig;
  stopping = 1;
}

static void die(const char *what) {
  fprintf(stderr, "wirewatch: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* Classic BPF: TCP over IPv4 or IPv6 from or to one of the ports; without a port, all of it. */
static void attach_filter(int fd, const uint16_t *ports, size_t n) {
  struct sock_filter code[8 * PORTS_MAX + 32];
  size_t at = 0;
  size_t body = 4 + 2 * n; /* one address family, with its own last jump to drop */
  size_t v6 = 3, v4 = v6 + body + 1, accept = v4 + body + 2, drop = accept + 1;
#define JUMP(to) ((uint8_t)((to)-at - 1))
  code[at] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12);
  at++;
  code[at] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, JUMP(v4), 0);
  at++;
  code[at] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, JUMP(drop));
  at++;
  for (int family = 0; family < 2; family++) {
    code[at] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, family == 0 ? 20 : 23);
    at++;
    code[at] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, JUMP(drop));
    at++;
    if (family == 1) {
      code[at] = (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, ETH);
      at++;
    }
    for (unsigned end = 0; end < 2; end++) {
      code[at] = family == 0 ? (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ETH + 40 + 2 * end)
                             : (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_IND, ETH + 2 * end);
      at++;
      for (size_t i = 0; i < n; i++) {
        code[at] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ports[i], JUMP(accept), 0);
        at++;
      }
    }
    code[at] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)((n == 0 ? accept : drop) - at - 1));
    at++;
  }
  code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0x40000);
  code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog prog = {.len = (unsigned short)at, .filter = code};
  if (at != drop + 1)
    die("filter");
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) != 0)
    die("SO_ATTACH_FILTER");
}

static struct flow *flow_find(const uint8_t key[36]) {
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < 36; i++)
    h = (h ^ key[i]) * 16777619u;
  for (uint32_t i = 0; i < FLOWS; i++) {
    struct flow *f = &flows[(h + i) % FLOWS];
    if (f->used && memcmp(f->key, key, 36) == 0)
      return f;
    if (!f->used) {
      memcpy(f->key, key, 36);
      f->used = true;
      flow_count++;
      return f;
    }
  }
  fprintf(stderr, "wirewatch: too many flows\n");
  exit(1);
}

static void flow_name(const struct flow *f, char *buf, size_t len) {
  char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
  uint16_t sp, dp;
  inet_ntop(AF_INET6, f->key, a, sizeof a);
  inet_ntop(AF_INET6, f->key + 16, b, sizeof b);
  memcpy(&sp, f->key + 32, 2);
  memcpy(&dp, f->key + 34, 2);
  snprintf(buf, len, "%s %u -> %s %u", a, ntohs(sp), b, ntohs(dp));
}

static void search(const struct flow *f, const uint8_t *p, size_t n) {
  for (size_t i = 0; i < marker_count; i++) {
    if (memmem(p, n, markers[i].bytes, markers[i].len) == NULL)
      continue;
    if (markers[i].hits++ == 0)
      flow_name(f, markers[i].where, sizeof markers[i].where);
  }
}

static void stray(struct flow *f, const uint8_t *p, size_t n) {
  f->astray = true;
  if (other_flows++ >= OTHERS_MAX)
    return;
  char *to = others[other_flows - 1];
  flow_name(f, to, sizeof others[0]);
  size_t len = strlen(to);
  len += (size_t)snprintf(to + len, sizeof others[0] - len, " at byte %llu:", (unsigned long long)f->bytes);
  for (size_t i = 0; i < n && i < 16; i++)
    len += (size_t)snprintf(to + len, sizeof others[0] - len, " %02x", p[i]);
}

/* A TLS record begins with its content type (20 to 23), version 3.x and its length (RFC 8446 section 5.1). */
static bool record_begins(const uint8_t *head, size_t n) {
  return head[0] >= 20 && head[0] <= 23 && (n < 2 || head[1] == 3) &&
         (n < RECORD_HEAD || (head[3] << 8 | head[4]) <= RECORD_MAX);
}

static void follow(struct flow *f, const uint8_t *p, size_t n) {
  for (size_t at = 0; at < n && !f->astray;) {
    if (f->body > 0) {
      size_t skip = n - at < f->body ? n - at : f->body;
      f->body -= (uint32_t)skip;
      at += skip;
      continue;
    }
    f->head[f->head_len++] = p[at++];
    if (!record_begins(f->head, f->head_len)) {
      stray(f, p + at - 1, n - at + 1);
    } else if (f->head_len == RECORD_HEAD) {
      f->body = (uint32_t)(f->head[3] << 8 | f->head[4]);
      f->head_len = 0;
    }
  }
}

static void segment(struct flow *f, uint32_t seq, const uint8_t *p, size_t n) {
  uint32_t end = seq + (uint32_t)n, again = f->next - seq; /* bytes that were here before: sent again */
  if (f->bytes == 0) {
    if (record_begins(p, n < RECORD_HEAD ? n : RECORD_HEAD))
      tls_flows++;
    else
      stray(f, p, n);
  }
  if (!f->begun || (int32_t)again < 0)
    f->astray = true; /* begun before the watch, or a segment is missing */
  else if (again < n)
    follow(f, p + again, n - again);
  f->bytes += n;
  payload_bytes += n;
  if (f->started && seq == f->next && f->tail_len > 0) {
    uint8_t seam[2 * MARKER_MAX];
    size_t head = n < MARKER_MAX ? n : MARKER_MAX;
    memcpy(seam, f->tail, f->tail_len);
    memcpy(seam + f->tail_len, p, head);
    search(f, seam, f->tail_len + head);
  }
  search(f, p, n);
  if (n >= MARKER_MAX - 1) {
    f->tail_len = MARKER_MAX - 1;
    memcpy(f->tail, p + n - f->tail_len, f->tail_len);
  } else {
    size_t keep = f->started && seq == f->next ? f->tail_len : 0;
    if (keep + n > MARKER_MAX - 1) {
      size_t cut = keep + n - (MARKER_MAX - 1);
      memmove(f->tail, f->tail + cut, keep - cut);
      keep -= cut;
    }
    memcpy(f->tail + keep, p, n);
    f->tail_len = keep + n;
  }
  f->started = true;
  if (!f->begun || (int32_t)(end - f->next) > 0)
    f->next = end;
}

static void packet(const uint8_t *p, size_t n) {
  uint8_t key[36] = {0};
  size_t tcp;
  if (n < ETH + 20)
    return;
  uint16_t type = (uint16_t)(p[12] << 8 | p[13]);
  size_t end = n;
  if (type == ETH_P_IP) {
    tcp = ETH + (size_t)(p[ETH] & 15) * 4;
    key[10] = key[11] = key[26] = key[27] = 0xff;
    memcpy(key + 12, p + ETH + 12, 4);
    memcpy(key + 28, p + ETH + 16, 4);
    size_t total = (size_t)(p[ETH + 2] << 8 | p[ETH + 3]);
    if (total != 0 && ETH + total < end)
      end = ETH + total;
  } else {
    tcp = ETH + 40;
    memcpy(key, p + ETH + 8, 16);
    memcpy(key + 16, p + ETH + 24, 16);
  }
  if (end < tcp + 20)
    return;
  memcpy(key + 32, p + tcp, 4);
  size_t data = tcp + (size_t)(p[tcp + 12] >> 4) * 4;
  uint32_t seq;
  memcpy(&seq, p + tcp + 4, 4);
  packets++;
  struct flow *f = flow_find(key);
  if (p[tcp + 13] & 2) { /* SYN: a new connection under these numbers */
    f->started = f->astray = false;
    f->bytes = f->body = f->head_len = 0;
    f->tail_len = 0;
    f->begun = true;
    seq = htonl(f->next = ntohl(seq) + 1);
  }
  if (data < end)
    segment(f, ntohl(seq), p + data, end - data);
}

/* Walks the blocks that the kernel has filled. Returns how many. */
static unsigned drain(uint8_t *ring, unsigned *at) {
  unsigned done = 0;
  for (;;) {
    struct tpacket_block_desc *b = (struct tpacket_block_desc *)(ring + (size_t)*at * BLOCK_SIZE);
    if (!(__atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
      return done;
    const uint8_t *h = (const uint8_t *)b + b->hdr.bh1.offset_to_first_pkt;
    for (unsigned i = 0; i < b->hdr.bh1.num_pkts; i++) {
      struct tpacket3_hdr t;
      memcpy(&t, h, sizeof t);
      packet(h + t.tp_mac, t.tp_snaplen);
      h += t.tp_next_offset;
    }
    __atomic_store_n(&b->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    *at = (*at + 1) % BLOCKS;
    done++;
  }
}

static void parse(int argc, char **argv, uint16_t *ports, size_t *n) {
  if (argc < 3) {
    fprintf(stderr, "usage: wirewatch PORT[,PORT...]|all HEXMARKER...\n");
    exit(64);
  }
  bool all = strcmp(argv[1], "all") == 0;
  for (char *p = all ? NULL : strtok(argv[1], ","); p != NULL && *n < PORTS_MAX; p = strtok(NULL, ","))
    ports[(*n)++] = (uint16_t)atoi(p);
  for (int i = 2; i < argc && marker_count < MARKERS_MAX; i++) {
    struct marker *m = &markers[marker_count++];
    for (const char *h = argv[i]; h[0] && h[1] && m->len < MARKER_MAX; h += 2) {
      unsigned v;
      sscanf(h, "%2x", &v);
      m->bytes[m->len++] = (uint8_t)v;
    }
  }
}

static uint8_t *open_ring(const uint16_t *ports, size_t n, int *out) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0)
    die("socket(AF_PACKET)");
  attach_filter(fd, ports, n);
  int v = TPACKET_V3, one = 1;
  if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &v, sizeof v) != 0)
    die("PACKET_VERSION");
  /* The loopback shows every packet twice, going out and coming in. */
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) != 0)
    die("PACKET_IGNORE_OUTGOING");
  struct tpacket_req3 req = {.tp_block_size = BLOCK_SIZE,
                             .tp_block_nr = BLOCKS,
                             .tp_frame_size = 2048,
                             .tp_frame_nr = BLOCKS * (BLOCK_SIZE / 2048),
                             .tp_retire_blk_tov = 10};
  if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) != 0)
    die("PACKET_RX_RING");
  uint8_t *ring = mmap(NULL, (size_t)BLOCKS * BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (ring == MAP_FAILED)
    die("mmap");
  struct sockaddr_ll ll = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("lo")};
  if (bind(fd, (struct sockaddr *)&ll, sizeof ll) != 0)
    die("bind");
  *out = fd;
  return ring;
}

static void report(int fd) {
  struct tpacket_stats_v3 st = {0};
  socklen_t len = sizeof st;
  getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &st, &len);
  printf("{\"packets\": %llu, \"payload\": %llu, \"flows\": %llu, \"tls\": %llu, \"other\": %llu, \"drops\": %u, "
         "\"others\": [",
         (unsigned long long)packets, (unsigned long long)payload_bytes, (unsigned long long)flow_count,
         (unsigned long long)tls_flows, (unsigned long long)other_flows, st.tp_drops);
  for (size_t i = 0; i < other_flows && i < OTHERS_MAX; i++)
    printf("%s\"%s\"", i ? ", " : "", others[i]);
  printf("], \"hits\": [");
  for (size_t i = 0; i < marker_count; i++)
    printf("%s{\"count\": %llu, \"where\": \"%s\"}", i ? ", " : "", (unsigned long long)markers[i].hits,
           markers[i].where);
  printf("]}\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  uint16_t ports[PORTS_MAX];
  size_t n = 0;
  int fd;
  unsigned at = 0;
  parse(argc, argv, ports, &n);
  flows = calloc(FLOWS, sizeof *flows);
  if (flows == NULL)
    die("calloc");
  uint8_t *ring = open_ring(ports, n, &fd);
  struct sigaction sa = {.sa_handler = on_stop};
  sigaction(SIGTERM, &sa, NULL);
  sigaction(SIGINT, &sa, NULL);
  printf("ready\n");
  fflush(stdout);
  while (!stopping) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, 100);
    drain(ring, &at);
  }
  /* A block that is not full yet is handed over by the kernel's timer: give it several turns. */
  for (int quiet = 0; quiet < 3;) {
    struct timespec nap = {.tv_nsec = 25000000};
    nanosleep(&nap, NULL);
    quiet = drain(ring, &at) ? 0 : quiet + 1;
  }
  report(fd);
  return 0;
}
