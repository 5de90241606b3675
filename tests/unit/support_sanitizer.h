/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_sanitizer.h - for a test that cannot run in one of the sanitizers' lanes: it says so, with the reason,
 * and counts as skipped there. Outside of those lanes nothing is ever skipped by this.
 */
#ifndef TESTS_UNIT_SUPPORT_SANITIZER_H
#define TESTS_UNIT_SUPPORT_SANITIZER_H

#if !defined(__has_feature)
#define __has_feature(x) 0 /* gcc defines the macros below */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif

/* First in a test's function; scripts/run-unit shows the reason. */
#define SKIP_UNDER(sanitizer, reason)                                                                                \
  do {                                                                                                               \
    if (sanitizer) {                                                                                                 \
      print_message("SKIP: " reason "\n");                                                                           \
      skip();                                                                                                        \
    }                                                                                                                \
  } while (0)

#endif
