"""What an agent says of itself: an OpenAPI document and a page to read, both made from the contract."""
