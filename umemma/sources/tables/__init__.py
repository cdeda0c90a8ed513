"""Tables, read for the adapter `umemma.sources.build.table`: cells, rows, labels, splits, and the files that cells name.

Errors name the line of the table. Media are not opened here but for what a table may hold as text: series of numbers.
"""
