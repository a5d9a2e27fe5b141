"""`flywheel init`: looks at a table and writes a use case that runs as it is, with each choice explained beside it.

place.py      what was named on the command line: file, folder, table, query
columns.py    the role of each column and why; leaks.py: columns that know the label
target.py     task and label
spans.py      how long validation and test are
draft.py      all of these for one table
rendering.py, feature_file.py    the files as text;  folder.py: written all at once or not at all
"""
