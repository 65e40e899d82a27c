"""What is wrong with a declaration is an error when the class is made, with the line."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest

from pluginkit import (
    Case,
    Copy,
    CudaKernel,
    Input,
    Launch,
    NumbaKernel,
    OnnxOp,
    Output,
    Plugin,
    ShapeInput,
    attribute,
    float16,
    float32,
    int8,
    int64,
)
from pluginkit.contract import calls
from pluginkit.errors import DeclarationError

SOURCE = "template <typename T> __global__ void scale(T* y, const T* x) {}\n"


class Scale(Plugin):
    """y = factor * x"""

    onnx_op = OnnxOp("Mul", since=14)
    types = {"T": (float32, float16)}
    factor: float = attribute(default=1.0, doc="what x is multiplied by")
    mode: Literal["a", "b"] = attribute(default="a")
    x = Input("T", ranks=(1, 4))
    shift = Input(float32, optional=True)
    y = Output("T")
    kernel = CudaKernel(SOURCE, "scale<{T}, {VEC}>", constants={"VEC": (1, 4)})

    def output_shapes(self, x, shift):
        return x.shape

    def launches(self, x, shift, y):
        return Launch(self.kernel, 1, 256, (y, x), constants={"VEC": 1})

    def reference(self, x, shift):
        return x * self.factor

    @classmethod
    def cases(cls):
        return [Case("one", [], {})]


def test_a_spec_holds_the_whole_declaration() -> None:
    spec = Scale.spec
    assert spec.key == ("Scale_PK", "1", "pluginkit")
    assert [a.name for a in spec.attributes] == ["factor", "mode"]
    assert spec.attribute("mode").choices == ("a", "b")
    assert [port.name for port in spec.inputs] == ["x", "shift"]
    assert spec.inputs[0].dtypes == (float32, float16)
    assert spec.inputs[1].optional
    assert spec.has_optional_inputs
    assert spec.outputs[0].variable == "T"
    assert spec.overrides == {"launches", "cases"}
    assert spec.onnx_op == OnnxOp("Mul", 14)
    assert list(spec.type_bindings()) == [{"T": float32}, {"T": float16}]
    assert spec.kernels["kernel"].constant_choices() == [{"VEC": 1}, {"VEC": 4}]
    assert spec.doc == "y = factor * x"


def test_declarations_are_inherited_and_can_be_changed() -> None:
    class Triple(Scale):
        plugin_name = "Triple"
        plugin_namespace = "mine"
        factor: float = attribute(default=3.0)

    assert Triple.spec.key == ("Triple", "1", "mine")
    assert Triple().factor == 3.0
    assert Scale().factor == 1.0


class Copied(Plugin):
    """y = x"""

    types = {"T": (float32, float16)}
    x = Input("T")
    y = Output("T", like="x")

    def launches(self, x, y):
        return Copy(y, x)

    def reference(self, x):
        return x


class Swapped(Copied):
    """y = second, z = first, in the memory of second."""

    second = Input("T")
    y = Output("T", like="second")
    z = Output("T", aliases="x")

    def launches(self, x, second, y, z): ...

    def reference(self, x, second):
        return second, x


def test_an_output_has_the_shape_of_the_input_that_it_is_like() -> None:
    shapes = [(2, 3), (4,)]
    for plugin, expected in ((Copied(), [(2, 3)]), (Swapped(), [(4,), (2, 3)])):
        given = shapes[: len(plugin.spec.inputs)]
        inputs = calls.describe_inputs(plugin, given, [float32] * len(given))
        assert calls.output_shapes(plugin, inputs) == expected
    scalar = calls.describe_inputs(Copied(), [()], [float32])
    assert calls.output_shapes(Copied(), scalar) == [()]


def test_an_abstract_class_needs_no_declaration() -> None:
    class Base(Plugin, abstract=True):
        types: ClassVar = {"T": (float32,)}

    assert not hasattr(Base, "spec")


def no_input() -> Any:
    class Broken(Scale):
        x = None
        shift = None

        def output_shapes(self): ...

    return Broken


def unknown_variable() -> Any:
    class Broken(Scale):
        extra = Input("TT")

    return Broken


def unused_variable() -> Any:
    class Broken(Scale):
        types = {"T": (float32,), "U": (int64,)}

    return Broken


def not_a_dtype() -> Any:
    class Broken(Scale):
        types = {"T": ("float32",)}

    return Broken


def output_type_from_nowhere() -> Any:
    class Broken(Scale):
        y = Output((float32, int64))

    return Broken


def output_type_from_an_optional_input() -> Any:
    class Broken(Scale):
        types = {"T": (float32,), "U": (float32, float16)}
        shift = Input("U", optional=True)
        y = Output("U")

    return Broken


def bad_ranks() -> Any:
    class Broken(Scale):
        x = Input("T", ranks=(3, 2))

    return Broken


def attribute_without_type() -> Any:
    class Broken(Scale):
        power = attribute(default=2)

    return Broken


def attribute_of_a_strange_type() -> Any:
    class Broken(Scale):
        power: dict = attribute(default={})

    return Broken


def bad_default() -> Any:
    class Broken(Scale):
        factor: float = attribute(default="one")

    return Broken


def reserved_attribute() -> Any:
    class Broken(Scale):
        plugin_version: int = attribute(default=1)  # type: ignore[assignment]

    return Broken


def reserved_input() -> Any:
    class Broken(Scale):
        workspace = Input("T")

        def output_shapes(self, x, shift, workspace): ...

    return Broken


def bad_name() -> Any:
    class Broken(Scale):
        plugin_name = "Schön"

    return Broken


def negative_tolerance() -> Any:
    class Broken(Scale):
        tolerance = {float32: -1e-3}

    return Broken


def cases_of_an_instance() -> Any:
    class Broken(Scale):
        def cases(self): ...

    return Broken


def no_shape_function() -> Any:
    class Broken(Plugin):
        x = Input(float32)
        y = Output(float32)

        def reference(self, x): ...

        def launches(self, x, y): ...

    return Broken


def no_reference() -> Any:
    class Broken(Plugin):
        x = Input(float32)
        y = Output(float32)

        def output_shapes(self, x): ...

        def launches(self, x, y): ...

    return Broken


def no_kernel() -> Any:
    class Broken(Plugin):
        x = Input(float32)
        y = Output(float32)

        def output_shapes(self, x): ...

        def reference(self, x): ...

    return Broken


def both_launches_and_enqueue() -> Any:
    class Broken(Scale):
        def enqueue(self, inputs, outputs, workspace, stream): ...

    return Broken


def wrong_parameters() -> Any:
    class Broken(Scale):
        def launches(self, x, y): ...

    return Broken


def launches_without_workspace() -> Any:
    class Broken(Scale):
        def workspace_bytes(self, x, shift):
            return 8

    return Broken


def missing_kernel_file() -> Any:
    class Broken(Scale):
        kernel = CudaKernel("missing.cu", "scale<{T}>")

    return Broken


def missing_numba_file() -> Any:
    class Broken(Scale):
        kernel = NumbaKernel("missing.py", "scale")

    return Broken


def unknown_placeholder() -> Any:
    class Broken(Scale):
        kernel = CudaKernel(SOURCE, "scale<{TILE}>")

    return Broken


def unbalanced_placeholder() -> Any:
    class Broken(Scale):
        kernel = CudaKernel(SOURCE, "scale<{T>")

    return Broken


def define_without_a_form_in_cpp() -> Any:
    class Broken(Scale):
        kernel = CudaKernel(SOURCE, "scale<{T}, 1>", defines={"N": "text"})

    return Broken


def like_an_unknown_input() -> Any:
    class Broken(Scale):
        y = Output("T", like="z")

    return Broken


def like_an_optional_input() -> Any:
    class Broken(Scale):
        y = Output("T", like="shift")

    return Broken


def like_a_shape_input() -> Any:
    class Broken(Scale):
        size = ShapeInput()
        y = Output("T", like="size")

    return Broken


def like_another_than_the_aliased_input() -> Any:
    class Broken(Scale):
        z = Input("T")
        y = Output("T", like="x", aliases="z")

    return Broken


def scale_without_an_attribute() -> Any:
    class Broken(Scale):
        types: ClassVar = {"T": (float32, int8)}
        x = Input("T", scale="mode")
        y = Output("T", scale="factor")

    return Broken


def scale_of_floats() -> Any:
    class Broken(Scale):
        x = Input("T", scale="factor")

    return Broken


def scale_of_one_port_alone() -> Any:
    class Broken(Scale):
        types: ClassVar = {"T": (float32, int8)}
        x = Input("T", scale="factor")
        y = Output("T")

    return Broken


def like_and_output_shapes() -> Any:
    class Broken(Scale):
        y = Output("T", like="x")

    return Broken


def like_on_one_of_two_outputs() -> Any:
    class Broken(Copied):
        z = Output("T")

        def launches(self, x, y, z): ...

    return Broken


def like_on_one_of_two_outputs_and_output_shapes() -> Any:
    class Broken(Copied):
        z = Output("T")

        def output_shapes(self, x): ...

        def launches(self, x, y, z): ...

    return Broken


def own_constructor() -> Any:
    class Broken(Scale):
        def __init__(self, factor: float = 1.0) -> None: ...

    return Broken


def no_namespace() -> Any:
    class Broken(Scale):
        plugin_namespace = ""

    return Broken


def own_wire_form() -> Any:
    class Broken(Scale):
        def to_wire(self) -> Any: ...

    return Broken


BROKEN = {
    own_constructor: ("PK105 .*defines __init__, which is pluginkit's own", "def __init__"),
    no_namespace: ("PK107 .*plugin_namespace is ''; expected .* not empty", "plugin_namespace ="),
    own_wire_form: ("PK105 .*defines to_wire, which is pluginkit's own", "def to_wire"),
    like_an_unknown_input: ("PK103 .*'y' is like 'z'; expected a required input", "y = Output"),
    like_an_optional_input: ("PK103 .*'y' is like 'shift'", "y = Output"),
    like_a_shape_input: ("PK103 .*'y' is like 'size'", "y = Output"),
    like_another_than_the_aliased_input: ("PK103 .*aliases 'z' and is like 'x'", "y = Output"),
    scale_without_an_attribute: ("PK103 .*'x' has scale 'mode'.*attributes: factor", "x = Input"),
    scale_of_floats: ("PK103 .*'x' has scale 'factor' and is float32, float16", "x = Input"),
    scale_of_one_port_alone: ("PK103 .*'y' has no scale; expected one", "y = Output"),
    like_and_output_shapes: ("PK105 .*defines output_shapes, and output 'y' is like 'x'", None),
    like_on_one_of_two_outputs: ("PK105 .*output 'z' has no shape", "z = Output"),
    like_on_one_of_two_outputs_and_output_shapes: (
        "PK105 .*defines output_shapes, and output 'y' is like 'x'",
        "def output_shapes",
    ),
    no_input: ("PK100 .*declares no Input", None),
    unknown_variable: ("PK103 .*'TT'.*", "extra = Input"),
    unused_variable: ("PK103 .*declares 'U', which no input", "types ="),
    not_a_dtype: ("PK103 .*expected a tuple of pluginkit dtypes", "types ="),
    output_type_from_nowhere: ("PK103 .*type of output 'y'", "y = Output"),
    output_type_from_an_optional_input: ("PK103 .*type of output 'y'", "y = Output"),
    bad_ranks: (r"PK103 .*ranks \(3, 2\)", "x = Input"),
    attribute_without_type: ("PK101 .*'power' has no type", "power = attribute"),
    attribute_of_a_strange_type: ("PK101 .*dict", "power: dict"),
    bad_default: ("PK102 .*default 'one'; expected float", "factor: float"),
    reserved_attribute: ("PK107 .*plugin_version is .*; expected a printable", "plugin_version"),
    reserved_input: ("PK107 .*'workspace'", "workspace = Input"),
    bad_name: ("PK107 .*plugin_name", "plugin_name ="),
    negative_tolerance: ("PK107 .*tolerance is .*; expected an error, 0 or more", "tolerance ="),
    cases_of_an_instance: ("PK105 .*cases is a method of instances", "def cases"),
    no_shape_function: ("PK105 .*no output_shapes", None),
    no_reference: ("PK105 .*no reference", None),
    no_kernel: ("PK105 .*neither launches nor enqueue", None),
    both_launches_and_enqueue: ("PK105 .*both launches and enqueue", "def enqueue"),
    wrong_parameters: (r"PK105 .*expected launches\(self, x, shift, y\)", "def launches"),
    launches_without_workspace: (
        r"PK105 .*expected launches\(self, x, shift, y, workspace\)",
        None,
    ),
    missing_kernel_file: ("PK106 .*'missing.cu' is not in", None),
    missing_numba_file: ("PK106 .*'missing.py' is not in", None),
    unknown_placeholder: ("PK106 .*{TILE}", "kernel ="),
    unbalanced_placeholder: ("PK106 .*scale<{T>", "kernel ="),
    define_without_a_form_in_cpp: ("PK106 .* defines: .N. is .text.; expected an int", "kernel ="),
}


@pytest.mark.parametrize("declare", BROKEN, ids=lambda declare: declare.__name__)
def test_a_broken_declaration_is_refused_with_its_line(declare: Callable[[], Any]) -> None:
    message, line = BROKEN[declare]
    with pytest.raises(DeclarationError, match=message) as caught:
        declare()
    assert caught.value.fix
    if line is not None:
        assert line in str(caught.value.where)
        assert f"{__file__}:" in str(caught.value.where)


def test_the_line_is_that_of_the_declaration_and_not_one_that_mentions_it() -> None:
    with pytest.raises(DeclarationError) as caught:

        class Mentions(Plugin):
            """Adds.

            y = x + shift
            """

            shift = attribute(default=1.0)

    assert str(caught.value.where).endswith(": shift = attribute(default=1.0)")


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("types", ["T"], "PK103"),
        ("types", {1: (float32,)}, "PK103"),
        ("x", Input("T", ranks=5), "PK103"),
        ("x", Input("T", ranks=None), "PK103"),
        ("x", Input("T", ranks=(1,)), "PK103"),
        ("x", Input("T", ranks=("a", "b")), "PK103"),
        ("onnx_op", "ScatterElements", "PK107"),
        ("onnx_op", OnnxOp(5, "x"), "PK107"),
        ("tolerance", 1e-5, "PK107"),
        ("tolerance", {"float32": 1e-5}, "PK107"),
        ("tolerance", {float32: "small"}, "PK107"),
        ("reference", {}, "PK105"),
        ("output_shapes", len, "PK105"),
        ("launches", property(lambda self: ()), "PK105"),
        ("__annotations__", {"factor": "1 +"}, "PK101"),
        ("__annotations__", {"factor": "x.nothing"}, "PK101"),
        ("__annotations__", {"factor": ""}, "PK101"),
        ("__annotations__", {"factor": "\0"}, "PK101"),
    ],
)  # fmt: skip
def test_a_member_of_another_kind_is_named(member: str, value: Any, code: str) -> None:
    members = {
        "types": {"T": (float32, float16)}, "x": Input("T"), "y": Output("T"),
        "factor": attribute(default=1.0), "__annotations__": {"factor": float},
        "output_shapes": lambda self, x: x.shape, "launches": lambda self, x, y: (),
        "reference": lambda self, x: x, "__module__": __name__,
    }  # fmt: skip
    assert type("Whole", (Plugin,), dict(members)).spec.name == "Whole"
    with pytest.raises(DeclarationError) as caught:
        type("Wrong", (Plugin,), {**members, member: value})
    assert caught.value.code == code
    assert caught.value.fix
