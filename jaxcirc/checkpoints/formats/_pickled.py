"""The part of a pickle that describes tensors, read as data.

A pickle is a program for a small machine whose instructions may call any function.
This reads the instructions that `torch.save` writes for a tree of tensors, numbers and
strings. Whatever else the pickle would call is put down as a `Call`, by its name:
nothing is imported and nothing is called.

Every container is as deep as the pickle makes it, so nothing here compares, hashes or
prints one: those recurse in C, where a deep one ends the process.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

from .._tensors import CheckpointError

# Caps that no honest file comes near.
_MAX_INSTRUCTIONS = 2_000_000
_MAX_NAME = 4096


class Named(NamedTuple):
    """Something that the pickle names; it is never looked up.

    Args:
        module: The module's name.
        name: The name in the module.
    """

    module: str
    name: str


class Call(NamedTuple):
    """An object that the pickle would have something make; it was not made.

    Args:
        what: The name of what would have been called.
    """

    what: str


class Storage(NamedTuple):
    """A run of numbers elsewhere in the archive.

    Args:
        kind: The name of its type, such as `FloatStorage`.
        key: The name of its file.
        length: How many numbers there are.
    """

    kind: str
    key: str
    length: int


class TensorRecord(NamedTuple):
    """A tensor: a strided view of a storage.

    Args:
        storage: The run of numbers.
        offset: The place of its first number.
        shape: Sizes of its axes.
        strides: Numbers from one place to the next, on each axis.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_REBUILD = {
    Named("torch._utils", "_rebuild_tensor_v2"),
    Named("torch._utils", "_rebuild_tensor"),
}
_PARAMETER = {
    Named("torch._utils", "_rebuild_parameter"),
    Named("torch._utils", "_rebuild_parameter_with_state"),
}
_DICTS = {
    Named("collections", "OrderedDict"),
    Named("collections", "defaultdict"),
    Named("builtins", "dict"),
    Named("__builtin__", "dict"),
}
_SIZE = Named("torch", "Size")


def read_pickled(data: bytes, name: str) -> Any:
    """The tree of a pickle, with `TensorRecord`s for tensors and `Call`s for objects.

    Raises:
        CheckpointError: it has instructions that no checkpoint has, or is damaged;
            nothing of it has been executed.
    """
    return _Machine(name).run(data)


class _Machine:
    """A stack, the stacks below its marks, a memo, and a handful of instructions."""

    def __init__(self, name: str):
        self.name = name
        self.stack: list[Any] = []
        # A list of stacks, as in Python's own reader, finds a mark at once.
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(
            pickletools.genops(io.BytesIO(data))
        ):
            if count > _MAX_INSTRUCTIONS:
                raise self._refuse("more instructions than any checkpoint needs")
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in _AS_IT_IS:
                self.stack.append(argument)
            elif name in _INSTRUCTIONS:
                _INSTRUCTIONS[name](self, argument)
            else:
                raise self._refuse(f"the instruction {name}")
        raise self._refuse("no end")

    def _refuse(self, what: str) -> CheckpointError:
        """An error for a pickle that no file of plain tensors has."""
        return CheckpointError(
            f"{self.name}: its pickle holds {what}, which no file of plain tensors "
            "does. It was not executed and the file was not loaded. If you trust "
            "whoever made it, load it in PyTorch and save its `state_dict()` as "
            "safetensors."
        )

    def _to_mark(self) -> list[Any]:
        """The values above the last mark, which are taken off the stack."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self, _: Any) -> None:
        self._to_mark()

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._to_mark()

    def dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def proto(self, _: Any) -> None:
        """A version or the length of a frame; both may be passed over."""

    def none(self, _: Any) -> None:
        self.stack.append(None)

    def true(self, _: Any) -> None:
        self.stack.append(True)

    def false(self, _: Any) -> None:
        self.stack.append(False)

    def empty_tuple(self, _: Any) -> None:
        self.stack.append(())

    def empty_list(self, _: Any) -> None:
        self.stack.append([])

    def empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def empty_set(self, _: Any) -> None:
        self.stack.append(Call("set"))

    def frozen_set(self, _: Any) -> None:
        self._to_mark()
        self.stack.append(Call("frozenset"))

    def as_tuple(self, _: Any) -> None:
        items = tuple(self._to_mark())
        self.stack.append(items)

    def as_list(self, _: Any) -> None:
        items = self._to_mark()
        self.stack.append(items)

    def as_dict(self, _: Any) -> None:
        items = self._to_mark()
        self.stack.append({})
        self._fill(items)

    def tuple1(self, _: Any) -> None:
        self._pack(1)

    def tuple2(self, _: Any) -> None:
        self._pack(2)

    def tuple3(self, _: Any) -> None:
        self._pack(3)

    def _pack(self, n: int) -> None:
        items = [self.stack.pop() for _ in range(n)]
        self.stack.append(tuple(reversed(items)))

    def append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self._to_mark())

    def _extend(self, items: list[Any]) -> None:
        onto = self.stack[-1]
        if type(onto) is list:
            onto.extend(items)
        elif type(onto) is not Call:
            raise self._refuse("a list where there is none")

    def setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def setitems(self, _: Any) -> None:
        self._fill(self._to_mark())

    def _fill(self, items: list[Any]) -> None:
        into = self.stack[-1]
        if type(into) is Call:
            return
        if type(into) is not dict:
            raise self._refuse("a dictionary where there is none")
        for key, value in zip(items[0::2], items[1::2], strict=True):
            # Under any other key there is nothing that could be asked for.
            if (type(key) is str and len(key) <= _MAX_NAME) or (
                type(key) is int and key.bit_length() < 64
            ):
                into[key] = value

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def named(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self._named(module, name))

    def stack_named(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self._named(module, name))

    def _named(self, module: Any, name: Any) -> Named:
        whole = type(module) is str and type(name) is str
        if not whole or len(module) + len(name) > _MAX_NAME:
            raise self._refuse("a name that is none")
        return Named(module, name)

    def persistent(self, _: Any) -> None:
        record = self.stack.pop()
        match record:
            case ("storage", Named(_, kind), str(key), _, int(length)):
                self.stack.append(Storage(kind, key, length))
            case _:
                raise self._refuse("a reference to something that is no storage")

    def reduce(self, _: Any) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_made(called, arguments))

    def new_object(self, _: Any) -> None:
        self.stack.pop()
        self.stack.append(_not_made(self.stack.pop()))

    def new_object_ex(self, _: Any) -> None:
        self.stack.pop()
        self.new_object(None)

    def instance(self, argument: str) -> None:
        self._to_mark()
        module, _, name = argument.partition(" ")
        self.stack.append(_not_made(self._named(module, name)))

    def as_object(self, _: Any) -> None:
        items = self._to_mark()
        self.stack.append(_not_made(items[0]))

    def build(self, _: Any) -> None:
        # A state dict carries `_metadata`, the versions of its modules; what was not
        # made needs no state.
        self.stack.pop()
        if type(self.stack[-1]) not in (dict, Call):
            raise self._refuse("an object with a state of its own")


def _made(called: Any, arguments: Any) -> Any:
    """The value of a call that rebuilds a tensor or an empty container, or a `Call`."""
    if type(called) is not Named or type(arguments) is not tuple:
        return _not_made(called)
    match arguments:
        case () if called in _DICTS:
            return {}
        case (Named(),) if called.name == "defaultdict" and called in _DICTS:
            return {}
        case (tuple() | list() as sizes,) if called == _SIZE:
            return tuple(sizes)
        case (TensorRecord() as tensor, *_) if called in _PARAMETER:
            return tensor
        case (Storage() as storage, int(offset), tuple(shape), tuple(strides), *_) if (
            called in _REBUILD
        ):
            return TensorRecord(storage, offset, shape, strides)
    return _not_made(called)


def _not_made(called: Any) -> Call:
    """A `Call` by the name of what would have been called."""
    if type(called) is Named:
        return Call(f"{called.module}.{called.name}"[:200])
    return Call(called.what if type(called) is Call else "something without a name")


# fmt: off
_AS_IT_IS = frozenset((
    "BINBYTES", "BINBYTES8", "BINFLOAT", "BININT", "BININT1", "BININT2", "BINSTRING",
    "BINUNICODE", "BINUNICODE8", "BYTEARRAY8", "FLOAT", "INT", "LONG", "LONG1",
    "LONG4", "SHORT_BINBYTES", "SHORT_BINSTRING", "SHORT_BINUNICODE", "STRING",
    "UNICODE",
))
# fmt: on
_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "ADDITEMS": _Machine.appends,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "BINGET": _Machine.get,
    "BINPERSID": _Machine.persistent,
    "BINPUT": _Machine.put,
    "BUILD": _Machine.build,
    "DICT": _Machine.as_dict,
    "DUP": _Machine.dup,
    "EMPTY_DICT": _Machine.empty_dict,
    "EMPTY_LIST": _Machine.empty_list,
    "EMPTY_SET": _Machine.empty_set,
    "EMPTY_TUPLE": _Machine.empty_tuple,
    "FRAME": _Machine.proto,
    "FROZENSET": _Machine.frozen_set,
    "GET": _Machine.get,
    "GLOBAL": _Machine.named,
    "INST": _Machine.instance,
    "LIST": _Machine.as_list,
    "LONG_BINGET": _Machine.get,
    "LONG_BINPUT": _Machine.put,
    "MARK": _Machine.mark,
    "MEMOIZE": _Machine.memoize,
    "NEWFALSE": _Machine.false,
    "NEWOBJ": _Machine.new_object,
    "NEWOBJ_EX": _Machine.new_object_ex,
    "NEWTRUE": _Machine.true,
    "NONE": _Machine.none,
    "OBJ": _Machine.as_object,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "PROTO": _Machine.proto,
    "PUT": _Machine.put,
    "REDUCE": _Machine.reduce,
    "SETITEM": _Machine.setitem,
    "SETITEMS": _Machine.setitems,
    "STACK_GLOBAL": _Machine.stack_named,
    "TUPLE": _Machine.as_tuple,
    "TUPLE1": _Machine.tuple1,
    "TUPLE2": _Machine.tuple2,
    "TUPLE3": _Machine.tuple3,
}
