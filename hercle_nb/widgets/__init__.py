"""The interactive faces, on ipywidgets: one file each.

A callback never blocks: it starts a coroutine on the hub's thread, which waits for the hub and then writes
what came of it. What the user edits and what the program writes are separate widgets.
"""
