/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_resolve.c - the resolver's functions: does a program get libc's own answers, errno and h_errno, and can it
 * connect to what they say?
 */
#include "scenario.h"

#include <netdb.h>

static void say_info(const char *what, const char *node, const char *service, const struct addrinfo *hints) {
  struct addrinfo *list = NULL;
  errno = 0;
  int rc = getaddrinfo(node, service, hints, &list);
  say("%s: %d errno %s", what, rc, rc == EAI_SYSTEM ? errno_name(errno) : "-");
  for (struct addrinfo *ai = rc == 0 ? list : NULL; ai; ai = ai->ai_next) {
    char host[NI_MAXHOST] = "?", serv[NI_MAXSERV] = "?";
    getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof host, serv, sizeof serv, NI_NUMERICHOST | NI_NUMERICSERV);
    say("%s: family %d type %d protocol %d: %s %s, canonical %s", what, ai->ai_family, ai->ai_socktype,
        ai->ai_protocol, host, serv, ai->ai_canonname ? ai->ai_canonname : "-");
  }
  if (rc == 0)
    freeaddrinfo(list);
}

static void info(void) {
  struct addrinfo stream = {.ai_socktype = SOCK_STREAM}, canon = {.ai_flags = AI_CANONNAME, .ai_family = AF_INET},
                  number = {.ai_flags = AI_NUMERICHOST}, passive = {.ai_flags = AI_PASSIVE, .ai_family = AF_INET},
                  flags = {.ai_flags = 0x40000000}, six = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM},
                  family = {.ai_family = 77};
  char longest[2000];
  memset(longest, 'a', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  say_info("no hints", "localhost", "80", NULL);
  say_info("stream", "LocalHost", "80", &stream);
  say_info("dot", "localhost.", "80", &stream);
  say_info("canonical", "localhost", NULL, &canon);
  say_info("six", "localhost", "80", &six);
  say_info("number", "127.0.0.1", "80", &stream);
  say_info("six as number", "::1", "80", &stream);
  say_info("not a number", "localhost", "80", &number);
  say_info("no node", NULL, "80", &passive);
  say_info("nothing", NULL, NULL, &stream);
  say_info("bad flags", "localhost", "80", &flags);
  say_info("bad family", "localhost", "80", &family);
  say_info("bad service", "localhost", "no-such-service", &stream);
  say_info("empty", "", "80", &stream);
  say_info("long", longest, "80", &stream);
}

static void say_host(const char *what, const struct hostent *e, int herr) {
  say("%s: %s, h_errno %d", what, e ? e->h_name : "none", e ? 0 : herr);
  for (char **a = e ? e->h_addr_list : NULL; a && *a; a++) {
    char text[INET6_ADDRSTRLEN];
    say("%s: family %d length %d: %s", what, e->h_addrtype, e->h_length,
        inet_ntop(e->h_addrtype, *a, text, sizeof text));
  }
}

static void say_host_r(const char *what, const char *name, int family, size_t len) {
  struct hostent e, *found = (struct hostent *)8;
  char buf[4096];
  int herr = -7, rc = family ? gethostbyname2_r(name, family, &e, buf, len, &found, &herr)
                             : gethostbyname_r(name, &e, buf, len, &found, &herr);
  say("%s: %s, result %s", what, rc ? errno_name(rc) : "0", found == &e ? "ours" : found ? "?" : "NULL");
  say_host(what, found, herr);
}

static void by_name(void) {
  say_host("plain", gethostbyname("localhost"), h_errno);
  say_host("upper", gethostbyname("LOCALHOST"), h_errno);
  say_host("number", gethostbyname("127.0.0.2"), h_errno);
  say_host("four", gethostbyname2("localhost", AF_INET), h_errno);
  say_host("six number", gethostbyname2("::1", AF_INET6), h_errno);
  say_host("bad family", gethostbyname2("localhost", 77), h_errno);
  struct hostent *e = gethostbyname("localhost");
  say_host("by its own answer", gethostbyname(e->h_name), h_errno);
  say_host_r("reentrant", "localhost", 0, 4096);
  say_host_r("reentrant, no room", "localhost", 0, 8);
  say_host_r("reentrant four", "localhost", AF_INET, 4096);
  say_host_r("reentrant four, no room", "localhost", AF_INET, 8);
  say_host_r("reentrant bad family", "localhost", 77, 4096);
}

static void several_at_once(void) {
  struct gaicb one = {.ar_name = "localhost", .ar_service = "80"}, two = {.ar_name = "127.0.0.9"};
  struct gaicb *list[] = {&one, NULL, &two};
  CALL(getaddrinfo_a(GAI_WAIT, list, 3, NULL));
  CALL(gai_error(&one));
  CALL(gai_error(&two));
  say("answers %d %d", one.ar_result != NULL, two.ar_result != NULL);
  freeaddrinfo(one.ar_result);
  freeaddrinfo(two.ar_result);
  CALL(getaddrinfo_a(77, list, 3, NULL));
  struct gaicb later = {.ar_name = "localhost"};
  const struct gaicb *wait[] = {&later};
  list[0] = &later;
  CALL(getaddrinfo_a(GAI_NOWAIT, list, 1, NULL));
  while (gai_error(&later) == EAI_INPROGRESS)
    gai_suspend(wait, 1, NULL);
  CALL(gai_error(&later));
  freeaddrinfo(later.ar_result);
}

/* errno survives a successful call as it does natively, and the address works. */
static void then_connect(void) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *ai;
  char service[8];
  int l = listen_on(0, 8);
  snprintf(service, sizeof service, "%u", port);
  CALL(getaddrinfo("localhost", service, &hints, &ai));
  int c = client_socket(0);
  CALL(connect(c, ai->ai_addr, ai->ai_addrlen));
  freeaddrinfo(ai);
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}

static void *resolve_much(void *arg) {
  struct addrinfo *ai;
  int bad = 0;
  for (int i = 0; i < 200; i++) {
    struct hostent e, *found;
    char buf[1024];
    int herr;
    bad += getaddrinfo("localhost", NULL, NULL, &ai) != 0;
    freeaddrinfo(ai);
    bad += gethostbyname_r("localhost", &e, buf, sizeof buf, &found, &herr) != 0;
  }
  *(int *)arg = bad;
  return NULL;
}

/* In threads, with handlers running and children being forked. */
static void nobody(int sig) { (void)sig; }
static void in_threads(void) {
  pthread_t t[3];
  int bad[3];
  struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  struct sigaction act = {.sa_handler = nobody, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &act, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  for (int i = 0; i < 3; i++)
    t[i] = thread(resolve_much, &bad[i]);
  for (int i = 0; i < 20; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      struct hostent e, *found;
      char buf[1024];
      int herr;
      _exit(gethostbyname_r("127.0.0.1", &e, buf, sizeof buf, &found, &herr));
    }
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
      ;
    if (status != 0)
      say("child %d", status);
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(t[i], NULL);
    say("failed %d", bad[i]);
  }
  setitimer(ITIMER_REAL, &never, NULL);
}

const struct scenario s_resolve[] = {{"info", info},
                                     {"by_name", by_name},
                                     {"several_at_once", several_at_once},
                                     {"then_connect", then_connect},
                                     {"in_threads", in_threads},
                                     {NULL, NULL}};
