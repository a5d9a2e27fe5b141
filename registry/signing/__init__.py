"""The server's signature under each registered package (OpenSSF model signing)."""
