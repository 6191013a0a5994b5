/* Preloaded into a program, this is its DNS: while the file that $NAMES names holds a byte other than 0, names below `.test` are this machine and
 * the rest is as ever; otherwise no name can be looked up, as when no server of names answers. Addresses stay addresses. The file is mapped,
 * so a change counts at once and for every program. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const volatile char *answers;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("NAMES");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED)
        abort();
    close(file);
    answers = page;
}

int getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    struct in6_addr address;
    size_t length = name ? strlen(name) : 0;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
        return real(name, port, hints, found);
    if (!*answers)
        return EAI_AGAIN;
    return real(length > 5 && !strcmp(name + length - 5, ".test") ? "127.0.0.1" : name, port, hints, found);
}
