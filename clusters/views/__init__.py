"""Pages of the app, a module per part."""
