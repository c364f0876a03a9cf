"""The tour: a short form of everything, and what it says of the claims that are told about connections."""
