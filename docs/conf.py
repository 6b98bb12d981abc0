"""How the site is built: ``make docs``."""

project = "hintprobe"
author = "the hintprobe maintainers"
copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "hintprobe"
exclude_patterns = ["_build", "jupyter_execute"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_use_ivar = True
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
root_doc = "index"
napoleon_attr_annotations = False  # the shapes in them are not reStructuredText


def _skip(_app: object, _what: str, name: str, _obj: object, skip: bool, _options: object) -> bool:
    """Leave out what scikit-learn adds to its estimators."""
    return skip or name in {"set_score_request", "set_fit_request", "get_metadata_routing"}


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", _skip)  # type: ignore[attr-defined]
