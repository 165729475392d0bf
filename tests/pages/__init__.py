"""Pages as the server draws them."""
