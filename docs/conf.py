"""The documentation: what is not in the package's docstrings and in the notebooks is in the pages here."""

from __future__ import annotations

import os
import re
import tempfile
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

import hercle_nb
from hercle_nb.cli import main

if TYPE_CHECKING:
    import click
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

for variable in ("HERCLE_API_KEY", "HERCLE_ENV"):  # the notebooks run on the simulator, whoever builds
    os.environ.pop(variable, None)

project = "hercle_nb"
author = "the authors of hercle_nb"
release = hercle_nb.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**.ipynb_checkpoints", "notebooks/app.ipynb"]  # the app is for Voilà
nitpicky = True
nitpick_ignore_regex = [  # what others document, and what a reader need not know
    (r"py:.*", r"(pd|segno|os|datetime|decimal|pathlib)\..*"),
    (r"py:.*", r"Decimal|Path|PathLike|TracebackType|datetime|timedelta"),
    (r"py:.*", r"(hercle_nb\.events\.)?(Content|Row|State|T)"),
]

# reference
CONSTRUCTED = {"EventLog", "Faults", "InvoiceRequest", "Simulator"}  # of the classes, those that users make
add_module_names = False
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

# notebooks
TEMPORARY = re.compile(re.escape(f"{tempfile.gettempdir()}/{tempfile.gettempprefix()}") + r"\w+")
NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"  # docs/notebooks is a symbolic link to it
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 120
nb_ipywidgets_js: dict[str, Any] = {}  # a page has no kernel, and asks no other host for a front end
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

# pages
html_theme = "furo"
pygments_dark_style = "a11y-high-contrast-dark"
html_title = f"hercle_nb {release}"
html_static_path = ["_static"]
html_css_files = ["hercle.css"]
html_copy_source = False
smartquotes_action = "D"  # dashes alone: messages are searched for with the quotation marks they have
html_show_copyright = False
myst_heading_anchors = 3

_TYPE_BELOW = re.compile(r"^(\.\. attribute:: .*\n)((?:(?!\.\. ).*\n)*?)   :type: (.*)$", re.MULTILINE)


class CommandHelp(SphinxDirective):
    """What ``hercle-nb COMMAND --help`` says, as paragraphs; without an argument, ``hercle-nb --help``."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Ask click."""
        command: click.Command = main
        context = main.make_context("hercle-nb", [], resilient_parsing=True)
        for name in self.arguments:
            command = main.commands[name]
            context = command.make_context(name, [], parent=context, resilient_parsing=True)
        usage = command.get_usage(context).removeprefix("Usage: ")
        shown: list[nodes.Node] = [nodes.literal_block(usage, usage, language="none")]
        paragraphs = cleandoc(command.help or "").split("\n\n")
        shown += [nodes.paragraph(text=" ".join(paragraph.split())) for paragraph in paragraphs]
        options = nodes.definition_list()
        for parameter in command.get_params(context):
            told = parameter.get_help_record(context)
            if told is not None and told[1]:  # an argument is told of in the text above
                term = nodes.term("", "", nodes.literal(text=told[0]))
                options += nodes.definition_list_item(
                    "", term, nodes.definition("", nodes.paragraph(text=told[1]))
                )
        shown.append(options)
        if command.epilog:
            heading, _, rest = cleandoc(command.epilog.removeprefix("\b\n")).partition("\n")
            typed = cleandoc(rest)
            shown += [nodes.paragraph(text=heading), nodes.literal_block(typed, typed, language="none")]
        return shown


def without_constructor(
    app: Sphinx, what: str, name: str, _obj: Any, _options: Any, signature: str | None, _returned: str | None
) -> tuple[str, None] | None:
    """Show how a class is called only where users do."""
    hidden = what in ("class", "exception") and name.rpartition(".")[2] not in CONSTRUCTED
    return ("", None) if hidden and signature else None


def types_beside_names(app: Sphinx, *rest: Any) -> None:
    """Show an attribute's type beside its name; napoleon puts it into a paragraph below."""
    lines: list[str] = rest[-1]
    text = _TYPE_BELOW.sub(r"\1   :type: \3\n\2", "\n".join(lines))
    lines[:] = text.split("\n")


def mend_notebook(app: Sphinx, document: nodes.document) -> None:
    """Keep the state of widgets out of a page, and let its links to other notebooks lead to their pages."""
    app.env.nb_metadata.get(app.env.docname, {}).pop("js_files", None)
    for reference in document.findall(pending_xref):
        target = Path(reference["reftarget"])  # Sphinx has followed the symbolic link
        if reference.get("refdomain") == "doc" and target.parent == NOTEBOOKS:
            reference["reftarget"] = f"notebooks/{target.name}"


def by_last_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> Any:
    """Find what a docstring names without its module."""
    if node.get("refdomain") != "py":
        return None
    objects = env.domains.python_domain.objects
    ending = f".{node['reftarget'].lstrip('.')}"
    found = [name for name, entry in objects.items() if name.endswith(ending) and not entry.aliased]
    if len(found) != 1:
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, found[0])


def without_folders(app: Sphinx, page: str, template: str, context: dict[str, Any], document: Any) -> None:
    """Leave out where a notebook's temporary files were."""
    if "body" in context:
        context["body"] = TEMPORARY.sub("…", context["body"])


def setup(app: Sphinx) -> None:
    """Add what is our own."""
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-process-signature", without_constructor)
    app.connect("autodoc-process-docstring", types_beside_names, priority=900)  # after napoleon
    app.connect("doctree-read", mend_notebook)
    app.connect("missing-reference", by_last_name)
    app.connect("html-page-context", without_folders)
