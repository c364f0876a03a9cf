"""Watch the TCP connections of a host in production: which hop churns, who closes, what to change."""
