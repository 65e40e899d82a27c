"""Rewrites that ship with pluginkit. The first word of a module says what becomes of its nodes.

    replace_                    a plugin takes the place of a node that TensorRT refuses
    fuse_, reduce_              one plugin takes the place of several nodes
    expand_, inline_            operators that TensorRT takes compute the same
    rename_, decode_, number_   what another tool calls or stores otherwise becomes ONNX's own
    carry_, widen_, quantize_   a type that TensorRT lacks becomes one that it has
    drop_, merge_, fold_, store_, take_
                                what is not needed, or equal, or known, goes
    gather_, hoist_, limit_, scan_, unpack_, unroll_
                                loops and sequences become what TensorRT builds
    any other                   the nodes stay, and change as the word says

A module whose name begins with ``_`` holds what several of them share. ``order`` says which rewrite
comes first; ``pluginkit list`` names them all with their formulas.
"""
