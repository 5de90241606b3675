/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oldstyle.c - a server and its client as they were written in 1988: definitions in the style of Kernighan and
 * Ritchie's first edition, select() over an int, stdio and dup2() on sockets, fork, alarm() and signal(), gets-like
 * loops. Built with -std=gnu89 and without a prototype of its own.
 *
 * usage: oldstyle server PORT | client PORT TEXT
 */
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Formatters do not know such definitions. */
/* clang-format off */

static jmp_buf away;
static int listener, chatters[32], nchatters;

static void fatal(what)
char *what;
{
  perror(what);
  exit(1);
}

static void reap(sig)
int sig;
{
  while (waitpid(-1, (int *)0, WNOHANG) > 0)
    ;
  signal(sig, reap);
}

static void out_of_patience(sig)
int sig;
{
  (void)sig;
  longjmp(away, 1);
}

static void address(sin, port)
struct sockaddr_in *sin;
char *port;
{
  struct hostent *h;
  bzero((char *)sin, sizeof *sin);
  sin->sin_family = AF_INET;
  sin->sin_port = htons((unsigned short)atoi(port));
  if ((h = gethostbyname("127.0.0.1")) == NULL)
    fatal("gethostbyname");
  bcopy(h->h_addr_list[0], (char *)&sin->sin_addr, (size_t)h->h_length);
}

/* One session on descriptors 0 and 1: commands by line, answers by printf. */
static int session() {
  char line[2048], word[64], file[256];
  FILE *f;
  int n;
  printf("220 ready\r\n");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\r\n")] = '\0';
    if (sscanf(line, "%63s", word) != 1) {
      printf("500 say something\r\n");
    } else if (strcmp(word, "ECHO") == 0) {
      printf("200 %s\r\n", line + (line[4] ? 5 : 4));
    } else if (strcmp(word, "SUM") == 0) {
      int a = 0, b = 0;
      n = sscanf(line, "SUM %d %d", &a, &b);
      printf("200 %d numbers: %d\r\n", n, a + b);
    } else if (strcmp(word, "DATA") == 0) { /* to a lone dot */
      int c, was = '\n', lines = 0;
      long bytes = 0;
      fputs("354 go on\r\n", stdout);
      fflush(stdout);
      while ((c = getchar()) != EOF) {
        if (c == '.' && was == '\n') {
          ungetc(c, stdin);
          if (fgets(line, sizeof line, stdin) == NULL || strcmp(line, ".\r\n") == 0)
            break;
          c = '\n';
        }
        lines += c == '\n';
        bytes++;
        was = c;
      }
      printf("250 %d lines, %ld bytes\r\n", lines, bytes);
    } else if (strcmp(word, "RUN") == 0) { /* by the shell, on our stdout */
      fflush(stdout);
      n = system("echo \"200 out of a shell, input: $(wc -c </dev/null)\"");
      printf("200 status %d\r\n", n);
    } else if (strcmp(word, "PIPE") == 0) {
      if ((f = popen("echo from a pipe; echo twice", "r")) == NULL)
        fatal("popen");
      while (fgets(file, sizeof file, f) != NULL)
        printf("200-%s", file);
      printf("200 status %d\r\n", pclose(f));
    } else if (strcmp(word, "QUIT") == 0) {
      puts("221 goodbye\r");
      return 0;
    } else {
      printf("500 %s?\r\n", word);
    }
    fflush(stdout);
  }
  return 1;
}

static void begin_session(s)
int s;
{
  int pid;
  if ((pid = fork()) < 0)
    fatal("fork");
  if (pid == 0) {
    close(listener);
    signal(SIGCHLD, SIG_DFL); /* system() and pclose() wait for their own */
    dup2(s, 0);
    dup2(s, 1);
    if (s > 1)
      close(s);
    exit(session());
  }
  close(s);
}

/* The second port: a chat by select(); each byte goes to all the others. */
static void chat(ready)
fd_set *ready;
{
  char buf[512];
  int i, j, n;
  for (i = 0; i < nchatters; i++) {
    if (!FD_ISSET(chatters[i], ready))
      continue;
    if ((n = (int)read(chatters[i], buf, sizeof buf)) <= 0) {
      close(chatters[i]);
      chatters[i--] = chatters[--nchatters];
      continue;
    }
    for (j = 0; j < nchatters; j++)
      if (j != i)
        write(chatters[j], buf, (size_t)n);
  }
}

static int open_port(port, more)
char *port;
int more;
{
  struct sockaddr_in sin;
  int s, on = 1;
  address(&sin, port);
  sin.sin_port = htons((unsigned short)(ntohs(sin.sin_port) + more));
  if ((s = socket(AF_INET, SOCK_STREAM, 0)) < 0)
    fatal("socket");
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (char *)&on, sizeof on);
  if (bind(s, (struct sockaddr *)&sin, sizeof sin) < 0 || listen(s, 5) < 0)
    fatal("bind");
  return s;
}

static int server(port)
char *port;
{
  struct sockaddr_in from;
  socklen_t len;
  fd_set ready;
  int room, s, i, top;
  listener = open_port(port, 0);
  room = open_port(port, 1);
  signal(SIGCHLD, reap);
  signal(SIGPIPE, SIG_IGN);
  for (;;) {
    FD_ZERO(&ready);
    FD_SET(listener, &ready);
    FD_SET(room, &ready);
    top = listener > room ? listener : room;
    for (i = 0; i < nchatters; i++) {
      FD_SET(chatters[i], &ready);
      top = chatters[i] > top ? chatters[i] : top;
    }
    if (select(top + 1, &ready, (fd_set *)0, (fd_set *)0, (struct timeval *)0) < 0)
      continue; /* a child ended */
    chat(&ready);
    len = sizeof from;
    if (FD_ISSET(listener, &ready) && (s = accept(listener, (struct sockaddr *)&from, &len)) >= 0)
      begin_session(s);
    len = sizeof from;
    if (FD_ISSET(room, &ready) && (s = accept(room, (struct sockaddr *)&from, &len)) >= 0)
      chatters[nchatters++] = s;
  }
  return 0;
}

static int dial(port, more)
char *port;
int more;
{
  struct sockaddr_in sin;
  int s;
  address(&sin, port);
  sin.sin_port = htons((unsigned short)(ntohs(sin.sin_port) + more));
  if ((s = socket(AF_INET, SOCK_STREAM, 0)) < 0 || connect(s, (struct sockaddr *)&sin, sizeof sin) < 0)
    fatal("connect");
  return s;
}

static void expect_line(in)
FILE *in;
{
  char line[2048];
  if (fgets(line, sizeof line, in) == NULL)
    fatal("fgets");
  fputs(line, stdout);
}

static void talk(port, text)
char *port, *text;
{
  FILE *in, *out;
  int i, s = dial(port, 0);
  if ((in = fdopen(s, "r")) == NULL || (out = fdopen(dup(s), "w")) == NULL)
    fatal("fdopen");
  setbuf(in, (char *)0);
  expect_line(in);
  fprintf(out, "ECHO %s\r\nSUM 3 4\r\nSUM x\r\nNONSENSE\r\n\r\n", text);
  fflush(out);
  for (i = 0; i < 5; i++)
    expect_line(in);
  fputs("DATA\r\n", out);
  fflush(out);
  expect_line(in);
  for (i = 0; i < 3000; i++)
    fprintf(out, "%05d %s\r\n", i, text);
  fputs(".\r\nRUN\r\nPIPE\r\nQUIT\r\n", out);
  fflush(out);
  for (i = 0; i < 7; i++)
    expect_line(in);
  printf("the end: %d %d\n", getc(in), feof(in) != 0);
  fclose(in);
  fclose(out);
}

static void gossip(port, text)
char *port, *text;
{
  char buf[2048], byte;
  int s[3], i, n, got, pid, status;
  for (i = 0; i < 3; i++)
    s[i] = dial(port, 1);
  sleep(1); /* the server has to have them all */
  if ((pid = fork()) == 0) {
    write(s[0], text, strlen(text));
    _exit(0);
  }
  wait(&status);
  for (i = 1; i < 3; i++) {
    for (got = 0; got < (int)strlen(text); got += n)
      if ((n = (int)read(s[i], buf + got, sizeof buf - (size_t)got)) <= 0)
        fatal("read");
    printf("%d heard %.*s\n", i, got, buf);
  }
  signal(SIGALRM, out_of_patience);
  if (setjmp(away) == 0) {
    alarm(1);
    read(s[0], &byte, 1);
    printf("that should have waited\n");
  } else {
    printf("nobody spoke to the speaker\n");
  }
  write(s[1], "!", 1);
  read(s[0], &byte, 1);
  printf("then %c\n", byte);
  for (i = 0; i < 3; i++)
    close(s[i]);
}

int main(argc, argv)
int argc;
char **argv;
{
  if (argc == 3 && strcmp(argv[1], "server") == 0)
    return server(argv[2]);
  if (argc != 4 || strcmp(argv[1], "client") != 0)
    return 64;
  talk(argv[2], argv[3]);
  gossip(argv[2], argv[3]);
  return 0;
}
