/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_libs.c - the libraries that the loader will load for a program, found as ld.so(8) says: RPATH of who asks
 * and of who asked for him, LD_LIBRARY_PATH, RUNPATH, the cache, the system's directories. Nothing is executed
 * (ldd(1) would).
 */
#include "program_elf_int.h"

#include "program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#if defined __x86_64__
#define MULTIARCH "x86_64-linux-gnu"
#elif defined __aarch64__
#define MULTIARCH "aarch64-linux-gnu"
#else
#define MULTIARCH "gnu"
#endif

struct object {
  struct program_library lib; /* of the program itself: name "" */
  char name[256];
  char *rpath, *runpath; /* malloc()ed */
  size_t loader;         /* who asked for it: an index */
};

struct walk {
  struct object *objects[PROGRAM_LIBRARIES_MAX];
  size_t count;
  struct program_elf elf; /* of the one that is being read */
  char found[PATH_MAX];
  int fd;
};

/* A file that the loader would take: an ELF library of our class and machine. Leaves it open and read. */
static bool usable(void *arg, const char *path) {
  struct walk *w = arg;
  w->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (w->fd < 0)
    return false;
  bool good = program_elf_read(w->fd, &w->elf) == 0 && !w->elf.foreign && !w->elf.malformed && w->elf.executable;
  if (good)
    snprintf(w->found, sizeof w->found, "%s", path);
  close(w->fd);
  return good;
}

/* $ORIGIN, $LIB and $PLATFORM in a search path. */
static void expand(const char *in, size_t len, const char *origin, char out[PATH_MAX]) {
  size_t used = 0;
  const char *end = in + len, *platform = (const char *)getauxval(AT_PLATFORM);
  const struct {
    const char *name, *value;
  } tokens[] = {{"$ORIGIN", origin},          {"${ORIGIN}", origin},   {"$LIB", "lib/" MULTIARCH},
                {"${LIB}", "lib/" MULTIARCH}, {"$PLATFORM", platform}, {"${PLATFORM}", platform}};
  while (in < end && used < PATH_MAX - 1) {
    bool token = false;
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens && !token && *in == '$'; i++) {
      size_t n = strlen(tokens[i].name);
      if ((size_t)(end - in) < n || memcmp(in, tokens[i].name, n) != 0)
        continue;
      int wrote = snprintf(out + used, PATH_MAX - used, "%s", tokens[i].value ? tokens[i].value : "");
      used = (size_t)wrote < PATH_MAX - used ? used + (size_t)wrote : PATH_MAX - 1;
      in += n;
      token = true;
    }
    if (!token)
      out[used++] = *in++;
  }
  out[used] = '\0';
}

static void origin_of(const char *path, char out[PATH_MAX]) {
  char real[PATH_MAX];
  snprintf(out, PATH_MAX, "%s", realpath(path, real) ? real : path);
  char *slash = strrchr(out, '/');
  if (slash)
    *slash = '\0';
}

static bool in_directory(struct walk *w, const char *dir, const char *name) {
  static const char *const below[] = {"", "glibc-hwcaps/x86-64-v4/", "glibc-hwcaps/x86-64-v3/",
                                      "glibc-hwcaps/x86-64-v2/"};
  char path[PATH_MAX + 512];
  for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
    int n = snprintf(path, sizeof path, "%s%s%s%s", *dir ? dir : ".", "/", below[i], name);
    if (n < PATH_MAX && usable(w, path))
      return true;
  }
  return false;
}

static bool in_list(struct walk *w, const char *list, const char *separators, const char *asker, const char *name) {
  char origin[PATH_MAX], dir[PATH_MAX];
  if (!list || !*list)
    return false;
  origin_of(asker, origin);
  for (const char *s = list;; s++) {
    size_t n = strcspn(s, separators);
    expand(s, n, origin, dir);
    if (in_directory(w, dir, name))
      return true;
    s += n;
    if (!*s)
      return false;
  }
}

static bool find(struct walk *w, size_t asker, const char *name) {
  static const char *const system[] = {"/lib/" MULTIARCH, "/usr/lib/" MULTIARCH, "/lib64", "/usr/lib64", "/lib",
                                       "/usr/lib"};
  const struct object *by = w->objects[asker];
  if (strchr(name, '/')) {
    char origin[PATH_MAX], path[PATH_MAX];
    origin_of(by->lib.path, origin);
    expand(name, strlen(name), origin, path);
    return usable(w, path);
  }
  for (size_t at = asker; !*by->runpath; at = w->objects[at]->loader) {
    const struct object *o = w->objects[at];
    if (!*o->runpath && in_list(w, o->rpath, ":", o->lib.path, name))
      return true;
    if (at == 0)
      break;
  }
  if (in_list(w, getenv("LD_LIBRARY_PATH"), ":;", by->lib.path, name) ||
      in_list(w, by->runpath, ":", by->lib.path, name) || program_cache_find(name, usable, w))
    return true;
  for (size_t i = 0; i < sizeof system / sizeof *system; i++)
    if (in_directory(w, system[i], name))
      return true;
  return false;
}

static bool known(const struct walk *w, const char *name) {
  for (size_t i = 1; i < w->count; i++)
    if (strcmp(w->objects[i]->name, name) == 0)
      return true;
  return false;
}

/* An object that is loaded, from what was read of it. NULL: no memory, or too many. */
static struct object *add(struct walk *w, const char *name, const char *path, const struct program_elf *elf,
                          size_t loader) {
  struct object *o = w->count < PROGRAM_LIBRARIES_MAX ? calloc(1, sizeof *o) : NULL;
  if (!o)
    return NULL;
  snprintf(o->name, sizeof o->name, "%s", name);
  snprintf(o->lib.path, sizeof o->lib.path, "%s", path);
  o->lib.name = o->name;
  o->rpath = strdup(elf->rpath);
  o->runpath = strdup(elf->runpath);
  o->loader = loader;
  if (!o->rpath || !o->runpath) {
    free(o->rpath);
    free(o->runpath);
    free(o);
    return NULL;
  }
  o->lib.by = w->count ? w->objects[loader]->lib.path : "";
  w->objects[w->count++] = o;
  return o;
}

/* What elf, object number asker, needs. elf may be w->elf: names are copied first. */
static void follow(struct walk *w, size_t asker, const struct program_elf *elf, program_library_fn each,
                   program_library_fn missing, void *arg);

static void one(struct walk *w, size_t asker, const char *name, program_library_fn each, program_library_fn missing,
                void *arg) {
  if (known(w, name) || strncmp(name, "ld-linux", 8) == 0)
    return;
  bool found = find(w, asker, name);
  if (!found) {
    memset(&w->elf, 0, sizeof w->elf);
    w->elf.rpath = w->elf.runpath = w->found;
    w->found[0] = '\0';
  }
  struct object *o = add(w, name, w->found, &w->elf, asker);
  if (o)
    (found ? each : missing)(arg, &o->lib, &w->elf);
  if (o && found) {
    size_t number = w->count - 1;
    follow(w, number, &w->elf, each, missing, arg);
  }
}

static void follow(struct walk *w, size_t asker, const struct program_elf *elf, program_library_fn each,
                   program_library_fn missing, void *arg) {
  size_t size = elf->names_used;
  char *names = malloc(size + 1);
  size_t count = elf->needed_count;
  size_t offsets[ELF_NEEDED_MAX];
  if (!names)
    return;
  memcpy(names, elf->names, size);
  for (size_t i = 0; i < count; i++)
    offsets[i] = (size_t)(elf->needed[i] - elf->names);
  for (size_t i = 0; i < count; i++)
    one(w, asker, names + offsets[i], each, missing, arg);
  free(names);
}

void program_libraries(const char *path, const struct program_elf *elf, program_library_fn each,
                       program_library_fn missing, void *arg) {
  struct walk *w = calloc(1, sizeof *w);
  if (w && add(w, "", path, elf, 0))
    follow(w, 0, elf, each, missing, arg);
  for (size_t i = 0; w && i < w->count; i++) {
    free(w->objects[i]->rpath);
    free(w->objects[i]->runpath);
    free(w->objects[i]);
  }
  free(w);
}
