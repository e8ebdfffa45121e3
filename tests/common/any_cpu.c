/* A plug-in that passes everything on to another one, which sees every processor as Intel's: OpenVINO's plug-in offers its CPU device for
   no other vendor, though OpenVINO runs on any x86-64. TARGET is the other one's file, VENDOR_ID the place of HardwareDevice_VendorId in
   ONNX Runtime's table of functions. Where CRASH_WHEN names a file, it crashes once that is there; where HANG_ONCE does, the run that
   finds the file takes it away and never ends. READ is the place of KernelContext_GetInput in that table. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Base {
    const void *(*GetApi)(uint32_t);
    const char *(*GetVersionString)(void);
} Base;

static const Base *given;
static void *table[512];

static uint32_t intel(const void *device) {
    (void)device;
    return 0x8086;
}

static void *(*get_input)(const void *, size_t, const void **);

static void *hanging_input(const void *context, size_t index, const void **value) {
    const char *once = getenv("HANG_ONCE");
    if (once && !unlink(once))
        for (;;) pause();
    return get_input(context, index, value);
}

static const void *get_api(uint32_t version) {
    const void *const *original = given->GetApi(version);
    if (!original) return NULL;
    memcpy(table, original, 512 * sizeof(void *));
    table[VENDOR_ID] = (void *)intel;
    *(void **)&get_input = table[READ];
    table[READ] = (void *)hanging_input;
    return table;
}

static const char *get_version(void) { return given->GetVersionString(); }

static const Base changed = {get_api, get_version};

static void *target(const char *name) {
    static void *library;
    if (!library) library = dlopen(TARGET, RTLD_NOW | RTLD_LOCAL);
    return library ? dlsym(library, name) : NULL;
}

static void *crash(void *file) {
    while (access(file, F_OK)) usleep(1000);
    usleep(300000);
    return (void *)(intptr_t) * (volatile int *)8;
}

void *CreateEpFactories(const char *name, const Base *base, const void *logger, void **factories, size_t most, size_t *count) {
    given = base;
    static pthread_t crashing;
    char *when = getenv("CRASH_WHEN");
    if (when) pthread_create(&crashing, NULL, crash, when);
    void *(*create)(const char *, const Base *, const void *, void **, size_t, size_t *);
    *(void **)&create = target("CreateEpFactories");
    return create(name, &changed, logger, factories, most, count);
}

void *ReleaseEpFactory(void *factory) {
    void *(*release)(void *);
    *(void **)&release = target("ReleaseEpFactory");
    return release(factory);
}
