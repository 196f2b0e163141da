"""What host workers call, below `/host/v1/`. They always call; nothing is ever sent to them."""
