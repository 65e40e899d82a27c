"""Outputs that take over an input's memory: right apart from it, wrong in place."""

from __future__ import annotations

import numpy as np

from pluginkit import Launch, Output, ceil_div, int32
from tests.plugincheck.planted_bugs.corpus import BLOCK, Doubled, cuda, planted, planted_in_results


class InPlace(Doubled, abstract=True):
    """y may lie where x lies."""

    y = Output("T", aliases="x")


@planted("race")
class ReversedInPlace(InPlace):
    """y[n - 1 - i] = x[i] overwrites what another thread has yet to read."""

    kernel = cuda("""
    __global__ void reverse(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[n - 1 - i] = x[i];
    }
    """)

    def reference(self, x):
        return x[::-1].copy()


@planted("race")
class NeighboursAddedInPlace(InPlace):
    """y[i] = x[i] + x[i - 1]: the neighbour may have been overwritten."""

    kernel = cuda("""
    __global__ void neighbours(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] + (i > 0 ? x[i - 1] : 0.0f);
    }
    """)

    def reference(self, x):
        return x + np.concatenate([[np.float32(0)], x[:-1]])


@planted_in_results("kernel_in_place")
class InputReadAfterTheOutput(InPlace):
    """The second launch reads x, which the first one has overwritten where they are one."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] * 2.0f;
    }
    """)
    add = cuda("""
    __global__ void add(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] += x[i];
    }
    """)

    def launches(self, x, y):
        grid, args = ceil_div(x.size, BLOCK), (y, x, int32(x.size))
        return Launch(self.kernel, grid, BLOCK, args), Launch(self.add, grid, BLOCK, args)

    def reference(self, x):
        return x * np.float32(3)


@planted_in_results("kernel_in_place")
class InputReadAgainInOneThread(InPlace):
    """A thread writes its element in two steps, and reads x again in between."""

    kernel = cuda("""
    __global__ void thrice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        y[i] = x[i] + x[i];
        y[i] = y[i] + x[i];
    }
    """)

    def reference(self, x):
        return x * np.float32(3)
