"""Raw rows of a use case: readers by kind of source, types, joins as of a time, and proof that no row sees its future.

table.py          a source's kind picks its reader: csv_files, parquet_files, delta_table, database, python_file
rows.py           load_source: the typed frame of a use case, cut at a time, and its Origin
times, labels, inputs    what each column must be, and the sentence when it is not
joins.py          the latest row known at the event time, put beside each row
time_travel.py    the same rows loaded as of two times must be the same
"""
