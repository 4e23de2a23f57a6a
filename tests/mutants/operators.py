"""Small mechanical changes of a source file: an operator, a number, a condition, a loop, one at a time.

The operators are cosmic-ray's. What changes nothing that runs (annotations, `if TYPE_CHECKING`) is left out.
"""

from __future__ import annotations

import ast
from contextlib import suppress
from difflib import ndiff
from importlib import import_module
from typing import Any

from attrs import frozen

from tests.tables import ROOT


@frozen
class Mutant:
    """A file with one change: *before* and *after* are the changed lines, without the room before them."""

    file: str
    before: str
    after: str
    line: int
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.before}  →  {self.after}"


def mutants_of(file: str) -> list[Mutant]:
    """Make every change of *file* that cosmic-ray knows and that can make a difference, each once."""
    plugins: Any = import_module("cosmic_ray.plugins")
    mutate_code: Any = import_module("cosmic_ray.mutating").mutate_code
    source = (ROOT / file).read_text()
    seen = {_meaning(source)}
    found: list[Mutant] = []
    for name in plugins.operator_names():
        operator = plugins.get_operator(name)
        if operator.arguments():
            continue  # it replaces variables by given ones, and knows none
        occurrence = 0
        while (mutated := mutate_code(source, operator(), occurrence)) is not None:
            occurrence += 1
            with suppress(SyntaxError):  # some are no program at all
                meaning = _meaning(mutated)
                if meaning not in seen:
                    seen.add(meaning)
                    found.append(_mutant(file, source, mutated))
    return sorted(found, key=lambda mutant: mutant.line)


def _mutant(file: str, source: str, mutated: str) -> Mutant:
    changes = [line for line in ndiff(source.splitlines(), mutated.splitlines()) if not line.startswith("? ")]
    first = next(number for number, line in enumerate(changes) if not line.startswith("  "))
    last = max(number for number, line in enumerate(changes) if not line.startswith("  "))
    before = [line[2:].strip() for line in changes[first:] if line.startswith("- ")]
    after = [line[2:].strip() for line in changes[first:] if line.startswith("+ ")]
    if not any(after):  # something is gone: what follows says where
        before.append(next(line[2:].strip() for line in changes[last + 1 :] if line.strip()))
    return Mutant(file, _in_one_line(before), _in_one_line(after), first + 1, mutated)


def _in_one_line(lines: list[str]) -> str:
    return " ⏎ ".join(line for line in lines if line)


def _meaning(source: str) -> str:
    return ast.dump(_WithoutTypes().visit(ast.parse(source)))


class _WithoutTypes(ast.NodeTransformer):
    """Leaves out what is never run."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.decorator_list = [each for each in node.decorator_list if ast.unparse(each) != "final"]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        if any(isinstance(each, ast.Name) and each.id == "TYPE_CHECKING" for each in ast.walk(node.test)):
            return ast.Pass()
        return self.generic_visit(node)
