"""Finds what is wrong with a site's templates before a job needs them: without rendering, in all branches at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import jinja2
from jinja2 import meta, nodes

from jobclusters.batch.script import environment
from jobclusters.dialects.base import Dialect
from jobclusters.errors import unknown
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.keyword import Options

#: What a template is given.
_GIVEN = ("spec", "options", "dialect")

#: What ``spec.`` may be followed by.
_SPEC = frozenset(
    {each.name for each in fields(JobSpec)}
    | {name for name, value in vars(JobSpec).items() if isinstance(value, property)}
)


def check_templates(dialect: Dialect, directory: str, options: Options) -> list[tuple[str, int, str]]:
    """Check the template of a batch system in a directory, with all that it includes from there.

    Parameters
    ----------
    dialect
        Of the batch system.
    directory
        Of ``jobclusters.template-dirs``.
    options
        Of any job there: their names are what ``options`` has.

    Returns
    -------
    list of tuple
        File, line and sentence of each problem; none if there is no such template.
    """
    found: list[tuple[str, int, str]] = []
    names, seen = [f"{dialect.name}.sh.j2"], set[str]()
    while names:
        name = names.pop()
        file = Path(directory, name)
        if name in seen or not file.is_file():
            continue
        seen.add(name)
        try:
            tree = _parse(file.read_text(), name, str(file))
        except jinja2.TemplateSyntaxError as error:  # an unknown filter is one, too
            found.append((str(file), error.lineno, str(error.message)))
            continue
        except (OSError, ValueError) as error:
            found.append((str(file), 0, f"the template can't be read: {error}"))
            continue
        found += ((str(file), line, says) for line, says in _wrong(tree, directory, options))
        names += [each for each in meta.find_referenced_templates(tree) if each]
    return found


def _parse(source: str, name: str, file: str) -> nodes.Template:
    jinja = environment(())
    jinja.compile(source, name, file)  # finds unknown filters
    return jinja.parse(source, name, file)


def _wrong(tree: nodes.Template, directory: str, options: Options) -> Iterator[tuple[int, str]]:
    known = {"spec": _SPEC, "options": frozenset(options)}
    for node in tree.find_all(nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.attr not in known.get(node.node.name, {node.attr}):
            moved = f" (it is options.{node.attr})" if node.attr in options else ""
            yield node.lineno, unknown(f"attribute of {node.node.name}", node.attr, known[node.node.name]) + moved
    undeclared = meta.find_undeclared_variables(tree) - {*_GIVEN, *environment(()).globals}
    lines = {node.name: node.lineno for node in tree.find_all(nodes.Name)}
    for name in sorted(undeclared):
        yield lines.get(name, 0), unknown("variable", name, _GIVEN)
    for child in tree.find_all((nodes.Extends, nodes.Include)):
        yield from _missing(child, directory)
    if any(True for _ in tree.find_all(nodes.Extends)):
        blocks = _blocks(tree, directory)
        own = {inner.name for block in tree.find_all(nodes.Block) for inner in block.find_all(nodes.Block)}
        for block in tree.find_all(nodes.Block):
            if blocks and block.name not in blocks | own:
                yield block.lineno, f"{unknown('block', block.name, blocks)}: what is in it is never printed"


def _missing(node: nodes.Node, directory: str) -> Iterator[tuple[int, str]]:
    """Find the name of a template that isn't there."""
    if getattr(node, "ignore_missing", False):
        return
    name = getattr(getattr(node, "template", None), "value", None)
    jinja = environment((directory,))
    if isinstance(name, str) and jinja.loader is not None:
        try:
            jinja.loader.get_source(jinja, name)
        except jinja2.TemplateNotFound:
            yield node.lineno, f"template {name!r} isn't there: ours is 'jobclusters/{name}', yours are in {directory}"


def _blocks(tree: nodes.Template, directory: str) -> frozenset[str]:
    """Name the blocks of a template's parents."""
    found: set[str] = set()
    seen: set[str] = set()
    jinja = environment((directory,))
    parents: Sequence[nodes.Extends] = [*tree.find_all(nodes.Extends)]
    while parents:
        given = parents[0].template
        name = given.value if isinstance(given, nodes.Const) else None
        if not isinstance(name, str) or name in seen or jinja.loader is None:
            return frozenset(found)
        seen.add(name)
        try:
            source, _, _ = jinja.loader.get_source(jinja, name)
            parent = jinja.parse(source)
        except jinja2.TemplateError:
            return frozenset(found)
        found |= {block.name for block in parent.find_all(nodes.Block)}
        parents = [*parent.find_all(nodes.Extends)]
    return frozenset(found)
