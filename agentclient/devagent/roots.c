/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust bundles as files. Nothing private passes through here but a minted key on its way to its file.
 */
#include "roots.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int devagent_roots_read(const char *file, uint8_t **der, size_t *len, char *why, size_t why_len) {
  FILE *f = fopen(file, "re");
  X509 *x;
  *der = NULL;
  *len = 0;
  if (!f) {
    snprintf(why, why_len, "%s: %s", file, strerror(errno));
    return -1;
  }
  ERR_clear_error();
  while ((x = PEM_read_X509(f, NULL, NULL, NULL)) != NULL) {
    int n = i2d_X509(x, NULL);
    uint8_t *grown = n > 0 ? realloc(*der, *len + (size_t)n) : NULL;
    if (grown) {
      uint8_t *p = (*der = grown) + *len;
      *len += (size_t)i2d_X509(x, &p);
    }
    X509_free(x);
    if (!grown)
      break;
  }
  /* "No start line" is how the reader says end of file; anything else is damage in the middle. */
  unsigned long e = ERR_peek_last_error();
  int clean = !x && (e == 0 || ERR_GET_REASON(e) == PEM_R_NO_START_LINE);
  ERR_clear_error();
  fclose(f);
  if (clean && *der)
    return 0;
  snprintf(why, why_len, "%s: %s", file, *der ? "a certificate in it is damaged" : "no PEM certificate in it");
  free(*der);
  *der = NULL;
  return -1;
}

char *devagent_roots_pem(const uint8_t *der, size_t len, size_t *pem_len) {
  BIO *out = BIO_new(BIO_s_mem());
  const uint8_t *p = der, *end = der + len;
  char *pem = NULL, *data;
  int ok = out != NULL;
  while (ok && p < end) {
    X509 *x = d2i_X509(NULL, &p, end - p);
    ok = x && PEM_write_bio_X509(out, x) == 1;
    X509_free(x);
  }
  long n = ok ? BIO_get_mem_data(out, &data) : 0;
  if (n > 0 && (pem = malloc((size_t)n)) != NULL) {
    memcpy(pem, data, (size_t)n);
    *pem_len = (size_t)n;
  }
  BIO_free(out);
  ERR_clear_error();
  return pem;
}

int devagent_file_replace(const char *file, const void *data, size_t len, unsigned mode) {
  char *tmp = NULL;
  int fd = -1, rc = -1, saved;
  size_t done = 0;
  if (asprintf(&tmp, "%s.XXXXXX", file) < 0)
    return -1;
  fd = mkostemp(tmp, O_CLOEXEC);
  if (fd < 0)
    goto out;
  if (fchmod(fd, mode) != 0)
    goto out;
  while (done < len) {
    ssize_t n = write(fd, (const char *)data + done, len - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      goto out;
    done += (size_t)n;
  }
  rc = rename(tmp, file);
out:
  saved = errno;
  if (fd >= 0) {
    close(fd);
    if (rc != 0)
      unlink(tmp);
  }
  free(tmp);
  errno = saved;
  return rc;
}
