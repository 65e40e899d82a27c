"""Numba kernels for the tests."""

from numba import cuda

not_a_function = 5


def saxpy(x, y, a, n):
    i = cuda.grid(1)
    if i < n:
        y[i] = a * x[i] + y[i]


def stamp(scratch, y, values, flag):
    i = cuda.grid(1)
    if flag and i < y.size:
        y[i] = values[i % len(values)] + scratch[i]


def broken(x):
    x[0] = undefined_name  # noqa: F821


elsewhere = cuda.declare_device("elsewhere", "float32(float32)")


def calls_elsewhere(x):
    x[0] = elsewhere(x[0])


@cuda.jit(device=True)
def doubled(value):
    return value + value


def calls_its_own(x):
    x[0] = doubled(x[0])
