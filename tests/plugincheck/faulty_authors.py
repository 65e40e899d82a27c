"""Plugins whose author made a mistake, for tests of what the checks say about it."""

from __future__ import annotations

import numpy as np

from pluginkit import Case, CudaKernel, Input, Launch, Output, Plugin, attribute, float16, float32
from tests.plugincheck.sound import Host

_COPY = """
template <typename T> __global__ void copy(T* y, const T* x, long long n) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
"""


class Boxes(Plugin, abstract=True):
    """y is a copy of boxes."""

    types = {"T": (float32,)}
    boxes = Input("T")
    scores = Input("T", optional=True)
    y = Output("T")
    kernel = CudaKernel(_COPY, "copy<{T}>")

    def output_shapes(self, boxes, scores):
        return boxes.shape

    def launches(self, boxes, scores, y):
        return Launch(self.kernel, -(-boxes.size // 256), 256, (y, boxes, boxes.size))

    def reference(self, boxes, scores):
        return boxes.copy()

    @classmethod
    def cases(cls):
        yield Case("one", [np.ones((2, 3), np.float32), None])


class CheckReadsAnAxisTooFar(Boxes):
    def check(self, boxes, scores):
        if boxes.shape[3] != 2:
            raise ValueError("boxes need an axis more")


class CheckRefusesOthers(Boxes):
    """Refuses with a plain ValueError."""

    def check(self, boxes, scores):
        if boxes.shape[0] != 2:
            raise ValueError("boxes need 2 rows")


class OneSizeAlone(Boxes):
    def check(self, boxes, scores):
        if boxes.shape != (2, 3):
            raise ValueError("boxes need the shape 2 x 3")


class LaunchesDivideByZero(Boxes):
    def launches(self, boxes, scores, y):
        return Launch(self.kernel, 1 // (boxes.shape[0] - 2), 256, (y, boxes, boxes.size))


class ShapeAsksForAValue(Boxes):
    def output_shapes(self, boxes, scores):
        return (boxes.shape[0] if boxes.shape[0] > 1 else 1, boxes.shape[1])


class HeaderForgotten(Boxes):
    types = {"T": (float16,)}


class SourceDoesNotCompile(Boxes):
    kernel = CudaKernel("does_not_compile.cu", "copy<{T}>")


class DimensionWrittenOut(Host):
    """The rows of the output are those of the only case."""

    types = {"T": (float32,)}
    boxes_a = Input("T", ranks=(2, 2))
    boxes_b = Input("T", ranks=(2, 2))
    y = Output("T")

    def check(self, boxes_a, boxes_b):
        if boxes_a.shape[1] != 4 or boxes_b.shape[1] != 4:
            raise ValueError("a box has four numbers")

    def output_shapes(self, boxes_a, boxes_b):
        return (5, boxes_b.shape[0])

    def reference(self, boxes_a, boxes_b):
        return boxes_a.sum(axis=1)[:, None] + boxes_b.sum(axis=1)[None]

    @classmethod
    def cases(cls):
        yield Case("one", [np.ones((5, 4), np.float32), np.ones((3, 4), np.float32)])


class AttributeAndInputUnread(Boxes):
    """Declares more than it reads: ``bias`` by no method, ``scores`` by no step."""

    scale: float = attribute(default=1.0)
    bias: float = attribute(default=0.0)
    rounds: int = attribute(default=0)
    kernel = CudaKernel(
        "template <typename T, int R> __global__ void copy(T* y, const T* x, long long n, float s) "
        "{\n if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x] * s;\n}\n",
        "copy<{T}, {rounds}>",
    )

    def launches(self, boxes, scores, y):
        return Launch(self.kernel, 1, 256, (y, boxes, boxes.size, float32(self.scale)))

    def reference(self, boxes, scores):
        return boxes * np.float32(self.scale)

    @classmethod
    def cases(cls):
        ones = np.ones((2, 3), np.float32)
        yield Case("one", [ones, ones], {"bias": 0.5})


class PrintsForgotten(AttributeAndInputUnread):
    """A printf for debugging is still there."""

    kernel = CudaKernel(
        "template <typename T, int R> __global__ void copy(T* y, const T* x, long long n, float s) "
        "{\n if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x] * s;\n"
        ' if (threadIdx.x == 0) printf("n is %lld\\n", n);\n}\n',
        "copy<{T}, {rounds}>",
    )


class PassesItselfOn(AttributeAndInputUnread):
    """What reads the attributes cannot be known."""

    def output_shapes(self, boxes, scores):
        return tuple(boxes.shape) if repr(self) else ()


class SourceWithDefinesDoesNotCompile(Boxes):
    kernel = CudaKernel("does_not_compile.cu", "copy<{T}>", defines={"THREADS": 256})
