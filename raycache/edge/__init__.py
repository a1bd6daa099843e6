"""What the outside sees of raycache: the command line and its demo."""
