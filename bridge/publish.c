/* What clients find of the controller: connection files and open doors.
 *
 * Threads: rank 0's loop. */
#include <stdio.h>
#include <unistd.h>

#include "bridge/controller_state.h"
#include "bridge/files/connection_file.h"
#include "bridge/hub/taskdb.h"

enum { LINGER_MS = 500 }; /* for clients to get the last replies */

static void set_ports(const struct ipmpi_doors *doors, struct ipmpi_ports *out)
{
    *out = (struct ipmpi_ports){
        .registration = (uint16_t)ipmpi_doors_port(doors, IPMPI_DOOR_QUERY),
        .control = (uint16_t)ipmpi_doors_port(doors, IPMPI_DOOR_CONTROL),
        .mux = (uint16_t)ipmpi_doors_port(doors, IPMPI_DOOR_MUX),
        .task = (uint16_t)ipmpi_doors_port(doors, IPMPI_DOOR_TASK),
        .broadcast = (uint16_t)ipmpi_doors_port(doors, IPMPI_DOOR_BROADCAST),
        .iopub = (uint16_t)ipmpi_doors_port(doors, IPMPI_DOOR_IOPUB),
        .notification =
            (uint16_t)ipmpi_doors_port(doors, IPMPI_DOOR_NOTIFICATION),
    };
}

int ipmpi_controller_publish(struct ipmpi_controller *c)
{
    char interface[128], host[256];
    struct ipmpi_connection connection = {
        .interface = interface,
        .location = c->options->location,
        .key = c->key_text,
        .task_scheme = ipmpi_options_scheme_name(c->options->scheme),
        .curve_serverkey = ipmpi_doors_curve_key(c->doors),
    };
    int err;

    if (connection.location == NULL) {
        gethostname(host, sizeof(host));
        host[sizeof(host) - 1] = '\0';
        connection.location = host;
    }
    snprintf(interface, sizeof(interface), "tcp://%s", c->options->ip);
    set_ports(c->doors, &connection.ports);
    err = ipmpi_connection_write(c->profile, &connection);
    if (err != 0)
        return err;
    c->published = true;
    printf("ipmpi: %zu engines ready at %s:%d; connection file %s\n",
           c->hub.registry.nlive, interface, connection.ports.registration,
           ipmpi_profile_client_file(c->profile));
    fflush(stdout);
    return 0;
}

void ipmpi_controller_withdraw(struct ipmpi_controller *c)
{
    if (c->published && !c->options->reuse)
        ipmpi_connection_remove(c->profile);
    c->published = false;
}

void ipmpi_controller_close_clients(struct ipmpi_controller *c)
{
    if (c->db != NULL)
        ipmpi_taskdb_destroy(&c->db);
    if (c->doors != NULL)
        ipmpi_doors_close(&c->doors, LINGER_MS);
}
