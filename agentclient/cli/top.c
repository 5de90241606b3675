/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top.c - `svidwrap top`: the status, refreshed. Plain ANSI on a terminal, and the terminal is given back as it was
 * on every way out; into a pipe, one report after the other.
 */
#include "ask.h"
#include "cli.h"
#include "status.h"
#include "table.h"

#include "../policy/policy.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS     2000u
#define INTERVAL_MIN_MS 100u

static const char usage[] = "usage: svidwrap top [--interval DURATION] [-n COUNT]\n"
                            "\n"
                            "Shows what `svidwrap status` shows, busiest connections first, until q or Ctrl-C.\n"
                            "\n"
                            "  -i, --interval DURATION   between two refreshes, 2s by default\n"
                            "  -n, --count COUNT         ends after so many\n"
                            "\n"
                            "Exits 69 when no daemon answers at the end.\n";

struct top {
  uint32_t interval_ms;
  long count; /* 0: without end */
};

/* -- the terminal -- */

static struct termios cooked;
static volatile sig_atomic_t raw, asked_to_end, asked_to_stop;

static void put(const char *codes) { (void)!write(STDOUT_FILENO, codes, strlen(codes)); }

/* Async-signal-safe: also for the way out by a signal. */
static void give_back(void) {
  if (!raw)
    return;
  raw = 0;
  put("\033[?7h\033[?25h\033[?1049l");
  tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
}

static void take(void) {
  struct termios t = cooked;
  t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
  raw = 1;
  tcsetattr(STDIN_FILENO, TCSANOW, &t);
  put("\033[?1049h\033[?25l\033[?7l"); /* another screen, no cursor, long lines are cut */
}

static void on_signal(int sig) {
  if (sig == SIGTSTP)
    asked_to_stop = 1;
  else if (sig != SIGWINCH && sig != SIGCONT)
    asked_to_end = 1;
}

static bool open_terminal(void) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH, SIGCONT};
  if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &cooked) != 0)
    return false;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaction(signals[i], &(struct sigaction){.sa_handler = on_signal}, NULL); /* without SA_RESTART: poll() wakes */
  atexit(give_back);
  take();
  return true;
}

static void stop_for_a_while(void) {
  asked_to_stop = 0;
  give_back();
  raise(SIGSTOP);
  take();
}

/* As many lines as fit. The last one is left free: a newline there would scroll. */
static void show_screen(const char *page) {
  struct winsize size = {0};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
    size.ws_row = 24;
  fputs("\033[H", stdout);
  for (unsigned row = 1; *page && row < size.ws_row; row++) {
    size_t n = strcspn(page, "\n");
    printf("%.*s\033[K\n", (int)n, page);
    page += n + (page[n] == '\n');
  }
  fputs("\033[J", stdout);
  fflush(stdout);
}

/* Waits, on a terminal for a key too. true: time to go. */
static bool rest(bool terminal, uint32_t ms) {
  struct timespec now, end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += ms / 1000;
  end.tv_nsec += (long)(ms % 1000) * 1000000;
  for (;;) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left = (int64_t)(end.tv_sec - now.tv_sec) * 1000 + (end.tv_nsec - now.tv_nsec) / 1000000;
    if (asked_to_end)
      return true;
    if (asked_to_stop) {
      stop_for_a_while();
      return false;
    }
    if (left <= 0)
      return false;
    struct pollfd p = {.fd = terminal ? STDIN_FILENO : -1, .events = POLLIN};
    int n = poll(&p, 1, (int)left);
    if (n < 0) /* a signal: a window of another size is drawn at once */
      return asked_to_end;
    char key;
    if (n > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q'))
      return true;
    if (n > 0)
      return false; /* any other key: now */
  }
}

/* -- the rounds -- */

static double seconds_since(const struct timespec *then) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

/* One report. *before and *at are those of the last one. */
static int round_once(bool terminal, bool first, json_t **before, struct timespec *at) {
  char why[1024], *page = NULL;
  size_t len = 0;
  json_t *root;
  int rc = ask_daemon(WIRE_STATUS, NULL, &root, why, sizeof why);
  FILE *f = open_memstream(&page, &len);
  if (!f) {
    json_decref(root);
    return EX_OSERR;
  }
  struct status_view view = {
      .coloured = table_coloured(stdout), .before = *before, .seconds = *before ? seconds_since(at) : 0, .top = true};
  if (rc == EX_OK)
    status_print(f, root, &view);
  else
    fprintf(f, "svidwrap: %s\n", why);
  fclose(f);
  if (terminal)
    show_screen(page);
  else
    fprintf(rc == EX_OK ? stdout : stderr, "%s%s", first ? "" : "\n", page);
  fflush(stdout);
  free(page);
  json_decref(*before);
  *before = root;
  clock_gettime(CLOCK_MONOTONIC, at);
  return rc;
}

static int rounds(const struct top *o) {
  bool terminal = open_terminal();
  json_t *before = NULL;
  struct timespec at = {0};
  int rc = EX_OK;
  for (long n = 1;; n++) {
    rc = round_once(terminal, n == 1, &before, &at);
    if (ferror(stdout)) { /* `| head` has seen enough */
      rc = EX_IOERR;
      break;
    }
    if ((o->count && n >= o->count) || rest(terminal, o->interval_ms))
      break;
  }
  json_decref(before);
  give_back();
  return rc;
}

int cli_top(int argc, char **argv) {
  static const struct option options[] = {{"interval", required_argument, NULL, 'i'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  struct top o = {.interval_ms = INTERVAL_MS};
  char *end;
  for (int c; (c = getopt_long(argc, argv, "i:n:h", options, NULL)) != -1;) {
    switch (c) {
    case 'i':
      if (policy_duration(optarg, &o.interval_ms) != 0 || o.interval_ms < INTERVAL_MIN_MS ||
          o.interval_ms > 3600000) {
        fprintf(stderr, "svidwrap: --interval %s: expected a duration from 100ms to 1h\n", optarg);
        return EX_USAGE;
      }
      break;
    case 'n':
      o.count = strtol(optarg, &end, 10);
      if (*end || o.count < 1) {
        fprintf(stderr, "svidwrap: -n %s: expected a number from 1\n", optarg);
        return EX_USAGE;
      }
      break;
    case 'h':
      fputs(usage, stdout);
      return EX_OK;
    default:
      fputs(usage, stderr);
      return EX_USAGE;
    }
  }
  if (optind < argc) {
    fputs(usage, stderr);
    return EX_USAGE;
  }
  return rounds(&o);
}
