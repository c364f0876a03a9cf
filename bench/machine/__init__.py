"""What machine this is, what bounds it, and which cores each role gets."""
