"""Format the result of a check as text, SARIF or annotations of GitHub Actions."""
