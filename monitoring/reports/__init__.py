"""Reports: what people see of a check, pages and pictures; nothing here decides."""
