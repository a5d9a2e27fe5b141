"""The watch over pointers: a stage or alias that the audit trail does not know of is put back, and an alert raised."""
