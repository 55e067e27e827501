"""The page to look at, as HTML: templates and the one module that knows jinja2."""
