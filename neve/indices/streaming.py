"""Streaming: stores that pass the cache, from within numba.

Belongs here: what numba cannot say itself, as three intrinsics. Does not belong here: loops.
numba's cache on disk does not notice changes of this file: touch ``kernel.py`` after one.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending
from numba.core import types
from numba.np import arrayobj

from neve.indices.buffers import VECTOR

# numba's types do not know what its decorators make.
_intrinsic: Any = extending.intrinsic
_array: Any = arrayobj.make_array


@_intrinsic
def borrowed(context: Any, array: Any) -> Any:
    """An argument without its reference count, whose atomic updates drain streamed stores."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        view = _array(signature.return_type)(context, builder, values[0])
        view.meminfo = ir.Constant(view.meminfo.type, None)
        return view._getvalue()

    return array(array), build


@_intrinsic
def stream(context: Any, target: Any, place: Any, source: Any, index: Any) -> Any:
    """Copies VECTOR bytes past the cache: target is not read first, which halves the traffic."""
    signature = types.void(target, types.intp, source, types.intp)

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = ir.VectorType(ir.IntType(32), VECTOR // 4).as_pointer()
        kinds = signature.args
        to = builder.gep(_array(kinds[0])(context, builder, values[0]).data, [values[1]])
        of = builder.gep(_array(kinds[2])(context, builder, values[2]).data, [values[3]])
        moved = builder.load(builder.bitcast(of, vector), align=4)
        store = builder.store(moved, builder.bitcast(to, vector), align=VECTOR)
        one = ir.Constant(ir.IntType(32), 1)
        store.set_metadata("nontemporal", builder.module.add_metadata([one]))
        return context.get_dummy_value()

    return signature, build


@_intrinsic
def fence(context: Any) -> Any:
    """Waits until what was streamed can be seen by other threads."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), build
