"""Sphinx configuration of the site that `make docs` builds. Nothing that it builds loads anything from the web."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "_ext")]

project = "umemma"
author = "the umemma authors"
copyright = "the umemma authors, Apache-2.0"
extensions = ["myst_parser", "sphinx_copybutton", "mathml", "repository_paths", "generated"]
exclude_patterns = ["_build"]
templates_path: list[str] = []
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme = "furo"
html_title = "umemma"
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4
nitpicky = True
smartquotes = False  # `--label` stays as it is typed
copybutton_prompt_text = "$ "
