/* Numbers and operations, as MPI has them. */
#include "collectives/internal.h"

#include <complex.h>
#include <limits.h>

#include "runtime/base/error.h"

MPI_Datatype ipmpi_mpi_type(enum ipmpi_number number)
{
    const MPI_Datatype types[IPMPI_NUMBERS] = {
        [IPMPI_INT8] = MPI_INT8_T,
        [IPMPI_INT16] = MPI_INT16_T,
        [IPMPI_INT32] = MPI_INT32_T,
        [IPMPI_INT64] = MPI_INT64_T,
        [IPMPI_UINT8] = MPI_UINT8_T,
        [IPMPI_UINT16] = MPI_UINT16_T,
        [IPMPI_UINT32] = MPI_UINT32_T,
        [IPMPI_UINT64] = MPI_UINT64_T,
        [IPMPI_FLOAT] = MPI_FLOAT,
        [IPMPI_DOUBLE] = MPI_DOUBLE,
        [IPMPI_LONG_DOUBLE] = MPI_LONG_DOUBLE,
        [IPMPI_FLOAT_COMPLEX] = MPI_C_FLOAT_COMPLEX,
        [IPMPI_DOUBLE_COMPLEX] = MPI_C_DOUBLE_COMPLEX,
        [IPMPI_LONG_DOUBLE_COMPLEX] = MPI_C_LONG_DOUBLE_COMPLEX,
        [IPMPI_BOOL] = MPI_C_BOOL,
    };

    return types[number];
}

MPI_Op ipmpi_mpi_op(enum ipmpi_operation op)
{
    const MPI_Op ops[IPMPI_OPERATIONS] = {
        [IPMPI_SUM] = MPI_SUM,   [IPMPI_PROD] = MPI_PROD, [IPMPI_MIN] = MPI_MIN,
        [IPMPI_MAX] = MPI_MAX,   [IPMPI_LAND] = MPI_LAND, [IPMPI_LOR] = MPI_LOR,
        [IPMPI_LXOR] = MPI_LXOR, [IPMPI_BAND] = MPI_BAND, [IPMPI_BOR] = MPI_BOR,
        [IPMPI_BXOR] = MPI_BXOR,
    };

    return ops[op];
}

size_t ipmpi_number_size(enum ipmpi_number number)
{
    static const size_t sizes[IPMPI_NUMBERS] = {
        [IPMPI_INT8] = 1,
        [IPMPI_INT16] = 2,
        [IPMPI_INT32] = 4,
        [IPMPI_INT64] = 8,
        [IPMPI_UINT8] = 1,
        [IPMPI_UINT16] = 2,
        [IPMPI_UINT32] = 4,
        [IPMPI_UINT64] = 8,
        [IPMPI_FLOAT] = sizeof(float),
        [IPMPI_DOUBLE] = sizeof(double),
        [IPMPI_LONG_DOUBLE] = sizeof(long double),
        [IPMPI_FLOAT_COMPLEX] = sizeof(float complex),
        [IPMPI_DOUBLE_COMPLEX] = sizeof(double complex),
        [IPMPI_LONG_DOUBLE_COMPLEX] = sizeof(long double complex),
        [IPMPI_BOOL] = sizeof(_Bool),
    };

    return (unsigned)number < IPMPI_NUMBERS ? sizes[number] : 0;
}

/* MPI 3.1, section 5.9.2. */
bool ipmpi_numbers_can(enum ipmpi_number number, enum ipmpi_operation op)
{
    const bool integer = number <= IPMPI_UINT64;
    const bool is_bool = number == IPMPI_BOOL;
    const bool is_complex =
        number >= IPMPI_FLOAT_COMPLEX && number <= IPMPI_LONG_DOUBLE_COMPLEX;

    if ((unsigned)number >= IPMPI_NUMBERS)
        return false;
    switch (op) {
    case IPMPI_SUM:
    case IPMPI_PROD:
        return !is_bool;
    case IPMPI_MIN:
    case IPMPI_MAX:
        return !is_bool && !is_complex;
    case IPMPI_LAND:
    case IPMPI_LOR:
    case IPMPI_LXOR:
        return integer || is_bool;
    case IPMPI_BAND:
    case IPMPI_BOR:
    case IPMPI_BXOR:
        return integer;
    default:
        return false;
    }
}

bool ipmpi_sum_is_ours(const struct ipmpi_numbers *numbers)
{
    return numbers->operation == IPMPI_SUM &&
           (numbers->number == IPMPI_INT8 || numbers->number == IPMPI_UINT8 ||
            numbers->number == IPMPI_INT16 || numbers->number == IPMPI_UINT16);
}

/* See note [saturation]; two's complement needs no signs for this. */
static void add_wrapping(const void *in, void *inout, size_t size, size_t count)
{
    const uint8_t *in8 = in;
    const uint16_t *in16 = in;
    uint8_t *out8 = inout;
    uint16_t *out16 = inout;

    for (size_t i = 0; i < count && size == 1; i++)
        out8[i] = (uint8_t)(out8[i] + in8[i]);
    for (size_t i = 0; i < count && size == 2; i++)
        out16[i] = (uint16_t)(out16[i] + in16[i]);
}

int ipmpi_combine(const void *in, void *inout,
                  const struct ipmpi_numbers *numbers, size_t count)
{
    const size_t size = ipmpi_number_size(numbers->number);
    const uint8_t *from = in;
    uint8_t *to = inout;

    if (ipmpi_sum_is_ours(numbers)) {
        add_wrapping(in, inout, size, count);
        return 0;
    }
    while (count > 0) {
        const int part = count < INT_MAX ? (int)count : INT_MAX;

        if (MPI_Reduce_local(from, to, part, ipmpi_mpi_type(numbers->number),
                             ipmpi_mpi_op(numbers->operation)) != MPI_SUCCESS)
            return IPMPI_EMPI;
        from += (size_t)part * size;
        to += (size_t)part * size;
        count -= (size_t)part;
    }
    return 0;
}

size_t ipmpi_offset(const size_t *sizes, int i)
{
    size_t sum = 0;

    while (i-- > 0)
        sum += sizes[i];
    return sum;
}
