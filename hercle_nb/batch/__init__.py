"""Invoices in bulk.

`table` reads what a user gives, `ids` finds the ClientIds, `rows` checks everything before anything is sent,
`batch` sends a few at a time, `frame` is what became of them.
"""
