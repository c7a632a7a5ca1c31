"""The interactive faces, on ipywidgets: one file each.

A callback never blocks: it starts work elsewhere and shows what came of it later. Traits are set on the
interface thread alone (`_interface`). What the user edits and what the program writes are separate widgets.
"""

try:
    import ipywidgets as ipywidgets
except ImportError as error:  # a dependency, but notebooks get stripped environments
    raise ImportError(
        "Forms and the monitor need ipywidgets; install it with: pip install ipywidgets"
    ) from error
