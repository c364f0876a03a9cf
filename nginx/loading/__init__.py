"""Read files, folders, dumps and texts into one configuration with its includes in place."""
