"""From checked rows to what fits see: features, the split in time, and the encoded rows that all workers share."""
