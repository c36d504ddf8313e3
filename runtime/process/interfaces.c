/* The choice of a network interface. */
#include "runtime/process/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

/* Open MPI reads its settings under these names. PRRTE has one of its own for
 * its daemons; what is right for them is right for us. */
static const char *const chosen[] = {"OMPI_MCA_btl_tcp_if_include",
                                     "OMPI_MCA_oob_tcp_if_include",
                                     "PRTE_MCA_prte_if_include"};
static const char excluded[] = "OMPI_MCA_btl_tcp_if_exclude";

static const char *users_list(void)
{
    for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++) {
        const char *list = getenv(chosen[i]);

        if (list != NULL && list[0] != '\0')
            return list;
    }
    return NULL;
}

bool ipmpi_interface_virtual(const char *name)
{
    static const char *const starts[] = {
        "docker", "br-",    "virbr",   "veth", "vnet", "lxcbr", "lxdbr",
        "cni",    "podman", "flannel", "cali", "tap",  "dummy", "ifb"};

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* One word of a list: a name, an address, or a network with its length. */
static bool matches(const char *word, const struct ipmpi_interface *which)
{
    char *slash = strchr(word, '/');
    struct in_addr net;
    long bits = 32;
    uint32_t mask;

    if (strcmp(word, which->name) == 0)
        return true;
    if (slash != NULL) {
        *slash = '\0';
        bits = strtol(slash + 1, NULL, 10);
    }
    if (inet_pton(AF_INET, word, &net) != 1 || bits < 0 || bits > 32)
        return false;
    mask = bits == 0 ? 0 : htonl(UINT32_MAX << (32 - bits));
    return (net.s_addr & mask) == (which->ipv4_be & mask);
}

bool ipmpi_interface_listed(const char *list,
                            const struct ipmpi_interface *which)
{
    char *copy = strdup(list), *rest = NULL;
    bool found = false;

    if (copy == NULL)
        return false;
    for (char *word = strtok_r(copy, ", ", &rest); word != NULL && !found;
         word = strtok_r(NULL, ", ", &rest))
        found = matches(word, which);
    free(copy);
    return found;
}

/* The interface of the default route with the lowest metric; "" if none. */
static void default_route(char name_out[16])
{
    FILE *routes = fopen("/proc/net/route", "re");
    char line[512], name[16];
    unsigned long dest, gateway;
    int flags, metric, best = -1;

    name_out[0] = '\0';
    if (routes == NULL)
        return;
    while (fgets(line, sizeof(line), routes) != NULL) {
        if (sscanf(line, "%15s %lx %lx %x %*d %*d %d", name, &dest, &gateway,
                   &flags, &metric) != 5)
            continue; /* the heading */
        if (dest == 0 && (best < 0 || metric < best)) {
            best = metric;
            memcpy(name_out, name, sizeof(name));
        }
    }
    fclose(routes);
}

static bool usable(const struct ifaddrs *at, const char *list,
                   struct ipmpi_interface *out)
{
    const unsigned up = IFF_UP | IFF_RUNNING;

    if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET ||
        (at->ifa_flags & up) != up)
        return false;
    snprintf(out->name, sizeof(out->name), "%s", at->ifa_name);
    out->ipv4_be = ((struct sockaddr_in *)at->ifa_addr)->sin_addr.s_addr;
    out->mask_be = ((struct sockaddr_in *)at->ifa_netmask)->sin_addr.s_addr;
    if (list != NULL)
        return ipmpi_interface_listed(list, out);
    return (at->ifa_flags & IFF_LOOPBACK) == 0 &&
           !ipmpi_interface_virtual(at->ifa_name);
}

int ipmpi_interface_choose(struct ipmpi_interface *out)
{
    const char *list = users_list();
    struct ipmpi_interface each;
    struct ifaddrs *all;
    char routed[16];
    int err = IPMPI_ENOENT;

    if (getifaddrs(&all) != 0)
        return IPMPI_ESYS;
    default_route(routed);
    for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
        memset(&each, 0, sizeof(each));
        if (!usable(at, list, &each))
            continue;
        if (err != 0 || strcmp(each.name, routed) == 0)
            *out = each;
        err = 0;
        if (strcmp(each.name, routed) == 0)
            break;
    }
    freeifaddrs(all);
    return err;
}

int ipmpi_interface_set(bool leaves_host)
{
    struct ipmpi_interface choice;
    const char *list = getenv(chosen[0]);

    if (getenv(excluded) != NULL || (list != NULL && list[0] != '\0'))
        return 0;
    list = users_list(); /* of the daemons: the ranks follow them */
    if (list == NULL) {
        if (ipmpi_interface_choose(&choice) == 0)
            list = choice.name;
        else if (!leaves_host)
            list = "lo";
        else
            return 0;
    }
    return setenv(chosen[0], list, 1) == 0 ? 0 : IPMPI_ENOMEM;
}
