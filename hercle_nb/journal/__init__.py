"""The journal: what outlives the kernel.

`place` is where it is, `tables` what is in it, `rows` how commands and invoices go in and come out, `writer`
the one thread that reads and writes, `journal` what a hub asks of it. Only `rows` does without SQLAlchemy.
"""
