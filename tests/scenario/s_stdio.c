/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_stdio.c - stdio streams on sockets: does a program of 1998 that says fdopen() see what it saw?
 */
#include "scenario.h"

/* One stream for both directions, as old programs have it, and a line protocol. */
static void stdio_lines(void) {
  int s, c;
  char line[200];
  pair(&s, &c);
  FILE *in = fdopen(c, "r"), *out = fdopen(c, "w"), *both = fdopen(s, "r+");
  say("streams %d %d %d", in != NULL, out != NULL, both != NULL);
  say("numbers %d %d %d", fileno(in) == c, fileno(out) == c, fileno_unlocked(both) == s);
  CALL(fprintf(out, "HELO %s %d\r\n", "client", 25));
  CALL(fputs("second line\n", out));
  CALL(fflush(out));
  say("fgets %s", fgets(line, sizeof line, both) ? line : "NULL");
  say("fgets %s", fgets(line, sizeof line, both) ? line : "NULL");
  CALL(fseek(both, 0, SEEK_CUR)); /* between reading and writing; a socket cannot, and it does no harm */
  CALL(fprintf(both, "250 hello %c\n", '!'));
  CALL(fflush(both));
  char *got = NULL;
  size_t room = 0;
  CALL(getline(&got, &room, in));
  say("getline %s", got);
  free(got);
  CALL(ungetc('x', in));
  CALL(fgetc(in));
  CALL(ftell(in));
  CALL(fclose(out)); /* closes the number under the other stream, too */
  say("fgetc is EOF %d", fgetc(in) == EOF);
  say("error %d, end %d", ferror(in) != 0, feof(in) != 0);
  say("at the server EOF %d", fgetc(both) == EOF);
  say("error %d, end %d", ferror(both) != 0, feof(both) != 0);
  CALL(fclose(both));
}

static void stdio_modes(void) {
  int s, c;
  pair(&s, &c);
  FILE *f = fdopen(c, "z");
  say("a mode that is none: %d %s", f != NULL, errno_name(errno));
  f = fdopen(999, "r");
  say("a number that is none: %d %s", f != NULL, errno_name(errno));
  f = fdopen(c, "r");
  errno = 0;
  say("fputc to a reader %d %s", fputc('x', f), errno_name(errno));
  say("error %d", ferror(f) != 0);
  clearerr(f);
  FILE *g = fdopen(s, "w");
  errno = 0;
  say("fgetc from a writer %d %s", fgetc(g), errno_name(errno));
  CALL(setvbuf(g, NULL, _IONBF, 0));
  CALL(fputs("unbuffered", g));
  char b[10];
  CALL(fread(b, 1, sizeof b, f));
  say_bytes("read", b, sizeof b);
  fclose(g);
  fclose(f);
}

static void stdio_buffers(void) {
  int s, c;
  static char data[100000], got[100000];
  pair(&s, &c);
  FILE *out = fdopen(c, "w"), *in = fdopen(s, "r");
  fill(data, sizeof data, 0);
  CALL(fwrite(data, 1, 5000, out));
  usleep(20000);
  int there = 0;
  ioctl(s, FIONREAD, &there);
  say("one buffer is out: %d", there);
  CALL(fflush(out));
  CALL(fread(got, 1, 10, in));
  int left = 0;
  ioctl(s, FIONREAD, &left);
  say("and one is in: %d", left);
  CALL(fread(got, 1, 4990, in));
  pid_t kid = fork();
  if (kid == 0) {
    role("writer");
    CALL(fwrite(data, 1, sizeof data, out));
    CALL(fclose(out));
    exit(0);
  }
  CALL(fread(got, 1, sizeof got, in));
  say("same %d", same(got, sizeof got, 0));
  child_status(kid);
  fclose(out);
  say("end %d", fgetc(in) == EOF && feof(in));
  fclose(in);
}

/* What is still in a buffer when a program returns from main() goes out; _exit() drops it. */
static void stdio_exit(void) {
  for (int how = 0; how < 3; how++) {
    int s, c;
    char b[100];
    pair(&s, &c);
    pid_t kid = fork();
    if (kid == 0) {
      close(s);
      FILE *f = fdopen(c, "w");
      fputs("said at the end\n", f);
      if (how == 0)
        exit(0);
      if (how == 1)
        _exit(0);
      quick_exit(0);
    }
    close(c);
    CALL(read(s, b, sizeof b));
    child_status(kid);
    close(s);
  }
}

static void stdio_before_connect(void) {
  int l = listen_on(0, 8), c = client_socket(0);
  char line[100];
  FILE *f = fdopen(c, "r+");
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  CALL(fputs("through a stream made before connect()\n", f));
  CALL(fflush(f));
  FILE *in = fdopen(s, "r");
  say("fgets %s", fgets(line, sizeof line, in) ? line : "NULL");
  fclose(f);
  fclose(in);
  close(l);
}

static void stdio_nonblocking(void) {
  int s, c;
  pair(&s, &c);
  set_nonblock(s, true);
  FILE *in = fdopen(s, "r");
  errno = 0;
  say("nothing there: %d %s", fgetc(in), errno_name(errno));
  say("error %d end %d", ferror(in) != 0, feof(in) != 0);
  clearerr(in);
  CALL(write(c, "x", 1));
  wait_mask(s, POLLIN, POLLIN);
  CALL(fgetc(in));
  fclose(in);
  close(c);
}

static void stdio_reset(void) {
  int s, c;
  pair(&s, &c);
  FILE *f = fdopen(c, "r+");
  struct linger reset = {1, 0};
  CALL(setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
  CALL(close(s));
  wait_mask(c, POLLIN, POLLHUP);
  errno = 0;
  say("fgetc %d %s", fgetc(f), errno_name(errno));
  say("error %d end %d", ferror(f) != 0, feof(f) != 0);
  signal(SIGPIPE, SIG_IGN);
  fputs("into the void", f);
  say("fflush %d %s", fflush(f), errno_name(errno));
  fclose(f);
}

static void stdio_half_close(void) {
  int s, c;
  char line[100];
  pair(&s, &c);
  FILE *f = fdopen(dup(c), "w"), *in = fdopen(c, "r"), *at = fdopen(s, "r+");
  CALL(fputs("question\n", f));
  CALL(fflush(f));
  CALL(shutdown(fileno(f), SHUT_WR));
  CALL(fclose(f));
  say("fgets %s", fgets(line, sizeof line, at) ? line : "NULL");
  say("end %d", fgets(line, sizeof line, at) == NULL && feof(at));
  fseek(at, 0, SEEK_CUR);
  CALL(fputs("answer\n", at));
  CALL(fclose(at));
  say("fgets %s", fgets(line, sizeof line, in) ? line : "NULL");
  CALL(fclose(in));
}

const struct scenario s_stdio[] = {{"stdio_lines", stdio_lines},
                                   {"stdio_modes", stdio_modes},
                                   {"stdio_buffers", stdio_buffers},
                                   {"stdio_exit", stdio_exit},
                                   {"stdio_before_connect", stdio_before_connect},
                                   {"stdio_nonblocking", stdio_nonblocking},
                                   {"stdio_reset", stdio_reset},
                                   {"stdio_half_close", stdio_half_close},
                                   {NULL, NULL}};
