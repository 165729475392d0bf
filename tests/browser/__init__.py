"""The portal in a real Chromium."""
