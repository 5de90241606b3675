/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the coordinator: makes the processes of a seed, gives them the turn, prints the trace.
 *
 *   random PORT COUNT     reads lines "SEED [OP,OP...]" (only these operations) and writes the trace of each,
 *                         ended by a line "end SEED"
 *
 * It stays while thousands of seeds go by, so that a wrapped one needs a daemon and a session once. All processes
 * of a seed are children of it; when the seed is over it ends and reaps every one of them.
 */
#include "random.h"

#include <sys/prctl.h>
#include <sys/wait.h>

_Thread_local int sigpipes;

static const struct op *const tables[] = {ops_life, ops_io,    ops_wait, ops_fd,   ops_proc, ops_option,
                                          ops_bad,  ops_stdio, ops_exec, ops_pass, ops_both};
enum { TABLES = sizeof tables / sizeof *tables };

/* A sanitizer's runtime looks at memory before the kernel does, and dies of what is not there. */
static const struct op *table(int t) {
  static const struct op none[] = {{0}};
  return tables[t] == ops_bad && getenv("RANDOM_GOOD_ADDRESSES") ? none : tables[t];
}

static const struct op *choose(void) {
  uint32_t sum = 0;
  for (int t = 0; t < TABLES; t++) {
    for (const struct op *o = table(t); o->name; o++)
      sum += o->family & W->families ? o->weight : 0;
  }
  uint32_t at = draw(sum);
  for (int t = 0; t < TABLES; t++) {
    for (const struct op *o = table(t); o->name; o++) {
      uint32_t weight = o->family & W->families ? o->weight : 0;
      if (at < weight)
        return o;
      at -= weight;
    }
  }
  return NULL;
}

/* The first operations of a seed give it something to work with. */
static const struct op preamble[] = {{.name = "listen", .run = op_listen},
                                     {.name = "connect", .run = op_connect},
                                     {.name = "accept", .run = op_accept}};

static const struct op *op_number(int i, int *worker) {
  draw_init(W->seed, (uint64_t)i + 1);
  int alive[WORKERS], n = 0;
  for (int w = 0; w < WORKERS; w++) {
    if (W->worker[w].alive)
      alive[n++] = w;
  }
  *worker = n ? alive[draw((uint32_t)n)] : -1;
  if (i < 3) {
    *worker = i != 1;
    return &preamble[i];
  }
  return choose();
}

static void run_op(int i) {
  int worker;
  const struct op *op = op_number(i, &worker);
  size_t before = W->len;
  say("%02d %c %s:", i, 'A' + (int)(me - W->worker), op->name);
  W->text[--W->len] = 0; /* go on in this line */
  size_t begun = W->len;
  sigpipes = 0;
  op->run();
  if (W->len == begun)
    W->len = before;
  else if (sigpipes)
    say("  SIGPIPE %d", sigpipes);
}

static void wait_sem(sem_t *s) {
  while (sem_wait(s) != 0 && errno == EINTR) {
  }
}

void worker_loop(int index) {
  me = &W->worker[index];
  for (;;) {
    wait_sem(&me->go);
    if (W->op == OP_QUIT)
      _exit(0);
    if (W->op == OP_SETTLE)
      settle_all();
    else
      run_op(W->op);
    sem_post(&W->done);
  }
}

static void on_sigpipe(int sig) {
  (void)sig;
  sigpipes++;
}

static bool turn(int worker, int op) {
  struct timespec until;
  W->turn = worker;
  W->op = op;
  sem_post(&W->worker[worker].go);
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 25;
  while (sem_timedwait(&W->done, &until) != 0) {
    if (errno == ETIMEDOUT)
      return false;
  }
  return true;
}

/* Waits until the worker's process is over with all its threads (one that is blocked in a read may still take bytes
 * when the first one is a zombie already), all that it held closed. */
static void bury(int index) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", W->worker[index].pid);
  for (int i = 0; i < 50000; i++) {
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
      fclose(f);
    text[n] = 0;
    const char *p = strrchr(text, ')');
    int threads = 0; /* 16 fields behind the state */
    if (!p || p[2] == 'X')
      break;
    sscanf(p + 3, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d", &threads);
    if (p[2] == 'Z' && threads <= 1)
      break;
    usleep(200);
  }
  W->worker[index].alive = false;
  worker_drop(&W->worker[index]);
}

/* Looked at from here: a file that the worker opened for it would take the number that accept() is about to have. */
static void job_sleeps(struct worker *w) {
  if (w->job.begins)
    thread_sleeps(w->pid, w->job.tid);
  w->job.begins = false;
}

/* What threads waited for has come: they say so before anybody goes on. */
static void jobs_end(void) {
  for (int w = 0; w < WORKERS; w++) {
    struct worker *x = &W->worker[w];
    struct timespec until;
    if (!x->alive || !x->job.active || !job_must_end(&x->job))
      continue;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    int rc;
    while ((rc = sem_timedwait(&x->job.end, &until)) != 0 && errno == EINTR) {
    }
    if (rc == 0) {
      job_said(x);
    } else {
      say("  HANG: %c's thread", 'A' + w);
      W->over = true;
    }
  }
}

static void everybody_settles(void) {
  for (int w = 0; w < WORKERS; w++) {
    if (W->worker[w].alive)
      turn(w, OP_SETTLE);
  }
}

static void start(int index) {
  struct worker *w = &W->worker[index];
  w->parent = -1;
  w->alive = true;
  pid_t pid = fork(); /* w is shared: the child must not write its 0 there */
  if (pid == 0) {
    signal(SIGPIPE, on_sigpipe);
    worker_loop(index);
  }
  w->pid = pid;
}

/* Ends what is left of the seed's processes; every one is our child, or becomes it. */
static void finish(void) {
  for (int w = 0; w < WORKERS; w++) {
    W->op = OP_QUIT;
    if (W->worker[w].alive)
      sem_post(&W->worker[w].go);
  }
  for (int ms = 0;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == ECHILD)
      return;
    for (int w = 0; pid > 0 && w < WORKERS; w++) {
      if (W->worker[w].pid == pid && W->worker[w].alive && status != 0)
        say("  worker %c ended by itself: %s %d", 'A' + w, WIFSIGNALED(status) ? "signal" : "exit",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
      if (W->worker[w].pid == pid)
        W->worker[w].pid = 0;
    }
    if (pid > 0)
      continue;
    usleep(200);
    if (++ms % 25000 == 0) {
      for (int w = 0; w < WORKERS; w++) {
        if (W->worker[w].pid > 0)
          kill(W->worker[w].pid, SIGKILL);
      }
    }
  }
}

static void setup(uint64_t seed) {
  memset(W->worker, 0, sizeof W->worker);
  W->seed = seed;
  W->objects = W->conns = W->taken = 0;
  W->len = 0;
  W->settle = W->dying = W->flying = -1;
  W->over = false;
  int u[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, u) != 0 || dup2(u[0], PASS_IN) < 0 || dup2(u[1], PASS_OUT) < 0)
    exit(71);
  close(u[0]);
  close(u[1]);
  sem_init(&W->done, 1, 0);
  for (int w = 0; w < WORKERS; w++) {
    sem_init(&W->worker[w].go, 1, 0);
    sem_init(&W->worker[w].job.end, 1, 0);
  }
}

static void run_seed(uint64_t seed, const bool *keep) {
  setup(seed);
  draw_init(seed, 0);
  W->families = F_BASE | draw(512);
  int count = 12 + (int)draw(OPS - 12);
  start(0);
  start(1);
  for (int i = 0; i < count && !W->over; i++) {
    int worker;
    if (!keep[i])
      continue;
    const struct op *op = op_number(i, &worker);
    if (worker < 0)
      break;
    if (op->settle_all || W->settle >= 0)
      everybody_settles();
    W->settle = -1;
    if (!turn(worker, i)) {
      say("  HANG");
      for (int w = 0; w < WORKERS; w++) {
        if (W->worker[w].alive && W->worker[w].pid > 0 && !getenv("RANDOM_STAY"))
          kill(W->worker[w].pid, SIGKILL);
      }
      break;
    }
    job_sleeps(&W->worker[worker]);
    if (W->dying >= 0)
      bury(W->dying);
    W->dying = -1;
    jobs_end();
  }
  finish();
}

/* One connection before all others: then there is a session, and the seeds' processes inherit it. */
static void warm_up(void) {
  struct sockaddr_in a = at_port(W->port[0]);
  int one = 1, l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(l, (struct sockaddr *)&a, sizeof a) != 0 || listen(l, 4) != 0 ||
      connect(c, (struct sockaddr *)&a, sizeof a) != 0) {
    perror("random: the first connection");
    exit(1);
  }
  close(accept(l, NULL, NULL));
  close(c);
  close(l);
}

static void go_on(int index) {
  if (!exec_attach())
    _exit(71);
  me = &W->worker[index];
  signal(SIGPIPE, on_sigpipe);
  exec_arrived();
  sem_post(&W->done);
  worker_loop(index);
}

int main(int argc, char **argv) {
  char line[1024];
  if (argc != 3)
    return 64;
  marker = getenv("RANDOM_MARKER");
  if (!marker)
    marker = "no marker";
  if (strcmp(argv[1], "--worker") == 0) /* ops_exec.c made this image */
    go_on(atoi(argv[2]));
  if (!exec_share())
    return 71;
  W->ports = atoi(argv[2]) < 64 ? atoi(argv[2]) : 64;
  for (int i = 0; i < W->ports; i++)
    W->port[i] = (uint16_t)(atoi(argv[1]) + i);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  warm_up();
  while (fgets(line, sizeof line, stdin)) {
    bool keep[OPS];
    char *list = strchr(line, ' ');
    uint64_t seed = strtoull(line, NULL, 10);
    memset(keep, list == NULL, sizeof keep);
    for (char *save = NULL, *t = list ? strtok_r(list, ", \n", &save) : NULL; t; t = strtok_r(NULL, ", \n", &save)) {
      if (atoi(t) >= 0 && atoi(t) < OPS)
        keep[atoi(t)] = true;
    }
    run_seed(seed, keep);
    W->text[W->len] = 0;
    printf("%send %llu\n", W->text, (unsigned long long)seed);
    fflush(stdout);
  }
  return 0;
}
