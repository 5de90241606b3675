/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <dlfcn.h>

static long read_markers(int fd, size_t count) {
  const char *marker = getenv("SCENARIO_MARKER");
  size_t n = marker ? strlen(marker) : 0, good = 0;
  char b[200];
  while (good < count && n < sizeof b && recv(fd, b, n, MSG_WAITALL) == (ssize_t)n && memcmp(b, marker, n) == 0)
    good++;
  return (long)good;
}

SCENARIO(
    "A library that talks from its constructor, a thread and its destructor is loaded and unloaded: is all well?") {
  char text[8], b;
  const char *path = beside("libvisitor.so");
  snprintf(text, sizeof text, "%u", port);
  setenv("VISITOR_PORT", text, 1);
  int l = listen_on(0, 8);
  for (int i = 0; i < 3; i++) {
    void *h = dlopen(path, i & 1 ? RTLD_NOW | RTLD_GLOBAL : RTLD_LAZY);
    if (!h)
      give_up(dlerror());
    int s = accept(l, NULL, NULL), kept = accept(l, NULL, NULL), fd = *(int *)dlsym(h, "visitor_fd");
    long (*talk)(void) = (long (*)(void))dlsym(h, "visitor_talk");
    say("talked %d", talk() > 0);
    CALL(dlclose(h));
    say("gone %d", dlopen(path, RTLD_NOLOAD | RTLD_LAZY) == NULL);
    say("heard %ld", read_markers(kept, 3));
    CALL(read(kept, &b, 1));
    say("heard %ld", read_markers(s, 1));
    say("wrote %zu", write_all(fd, 1000, 0, 300));
    say("read %zu", read_all(s, 1000, 0, 1000));
    close(fd);
    close(s);
    close(kept);
  }
}
