/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.c - reasons for people: every refusal says which rule, which certificate and which time.
 *
 * What a certificate says about itself comes from a stranger; it is escaped and cut, never printed as it is.
 */
#include "internal.h"

#include <openssl/bio.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int identity_refuse(char *why, size_t why_len, const char *fmt, ...) {
  if (why && why_len) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, why_len, fmt, ap);
    va_end(ap);
  }
  return -1;
}

time_t identity_time(const ASN1_TIME *t) {
  struct tm tm;
  memset(&tm, 0, sizeof tm);
  if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
    return -1;
  return timegm(&tm);
}

const char *identity_time_text(const ASN1_TIME *t, char *buf, size_t len) {
  struct tm tm;
  memset(&tm, 0, sizeof tm);
  if (!t || ASN1_TIME_to_tm(t, &tm) != 1 || strftime(buf, len, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    snprintf(buf, len, "an unreadable time");
  return buf;
}

const char *identity_subject_text(X509 *cert, char *buf, size_t len) {
  BIO *out = BIO_new(BIO_s_mem());
  buf[0] = '\0';
  /* XN_FLAG_RFC2253 escapes control characters and everything beyond ASCII. */
  if (out && X509_NAME_print_ex(out, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) > 0) {
    int n = BIO_read(out, buf, (int)len - 1);
    buf[n > 0 ? n : 0] = '\0';
  }
  BIO_free(out);
  if (!buf[0])
    snprintf(buf, len, "(no subject)");
  return buf;
}
