"""The part of a pickle that describes tensors, read as data.

A pickle is a program for a small machine whose instructions may call any function.
This reads the instructions that `torch.save` writes for a tree of tensors, numbers and
strings, and refuses every other: nothing is imported and nothing is called.
"""

import io
import pickletools
from typing import Any, NamedTuple

from jaxcirc.checkpoints import CheckpointError

# A cap that no honest file comes near.
_MAX_INSTRUCTIONS = 5_000_000


class Named(NamedTuple):
    """Something that the pickle names; it is never looked up."""

    module: str
    name: str


class Storage(NamedTuple):
    """Bytes elsewhere in the archive: their type's name, their key, their length."""

    kind: str
    key: str
    length: int


class TensorRecord(NamedTuple):
    """A tensor: a strided view of a storage."""

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
_DICTS = {Named("collections", "OrderedDict"), Named("builtins", "dict")}
_SIZE = Named("torch", "Size")
_MARK = object()


def read_pickled(data: bytes, name: str) -> Any:
    """The tree of a pickle, with `TensorRecord`s for tensors.

    Raises:
        CheckpointError: it holds anything else than tensors, numbers, strings and
            containers of them; nothing of it has been executed.
    """
    return _Machine(name).run(data)


class _Machine:
    """A stack, a memo, and a handful of instructions."""

    def __init__(self, name: str):
        self.name = name
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(
            pickletools.genops(io.BytesIO(data))
        ):
            if count > _MAX_INSTRUCTIONS:
                raise self._refuse("more instructions than any checkpoint needs")
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name in _PUSHED:
                self.stack.append(_PUSHED[opcode.name])
            elif opcode.name in _AS_IT_IS:
                self.stack.append(argument)
            elif opcode.name in ("PROTO", "FRAME"):
                continue
            else:
                method = getattr(self, f"_{opcode.name.lower()}", None)
                if method is None:
                    raise self._refuse(f"the instruction {opcode.name}")
                method(argument)
        raise self._refuse("no end")

    def _refuse(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self.name}: its pickle holds {what}, which no file of plain tensors "
            "does. It was not executed and the file was not loaded. If you trust "
            "whoever made it, load it in PyTorch and save its `state_dict()` as "
            "safetensors."
        )

    def _to_mark(self) -> list[Any]:
        place = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _empty_list(self, _: Any) -> None:
        self.stack.append([])

    def _empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._to_mark()))

    def _tuple1(self, _: Any) -> None:
        self._pack(1)

    def _tuple2(self, _: Any) -> None:
        self._pack(2)

    def _tuple3(self, _: Any) -> None:
        self._pack(3)

    def _pack(self, n: int) -> None:
        items = tuple(self.stack[-n:])
        del self.stack[-n:]
        self.stack.append(items)

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self._list().append(item)

    def _appends(self, _: Any) -> None:
        items = self._to_mark()
        self._list().extend(items)

    def _list(self) -> list[Any]:
        if type(self.stack[-1]) is not list:
            raise self._refuse("a list where there is none")
        return self.stack[-1]

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._dict()[key] = value

    def _setitems(self, _: Any) -> None:
        items = self._to_mark()
        self._dict().update(zip(items[0::2], items[1::2], strict=True))

    def _dict(self) -> dict[Any, Any]:
        if type(self.stack[-1]) is not dict:
            raise self._refuse("a dictionary where there is none")
        return self.stack[-1]

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _put(self, index: Any) -> None:
        self.memo[index] = self.stack[-1]

    _binput = _long_binput = _put

    def _get(self, index: Any) -> None:
        self.stack.append(self.memo[index])

    _binget = _long_binget = _get

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._push_name(Named(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._push_name(Named(str(module), str(name)))

    def _push_name(self, named: Named) -> None:
        known = named in _REBUILD | _PARAMETER | _DICTS or named == _SIZE
        storage = named.module == "torch" and named.name.endswith("Storage")
        untyped = named == Named("torch.storage", "UntypedStorage")
        if not (known or storage or untyped):
            raise self._refuse(f"a call of {named.module}.{named.name}")
        self.stack.append(named)

    def _binpersid(self, _: Any) -> None:
        record = self.stack.pop()
        match record:
            case ("storage", Named(_, kind), str(key), _, int(length)):
                self.stack.append(Storage(kind, key, length))
            case _:
                raise self._refuse("a reference to something that is no storage")

    def _reduce(self, _: Any) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(self._rebuild(called, arguments))

    def _rebuild(self, called: Any, arguments: Any) -> Any:
        if called in _DICTS and arguments == ():
            return {}
        if called == _SIZE and len(arguments) == 1:
            return tuple(arguments[0])
        if called in _PARAMETER and isinstance(arguments[0], TensorRecord):
            return arguments[0]
        if called in _REBUILD:
            match arguments:
                case (
                    Storage() as storage,
                    int(offset),
                    tuple(shape),
                    tuple(strides),
                    *_,
                ):
                    return TensorRecord(storage, offset, shape, strides)
        raise self._refuse(f"a call of {called!r} that rebuilds no tensor")

    def _build(self, _: Any) -> None:
        # A state dict carries `_metadata`, the versions of its modules.
        state = self.stack.pop()
        if type(self.stack[-1]) is not dict or not isinstance(state, dict):
            raise self._refuse("an object with a state of its own")


_PUSHED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
# fmt: off
_AS_IT_IS = frozenset((
    "BINFLOAT", "BININT", "BININT1", "BININT2", "BINSTRING", "BINUNICODE",
    "BINUNICODE8", "FLOAT", "INT", "LONG", "LONG1", "LONG4", "SHORT_BINSTRING",
    "SHORT_BINUNICODE", "STRING", "UNICODE",
))
# fmt: on
