"""The digest of a step's code: of what it does, not of how it is written.

It covers the step's own file and the files of its project that it imports, the engine aside, each as a syntax tree
without comments, docstrings, the annotations of functions, and what fields tell only people (`title`, `description`).
The annotations of class bodies stay: they are the fields of records, and a field's type changes what a step makes.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from pipeline.engine import fingerprint
from pipeline.engine.fingerprint import Digest


def digests(module: ModuleType) -> dict[str, Digest]:
    """Digest by file (relative to the project) of `module` and all that it imports from its own project.

    Raises SyntaxError where a file cannot be parsed.
    """
    assert module.__file__ is not None
    top = Path(module.__file__).resolve()
    for _ in module.__name__.split("."):
        top = top.parent
    found: dict[str, Digest] = {}
    waiting = [module.__name__]
    while waiting:
        path = _file_of(top, waiting.pop())
        if path is None or (name := path.relative_to(top).as_posix()) in found:
            continue
        status = path.stat()
        inside = path.relative_to(top).parent.parts
        digest, imports = _read(path, inside, status.st_mtime_ns, status.st_size)
        found[name] = digest
        waiting += [each for each in imports if not each.startswith("pipeline.engine")]
    return dict(sorted(found.items()))


def _file_of(top: Path, module: str) -> Path | None:
    """The file of a dotted name; of `package.module.attribute` that of the module."""
    path = top.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py", path.parent.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


@lru_cache(maxsize=1024)
def _read(path: Path, inside: tuple[str, ...], _mtime_ns: int, _size: int) -> tuple[Digest, tuple[str, ...]]:
    tree = ast.parse(path.read_text(), str(path))
    imports = tuple(sorted(set(_imports(tree, inside))))
    # Unparsed text rather than a dump of the tree: the dump's form changes from one Python to the next.
    return fingerprint.of_value("code", ast.unparse(_Meaning().visit(tree))), imports


def _imports(tree: ast.AST, inside: tuple[str, ...]) -> Iterator[str]:
    """Dotted names that a file of the package `inside` imports from its own project."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = inside[: len(inside) + 1 - node.level] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if tuple(name.split(".")[:1]) == inside[:1] != tuple(name.split(".")))


_FOR_PEOPLE = {"title", "description"}  # Of pydantic's Field: how the panel's forms name and explain a setting.


class _Meaning(ast.NodeTransformer):
    """Removes what cannot change a result."""

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        arguments = node.args
        for each in [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ]:
            if each is not None:
                each.annotation = None
        node.body = [self._local(child) for child in node.body]
        return self._documented(node)

    def _documented(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        body = node.body  # type: ignore[attr-defined]
        match body:
            case [ast.Expr(ast.Constant(str())), *rest]:
                body[:] = rest or [ast.Pass()]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """A field of a class; those inside functions became plain assignments before."""
        match node.value:
            case ast.Call(func=ast.Name("Field"), keywords=keywords):
                keywords[:] = [each for each in keywords if each.arg not in _FOR_PEOPLE]
        return self.generic_visit(node)

    @staticmethod
    def _local(node: ast.stmt) -> ast.stmt:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            return ast.copy_location(ast.Assign([node.target], node.value), node)
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function  # noqa: N815 - names that ast.NodeTransformer looks for
    visit_ClassDef = visit_Module = _documented  # noqa: N815
