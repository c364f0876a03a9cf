"""What is measured: one small adapter for each proxy. A subject starts in a lab, counts, and stops."""
