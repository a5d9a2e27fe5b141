"""Performance: what the answers of a window were worth, realised where outcomes joined and estimated before."""
