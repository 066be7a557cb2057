/* Lets the n-th call that a save makes of the system fail, stop half way, or be the last of its process.

   Loaded before the C library (LD_PRELOAD), whose functions these stand for. The headers that declare them are left out:
   open takes a third argument only sometimes, and is defined here with three. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

typedef long offset;
int getpid(void);

enum { NOTHING, FAIL, DIE_BEFORE, DIE_AFTER, HALF, DIE_HALF };

static int armed, calls, target, how;
static char names[1 << 16];

void fault_arm(int at, int mode) {
  calls = 0, target = at, how = mode, names[0] = 0, armed = 1;
}

const char *fault_disarm(void) {
  armed = 0;
  return names;
}

static void die(void) { kill(getpid(), SIGKILL); }

static int strike(const char *name) {
  if (!armed) return NOTHING;
  if (strlen(names) + strlen(name) + 2 < sizeof names) strcat(strcat(names, name), " ");
  int mode = calls++ == target ? how : NOTHING;
  if (mode == DIE_BEFORE) die();
  return mode;
}

#define STAND_IN(result_type, name, parameters, arguments, failure)      \
  result_type name parameters {                                          \
    static result_type(*real) parameters;                                \
    if (!real) real = (result_type(*) parameters)dlsym(RTLD_NEXT, #name); \
    int mode = strike(#name);                                            \
    if (mode == FAIL) {                                                  \
      if (!strcmp(#name, "close")) real arguments;                       \
      errno = EIO;                                                       \
      return failure;                                                    \
    }                                                                    \
    result_type result = real arguments;                                 \
    if (mode == DIE_AFTER) die();                                        \
    return result;                                                       \
  }

#define PATH const char *path
STAND_IN(int, open, (PATH, int flags, unsigned mode_), (path, flags, mode_), -1)
STAND_IN(int, open64, (PATH, int flags, unsigned mode_), (path, flags, mode_), -1)
STAND_IN(int, close, (int file), (file), -1)
STAND_IN(int, fsync, (int file), (file), -1)
STAND_IN(int, flock, (int file, int operation), (file, operation), -1)
STAND_IN(int, mkdir, (PATH, unsigned mode_), (path, mode_), -1)
STAND_IN(int, unlink, (PATH), (path), -1)
STAND_IN(int, rename, (PATH, const char *to), (path, to), -1)
STAND_IN(int, stat, (PATH, void *status), (path, status), -1)
STAND_IN(int, stat64, (PATH, void *status), (path, status), -1)
STAND_IN(int, fstat, (int file, void *status), (file, status), -1)
STAND_IN(int, fstat64, (int file, void *status), (file, status), -1)
STAND_IN(offset, lseek, (int file, offset by, int whence), (file, by, whence), -1)
STAND_IN(offset, lseek64, (int file, offset by, int whence), (file, by, whence), -1)
STAND_IN(long, read, (int file, void *data, size_t size), (file, data, size), -1)
STAND_IN(void *, opendir, (PATH), (path), NULL)

long write(int file, const void *data, size_t size) {
  static long (*real)(int, const void *, size_t);
  if (!real) real = (long (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  int mode = strike("write");
  if (mode == FAIL) {
    errno = ENOSPC;
    return -1;
  }
  long result = real(file, data, mode == HALF || mode == DIE_HALF ? (size + 1) / 2 : size);
  if (mode == DIE_AFTER || mode == DIE_HALF) die();
  return result;
}
