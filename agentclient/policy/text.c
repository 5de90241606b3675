/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.c - tells clean UTF-8 text from other bytes; see text.h.
 */
#include "text.h"

#include <string.h>

/* Length of the UTF-8 sequence at s, 0 if it is none (RFC 3629). */
static size_t utf8_sequence(const unsigned char *s, size_t left) {
  static const unsigned char least[] = {0, 0, 0xc2, 0xe0, 0xf0};
  size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
  if (n == 0 || n > left || (n > 1 && s[0] < least[n]))
    return 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
      (s[0] == 0xf4 && s[1] > 0x8f))
    return 0;
  return n;
}

size_t text_clean(const char *text, size_t len, const char *keep) {
  size_t i = 0;
  while (i < len) {
    unsigned char c = (unsigned char)text[i];
    if ((c < 0x20 && (c == 0 || !strchr(keep, c))) || c == 0x7f)
      return i;
    if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0)
      return i; /* U+0080 to U+009F: C1 controls */
    size_t n = utf8_sequence((const unsigned char *)text + i, len - i);
    if (n == 0)
      return i;
    i += n;
  }
  return len;
}
