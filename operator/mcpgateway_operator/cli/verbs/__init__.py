"""The commands about a running gateway, one a module."""
